"""Functions, each with its gradient, as `lin` and `lin_grad`; and a network of them by hand.

The rung below could run a network forward and keep its activations in range, but not improve it:
nothing computed a gradient. Here every function brings its derivative along. A gradient is kept
where one looks for it: on the array itself, as `.g`. `layers` makes one object of each pair.

Source: J. Howard, S. Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020, chapter 17
(`lin_grad`, `.g`). Theirs assign a gradient; these add, for an array may be read twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Tensor(np.ndarray):
    """A NumPy array with a place for its gradient; a plain `ndarray` has none (x.g = 1 raises)."""

    g: np.ndarray | None = None


def tensor(values: Any, dtype: Any = None) -> Tensor:
    """A copy of `values` that can carry `.g`; whole numbers become float64: slopes are not whole.

    >>> x = tensor([1, 2])
    >>> x.g = np.ones(2)
    >>> x, x.g, (x * 2).g  # a result is a new array: it has no gradient yet
    (Tensor([1., 2.]), array([1., 1.]), None)
    """
    array = np.array(values, dtype=dtype)
    return (array if array.dtype.kind == "f" else array.astype(np.float64)).view(Tensor)


def add_g(array: Any, g: np.ndarray) -> None:
    """array.g += g. Adding, not assigning: an array that two layers read gets two contributions.

    A plain array is passed over.

    >>> x = tensor([0.0])
    >>> add_g(x, np.array([1.0])); add_g(x, np.array([2.0])); x.g
    array([3.])
    """
    if isinstance(array, Tensor):
        array.g = np.asarray(g) if array.g is None else array.g + np.asarray(g)


def lin(x: Any, w: Any, b: Any = None) -> Any:
    """y = x @ w + b: x (..., in), w (in, out), b (out,) -> y (..., out).

    Without b every output passes through the origin.

    >>> lin(np.ones((1, 2)), np.ones((2, 3)), np.arange(3.0))
    array([[2., 3., 4.]])
    """
    if x.shape[-1] != w.shape[0]:
        raise ValueError(f"Inner dimensions must match: {x.shape[-1]} not equal to {w.shape[0]}")
    return x @ w if b is None else x @ w + b


def relu(x: Any) -> Any:
    """y = max(x, 0), entry by entry.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return np.maximum(x, 0)


def mse(output: Any, target: Any) -> np.floating:
    """mean((output - target)²) over ALL entries.

    The shapes must be equal, for (N, 1) minus (N,) is (N, N) without a word.

    >>> float(mse(np.array([[1.0], [3.0]]), np.array([[0.0], [0.0]])))
    5.0
    """
    return np.square(difference(output, target)).mean()


def difference(output: Any, target: Any) -> np.ndarray:
    """output - target where the shapes are equal, a ValueError that helps where they are not.

    >>> difference(np.zeros((2, 1)), np.zeros(2))
    Traceback (most recent call last):
    ValueError: the output has shape (2, 1), the target (2,): ...; write target[:, None]
    """
    output, target = np.asarray(output), np.asarray(target)
    a, b = output.shape, target.shape
    if output.shape != target.shape:
        advice = "write target[:, None]" if a == (*b, 1) else "give both one shape"
        try:
            outcome = f"their difference would have {np.broadcast_shapes(a, b)}"
        except ValueError:
            outcome = "they have no difference"
        raise ValueError(f"the output has shape {a}, the target {b}: {outcome}; {advice}")
    return output - target.astype(output.dtype)


def mse_grad(output: Tensor, target: Any) -> None:
    """output.g += 2 (output - target) / (number of all entries); shapes equal, or a ValueError.

    >>> output = tensor([[1.0], [3.0]])
    >>> mse_grad(output, np.zeros((2, 1))); output.g
    array([[1.],
           [3.]])
    """
    add_g(output, 2 * difference(output, target) / output.size)


def relu_grad(inp: Any, out: Tensor) -> None:
    """inp.g += out.g where inp > 0, else 0: at 0 itself the slope is taken as 0.

    out.g is left as it was.

    >>> inp = tensor([-1.0, 0.0, 2.0])
    >>> out = relu(inp); out.g = np.array([5.0, 5.0, 5.0])
    >>> relu_grad(inp, out); inp.g
    array([0., 0., 5.])
    """
    add_g(inp, np.where(inp > 0, np.asarray(out.g), np.zeros((), out.dtype)))


def lin_grad(inp: Any, out: Tensor, w: Tensor, b: Tensor | None = None) -> None:
    """w.g += inpᵀ @ out.g; b.g += Σ out.g; inp.g += out.g @ wᵀ, only where inp can carry it.

    inp (..., in), out.g (..., out), w (in, out), b (out,); leading axes (batch, time, …) are all
    axes of examples.

    >>> inp, w, b = np.array([[1.0, 2.0]]), tensor([[3.0], [4.0]]), tensor([0.0])
    >>> out = lin(inp, w, b); out.g = np.array([[10.0]])
    >>> lin_grad(inp, out, w, b)  # inp is a plain array: nobody asks for its gradient
    >>> w.g.tolist(), b.g.tolist()
    ([[10.0], [20.0]], [10.0])
    """
    g = np.asarray(out.g)
    rows = g.reshape(-1, g.shape[-1])
    add_g(w, np.asarray(inp).reshape(-1, w.shape[0]).T @ rows)
    if b is not None:
        add_g(b, rows.sum(0))
    # A whole matrix product, of which the first layer of a model has no need.
    if isinstance(inp, Tensor):
        add_g(inp, g @ np.asarray(w).T)


def forward_and_backward(
    inp: Any, target: Any, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
) -> np.floating:
    """One network by hand: the loss of lin, relu, lin; afterwards w1.g … b2.g are filled.

    The backward lines are the forward lines from last to first, for each reads the `.g` that the
    one before it wrote. The value of the loss is returned to be looked at: no gradient needs it.

    >>> w1, b1, w2, b2 = tensor([[1.0]]), tensor([0.0]), tensor([[2.0]]), tensor([0.0])
    >>> x, y = np.array([[3.0]]), np.array([[5.0]])
    >>> float(forward_and_backward(x, y, w1, b1, w2, b2)), w1.g, w2.g
    (1.0, array([[12.]]), array([[6.]]))
    """
    l1 = lin(inp, w1, b1)
    l2 = relu(l1)
    out = lin(l2, w2, b2)
    loss = mse(out, target)

    mse_grad(out, target)
    lin_grad(l2, out, w2, b2)
    relu_grad(l1, l2)
    lin_grad(inp, l1, w1, b1)
    return loss

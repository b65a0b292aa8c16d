"""The tape once more, with operations as large as layers: what a model needs, and no more.

`tape` finds the gradient of any program from small operations. A model of linear layers needs few
large ones, whose gradients are known: `linear`, `relu`, and two losses. So this tape has room for
nothing else; `module` builds on it.

Source: Jeremy Howard and Sylvain Gugger, Deep Learning for Coders with fastai and PyTorch, 2020,
chapter 17, where deriving the gradient of a linear layer is left as further research
(`linear_gradients` does).

Letters: N examples, n_in, n_out widths;
x input, y output, g gradient, w weight (n_out, n_in), b bias.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

_recording = True


@contextmanager
def no_grad() -> Iterator[None]:
    """Within it, results remember nothing.

    >>> with no_grad():
    ...     relu(Parameter([1.0])).requires_grad
    False
    """
    global _recording
    before, _recording = _recording, False
    try:
        yield
    finally:
        _recording = before


Link = tuple["Tensor", Callable[[Any], Any]]


class Tensor:
    """An array with the links (parent, pullback) that a gradient travels along."""

    def __init__(self, value: Any, links: Iterable[Link] = ()) -> None:
        self.value = np.asarray(value)
        self.links = tuple(link for link in links if link[0].requires_grad) if _recording else ()
        self.requires_grad: bool = bool(self.links)
        self.grad: Any = None

    def backward(self) -> None:
        """Add the derivative of this number to the `grad` of all parameters behind it."""
        arrived: dict[Tensor, Any] = {self: np.ones_like(self.value)}
        order, seen, stack = list[Tensor](), set[Tensor](), [(self, False)]
        while stack:
            x, parents_done = stack.pop()
            if parents_done:
                order.append(x)
            elif x not in seen:
                seen.add(x)
                stack += [(x, True), *((parent, False) for parent, _ in x.links)]
        for x in reversed(order):
            g = arrived.pop(x)
            if not x.links:
                x.grad = np.array(g) if x.grad is None else x.grad + g
            for parent, pull in x.links:
                share = pull(g)
                arrived[parent] = arrived[parent] + share if parent in arrived else share


class Parameter(Tensor):
    """A tensor to be learnt: it has no history, and wants a gradient until it is frozen."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.requires_grad = True


def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """y = x wᵀ + b: x (N, n_in), w (n_out, n_in), b (n_out,) -> (N, n_out).

    `linear_gradients` derives the three pullbacks.

    >>> linear(Tensor(np.ones((1, 2))), Parameter(np.ones((3, 2))), Parameter(np.arange(3.0))).value
    array([[2., 3., 4.]])
    """
    y = x.value @ w.value.T + b.value
    pullbacks = (lambda g: g @ w.value, lambda g: g.T @ x.value, lambda g: g.sum(0))
    return Tensor(y, zip((x, w, b), pullbacks))


def relu(x: Tensor) -> Tensor:
    """max(x, 0), of any shape; the gradient at 0 is 0.

    >>> relu(Tensor([-1.0, 2.0])).value
    array([0., 2.])
    """
    return Tensor(np.maximum(x.value, 0), [(x, lambda g: np.where(x.value > 0, g, 0))])


def mse(y: Tensor, target: np.ndarray) -> Tensor:
    """mean((y - target)²) over all entries, shapes equal.

    >>> mse(Tensor([[1.0], [3.0]]), np.zeros((2, 1))).value
    array(5.)
    """
    if y.value.shape != target.shape:
        targets = f"targets of shape {target.shape}"
        raise ValueError(f"outputs of shape {y.value.shape} cannot be compared with {targets}")
    difference = y.value - target
    return Tensor(np.mean(difference**2), [(y, lambda g: g * 2 * difference / difference.size)])


def cross_entropy(y: Tensor, labels: np.ndarray) -> Tensor:
    """-mean log softmax(y)[n, labels[n]]: y (N, classes), labels (N,) -> a number.

    >>> float(cross_entropy(Tensor(np.zeros((2, 4))), np.array([0, 3])).value) == float(np.log(4))
    True
    """
    shifted = y.value - y.value.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    rows = np.arange(len(labels))

    def pull(g: Any) -> Any:
        p = np.exp(log_p)
        p[rows, labels] -= 1
        return g * p / len(labels)

    return Tensor(-log_p[rows, labels].mean(), [(y, pull)])


class LinearGradients(NamedTuple):
    """∂L/∂x, ∂L/∂w and ∂L/∂b."""

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray


def linear_gradients(x: np.ndarray, w: np.ndarray, g: np.ndarray) -> LinearGradients:
    """The mathematics of `linear`, index by index.

    From y_no = Σ_i x_ni w_oi + b_o and g_no = ∂L/∂y_no follow

        ∂L/∂x_ni = Σ_o g_no ∂y_no/∂x_ni = Σ_o g_no w_oi   which is entry (n, i) of  g @ w
        ∂L/∂w_oi = Σ_n g_no ∂y_no/∂w_oi = Σ_n g_no x_ni   which is entry (o, i) of  g.T @ x
        ∂L/∂b_o  = Σ_n g_no ∂y_no/∂b_o  = Σ_n g_no        which is entry o      of  g.sum(0)

    >>> linear_gradients(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([[10.0]])).w
    array([[10., 20.]])
    """
    N, n_in, n_out = len(x), x.shape[1], len(w)
    dx, dw, db = np.zeros((N, n_in)), np.zeros((n_out, n_in)), np.zeros(n_out)
    for n in range(N):
        for o in range(n_out):
            db[o] += g[n, o]
            for i in range(n_in):
                dx[n, i] += g[n, o] * w[o, i]
                dw[o, i] += g[n, o] * x[n, i]
    return LinearGradients(dx, dw, db)

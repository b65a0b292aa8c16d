"""Layers: each remembers its input and output and can send a gradient back. The chain rule becomes a loop over `reversed(layers)`.

The rung below could run a network forward and keep its activations in range, but not improve it: nothing computed a gradient. Here every
function brings its derivative along, first as a pair of functions (`lin` and `lin_grad`), then as one object (`Linear`). A gradient is kept
where one looks for it: on the array itself, as `.g`.

Sources: "Building the foundations of Deep Learning from scratch" (abstract Layer, `.g`, Kaiming weights); J. Howard, S. Gugger, "Deep
Learning for Coders with fastai and PyTorch", 2020, chapter 17 (`lin_grad`, LayerFunction); M. Heinzer, "Creating a Neural Network from
scratch - Part I", 2020 (Model). `classification.py` adds softmax and the losses of classes; `layers_at_work.py` trains these layers and
runs what the sources print beside what is true.

One limit is real: a layer object remembers its last call alone, so it cannot stand in a model twice; `backward` says so. The next rung,
closures, has no such limit.

Letters: N examples, C classes or outputs; x input, y output, g gradient, w weight, b bias, t target.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

Random = int | np.random.Generator | None


# --- An array that can carry its gradient ---------------------------------------------------------------------------------------------


class Tensor(np.ndarray):
    """A NumPy array with a place for its gradient; a plain `ndarray` has none (`x.g = 1` raises AttributeError)."""

    g: np.ndarray | None = None


def tensor(values: Any, dtype: Any = None) -> Tensor:
    """A copy of `values` that can carry `.g`; whole numbers become float64, for a gradient of whole numbers means nothing.

    >>> x = tensor([1, 2])
    >>> x.g = np.ones(2)
    >>> x, x.g, (x * 2).g  # a result is a new array: it has no gradient yet
    (Tensor([1., 2.]), array([1., 1.]), None)
    """
    array = np.array(values, dtype=dtype)
    return (array if array.dtype.kind == "f" else array.astype(np.float64)).view(Tensor)


def add_g(array: Any, g: np.ndarray) -> None:
    """array.g += g. Adding, not assigning: an array that two layers read gets two contributions. A plain array is passed over.

    >>> x = tensor([0.0])
    >>> add_g(x, np.array([1.0])); add_g(x, np.array([2.0])); x.g
    array([3.])
    """
    if isinstance(array, Tensor):
        array.g = np.asarray(g) if array.g is None else array.g + np.asarray(g)


# --- Functions, each with its gradient ------------------------------------------------------------------------------------------------


def lin(x: Any, w: Any, b: Any = None) -> Any:
    """y = x @ w + b: x (..., in), w (in, out), b (out,) -> y (..., out). Without b every output passes through the origin.

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
    """mean((output - target)²) over ALL entries; the shapes must be equal, for (N, 1) minus (N,) is (N, N) without a word.

    >>> float(mse(np.array([[1.0], [3.0]]), np.array([[0.0], [0.0]])))
    5.0
    """
    return np.square(difference(output, target)).mean()


def difference(output: Any, target: Any) -> np.ndarray:
    """output - target where the shapes are equal, a ValueError that says what to write where they are not.

    >>> difference(np.zeros((2, 1)), np.zeros(2))
    Traceback (most recent call last):
    ValueError: the output has shape (2, 1), the target (2,): their difference would have (2, 2); write target[:, None]
    """
    output, target = np.asarray(output), np.asarray(target)
    if output.shape != target.shape:
        advice = "write target[:, None]" if output.shape == (*target.shape, 1) else "give both one shape"
        try:
            outcome = f"their difference would have {np.broadcast_shapes(output.shape, target.shape)}"
        except ValueError:
            outcome = "they have no difference"
        raise ValueError(f"the output has shape {output.shape}, the target {target.shape}: {outcome}; {advice}")
    return output - target.astype(output.dtype)


def mse_grad(output: Tensor, target: Any) -> None:
    """output.g += 2 (output - target) / (number of all entries)."""
    add_g(output, 2 * difference(output, target) / output.size)


def relu_grad(inp: Any, out: Tensor) -> None:
    """inp.g += out.g where inp > 0, else 0: at 0 itself the slope is taken as 0. out.g is left as it was."""
    add_g(inp, np.where(inp > 0, np.asarray(out.g), np.zeros((), out.dtype)))


def lin_grad(inp: Any, out: Tensor, w: Tensor, b: Tensor | None = None) -> None:
    """w.g += inpᵀ @ out.g; b.g += the sum of out.g over the examples; inp.g += out.g @ wᵀ, only where inp can carry it.

    All leading axes (batch, time, …) count as examples.
    """
    g = np.asarray(out.g)
    rows = g.reshape(-1, g.shape[-1])
    add_g(w, np.asarray(inp).reshape(-1, w.shape[0]).T @ rows)
    if b is not None:
        add_g(b, rows.sum(0))
    if isinstance(inp, Tensor):  # a whole matrix product, of which the first layer of a model has no need
        add_g(inp, g @ np.asarray(w).T)


def forward_and_backward(inp: Any, target: Any, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> np.floating:
    """One network by hand: the loss of lin, relu, lin; afterwards w1.g … b2.g (and inp.g, if it can carry one) are filled.

    The backward lines are the forward lines from last to first, for each reads the `.g` that the one before it wrote. The value of the
    loss is returned because one likes to see it: no gradient needs it.

    >>> w1, b1, w2, b2 = tensor([[1.0]]), tensor([0.0]), tensor([[2.0]]), tensor([0.0])
    >>> float(forward_and_backward(np.array([[3.0]]), np.array([[5.0]]), w1, b1, w2, b2)), w1.g, w2.g
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


# --- The same as objects --------------------------------------------------------------------------------------------------------------


class Layer:
    """What every layer has in common: a call keeps the arguments and the output; `backward` hands output.g on to the arguments.

    A new layer writes `forward(*args)` -> y, `bwd(y, *args)`, which adds to the `.g` of the arguments and parameters, and `__repr__`.
    """

    parameters: tuple[Tensor, ...] = ()
    guarded = True

    def __call__(self, *args: Any) -> Tensor:
        self.args: tuple[Any, ...] | None = args
        self.y = np.asarray(self.forward(*args)).view(Tensor)
        return self.y

    def backward(self, gradient: Any = None) -> None:
        """Read self.y.g (first add `gradient`, if one is given) and send it back through this call."""
        if self.guarded and self.__dict__.get("args") is None:
            raise RuntimeError(
                f"{self!r} went backward more often than forward. A layer remembers its last call alone: call it again first; "
                "and where it stands in a model twice, put two layers"
            )
        if gradient is not None:
            add_g(self.y, gradient)
        if self.y.g is None:
            raise RuntimeError(
                f"no gradient came back to {self!r}: what follows read a copy of its output (astype, reshape and [...] make new "
                "arrays, and .g lies on those), or the layer was called again in between"
            )
        args = self.args
        self.bwd(self.y, *args)  # type: ignore[misc]
        if self.guarded:
            self.args = None

    def update(self, learning_rate: float) -> None:
        """p -= learning_rate * p.g for every parameter, and p.g is gone: no step forgets to clear it, nothing is subtracted twice."""
        for parameter in self.parameters:
            if parameter.g is not None:
                parameter -= learning_rate * parameter.g
                parameter.g = None

    def forward(self, *args: Any) -> Any:
        raise NotImplementedError("forward method not implemented")

    def bwd(self, y: Tensor, *args: Any) -> None:
        raise NotImplementedError("bwd method not implemented")

    def __repr__(self) -> str:
        raise NotImplementedError("__repr__ method not implemented")


class Linear(Layer):
    """y = x @ weight + bias, weight ~ N(0, 2/in) (Kaiming), bias zero (or None): x (..., in_size) -> y (..., out_size).

    >>> layer = Linear(784, 50, rng=0)
    >>> layer, layer(np.zeros((3, 784))).shape
    ((Linear: in=784 out=50), (3, 50))
    """

    def __init__(self, in_size: int, out_size: int, rng: Random = None, bias: bool = True, dtype: Any = np.float32) -> None:
        draws = np.random.default_rng(rng).standard_normal((in_size, out_size))
        self.weight = tensor(draws * math.sqrt(2 / in_size), dtype)
        self.bias = tensor(np.zeros(out_size), dtype) if bias else None

    @property
    def parameters(self) -> tuple[Tensor, ...]:  # type: ignore[override]
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def __repr__(self) -> str:
        return f"(Linear: in={self.weight.shape[0]} out={self.weight.shape[1]})"

    def forward(self, x: Any) -> np.ndarray:
        return lin(x, self.weight, self.bias)

    def bwd(self, y: Tensor, x: Any) -> None:
        lin_grad(x, y, self.weight, self.bias)


class ReLU(Layer):
    """y = max(x, 0).

    >>> layer, x = ReLU(), tensor([-1.0, 2.0])
    >>> y = layer(x); layer.backward(np.array([5.0, 5.0])); x.g
    array([0., 5.])
    """

    def __repr__(self) -> str:
        return "(ReLU)"

    def forward(self, x: Any) -> np.ndarray:
        return relu(x)

    def bwd(self, y: Tensor, x: Any) -> None:
        relu_grad(x, y)


# --- Losses ---------------------------------------------------------------------------------------------------------------------------


class Loss(Layer):
    """The last function: `loss(y, t)` is a number, `gradient()` its derivative by y, `backward()` adds that to y.g."""

    def __call__(self, output: Any, target: Any) -> Any:
        self.args = (output, np.asarray(target))
        return self.forward(np.asarray(output), self.args[1])

    def gradient(self) -> np.ndarray:
        """∂loss/∂output of the last call, of the output's shape."""
        if self.__dict__.get("args") is None:
            raise RuntimeError(f"{self!r} has no gradient before its first call")
        output, target = self.args  # type: ignore[misc]
        return self.derivative(np.asarray(output), target)

    def backward(self, gradient: Any = 1.0) -> None:
        g = gradient * self.gradient()
        output = self.args[0]  # type: ignore[index]
        if not isinstance(output, Tensor):
            raise TypeError("the loss was given a plain array, which cannot carry .g: pass tensor(output), or use gradient()")
        add_g(output, g)

    def derivative(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        raise NotImplementedError("derivative method not implemented")


class MSE(Loss):
    """mean((y - t)²) over all entries, of any number of axes; gradient 2 (y - t) / (number of entries).

    >>> loss = MSE()
    >>> float(loss(np.array([1.0, 3.0]), np.array([0.0, 0.0]))), loss.gradient()
    (5.0, array([1., 3.]))
    """

    def __repr__(self) -> str:
        return "Loss: Mean Squared Error"

    def forward(self, output: np.ndarray, target: np.ndarray) -> np.floating:
        return mse(output, target)

    def derivative(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        return 2 * difference(output, target) / output.size


# --- A model --------------------------------------------------------------------------------------------------------------------------


class Model:
    """Layers called one after another; `backward` goes through them in reverse.

    >>> rng = np.random.default_rng(0)
    >>> Model([Linear(784, 50, rng), ReLU(), Linear(50, 10, rng)])
    Model[(Linear: in=784 out=50), (ReLU), (Linear: in=50 out=10)]
    """

    def __init__(self, layers: Iterable[Layer], loss: Loss | None = None) -> None:
        self.layers = list(layers)
        self.loss = MSE() if loss is None else loss

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, gradient: Any = None) -> None:
        """Fill every `.g`: from `gradient` = ∂loss/∂output, or, without it, from the last call of `self.loss`."""
        if gradient is None:
            self.loss.backward()
        else:
            add_g(self.layers[-1].y, gradient)
        for layer in reversed(self.layers):
            layer.backward()

    def update(self, learning_rate: float) -> None:
        """One step downhill: each layer updates its parameters; layers without any have nothing to do."""
        for layer in self.layers:
            layer.update(learning_rate)

    def __repr__(self) -> str:
        return f"Model{self.layers}"


class FeedForwardNN(Model):
    """`n_layers` Linear layers with ReLU between them: x_dim -> hidden -> … -> y_dim.

    >>> len(FeedForwardNN(784, 1, n_layers=5, rng=0).layers)
    9
    """

    def __init__(self, x_dim: int, y_dim: int, n_layers: int, rng: Random = None, hidden: int = 50, loss: Loss | None = None) -> None:
        rng = np.random.default_rng(rng)
        sizes = [x_dim, *[hidden] * (n_layers - 1), y_dim]
        layers: list[Layer] = []
        for before, after in pairwise(sizes):
            layers += [Linear(before, after, rng), ReLU()]
        super().__init__(layers[:-1], loss)

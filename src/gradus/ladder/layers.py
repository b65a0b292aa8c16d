"""Layers: each remembers its input and output, and can send a gradient back.

The chain rule becomes a loop over `reversed(layers)`.

`functions_and_gradients` has a pair for each function, `lin` and `lin_grad`, and calls them in an
order that is written out by hand. Here a pair is one object (`Linear`): the order can be a list.

Sources: "Building the foundations of Deep Learning from scratch" (abstract Layer, `.g`, Kaiming
weights); J. Howard, S. Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020, chapter 17
(LayerFunction); M. Heinzer, "Creating a Neural Network from scratch - Part I", 2020 (Model).
`classification.py` adds softmax and the losses of classes; `layers_at_work.py` trains these layers
and runs what the sources print beside what is true.

One limit is real: a layer object remembers its last call alone, so it cannot stand in a model
twice; `backward` says so. The next rung, closures, has no such limit.

Letters: N examples, C classes or outputs;
x input, y output, g gradient, w weight, b bias, t target.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from gradus.ladder.functions_and_gradients import (
    Tensor,
    add_g,
    difference,
    lin,
    lin_grad,
    mse,
    relu,
    relu_grad,
    tensor,
)

Random = int | np.random.Generator | None


class Layer:
    """What every layer has in common: a call keeps its arguments and output, for `backward`.

    A new layer writes `forward(*args)` -> y, `bwd(y, *args)`, which adds to the `.g` of the
    arguments and parameters, and `__repr__`.
    """

    parameters: tuple[Tensor, ...] = ()
    guarded = True

    def __call__(self, *args: Any) -> Tensor:
        self.args: tuple[Any, ...] | None = args
        self.y = np.asarray(self.forward(*args)).view(Tensor)
        return self.y

    def backward(self, gradient: Any = None) -> None:
        """Read self.y.g (first add `gradient`, if one is given), send it back through this call."""
        if self.guarded and self.__dict__.get("args") is None:
            raise RuntimeError(
                f"{self!r} went backward more often than forward. A layer remembers its last call "
                "alone: call it again first; and where it stands in a model twice, put two layers"
            )
        if gradient is not None:
            add_g(self.y, gradient)
        if self.y.g is None:
            raise RuntimeError(
                f"no gradient came back to {self!r}: what follows read a copy of its output "
                "(astype, reshape and [...] make new arrays, and .g lies on those), or the layer "
                "was called again in between"
            )
        args = self.args
        self.bwd(self.y, *args)  # type: ignore[misc]
        if self.guarded:
            self.args = None

    def update(self, learning_rate: float) -> None:
        """p -= learning_rate * p.g for every parameter, and p.g is gone: none is used twice."""
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
    """y = x @ weight + bias: x (..., in_size) -> y (..., out_size).

    weight ~ N(0, 2/in) (Kaiming), bias zero (or None).

    >>> layer = Linear(784, 50, rng=0)
    >>> layer, layer(np.zeros((3, 784))).shape
    ((Linear: in=784 out=50), (3, 50))
    """

    def __init__(
        self,
        in_size: int,
        out_size: int,
        rng: Random = None,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
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


# --- Losses ---------------------------------------------------------------------------------------


class Loss(Layer):
    """The last function: `loss(y, t)` is a number, `backward()` adds its `gradient()` to y.g."""

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
            raise TypeError(
                "the loss was given a plain array, which cannot carry .g: pass tensor(output), "
                "or use gradient()"
            )
        add_g(output, g)

    def derivative(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        raise NotImplementedError("derivative method not implemented")


class MSE(Loss):
    """mean((y - t)²) over all entries of all axes; gradient 2 (y - t) / (number of entries).

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


# --- A model --------------------------------------------------------------------------------------


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
        """Fill every `.g`, from `gradient` = ∂loss/∂output or the last call of `self.loss`."""
        if gradient is None:
            self.loss.backward()
        else:
            add_g(self.layers[-1].y, gradient)
        for layer in reversed(self.layers):
            layer.backward()

    def update(self, learning_rate: float) -> None:
        """One step downhill: each layer updates its parameters, if it has any."""
        for layer in self.layers:
            layer.update(learning_rate)

    def __repr__(self) -> str:
        return f"Model{self.layers}"


class FeedForwardNN(Model):
    """`n_layers` Linear layers with ReLU between them: x_dim -> hidden -> … -> y_dim.

    >>> len(FeedForwardNN(784, 1, n_layers=5, rng=0).layers)
    9
    """

    def __init__(
        self,
        x_dim: int,
        y_dim: int,
        n_layers: int,
        rng: Random = None,
        hidden: int = 50,
        loss: Loss | None = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        sizes = [x_dim, *[hidden] * (n_layers - 1), y_dim]
        layers: list[Layer] = []
        for before, after in pairwise(sizes):
            layers += [Linear(before, after, rng), ReLU()]
        super().__init__(layers[:-1], loss)

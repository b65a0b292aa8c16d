"""The closures at work: what the hundred lines learn, Jacobians and the chain rule, and why gradients are taken in reverse.

A Jacobian here is m × n for a function of n numbers with m results. Reverse mode multiplies the chain of Jacobians from the left, a row at
a time (vector times Jacobian, what `backward` does); forward mode from the right, a column at a time (`jvp`). No Jacobian need be formed.

Source: Julian Eisenschlos (eisenjulian), "Neural Networks in 100 lines of pure Python", 2019, text and notebook; `slips` runs what they
print beside what is true. Its text prints a distance of 1.8e-05 after 10 epochs of `recover_linear`: ten epochs leave 1e-3 to 2e-2, and
1e-5 takes about twenty.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.closures import (
    Layer,
    Learner,
    Linear,
    Parameter,
    Sequential,
    SGDOptimizer,
    Sigmoid,
    Tanh,
    ce_loss,
    mse_loss,
)

# --- What it learns -----------------------------------------------------------------------------------------------------------------------


class Recovery(NamedTuple):
    """Losses of the epochs, and the distances of the found weights and bias from those that made the data."""

    losses: list[float]
    weights: float
    bias: float


def recover_linear(
    features: int = 10, samples: int = 100, epochs: int = 20, bs: int = 10, lr: float = 0.05, noise: float = 0.0, seed: int = 0
) -> Recovery:
    """Data from Y = X W + B, and a Linear that finds W and B.

    >>> found = recover_linear(epochs=30)
    >>> found.weights < 1e-4 and found.bias < 1e-4
    True
    """
    rng = np.random.default_rng(seed)
    X, W, B = rng.standard_normal((samples, features)), rng.standard_normal((features, 1)), rng.standard_normal(1)
    Y = X @ W + B + noise * rng.standard_normal((samples, 1))
    model = Linear(features, 1, rng)
    losses = Learner(model, mse_loss, SGDOptimizer(lr), rng).fit(X, Y, epochs, bs)
    return Recovery(losses, float(np.linalg.norm(model.weights.tensor - W)), float(abs(model.bias.tensor - B)[0]))


class Curves(NamedTuple):
    """Losses of the epochs with one layer and with two."""

    one_layer: list[float]
    two_layers: list[float]


def product_of_two(samples: int = 1000, hidden: int = 10, epochs: int = 50, bs: int = 50, lr: float = 0.3, seed: int = 0) -> Curves:
    """y = x1 x2: no line comes near it (the best answer is 0, of loss 1), a layer of sigmoids does.

    As printed, with Y of shape (N,), the first batch fails: the difference from (N, 1) is (N, N). Here Y is (N, 1).

    >>> curves = product_of_two(epochs=20)
    >>> curves.one_layer[-1] > 0.7, curves.two_layers[-1] < 0.5
    (True, True)
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, 2))
    Y = X[:, :1] * X[:, 1:]
    one = Sequential(Linear(2, 1, rng))
    two = Sequential(Linear(2, hidden, rng), Sigmoid(), Linear(hidden, 1, rng))
    return Curves(
        Learner(one, mse_loss, SGDOptimizer(lr=0.01), seed).fit(X, Y, epochs, bs),
        Learner(two, mse_loss, SGDOptimizer(lr), seed).fit(X, Y, epochs, bs),
    )


# --- Jacobians ----------------------------------------------------------------------------------------------------------------------------


def jacobian(layer: Layer, x: np.ndarray) -> np.ndarray:
    """∂Y_i/∂x_j at x (n,) -> (m, n): m copies of x as a batch, and each sends one basis row back. No gradient is left behind.

    >>> jacobian(Tanh(), np.array([0.0, 1000.0]))  # an activation's Jacobian is diagonal
    array([[1., 0.],
           [0., 0.]])
    """
    kept = [parameter.gradient.copy() for parameter in layer.parameters]
    m = layer.forward(x[None])[0].shape[1]
    _, backward = layer.forward(np.repeat(x[None], m, axis=0))
    rows = backward(np.eye(m))
    for parameter, gradient in zip(layer.parameters, kept):
        parameter.gradient[...] = gradient
    return rows


class Chain(NamedTuple):
    """The Jacobian of a whole model, and those of its layers, first to last, each at its own input."""

    whole: np.ndarray
    parts: list[np.ndarray]

    @property
    def product(self) -> np.ndarray:
        """The layers' Jacobians multiplied, the last one leftmost: the chain rule says that this is the whole."""
        product = self.parts[0]
        for part in self.parts[1:]:
            product = part @ product
        return product


def chain_rule(model: Sequential | None = None, x: np.ndarray | None = None, seed: int = 0) -> Chain:
    """∂c/∂a = ∂c/∂b · ∂b/∂a, for every layer of a model (4 -> 5 -> 3 with tanh between, unless another is given).

    >>> chain = chain_rule()
    >>> [part.shape for part in chain.parts], bool(np.allclose(chain.product, chain.whole))
    ([(5, 4), (5, 5), (3, 5)], True)
    """
    rng = np.random.default_rng(seed)
    model = Sequential(Linear(4, 5, rng), Tanh(), Linear(5, 3, rng)) if model is None else model
    x = rng.standard_normal(4) if x is None else x
    whole, parts = jacobian(model, x), []
    for layer in model.layers:
        parts.append(jacobian(layer, x))
        x = layer.forward(x[None])[0][0]
    return Chain(whole, parts)


def linear_jacobian_of_a_batch(n: int = 3, seed: int = 0) -> np.ndarray:
    """The Jacobian of Linear(2, 2) on n examples at once, (2n, 2n): n equal blocks on the diagonal, the transposed weights, else 0."""
    layer, width = Linear(2, 2, seed), 2 * n
    _, backward = layer.forward(np.zeros((n, 2)))
    return np.array([backward(row.reshape(n, 2)).reshape(width) for row in np.eye(width)])


# --- Forward and reverse mode -------------------------------------------------------------------------------------------------------------


def jvp(layer: Layer, X: Any, dX: Any, directions: dict[Parameter, Any]) -> tuple[Any, Any]:
    """Y and its derivative when X moves along dX and each parameter along its direction: forward mode, with nothing kept for later.

    An activation's Jacobian is diagonal, so it is its own transpose, and `backward` serves in this direction too.

    >>> jvp(Tanh(), np.zeros(2), np.array([1.0, 2.0]), {})
    (array([0., 0.]), array([1., 2.]))
    """
    if isinstance(layer, Sequential):
        for part in layer.layers:
            X, dX = jvp(part, X, dX, directions)
        return X, dX
    Y, backward = layer.forward(X)
    if isinstance(layer, Linear):
        dY = dX @ layer.weights.tensor + X @ directions.get(layer.weights, np.zeros_like(layer.weights.tensor))
        return Y, dY + directions.get(layer.bias, 0)
    return Y, backward(dX)


class Mode(NamedTuple):
    """All gradients of a model, flattened into one, the passes through the model that they took, and the seconds."""

    gradient: np.ndarray
    passes: int
    seconds: float


def reverse_and_forward(sizes: tuple[int, ...] = (8, 10, 1), n: int = 20, seed: int = 0) -> tuple[Mode, Mode]:
    """The gradient of one loss by every weight, in reverse mode (one pass back) and forward mode (one pass for each weight).

    >>> reverse, forward = reverse_and_forward()
    >>> reverse.passes, forward.passes, bool(np.allclose(reverse.gradient, forward.gradient))
    (1, 101, True)
    """
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for before, after in pairwise(sizes):
        layers += [Linear(before, after, rng), Tanh()]
    model, X, Y = Sequential(*layers[:-1]), rng.standard_normal((n, sizes[0])), rng.standard_normal((n, sizes[-1]))

    start = time.perf_counter()
    Y_, backward = model.forward(X)
    D = mse_loss(Y_, Y)[1]
    backward(D)
    reverse = Mode(np.concatenate([p.gradient.ravel() for p in model.parameters]), 1, time.perf_counter() - start)

    start, slopes = time.perf_counter(), []
    for parameter in model.parameters:
        for place in np.ndindex(parameter.tensor.shape):
            direction = np.zeros_like(parameter.tensor)
            direction[place] = 1
            Y_, dY = jvp(model, X, np.zeros_like(X), {parameter: direction})
            slopes.append((mse_loss(Y_, Y)[1] * dY).sum())
    return reverse, Mode(np.array(slopes), len(slopes), time.perf_counter() - start)


class Products(NamedTuple):
    """Multiplications that a chain of Jacobians takes."""

    reverse: int
    forward: int


def cost_of_chain(sizes: tuple[int, ...]) -> Products:
    """Multiplying Jacobians n0 -> n1 -> … -> nk out, from the left (reverse) or from the right (forward).

    >>> cost_of_chain((784, 50, 10, 1)), cost_of_chain((1, 10, 50, 784))
    (Products(reverse=39700, forward=399840), Products(reverse=399840, forward=39700))
    """
    pairs = list(pairwise(sizes))
    reverse = sum(sizes[-1] * before * after for before, after in pairs[:-1])
    return Products(reverse, sum(sizes[0] * before * after for before, after in pairs[1:]))


# --- What the rung below could not do -----------------------------------------------------------------------------------------------------


class TwoGradients(NamedTuple):
    """The gradient of a weight as backward finds it, and by differences of the loss."""

    found: np.ndarray
    numeric: np.ndarray


def layer_used_twice(seed: int = 0) -> TwoGradients:
    """One Linear at two places of a model: each call made its own backward, and the weight's gradient is the sum of both. It is exact.

    >>> pair = layer_used_twice()
    >>> bool(np.allclose(pair.found, pair.numeric, atol=1e-8))
    True
    """
    rng = np.random.default_rng(seed)
    X, Y, same = rng.standard_normal((5, 4)), rng.standard_normal((5, 4)), Linear(4, 4, rng)
    model = Sequential(same, Tanh(), same)
    Y_, backward = model.forward(X)
    backward(mse_loss(Y_, Y)[1])
    weight, numeric, h = same.weights.tensor, np.zeros((4, 4)), 1e-5
    for place in np.ndindex(weight.shape):
        kept, losses = weight[place], []
        for step in (h, -h):
            weight[place] = kept + step
            losses.append(mse_loss(model.forward(X)[0], Y)[0])
        weight[place], numeric[place] = kept, (losses[0] - losses[1]) / (2 * h)
    return TwoGradients(same.weights.gradient, numeric)


class Slip(NamedTuple):
    """Something printed in the source: where, what it gives, what is true."""

    where: str
    printed: Any
    true: Any


def product_shape(a: np.ndarray, b: np.ndarray) -> tuple[int, ...] | str:
    """The shape of a @ b, or what NumPy raises instead.

    >>> product_shape(np.ones((2, 3)), np.ones((3, 4))), product_shape(np.ones((2, 3)), np.ones((2, 3)))
    ((2, 4), 'ValueError')
    """
    try:
        return (a @ b).shape
    except ValueError as error:
        return type(error).__name__


def slips(seed: int = 0) -> list[Slip]:
    """What text and notebook print, run beside what is true."""
    rng = np.random.default_rng(seed)
    Yp, Yt, X = rng.standard_normal((6, 3)), np.eye(3)[rng.integers(3, size=6)], rng.standard_normal((6, 2))
    diff, (value, gradient) = Yp - Yt, ce_loss(Yp, Yt)
    probability = np.exp(Yp) / np.exp(Yp).sum(axis=1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        unshifted = np.exp([0.0, 1000.0]) / np.exp([0.0, 1000.0]).sum()
    return [
        Slip("mse_loss's gradient for 3 outputs, over the true one", float((2 * diff / len(diff) / mse_loss(Yp, Yt)[1]).mean()), 1.0),
        Slip("the text's gradient of MSE, 2 avg(y - ŷ): its shape", np.shape(2 * diff.mean()), mse_loss(Yp, Yt)[1].shape),
        Slip("the text's gradient of w, dl/dy · xᵗ: its shape", product_shape(diff, X.T), product_shape(X.T, diff)),
        Slip("Yp - Yt with Yt of shape (N,): its shape", (Yp[:, :1] - Yt[:, 0]).shape, (6, 1)),
        Slip("the notebook's ce_loss by np.inner: shape before the mean", np.inner(Yt, np.log(probability)).shape, (6,)),
        Slip("its sign", float(np.sign(np.inner(Yt, np.log(probability)).mean())), float(np.sign(value))),
        Slip("its gradient Yt - probability / N: largest entry", float((Yt - probability / len(Yt)).max()), float(gradient.max())),
        Slip("its softmax of (0, 1000), without the maximum taken out", unshifted.tolist(), [0.0, 1.0]),
        Slip("a gradient made by zeros_like of whole numbers: its dtype", np.zeros_like(np.array([1, 2])).dtype.kind, "f"),
    ]

"""Jacobians: the chain rule is a product of matrices, and the order of multiplying is the cost.

A function of n numbers with m results has at each point an m × n matrix of slopes, its Jacobian; a
network has the product of its layers' Jacobians. Reverse mode multiplies the chain from the left, a
row at a time: vector times Jacobian, which is what the `backward` of the rung `closures` does.
Forward mode multiplies from the right, a column at a time (`jvp`). No Jacobian need be formed.

Source: Julian Eisenschlos (eisenjulian), "Neural Networks in 100 lines of pure Python", 2019, whose
text explains gradients so.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.closure_activations import Tanh
from gradus.ladder.closure_training import mse_loss
from gradus.ladder.closures import Layer, Linear, Parameter, Sequential

# --- The chain of Jacobians -----------------------------------------------------------------------


def jacobian(layer: Layer, x: np.ndarray) -> np.ndarray:
    """∂y_i/∂x_j at x (n,) -> (m, n): m copies of x as a batch, and each sends one basis row back.

    The layer's parameters keep the gradients that they had.

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
    """The Jacobian of a model, and those of its layers, first to last, each at its own input."""

    whole: np.ndarray
    parts: list[np.ndarray]

    @property
    def product(self) -> np.ndarray:
        """The layers' Jacobians multiplied, the last one leftmost: by the chain rule the whole."""
        product = self.parts[0]
        for part in self.parts[1:]:
            product = part @ product
        return product


def chain_rule(
    model: Sequential | None = None, x: np.ndarray | None = None, seed: int = 0
) -> Chain:
    """∂c/∂a = ∂c/∂b · ∂b/∂a for every layer of a model: 4 -> 5 -> 3 with tanh, if none is given.

    >>> chain = chain_rule()
    >>> [part.shape for part in chain.parts], bool(np.allclose(chain.product, chain.whole))
    ([(5, 4), (5, 5), (3, 5)], True)
    """
    rng = np.random.default_rng(seed)
    if model is None:
        model = Sequential(Linear(4, 5, rng), Tanh(), Linear(5, 3, rng))
    x = rng.standard_normal(4) if x is None else x
    whole, parts = jacobian(model, x), []
    for layer in model.layers:
        parts.append(jacobian(layer, x))
        x = layer.forward(x[None])[0][0]
    return Chain(whole, parts)


def linear_jacobian_of_a_batch(n: int = 3, seed: int = 0) -> np.ndarray:
    """The Jacobian of Linear(2, 2) on n examples at once, (2n, 2n).

    The n blocks on its diagonal are equal: the transposed weights. Everything else is 0.

    >>> (linear_jacobian_of_a_batch(2) != 0).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    """
    layer, width = Linear(2, 2, seed), 2 * n
    _, backward = layer.forward(np.zeros((n, 2)))
    return np.array([backward(row.reshape(n, 2)).reshape(width) for row in np.eye(width)])


# --- Forward and reverse mode ---------------------------------------------------------------------


def jvp(layer: Layer, X: Any, dX: Any, directions: dict[Parameter, Any]) -> tuple[Any, Any]:
    """Y and its derivative when X moves along dX and each parameter along its direction.

    This is forward mode: nothing is kept for later. An activation's Jacobian is diagonal, so it is
    its own transpose, and `backward` serves in this direction too.

    >>> jvp(Tanh(), np.zeros(2), np.array([1.0, 2.0]), {})
    (array([0., 0.]), array([1., 2.]))
    """
    if isinstance(layer, Sequential):
        for part in layer.layers:
            X, dX = jvp(part, X, dX, directions)
        return X, dX
    Y, backward = layer.forward(X)
    if isinstance(layer, Linear):
        weights = layer.weights.tensor
        d_weights = directions.get(layer.weights, np.zeros_like(weights))
        return Y, dX @ weights + X @ d_weights + directions.get(layer.bias, 0)
    return Y, backward(dX)


class Mode(NamedTuple):
    """All gradients of a model in one row, how many passes through it they took, and seconds."""

    gradient: np.ndarray
    passes: int
    seconds: float


def reverse_mode(model: Sequential, X: np.ndarray, Y: np.ndarray) -> Mode:
    """The gradient of the squared error by every weight: one pass back."""
    start = time.perf_counter()
    prediction, backward = model.forward(X)
    backward(mse_loss(prediction, Y)[1])
    gradient = np.concatenate([parameter.gradient.ravel() for parameter in model.parameters])
    return Mode(gradient, 1, time.perf_counter() - start)


def forward_mode(model: Sequential, X: np.ndarray, Y: np.ndarray) -> Mode:
    """The same gradient: one pass forward for each weight, which alone moves."""
    start, slopes = time.perf_counter(), []
    for parameter in model.parameters:
        for place in np.ndindex(parameter.tensor.shape):
            direction = np.zeros_like(parameter.tensor)
            direction[place] = 1
            prediction, moved = jvp(model, X, np.zeros_like(X), {parameter: direction})
            slopes.append((mse_loss(prediction, Y)[1] * moved).sum())
    return Mode(np.array(slopes), len(slopes), time.perf_counter() - start)


def reverse_and_forward(
    sizes: tuple[int, ...] = (8, 10, 1), n: int = 20, seed: int = 0
) -> tuple[Mode, Mode]:
    """Both modes on one network with tanh between its layers, and n random examples.

    >>> reverse, forward = reverse_and_forward()
    >>> reverse.passes, forward.passes, bool(np.allclose(reverse.gradient, forward.gradient))
    (1, 101, True)
    """
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for before, after in pairwise(sizes):
        layers += [Linear(before, after, rng), Tanh()]
    model = Sequential(*layers[:-1])
    X, Y = rng.standard_normal((n, sizes[0])), rng.standard_normal((n, sizes[-1]))
    return reverse_mode(model, X, Y), forward_mode(model, X, Y)


class Products(NamedTuple):
    """Multiplications that a chain of Jacobians takes."""

    reverse: int
    forward: int


def cost_of_chain(sizes: tuple[int, ...]) -> Products:
    """Jacobians n0 -> n1 -> … -> nk multiplied, from the left (reverse) or the right (forward).

    >>> cost_of_chain((784, 50, 10, 1))
    Products(reverse=39700, forward=399840)
    >>> cost_of_chain((1, 10, 50, 784))
    Products(reverse=399840, forward=39700)
    """
    pairs = list(pairwise(sizes))
    reverse = sum(sizes[-1] * before * after for before, after in pairs[:-1])
    forward = sum(sizes[0] * before * after for before, after in pairs[1:])
    return Products(reverse, forward)

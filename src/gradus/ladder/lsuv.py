"""LSUV, layer-sequential unit variance: weights scaled by what the data do, not by a formula.

The rung below, `initialisation`, draws weights from a law that is right for independent inputs of
size 1 and one kind of activation. This one runs a batch through the network and divides each
layer's weights by the spread that comes out, whatever inputs, activation and first draw were.

Source: Dmytro Mishkin and Jiri Matas, "All you need is a good init" (2016); also in Jeremy Howard's
course "Deep Learning from the Foundations" (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Row", "look", "lsuv", "lsuv_layer", "orthonormal", "relu"]

Layer = tuple[np.ndarray, np.ndarray]  # weights (out, in), bias (out,)
Activation = Callable[[np.ndarray], np.ndarray]


def relu(x: np.ndarray) -> np.ndarray:
    """``max(x, 0)``.

    >>> relu(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return np.maximum(x, 0)


class Row(NamedTuple):
    """What a layer gave out, before its activation: its number, mean, spread."""

    layer: int
    mean: float
    std: float


def look(layers: list[Layer], x: np.ndarray, activation: Activation = relu) -> list[Row]:
    """The rows of all layers for a batch x (B, in), 1 for the first.

    >>> look([(np.eye(2), np.ones(2))], np.array([[1.0, 3.0]]))
    [Row(layer=1, mean=3.0, std=1.0)]
    """
    rows = []
    for number, (w, b) in enumerate(layers, 1):
        y = x @ w.T + b
        rows.append(Row(number, float(y.mean()), float(y.std())))
        x = activation(y)
    return rows


def orthonormal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Rows (or columns, where there are fewer) of length 1 and at right angles, by QR.

    This is the first draw that the paper advises.

    >>> w = orthonormal(np.random.default_rng(0), (2, 5))
    >>> np.allclose(w @ w.T, np.eye(2))
    True
    """
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diag(r))  # or the decomposition would prefer some directions
    return q if shape[0] >= shape[1] else q.T


def lsuv_layer(
    w: np.ndarray,
    b: np.ndarray,
    x: np.ndarray,
    order: str = "std, mean",
    tolerance: float = 1e-3,
    rounds: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (out, in) and bias (out,) with which x (B, in) comes out with spread 1 and mean 0.

    The spread takes several rounds where the bias has a spread of its own, which dividing the
    weights does not touch. The order matters. A bias does not change the spread, but dividing the
    weights moves the mean: "mean, std", as the course has it, leaves a mean behind.

    >>> w, b = lsuv_layer(np.array([[4.0]]), np.array([7.0]), np.array([[1.0], [2.0], [3.0]]))
    >>> y = np.array([[1.0], [2.0], [3.0]]) @ w.T + b
    >>> (y.round(3) + 0).ravel().tolist()
    [-1.225, 0.0, 1.225]
    """
    for step in order.split(", "):
        if step == "mean":
            b = b - (x @ w.T + b).mean()
            continue
        for _ in range(rounds):
            std = (x @ w.T + b).std()
            if abs(std - 1.0) <= tolerance:
                break
            if not 0.0 < std < math.inf:
                why = "the inputs are all alike, or not finite"
                raise ValueError(f"no scale makes a spread of {std} one: {why}")
            w = w / std
        else:
            left = f"the spread is {std:.3f} after {rounds} rounds"
            raise ValueError(f"{left}: that of the bias alone is {b.std():.3f}")
    return w, b


def lsuv(layers: list[Layer], x: np.ndarray, activation: Activation = relu) -> list[Layer]:
    """`lsuv_layer` for each layer in turn, fed by those before; the old layers are left alone.

    >>> rng = np.random.default_rng(0)
    >>> layers = [(0.01 * rng.random((10, 10)), np.zeros(10)) for _ in range(5)]
    >>> x = rng.standard_normal((64, 10))
    >>> ["%.0e" % row.std for row in look(layers, x)]
    ['2e-02', '6e-04', '3e-05', '2e-06', '9e-08']
    >>> [round(row.std, 2) for row in look(lsuv(layers, x), x)]
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    found = []
    for w, b in layers:
        w, b = lsuv_layer(w, b, x)
        found.append((w, b))
        x = activation(x @ w.T + b)
    return found

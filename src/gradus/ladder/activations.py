"""Activations: what stands between two products, and why a network of products alone is one layer.

The rung below, `deep_products`, multiplies many matrices in a row. Without anything between, all of
them are one matrix. With a ReLU between, half of the mean square is gone at each layer; with a
sigmoid, at least three quarters of the slope. The next rung, `initialisation`, reckons with that.

Sources: Michael Heinzer, "Creating a Neural Network from scratch - Part I" (2020); Jeremy Howard
and Sylvain Gugger, "Deep Learning for Coders with fastai and PyTorch", chapter 17 (2020); the post
"Building the foundations of Deep Learning from scratch". Where one of them prints something that is
not so, `claims` has what was said beside what is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

__all__ = [
    "Claim",
    "Corner",
    "claims",
    "log_sigmoid",
    "one_linear_layer",
    "relu",
    "relu_corners",
    "relu_grad",
    "relu_moments",
    "share_within",
    "sigmoid",
    "sigmoid_curve",
    "sigmoid_slope",
]


# --- Why there has to be one ----------------------------------------------------------------------


def one_linear_layer(
    w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two linear layers without anything between: ``x (W₁ W₂) + (b₁ W₂ + b₂)``, which is one.

    W₁ (in, hidden), W₂ (hidden, out). The product's rank is at most the least of the three widths:
    a narrow middle takes something away, nothing linear brings it back.

    >>> a, b, c, d = (np.array(value) for value in ([[2.0]], [1.0], [[3.0]], [5.0]))
    >>> w, bias = one_linear_layer(a, b, c, d)
    >>> w.tolist(), bias.tolist()  # c (a x + b) + d = c a x + (c b + d)
    ([[6.0]], [8.0])
    """
    return w1 @ w2, b1 @ w2 + b2


# --- ReLU -----------------------------------------------------------------------------------------


def relu(x: np.ndarray) -> np.ndarray:
    """``max(x, 0)``, element by element; nan stays nan.

    >>> relu(np.array([-2.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 3.0]
    """
    return np.maximum(x, 0)


def relu_moments() -> tuple[float, float, float]:
    """Mean, mean square, spread of relu(z), z ~ N(0, 1): ``1/√(2π)``, ``½``, ``√(½ - 1/(2π))``.

    Symmetry alone gives the half: positive and negative z have the same squares, and ReLU keeps one
    of the two. The spread is not halved.

    >>> [round(value, 4) for value in relu_moments()]
    [0.3989, 0.5, 0.5838]
    """
    return 1.0 / math.sqrt(2.0 * math.pi), 0.5, math.sqrt(0.5 - 0.5 / math.pi)


def relu_grad(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The gradient by x: g where x > 0, else 0, also at 0, where there is no derivative.

    Selected, not multiplied: ``g * (x > 0)`` makes nan of an infinite g that should not pass.

    >>> relu_grad(np.array([-1.0, 0.0, 1.0]), np.array([np.inf, 5.0, 5.0])).tolist()
    [0.0, 0.0, 5.0]
    """
    return np.where(x > 0, g, 0.0)


class Corner(NamedTuple):
    """ReLU at a hard place: max(x, 0), x · (x > 0), and the slope by x > 0, x ≥ 0, relu(x) ≠ 0."""

    x: float
    maximum: float
    by_mask: float
    slope: float
    slope_with_equal: float
    slope_by_output: float


def relu_corners() -> list[Corner]:
    """The ways to write a ReLU, where they differ.

    At -inf the mask gives nan (-inf · 0); at 0 the slope by ``≥`` is 1.

    Everywhere else they agree, except at nan: the rule by the output lets a gradient through, as
    PyTorch does, the rules by the input do not.

    >>> below = relu_corners()[0]
    >>> below.x, below.maximum, below.by_mask
    (-inf, 0.0, nan)
    """
    x = np.array([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan])
    with np.errstate(invalid="ignore"):
        columns = (
            x,
            relu(x),
            x * (x > 0),
            relu_grad(x, np.ones(7)),
            np.where(x >= 0, 1.0, 0.0),
            np.where(relu(x) != 0, 1.0, 0.0),
        )
    return [Corner(*map(float, row)) for row in zip(*columns)]


# --- The older nonlinearity -----------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))`` without overflow: exp only ever sees -|x|, shape and dtype of x.

    The formula ``exp(x) / (1 + exp(x))`` is inf / inf = nan at 1000; ``1 / (1 + exp(-x))`` is right
    everywhere but overflows, with a warning, at -1000.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    """``log(sigmoid(x)) = -log(1 + exp(-x))``, also where the sigmoid has become 0.

    The log of that 0 would be -inf, and a loss that holds it infinite.

    >>> log_sigmoid(np.array([-1000.0, 0.0])).round(4).tolist()
    [-1000.0, -0.6931]
    """
    return -np.logaddexp(0, -x)


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """``σ'(x) = σ(x) (1 - σ(x)) = σ(x) σ(-x)``, greatest at 0, where it is ¼.

    So ten sigmoid layers pass on at most 4^-10 of a gradient.

    The last form, because 1 - σ(x) has no digits left where σ(x) rounds to 1.

    >>> sigmoid_slope(np.array([-40.0, 0.0, 40.0])).tolist()
    [4.248354255291589e-18, 0.25, 4.248354255291589e-18]
    """
    return sigmoid(x) * sigmoid(-x)


def sigmoid_curve(
    half_width: float = 6.0, points: int = 121
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a picture of the sigmoid and its slope needs: x, σ(x), σ'(x), each (points,).

    >>> [column[2].item() for column in sigmoid_curve(points=5)]
    [0.0, 0.5, 0.25]
    """
    x = np.linspace(-half_width, half_width, points)
    return x, sigmoid(x), sigmoid_slope(x)


# --- What is said, and what is so -----------------------------------------------------------------


def share_within(bound: float, sigma: float) -> float:
    """The share of N(0, σ²) between -bound and bound: ``erf(bound / (σ √2))``.

    >>> [round(share_within(*pair), 4) for pair in ((1.0, 1.0), (3.0, 3.0), (9.0, 3.0))]
    [0.6827, 0.6827, 0.9973]
    """
    return math.erf(bound / (sigma * math.sqrt(2.0)))


class Claim(NamedTuple):
    """A sentence of a source, the number that it gives, what is so, and the number that is so."""

    said: str
    claimed: float
    so: str
    true: float


def claims() -> list[Claim]:
    """Five sentences about numbers in networks that do not hold, each with both its numbers.

    >>> all(abs(claim.claimed - claim.true) > 0.01 for claim in claims())
    True
    """
    wx, b = -2.0, 1.0
    both = [float(relu(np.array(value))) for value in (wx, b, wx + b)]
    s1, s2 = 3.0, 4.0
    return [
        Claim(
            "max(0, Wx + b) = max(0, Wx) + max(0, b)",
            both[0] + both[1],
            "≤, and = only where Wx and b do not differ in sign",
            both[2],
        ),
        Claim(
            "67 % of N(0, σ²) lie between -σ² and σ²",
            share_within(s1**2, s1),
            "between -σ and σ, whatever σ is",
            share_within(s1, s1),
        ),
        Claim(
            "X₁ ~ N(μ₁, σ₁²), X₂ ~ N(μ₂, σ₂): variances add up",
            s1**2 + s2,
            "a normal law is named by σ², both times",
            s1**2 + s2**2,
        ),
        Claim("a 28 × 28 image is a 24 × 24 matrix, flattened to 784", 24 * 24, "28 × 28", 28 * 28),
        Claim(
            "ReLU halves the standard deviation",
            0.5,
            "the mean square; the spread by 0.58, later layers by 0.71",
            relu_moments()[2],
        ),
    ]

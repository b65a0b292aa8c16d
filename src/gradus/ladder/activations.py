"""What happens to numbers in a deep network: they explode, they vanish, and a nonlinearity is what makes depth worth the trouble.

The rungs below multiply matrices, one product at a time. This one multiplies fifty or a hundred and fifty in a row, as a deep network does
(ResNet-152 has that many layers), and looks at the mean and the spread after each. What to do about it is the next rung, `initialisation`.

Sources: Xavier Glorot and Yoshua Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010); Jeremy Howard
and Sylvain Gugger, "Deep Learning for Coders with fastai and PyTorch", chapter 17 (2020), and the course "Deep Learning from the
Foundations" (2019); Michael Heinzer, "Creating a Neural Network from scratch - Part I" (2020); the post "Building the foundations of Deep
Learning from scratch". Where one of them prints something that is not so, `claims` has what was said beside what is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Claim",
    "Corner",
    "Layer",
    "claims",
    "first_not_finite",
    "identity",
    "log_sigmoid",
    "mean_and_std",
    "mean_square_after_a_product",
    "one_linear_layer",
    "products_until_overflow",
    "relu",
    "relu_corners",
    "relu_factors",
    "relu_grad",
    "relu_moments",
    "share_within",
    "sigmoid",
    "sigmoid_curve",
    "sigmoid_slope",
    "through_layers",
]


# Measuring


def mean_and_std(x: np.ndarray, ddof: int = 0) -> tuple[float, float]:
    """The mean and ``sqrt(Σ (x - mean)² / (n - ddof))``, of numbers whose squares may not be representable.

    NumPy divides by n (ddof 0), PyTorch's ``std`` by n - 1 (ddof 1). ``x.std()`` squares first: from 1e155 on that is inf in float64,
    though the spread itself is not. So the numbers are divided by the greatest of them before, and multiplied after.

    >>> x = np.array([1e200, -1e200, 1e200, -1e200])
    >>> mean_and_std(x)
    (0.0, 1e+200)
    """
    x = np.asarray(x, dtype=np.float64)
    unit = float(np.abs(x).max(initial=0.0))
    if not (0.0 < unit < math.inf):
        unit = 1.0
    with np.errstate(all="ignore"):
        return float((x / unit).mean()) * unit, float((x / unit).std(ddof=ddof)) * unit


class Layer(NamedTuple):
    """What one layer gave out: its number (0 is the input), mean, spread, mean square, and the shares of zeros, of ±inf and of nan."""

    layer: int
    mean: float
    std: float
    mean_square: float
    zero: float
    inf: float
    nan: float


def look(layer: int, x: np.ndarray) -> Layer:
    """The row of one layer's output.

    >>> look(3, np.array([0.0, 2.0]))
    Layer(layer=3, mean=1.0, std=1.0, mean_square=2.0, zero=0.5, inf=0.0, nan=0.0)
    """
    mean, std = mean_and_std(x)
    shares = [float(mask.mean()) for mask in (x == 0, np.isinf(x), np.isnan(x))]
    return Layer(layer, mean, std, mean * mean + std * std, *shares)


# Products, one after the other


def identity(x: np.ndarray) -> np.ndarray:
    """No activation: layers that only multiply.

    >>> identity(3)
    3
    """
    return x


def relu(x: np.ndarray) -> np.ndarray:
    """``max(x, 0)``, element by element; nan stays nan.

    >>> relu(np.array([-2.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 3.0]
    """
    return np.maximum(x, 0)


def through_layers(
    rng: np.random.Generator,
    depth: int = 50,
    width: int = 100,
    scale: float = 1.0,
    activation: Callable[[np.ndarray], np.ndarray] = identity,
    batch: int = 200,
    dtype: Any = np.float32,
) -> list[Layer]:
    """Normal inputs (batch, width) go through ``x ← activation(x @ W)`` depth times, W (width, width) ~ N(0, scale²); a row for each layer.

    A product multiplies the mean square by ``width · scale²``. With 100 and scale 1 the spread grows tenfold a layer, and float32 ends at
    3.4e38: the thirty-eighth layer or the next has infinities of both signs, their sums are nan, and nan is what fifty layers give. float64
    goes to 1.8e308 and still holds them. With scale 0.01 the spread shrinks tenfold, and float32 has nothing between 1.4e-45 and 0. Only
    1/sqrt(width) stays.

    >>> rng = np.random.default_rng(0)
    >>> through_layers(rng)[-1].nan, through_layers(rng, scale=0.01)[-1].zero, 0.3 < through_layers(rng, scale=0.1)[-1].std < 1.5
    (1.0, 1.0, True)
    """
    x = rng.standard_normal((batch, width)).astype(dtype)
    rows = [look(0, x)]
    with np.errstate(all="ignore"):  # overflow is what we came to see
        for layer in range(1, depth + 1):
            w = (rng.standard_normal((width, width)) * scale).astype(dtype)
            x = activation(x @ w)
            rows.append(look(layer, x))
    return rows


def first_not_finite(rows: list[Layer]) -> int | None:
    """The first layer with an inf or a nan in it, None if there is none.

    >>> rng = np.random.default_rng(0)
    >>> first_not_finite(through_layers(rng)) in (38, 39), first_not_finite(through_layers(rng, depth=3)) is None
    (True, True)
    """
    return next((row.layer for row in rows if row.inf or row.nan), None)


def products_until_overflow(width: int, dtype: Any = np.float32) -> float:
    """After how many products a typical number passes the greatest of its type: ``√width^k = max``, so ``k = 2 log(max) / log(width)``.

    >>> [round(products_until_overflow(512, t), 1) for t in (np.float16, np.float32, np.float64)]
    [3.6, 28.4, 227.6]
    >>> round(products_until_overflow(100), 1)
    38.5
    """
    return 2.0 * math.log(float(np.finfo(dtype).max)) / math.log(width)


def mean_square_after_a_product(
    rng: np.random.Generator, width: int = 512, draws: int = 100, activation: Callable[[np.ndarray], np.ndarray] = identity
) -> float:
    """Why: the mean of y² over draws of ``y = activation(W x)``, all of W and x ~ N(0, 1). It is width, and half of it with a ReLU.

    An element of y is a sum of ``width`` independent products, each with mean 0 and mean square 1; mean squares of such terms add up.

    >>> rng = np.random.default_rng(0)
    >>> 470 < mean_square_after_a_product(rng, draws=20) < 555, 230 < mean_square_after_a_product(rng, draws=20, activation=relu) < 285
    (True, True)
    """
    squares = [activation(rng.standard_normal((width, width)) @ rng.standard_normal(width)) ** 2 for _ in range(draws)]
    return float(np.mean(squares))


# The nonlinearity, and why there has to be one


def one_linear_layer(w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two linear layers without anything between are one: ``(x W₁ + b₁) W₂ + b₂ = x (W₁ W₂) + (b₁ W₂ + b₂)``.

    W₁ (in, hidden), W₂ (hidden, out). The product's rank is at most the least of the three widths: a narrow middle takes something away,
    nothing linear brings it back.

    >>> w, b = one_linear_layer(np.array([[2.0]]), np.array([1.0]), np.array([[3.0]]), np.array([5.0]))
    >>> w.tolist(), b.tolist()  # c (a x + b) + d = c a x + (c b + d)
    ([[6.0]], [8.0])
    """
    return w1 @ w2, b1 @ w2 + b2


def relu_moments() -> tuple[float, float, float]:
    """Mean, mean square and spread of relu(z), z ~ N(0, 1): ``1/√(2π)``, exactly ``½``, ``√(½ - 1/(2π))``.

    Symmetry alone gives the half: positive and negative z have the same squares, and ReLU keeps one of the two. The spread is not halved.

    >>> [round(value, 4) for value in relu_moments()]
    [0.3989, 0.5, 0.5838]
    """
    return 1.0 / math.sqrt(2.0 * math.pi), 0.5, math.sqrt(0.5 - 0.5 / math.pi)


def relu_factors(rows: list[Layer]) -> np.ndarray:
    """By what each layer multiplied the spread and the mean square, shape (layers, 2), from the rows of `through_layers`.

    With weights of scale 1/sqrt(width) a ReLU layer halves the mean square, always. The spread goes down by 0.58 once, where the mean
    appears, and by √½ = 0.71 from then on: not by half, as is sometimes read.

    >>> factors = relu_factors(through_layers(np.random.default_rng(0), 3, 512, 512**-0.5, relu))
    >>> factors.round(1).tolist()
    [[0.6, 0.5], [0.7, 0.5], [0.7, 0.5]]
    """
    values = np.array([(row.std, row.mean_square) for row in rows])
    return values[1:] / values[:-1]


def relu_grad(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The gradient with respect to x: g where x > 0, else 0; at 0, where there is no derivative, 0 by agreement.

    Selected, not multiplied: ``g * (x > 0)`` makes nan of an infinite g that should not pass.

    >>> relu_grad(np.array([-1.0, 0.0, 1.0]), np.array([np.inf, 5.0, 5.0])).tolist()
    [0.0, 0.0, 5.0]
    """
    return np.where(x > 0, g, 0.0)


class Corner(NamedTuple):
    """ReLU at one hard place: max(x, 0), x · (x > 0), and the slope by three rules: x > 0, x ≥ 0, relu(x) ≠ 0."""

    x: float
    maximum: float
    by_mask: float
    slope: float
    slope_with_equal: float
    slope_by_output: float


def relu_corners() -> list[Corner]:
    """The ways to write a ReLU, where they differ: the mask gives nan at -inf (-inf · 0), ``≥`` a slope of 1 at 0.

    Everywhere else they agree, except at nan: the rule by the output lets a gradient through, as PyTorch does, the rules by the input do
    not.

    >>> below = relu_corners()[0]
    >>> below.x, below.maximum, below.by_mask
    (-inf, 0.0, nan)
    """
    x = np.array([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan])
    with np.errstate(invalid="ignore"):
        columns = (x, relu(x), x * (x > 0), relu_grad(x, np.ones(7)), np.where(x >= 0, 1.0, 0.0), np.where(relu(x) != 0, 1.0, 0.0))
    return [Corner(*map(float, row)) for row in zip(*columns)]


# The older nonlinearity


def sigmoid(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))`` without overflow: exp only ever sees -|x|, shape and dtype of x.

    The formula ``exp(x) / (1 + exp(x))`` is inf / inf = nan at 1000; ``1 / (1 + exp(-x))`` is right everywhere but overflows, with a
    warning, at -1000.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    """``log(sigmoid(x)) = -log(1 + exp(-x))``; the log of a sigmoid that has become 0 would be -inf, and a loss that holds it infinite.

    >>> log_sigmoid(np.array([-1000.0, 0.0])).round(4).tolist()
    [-1000.0, -0.6931]
    """
    return -np.logaddexp(0, -x)


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """``σ'(x) = σ(x) (1 - σ(x)) = σ(x) σ(-x)``, greatest at 0, where it is ¼: ten sigmoid layers pass on at most 4^-10 of a gradient.

    The last form, because 1 - σ(x) has no digits left where σ(x) rounds to 1.

    >>> sigmoid_slope(np.array([-40.0, 0.0, 40.0])).tolist()
    [4.248354255291589e-18, 0.25, 4.248354255291589e-18]
    """
    return sigmoid(x) * sigmoid(-x)


def sigmoid_curve(half_width: float = 6.0, points: int = 121) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a picture of the sigmoid and its slope needs: x, σ(x), σ'(x), each (points,).

    >>> [column[2].item() for column in sigmoid_curve(points=5)]
    [0.0, 0.5, 0.25]
    """
    x = np.linspace(-half_width, half_width, points)
    return x, sigmoid(x), sigmoid_slope(x)


# What is said, and what is so


def share_within(bound: float, sigma: float) -> float:
    """The share of N(0, σ²) between -bound and bound: ``erf(bound / (σ √2))``.

    >>> round(share_within(1.0, 1.0), 4), round(share_within(3.0, 3.0), 4), round(share_within(9.0, 3.0), 4)
    (0.6827, 0.6827, 0.9973)
    """
    return math.erf(bound / (sigma * math.sqrt(2.0)))


class Claim(NamedTuple):
    """A sentence of a source, the number that it gives, what is so, and the number that is so."""

    said: str
    claimed: float
    so: str
    true: float


def claims() -> list[Claim]:
    """Five sentences about numbers in networks that do not hold, each with an example where both sides can be computed.

    >>> all(abs(claim.claimed - claim.true) > 0.01 for claim in claims())
    True
    """
    wx, b = -2.0, 1.0
    both = [float(relu(np.array(value))) for value in (wx, b, wx + b)]
    s1, s2 = 3.0, 4.0
    return [
        Claim("max(0, Wx + b) = max(0, Wx) + max(0, b)", both[0] + both[1], "≤, and = only where Wx and b do not differ in sign", both[2]),
        Claim("67 % of N(0, σ²) lie between -σ² and σ²", share_within(s1**2, s1), "between -σ and σ, whatever σ is", share_within(s1, s1)),
        Claim("X₁ ~ N(μ₁, σ₁²), X₂ ~ N(μ₂, σ₂): variances add up", s1**2 + s2, "a normal law is named by σ², both times", s1**2 + s2**2),
        Claim("a 28 × 28 image is a 24 × 24 matrix, flattened to 784", 24 * 24, "28 × 28", 28 * 28),
        Claim("ReLU halves the standard deviation", 0.5, "the mean square; the spread by 0.58, later layers by 0.71", relu_moments()[2]),
    ]

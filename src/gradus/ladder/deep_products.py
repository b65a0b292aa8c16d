"""What fifty products in a row do to numbers: they explode, or they vanish.

The rungs below multiply matrices, one product at a time. This one multiplies fifty or a hundred and
fifty in a row, as a deep network does (ResNet-152 has that many layers), and looks at the mean and
the spread after each. What stands between the products is the next rung, `activations`; what to do
about it comes after that, `initialisation`.

Sources: Xavier Glorot and Yoshua Bengio, "Understanding the difficulty of training deep feedforward
neural networks" (2010); Jeremy Howard and Sylvain Gugger, "Deep Learning for Coders with fastai and
PyTorch", chapter 17 (2020), and the course "Deep Learning from the Foundations" (2019); the post
"Building the foundations of Deep Learning from scratch".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# --- Measuring ------------------------------------------------------------------------------------


def mean_and_std(x: np.ndarray, ddof: int = 0) -> tuple[float, float]:
    """The mean and ``sqrt(Σ (x - mean)² / (n - ddof))``, also of numbers too great to be squared.

    NumPy divides by n (ddof 0), PyTorch's ``std`` by n - 1 (ddof 1). ``x.std()`` squares first:
    from 1e155 on that is inf in float64, though the spread itself is not. So the numbers are
    divided by the greatest of them before, and multiplied after.

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
    """What one layer gave out: its number (0 is the input), mean, spread, mean square.

    The last three are the shares of zeros, of ±inf and of nan.
    """

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


# --- Products, one after the other ----------------------------------------------------------------


def identity(x: np.ndarray) -> np.ndarray:
    """No activation: layers that only multiply.

    >>> identity(3)
    3
    """
    return x


def relu(x: np.ndarray) -> np.ndarray:
    """``max(x, 0)``; what else there is to say of it stands in `activations`.

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
    """A row for each of depth layers ``x ← activation(x @ W)``, W (width, width) ~ N(0, scale²).

    Normal inputs (batch, width) go in, and their own row comes first.

    A product multiplies the mean square by ``width · scale²``. With 100 and scale 1 the spread
    grows tenfold a layer, and float32 ends at 3.4e38: the thirty-eighth layer or the next has
    infinities of both signs, their sums are nan, and nan is what fifty layers give. float64 goes to
    1.8e308 and still holds them. With scale 0.01 the spread shrinks tenfold, and float32 has
    nothing between 1.4e-45 and 0. Only 1/sqrt(width) stays.

    >>> rng = np.random.default_rng(0)
    >>> through_layers(rng)[-1].nan, through_layers(rng, scale=0.01)[-1].zero
    (1.0, 1.0)
    >>> 0.3 < through_layers(rng, scale=0.1)[-1].std < 1.5
    True
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
    >>> first_not_finite(through_layers(rng)) in (38, 39)
    True
    >>> first_not_finite(through_layers(rng, depth=3)) is None
    True
    """
    return next((row.layer for row in rows if row.inf or row.nan), None)


def relu_factors(rows: list[Layer]) -> np.ndarray:
    """By what each layer multiplied the spread and the mean square, shape (layers, 2).

    With weights of scale 1/sqrt(width) a ReLU layer halves the mean square, always. The spread is
    multiplied by 0.58 once, where the mean appears, and by √½ = 0.71 from then on: not by a half,
    as is sometimes read.

    >>> factors = relu_factors(through_layers(np.random.default_rng(0), 3, 512, 512**-0.5, relu))
    >>> factors.round(1).tolist()
    [[0.6, 0.5], [0.7, 0.5], [0.7, 0.5]]
    """
    values = np.array([(row.std, row.mean_square) for row in rows])
    return values[1:] / values[:-1]


# --- Why ------------------------------------------------------------------------------------------


def products_until_overflow(width: int, dtype: Any = np.float32) -> float:
    """After how many products a typical number passes the greatest of its type.

    That is k with ``√width^k = max``, so ``k = 2 log(max) / log(width)``.

    >>> [round(products_until_overflow(512, t), 1) for t in (np.float16, np.float32, np.float64)]
    [3.6, 28.4, 227.6]
    >>> round(products_until_overflow(100), 1)
    38.5
    """
    return 2.0 * math.log(float(np.finfo(dtype).max)) / math.log(width)


def mean_square_after_a_product(
    rng: np.random.Generator,
    width: int = 512,
    draws: int = 100,
    activation: Callable[[np.ndarray], np.ndarray] = identity,
) -> float:
    """The mean of y² over draws of ``y = activation(W x)``, all of W and x ~ N(0, 1).

    It is width, and half of it with a ReLU.

    An element of y is a sum of ``width`` independent products, each with mean 0 and mean square 1;
    mean squares of such terms add up.

    >>> rng = np.random.default_rng(0)
    >>> 470 < mean_square_after_a_product(rng, draws=20) < 555
    True
    >>> 230 < mean_square_after_a_product(rng, draws=20, activation=relu) < 285
    True
    """
    squares = []
    for _ in range(draws):
        W, x = rng.standard_normal((width, width)), rng.standard_normal(width)
        squares.append(activation(W @ x) ** 2)
    return float(np.mean(squares))

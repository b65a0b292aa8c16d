"""Definitions: dot product, neuron, layer, mean, variance, normal density, each a line of Python.

The rung below, `polynomial`, showed the language; here mathematics is written in it, over plain
numbers and lists. It is slow, and it is what the fast versions have to agree with.

Sources: "Creating a Neural Network from scratch" (Michael Heinzer, 2020), basic concepts; "A Neural
Net from the Foundations", chapter 17 of *Deep Learning for Coders with fastai and PyTorch* (Jeremy
Howard and Sylvain Gugger, 2020), the neuron. What is different here, and why:

- ``sum(x * w for x, w in zip(inputs, weights))`` stops at the shorter list and gives a wrong number
  without a word; `dot` refuses.
- The chapter's formula for a layer has w_kj; by its code, w is (neurons, inputs): it is w_jk.
- The chapter's relu asks ``x >= 0``, its gradient ``x > 0``. The value at 0 is the same either way,
  the slope there is taken as 0.
- Heinzer calls ax + b linear. With b it is affine: a linear function keeps sums, f(x + y) = f(x) +
  f(y).
- He finds 67 % of a normal density between -σ² and σ². It is 68.27 %, between μ-σ and μ+σ. And for
  the sum of two normal numbers the second is N(μ₂, σ₂²), not N(μ₂, σ₂).
- His variance divides by n, as NumPy's does. PyTorch's divides by n-1, which is right on average
  (`mean_estimates`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Vector = Sequence[float]
Rows = Sequence[Sequence[float]]

# --- vectors and matrices -------------------------------------------------------------------------


def dot(a: Vector, b: Vector) -> float:
    r""":math:`a \cdot b = \sum_i a_i b_i` for equally long a and b.

    Example:
        >>> dot([1, 2, 3], [4, 5, 6])
        32
    """
    return sum(x * y for x, y in zip(a, b, strict=True))


def row(a: Rows, i: int) -> list[float]:
    """Row i, counted from 0."""
    return list(a[i])


def column(a: Rows, j: int) -> list[float]:
    """Column j, counted from 0."""
    return [values[j] for values in a]


def transpose(a: Rows) -> list[list[float]]:
    r""":math:`a^T_{ij} = a_{ji}`.

    Example:
        >>> transpose([[1, 2, 3], [4, 5, 6]])
        [[1, 4], [2, 5], [3, 6]]
    """
    return [list(values) for values in zip(*a, strict=True)]


def affine(a: float, b: float) -> Callable[[float], float]:
    """The function ax + b; linear when b is 0.

    Example:
        >>> f, g = affine(3, 0), affine(3, 1)
        >>> f(2 + 5) == f(2) + f(5), g(2 + 5) == g(2) + g(5)
        (True, False)
    """
    return lambda x: a * x + b


# --- a neuron, and a layer of them ----------------------------------------------------------------


def neuron(inputs: Vector, weights: Vector, bias: float) -> float:
    r""":math:`\sum_i x_i w_i + b`.

    Example:
        >>> neuron([1.0, 2.0], [0.5, -1.0], 4.0)
        2.5
    """
    return dot(inputs, weights) + bias


def relu(x: float) -> float:
    """x if it is positive, else 0; NaN stays NaN.

    Only NaN is not itself: no comparison holds for it, so it would become 0 unseen.

    Example:
        >>> relu(2.5), relu(-2.5)
        (2.5, 0)
    """
    return x if x >= 0 or x != x else 0


def relu_slope(x: float) -> float:
    """1 where relu grows, 0 where it does not; at 0, where it has no derivative, 0.

    Example:
        >>> relu_slope(2.5), relu_slope(0.0), relu_slope(-2.5)
        (1.0, 0.0, 0.0)
    """
    return 1.0 if x > 0 else 0.0


def dense(x: Rows, w: Rows, b: Vector) -> list[list[float]]:
    r"""A neuron for each row of w on each row of x: :math:`y_{ij} = \sum_k x_{ik} w_{jk} + b_j`.

    Shapes (N, in), (out, in), (out,) to (N, out).

    Example:
        >>> dense([[1, 2], [3, 4]], [[1, 0], [0, 1], [1, 1]], [0, 10, 20])
        [[1, 12, 23], [3, 14, 27]]
    """
    layer = list(zip(w, b, strict=True))
    return [[neuron(inputs, weights, bias) for weights, bias in layer] for inputs in x]


def dense_by_matmul(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same as a matrix product: ``x @ w.T + b``."""
    return x @ w.T + b


# --- mean, variance, and the normal distribution --------------------------------------------------


def mean(x: Vector) -> float:
    r""":math:`\bar x = \frac{1}{n} \sum_i x_i`."""
    return sum(x) / len(x)


def variance(x: Vector, unbiased: bool = False) -> float:
    r""":math:`\sigma^2 = \frac{1}{n} \sum_i (x_i - \bar x)^2`, or over n-1.

    Example:
        >>> variance([1, 2, 3, 4]), variance([1, 2, 3, 4], unbiased=True)
        (1.25, 1.6666666666666667)
    """
    middle = mean(x)
    return sum((value - middle) ** 2 for value in x) / (len(x) - 1 if unbiased else len(x))


def std(x: Vector, unbiased: bool = False) -> float:
    """The root of the variance.

    Example:
        >>> std([2, 4])
        1.0
    """
    return math.sqrt(variance(x, unbiased))


class Estimates(NamedTuple):
    """The mean of both variances over many samples from N(0, 1), whose variance is 1."""

    biased: float
    unbiased: float


def mean_estimates(n: int = 5, samples: int = 20_000, seed: int = 0) -> Estimates:
    """What both variances of n numbers are on average: (n-1)/n and 1.

    Example:
        >>> [round(estimate, 1) for estimate in mean_estimates(5)]
        [0.8, 1.0]
    """
    draws = np.random.default_rng(seed).standard_normal((samples, n))
    return Estimates(float(draws.var(axis=1).mean()), float(draws.var(axis=1, ddof=1).mean()))


def normal_density(x: float, mean: float = 0.0, std: float = 1.0) -> float:
    r"""The normal density of mean μ and standard deviation σ.

    :math:`f(x) = \frac{1}{\sigma \sqrt{2 \pi}} \exp(-\frac12 (\frac{x - \mu}{\sigma})^2)`.

    Example:
        >>> round(normal_density(0.0), 4)
        0.3989
    """
    return math.exp(-(((x - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


def share_within(widths: float) -> float:
    """The share of a normal law within so many standard deviations: erf(widths / sqrt 2).

    Example:
        >>> [round(share_within(widths), 4) for widths in (1, 2, 3)]
        [0.6827, 0.9545, 0.9973]
    """
    return math.erf(widths / math.sqrt(2))


def sum_of_normals(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Mean and standard deviation of the sum of two independent normal numbers, (mean, std) each.

    Variances add, deviations do not.

    Example:
        >>> sum_of_normals((1.0, 3.0), (2.0, 4.0))
        (3.0, 5.0)
    """
    return first[0] + second[0], math.hypot(first[1], second[1])


def excess_kurtosis(x: Any) -> float:
    """The mean fourth power of the standardised numbers, less 3.

    It is 0 for a normal shape, -1.2 for a flat one, -0.6 for a triangle.

    Example:
        >>> round(excess_kurtosis(np.linspace(0, 1, 1001)), 3)
        -1.2
    """
    z = (np.asarray(x) - np.mean(x)) / np.std(x)
    return float(np.mean(z**4) - 3)


class Shapes(NamedTuple):
    """The excess kurtosis of one number, and of the sum of two of its kind."""

    one: float
    sum_of_two: float


def which_shapes_are_kept(n: int = 100_000, seed: int = 0) -> dict[str, Shapes]:
    """A sum of normal numbers is normal again; that is rare: of uniform numbers it is a triangle.

    Example:
        >>> found = which_shapes_are_kept()
        >>> {name: tuple(round(k, 1) + 0.0 for k in shapes) for name, shapes in found.items()}
        {'normal': (0.0, 0.0), 'uniform': (-1.2, -0.6)}
    """
    rng = np.random.default_rng(seed)
    draws = {"normal": rng.standard_normal((2, n)), "uniform": rng.random((2, n))}
    return {
        name: Shapes(excess_kurtosis(x[0]), excess_kurtosis(x.sum(axis=0)))
        for name, x in draws.items()
    }

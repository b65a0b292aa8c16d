"""The derivative is a limit: quotients of differences, how exact they are, a gradient from them.

The rungs below could compute a function's value. This one asks how the value changes when its input
does: first by the definition of the derivative, then by a helper that differentiates anything
numerically. What the slope is good for is the next rung, `descent`.

The function of two vectors is that of Michael Heinzer, "Creating a Neural Network from scratch -
Part I" (2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def difference_quotient(f: Callable[[float], float], x: float, h: float) -> float:
    """The slope of the chord from x to x + h, ``(f(x + h) - f(x)) / h``: its limit is f'(x).

    >>> difference_quotient(lambda x: x * x, 3.0, 0.5)  # 2x + h
    6.5
    """
    return (f(x + h) - f(x)) / h


def central_difference(f: Callable[[float], float], x: float, h: float) -> float:
    """The chord from x - h to x + h: ``(f(x + h) - f(x - h)) / 2h``, wrong by h² f'''(x) / 6 only.

    >>> central_difference(lambda x: x * x, 3.0, 0.5)  # a parabola has no third derivative
    6.0
    """
    return (f(x + h) - f(x - h)) / (2.0 * h)


class Quotient(NamedTuple):
    """One row of the table that `quotients` makes: the step, both quotients, and their errors."""

    h: float
    forward: float
    central: float
    forward_error: float
    central_error: float


def quotients(
    f: Callable[[float], float] = math.exp,
    derivative: Callable[[float], float] = math.exp,
    x: float = 1.0,
    digits: int = 15,
) -> list[Quotient]:
    """Both quotients for h = 0.1, 0.01, …, 10^-digits: the error shrinks with h, and grows again.

    The limit exists on paper only. A computer rounds f(x) to 16 digits, and the quotient divides
    that rounding by h; so the best step is near √ε ≈ 1e-8 for the forward quotient and near ∛ε ≈
    6e-6 for the central one.

    >>> best = min(quotients(), key=lambda row: row.central_error)
    >>> best.h in (1e-5, 1e-6), best.central_error < 1e-9
    (True, True)
    """
    rows, true = [], derivative(x)
    for h in (10.0**-k for k in range(1, digits + 1)):
        forward, central = difference_quotient(f, x, h), central_difference(f, x, h)
        rows.append(Quotient(h, forward, central, abs(forward - true), abs(central - true)))
    return rows


def numerical_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 6e-6
) -> np.ndarray:
    """All partial derivatives of a scalar function of an array, by central differences.

    The gradient has x's shape.

    ``g_i = (f(x + h_i e_i) - f(x - h_i e_i)) / 2 h_i`` in float64, two calls of f an element; h_i
    is h, or h |x_i| where x_i is large. Far too slow to train with, and the judge of every gradient
    on the rungs to come.

    >>> numerical_gradient(lambda x: float((x**3).sum()), np.array([1.0, 2.0])).round(6).tolist()
    [3.0, 12.0]
    """
    x = np.array(x, dtype=np.float64)  # a copy: elements are moved below
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        middle = float(x[index])
        step = h * max(1.0, abs(middle))
        x[index] = middle + step
        above, right = f(x), x[index]
        x[index] = middle - step
        below, left = f(x), x[index]
        x[index] = middle
        gradient[index] = (above - below) / (right - left)  # the step after rounding
    return gradient


def toy(x: np.ndarray, y: np.ndarray) -> float:
    """A scalar function of two vectors of two elements: ``2 x₁ + 3 x₂² y₁ + y₂``.

    >>> float(toy(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    42.0
    """
    return 2.0 * x[0] + 3.0 * x[1] ** 2 * y[0] + y[1]


def toy_gradient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Its gradient with respect to x alone, ``(2, 6 x₂ y₁)``.

    It depends on y as well: a layer has to keep what it was called with.

    >>> toy_gradient(np.array([1.0, 2.0]), np.array([3.0, 4.0])).tolist()
    [2.0, 36.0]
    """
    return np.array([2.0, 6.0 * x[1] * y[0]])

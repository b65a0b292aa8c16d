"""Gradient descent: a derivative says where downhill is, and small steps downhill find a minimum.

The rungs below could compute a function's value. This one asks in which direction the value shrinks: first by the definition of the
derivative, then by a helper that differentiates anything numerically, then by walking. All networks of the later rungs are trained by the
loop in `descend`.

The parabola with its ten points and the function of two vectors are those of Michael Heinzer, "Creating a Neural Network from scratch -
Part I" (2020); the method is Augustin-Louis Cauchy's (1847).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

__all__ = [
    "Journey",
    "Quotient",
    "bowl",
    "bowl_gradient",
    "central_difference",
    "descend",
    "descent_on_parabola",
    "difference_quotient",
    "journeys",
    "landscape",
    "landscape_gradient",
    "largest_learning_rate",
    "numerical_gradient",
    "parabola",
    "parabola_gradient",
    "quotients",
    "surface",
    "toy",
    "toy_gradient",
    "two_valleys",
    "two_valleys_gradient",
]


# The derivative is a limit


def difference_quotient(f: Callable[[float], float], x: float, h: float) -> float:
    """The slope of the chord from x to x + h: ``(f(x + h) - f(x)) / h``; its limit for h → 0 is the derivative.

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
    """One row of the table that `quotients` makes: the step, both quotients, and by how much they are wrong."""

    h: float
    forward: float
    central: float
    forward_error: float
    central_error: float


def quotients(
    f: Callable[[float], float] = math.exp, derivative: Callable[[float], float] = math.exp, x: float = 1.0, digits: int = 15
) -> list[Quotient]:
    """Both quotients for h = 0.1, 0.01, …, 10^-digits: the error shrinks with h, and grows again.

    The limit exists on paper only. A computer rounds f(x) to 16 digits, and the quotient divides that rounding by h; so the best step is
    near √ε ≈ 1e-8 for the forward quotient and near ∛ε ≈ 6e-6 for the central one.

    >>> best = min(quotients(), key=lambda row: row.central_error)
    >>> best.h in (1e-5, 1e-6), best.central_error < 1e-9
    (True, True)
    """
    rows = []
    for h in (10.0**-k for k in range(1, digits + 1)):
        forward, central = difference_quotient(f, x, h), central_difference(f, x, h)
        rows.append(Quotient(h, forward, central, abs(forward - derivative(x)), abs(central - derivative(x))))
    return rows


def numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 6e-6) -> np.ndarray:
    """All partial derivatives of a scalar function of an array, of x's shape, by central differences: two calls of f an element.

    ``g_i = (f(x + h_i e_i) - f(x - h_i e_i)) / 2 h_i`` in float64; h_i is h, or h |x_i| where x_i is large. Far too slow to train with, and
    the judge of every gradient on the rungs to come.

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
        gradient[index] = (above - below) / (right - left)  # the step that was taken, after rounding
    return gradient


def toy(x: np.ndarray, y: np.ndarray) -> float:
    """A scalar function of two vectors of two elements: ``2 x₁ + 3 x₂² y₁ + y₂``.

    >>> float(toy(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    42.0
    """
    return 2.0 * x[0] + 3.0 * x[1] ** 2 * y[0] + y[1]


def toy_gradient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Its gradient with respect to x alone, ``(2, 6 x₂ y₁)``. It depends on y as well: a layer has to keep what it was called with.

    >>> toy_gradient(np.array([1.0, 2.0]), np.array([3.0, 4.0])).tolist()
    [2.0, 36.0]
    """
    return np.array([2.0, 6.0 * x[1] * y[0]])


# Walking downhill


def descend(gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray | float, lr: float, steps: int) -> np.ndarray:
    """The points of gradient descent, the start among them: ``x_{k+1} = x_k - lr · gradient(x_k)``; shape (steps + 1, *shape of x).

    >>> descend(lambda x: 2.0 * x, 1.0, lr=0.25, steps=3).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """
    points = [np.asarray(start, dtype=np.float64)]
    for _ in range(steps):
        points.append(points[-1] - lr * gradient(points[-1]))
    return np.stack(points)


def parabola(x: np.ndarray) -> np.ndarray:
    """``(x - 2)² + 1``, smallest (1) at x = 2.

    >>> float(parabola(np.array(5.0)))
    10.0
    """
    return (x - 2.0) ** 2 + 1.0


def parabola_gradient(x: np.ndarray) -> np.ndarray:
    """``2 (x - 2)``.

    >>> float(parabola_gradient(np.array(5.0)))
    6.0
    """
    return 2.0 * (x - 2.0)


def descent_on_parabola(start: float = 5.0, lr: float = 0.1, points: int = 10) -> np.ndarray:
    """The points of a picture of descent on the parabola, rows (x, f(x)), shape (points, 2); the start is the first.

    Each step multiplies the distance to the minimum by the same ``1 - 2 lr``, so the k-th point is ``2 + (start - 2) (1 - 2 lr)^k``. With
    lr 0.5 the first step arrives; above 0.5 the points jump from side to side; at 1 they stay as far away as they were; above 1 they run
    away. (Heinzer asks for a learning rate below one: that is this parabola's own border, not a general one; see `largest_learning_rate`.)

    >>> descent_on_parabola()[:3].round(4).tolist()
    [[5.0, 10.0], [4.4, 6.76], [3.92, 4.6864]]
    >>> descent_on_parabola(lr=0.5, points=3)[:, 0].tolist(), descent_on_parabola(lr=1.0, points=3)[:, 0].tolist()
    ([5.0, 2.0, 2.0], [5.0, -1.0, 5.0])
    """
    xs = descend(parabola_gradient, start, lr, points - 1)
    return np.stack([xs, parabola(xs)], axis=1)


# More than one dimension: one learning rate for slopes of different steepness

STEEPNESS = (1.0, 10.0)


def bowl(p: np.ndarray, steepness: Iterable[float] = STEEPNESS) -> np.ndarray:
    """``½ (a x² + b y²)``, a long valley where a and b differ; p has x and y on its last axis.

    >>> float(bowl(np.array([2.0, 1.0])))
    7.0
    """
    return 0.5 * (np.asarray(tuple(steepness)) * p * p).sum(-1)


def bowl_gradient(p: np.ndarray, steepness: Iterable[float] = STEEPNESS) -> np.ndarray:
    """``(a x, b y)``: across the valley it is steep, along it flat, and it does not point to the minimum.

    >>> bowl_gradient(np.array([2.0, 1.0])).tolist()
    [2.0, 10.0]
    """
    return np.asarray(tuple(steepness)) * p


def largest_learning_rate(hessian: np.ndarray) -> float:
    """The border for descent on ``½ pᵀ H p``, H (n, n) positive definite: it arrives if and only if ``0 < lr < 2 / λ``.

    λ is the greatest eigenvalue of H: the steepest direction decides, and the flat ones have to live with it.

    >>> float(largest_learning_rate(np.diag(STEEPNESS)))
    0.2
    """
    return 2.0 / np.linalg.eigvalsh(hessian).max()


def surface(f: Callable[[np.ndarray], np.ndarray], half_width: float = 3.0, points: int = 61) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a contour picture needs: x (n,), y (n,), and f at every pair, (n, n), rows along y.

    >>> x, y, z = surface(bowl, half_width=1.0, points=3)
    >>> x.tolist(), z.tolist()
    ([-1.0, 0.0, 1.0], [[5.5, 5.0, 5.5], [0.5, 0.0, 0.5], [5.5, 5.0, 5.5]])
    """
    axis = np.linspace(-half_width, half_width, points)
    return axis, axis, f(np.stack(np.meshgrid(axis, axis), axis=-1))


# Downhill is not always all the way down


def two_valleys(x: np.ndarray) -> np.ndarray:
    """``(x² - 1)² + x/4``: the left valley, near -1, is the deeper one; the right, near +1, holds whoever starts there.

    >>> float(two_valleys(np.array(-1.0))), float(two_valleys(np.array(1.0)))
    (-0.25, 0.25)
    """
    return (x * x - 1.0) ** 2 + 0.25 * x


def two_valleys_gradient(x: np.ndarray) -> np.ndarray:
    """``4 x (x² - 1) + ¼``.

    >>> float(two_valleys_gradient(np.array(1.0)))
    0.25
    """
    return 4.0 * x * (x * x - 1.0) + 0.25


class Journey(NamedTuple):
    """A way over the landscape, (steps + 1, 2), the height where it ends, and whether that is the deeper valley."""

    way: np.ndarray
    height: float
    deeper: bool


def landscape(p: np.ndarray) -> np.ndarray:
    """``(x² - 1)² + x/4 + 3/2 (y - x/2)²``: the two valleys on a slanting floor; p has x and y on its last axis.

    >>> landscape(np.array([[-1.0, -0.5], [1.0, 0.5], [1.0, 1.5]])).tolist()
    [-0.25, 0.25, 1.75]
    """
    x, y = p[..., 0], p[..., 1]
    return two_valleys(x) + 1.5 * (y - 0.5 * x) ** 2


def landscape_gradient(p: np.ndarray) -> np.ndarray:
    """``(4 x (x² - 1) + ¼ - 3/2 (y - x/2), 3 (y - x/2))``.

    >>> landscape_gradient(np.array([1.0, 1.5])).tolist()
    [-1.25, 3.0]
    """
    x, y = p[..., 0], p[..., 1]
    across = 3.0 * (y - 0.5 * x)
    return np.stack([two_valleys_gradient(x) - 0.5 * across, across], axis=-1)


def journeys(seed: int = 0, starts: int = 10, lr: float = 0.05, steps: int = 200) -> list[Journey]:
    """Descent on the landscape from starting points drawn from the square -2 … 2: each ends in the valley of its own slope.

    >>> [round(height, 3) for height in sorted({round(journey.height, 6) for journey in journeys()})]
    [-0.254, 0.246]
    """
    points = np.random.default_rng(seed).uniform(-2.0, 2.0, (starts, 2))
    ways = [descend(landscape_gradient, point, lr, steps) for point in points]
    return [Journey(way, float(landscape(way[-1])), bool(way[-1, 0] < 0)) for way in ways]

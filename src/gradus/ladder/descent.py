"""Gradient descent: a derivative says where downhill is, and small steps downhill find a minimum.

The rung below, `difference_quotients`, computed slopes. This one walks along them. All networks of
the later rungs are trained by the loop in `descend`.

The parabola with its ten points is Michael Heinzer's, "Creating a Neural Network from scratch -
Part I" (2020); the method is Augustin-Louis Cauchy's (1847).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

__all__ = [
    "Journey",
    "bowl",
    "bowl_gradient",
    "descend",
    "descent_on_parabola",
    "journeys",
    "landscape",
    "landscape_gradient",
    "largest_learning_rate",
    "parabola",
    "parabola_gradient",
    "surface",
    "two_valleys",
    "two_valleys_gradient",
]

Gradient = Callable[[np.ndarray], np.ndarray]


# --- Walking downhill -----------------------------------------------------------------------------


def descend(gradient: Gradient, start: np.ndarray | float, lr: float, steps: int) -> np.ndarray:
    """The points of gradient descent, ``x_{k+1} = x_k - lr · gradient(x_k)``, the start first.

    The shape is (steps + 1, *shape of x).

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
    """The points of a picture of descent on the parabola, rows (x, f(x)): shape (points, 2).

    Each step multiplies the distance to the minimum by the same ``1 - 2 lr``, so the k-th point is
    ``2 + (start - 2) (1 - 2 lr)^k``. With lr 0.5 the first step arrives; above 0.5 the points jump
    from side to side; at 1 they stay as far away as they were; above 1 they run away. (Heinzer asks
    for a learning rate below one: that is this parabola's own border, not a general one; see
    `largest_learning_rate`.)

    >>> descent_on_parabola()[:3].round(4).tolist()
    [[5.0, 10.0], [4.4, 6.76], [3.92, 4.6864]]
    >>> descent_on_parabola(lr=0.5, points=3)[:, 0].tolist()
    [5.0, 2.0, 2.0]
    >>> descent_on_parabola(lr=1.0, points=3)[:, 0].tolist()
    [5.0, -1.0, 5.0]
    """
    xs = descend(parabola_gradient, start, lr, points - 1)
    return np.stack([xs, parabola(xs)], axis=1)


# --- More than one dimension: one learning rate for slopes of different steepness -----------------

STEEPNESS = (1.0, 10.0)


def bowl(p: np.ndarray, steepness: Iterable[float] = STEEPNESS) -> np.ndarray:
    """``½ (a x² + b y²)``, a long valley where a and b differ; p has x and y on its last axis.

    >>> float(bowl(np.array([2.0, 1.0])))
    7.0
    """
    return 0.5 * (np.asarray(tuple(steepness)) * p * p).sum(-1)


def bowl_gradient(p: np.ndarray, steepness: Iterable[float] = STEEPNESS) -> np.ndarray:
    """``(a x, b y)``: steep across the valley, flat along it, and not towards the minimum.

    >>> bowl_gradient(np.array([2.0, 1.0])).tolist()
    [2.0, 10.0]
    """
    return np.asarray(tuple(steepness)) * p


def largest_learning_rate(hessian: np.ndarray) -> float:
    """The border for descent on ``½ pᵀ H p``: it arrives if and only if ``0 < lr < 2 / λ``.

    λ is the greatest eigenvalue of H (n, n), positive definite: the steepest direction decides, and
    the flat ones have to live with it.

    >>> float(largest_learning_rate(np.diag(STEEPNESS)))
    0.2
    """
    return 2.0 / np.linalg.eigvalsh(hessian).max()


def surface(
    f: Callable[[np.ndarray], np.ndarray], half_width: float = 3.0, points: int = 61
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a contour picture needs: x (n,), y (n,), and f at every pair, (n, n), rows along y.

    >>> x, y, z = surface(bowl, half_width=1.0, points=3)
    >>> x.tolist(), z.tolist()
    ([-1.0, 0.0, 1.0], [[5.5, 5.0, 5.5], [0.5, 0.0, 0.5], [5.5, 5.0, 5.5]])
    """
    axis = np.linspace(-half_width, half_width, points)
    return axis, axis, f(np.stack(np.meshgrid(axis, axis), axis=-1))


# --- Downhill is not always all the way down ------------------------------------------------------


def two_valleys(x: np.ndarray) -> np.ndarray:
    """``(x² - 1)² + x/4``, with valleys near -1 and near 1; the left one is deeper.

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
    """A way over the landscape, (steps + 1, 2), its end's height, and if that valley is deeper."""

    way: np.ndarray
    height: float
    deeper: bool


def landscape(p: np.ndarray) -> np.ndarray:
    """``(x² - 1)² + x/4 + 3/2 (y - x/2)²``: the two valleys on a slanting floor; p is (…, 2).

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
    """Descent on the landscape from points drawn from the square -2 … 2.

    Each ends in the valley of its own slope.

    >>> heights = {round(journey.height, 3) for journey in journeys()}
    >>> sorted(heights)
    [-0.254, 0.246]
    """
    points = np.random.default_rng(seed).uniform(-2.0, 2.0, (starts, 2))
    ways = [descend(landscape_gradient, point, lr, steps) for point in points]
    return [Journey(way, float(landscape(way[-1])), bool(way[-1, 0] < 0)) for way in ways]

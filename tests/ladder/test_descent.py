"""Gradient descent, judged by closed forms, by other numeric differences and by PyTorch's autograd."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gradus.ladder import descent
from gradus.ladder import difference_quotients as quotients


def test_the_derivative_is_the_limit_of_chords() -> None:
    """For a cubic the chord's error is known exactly: 3x h + h², and h² for the central one."""
    for h in (0.5, 0.25, 2.0**-10):
        assert quotients.difference_quotient(lambda x: x**3, 2.0, h) == 12.0 + 6.0 * h + h * h
        assert quotients.central_difference(lambda x: x**3, 2.0, h) == 12.0 + h * h


@pytest.mark.parametrize(
    "f, slope, x", [(math.exp, math.exp, 1.0), (math.sin, math.cos, 0.7), (math.sqrt, lambda x: 0.5 / math.sqrt(x), 3.0)]
)
def test_a_smaller_step_is_better_until_rounding_wins(f, slope, x) -> None:
    rows = {round(-math.log10(row.h)): row for row in quotients.quotients(f, slope, x)}
    assert 8.0 < rows[2].forward_error / rows[3].forward_error < 12.0  # first order: a tenth of the step, a tenth of the error
    assert 80.0 < rows[1].central_error / rows[2].central_error < 120.0  # second order: a hundredth
    best_forward = min(rows, key=lambda digits: rows[digits].forward_error)
    best_central = min(rows, key=lambda digits: rows[digits].central_error)
    assert 7 <= best_forward <= 9 and 4 <= best_central <= 7
    assert rows[15].forward_error > 100.0 * rows[best_forward].forward_error
    assert rows[best_central].central_error < rows[best_forward].forward_error


def test_numerical_gradient_of_a_matrix_function_and_that_x_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    a, x = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    kept = x.copy()
    found = quotients.numerical_gradient(lambda x: float(((a @ x) ** 2).sum()), x)
    np.testing.assert_allclose(found, 2.0 * a.T @ a @ x, rtol=1e-8, atol=1e-8)
    assert np.array_equal(x, kept) and found.shape == x.shape
    assert quotients.numerical_gradient(lambda x: float(x.sum()), np.ones((2, 2), dtype=np.int64)).dtype == np.float64
    assert quotients.numerical_gradient(lambda x: float(x**2), np.array(3.0)).shape == ()


def test_numerical_gradient_far_from_zero() -> None:
    """A step of 6e-6 beside 1e9 would be lost to rounding; the step grows with x."""
    found = quotients.numerical_gradient(lambda x: float(np.log(x).sum()), np.array([1e9, 1e-2]))
    np.testing.assert_allclose(found, [1e-9, 1e2], rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_of_the_toy(seed: int) -> None:
    torch = pytest.importorskip("torch")
    x, y = np.random.default_rng(seed).standard_normal((2, 2))
    leaf = torch.tensor(x, requires_grad=True)
    (2 * leaf[0] + 3 * leaf[1].square() * torch.tensor(y)[0] + torch.tensor(y)[1]).backward()
    np.testing.assert_allclose(quotients.toy_gradient(x, y), leaf.grad.numpy(), rtol=1e-14)
    np.testing.assert_allclose(quotients.toy_gradient(x, y), [2.0, 6.0 * x[1] * y[0]], rtol=1e-14)
    np.testing.assert_allclose(
        quotients.numerical_gradient(lambda x: quotients.toy(x, y), x),
        quotients.toy_gradient(x, y),
        rtol=1e-7,
    )


def test_the_ten_points_on_the_parabola() -> None:
    """From 5 with learning rate 0.1: exactly 2 + 3 · 0.8^k, by fractions."""
    exact = [Fraction(5)]
    for _ in range(9):
        exact.append(exact[-1] - Fraction(1, 10) * 2 * (exact[-1] - 2))
    assert exact == [2 + 3 * Fraction(4, 5) ** k for k in range(10)]
    found = descent.descent_on_parabola()
    assert found.shape == (10, 2)
    np.testing.assert_allclose(found[:, 0], [float(x) for x in exact], rtol=1e-14)
    np.testing.assert_allclose(found[:, 1], [float((x - 2) ** 2 + 1) for x in exact], rtol=1e-14)
    assert (np.diff(found, axis=0) < 0).all()  # from right to left, and down
    assert found[-1, 0] == pytest.approx(2.402653184, abs=1e-12)


@pytest.mark.parametrize("lr, ends", [(0.01, "near"), (0.1, "near"), (0.5, "near"), (0.9, "near"), (1.0, "as far"), (1.1, "away")])
def test_the_learning_rate_decides(lr: float, ends: str) -> None:
    xs = descent.descent_on_parabola(lr=lr, points=1001)[:, 0]
    distance = abs(xs - 2.0)
    assert {"near": distance[-1] < 1e-8, "as far": (distance == 3.0).all(), "away": distance[-1] > 1e30}[ends]
    assert ((xs[1:4] - 2.0 < 0).any()) == (lr > 0.5)  # it steps over the minimum only beyond a half


def test_pytorch_walks_the_same_way() -> None:
    torch = pytest.importorskip("torch")
    p = torch.tensor([2.5, -1.5], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.15)
    walked = [p.detach().numpy().copy()]
    for _ in range(20):
        optimizer.zero_grad()
        (0.5 * (p[0] ** 2 + 10.0 * p[1] ** 2)).backward()
        optimizer.step()
        walked.append(p.detach().numpy().copy())
    np.testing.assert_allclose(descent.descend(descent.bowl_gradient, np.array([2.5, -1.5]), 0.15, 20), walked, rtol=1e-12)


def test_descent_on_a_surface() -> None:
    path = descent.descend(descent.bowl_gradient, np.array([2.5, 1.0]), lr=0.15, steps=200)
    heights = descent.bowl(path)
    assert path.shape == (201, 2) and heights.shape == (201,)
    assert (np.diff(heights) <= 0).all() and heights[-1] < 1e-12
    assert np.sign(path[:6, 1]).tolist() == [1, -1, 1, -1, 1, -1]  # from wall to wall of the valley
    assert (path[:, 0] > 0).all()  # and slowly along it
    np.testing.assert_allclose(quotients.numerical_gradient(descent.bowl, path[0]), descent.bowl_gradient(path[0]), rtol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_learning_rate_is_a_border(seed: int) -> None:
    m = np.random.default_rng(seed).standard_normal((4, 4))
    hessian = m @ m.T + np.eye(4)
    border = descent.largest_learning_rate(hessian)
    start = np.linalg.eigh(hessian)[1].sum(1)  # all directions at once
    ends = {factor: np.abs(descent.descend(lambda p: hessian @ p, start, factor * border, 3000)[-1]).max() for factor in (0.98, 1.02)}
    assert ends[0.98] < 1e-6 and ends[1.02] > 1e6


def test_the_grid_of_a_surface() -> None:
    x, y, z = descent.surface(lambda p: p[..., 0] + 100.0 * p[..., 1], half_width=2.0, points=5)
    assert z.shape == (5, 5) and x[0] == y[0] == -2.0 and x[-1] == 2.0
    assert z[1, 3] == x[3] + 100.0 * y[1]


def test_descent_stays_in_the_valley_where_it_starts() -> None:
    roots = np.sort(np.roots([4.0, 0.0, -4.0, 0.25]).real)
    ends = [descent.descend(descent.two_valleys_gradient, start, 0.05, 500)[-1] for start in (-2.0, 1.5)]
    np.testing.assert_allclose(ends, roots[[0, 2]], atol=1e-10)
    assert descent.two_valleys(ends[0]) < descent.two_valleys(ends[1]) - 0.4  # the right one is not the lowest
    for x in np.linspace(-2.0, 2.0, 9):
        assert quotients.numerical_gradient(descent.two_valleys, x) == pytest.approx(descent.two_valleys_gradient(x), abs=1e-7)


def test_the_landscape_has_the_gradient_and_the_minima_of_its_formula() -> None:
    torch = pytest.importorskip("torch")
    points = np.random.default_rng(0).uniform(-2.0, 2.0, (50, 2))
    p = torch.tensor(points, requires_grad=True)
    height = (p[:, 0] ** 2 - 1) ** 2 + p[:, 0] / 4 + 1.5 * (p[:, 1] - p[:, 0] / 2) ** 2
    height.sum().backward()
    np.testing.assert_allclose(descent.landscape(points), height.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(descent.landscape_gradient(points), p.grad.numpy(), rtol=1e-10, atol=1e-12)
    numeric = quotients.numerical_gradient(descent.landscape, points[0])
    np.testing.assert_allclose(descent.landscape_gradient(points[0]), numeric, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_starting_points_decide_in_which_of_two_valleys_descent_ends(seed: int) -> None:
    found = descent.journeys(seed, starts=20, steps=600)
    left, _, right = np.sort(np.roots([4.0, 0.0, -4.0, 0.25]).real)  # the floor of the valleys is y = x/2, where the square is 0
    for journey in found:
        x = left if journey.deeper else right
        np.testing.assert_allclose(journey.way[-1], [x, x / 2], atol=1e-8)
        heights = descent.landscape(journey.way)
        assert (np.diff(heights) < 1e-12).all() and heights[-1] == journey.height
    assert {journey.deeper for journey in found} == {True, False}
    heights = {deeper: {round(j.height, 9) for j in found if j.deeper is deeper} for deeper in (True, False)}
    assert max(heights[True]) < min(heights[False]) - 0.4
    again = descent.journeys(seed, starts=20, steps=600)
    assert all(np.array_equal(a.way, b.way) for a, b in zip(found, again, strict=True))


def test_the_border_of_the_valleys_is_no_line_of_one_coordinate() -> None:
    """Starts left of the hump may end on the right: where one ends is not told by x alone."""
    crossed = [journey for seed in range(5) for journey in descent.journeys(seed, starts=40) if (journey.way[0, 0] < 0) != journey.deeper]
    assert len(crossed) > 5

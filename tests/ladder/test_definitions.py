"""The definitions in plain Python, against the standard library's statistics, NumPy and PyTorch."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from gradus.ladder import definitions as rung


def test_rows_columns_and_the_transpose() -> None:
    a = np.random.default_rng(0).integers(-9, 10, (3, 4))
    rows = a.tolist()
    assert rung.row(rows, 1) == a[1].tolist()
    assert rung.column(rows, 2) == a[:, 2].tolist()
    assert rung.transpose(rows) == a.T.tolist()
    assert rung.transpose(rung.transpose(rows)) == rows
    assert rung.dot(rung.row(rows, 0), rung.row(rows, 1)) == a[0] @ a[1]
    with pytest.raises(ValueError):
        rung.transpose([[1, 2], [3]])


def test_dot_and_neuron_refuse_lists_of_different_lengths() -> None:
    with pytest.raises(ValueError):
        rung.dot([1, 2], [1, 2, 3])
    with pytest.raises(ValueError):
        rung.neuron([1, 2, 3], [1, 2], 0)
    assert rung.neuron([1, 2], [3, 4], 5) == 16
    with pytest.raises(ValueError):
        rung.dense([[1, 2]], [[1, 2], [3, 4]], [0])


def test_only_without_an_offset_a_function_is_linear() -> None:
    for b in (0, 1):
        f = rung.affine(3, b)
        assert f(2) == 6 + b
        assert (f(2 + 5) == f(2) + f(5)) is (f(4 * 2) == 4 * f(2)) is (b == 0)


def test_relu_and_its_slope() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    for value in (-2.0, -0.0, 0.0, 1.5, math.inf, -math.inf):
        x = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        y = torch.relu(x)
        y.backward()
        assert rung.relu(value) == y.item()
        assert rung.relu_slope(value) == x.grad.item()
    assert math.isnan(rung.relu(math.nan))


def test_a_layer_by_comprehensions_is_the_layer_by_matmul_and_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((4, 6)), rng.standard_normal((3, 6)), rng.standard_normal(3)
    expected = torch.nn.functional.linear(*map(torch.from_numpy, (x, w, b))).numpy()
    np.testing.assert_allclose(rung.dense(x.tolist(), w.tolist(), b.tolist()), expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(rung.dense_by_matmul(x, w, b), expected, rtol=1e-13, atol=1e-14)


def test_mean_and_both_variances() -> None:
    x = np.random.default_rng(0).standard_normal(9).tolist()
    assert rung.mean(x) == pytest.approx(statistics.fmean(x))
    assert rung.variance(x) == pytest.approx(statistics.pvariance(x)) == pytest.approx(np.var(x))
    assert rung.std(x) == pytest.approx(np.std(x))
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    assert rung.variance(x, unbiased=True) == pytest.approx(torch.tensor(x, dtype=torch.float64).var().item())
    assert rung.std(x, unbiased=True) == pytest.approx(statistics.stdev(x))


@pytest.mark.parametrize("seed", range(3))
def test_the_variance_over_n_is_too_small_on_average(seed: int) -> None:
    for n in (2, 5):
        biased, unbiased = rung.mean_estimates(n, 20_000, seed)
        spread = 5 * math.sqrt(2 / (n - 1) / 20_000)
        assert biased == pytest.approx((n - 1) / n, abs=spread)
        assert unbiased == pytest.approx(1, abs=spread)
        assert biased / unbiased == pytest.approx((n - 1) / n)


@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (2.0, 0.5), (-3.0, 4.0)])
def test_the_normal_density(mean: float, std: float) -> None:
    oracle = statistics.NormalDist(mean, std)
    for x in np.linspace(mean - 5 * std, mean + 5 * std, 21):
        assert rung.normal_density(x, mean, std) == pytest.approx(oracle.pdf(x))
    for widths in (0.5, 1, 2, 3):
        assert rung.share_within(widths) == pytest.approx(oracle.cdf(mean + widths * std) - oracle.cdf(mean - widths * std))
    # The area by the trapezoid rule: about 68.27 % within one standard deviation, not 67 % within one variance.
    x = np.linspace(mean - std, mean + std, 2001)
    assert np.trapezoid([rung.normal_density(value, mean, std) for value in x], x) == pytest.approx(0.682689, abs=1e-6)


def test_the_sum_of_normal_numbers() -> None:
    total = statistics.NormalDist(1, 2) + statistics.NormalDist(-4, 5)
    assert rung.sum_of_normals((1, 2), (-4, 5)) == pytest.approx((total.mean, total.stdev))


@pytest.mark.parametrize("seed", range(3))
def test_a_sum_is_normal_again_only_for_normal_numbers(seed: int) -> None:
    shapes = rung.which_shapes_are_kept(100_000, seed)
    assert shapes["normal"] == pytest.approx((0, 0), abs=0.08)
    assert shapes["uniform"] == pytest.approx((-1.2, -0.6), abs=0.05)
    ones = np.random.default_rng(seed).integers(1, 10)
    share = ones / 10  # of ones among zeros: the excess of a coin is known
    coin = np.repeat([1.0, 0.0], [ones, 10 - ones])
    assert rung.excess_kurtosis(coin) == pytest.approx((1 - 6 * share * (1 - share)) / (share * (1 - share)))

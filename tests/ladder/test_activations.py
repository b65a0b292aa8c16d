"""Numbers in deep networks: exact where no draw decides, bands over several draws where one does, PyTorch for values and slopes."""

from __future__ import annotations

import math
import warnings
from decimal import Decimal, localcontext

import numpy as np
import pytest

from gradus.ladder import activations, deep_products
from gradus.ladder.activations import relu
from gradus.ladder.deep_products import identity, through_layers

SEEDS = range(8)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def last_stds(seeds, **settings) -> np.ndarray:
    return np.array([through_layers(rng(seed), **settings)[-1].std for seed in seeds])


# Measuring


@pytest.mark.parametrize("ddof", [0, 1])
def test_mean_and_std_against_numpy_and_pytorch(ddof: int) -> None:
    torch = pytest.importorskip("torch")
    x = rng(0).standard_normal((3, 7)) * 3.0 + 1.0
    mean, std = deep_products.mean_and_std(x, ddof)
    assert mean == pytest.approx(x.mean(), rel=1e-14) and std == pytest.approx(x.std(ddof=ddof), rel=1e-14)
    assert std == pytest.approx(torch.tensor(x).std(correction=ddof).item(), rel=1e-14)


def test_pytorch_divides_by_one_less_than_numpy() -> None:
    """Of nine numbers the two differ by √(9/8): a spread copied from one library is no test of the other."""
    torch = pytest.importorskip("torch")
    x = rng(0).standard_normal(9)
    ratio = deep_products.mean_and_std(x, ddof=1)[1] / deep_products.mean_and_std(x)[1]
    assert ratio == pytest.approx(math.sqrt(9 / 8), rel=1e-14)
    assert ratio == pytest.approx(torch.tensor(x).std().item() / x.std(), rel=1e-14)


def test_mean_and_std_where_squares_overflow_and_where_nothing_is() -> None:
    x = rng(0).standard_normal(1000)
    with np.errstate(over="ignore"):
        assert np.isinf((x * 1e200).std())
    assert deep_products.mean_and_std(x * 1e200) == pytest.approx((x.mean() * 1e200, x.std() * 1e200), rel=1e-12)
    assert deep_products.mean_and_std(x * 1e-200)[1] == pytest.approx(x.std() * 1e-200, rel=1e-12)
    assert deep_products.mean_and_std(np.zeros(3)) == (0.0, 0.0)
    assert all(map(math.isnan, deep_products.mean_and_std(np.array([1.0, np.inf, -np.inf]))))


# Exploding and vanishing


def test_one_layer_of_plain_normal_weights_is_ten_times_as_wide() -> None:
    rows = [through_layers(rng(seed), depth=1)[-1] for seed in SEEDS]
    assert all(9.3 < row.std < 10.7 and abs(row.mean) < 0.5 for row in rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_fifty_layers_in_float32_are_nan_and_the_same_in_float64_are_not(seed: int) -> None:
    rows = through_layers(rng(seed))
    assert rows[-1].nan == 1.0
    assert 37 <= deep_products.first_not_finite(rows) <= 40  # 10^38.5 is the end of float32
    first_nan = next(row.layer for row in rows if row.nan)
    assert 0 <= first_nan - deep_products.first_not_finite(rows) <= 2  # infinities come first; nan is the sum of two of them
    doubled = through_layers(rng(seed), dtype=np.float64)
    assert deep_products.first_not_finite(doubled) is None
    assert 2e49 < doubled[-1].std < 3e50
    assert [row.layer for row in doubled] == list(range(51))


def test_a_hundredth_vanishes_and_float32_has_no_place_for_it() -> None:
    for seed in SEEDS:
        rows = through_layers(rng(seed), scale=0.01)
        assert rows[-1].zero == 1.0 and rows[-1].std == 0.0 and rows[40].std > 0.0
        assert 2e-51 < through_layers(rng(seed), scale=0.01, dtype=np.float64)[-1].std < 3e-50


def test_a_tenth_stays() -> None:
    stds = last_stds(range(16), scale=0.1)
    assert stds.min() > 0.35 and stds.max() < 2.2
    assert 0.7 < np.median(stds) < 1.3


@pytest.mark.parametrize("scale, low, high", [(0.05, 1e-16, 1e-14), (0.09, 1e-3, 2e-2), (0.11, 40.0, 400.0), (0.2, 2e14, 4e15)])
def test_slightly_more_or_less_than_a_tenth_is_already_far_off(scale: float, low: float, high: float) -> None:
    """(10 · scale)^50."""
    stds = last_stds(range(4), scale=scale)
    assert low < stds.min() and stds.max() < high
    assert low < (10.0 * scale) ** 50 < high


def test_a_layer_multiplies_by_the_scale_whatever_the_draw() -> None:
    """The same draws at another scale differ by the power of the scale alone."""
    plain = through_layers(rng(3), depth=6, dtype=np.float64)
    scaled = through_layers(rng(3), depth=6, scale=0.25, dtype=np.float64)
    for a, b in zip(plain, scaled):
        assert b.std == pytest.approx(a.std * 0.25**a.layer, rel=1e-12)


def test_a_hundred_and_fifty_two_products_of_512() -> None:
    """In float64 the numbers are of order 1e205 and all finite; only NumPy's own spread, which squares them, says inf."""
    generator = rng(0)
    x = generator.standard_normal(512)
    for _ in range(152):
        x = generator.standard_normal((512, 512)) @ x
    assert np.isfinite(x).all() and 1e202 < abs(x.mean()) < 1e206
    with np.errstate(over="ignore"):
        assert np.isinf(x.std())
    assert math.log10(deep_products.mean_and_std(x)[1]) == pytest.approx(76 * math.log10(512), abs=1.0)
    row = through_layers(rng(1), 152, 512, batch=1, dtype=np.float64)[-1]
    assert row.inf == row.nan == 0.0 and 1e204 < row.std < 1e207 and row.mean_square == math.inf
    assert through_layers(rng(1), 152, 512, batch=1)[-1].nan == 1.0  # float32


def test_a_hundred_and_fifty_two_products_of_the_right_size() -> None:
    stds = last_stds(range(2), depth=152, width=512, scale=512**-0.5, batch=1)
    assert stds.min() > 0.2 and stds.max() < 3.0


def test_a_hundred_and_fifty_two_relu_layers_vanish_and_twice_the_variance_holds_them() -> None:
    """Half the mean square a layer: the spread goes with 2^-76 = 1.3e-23; √2 a layer gives exactly that back."""
    rows = [through_layers(rng(seed), 152, 512, 512**-0.5, relu, batch=1, dtype=np.float64)[-1] for seed in range(2)]
    kept = [through_layers(rng(seed), 152, 512, (2 / 512) ** 0.5, relu, batch=1, dtype=np.float64)[-1] for seed in range(2)]
    assert all(1e-25 < row.std < 2e-22 and 0 < row.mean < row.std for row in rows)
    assert all(0.04 < row.std < 4.0 and row.mean > 0 for row in kept)
    for row, other in zip(rows, kept):
        assert other.std == pytest.approx(row.std * 2.0**76, rel=1e-9)


def test_fifty_relu_layers_at_a_tenth_and_at_the_root_of_two_in_a_hundred() -> None:
    small = last_stds(range(16), scale=0.1, activation=relu)
    kept = last_stds(range(16), scale=math.sqrt(2 / 100), activation=relu)
    assert small.min() > 8e-10 and small.max() < 2e-7 and 4e-9 < np.median(small) < 6e-8  # 2^-25 = 3e-8
    assert kept.min() > 0.03 and kept.max() < 8.0 and 0.2 < np.median(kept) < 1.2


# When, and why


def test_overflow_comes_when_the_square_root_of_the_width_says() -> None:
    for width, dtype in ((100, np.float32), (512, np.float32), (512, np.float16)):
        k = deep_products.products_until_overflow(width, dtype)
        assert width ** (k / 2) == pytest.approx(float(np.finfo(dtype).max), rel=1e-9)
    found = [deep_products.first_not_finite(through_layers(rng(seed), 32, 512, batch=1)) for seed in range(4)]
    assert set(found) <= {28, 29, 30}  # 28.4: twenty-eight products are representable, the twenty-ninth is not
    assert deep_products.products_until_overflow(512) == pytest.approx(28.4, abs=0.05)


def test_numpys_float32_spread_overflows_at_half_way() -> None:
    """NumPy squares float32 in float32, so `std` is inf after half as many products as the numbers themselves need."""
    generator = rng(0)
    x, products = generator.standard_normal(512).astype(np.float32), 0
    with np.errstate(over="ignore"):
        while np.isfinite(x.std()):
            x, products = generator.standard_normal((512, 512)).astype(np.float32) @ x, products + 1
    assert 13 <= products <= 15 and np.isfinite(x).all()


@pytest.mark.parametrize("activation, expected", [(identity, 512.0), (relu, 256.0)])
def test_the_mean_square_grows_512_fold_and_half_of_it_with_a_relu(activation, expected: float) -> None:
    found = [deep_products.mean_square_after_a_product(rng(seed), draws=20, activation=activation) for seed in range(3)]
    np.testing.assert_allclose(found, expected, rtol=0.08)


def test_the_moments_of_a_rectified_normal_number() -> None:
    z = np.linspace(0.0, 12.0, 1_200_001)
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    mean, square = np.trapezoid(z * density, z), np.trapezoid(z * z * density, z)
    np.testing.assert_allclose(activations.relu_moments(), (mean, square, math.sqrt(square - mean * mean)), rtol=1e-9)
    sample = relu(rng(0).standard_normal(1_000_000))
    np.testing.assert_allclose(activations.relu_moments(), (sample.mean(), (sample**2).mean(), sample.std()), rtol=5e-3)


def test_relu_halves_the_mean_square_and_not_the_spread() -> None:
    factors = np.mean([deep_products.relu_factors(through_layers(rng(seed), 6, 512, 512**-0.5, relu)) for seed in SEEDS], axis=0)
    np.testing.assert_allclose(factors[:, 1], 0.5, rtol=0.06)
    assert factors[0, 0] == pytest.approx(0.584, abs=0.006)
    np.testing.assert_allclose(factors[1:, 0], math.sqrt(0.5), rtol=0.04)
    assert (factors[:, 0] > 0.55).all()


# The nonlinearity


def test_two_linear_layers_are_one() -> None:
    generator = rng(0)
    w1, b1 = generator.standard_normal((784, 50)), generator.standard_normal(50)
    w2, b2 = generator.standard_normal((50, 60)), generator.standard_normal(60)
    x = generator.standard_normal((16, 784))
    w, b = activations.one_linear_layer(w1, b1, w2, b2)
    np.testing.assert_allclose(x @ w + b, (x @ w1 + b1) @ w2 + b2, rtol=1e-10, atol=1e-9)
    assert w.shape == (784, 60) and np.linalg.matrix_rank(w) == 50  # the middle's width
    with_relu = relu(x @ w1 + b1) @ w2 + b2
    assert np.linalg.norm(with_relu - (x @ w + b)) > 0.1 * np.linalg.norm(with_relu)


def test_what_a_relu_between_two_layers_can_do_and_no_linear_layer_can() -> None:
    """|x| = relu(x) + relu(-x); a line through (-1, 1) and (1, 1) is 1 at 0."""
    w1, w2 = np.array([[1.0, -1.0]]), np.array([[1.0], [1.0]])
    x = np.linspace(-2.0, 2.0, 9)[:, None]
    np.testing.assert_array_equal(relu(x @ w1) @ w2, np.abs(x))
    w, b = activations.one_linear_layer(w1, np.zeros(2), w2, np.zeros(1))
    assert not w.any() and not b.any()


def test_relu_and_its_slope_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    x = np.array([-np.inf, -1.5, -0.0, 0.0, 1e-300, 2.0, np.inf])
    leaf = torch.tensor(x, requires_grad=True)
    y = torch.relu(leaf)
    y.sum().backward()
    np.testing.assert_array_equal(relu(x), y.detach().numpy())
    np.testing.assert_array_equal(relu(x), torch.tensor(x).clamp_min(0.0).numpy())
    np.testing.assert_array_equal(activations.relu_grad(x, np.ones(7)), leaf.grad.numpy())
    assert np.isnan(relu(np.array([np.nan]))).all() and relu(np.float32([1.0])).dtype == np.float32


def test_relu_where_ways_to_write_it_differ() -> None:
    corners = {str(corner.x): corner for corner in activations.relu_corners()}
    assert math.isnan(corners["-inf"].by_mask) and corners["-inf"].maximum == 0.0
    assert math.isnan(corners["nan"].maximum) and math.isnan(corners["nan"].by_mask)
    assert [corners["0.0"].slope, corners["0.0"].slope_with_equal, corners["0.0"].slope_by_output] == [0.0, 1.0, 0.0]
    assert [corners["nan"].slope, corners["nan"].slope_by_output] == [0.0, 1.0]
    for x in ("-1.0", "1.0", "inf"):
        assert corners[x].maximum == corners[x].by_mask == max(float(x), 0.0)
        assert corners[x].slope == corners[x].slope_with_equal == corners[x].slope_by_output == float(float(x) > 0)


def test_the_slope_of_relu_at_nan_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    leaf = torch.tensor([math.nan], requires_grad=True)
    torch.relu(leaf).backward(torch.ones(1))
    assert leaf.grad.item() == activations.relu_corners()[-1].slope_by_output


def test_an_infinite_gradient_does_not_leak_through_a_closed_relu() -> None:
    assert activations.relu_grad(np.array([-1.0, 0.0]), np.array([np.inf, -np.inf])).tolist() == [0.0, 0.0]


# The sigmoid


def test_sigmoid_and_its_slope_to_the_last_digits() -> None:
    points = [-800.0, -745.0, -40.0, -1.0, 0.0, 0.5, 30.0, 36.0, 40.0, 700.0]
    with localcontext() as context:
        context.prec = 60
        exact = [1 / (1 + (-Decimal(x)).exp()) for x in points]
        slopes = [s * (1 - s) if abs(x) < 60 else (-abs(Decimal(x))).exp() for x, s in zip(points, exact)]
    np.testing.assert_allclose(activations.sigmoid(np.array(points)), [float(s) for s in exact], rtol=1e-15, atol=5e-324)
    np.testing.assert_allclose(activations.sigmoid_slope(np.array(points)), [float(s) for s in slopes], rtol=1e-14, atol=5e-324)


def test_the_sigmoid_warns_nowhere_and_the_formulas_do() -> None:
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        assert activations.sigmoid(np.array([-1e4, -np.inf, np.inf, 1e4])).tolist() == [0.0, 0.0, 1.0, 1.0]
        assert activations.log_sigmoid(np.array([-1e4, 1e4])).tolist() == [-1e4, 0.0]
    x = np.array([1000.0])
    with np.errstate(all="ignore"):
        assert np.isnan(np.exp(x) / (1 + np.exp(x))).all()
        assert np.isneginf(np.log(np.exp(-x) / (1 + np.exp(-x)))).all()  # one confident mistake, and the loss is infinite
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        1 / (1 + np.exp(x))
    assert np.isnan(activations.sigmoid(np.array([np.nan]))).all()


def test_sigmoid_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = rng(0).standard_normal((4, 5)) * 10.0
    leaf = torch.tensor(x, requires_grad=True)
    torch.sigmoid(leaf).sum().backward()
    np.testing.assert_allclose(activations.sigmoid(x), torch.sigmoid(torch.tensor(x)).numpy(), rtol=1e-14)
    np.testing.assert_allclose(activations.sigmoid_slope(x), leaf.grad.numpy(), rtol=1e-9)  # σ (1 - σ) loses digits there
    np.testing.assert_allclose(activations.log_sigmoid(x), torch.nn.functional.logsigmoid(torch.tensor(x)).numpy(), rtol=1e-13)
    assert activations.sigmoid(x.astype(np.float32)).dtype == np.float32


def test_the_slope_is_a_quarter_at_best() -> None:
    x, y, slope = activations.sigmoid_curve()
    assert slope.max() == 0.25 and x[slope.argmax()] == 0.0
    np.testing.assert_allclose(np.gradient(y, x)[1:-1], slope[1:-1], atol=1e-3)  # it is the slope of the curve beside it
    numeric = (activations.sigmoid(x + 1e-5) - activations.sigmoid(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope, numeric, rtol=1e-6)


def test_ten_sigmoids_pass_on_a_millionth() -> None:
    x, gradient = rng(0).standard_normal(1000), np.ones(1000)
    for _ in range(10):
        gradient = gradient * activations.sigmoid_slope(x)
        x = activations.sigmoid(x)
    assert 0 < gradient.max() <= 0.25**10 < 1e-6


# What is said, and what is so


def test_relu_does_not_split_over_a_sum() -> None:
    wx, b = rng(0).standard_normal((2, 1000))
    together, apart = relu(wx + b), relu(wx) + relu(b)
    assert (together <= apart).all()
    np.testing.assert_array_equal(np.isclose(together, apart, rtol=1e-14, atol=0), wx * b >= 0)


def test_shares_of_the_normal_law() -> None:
    z = rng(0).standard_normal(400_000)
    for sigma in (0.5, 1.0, 3.0):
        assert activations.share_within(sigma, sigma) == pytest.approx(0.6826894921370859, abs=1e-15)
        assert activations.share_within(sigma**2, sigma) == pytest.approx((abs(sigma * z) < sigma**2).mean(), abs=3e-3)


def test_variances_add_up_not_a_variance_and_a_spread() -> None:
    x1, x2 = 3.0 * rng(0).standard_normal(400_000), 4.0 * rng(1).standard_normal(400_000)
    claim = next(claim for claim in activations.claims() if "add up" in claim.said)
    assert (x1 + x2).var() == pytest.approx(claim.true, rel=0.01) and claim.claimed == 13.0


def test_every_claim_has_both_its_numbers() -> None:
    table = {claim.said: (claim.claimed, claim.true) for claim in activations.claims()}
    assert table["max(0, Wx + b) = max(0, Wx) + max(0, b)"] == (1.0, 0.0)
    assert table["67 % of N(0, σ²) lie between -σ² and σ²"] == pytest.approx((0.9973, 0.6827), abs=1e-4)
    assert table["a 28 × 28 image is a 24 × 24 matrix, flattened to 784"] == (576, 784)
    assert table["ReLU halves the standard deviation"] == pytest.approx((0.5, 0.5838), abs=1e-4)
    assert len(table) == 5

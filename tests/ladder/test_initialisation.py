"""Laws for weights: variances within the error of a large draw, sizes by depth as bands, PyTorch's `init` for fans, gains and laws."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from gradus.ladder import initialisation, initialisation_at_work
from gradus.ladder.initialisation import SCHEMES
from gradus.ladder.initialisation_at_work import linear, normalised, profile, relu, shifted_relu

SEEDS = range(8)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def last_stds(seeds, *arguments, **settings) -> np.ndarray:
    return np.array([profile(rng(seed), *arguments, **settings)[-1].std for seed in seeds])


# Fans, gains, variances


@pytest.mark.parametrize("shape", [(50, 784), (10, 3), (32, 1, 5, 5), (8, 4, 3), (6, 5, 1, 2, 3)])
def test_fans_are_pytorchs(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    assert initialisation.fan_in_and_fan_out(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize("a", [0.0, 0.01, 0.1, 1.0, 5**0.5])
def test_the_gain_undoes_a_leaky_relu(a: float) -> None:
    torch = pytest.importorskip("torch")
    assert initialisation.gain(a) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", a), rel=1e-15)
    z = rng(0).standard_normal(1_000_000)
    assert (np.where(z > 0, z, a * z) ** 2).mean() * initialisation.gain(a) ** 2 == pytest.approx(1.0, abs=0.01)


VARIANCES = {
    "plain normal": lambda i, o: 1.0,
    "narrow uniform": lambda i, o: 1.0 / (3.0 * i),
    "Xavier normal": lambda i, o: 1.0 / i,
    "Xavier uniform": lambda i, o: 1.0 / i,
    "Glorot uniform": lambda i, o: 2.0 / (i + o),
    "Kaiming normal": lambda i, o: 2.0 / i,
    "Kaiming uniform": lambda i, o: 2.0 / i,
}


@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize("shape", [(400, 900), (900, 200), (64, 32, 5, 5)])
def test_each_law_has_its_mean_and_variance(name: str, shape: tuple[int, ...]) -> None:
    w = SCHEMES[name](rng(0), shape)
    variance = VARIANCES[name](shape[1] * math.prod(shape[2:]), shape[0] * math.prod(shape[2:]))
    assert w.shape == shape and set(SCHEMES) == set(VARIANCES)
    assert w.var() == pytest.approx(variance, rel=0.03)
    assert abs(w.mean()) < 5.0 * math.sqrt(variance / w.size)


@pytest.mark.parametrize("name", ["narrow uniform", "Xavier uniform", "Glorot uniform", "Kaiming uniform"])
def test_a_uniform_law_reaches_its_bound_and_not_beyond(name: str) -> None:
    w = SCHEMES[name](rng(0), (300, 500))
    bound = math.sqrt(3.0 * VARIANCES[name](500, 300))
    assert 0.999 * bound < abs(w).max() <= bound


def test_pytorchs_laws_are_the_same_laws() -> None:
    torch = pytest.importorskip("torch")
    w = torch.empty(300, 500, dtype=torch.float64)
    pairs = [
        (torch.nn.init.xavier_uniform_, initialisation.glorot_uniform(rng(0), (300, 500))),
        (lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu"), initialisation.kaiming_normal(rng(0), (300, 500))),
        (
            lambda w: torch.nn.init.kaiming_uniform_(w, a=0.3, mode="fan_out"),
            initialisation.kaiming_uniform(rng(0), (300, 500), 0.3, "fan_out"),
        ),
    ]
    for theirs, ours in pairs:
        assert theirs(w).numpy().std() == pytest.approx(ours.std(), rel=0.01)
        assert np.quantile(theirs(w).numpy(), 0.9) == pytest.approx(np.quantile(ours, 0.9), rel=0.02)


def test_fan_out_keeps_the_gradients_size() -> None:
    """Backward, the sums run over the outputs: with 4 times as many of them, fan_in makes gradients twice as large."""
    g = rng(1).standard_normal((300, 800))
    for mode, expected in (("fan_in", 8.0), ("fan_out", 2.0)):
        w = initialisation.kaiming_normal(rng(0), (800, 200), mode=mode)
        assert (g @ w).var() == pytest.approx(expected, rel=0.06)
    with pytest.raises(ValueError, match="fan_sideways"):
        initialisation.kaiming_normal(rng(0), (2, 2), mode="fan_sideways")


# One layer


def test_one_layer_of_each_kind_and_what_a_relu_makes_of_it() -> None:
    for seed in SEEDS:
        x = rng(seed).standard_normal((200, 100))
        y = x @ initialisation.xavier_normal(rng(seed + 100), (50, 100)).T
        assert abs(y.mean()) < 0.06 and y.std() == pytest.approx(1.0, abs=0.06)
        assert relu(y).mean() == pytest.approx(0.399, abs=0.04) and relu(y).std() == pytest.approx(0.584, abs=0.04)
        kaiming = relu(x @ initialisation.kaiming_normal(rng(seed + 100), (50, 100)).T)
        assert kaiming.mean() == pytest.approx(0.564, abs=0.06) and kaiming.std() == pytest.approx(0.826, abs=0.06)
        shifted = shifted_relu(x @ initialisation.kaiming_normal(rng(seed + 100), (50, 100)).T)
        assert shifted.mean() == pytest.approx(kaiming.mean() - 0.5, abs=1e-12) and shifted.std() == pytest.approx(kaiming.std(), rel=1e-12)


def test_the_shifted_relu_on_real_images(gradus_data: Path) -> None:
    """Pixels are no independent numbers, so the band is wider than for noise: .107 and .90 were printed once."""
    with gzip.open(gradus_data / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)[:2000] / 255.0
    x = (images - images.mean()) / images.std()
    found = [shifted_relu(x @ initialisation.kaiming_normal(rng(seed), (50, 784)).T) for seed in SEEDS]
    means, stds = np.array([y.mean() for y in found]), np.array([y.std() for y in found])
    assert (means > -0.15).all() and (means < 0.35).all() and abs(np.median(means)) < 0.2
    assert (stds > 0.6).all() and (stds < 1.15).all()


# By depth


def test_the_narrow_uniform_law_shrinks_each_layer_by_the_root_of_a_third() -> None:
    five = last_stds(SEEDS, initialisation.narrow_uniform, depth=5)
    np.testing.assert_allclose(five, 3.0**-2.5, rtol=0.12)  # 0.064, and not 1
    np.testing.assert_allclose(last_stds(SEEDS, initialisation.xavier_uniform, depth=5), 1.0, rtol=0.12)
    for seed in range(3):  # the same draws, narrower
        pair = [profile(rng(seed), scheme, depth=5)[-1].std for scheme in (initialisation.narrow_uniform, initialisation.xavier_uniform)]
        assert pair[0] / pair[1] == pytest.approx(3.0**-2.5, rel=1e-12)


FIFTY = {  # scheme: spread after fifty layers without an activation, and with a ReLU
    "plain normal": (10.0**50, 10.0**50 * 2.0**-25),
    "narrow uniform": (3.0**-25, 6.0**-25),
    "Xavier normal": (1.0, 2.0**-25),
    "Xavier uniform": (1.0, 2.0**-25),
    "Glorot uniform": (1.0, 2.0**-25),
    "Kaiming normal": (2.0**25, 1.0),
    "Kaiming uniform": (2.0**25, 1.0),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_fifty_layers_end_where_the_variance_says(name: str) -> None:
    for activation, expected in zip((linear, relu), FIFTY[name]):
        stds = last_stds(range(5), SCHEMES[name], activation)
        assert expected / 40.0 < stds.min() and stds.max() < expected * 10.0, activation.__name__


def test_one_hundred_and_fifty_two_relu_layers_by_kaiming() -> None:
    stds = last_stds(range(2), initialisation.kaiming_normal, relu, depth=152, width=256, batch=16)
    assert stds.min() > 0.02 and stds.max() < 6.0


def test_a_shifted_relu_settles_at_a_mean_of_minus_a_quarter() -> None:
    m = math.sqrt(2.0) / math.sqrt(2.0 * math.pi)  # E relu(√2 z)
    size = 1.0
    for _ in range(200):
        size = math.sqrt(size * size - m * size + 0.25)
    rows = [profile(rng(seed), initialisation.kaiming_normal, shifted_relu, width=300, batch=50)[-1] for seed in range(4)]
    for row in rows:
        assert row.mean == pytest.approx(m * size - 0.5, abs=0.08) and math.hypot(row.mean, row.std) == pytest.approx(size, abs=0.08)
    assert m * size - 0.5 == pytest.approx(-0.25, abs=0.001) and size == pytest.approx(0.443, abs=0.001)


def test_profiles_are_the_data_of_a_picture() -> None:
    table = initialisation_at_work.profiles(seed=3, depth=4, width=20)
    assert set(table) == {(name, activation) for name in SCHEMES for activation in ("linear", "relu", "shifted_relu")}
    assert all([row.layer for row in rows] == [0, 1, 2, 3, 4] for rows in table.values())
    assert len({rows[0] for rows in table.values()}) == 1  # all start from one input
    assert table["Kaiming normal", "relu"] == profile(rng(3), initialisation.kaiming_normal, relu, depth=4, width=20)


@pytest.mark.parametrize("rectified", [False, True])
def test_how_far_apart_draws_end(rectified: bool) -> None:
    """One sample through 120 networks: the mean and the spread of log(size) are those of the formula, of which depth ÷ width is all."""
    scheme, activation = (initialisation.kaiming_normal, relu) if rectified else (initialisation.xavier_normal, linear)
    logs = []
    for seed in range(120):
        row = profile(rng(seed), scheme, activation, depth=20, width=50, batch=1)
        logs.append(math.log(math.hypot(row[-1].mean, row[-1].std) / math.hypot(row[0].mean, row[0].std)))
    mean, spread = initialisation_at_work.spread_of_draws(20, 50, rectified)
    assert np.mean(logs) == pytest.approx(mean, abs=4.0 * spread / math.sqrt(120) + 0.02)
    assert np.std(logs) == pytest.approx(spread, rel=0.25)
    assert initialisation_at_work.spread_of_draws(40, 100, rectified) == pytest.approx((mean, spread))


def test_normalising_inside_the_network_makes_the_scale_of_weights_cancel() -> None:
    x = rng(0).standard_normal((64, 30)) * 7.0 + 3.0
    np.testing.assert_allclose(normalised(x).mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(normalised(x).std(0), 1.0, rtol=1e-12)
    torch = pytest.importorskip("torch")
    theirs = torch.nn.functional.batch_norm(torch.tensor(x), None, None, training=True, eps=1e-15)
    np.testing.assert_allclose(normalised(x), theirs.numpy(), rtol=1e-9, atol=1e-12)
    ends = [profile(rng(1), lambda r, s, c=c: c * r.standard_normal(s), relu, before=normalised)[-1] for c in (1e-6, 1.0, 1e6)]
    assert ends[0].std == pytest.approx(ends[1].std, rel=1e-6) and ends[2].std == pytest.approx(ends[1].std, rel=1e-6)
    assert 0.4 < ends[1].std < 0.8
    assert normalised(np.full((4, 2), 5.0)).tolist() == [[0.0, 0.0]] * 4


# A scale in the code


def test_a_hard_coded_scale_fits_one_width_only() -> None:
    for seed in SEEDS:
        found = initialisation_at_work.hard_coded_scale(rng(seed))
        assert found.hard_coded == pytest.approx(1.75, abs=0.03)  # √(2 · 784/512)
        assert found.by_inputs == pytest.approx(math.sqrt(2.0), abs=0.03)
        assert found.hard_coded / found.by_inputs == pytest.approx(math.sqrt(784 / 512), rel=1e-9)
        assert found.normal_bias == pytest.approx(math.sqrt(3.0), abs=0.08)
        assert found.uniform_bias == pytest.approx(math.sqrt(2.0 + 1.0 / 12.0), abs=0.04)
        assert found.mean_with_uniform_bias == pytest.approx(0.5, abs=0.08)
    same = initialisation_at_work.hard_coded_scale(rng(0), inputs=512)
    assert same.hard_coded == same.by_inputs

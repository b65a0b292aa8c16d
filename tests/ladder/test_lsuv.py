"""Layer-sequential unit variance: what it promises, what the order of its two steps does, and when it cannot."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from gradus.ladder.lsuv import look, lsuv, lsuv_layer, orthonormal

SEEDS = range(5)


def network(seed: int, depth: int = 30, scale: float = 1e-3, bias: float = 0.0) -> tuple[list, np.ndarray]:
    rng = np.random.default_rng(seed)
    widths = [40, *([50] * (depth - 1)), 10]
    layers = [(scale * rng.random((o, i)), bias * rng.standard_normal(o)) for i, o in pairwise(widths)]
    return layers, rng.exponential(size=(200, 40))  # neither weights nor inputs are centred: no formula fits


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_every_layer_gives_out_mean_zero_and_spread_one(seed: int, bias: float) -> None:
    layers, x = network(seed, bias=bias)
    kept = [(w.copy(), b.copy()) for w, b in layers]
    assert min(row.std for row in look(layers, x)) < 0.1 or bias
    found = lsuv(layers, x)
    y = x
    for w, b in found:  # not by the rung's own eyes
        sums = y @ w.T + b
        assert abs(sums.mean()) < 1e-9 and sums.std() == pytest.approx(1.0, abs=1.1e-3)
        y = np.where(sums > 0, sums, 0.0)
    assert [(round(row.mean, 6), round(row.std, 2)) for row in look(found, x)] == [(0.0, 1.0)] * 30
    assert all(np.array_equal(w, v) and np.array_equal(b, c) for (w, b), (v, c) in zip(layers, kept))


def test_with_no_bias_one_division_is_enough() -> None:
    layers, x = network(0, depth=1)
    (w, _), (old, _) = lsuv(layers, x)[0], layers[0]
    np.testing.assert_allclose(w, old / (x @ old.T).std(), rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mean_first_leaves_a_mean_behind(seed: int) -> None:
    """Taking the mean m off the bias and then dividing the weights by s leaves m (1/s - 1)."""
    layers, x = network(seed, depth=1, scale=3.0)
    w, b = layers[0]
    m, s = (x @ w.T).mean(), (x @ w.T).std()
    (w1, b1), (w2, b2) = lsuv_layer(w, b, x, order="mean, std"), lsuv_layer(w, b, x)
    first, second = x @ w1.T + b1, x @ w2.T + b2
    assert first.mean() == pytest.approx(m * (1.0 / s - 1.0), rel=1e-9) and abs(first.mean()) > 1.0
    assert abs(second.mean()) < 1e-9
    assert first.std() == pytest.approx(second.std(), rel=1e-9)


def test_it_says_when_no_scale_will_do() -> None:
    w, b = np.ones((3, 2)), np.zeros(3)
    with pytest.raises(ValueError, match="all alike"):
        lsuv_layer(w, b, np.zeros((5, 2)))
    with pytest.raises(ValueError, match="not finite"), np.errstate(invalid="ignore"):
        lsuv_layer(w, b, np.array([[np.inf, 1.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="of the bias alone"):
        lsuv_layer(w, np.array([-5.0, 0.0, 5.0]), np.random.default_rng(0).standard_normal((50, 2)))


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (5, 5)])
def test_orthonormal_rows_or_columns(shape: tuple[int, int]) -> None:
    w = orthonormal(np.random.default_rng(0), shape)
    assert w.shape == shape
    np.testing.assert_allclose(w @ w.T if shape[0] <= shape[1] else w.T @ w, np.eye(min(shape)), atol=1e-12)
    if shape[0] == shape[1]:
        x = np.random.default_rng(1).standard_normal(5)
        assert np.linalg.norm(w @ x) == pytest.approx(np.linalg.norm(x), rel=1e-12)


def test_orthonormal_prefers_no_direction() -> None:
    """Over draws the first element is as often negative as positive; a bare QR makes it negative always."""
    signs = [np.sign(orthonormal(np.random.default_rng(seed), (3, 3))[0, 0]) for seed in range(200)]
    assert abs(np.sum(signs)) < 60

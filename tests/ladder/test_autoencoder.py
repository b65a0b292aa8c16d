"""The variational autoencoder of layers with `.g`, judged by numeric differences, a numeric integral and its learning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from central_differences import numeric_gradient

from gradus.ladder import autoencoder as rung
from gradus.ladder.functions_and_gradients import tensor


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_exponential(rng) -> None:
    layer, x, g = rung.Exponential(), tensor(rng.standard_normal(4)), rng.standard_normal(4)
    np.testing.assert_allclose(layer(x), [math.exp(v) for v in x])
    layer.backward(g)
    np.testing.assert_allclose(x.g, numeric_gradient(lambda: (np.exp(x) * g).sum(), x), rtol=1e-7)


def test_the_draw_has_the_deviation_asked_for_and_lets_the_gradient_through(rng) -> None:
    layer = rung.Reparameterization(rng=5)
    mean, deviation, g = tensor(rng.standard_normal((3, 2))), tensor(rng.random((3, 2))), rng.standard_normal((3, 2))
    layer(mean, deviation)
    layer.backward(g)
    again = np.random.default_rng(5).standard_normal((3, 2))
    for array in (mean, deviation):
        np.testing.assert_allclose(array.g, numeric_gradient(lambda: ((mean + deviation * again) * g).sum(), array), rtol=1e-8)
    many = rung.Reparameterization(rng=6)(np.full(100_000, 2.0), np.full(100_000, 3.0))
    assert abs(many.mean() - 2) < 0.05 and abs(many.std() - 3) < 0.05


def test_the_divergence_is_the_integral(rng) -> None:
    mean, log_deviation = 0.7, -0.4
    z, deviation = np.linspace(-12, 12, 200_001), math.exp(log_deviation)
    log_p = -(((z - mean) / deviation) ** 2) / 2 - log_deviation
    log_q = -(z**2) / 2
    integral = np.trapezoid(np.exp(log_p) / math.sqrt(2 * math.pi) * (log_p - log_q), z)
    found = rung.KLDivergenceStandardNormal()(np.array([[mean]]), np.array([[log_deviation]]))
    assert math.isclose(found, integral, rel_tol=1e-9)
    assert rung.KLDivergenceStandardNormal()(np.zeros((4, 3)), np.zeros((4, 3))) == 0


def test_gradients_of_the_divergence(rng) -> None:
    layer, mean, log_deviation = rung.KLDivergenceStandardNormal(), tensor(rng.standard_normal((4, 3))), tensor(rng.standard_normal((4, 3)))
    layer(mean, log_deviation)
    layer.backward()
    other = rung.KLDivergenceStandardNormal()
    for array in (mean, log_deviation):
        np.testing.assert_allclose(array.g, numeric_gradient(lambda: other(mean, log_deviation), array), rtol=1e-6, atol=1e-9)


def test_pixel_loss(rng) -> None:
    y, t, loss = rng.standard_normal((3, 5)), rng.random((3, 5)), rung.PixelCrossEntropy()
    p = 1 / (1 + np.exp(-y))
    assert math.isclose(loss(y, t), -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / 3, rel_tol=1e-12)
    np.testing.assert_allclose(loss.gradient(), numeric_gradient(lambda: rung.PixelCrossEntropy()(y, t), y), rtol=1e-6)
    assert loss(np.array([[1000.0]]), np.array([[0.0]])) == 1000.0


def test_every_gradient_of_the_whole_autoencoder(rng) -> None:
    model, x = rung.VariationalAutoencoder(6, 5, 2, rng=1, dtype=np.float64), rng.random((4, 6))
    for network in (model.mean, model.log_deviation, model.decoder):
        network.layers[0].bias[:] = rng.standard_normal(5)
        network.layers[2].weight *= 3

    def loss() -> float:
        model.draw.rng = np.random.default_rng(9)  # the same draw each time
        return model(x).loss

    arrays = [p for n in (model.mean, model.log_deviation, model.decoder) for layer in n.layers for p in layer.parameters]
    numeric = [numeric_gradient(loss, array) for array in arrays]
    loss()
    model.backward()
    assert len(arrays) == 12
    for array, true in zip(arrays, numeric):
        np.testing.assert_allclose(array.g, true, rtol=1e-5, atol=1e-8)


def test_it_learns_and_its_updates_are_not_commented_out(rng) -> None:
    patterns = (rng.random((4, 64)) < 0.5).astype(np.float32)
    x = patterns[rng.integers(4, size=200)]
    model, rows = rung.train_autoencoder(x, epochs=40, batch_size=20)
    share = x.mean(0, dtype=np.float64).clip(1e-6, 1 - 1e-6)
    without_a_code = -(x * np.log(share) + (1 - x) * np.log(1 - share)).sum(1).mean()
    assert rows[0].reconstruction > without_a_code
    assert rows[-1].reconstruction < without_a_code / 4
    assert rows[-1].divergence > math.log(4) - 0.1  # what it takes to tell four patterns apart
    images = model.sample(50, rng=1)
    assert images.shape == (50, 64) and images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1
    nearest = [np.abs(patterns - image).mean(axis=1).min() for image in images]
    assert np.median(nearest) < 0.6 * np.abs(patterns - share).mean(axis=1).min()  # nearer to one of them than their mean is


def test_slips_of_the_source() -> None:
    for seed in range(3):
        rows = rung.slips(seed)
        assert len(rows) == 5 and all(abs(row.printed - row.true) > 1e-3 for row in rows)


def test_reprs() -> None:
    parts = (rung.Exponential(), rung.Reparameterization(), rung.KLDivergenceStandardNormal(), rung.PixelCrossEntropy())
    assert len({repr(part) for part in parts}) == 4

"""The start of PyTorch's layers: PyTorch itself judges the laws, the convolution and its gradients; bands hold what draws decide."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from gradus.ladder import why_root_five as rung
from gradus.ladder.why_root_five import Convolution, conv, conv_grads, default_law, difference, kaiming_law, network

ROOT_FIVE = math.sqrt(5.0)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_uniform_law_has_a_third_of_its_square() -> None:
    assert rng(0).uniform(-1.0, 1.0, 1_000_000).std() == pytest.approx(rung.std_of_uniform(), rel=2e-3)
    grid = np.linspace(-2.5, 2.5, 1_000_001)
    assert math.sqrt((grid**2).mean()) == pytest.approx(rung.std_of_uniform(2.5), rel=1e-5)


@pytest.mark.parametrize("a, expected", [(0.0, 1.41421356), (0.01, 1.41414285), (0.1, 1.40719508), (1.0, 1.0), (ROOT_FIVE, 0.57735027)])
def test_gains(a: float, expected: float) -> None:
    torch = pytest.importorskip("torch")
    assert rung.gain(a) == pytest.approx(expected, abs=1e-8)
    assert rung.gain(a) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", a), rel=1e-15)


def test_fans_of_a_convolution() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Conv2d(1, 32, 5)
    assert rung.fan_in_and_fan_out(tuple(layer.weight.shape)) == torch.nn.init._calculate_fan_in_and_fan_out(layer.weight) == (25, 800)


@pytest.mark.parametrize("shape", [(64, 48, 3, 3), (500, 300)])
def test_root_five_is_one_over_the_root_of_the_inputs_and_pytorchs_start(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(300, 500) if len(shape) == 2 else torch.nn.Conv2d(48, 64, 3)
    w, b = default_law(rng(0), shape)
    bound = 1.0 / math.sqrt(math.prod(shape[1:]))
    for ours, theirs in ((w, layer.weight), (b, layer.bias)):
        theirs = theirs.detach().numpy()
        assert ours.shape == theirs.shape and abs(ours).max() <= bound and abs(theirs).max() <= bound * (1 + 1e-6)
    assert abs(w).max() > 0.999 * bound and w.std() == pytest.approx(layer.weight.std().item(), rel=0.02)
    assert w.std() == pytest.approx(bound / math.sqrt(3.0), rel=0.02)
    assert b.std() == pytest.approx(bound / math.sqrt(3.0), rel=0.2)
    assert np.array_equal(w, kaiming_law(rng(0), shape, ROOT_FIVE)[0])


def test_kaimings_uniform_law() -> None:
    w, b = kaiming_law(rng(0), (64, 48, 3, 3))
    assert w.var() == pytest.approx(2.0 / (48 * 9), rel=0.02) and not b.any()
    scaled = kaiming_law(rng(0), (64, 48, 3, 3), ROOT_FIVE)[0]
    np.testing.assert_allclose(w, scaled * math.sqrt(6.0), rtol=1e-12, atol=1e-15)  # √2 over √⅓


@pytest.mark.parametrize("stride, padding, size, kernel", [(1, 0, 7, 3), (2, 1, 7, 3), (2, 2, 8, 5), (3, 0, 9, 2), (1, 1, 3, 1)])
def test_the_convolution_and_its_gradients_are_pytorchs(stride: int, padding: int, size: int, kernel: int) -> None:
    torch = pytest.importorskip("torch")
    generator = rng(0)
    x = generator.standard_normal((2, 3, size, size + 1))
    c = Convolution(generator.standard_normal((4, 3, kernel, kernel)), generator.standard_normal(4), stride, padding)
    leaves = [torch.tensor(value, requires_grad=True) for value in (x, c.w)]
    theirs = torch.nn.functional.conv2d(*leaves, torch.tensor(c.b), stride, padding)
    g = generator.standard_normal(tuple(theirs.shape))
    theirs.backward(torch.tensor(g))
    np.testing.assert_allclose(conv(x, c), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)
    for ours, leaf in zip(conv_grads(x, c, g), leaves):
        np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_the_gradient_of_the_first_layer_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    images, targets = rng(0).standard_normal((6, 1, 28, 28)), rng(1).standard_normal(6)
    layers = network(default_law, rng(2))
    x, weights = torch.tensor(images), [torch.tensor(c.w, requires_grad=True) for c in layers]
    for c, w in zip(layers, weights):
        x = torch.nn.functional.conv2d(x if c is layers[0] else torch.relu(x), w, torch.tensor(c.b), 2, c.padding)
    output = x.mean((1, 2, 3))
    torch.nn.functional.mse_loss(output, torch.tensor(targets)).backward()
    np.testing.assert_allclose(rung.forward(layers, images)[-1], output.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(rung.gradient_of_first_layer(layers, images, targets), weights[0].grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def digits(gradus_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """A hundred images of mean 0 and spread 1, (100, 1, 28, 28), and their labels as numbers."""
    folder = gradus_data / "mnist"
    images = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    x = images.reshape(-1, 1, 28, 28)[:100] / 255.0
    return (x - x.mean()) / x.std(), labels[:100].astype(np.float64)


def test_on_real_digits_gradients_are_ten_times_too_small(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """One draw had .598 for one layer, and gradients of spread .033 against .42."""
    rows = np.array([difference(rng(seed), *digits) for seed in range(6)])
    low = [0.5, 0.85, 0.002, 0.1, 0.008, 0.15]
    high = [0.85, 1.5, 0.025, 0.7, 0.08, 1.2]
    assert (rows > low).all() and (rows < high).all()
    assert 5.0 < np.median(rows[:, 5] / rows[:, 4]) < 40.0 and 15.0 < np.median(rows[:, 3] / rows[:, 2]) < 90.0


def test_on_noise_one_layer_is_what_the_variances_say() -> None:
    images = rng(9).standard_normal((30, 1, 28, 28))
    rows = np.array([difference(rng(seed), images, np.full(30, 4.5)) for seed in range(5)])
    np.testing.assert_allclose(rows[:, 0].mean(), math.sqrt(1 / 3 + 1 / 75), rtol=0.06)
    np.testing.assert_allclose(rows[:, 1].mean(), 1.0, rtol=0.06)


def test_the_factor_of_each_layer_is_the_root_of_six() -> None:
    """The same draws, widened: without biases four layers give 36 times the output, three 6^1.5 times the gradient (far off)."""
    images, targets = rng(0).standard_normal((10, 1, 28, 28)), np.full(10, 1e6)
    narrow = network(lambda generator, shape: kaiming_law(generator, shape, ROOT_FIVE), rng(1))
    wide = network(kaiming_law, rng(1))
    np.testing.assert_allclose(rung.forward(wide, images)[-1], 36.0 * rung.forward(narrow, images)[-1], rtol=1e-9)
    gradients = [rung.gradient_of_first_layer(layers, images, targets) for layers in (narrow, wide)]
    np.testing.assert_allclose(gradients[1], 6.0**1.5 * gradients[0], rtol=1e-4, atol=1e-3 * abs(gradients[1]).max())

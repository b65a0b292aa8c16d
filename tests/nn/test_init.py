"""Initialisers: distributions, scales and fans, beside PyTorch's where a number can be compared."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gradus
from gradus.errors import ShapeError, UsageError
from gradus.nn import init


def filled(name: str, shape=(300, 200), dtype="float32", **options) -> np.ndarray:
    tensor = gradus.empty(*shape, dtype=dtype)
    out = getattr(init, name)(tensor, **options)
    assert out is tensor
    assert str(tensor.dtype) == dtype
    return tensor.numpy()


SCALES = [
    ("xavier_uniform_", {}, math.sqrt(2 / 500)),
    ("xavier_normal_", {"gain": 2.0}, 2 * math.sqrt(2 / 500)),
    ("kaiming_uniform_", {}, math.sqrt(2 / 200)),
    ("kaiming_uniform_", {"a": math.sqrt(5)}, math.sqrt(1 / 600)),
    ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(2 / 300)),
    ("kaiming_normal_", {"nonlinearity": "linear"}, math.sqrt(1 / 200)),
    ("normal_", {"std": 0.5}, 0.5),
    ("uniform_", {"a": -1.0, "b": 1.0}, math.sqrt(1 / 3)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, options, std", SCALES)
def test_scale(name, options, std, dtype) -> None:
    values = filled(name, dtype=dtype, **options)
    assert abs(values.std() / std - 1) < 0.02
    assert abs(values.mean()) < 0.02 * std
    if "uniform" in name:
        assert np.abs(values).max() <= std * math.sqrt(3) * (1 + 1e-6)
    theirs = torch.empty(300, 200)
    getattr(torch.nn.init, name)(theirs, **options)
    assert abs(theirs.numpy().std() / values.std() - 1) < 0.03


def test_plain_fillings() -> None:
    assert np.array_equal(filled("zeros_", (2, 3)), np.zeros((2, 3)))
    assert np.array_equal(filled("ones_", (2, 3)), np.ones((2, 3)))
    assert np.array_equal(filled("constant_", (2,), val=0.25), np.full(2, 0.25))
    assert np.array_equal(filled("eye_", (2, 3)), np.eye(2, 3))


@pytest.mark.parametrize("mean, std, a, b", [(0, 1, -2, 2), (0, 1, -100, 100), (1, 0.5, 1.2, 1.3), (0, 1, 5, 50), (3, 2, -1, 0)])
def test_trunc_normal(mean, std, a, b) -> None:
    values = filled("trunc_normal_", (200, 500), "float64", mean=mean, std=std, a=a, b=b)
    assert a <= values.min() <= values.max() <= b
    expected = torch.distributions.Normal(torch.tensor(float(mean), dtype=torch.float64), std)
    grid = np.quantile(values, [0.1, 0.3, 0.5, 0.7, 0.9])
    # survival functions, so that the far tail keeps its digits
    upper = torch.special.log_ndtr(-(torch.tensor([a, *grid, b], dtype=torch.float64) - mean) / std).exp().numpy()
    shares = (upper[0] - upper[1:-1]) / (upper[0] - upper[-1])
    np.testing.assert_allclose(shares, [0.1, 0.3, 0.5, 0.7, 0.9], atol=0.008)
    assert expected is not None


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3)])
def test_orthogonal(shape) -> None:
    values = filled("orthogonal_", shape, "float64", gain=2.0).reshape(shape[0], -1) / 2
    gram = values @ values.T if values.shape[0] <= values.shape[1] else values.T @ values
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"])
def test_gain(name) -> None:
    assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3), rel=1e-15)


@pytest.mark.parametrize("shape", [(4, 3), (8, 3, 5, 5)])
def test_fans(shape) -> None:
    assert init.fans(gradus.empty(*shape)) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(*shape))


def test_no_elements() -> None:
    for name in ("xavier_uniform_", "kaiming_normal_", "orthogonal_", "trunc_normal_"):
        assert filled(name, (0, 3)).shape == (0, 3)
    assert filled("kaiming_uniform_", (3, 0)).shape == (3, 0)


def test_parameters_stay_leaves() -> None:
    w = gradus.nn.Parameter(gradus.empty(3, 3))
    init.xavier_normal_(w)
    assert w.is_leaf
    assert w.requires_grad


def test_a_generator_of_ones_own() -> None:
    first = filled("normal_", (5,), generator=gradus.Generator(7))
    assert np.array_equal(first, filled("normal_", (5,), generator=gradus.Generator(7)))
    assert not np.array_equal(first, filled("normal_", (5,), generator=gradus.Generator(8)))


def test_refusals() -> None:
    for name in ("xavier_uniform_", "kaiming_normal_", "eye_", "orthogonal_"):
        with pytest.raises(ShapeError):
            filled(name, (3,))
    with pytest.raises(UsageError):
        init.calculate_gain("relu6x")
    with pytest.raises(UsageError):
        filled("kaiming_uniform_", mode="fan_avg")
    with pytest.raises(UsageError):
        filled("trunc_normal_", a=1.0, b=1.0)

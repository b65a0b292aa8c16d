"""Clipping beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import NonFiniteError

SHAPES = [(3, 4), (5,), ()]


def parameters(seed: int = 0, dtype: str = "float64"):
    """The same parameters in both libraries, the last without a gradient."""
    rng = np.random.default_rng(seed)
    mine, theirs = [], []
    for shape in SHAPES:
        gradient = (rng.standard_normal(shape) * 3).astype(dtype)
        mine.append(nn.Parameter(gradus.zeros(*shape, dtype=dtype)))
        theirs.append(torch.nn.Parameter(torch.zeros(shape, dtype=getattr(torch, dtype))))
        mine[-1].grad, theirs[-1].grad = gradus.tensor(gradient), torch.tensor(gradient)
    return [*mine, nn.Parameter(gradus.zeros(2))], [*theirs, torch.nn.Parameter(torch.zeros(2))]


def assert_equal(mine, theirs) -> None:
    for a, b in zip(mine, theirs, strict=True):
        if b.grad is None:
            assert a.grad is None
        else:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-10)
            assert str(a.grad.dtype) == str(b.grad.dtype).removeprefix("torch.")


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_norm(max_norm, norm_type) -> None:
    mine, theirs = parameters()
    gradients = [p.grad for p in mine]
    total = nn.utils.clip_grad_norm_(mine, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(total.item(), expected.item(), rtol=1e-10)
    assert_equal(mine, theirs)
    assert [p.grad for p in mine] == gradients or all(a is b for a, b in zip((p.grad for p in mine), gradients, strict=True))


def test_value() -> None:
    mine, theirs = parameters()
    nn.clip_grad_value_(mine, 1.5)
    torch.nn.utils.clip_grad_value_(theirs, 1.5)
    assert_equal(mine, theirs)


def test_float32_stays_float32() -> None:
    mine, _ = parameters(dtype="float32")
    assert nn.clip_grad_norm_(mine, 1.0).dtype == gradus.float32
    assert mine[0].grad.dtype == gradus.float32


def test_one_tensor_and_none() -> None:
    mine, theirs = parameters()
    nn.clip_grad_norm_(mine[0], 1.0)
    torch.nn.utils.clip_grad_norm_(theirs[0], 1.0)
    assert_equal(mine[:1], theirs[:1])
    assert nn.clip_grad_norm_([mine[-1]], 1.0).item() == 0.0


def test_not_finite() -> None:
    mine, _ = parameters()
    mine[1].grad[0] = float("nan")
    before = mine[0].grad.tolist()
    with pytest.raises(NonFiniteError):
        nn.clip_grad_norm_(mine, 1.0, error_if_nonfinite=True)
    assert mine[0].grad.tolist() == before

"""Rows that go through their stages in blocks give what eager mode gives, however many rows there are, and whatever stands in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
from gradus.compiler.stages import BLOCK_ROWS

pytest.importorskip("numba", reason="blocks are for native kernels, which need the extra: pip install gradus-dl[fast]")

SHAPES = [(1, 5), (BLOCK_ROWS - 1, 64), (BLOCK_ROWS, 33), (BLOCK_ROWS + 1, 65), (3, 2 * BLOCK_ROWS + 3, 17), (2, 1, 3, 16), (1, 1, 512)]


def softmax(x: Any) -> Any:
    return gradus.softmax(x, dim=-1)


def cross_entropy(x: Any) -> Any:
    """Keeps numbers and truth values of a row from stage to stage."""
    rows = x.reshape(-1, x.shape[-1])
    return gradus.nn.functional.cross_entropy(rows, gradus.arange(rows.shape[0]) % rows.shape[1])


def above_zero_only(x: Any) -> Any:
    """A row's truth value is needed two stages later."""
    any_above = x.amax(dim=-1, keepdim=True) > 0
    e = gradus.exp(x - x.amax(dim=-1, keepdim=True))
    return gradus.where(any_above, e / e.sum(dim=-1, keepdim=True), gradus.zeros_like(e))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("function", [softmax, cross_entropy, above_zero_only])
def test_values_and_gradients(function: Callable[[Any], Any], shape: tuple[int, ...]) -> None:

    def step(x: Any) -> Any:
        y = function(x)
        (g,) = gradus.autograd.grad((y * y).sum(), [x])
        return y, g

    array = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    array[..., 0, :] -= 5  # a row without a number above zero
    x = gradus.tensor(array, requires_grad=True)
    compiled = gradus.compile(step)
    compiled(x)  # eagerly
    for got, wanted in zip(compiled(x), step(x), strict=True):
        np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy(), rtol=3e-6, atol=1e-7)
    in_blocks = "rows = min(" in compiled.source
    assert in_blocks == (np.prod(shape[:-1]) > 1), compiled.source


def test_what_stands_in_one_row_stays_there() -> None:
    array = np.random.default_rng(0).standard_normal((9, 20)).astype(np.float32)
    array[2, 3], array[5, :], array[7, 1], array[8, 0] = np.nan, -np.inf, -np.inf, np.inf
    with np.errstate(invalid="ignore"):
        wanted = softmax(gradus.tensor(array)).numpy()
    compiled = gradus.compile(softmax)
    compiled(gradus.tensor(array))  # eagerly
    got = compiled(gradus.tensor(array)).numpy()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    np.testing.assert_allclose(got, wanted, rtol=3e-6)
    assert np.isnan(got).any(axis=1).tolist() == [False, False, True, False, False, False, False, False, True]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_sums_are_sums_of_short_ones(dtype: str) -> None:
    """Equal terms round in one direction, so that a single sum of 40,000 comes out more than 50 units in the last place wrong."""
    x = gradus.full((2, 40_000), 0.1, dtype=getattr(gradus, dtype))
    compiled = gradus.compile(lambda x: (x * 1.0625).exp().sum(dim=-1))
    compiled(x)  # eagerly
    wanted = 40_000 * np.exp(x.numpy()[0, 0].astype(np.longdouble) * 1.0625)
    assert np.abs(compiled(x).numpy() - wanted).max() <= 8 * np.spacing(wanted.astype(dtype))

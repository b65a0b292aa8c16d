"""How exact sums of compiled loops are."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradus


@pytest.mark.parametrize("shape", [(3_000_000,), (1000, 3, 7), (50, 48), (2400, 1)], ids=str)
def test_long_sums_of_float64_lose_nothing(shape: tuple[int, ...]) -> None:
    """Terms that all round in the same direction: what each addition of a part loses is added at the end."""
    x = gradus.tensor(np.full(shape, 0.1))
    compiled = gradus.compile(lambda x: ((x * 1.5).sum(), (x * 1.5).sum(dim=-1).sum()))
    compiled(x)
    exact = math.fsum([0.1 * 1.5] * math.prod(shape))
    for total in compiled(x):
        assert abs(total.item() - exact) <= 8 * np.spacing(exact)


@pytest.mark.parametrize(
    "values, wanted",
    [([np.inf, 1.0], np.inf), ([-np.inf, 1.0], -np.inf), ([1e308] * 2000, np.inf), ([np.inf, -np.inf], np.nan), ([1.0, np.nan], np.nan)],
    ids=["inf", "-inf", "overflow", "inf - inf", "nan"],
)
def test_sums_of_infinities(values: list[float], wanted: float) -> None:
    compiled = gradus.compile(lambda x: (x * 1.5).sum())
    x = gradus.tensor(np.array(values))
    with np.errstate(all="ignore"):
        compiled(x)
    np.testing.assert_equal(compiled(x).item(), wanted)

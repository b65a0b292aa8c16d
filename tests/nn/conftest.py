"""What the tests of layers share: values and gradients of a Gradus call beside PyTorch's of the same call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests: pip install gradus-dl[parity]")

TOLERANCE = {"float64": {"rtol": 1e-10, "atol": 1e-10}, "float32": {"rtol": 1.3e-6, "atol": 1e-5}}


def both(array: np.ndarray) -> tuple[Any, Any]:
    """The same values as a Gradus and as a PyTorch tensor; floats want gradients."""
    mine, theirs = gradus.tensor(array), torch.tensor(array)
    if array.dtype.kind == "f":
        mine.requires_grad_()
        theirs.requires_grad_()
    return mine, theirs


def assert_same(mine: Any, theirs: Any, what: str, dtype: str) -> None:
    """Same shape, dtype and values."""
    theirs = theirs.detach().numpy()
    mine = mine.detach().numpy()
    assert mine.shape == theirs.shape, what
    assert mine.dtype == theirs.dtype, what
    np.testing.assert_allclose(mine, theirs, err_msg=what, **TOLERANCE[dtype])


def compare(
    f: Callable[..., Any], g: Callable[..., Any], arrays: list[np.ndarray], dtype: str, parameters: list[tuple[Any, Any]] | None = None
) -> None:
    """``f`` in Gradus and ``g`` in PyTorch give equal outputs and, under a random cotangent, equal gradients."""
    pairs = [both(a) for a in arrays]
    mine, theirs = f(*[a for a, _ in pairs]), g(*[b for _, b in pairs])
    assert_same(mine, theirs, "output", dtype)
    cotangent = np.random.default_rng(1).standard_normal(theirs.shape).astype(dtype)
    mine.backward(gradus.tensor(cotangent))
    theirs.backward(torch.tensor(cotangent))
    for i, (a, b) in enumerate([pair for pair in pairs if pair[1].requires_grad] + (parameters or [])):
        assert_same(a.grad, b.grad, f"gradient {i}", dtype)


@pytest.fixture(name="compare")
def compare_fixture() -> Callable[..., None]:
    return compare


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    return request.param

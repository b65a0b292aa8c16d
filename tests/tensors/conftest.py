"""What the tests of tensors share: one call made in Gradus and in PyTorch on the same data, and how the two results are compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import gradus

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests: pip install gradus-dl[parity]")

TOLERANCE = {"float64": (1e-10, 1e-10), "float32": (1.3e-6, 1e-5), "float16": (1e-3, 1e-3)}
RANGES = {"r": (-3.0, 3.0), "p": (0.2, 3.0), "u": (-0.9, 0.9), "g": (1.2, 3.0), "n": (0.3, 3.0)}


def sample(kind: str, shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Data of a kind: r real, p positive, u inside (-1, 1), g above 1, n away from 0 (both signs)."""
    rng = np.random.default_rng([seed, len(shape), *shape])
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    low, high = RANGES[kind]
    if dtype.startswith(("int", "uint")):
        low, high = (0 if dtype[0] == "u" else -5, 6) if kind in "ru" else (1, 6)
        return np.asarray(rng.integers(low, high, shape)).astype(dtype)
    x = rng.uniform(low, high, shape)
    return np.asarray(x * (rng.choice([-1.0, 1.0], shape) if kind == "n" else 1.0)).astype(dtype)


def leaves(result: Any) -> list[Any]:
    """The tensors and numbers of a result, in order."""
    if isinstance(result, (tuple, list)):
        return [leaf for item in result for leaf in leaves(item)]
    return [result]


def described(x: Any) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of a tensor, or the Python type of a number."""
    return (tuple(x.shape), str(x.dtype).split(".")[-1]) if hasattr(x, "dtype") else ((), type(x).__name__)


def array_of(x: Any) -> np.ndarray:
    """The values of a result of either library."""
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x)


def assert_same(mine: Any, theirs: Any, what: str, precision: str = "float64") -> None:
    """Same structure, shapes, dtypes and values, to the precision of the dtype or to the coarser one given."""
    mine, theirs = leaves(mine), leaves(theirs)
    assert [described(x) for x in mine] == [described(x) for x in theirs], what
    for a, b in zip(mine, theirs, strict=True):
        if isinstance(b, str):
            assert a.replace("gradus", "torch") == b, what
            continue
        a, b = array_of(a), array_of(b)
        rtol, atol = max(TOLERANCE[precision], TOLERANCE[b.dtype.name]) if b.dtype.name in TOLERANCE else (0.0, 0.0)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=what)


def attempt(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """The result of a call, or the error it ended in."""
    try:
        return call(), None
    except Exception as error:
        return None, error


def agree(
    mine: Callable[..., Any], theirs: Callable[..., Any], arrays: Sequence[np.ndarray], what: str = "", lenient: bool = False
) -> None:
    """The same call in both libraries: equal results and gradients, or an error in both (in PyTorch alone when ``lenient``)."""
    ours = [gradus.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    pytorch = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own deprecations
        wanted, wanted_error = attempt(lambda: theirs(*pytorch))
    got, error = attempt(lambda: mine(*ours))
    if wanted_error is not None:
        assert lenient or error is not None, f"{what}: PyTorch raises {wanted_error}; we returned {got}"
        return
    if error is not None:
        raise AssertionError(f"{what}: {error!r}; PyTorch returns {wanted}") from error
    assert_same(got, wanted, what)
    for a, b in zip(leaves(got), leaves(wanted), strict=True):
        if isinstance(b, torch.Tensor) and b.numel():
            shared = [b.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() for x in pytorch]
            assert [np.may_share_memory(a.value, x.value) for x in ours] == shared, f"{what}: a view in one library and a copy in the other"
    outputs = [(a, b) for a, b in zip(leaves(got), leaves(wanted), strict=True) if getattr(b, "requires_grad", False)]
    for a, b in zip(leaves(got), leaves(wanted), strict=True):
        # Where the derivative is zero everywhere (floor, zero_), PyTorch records it and Gradus gives a constant.
        assert getattr(a, "requires_grad", False) in (getattr(b, "requires_grad", False), False), f"{what}: requires_grad"
    if not any(a.requires_grad for a, _ in outputs):
        attempt(
            lambda: torch.autograd.backward([b for _, b in outputs], [torch.ones_like(b) for _, b in outputs])
        )  # some have no derivative there either
        assert not any(b.grad is not None and b.grad.any() for b in pytorch), f"{what}: a gradient is missing"
        return
    rng = np.random.default_rng(1)
    weights = [np.asarray(rng.standard_normal(tuple(b.shape))).astype(described(b)[1]) for _, b in outputs]
    gradus.autograd.backward([a for a, _ in outputs], [gradus.tensor(w) for w in weights])
    torch.autograd.backward([b for _, b in outputs], [torch.tensor(w) for w in weights])
    for a, b in zip(ours, pytorch, strict=True):
        if a.grad is None or b.grad is None:
            # No path and a path along which nothing flows are the same.
            assert all(g is None or not g.any() for g in (a.grad, b.grad)), f"{what}: one of the gradients is None"
        else:
            assert_same(a.grad, b.grad, f"{what}: gradient", min(described(y)[1] for _, y in outputs))


@pytest.fixture(name="agree")
def agree_fixture() -> Callable[..., None]:
    return agree


@pytest.fixture(name="assert_same")
def assert_same_fixture() -> Callable[..., None]:
    return assert_same


@pytest.fixture(name="sample")
def sample_fixture() -> Callable[..., np.ndarray]:
    return sample

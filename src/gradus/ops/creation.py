"""Creation: raw arrays that depend on no data. Under any interpreter they are constants, so they need no record."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus.dtypes import get_default_dtype


def _floating(dtype: Any) -> Any:
    return get_default_dtype() if dtype is None else dtype


def zeros(shape: Any, dtype: Any = None) -> Any:
    """An array of zeros (float32 unless the default dtype says otherwise)."""
    return np.zeros(shape, _floating(dtype))


def ones(shape: Any, dtype: Any = None) -> Any:
    """An array of ones."""
    return np.ones(shape, _floating(dtype))


def full(shape: Any, value: Any, dtype: Any = None) -> Any:
    """An array filled with one value; Python floats make the default dtype, integers int64, booleans bool."""
    if dtype is None:
        dtype = (
            np.bool_
            if isinstance(value, bool)
            else np.int64
            if isinstance(value, int)
            else getattr(value, "dtype", None) or get_default_dtype()
        )
    return np.full(shape, value, dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """Evenly spaced values in [start, stop): int64 when all arguments are integers, else the default float."""
    start, stop = (0, start) if stop is None else (start, stop)
    if dtype is None:
        dtype = np.int64 if all(isinstance(v, (int, np.integer)) for v in (start, stop, step)) else get_default_dtype()
    return np.arange(start, stop, step, dtype=dtype)


def linspace(start: float, stop: float, num: int, dtype: Any = None) -> Any:
    """``num`` evenly spaced values from start to stop, both included."""
    with np.errstate(all="ignore"):  # NumPy warns about infinite ends from inside itself
        return np.linspace(start, stop, num, dtype=_floating(dtype))


def eye(n: int, m: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on diagonal ``k``, zeros elsewhere."""
    return np.eye(n, m, k, _floating(dtype))


def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros of the shape and dtype of ``x``."""
    return np.zeros(x.shape, dtype or x.dtype)


def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones of the shape and dtype of ``x``."""
    return np.ones(x.shape, dtype or x.dtype)


def full_like(x: Any, value: Any, dtype: Any = None) -> Any:
    """One value in the shape and dtype of ``x``."""
    return np.full(x.shape, value, dtype or x.dtype)

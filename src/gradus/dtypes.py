"""Names of dtypes, and the one rule by which operands of several dtypes meet.

A dtype is NumPy's own object: ``gradus.float32 == np.float32``. Promotion is PyTorch's, not NumPy's: an integer tensor meeting
a float tensor becomes that float (never silently float64), and a 0-d tensor or a Python number never widens a tensor of its own kind.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = np.dtype("int8"), np.dtype("int16"), np.dtype("int32"), np.dtype("int64")
uint8, uint16, uint32, uint64 = np.dtype("uint8"), np.dtype("uint16"), np.dtype("uint32"), np.dtype("uint64")
bool_ = np.dtype("bool")
# PyTorch's second names.
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64

NAMES = tuple("float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 half float double short int long".split())

_default = [float32]


def get_default_dtype() -> np.dtype[Any]:
    """The dtype that Python floats and creation functions take (float32 unless set).

    >>> get_default_dtype()
    dtype('float32')
    """
    return _default[0]


def set_default_dtype(dtype: Any) -> None:
    """Make ``dtype`` (a floating one) the dtype of Python floats and of creation functions."""
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"the default dtype must be floating, got {dtype}")
    _default[0] = dtype


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether derivatives exist for arrays of this dtype.

    >>> is_floating(float16), is_floating(int64)
    (True, False)
    """
    return dtype.kind == "f"


def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of two arrays of equal standing: an integer takes the other's floating dtype, whatever its width.

    >>> promote(int64, float32), promote(uint8, int8)
    (dtype('float32'), dtype('int16'))
    """
    if a.kind == "f" and b.kind != "f":
        return a
    if b.kind == "f" and a.kind != "f":
        return b
    return np.promote_types(a, b)


_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def _scalar_dtype(value: Any) -> np.dtype[Any]:
    """The dtype that a Python number stands for."""
    if isinstance(value, bool):
        return bool_
    return get_default_dtype() if isinstance(value, builtins.float) else int64


def result_type(*operands: Any) -> np.dtype[Any]:
    """PyTorch's promotion over arrays and Python numbers.

    Arrays with axes decide; 0-d arrays, then Python numbers, count only when they are of a higher kind (bool < integer < floating).

    >>> result_type(np.ones(3, "float32"), np.float64(2).reshape(())), result_type(np.ones(3, "int64"), 0.5)
    (dtype('float32'), dtype('float32'))
    """
    levels: list[np.dtype[Any] | None] = [None, None, None]
    for operand in operands:
        dtype = getattr(operand, "dtype", None)
        level = 2 if dtype is None else 0 if operand.ndim else 1
        dtype = _scalar_dtype(operand) if dtype is None else dtype
        known = levels[level]
        levels[level] = dtype if known is None else promote(known, dtype)
    result: np.dtype[Any] | None = None
    for candidate in levels:
        if candidate is None:
            continue
        if result is None:
            result = candidate
        elif _RANK[candidate.kind] > _RANK[result.kind]:
            result = promote(result, candidate)
    assert result is not None, "result_type needs an operand"
    return result

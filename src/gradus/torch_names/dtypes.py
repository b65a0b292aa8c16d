"""What a dtype can hold, and the dtype in which two meet."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradus import dtypes, ops
from gradus.errors import DTypeError
from gradus.torch_names.creation import tensor
from gradus.torch_names.table import function


class FloatLimits(NamedTuple):
    """What a floating dtype holds.

    Attributes:
        bits: of one number.
        eps: the distance from 1 to the next number.
        max: the largest finite number; min: its negative.
        tiny: the smallest positive number of full precision, also called smallest_normal.
        resolution: the decimals that survive, as a power of ten.
        dtype: its name.
    """

    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float
    dtype: str


class IntegerLimits(NamedTuple):
    """What an integer dtype holds.

    Attributes:
        bits: of one number.
        max: the largest number; min: the smallest.
        dtype: its name.
    """

    bits: int
    max: int
    min: int
    dtype: str


@function
def finfo(type: Any = None) -> FloatLimits:
    """The limits of a floating dtype (the default one when not given), as Python numbers.

    >>> finfo(np.dtype("float32")).eps
    1.1920928955078125e-07
    """
    dtype = np.dtype(dtypes.get_default_dtype() if type is None else type)
    if dtype.kind != "f":
        raise DTypeError(
            "finfo is about floating dtypes", got=str(dtype), wanted="float16, float32, float64", fix="gradus.iinfo", code="E14"
        )
    found = np.finfo(dtype)
    tiny = float(found.smallest_normal)
    return FloatLimits(found.bits, float(found.eps), float(found.max), float(found.min), tiny, tiny, float(found.resolution), dtype.name)


@function
def iinfo(type: Any) -> IntegerLimits:
    """The limits of an integer dtype, as Python numbers."""
    dtype = np.dtype(type)
    if dtype.kind not in "iu":
        raise DTypeError("iinfo is about integer dtypes", got=str(dtype), wanted="an integer dtype", fix="gradus.finfo", code="E14")
    found = np.iinfo(dtype)
    return IntegerLimits(found.bits, int(found.max), int(found.min), dtype.name)


@function
def promote_types(type1: Any, type2: Any) -> Any:
    """The dtype in which two dtypes meet."""
    return dtypes.promote(np.dtype(type1), np.dtype(type2))


@function
def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype of the sum of two tensors, or of a tensor and a number."""
    given = [ops.getitem(ops.reshape(x, (-1,)), key=(slice(0, 0),)) if getattr(x, "ndim", 0) else x for x in (tensor1, tensor2)]
    if not any(hasattr(x, "dtype") for x in given):
        given = [tensor(x) for x in given]
    return ops.add(*given).dtype

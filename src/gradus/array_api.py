"""The Array API over Tensors: what ``Tensor.__array_namespace__()`` returns, so that code written for the standard runs on Gradus.

The vocabulary is that of :mod:`gradus.ops`, which has the standard's spelling already. Written out here are creation, which gives Tensors,
and the functions whose arguments the standard counts or names otherwise. Left out are complex numbers, sets and ``linalg``.

Source: https://data-apis.org/array-api, version 2025.12.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from math import e, inf, nan, pi
from types import ModuleType
from typing import Any

import numpy as np

from gradus import dtypes, ops
from gradus.errors import UsageError
from gradus.tensors import Tensor, as_array, device, wrap

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
DTYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
newaxis = None

# What the standard and gradus.ops call and pass alike.
SAME = """
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_or bitwise_xor ceil cos cosh divide equal exp expm1 floor
floor_divide greater greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logical_and logical_not
logical_or logical_xor maximum minimum multiply negative not_equal pow reciprocal remainder round sign sin sinh sqrt square subtract tan
tanh trunc where all any argmax argmin count_nonzero max mean min std var broadcast_to expand_dims flip matmul matrix_transpose moveaxis
permute_dims reshape roll squeeze stack take take_along_axis tril triu
""".split()
CREATION = {"empty": "zeros", "empty_like": "zeros_like"} | {
    name: name for name in ("arange", "eye", "full", "full_like", "linspace", "ones", "ones_like", "zeros", "zeros_like")
}


def _creator(name: str, make: Callable[..., Any]) -> Callable[..., Tensor]:
    """A creation function of ``gradus.ops`` that gives a Tensor."""

    def create(*args: Any, device: Any = None, **keywords: Any) -> Tensor:
        _check_device(device)
        return wrap(make(*args, **keywords))

    functools.update_wrapper(create, make)
    create.__name__ = create.__qualname__ = name
    return create


def _check_device(wanted: Any) -> None:
    if wanted is not None:
        device(wanted)


def asarray(data: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """A Tensor of numbers, nested sequences or arrays; memory is shared where ``copy`` allows it and the dtype stays.

    >>> asarray([[1, 2], [3, 4]]).shape
    Size([2, 2])
    """
    _check_device(device)
    shares = isinstance(data, (Tensor, np.ndarray)) and (dtype is None or data.dtype == np.dtype(dtype))
    if copy is False and not shares:
        raise ValueError("asarray(copy=False) cannot make a Tensor of this without a copy")
    if copy or not isinstance(data, (Tensor, np.ndarray)):
        return data.clone() if isinstance(data, Tensor) and shares else wrap(as_array(data, dtype))
    made = data if isinstance(data, Tensor) else wrap(data) if data.dtype.isnative else wrap(as_array(data))
    return made if shares else ops.astype(made, np.dtype(dtype))


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """``x`` in another dtype; ``x`` itself if it has that dtype and need not be copied.

    >>> astype(asarray([1.5]), int64)
    tensor([1])
    """
    _check_device(device)
    if x.dtype == dtype:
        return ops.multiply(x, 1) if copy and x.dtype.kind != "b" else x.clone() if copy else x
    return ops.astype(x, dtype)


def positive(x: Any, /) -> Any:
    """``+x``."""
    return +x


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """``x`` limited to [min, max].

    >>> clip(asarray([-2.0, 0.5, 2.0]), min=-1.0, max=1.0)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    return x if min is None and max is None else ops.clip(x, low=min, high=max)


def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum over ``axis`` (all axes when None), added up in ``dtype``."""
    return ops.sum(x if dtype is None else ops.astype(x, dtype), axis=axis, keepdims=keepdims)


def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product over ``axis`` (all axes when None), multiplied in ``dtype``."""
    return ops.prod(x if dtype is None else ops.astype(x, dtype), axis=axis, keepdims=keepdims)


def _running(op: Callable[[Any], Any], first: int, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Any:
    """A running sum or product along an axis; with ``include_initial`` it begins with that of no element."""
    if axis is None and x.ndim != 1:
        raise ValueError(f"a running sum or product needs axis= for an array of {x.ndim} axes")
    axis = 0 if axis is None else axis % x.ndim
    y = ops.moveaxis(op(ops.moveaxis(x if dtype is None else ops.astype(x, dtype), axis, -1)), -1, axis)
    if not include_initial:
        return y
    return ops.concat([wrap(np.full((*y.shape[:axis], 1, *y.shape[axis + 1 :]), first, y.dtype)), y], axis=axis)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """Running sums along ``axis``.

    >>> cumulative_sum(asarray([1, 2, 3]), include_initial=True)
    tensor([0, 1, 3, 6])
    """
    return _running(ops.cumulative_sum, 0, x, axis, dtype, include_initial)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """Running products along ``axis``."""
    return _running(ops.cumulative_prod, 1, x, axis, dtype, include_initial)


def diff(x: Any, /, *, axis: int = -1, n: int = 1) -> Any:
    """Differences of neighbours along ``axis``, taken ``n`` times.

    >>> diff(asarray([1, 4, 9]))
    tensor([3, 5])
    """
    axis %= x.ndim
    for _ in range(n):
        before = (slice(None),) * axis
        x = x[(*before, slice(1, None))] - x[(*before, slice(None, -1))]
    return x


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Values in order along ``axis``; always stable."""
    return ops.sort(x, axis=axis, descending=descending)


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Indices that sort along ``axis``; always stable."""
    return ops.argsort(x, axis=axis, descending=descending)


def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Any:
    """Join along an existing axis; with None, the flattened arrays."""
    return ops.concat([ops.reshape(x, (-1,)) for x in arrays] if axis is None else arrays, axis=axis or 0)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, without it.

    >>> unstack(asarray([[1, 2], [3, 4]]), axis=1)
    (tensor([1, 3]), tensor([2, 4]))
    """
    before = (slice(None),) * (axis % x.ndim)
    return tuple([x[(*before, i)] for i in range(x.shape[axis])])


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Sums of products along an axis of both, the others broadcast."""
    return ops.sum(x1 * x2, axis=axis)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """The arrays, each in the shape that all broadcast to."""
    shape = np.broadcast_shapes(*[tuple(x.shape) for x in arrays])
    return tuple([ops.broadcast_to(x, shape) for x in arrays])


def result_type(*operands: Any) -> Any:
    """The dtype in which arrays, dtypes and Python numbers meet.

    >>> result_type(float32, int64)
    dtype('float32')
    """
    return dtypes.result_type(*[np.empty(1, x) if isinstance(x, np.dtype) else x for x in operands])


# NumPy's dtypes are ours, so its questions about them are, too.
can_cast, finfo, iinfo, isdtype = np.can_cast, np.finfo, np.iinfo, np.isdtype
globals().update({"bool": dtypes.bool_, **{name: getattr(dtypes, name) for name in DTYPES}})
globals().update({name: getattr(ops, name) for name in SAME})
globals().update({name: _creator(name, getattr(ops, source)) for name, source in CREATION.items()})

__all__ = [
    "argsort", "asarray", "astype", "bool", "broadcast_arrays", "can_cast", "clip", "concat", "cumulative_prod", "cumulative_sum", "diff",
    "e", "finfo", "iinfo", "inf", "isdtype", "nan", "newaxis", "pi", "positive", "prod", "result_type", "sort", "sum", "unstack", "vecdot",
    *DTYPES, *SAME, *CREATION,
]  # fmt: skip


def _namespace_of(self: Tensor, *, api_version: str | None = None) -> ModuleType:
    """The Array API's functions for Tensors, which are :mod:`gradus.array_api`."""
    if api_version is not None and api_version not in VERSIONS:
        raise UsageError(f"Gradus does not know version {api_version!r} of the Array API", wanted=f"None, or one of {', '.join(VERSIONS)}")
    return sys.modules[__name__]


Tensor.__array_namespace__ = _namespace_of  # type: ignore[attr-defined]

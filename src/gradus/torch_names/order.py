"""The order of values: sorted, the middle, the distinct ones, places in between, and counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, IndexRangeError, UsageError
from gradus.tensors import Tensor, wrap
from gradus.torch_names.movement import movedim
from gradus.torch_names.table import ValuesIndices, axis_of, both, check_ranks, function, tensor_of, with_an_axis


@both
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(values, indices) in order along ``dim``; always stable."""

    def ordered(x: Any) -> Any:
        indices = ops.argsort(x, axis=axis_of(x, dim), descending=descending)
        return ValuesIndices(ops.take_along_axis(x, indices, axis=dim), indices)

    return with_an_axis(ordered, input)


@both
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Indices that sort along ``dim``."""
    return with_an_axis(lambda x: ops.argsort(x, axis=axis_of(x, dim), descending=descending), input)


@both
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the ``k`` largest (or smallest) along ``dim``, in order."""

    def best(x: Any) -> Any:
        axis = axis_of(x, dim)
        if not 0 <= k <= x.shape[axis]:
            raise IndexRangeError(
                "selected index k out of range",
                got=f"k = {k}, an axis of {x.shape[axis]} elements",
                wanted="0 <= k <= the length of the axis",
                code="E41",
            )
        order = ops.argsort(x, axis=axis, descending=largest)
        indices = ops.getitem(order, key=(*(slice(None),) * axis, slice(0, k)))
        return ValuesIndices(ops.take_along_axis(x, indices, axis=axis), indices)

    return with_an_axis(best, input)


@both
def msort(input: Any) -> Any:
    """Sorted along axis 0."""
    return with_an_axis(lambda x: ops.take_along_axis(x, ops.argsort(x, axis=0), axis=0), input)


def _picked(input: Any, place: int, axis: int, keepdim: bool, nan: bool) -> ValuesIndices:
    """(value, index) of the element at one place of the order along an axis; the first NaN, where ``nan`` says so and there is one."""
    order = ops.argsort(input, axis=axis)
    indices = ops.getitem(order, key=(*(slice(None),) * axis, slice(place, place + 1)))
    if nan and input.dtype.kind == "f":
        lost = ops.isnan(input)
        indices = ops.where(
            ops.any(lost, axis=axis, keepdims=True), ops.argmax(ops.astype(lost, np.int64), axis=axis, keepdims=True), indices
        )
    values = ops.take_along_axis(input, indices, axis=axis)
    return ValuesIndices(*[x if keepdim else ops.squeeze(x, axis=axis) for x in (values, indices)])


@both
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(value, index) of the ``k``-th smallest along an axis, counted from 1; NaN is larger than all numbers.

    >>> import gradus
    >>> gradus.tensor([3.0, 1.0, 2.0]).kthvalue(2).values
    tensor(2.)
    """

    def found(x: Any) -> Any:
        axis = axis_of(x, dim)
        if not 1 <= k <= x.shape[axis]:
            raise IndexRangeError(
                "kthvalue(): selected number k out of range", got=f"k = {k}, {x.shape[axis]} elements", wanted="1 to that", code="E41"
            )
        return _picked(x, k - 1, axis, keepdim, False)

    return with_an_axis(found, input)


@both
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle of the order, the lower one of two; with ``dim`` (value, index) along it; NaN where there is one."""
    if dim is None:
        flat = ops.reshape(input, (-1,))
        if not flat.shape[0]:
            return ops.sum(flat) * math.nan
        return _picked(flat, (flat.shape[0] - 1) // 2, 0, False, True).values

    def found(x: Any) -> Any:
        axis = axis_of(x, dim)
        if not x.shape[axis]:
            raise IndexRangeError("median(): there is no middle of nothing", got=f"shape {tuple(x.shape)}", wanted="an element", code="E41")
        return _picked(x, (x.shape[axis] - 1) // 2, axis, keepdim, True)

    return with_an_axis(found, input)


@both
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle of the order of all that is not NaN, the lower one of two; with ``dim`` (value, index) along it."""
    if input.dtype.kind != "f":
        return median(input, dim, keepdim)
    if dim is None:
        return nanmedian(ops.reshape(input, (-1,)), 0).values if input.numel() else median(input)

    def found(x: Any) -> Any:
        axis = axis_of(x, dim)
        there = ops.sum(ops.astype(ops.logical_not(ops.isnan(x)), np.int64), axis=axis, keepdims=True)
        order = ops.argsort(x, axis=axis)  # NaN comes last
        indices = ops.take_along_axis(order, ops.maximum(there - 1, 0) // 2, axis=axis)
        values = ops.take_along_axis(x, indices, axis=axis)
        return ValuesIndices(*[y if keepdim else ops.squeeze(y, axis=axis) for y in (values, indices)])

    return with_an_axis(found, input)


INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


@both
def quantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """The value below which a share ``q`` of the elements lies; several shares make a first axis.

    Between two neighbours ``interpolation`` decides: "linear", "lower", "higher", "midpoint" or "nearest".

    >>> import gradus
    >>> gradus.tensor([1.0, 2.0, 3.0, 4.0]).quantile(0.5)
    tensor(2.5000)
    """
    if input.dtype.kind != "f":
        raise DTypeError(
            "quantile() input tensor must be either float or double dtype",
            got=str(input.dtype),
            wanted="floats",
            fix="x.float()",
            code="E14",
        )
    if interpolation not in INTERPOLATIONS:
        raise UsageError("quantile has no such interpolation", got=repr(interpolation), wanted=", ".join(INTERPOLATIONS), code="E29")
    shares = np.asarray(q.detach().numpy() if isinstance(q, Tensor) else q, np.float64)
    x = ops.reshape(input, (-1,)) if dim is None or not input.ndim else movedim(input, dim, -1)
    n = x.shape[-1]
    if shares.ndim > 1 or not n or ((shares < 0) | (shares > 1)).any():
        raise UsageError(
            "quantile takes shares in [0, 1] of at least one element", got=f"q = {q}, {n} elements", wanted="0 <= q <= 1", code="E29"
        )
    ordered = ops.take_along_axis(x, ops.argsort(x, axis=-1), axis=-1)
    place = shares.reshape(-1) * (n - 1)
    low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
    if interpolation == "nearest":
        low = high = np.round(place).astype(np.int64)
    low, high = {"lower": (low, low), "higher": (high, high)}.get(interpolation, (low, high))
    weight = np.full(place.shape, 0.5) if interpolation == "midpoint" else place - low
    below, above = ops.take(ordered, low, axis=-1), ops.take(ordered, high, axis=-1)
    found = below + (above - below) * weight.astype(input.dtype)
    found = ops.where(ops.any(ops.isnan(x), axis=-1, keepdims=True), math.nan, found)
    found = movedim(found, -1, 0)
    if keepdim:
        axis = None if dim is None or not input.ndim else dim % input.ndim
        kept = [1 if axis in (None, k) else length for k, length in enumerate(input.shape)]
        found = ops.reshape(found, (found.shape[0], *kept))
    return found if shares.ndim else ops.squeeze(found, axis=0)


# Sets, and places in an order.


@both
def unique(input: Any, return_counts: bool = False, return_inverse: bool = False) -> Any:
    """The distinct elements in order."""
    found: Any = np.unique(input.detach().numpy(), return_counts=return_counts, return_inverse=return_inverse)  # type: ignore[call-overload]
    return tuple([wrap(x) for x in found]) if isinstance(found, tuple) else wrap(found)


@both
def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """All elements but those that equal the one before them."""
    x = input.detach().numpy().ravel()
    new = np.ones(x.shape, bool)
    new[1:] = x[1:] != x[:-1]
    places = np.flatnonzero(new)
    found = [wrap(x[places])]
    if return_inverse:
        found.append(wrap((np.cumsum(new) - 1).reshape(tuple(input.shape))))
    if return_counts:
        found.append(wrap(np.diff(np.append(places, len(x)))))
    return tuple(found) if len(found) > 1 else found[0]


@function
def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Any:
    """Whether each element is among the others.

    >>> import gradus
    >>> gradus.isin(gradus.tensor([1, 2, 3]), gradus.tensor([2, 3]))
    tensor([False,  True,  True])
    """
    a, b = tensor_of(elements), ops.reshape(tensor_of(test_elements), (-1,))
    found = ops.any(ops.equal(ops.expand_dims(a, axis=-1), b), axis=-1)
    return ops.logical_not(found) if invert else found


@function
def searchsorted(sorted_sequence: Any, input: Any, *, right: bool = False) -> Any:
    """How many of an ascending vector are smaller than each number (``right``: not greater).

    >>> import gradus
    >>> gradus.searchsorted(gradus.tensor([1, 3, 5]), gradus.tensor([0, 3, 9]))
    tensor([0, 1, 3])
    """
    edges, x = tensor_of(sorted_sequence), tensor_of(input)
    check_ranks("searchsorted", 1, edges, most=1)
    return wrap(np.asarray(np.searchsorted(edges.detach().numpy(), x.detach().numpy(), "right" if right else "left")))


@function
def bucketize(input: Any, boundaries: Any, *, right: bool = False) -> Any:
    """The number of the interval, between ascending boundaries, that each number lies in."""
    return searchsorted(boundaries, input, right=right)


# Counts.


@both
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall in each of ``bins`` equal intervals of [min, max] (the data's own range when both are 0)."""
    x = input.detach().numpy()
    low, high = (min, max) if (min, max) != (0, 0) else (x.min(), x.max())
    return wrap(np.histogram(x, bins=bins, range=(low, high))[0].astype(x.dtype))


@both
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each non-negative integer occurs."""
    counts = np.bincount(input.numpy(), None if weights is None else weights.detach().numpy(), minlength)
    return wrap(counts if weights is None or weights.dtype.kind != "f" else counts.astype(weights.dtype))

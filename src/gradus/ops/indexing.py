"""Indexing: reading at a key, and its two counterparts, adding at a key and writing at a key. Sorting reads in another order.

A key is split once, by :func:`split_key`: integers, slices, None and Ellipsis stay in the key (they are known before any data);
index arrays and masks travel beside it as inputs of the op, and leave an ``INDEX_SLOT`` in their place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import backend
from gradus.backend import INDEX_SLOT
from gradus.ops import claims
from gradus.ops.movement import flip
from gradus.primitive import REGISTRY, bind, normalize_axes, primitive


def split_key(key: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A key as ``(static key, index arrays)``.

    >>> split_key((slice(1), [2, 0], None))
    ((slice(None, 1, None), <index array>, None), (array([2, 0]),))
    """
    if type(key) in (int, slice):
        return (key,), ()
    static: list[Any] = []
    arrays: list[Any] = []
    for item in key if isinstance(key, tuple) else (key,):
        if item is None or item is Ellipsis or isinstance(item, slice):
            static.append(item)
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            static.append(int(item))
        else:
            item = (
                item
                if hasattr(item, "dtype")
                else np.asarray(item, dtype=np.int64 if isinstance(item, (list, range)) and not len(item) else None)
            )
            if item.dtype.kind not in "iub":
                raise IndexError(f"tensors used as indices must be integer or bool, got {item.dtype}: use .long()")
            static.append(INDEX_SLOT)
            arrays.append(item)
    return tuple(static), tuple(arrays)


INDEXED = {"key": (INDEX_SLOT,)}


@primitive(
    "getitem",
    lambda xp, x, *indices, key: xp.getitem(x, *indices, key=key),
    (lambda xp, g, x_shape, indices, key: xp.scatter_add(g, *indices, shape=x_shape, key=key), None),
    raw=backend.numpy.getitem,
    family="indexing",
    forward_mode="linear",
    view=True,
    kernel=claims.getitem,
    samples=lambda draw: [
        ((draw(4, 3),), {"key": (slice(1, None, 2),)}),
        ((draw(4, 3),), {"key": (..., 1)}),
        ((draw(4, 3), draw.integers(4, 5)), {"key": (INDEX_SLOT, None, slice(0, 2))}),
        ((draw(4, 3), draw.bool(4)), INDEXED),
        ((draw(4, 3), draw.integers(4, 2), draw.integers(3, 2)), {"key": (INDEX_SLOT, INDEX_SLOT)}),
    ],
)
def getitem(record: Any, x: Any, /, *indices: Any, key: Any) -> Any:
    """``x`` read at a split key; see :func:`index` for keys as people write them."""
    return bind(record, (x, *indices), {"key": key})


def index(x: Any, key: Any, /) -> Any:
    """``x[key]`` with every form of key that NumPy knows."""
    static, arrays = split_key(key)
    if arrays and len(static) > 1 and any(type(item) is int for item in static):
        basic, static = integers_first(static, arrays)
        x = getitem(x, key=basic)
    return bind(REGISTRY["getitem"], (x, *arrays), {"key": static})


def integers_first(static: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A key with integers beside index arrays, as two keys to apply in turn: all but the arrays, then the arrays.

    So ``x[1, :, [2, 0]]`` is ``x[1][:, [2, 0]]``, as in PyTorch. NumPy would count 1 as an index array and put the arrays' axis first.
    """
    basic: list[Any] = []
    rest = iter(arrays)
    for item in static:
        if item is INDEX_SLOT:
            array = next(rest)
            basic.extend([slice(None)] * (array.ndim if array.dtype.kind == "b" else 1))
        else:
            basic.append(item)
    return tuple(basic), tuple(
        [item if item is INDEX_SLOT or item is Ellipsis else slice(None) for item in static if type(item) is not int]
    )


@primitive(
    "scatter_add",
    lambda xp, x, *indices, shape, key: xp.scatter_add(x, *indices, shape=shape, key=key),
    (lambda xp, g, indices, key: xp.getitem(g, *indices, key=key), None),
    family="indexing",
    forward_mode="linear",
    kernel=claims.scatter_add,
    samples=lambda draw: [
        ((draw(5, 3), draw.integers(4, 5)), {"shape": (4, 3), "key": (INDEX_SLOT,)}),
        ((draw(2, 3),), {"shape": (4, 3), "key": (slice(1, 3),)}),
    ],
)
def scatter_add(record: Any, x: Any, /, *indices: Any, shape: Any, key: Any) -> Any:
    """Zeros of ``shape`` with ``x`` added at a split key; a place named twice receives both."""
    return bind(record, (x, *indices), {"shape": tuple(shape), "key": key})


@primitive(
    "index_update",
    lambda xp, x, values, *indices, key: xp.index_update(x, values, *indices, key=key),
    (
        lambda xp, g, indices, key: xp.index_update(g, 0.0, *indices, key=key),
        lambda xp, g, indices, key: xp.getitem(g, *indices, key=key),
        None,
    ),
    family="indexing",
    forward_mode="linear",
    kernel=claims.index_update,
    samples=lambda draw: [((draw(4, 3), draw(2, 3)), {"key": (slice(0, 2),)}), ((draw(4, 3), draw(3), np.array([2, 0])), INDEXED)],
)
def index_update(record: Any, x: Any, values: Any, /, *indices: Any, key: Any) -> Any:
    """A copy of ``x`` with ``values`` written at a split key (broadcast to fit)."""
    return bind(record, (x, values, *indices), {"key": key})


def take(x: Any, indices: Any, /, axis: int = 0) -> Any:
    """Rows (or slices along ``axis``) in the order of ``indices``, which may have any shape."""
    (axis,) = normalize_axes(axis, x.ndim)
    indices = indices if hasattr(indices, "dtype") else np.asarray(indices)
    return getitem(x, indices, key=(*(slice(None),) * axis, INDEX_SLOT))


def take_along_axis(x: Any, indices: Any, /, axis: int = -1) -> Any:
    """``y[i, j] = x[i, indices[i, j]]`` for the last axis, and so on for others; ``indices`` may be shorter than ``x`` on other axes."""
    return getitem(x, *_grid(indices, axis), key=(INDEX_SLOT,) * x.ndim)


def scatter_add_along_axis(x: Any, indices: Any, values: Any, /, axis: int = -1) -> Any:
    """``x`` with ``values`` added where :func:`take_along_axis` would read."""
    return x + scatter_add(values, *_grid(indices, axis), shape=x.shape, key=(INDEX_SLOT,) * x.ndim)


def _grid(indices: Any, axis: int) -> tuple[Any, ...]:
    """Index arrays for every axis: counting ones, but ``indices`` on ``axis``."""
    (axis,) = normalize_axes(axis, indices.ndim)
    return tuple(
        [indices if k == axis else np.arange(n).reshape((-1,) + (1,) * (indices.ndim - 1 - k)) for k, n in enumerate(indices.shape)]
    )


@primitive(
    "argsort",
    lambda xp, x, *, axis: xp.argsort(x, axis=axis),
    (None,),
    family="indexing",
    samples=lambda draw: [((draw(3, 4),), {"axis": 1})],
)
def _ascending(record: Any, x: Any, /, axis: int) -> Any:
    """Indices that sort ascending; ties keep their order."""
    return bind(record, (x,), {"axis": axis})


def argsort(x: Any, /, axis: int = -1, descending: bool = False) -> Any:
    """Indices that sort along ``axis``; ties keep their order in both directions."""
    if not descending:
        return _ascending(x, axis=axis)
    # Sorting the mirror image keeps the order of ties and needs no negation, which unsigned integers lack.
    return (x.shape[axis] - 1) - flip(_ascending(flip(x, axis=axis), axis=axis), axis=axis)


def sort(x: Any, /, axis: int = -1, descending: bool = False) -> Any:
    """Values in order along ``axis``; the gradient follows each value to where it came from."""
    return take_along_axis(x, argsort(x, axis=axis, descending=descending), axis=axis)

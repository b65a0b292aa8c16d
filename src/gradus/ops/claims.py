"""Which calls of indexing, movement and random ops have a kernel made by hand, and what it is told: see :class:`gradus.primitive.Handmade`.

Only shapes and dtypes are looked at, and no module of :mod:`gradus.kernels` is imported: a claim names its function.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradus.backend import INDEX_SLOT
from gradus.primitive import Handmade, NumberArgument, normalize_axes

NUMBERS = {np.dtype(name): name for name in ("float32", "float64", "int64", "int32")}
INDICES = {np.dtype(name): name for name in ("int64", "int32")}
LABELS = INDICES | {np.dtype("uint8"): "uint8"}
MOVED = {1: "uint8", 4: "int32", 8: "int64"}  # what elements of so many bytes are moved as
LOOPS = 4
GRID_LOOPS = 3
MOST_PIECES = 256

Strides = tuple[int, ...]


def _contiguous(shape: Sequence[int]) -> Strides:
    return tuple([math.prod(shape[k + 1 :]) for k in range(len(shape))])


def _broadcast(shape: Sequence[int], to: Sequence[int]) -> Strides | None:
    """Strides with which a contiguous array of ``shape`` is read as one of ``to``; None if it does not stretch so."""
    missing = len(to) - len(shape)
    if missing < 0 or any(n not in (1, m) for n, m in zip(shape, to[missing:], strict=True)):
        return None
    return (0,) * missing + tuple([0 if n == 1 else step for n, step in zip(shape, _contiguous(shape), strict=True)])


def _loops(lengths: Sequence[int], strides: Sequence[Strides], most: int) -> list[tuple[int, ...]] | None:
    """(length, a step for each walk) of as few nested loops as possible, filled up with single steps; None if more than ``most``.

    >>> _loops((2, 3, 4), ((12, 4, 1), (24, 4, 1)), 3)
    [(1, 0, 0), (2, 12, 24), (12, 1, 1)]
    """
    merged: list[tuple[int, ...]] = []
    for n, *steps in zip(lengths, *strides, strict=True):
        if n == 1:
            continue
        if merged and all(outer == n * inner for outer, inner in zip(merged[-1][1:], steps, strict=True)):
            merged[-1] = (merged[-1][0] * n, *steps)
        else:
            merged.append((n, *steps))
    if len(merged) > most:
        return None
    return [(1,) + (0,) * len(strides)] * (most - len(merged)) + merged


# Pieces: joining, padding, rolling, and keys that are known before any data.


def _piece(source: int, lengths: Sequence[int], out: tuple[int, Strides], x: tuple[int, Strides]) -> tuple[int, ...] | None:
    """One piece of ``joining.place``: which input, and for output and input the first element and the strides."""
    loops = _loops(lengths, (out[1], x[1]), LOOPS)
    return None if loops is None else (source, out[0], x[0], *[loop[k] for k in range(3) for loop in loops])


def _placed(inputs: Sequence[Any], output: Any, pieces: Sequence[tuple[int, ...] | None], zeros_first: bool = False) -> Handmade | None:
    kind = MOVED.get(output.dtype.itemsize)
    if kind is None or any(x.dtype != output.dtype for x in inputs) or len(pieces) > MOST_PIECES:
        return None
    integers = [output.size, len(pieces)]
    for piece in pieces:
        if piece is None:
            return None
        integers += piece
    return Handmade("joining.place", tuple(integers), (len(inputs), int(zeros_first), kind), by_table=True)


def concat(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """Arrays one after the other along an axis."""
    axis, steps = params["axis"], _contiguous(output.shape)
    starts = itertools.accumulate([x.shape[axis] for x in inputs], initial=0)
    pieces = [
        _piece(k, x.shape, (start * steps[axis], steps), (0, _contiguous(x.shape)))
        for k, (x, start) in enumerate(zip(inputs, starts, strict=False))
    ]
    return _placed(inputs, output, pieces)


def stack(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """Arrays one after the other along a new axis."""
    axis, steps = params["axis"], _contiguous(output.shape)
    across = steps[:axis] + steps[axis + 1 :]
    return _placed(inputs, output, [_piece(k, x.shape, (k * steps[axis], across), (0, _contiguous(x.shape))) for k, x in enumerate(inputs)])


def pad(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """Zeros, and the array inside."""
    (x,) = inputs
    steps = _contiguous(output.shape)
    start = sum(before * step for (before, _), step in zip(params["width"], steps, strict=True))
    return _placed(inputs, output, [_piece(0, x.shape, (start, steps), (0, _contiguous(x.shape)))], zeros_first=True)


def roll(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """Each rolled axis falls into two parts, which change places."""
    (x,) = inputs
    shifts = [0] * len(x.shape)
    for axis, shift in zip(params["axis"], params["shift"], strict=False):
        shifts[axis] += shift
    steps = _contiguous(x.shape)
    parts = [[(0, s, n - s), (n - s, 0, s)] if s else [(0, 0, n)] for n, s in ((n, s % n) for n, s in zip(x.shape, shifts, strict=True))]
    pieces = []
    for choice in itertools.product(*parts):
        source, target = (sum(part[k] * step for part, step in zip(choice, steps, strict=True)) for k in (0, 1))
        pieces.append(_piece(0, [part[2] for part in choice], (target, steps), (source, steps)))
    return _placed(inputs, output, pieces)


def _region(shape: Sequence[int], key: tuple[Any, ...]) -> tuple[tuple[int, ...], int, Strides]:
    """Shape, first element and strides of what a key without index arrays selects. NumPy itself is asked, on memory never touched."""
    whole = np.empty(shape, np.bool_)
    part = whole[(*key, ...)] if Ellipsis not in key else whole[key]
    start = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return part.shape, start, part.strides


def triangle(below: int) -> Any:
    """The claim of tril (1) or triu (0)."""

    def claim(inputs: Any, output: Any, params: Any) -> Handmade | None:
        (x,) = inputs
        kind = MOVED.get(x.dtype.itemsize)
        if kind is None or len(x.shape) < 2 or x.dtype != output.dtype:
            return None
        matrices, (rows, columns) = math.prod(x.shape[:-2]), x.shape[-2:]
        # No further out than the corners, so that row + k stays a small number.
        diagonal = max(min(params["k"], columns), -rows)
        return Handmade("joining.triangle", (matrices, rows, columns, diagonal), (below, kind))

    return claim


# Index arrays.


def _place_of_arrays(key: tuple[Any, ...], ndim: int) -> int | None:
    """The first axis that is indexed by an array, if the arrays stand side by side and all other axes are taken whole; else None."""
    if any(item is None or type(item) is int for item in key):
        return None
    if Ellipsis in key:
        k = key.index(Ellipsis)
        key = (*key[:k], *(slice(None),) * (ndim - len(key) + 1), *key[k + 1 :])
    places = [k for k, item in enumerate(key) if item is INDEX_SLOT]
    whole = all(item is INDEX_SLOT or item == slice(None) for item in key)
    return places[0] if whole and places[-1] - places[0] == len(places) - 1 else None


def _row_sizes(shape: Sequence[int], axis: int, indices: Any) -> tuple[int, int, int, int]:
    """(outer, rows, count, inner): how a kernel sees an array that one index array reads along an axis."""
    return math.prod(shape[:axis]), shape[axis], indices.size, math.prod(shape[axis + 1 :])


def _grid_integers(shape: Sequence[int], axis: int, indices: Sequence[Any], size: int) -> tuple[int, ...] | None:
    """What ``take_grid`` and ``add_grid`` are told about index arrays on the axes from ``axis`` on."""
    places = np.broadcast_shapes(*[index.shape for index in indices])
    walks = [_broadcast(index.shape, places) for index in indices]
    loops = _loops(places, [walk for walk in walks if walk is not None], GRID_LOOPS)
    if loops is None:
        return None
    after, steps = axis + len(indices), _contiguous(shape)
    integers = [size, math.prod(shape[:axis]), math.prod(shape[axis:]), math.prod(shape[after:]), *[loop[0] for loop in loops]]
    for k, index in enumerate(indices):
        integers += [shape[axis + k], steps[axis + k], index.dtype.itemsize, *[loop[1 + k] for loop in loops]]
    return tuple(integers)


def _indexed_shape(shape: Sequence[int], axis: int, indices: Sequence[Any]) -> tuple[int, ...]:
    return (*shape[:axis], *np.broadcast_shapes(*[index.shape for index in indices]), *shape[axis + len(indices) :])


def getitem(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """Rows by one index array, places by several."""
    x, *indices = inputs
    kind, axis = MOVED.get(x.dtype.itemsize), _place_of_arrays(params["key"], len(x.shape)) if indices else None
    if kind is None or axis is None or any(index.dtype not in INDICES for index in indices):
        return None
    if len(indices) == 1:
        return Handmade("indexing.take", _row_sizes(x.shape, axis, indices[0]), (kind, INDICES[indices[0].dtype]))
    integers = _grid_integers(x.shape, axis, indices, output.size)
    return None if integers is None else Handmade("indexing.take_grid", integers, (len(indices), kind), by_table=True)


def scatter_add(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """The gradients of reading: at a key known before any data, or at index arrays."""
    g, *indices = inputs
    key, shape = params["key"], output.shape
    if g.dtype != output.dtype or g.dtype not in NUMBERS:
        return None
    if not indices:
        part, start, steps = _region(shape, key)
        walk = _broadcast(g.shape, part)
        return None if walk is None else _placed(inputs, output, [_piece(0, part, (start, steps), (0, walk))], zeros_first=True)
    axis = _place_of_arrays(key, len(shape))
    if axis is None or any(index.dtype not in INDICES for index in indices) or g.shape != _indexed_shape(shape, axis, indices):
        return None
    if len(indices) == 1:
        return Handmade("indexing.add", _row_sizes(shape, axis, indices[0]), (NUMBERS[g.dtype], INDICES[indices[0].dtype]), flops=g.size)
    integers = _grid_integers(shape, axis, indices, output.size)
    return (
        None if integers is None else Handmade("indexing.add_grid", integers, (len(indices), NUMBERS[g.dtype]), by_table=True, flops=g.size)
    )


def index_update(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """A copy with values, or one number, written at a key known before any data, or at the rows of one index array."""
    x, values, *indices = inputs
    key, kind, number = params["key"], MOVED.get(x.dtype.itemsize), isinstance(values, NumberArgument)
    if kind is None or len(indices) > 1 or (x.dtype.kind != "f" if number else values.dtype != x.dtype):
        return None
    if indices:
        (index,) = indices
        axis = _place_of_arrays(key, len(x.shape))
        if axis is None or index.dtype not in INDICES:
            return None
        sizes = _row_sizes(x.shape, axis, index)
        if number:
            return Handmade("indexing.put_number", sizes, (NUMBERS[x.dtype], INDICES[index.dtype]), numbers=1)
        fits = values.shape == _indexed_shape(x.shape, axis, indices)
        return Handmade("indexing.put", sizes, (kind, INDICES[index.dtype])) if fits else None
    part, start, steps = _region(x.shape, key)
    if 0 in part:
        return None
    walk = _broadcast(values.shape, part)
    piece = None if walk is None else _piece(1, part, (start, steps), (0, walk))
    if not number:
        whole = _contiguous(x.shape)
        return _placed(inputs, output, [_piece(0, x.shape, (0, whole), (0, whole)), piece])
    if piece is None or values.dtype.kind != "f":
        return None
    return Handmade("joining.fill_part", (x.size, *piece), (NUMBERS[x.dtype],), numbers=1, by_table=True)


# Reductions along one axis.


def _line_sizes(shape: Sequence[int], axis: Any) -> tuple[int, int, int]:
    """(outer, length, inner) of an axis; of all elements in a row for None."""
    if axis is None:
        return 1, math.prod(shape), 1
    (axis,) = normalize_axes(axis, len(shape))
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def extreme(largest: int) -> Any:
    """The claim of argmax (1) or argmin (0)."""

    def claim(inputs: Any, output: Any, params: Any) -> Handmade | None:
        (x,) = inputs
        if x.dtype not in NUMBERS or output.dtype != np.int64 or not x.shape:
            return None
        outer, length, inner = _line_sizes(x.shape, params["axis"])
        if inner == 1 and x.dtype.kind == "f":
            return Handmade("indexing.extreme_of_rows", (outer, length), (largest, NUMBERS[x.dtype]), flops=x.size)
        scratch = ((inner, NUMBERS[x.dtype]),)
        return Handmade("indexing.extreme", (outer, length, inner), (largest, NUMBERS[x.dtype]), scratch, flops=x.size)

    return claim


def running_sum(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """Sums along an axis, in the order of NumPy."""
    (x,) = inputs
    if x.dtype not in NUMBERS or x.dtype != output.dtype or not x.shape:
        return None
    return Handmade("indexing.running_sum", _line_sizes(x.shape, params["axis"]), (NUMBERS[x.dtype],), flops=x.size)


# Numbers from nowhere, and numbers that must be in a range.


def uniform(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """Random numbers; the counter is a number that changes at each run."""
    (counter,) = inputs
    name = {np.dtype("float32"): "random.uniform_single", np.dtype("float64"): "random.uniform_double"}.get(output.dtype)
    if name is None or not isinstance(counter, NumberArgument) or counter.dtype != np.int64:
        return None
    return Handmade(name, (output.size, _signed(params["seed"]), _signed(params["stream"])), numbers=1)


def _signed(bits: int) -> int:
    """64 bits as the signed number that a table of integers holds."""
    return bits - (1 << 64) if bits >= 1 << 63 else bits


def inside(x: Any, length: int, exception: int) -> Handmade | None:
    """Labels or row numbers, given back if each is one of 0 … length - 1 or the exception."""
    if x.dtype not in LABELS or not -(2**63) <= exception < 2**63:
        return None
    return Handmade("indexing.inside", (x.size, length, exception), (LABELS[x.dtype],))

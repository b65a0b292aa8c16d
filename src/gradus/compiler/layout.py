"""Where a value lies: in its own memory, or as a view (offset and strides) of another value's.

All strides and offsets here count elements. An *access* says how a loop over a flat range meets a value in memory: a list of (length,
stride) pairs, the slowest first, whose lengths multiply to the range; a stride of 0 repeats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gradus.compiler.graph import CONSTANT, INPUT, STATE, Call, Graph, Value
from gradus.tape import evaluate

Access = tuple[tuple[int, int], ...]


class Layout(NamedTuple):
    """A place in the memory of ``root``."""

    root: Value
    offset: int
    strides: tuple[int, ...]


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of an array in C order.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    return tuple([math.prod(shape[k + 1 :]) for k in range(len(shape))])


def own_layout(value: Value) -> Layout:
    """A value in its own memory: as the array from outside lies, else in C order."""
    if value.kind in (STATE, CONSTANT, INPUT) and value.array is not None:
        return Layout(value, 0, tuple([stride // value.dtype.itemsize for stride in value.array.strides]))
    return Layout(value, 0, contiguous_strides(value.shape))


def is_view(call: Call) -> bool:
    """Whether a call may give another view of its input's memory."""
    return call.record.view and call.record.family in ("movement", "indexing") and len(call.inputs) == 1


def layouts(graph: Graph) -> dict[Value, Layout]:
    """A layout for every value; calls that move nothing in memory lie where their input lies."""
    found: dict[Value, Layout] = {leaf: own_layout(leaf) for leaf in graph.leaves()}
    for call in graph.calls:
        seen = view_layout(call, found[call.inputs[0]]) if is_view(call) else None
        found[call.output] = own_layout(call.output) if seen is None else seen
    return found


def view_layout(call: Call, source: Layout) -> Layout | None:
    """The layout of a view of a value at ``source``; None where the op has to copy. NumPy itself is asked, on memory never touched."""
    x = call.inputs[0]
    if x.size == 0:
        return None
    low = sum(min(0, stride * (n - 1)) for n, stride in zip(x.shape, source.strides, strict=True))
    high = sum(max(0, stride * (n - 1)) for n, stride in zip(x.shape, source.strides, strict=True))
    memory = np.empty(high - low + 1, x.dtype)
    step = x.dtype.itemsize
    example = np.lib.stride_tricks.as_strided(memory[-low:], x.shape, [stride * step for stride in source.strides])
    y = np.asarray(evaluate(call.record, [example, *call.args[1:]], call.params))
    if not np.may_share_memory(y, memory):
        return None
    start = (y.__array_interface__["data"][0] - memory.__array_interface__["data"][0]) // step + low
    return Layout(source.root, source.offset + start, tuple([stride // step for stride in y.strides]))


def access_of(layout: Layout, shape: tuple[int, ...], to: tuple[int, ...]) -> Access:
    """How a loop over an array of shape ``to`` meets a value of ``shape`` that broadcasts to it.

    >>> value = Value("input", (4,), np.dtype("float32"))
    >>> access_of(own_layout(value), (4,), (2, 3, 4))
    ((6, 0), (4, 1))
    """
    added = len(to) - len(shape)
    pairs = [(n, 0) for n in to[:added]]
    for n, have, stride in zip(to[added:], shape, layout.strides, strict=True):
        pairs.append((n, stride if have == n else 0))
    return merged(pairs)


def merged(pairs: Iterable[tuple[int, int]]) -> Access:
    """The same walk through memory in as few loops as possible.

    >>> merged([(2, 12), (3, 4), (1, 9), (4, 1)])
    ((24, 1),)
    """
    result: list[tuple[int, int]] = []
    for n, stride in pairs:
        if n == 1:
            continue
        if result and result[-1][1] == n * stride:
            result[-1] = (result[-1][0] * n, stride)
        else:
            result.append((n, stride))
    return tuple(result)


def refined(accesses: Sequence[Access], size: int, breaks: Sequence[int] = ()) -> tuple[list[int], list[list[int]]] | None:
    """Common loops for several accesses of one range: their lengths, and a stride for each access and loop. None if they do not nest.

    Args:
        breaks: numbers of elements that the innermost loops must multiply to at some place.

    >>> refined([((6, 1),), ((2, 0), (3, 1))], 6)
    ([2, 3], [[3, 1], [0, 1]])
    """
    cuts = {1, size, *breaks}
    for access in accesses:
        inner = 1
        for n, _ in reversed(access):
            inner *= n
            cuts.add(inner)
    if size == 1:
        return [1], [[0] for _ in accesses]
    ordered = sorted(cuts)
    if any(b % a for a, b in itertools.pairwise(ordered)):
        return None
    lengths = [b // a for a, b in itertools.pairwise(ordered)][::-1]
    strides = [_split(access, lengths) for access in accesses]
    # Loops that no access tells apart become one, unless a break lies between them.
    for k in range(len(lengths) - 1, 0, -1):
        if math.prod(lengths[k:]) not in breaks and all(row[k - 1] == lengths[k] * row[k] for row in strides):
            lengths[k - 1 : k + 1] = [lengths[k - 1] * lengths[k]]
            for row in strides:
                row[k - 1 : k + 1] = [row[k]]
    return lengths, strides


def _split(access: Access, lengths: Sequence[int]) -> list[int]:
    """A stride for each of the common loops."""
    strides = []
    rest = list(access)
    for n in reversed(lengths):
        if not rest:
            strides.append(0)
            continue
        length, stride = rest[-1]
        strides.append(stride)
        if length == n:
            rest.pop()
        else:
            rest[-1] = (length // n, stride * n)
    return strides[::-1]

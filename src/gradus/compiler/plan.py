"""The plan: which steps run, in which order, and where every value lies.

Values live in one of five places: an input's memory, a state's own memory (so that an update happens in place), a constant, one shared
*arena* in which values that are never alive together share bytes, or a fresh array that is handed to the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gradus.compiler.descent import Descent, find_descents
from gradus.compiler.fusion import FULL, Unit, fuse
from gradus.compiler.graph import RESULT, Call, Graph, Value
from gradus.compiler.layout import Layout, layouts
from gradus.compiler.loops import Kernel, write_kernel
from gradus.compiler.products import Product, handmade, is_product, product
from gradus.primitive import Handmade

ALIGNMENT = 64
APART = 5 * ALIGNMENT  # bytes after a large value: neighbours a multiple of 4 KiB apart would fight for the same lines of the cache
SMALL = 4096  # bytes; smaller results are copied out of the arena, larger ones written straight into fresh arrays


class Step(NamedTuple):
    """One thing to run: a generated kernel, a product, a kernel made by hand, or, where all three are None, a call through its record."""

    calls: list[Call]
    kernel: Kernel | None
    product: Product | None
    handmade: Handmade | None
    writes: list[Value]
    reads: list[Value]
    descent: Descent | None = None


class Plan:
    """Steps and places.

    Attributes:
        steps: in order.
        places: the layout of every value.
        memory: for a value that is written into a state, that state.
        offsets: where in the arena a value begins, in bytes.
        scratch: where in the arena the stretch begins that every step may use while it runs.
        arena: bytes of the arena.
        fresh: values written into arrays of their own, which the user gets.
        copied: (state, value) updates that need a copy at the end.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.places = layouts(graph)
        units = fuse(graph, self.places)
        self.memory, self.copied = _updates_in_place(graph, units, self.places)
        descents = find_descents(graph, units, self.memory, self.places)
        self.descents = {descent.unit: descent for descent in descents}
        folded = {descent.product for descent in descents}
        units = [unit for unit in _writers_last(units, self.memory) if unit.calls[0] not in folded]
        self.fresh = self._fresh()
        self.needed = _needed_outside(graph, units, folded)
        self.steps = [self._step(unit) for unit in units]
        self.scratch = 0
        self.offsets, self.arena = self._arena()

    def _fresh(self) -> list[Value]:
        return [
            v
            for v in dict.fromkeys(self.graph.outputs)
            if v.kind == RESULT and self.places[v].root is v and v not in self.memory and v.nbytes > SMALL
        ]

    def _step(self, unit: Unit) -> Step:
        if unit in self.descents:
            descent = self.descents[unit]
            reads = [self.places[v].root for v in descent.product.inputs]
            matrix = product(descent.product, self.places)
            assert matrix is not None
            return Step([descent.product], None, matrix._replace(adds=True), None, [descent.output], reads, descent)
        reads = [self.places[v].root for call in unit.calls for v in call.inputs]
        if unit.group is not None:
            writes = [call.output for call in unit.calls if call.output in self.needed]
            kernel = write_kernel(unit.group, writes, self.memory)
            return Step(unit.calls, kernel, None, None, writes, reads)
        (call,) = unit.calls
        matrix = product(call, self.places) if is_product(call) else None
        return Step(unit.calls, None, matrix, handmade(call), [call.output], reads)

    def _arena(self) -> tuple[dict[Value, int], int]:
        """First fit: values in the order of their birth, each at the lowest place that is free while it lives."""
        birth: dict[Value, int] = {}
        death: dict[Value, int] = {}
        last = len(self.steps)
        for k, step in enumerate(self.steps):
            for v in step.writes:
                birth.setdefault(v, k)
                death.setdefault(v, k)
            for v in step.reads:
                death[v] = k
        for v in self.graph.roots:
            death[self.places[v].root] = last
        taken: list[tuple[int, int, int]] = []  # (start, end, death)
        offsets: dict[Value, int] = {}
        total = 0
        for v, born in sorted(birth.items(), key=lambda item: item[1]):
            if v in self.memory or v in self.fresh or v.size == 0:
                continue
            size = -(-max(v.nbytes, 1) // ALIGNMENT) * ALIGNMENT + (APART if v.nbytes > SMALL else 0)
            taken = [place for place in taken if place[2] >= born]
            start = 0
            for begin, end, _ in sorted(taken):
                if begin - start >= size:
                    break
                start = max(start, end)
            taken.append((start, start + size, death[v]))
            offsets[v] = start
            total = max(total, start + size)
        self.scratch = total
        return offsets, total + max((sum(scratch_sizes(step)) for step in self.steps), default=0)


def scratch_sizes(step: Step) -> list[int]:
    """Bytes of each scratch array of a step, rounded up."""
    needs = next((part.scratch for part in (step.kernel, step.product, step.handmade) if part is not None), ())
    return [-(-n * np.dtype(dtype).itemsize // ALIGNMENT) * ALIGNMENT for n, dtype in needs]


def _needed_outside(graph: Graph, units: list[Unit], folded: set[Call]) -> set[Value]:
    """Values that are read by another unit than the one that computes them, by way of views or not, and roots."""
    home = {call.output: unit for unit in units for call in unit.calls}
    needed: set[Value] = set()

    def source(value: Value) -> Value:
        while value not in home and value.call is not None:
            value = value.call.inputs[0]
        return value

    for unit in units:
        for call in unit.calls:
            for arg in call.inputs:
                v = source(arg)
                if home.get(v) is not unit:
                    needed.add(v)
    return needed | {source(v) for v in graph.roots} | {source(v) for call in folded for v in call.inputs}


def _updates_in_place(
    graph: Graph, units: list[Unit], places: Mapping[Value, Layout]
) -> tuple[dict[Value, Value], list[tuple[Value, Value]]]:
    """Which new states can be computed in the state's own memory, and which are copied there at the end.

    In place works where a group computes the value, reads the old state at most at the same index, and everything else that reads the old
    state or the new value can run before or is itself such a group.
    """
    home = {call.output: unit for unit in units for call in unit.calls}
    readers: dict[Value, set[Unit]] = {}
    for unit in units:
        for call in unit.calls:
            for arg in call.inputs:
                readers.setdefault(places[arg].root, set()).add(unit)
    memory: dict[Value, Value] = {}
    copied: list[tuple[Value, Value]] = []
    outputs = {places[v].root for v in graph.outputs}
    claimed: set[Value] = set()
    for state, value in graph.updates:
        computed = home.get(value)
        fits = (
            computed is not None
            and computed.group is not None
            and computed.group.extents[value] == FULL
            and places[state].strides == places[value].strides
            and value not in claimed
            and value not in outputs
            and state not in outputs
            and _reads_same_place(computed, state)
        )
        if fits:
            memory[value] = state
            claimed.add(value)
        else:
            copied.append((state, value))
    while True:
        bad = _out_of_order(memory, home, readers, {places[value].root for _, value in copied})
        if bad is None:
            return memory, copied
        copied.append((memory.pop(bad), bad))


def _reads_same_place(unit: Unit, state: Value) -> bool:
    """Whether a group meets a state only element by element, each where it lies."""
    assert unit.group is not None
    whole = ((unit.group.size, 1),) if unit.group.size > 1 else ()
    return all(offset == 0 and access == whole for root, offset, access in unit.group.reads.values() if root is state)


def _out_of_order(
    memory: Mapping[Value, Value], home: Mapping[Value, Unit], readers: Mapping[Value, set[Unit]], late: set[Value]
) -> Value | None:
    """An update whose unit cannot run after everything that needs the old state; copies at the end read what lies in ``late``."""
    writers = {home[v] for v in memory}
    for v, state in memory.items():
        unit = home[v]
        if any(reader not in writers for call in unit.calls for reader in readers.get(call.output, ()) if reader is not unit):
            return v  # something that is no update needs a result of this unit, so it cannot wait until the end
        if any(reader in writers and reader is not unit for reader in readers.get(state, ())):
            return v  # another update needs the old state: a copy is the safe way
        if state in late:
            return v
    return None


def _writers_last(units: list[Unit], memory: Mapping[Value, Value]) -> list[Unit]:
    """Units that write states behind all others, which may read the old content."""
    writers = [unit for unit in units if any(call.output in memory for call in unit.calls)]
    return [unit for unit in units if unit not in writers] + writers

"""Where the results of a program on NumPy lie: which call writes into whose memory, which calls run block by block.

A result lies in a state's own memory if the state becomes it and nobody needs the old content any more; in a fresh array if it is handed
out; else in the *arena*, one stretch of bytes in which results that are never alive together share a place. Views, and results of calls
that bring their own memory, lie in the memory of their *owners*.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.graph import INPUT, RESULT, Call, Graph, Number, Value
from gradus.compiler.layout import layouts

ALIGNMENT = 64
# Elements. Passes over arrays above LARGE leave a second-level cache between one another; six blocks of float32 (400 kB) stay in it.
LARGE, BLOCK = 131072, 16384
REDUCTIONS = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum, "all": np.logical_and, "any": np.logical_or}

#: How a call runs: a ufunc, a matrix product, a ufunc's reduce, a cast or a copy of a view, each into memory that the plan chose;
#: a view known before any run; a view of what differs from run to run; any other call, through its record.
UFUNC, PRODUCT, REDUCE, CAST, COPY, VIEW, LATE_VIEW, SINGLE = "ufunc product reduce cast copy view late-view single".split()
PLACED = (UFUNC, PRODUCT, REDUCE, CAST, COPY)


def ufunc_of(call: Call) -> np.ufunc | None:
    """The ufunc that computes a call, with ``out=``, exactly as eager mode does; None if there is none."""
    record, out = call.record, call.output
    if record.family == "reduction" and record.name in REDUCTIONS and set(call.params) == {"axis", "keepdims"}:
        return REDUCTIONS[record.name]
    if record.name == "matmul" and all(arg.ndim > 1 and arg.dtype == out.dtype for arg in call.inputs):
        return np.matmul
    if record.family != "elementwise" or not isinstance(record.raw, np.ufunc) or call.params:
        return None
    try:
        resolved = record.raw.resolve_dtypes((*[_type_of(arg) for arg in call.args], None))
    except TypeError:
        return None
    return record.raw if resolved[-1] == out.dtype else None


def _type_of(arg: Any) -> Any:
    """An argument's dtype; of a Python number the type that NumPy lets adapt to the arrays beside it."""
    if isinstance(arg, Value):
        return arg.dtype
    kind = type(arg.example if isinstance(arg, Number) else arg)
    return kind if kind in (int, float) else np.dtype(kind)


class Step(NamedTuple):
    """Calls that run one after the other; on whole arrays, or in turn on so many rows at a time (``rows`` > 0)."""

    calls: list[Call]
    rows: int


class Place:
    """Bytes of the arena, from ``start`` to ``end``, taken until the step ``death`` is over."""

    def __init__(self, start: int, size: int, death: int) -> None:
        self.start, self.end, self.death = start, start + size, death


class Places:
    """The plan of a NumPy program.

    Attributes:
        how: for each result one of the words above.
        steps: what runs, in the order of the graph; views known before any run are no part of it.
        states: for a result that is written into a state, that state.
        copied: (state, value) updates that need a copy at the end.
        fresh: results written into a new array at each run.
        local: results of which only some rows exist at a time; to the number of rows.
        arena: where in the arena the others lie, in bytes.
        size: bytes of the arena.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layouts = layouts(graph)
        self.how: dict[Value, str] = {}
        self.owners: dict[Value, frozenset[Value]] = {leaf: frozenset([leaf]) for leaf in graph.leaves()}
        self.position = {call: k for k, call in enumerate(graph.calls)}
        self.fresh: set[Value] = set()
        self._classify()
        self.readers = self._readers()
        self.held = {owner for v in graph.roots for owner in self.owners[v]}
        self.steps = self._steps()
        self.home = {call: k for k, step in enumerate(self.steps) for call in step.calls}
        self.states: dict[Value, Value] = {}
        self.copied: list[tuple[Value, Value]] = []
        for state, value in graph.updates:
            if not self._place_in_state(state, value):
                self.copied.append((state, value))
        self.local = {v: step.rows for step in self.steps if step.rows for v in self._seen_only_in(step)}
        self.arena: dict[Value, Place] = {}
        self.size = 0
        self._fill_arena()

    # What kind of memory.

    def _classify(self) -> None:
        handed_out = {self.layouts[v].root for v in self.graph.outputs}
        for call in self.graph.calls:
            v, source = call.output, call.inputs[0] if call.inputs else None
            root = self.layouts[v].root
            if root is not v:
                assert source is not None
                known = self.how.get(root, VIEW) not in (SINGLE, LATE_VIEW) and root.kind != INPUT and root not in self.fresh
                self.how[v] = VIEW if known and self.how.get(source, VIEW) in (VIEW, *PLACED) else LATE_VIEW
                self.owners[v] = self.owners[source]
                continue
            self.how[v] = self._kind(call)
            self.owners[v] = frozenset([v])
            if self.how[v] in PLACED:
                if v in handed_out:
                    self.fresh.add(v)
            elif v not in self.graph.outputs:  # it may bring memory of its own, or give back an argument's; an output is copied then
                self.owners[v] = self.owners[v].union(*[self.owners[arg] for arg in call.inputs])

    def _kind(self, call: Call) -> str:
        if call.output.size == 0 or any(arg.size == 0 for arg in call.inputs):
            return SINGLE
        if call.record.name == "astype":
            return CAST
        if call.record.name == "reshape":
            source = call.inputs[0]
            return COPY if self.how.get(source, VIEW) in (VIEW, *PLACED) and source.kind != INPUT else SINGLE
        if ufunc_of(call) is None:
            return SINGLE
        return REDUCE if call.record.family == "reduction" else PRODUCT if call.record.name == "matmul" else UFUNC

    def _readers(self) -> dict[Value, list[Call]]:
        """Who may read the memory of an owner."""
        readers: dict[Value, list[Call]] = {}
        for call in self.graph.calls:
            if self.how[call.output] == VIEW:
                continue
            for owner in {owner for arg in call.inputs for owner in self.owners[arg]}:
                readers.setdefault(owner, []).append(call)
        return readers

    def _last(self, owner: Value) -> int:
        """The position of the last call that may read an owner's memory."""
        readers = self.readers.get(owner)
        return self.position[readers[-1]] if readers else -1

    def elementwise(self, call: Call) -> bool:
        """Whether each element of the result depends on the elements at its own place alone."""
        return self.how[call.output] in (UFUNC, CAST)

    def reads_only_itself(self, call: Call, owner: Value) -> bool:
        """Whether a call meets an owner's memory in the owner alone, not in a view of it."""
        return all(arg is owner or owner not in self.owners[arg] for arg in call.inputs)

    # What runs block by block.

    def _steps(self) -> list[Step]:
        changing = frozenset(state for state, _ in self.graph.updates)
        steps: list[Step] = []
        born: set[Value] = set()
        for call in self.graph.calls:
            if self.how[call.output] == VIEW:
                continue
            rows = self._rows(call)
            if (
                rows
                and steps
                and steps[-1].rows
                and steps[-1].calls[0].output.shape == call.output.shape
                and self._aligned(call, changing | born)
            ):
                steps[-1].calls.append(call)
            else:
                born = set()
                steps.append(Step([call], rows if self._aligned(call, changing) else 0))
            born.add(call.output)
        return [step if len(step.calls) > 1 else Step(step.calls, 0) for step in steps]

    def _rows(self, call: Call) -> int:
        """How many rows of a large elementwise call make a block; 0 if it runs whole."""
        out = call.output
        if not self.elementwise(call) or out.size <= LARGE or out.ndim < 1 or out.size // out.shape[0] > BLOCK:
            return 0
        return BLOCK // (out.size // out.shape[0])

    def _aligned(self, call: Call, written: Iterable[Value]) -> bool:
        """Whether a call meets what a block may have written already only at its own rows."""
        return all(not (self.owners[arg] - {arg}) & frozenset(written) for arg in call.inputs)

    def _seen_only_in(self, step: Step) -> list[Value]:
        found = []
        for v in [call.output for call in step.calls]:
            inside = all(self.home[reader] == self.home[step.calls[0]] for reader in self.readers.get(v, ()))
            if inside and v not in self.held and v not in self.states:
                found.append(v)
        return found

    # States.

    def _place_in_state(self, state: Value, value: Value) -> bool:
        """Let a state's new value be written over the old one, where nobody needs that later."""
        call = value.call
        others = {owner for old, v in self.graph.updates if old is not state for owner in self.owners[v]}
        if call is None or self.how[value] not in PLACED or value in self.states or value in self.fresh or state in others:
            return False
        if any(state in self.owners[v] for v in self.graph.outputs) or not self._free_for(state, call):
            return False
        if any(may_raise(later) for later in self.graph.calls[self.position[call] + 1 :]):
            return False  # a call that raises leaves every state as it was
        self.states[value] = state
        self._place_before(state, call)
        return True

    def _free_for(self, state: Value, call: Call) -> bool:
        """Whether the old content of a state is read before a call, or at most by it and element by element."""
        last, here = self._last(state), self.position[call]
        return last < here or (last == here and self.elementwise(call) and self.reads_only_itself(call, state))

    def _place_before(self, state: Value, call: Call) -> None:
        """Let what goes into the new value and nowhere else lie in the state too: ``m * beta`` of ``m * beta + rest``."""
        while self.elementwise(call) and state not in {owner for arg in call.inputs for owner in self.owners[arg]}:
            for v in call.inputs:
                before = v.call
                if before is None or self.how[v] != UFUNC or v.shape != state.shape or v.dtype != state.dtype:
                    continue
                if v in self.states or v in self.held or self.readers[v] != [call] or not self.reads_only_itself(call, v):
                    continue
                between = self.graph.calls[self.position[before] + 1 : self.position[call]]
                if self._free_for(state, before) and all(self.how[other.output] != SINGLE for other in between):
                    self.states[v], call = state, before
                    break
            else:
                return

    # The arena.

    def in_arena(self, v: Value) -> bool:
        """Whether a result lies in the arena."""
        return v.kind == RESULT and self.how[v] in PLACED and v not in self.fresh and v not in self.states

    def _fill_arena(self) -> None:
        """First fit, step after step; an elementwise result takes the place of an operand that dies there."""
        taken: list[Place] = []
        for k, step in enumerate(self.steps):
            for call in step.calls:
                v = call.output
                if not self.in_arena(v):
                    continue
                death = len(self.steps) if v in self.held else max([self.home[reader] for reader in self.readers.get(v, ())], default=k)
                donor = self._donor(call, step)
                if donor is not None:
                    self.arena[v] = self.arena[donor]
                    self.arena[v].death = max(self.arena[v].death, death)
                    continue
                place = _first_fit(taken, self._bytes(v), death)
                taken.append(place)
                self.arena[v] = place
                self.size = max(self.size, place.end)
            taken = [place for place in taken if place.death > k]

    def _bytes(self, v: Value) -> int:
        rows = self.local.get(v, 0)
        return -(-(v.nbytes // v.shape[0] * rows if rows else v.nbytes) // ALIGNMENT) * ALIGNMENT

    def _donor(self, call: Call, step: Step) -> Value | None:
        v = call.output
        if self.how[v] != UFUNC:
            return None
        for arg in call.inputs:
            fits = arg in self.arena and arg.shape == v.shape and arg.dtype == v.dtype and self.local.get(arg) == self.local.get(v)
            # In a block by block step, what the step did not make itself must outlast all blocks.
            fits = fits and (not step.rows or arg in self.local)
            if fits and arg not in self.held and self._last(arg) == self.position[call] and self.reads_only_itself(call, arg):
                return arg
        return None


def _first_fit(taken: Iterable[Place], size: int, death: int) -> Place:
    """The lowest place that is free."""
    start = 0
    for place in sorted(taken, key=lambda place: place.start):
        if place.start - start >= size:
            break
        start = max(start, place.end)
    return Place(start, size, death)


def may_raise(call: Call) -> bool:
    """Whether numbers decide that a call raises: labels and indices out of range."""
    return call.record.family == "check" or (call.record.family == "indexing" and len(call.inputs) > 1)


def own_way(call: Call) -> bool:
    """Whether a call's record brings a way for NumPy that is quicker than its definition; that of a linear layer is its definition."""
    record = call.record
    return record.composite and not isinstance(record.raw, functools.partial) and record.name != "linear"

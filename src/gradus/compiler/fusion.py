"""Fusion: which calls are computed together, in one walk over memory.

A *group* walks a flat range of N elements, seen as rows of C. Each of its values has one *extent*:

=======  =====================================================================================
full     one number an element
row      one number a row: a reduction over the row's C elements, or arithmetic on such numbers
column   one number a column, summed up over the rows (a bias gradient): finished after the walk
total    one number, summed up over everything: finished after the walk
=======  =====================================================================================

Full and row values may be used again inside the group, columns and totals only outside. So softmax, layer norm, a loss, the gradient of
each, and an optimiser's update all become single loops, without a pattern for any of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradus.compiler.expressions import EXPRESSIONS, REDUCTIONS
from gradus.compiler.graph import Call, Graph, Value
from gradus.compiler.layout import Access, Layout, access_of, contiguous_strides, is_view, refined, view_layout
from gradus.primitive import normalize_axes

FULL, ROW, COLUMN, TOTAL = "full", "row", "column", "total"
DTYPES = tuple(np.dtype(name) for name in ("float32", "float64", "int64", "int32", "bool"))
LARGEST_GROUP = 48  # calls; more would not fit into registers, and compile slowly
LARGEST_ROW = 65536  # elements of a row whose intermediate values are kept


class Group:
    """Calls that one kernel computes.

    Attributes:
        calls: in the order of the graph.
        size: N, how many elements the walk covers.
        columns: C, the length of a row; None where nothing is reduced, so that rows do not matter.
        extents: of each call's output.
        reads: for each (call, argument position) that comes from outside the group: whose memory it is, offset and access.
        lengths: of the nested loops that all reads have in common, the outermost first.
        strides: for each key of ``reads`` a stride for each of these loops.
    """

    def __init__(self, calls: Sequence[Call], size: int, columns: int | None) -> None:
        self.calls, self.size, self.columns = list(calls), size, columns
        self.extents: dict[Value, str] = {}
        self.reads: dict[tuple[Call, int], tuple[Value, int, Access]] = {}
        self.lengths: list[int] = []
        self.strides: dict[tuple[Call, int], list[int]] = {}

    @property
    def rows(self) -> int:
        """How many rows the walk covers."""
        return self.size // self.columns if self.columns else 1


def is_copy(call: Call, places: Mapping[Value, Layout]) -> bool:
    """A view op that could not be a view: it puts the elements in another order in memory."""
    return is_view(call) and places[call.output].root is call.output and call.output.size == call.inputs[0].size


def is_fusible(call: Call, places: Mapping[Value, Layout]) -> bool:
    """Whether a loop can compute this call."""
    arrays = [*call.inputs, call.output]
    if any(v.dtype not in DTYPES or v.size == 0 for v in arrays):
        return False
    if call.record.family == "elementwise":
        whole = any(v.dtype.kind == "i" for v in arrays)
        return call.record.name in EXPRESSIONS and (not whole or call.record.name in WHOLE)
    if call.record.name in REDUCTIONS:
        x = call.inputs[0]
        return x.dtype in REDUCTIONS[call.record.name] and _reduced(call) != "" and x.size > 1
    return is_copy(call, places) and call.record.name in ("reshape", "flip", "getitem")


# Ops on integers whose loops agree with NumPy in every case, overflow included.
WHOLE = {
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "where",
    "astype",
    "stop_gradient",
    "negative",
    "abs",
}


def _reduced(call: Call) -> str:
    """How a reduction lies in memory: over the last axes ("row"), the first ("column"), all ("total"), or otherwise ("")."""
    x = call.inputs[0]
    axes = normalize_axes(call.params["axis"], x.ndim)
    real = [k for k in range(x.ndim) if x.shape[k] != 1]
    over = [k for k in real if k in axes]
    if not over:
        return ""
    if over == real:
        return TOTAL
    if over == real[-len(over) :]:
        return ROW
    return COLUMN if over == real[: len(over)] else ""


def _length(call: Call) -> int:
    """How many elements a reduction folds into one."""
    x = call.inputs[0]
    return math.prod(x.shape[k] for k in normalize_axes(call.params["axis"], x.ndim))


def build(calls: Sequence[Call], places: Mapping[Value, Layout]) -> Group | None:
    """The group of these calls, or None if one walk cannot compute them."""
    inside = {call.output for call in calls}
    size = max(max(v.size for v in [*call.inputs, call.output]) if call.record.name in REDUCTIONS else call.output.size for call in calls)
    columns = _columns(calls, size)
    if columns is False:
        return None
    group = Group(calls, size, columns)
    for call in calls:
        extent = _extent(group, call)
        if extent is None:
            return None
        group.extents[call.output] = extent
    return group if _place_reads(group, places, inside) else None


def _columns(calls: Sequence[Call], size: int) -> Any:
    """The one row length that all reductions ask for; None if any will do, False if they disagree."""
    wanted: set[int] = set()
    for call in calls:
        if call.record.name not in REDUCTIONS:
            continue
        kind, x = _reduced(call), call.inputs[0]
        if x.size != size:
            if kind != TOTAL:  # a reduction of row values can only be a total
                return False
            continue
        if kind == ROW:
            wanted.add(_length(call))
        elif kind == COLUMN:
            wanted.add(call.output.size)
        elif kind == TOTAL and any(call.output in other.inputs for other in calls):
            wanted.add(size)  # the number is used again: the whole range is one row
    if not wanted:
        smaller = {call.output.size for call in calls if call.record.name not in REDUCTIONS} - {size}
        smaller |= {call.inputs[0].size for call in calls if call.record.name in REDUCTIONS} - {size}
        if smaller:  # row values without a reduction that makes them
            return size // smaller.pop() if len(smaller) == 1 else False
        return None
    if len(wanted) > 1:
        return False
    (columns,) = wanted
    return columns if columns > 1 and size % columns == 0 else False


def _extent(group: Group, call: Call) -> str | None:
    if call.record.name in REDUCTIONS:
        kind, x = _reduced(call), call.inputs[0]
        if x.size == group.size:
            if kind == TOTAL and group.columns == group.size:
                return ROW
            return kind if kind != TOTAL or call.record.name == "sum" else None
        return TOTAL if kind == TOTAL and x.size == group.rows and call.record.name == "sum" else None
    if call.output.size == group.size:
        return FULL
    return ROW if group.columns and call.output.size == group.rows else None


def _place_reads(group: Group, places: Mapping[Value, Layout], inside: set[Value]) -> bool:
    """Find how each argument is met: inside the group at the same place, or in memory by an access that the common loops can follow."""
    accesses: list[Access] = []
    keys: list[tuple[Call, int]] = []
    for call in group.calls:
        domain = call.inputs[0].shape if call.record.name in REDUCTIONS or is_view(call) else call.output.shape
        elements = math.prod(domain)
        for k, arg in enumerate(call.args):
            if not isinstance(arg, Value):
                continue
            producer, layout = _produced_inside(arg, inside, places)
            if producer is not None:
                if not _same_place(group, producer, access_of(layout, arg.shape, domain), elements):
                    return False
                continue
            layout = places[arg]
            if layout.root in inside:
                return False
            access = access_of(layout, arg.shape, domain)
            if elements != group.size:  # a row value: it repeats along the row
                access = (*access, (group.columns or 1, 0))
            group.reads[(call, k)] = (layout.root, layout.offset, access)
            accesses.append(access)
            keys.append((call, k))
    breaks = [group.columns] if group.columns else []
    common = refined([*accesses, ((group.size, 1),) if group.size > 1 else ()], group.size, breaks)
    if common is None:
        return False
    group.lengths, strides = common
    group.strides = dict(zip(keys, strides, strict=False))
    return not group.columns or group.lengths[-1] == group.columns


def _produced_inside(value: Value, inside: set[Value], places: Mapping[Value, Layout]) -> tuple[Value | None, Layout]:
    """The value of the group that ``value`` is a view of, as if that one lay in memory of its own; (None, …) if there is none."""
    chain: list[Call] = []
    v = value
    while v not in inside and v.call is not None and is_view(v.call):
        chain.append(v.call)
        v = v.call.inputs[0]
    if v not in inside:
        return None, places[value]
    layout: Layout | None = Layout(v, 0, contiguous_strides(v.shape))
    for call in reversed(chain):
        layout = view_layout(call, layout) if layout is not None else None
    if layout is None:
        return v, Layout(v, -1, ())
    return v, layout


def _same_place(group: Group, producer: Value, access: Access, elements: int) -> bool:
    """Whether an argument made inside the group is met where it is made."""
    extent = group.extents[producer]
    if extent == FULL:
        return access in (((group.size, 1),), ()) and elements == group.size
    if extent != ROW:
        return False
    if elements == group.rows and elements != group.size:
        return access in (((group.rows, 1),), ())
    expected = [pair for pair in ((group.rows, 1), (group.columns or 1, 0)) if pair[0] > 1]
    return list(access) == expected or (group.rows == 1 and access in ((), ((group.size, 0),)))


class Unit:
    """A group being grown, or one call by itself: a node of the graph of units."""

    __slots__ = ("calls", "group", "first", "last")

    def __init__(self, calls: list[Call], group: Group | None, first: int, last: int) -> None:
        self.calls, self.group, self.first, self.last = calls, group, first, last


def fuse(graph: Graph, places: Mapping[Value, Layout]) -> list[Unit]:
    """The calls of a graph as units, in an order in which each can run; views that move nothing belong to no unit."""
    home: dict[Value, Unit] = {}
    position = {call: k for k, call in enumerate(graph.calls)}
    stage = _latest_stages(graph, places)
    updating = _only_for_updates(graph)
    units: list[Unit] = []
    for call in graph.calls:
        if is_view(call) and places[call.output].root is not call.output:
            continue
        unit = Unit([call], build([call], places) if is_fusible(call, places) else None, position[call], position[call])
        if unit.group is not None:
            for others in _candidates(call, home, lambda other: (stage[other], other in updating)):
                union = _union(others, unit, position)
                if len(union) > LARGEST_GROUP or _cycle(others, unit, home):
                    continue
                group = build(union, places)
                if group is not None and (group.columns or 0) <= LARGEST_ROW:
                    unit = Unit(union, group, position[union[0]], position[union[-1]])
                    break
        for member in unit.calls:
            old = home.get(member.output)
            if old is not None and old in units:
                units.remove(old)
            home[member.output] = unit
        units.append(unit)
    return _ordered(units, home)


def _latest_stages(graph: Graph, places: Mapping[Value, Layout]) -> dict[Call, int]:
    """For every call how many products and other single calls lie before it, at the latest.

    What only a later stage needs (the mask of a ReLU, wanted by the backward pass) is computed there, from what is in memory anyway,
    instead of being kept from the forward pass until then.
    """
    early: dict[Call, int] = {}
    loops = {call: is_fusible(call, places) or (is_view(call) and places[call.output].root is not call.output) for call in graph.calls}
    users: dict[Call, list[Call]] = {}
    for call in graph.calls:
        before = [v.call for v in call.inputs if v.call is not None]
        early[call] = max((early[other] + (not loops[other]) for other in before), default=0)
        for other in before:
            users.setdefault(other, []).append(call)
    latest: dict[Call, int] = {}
    roots = {v.call for v in graph.roots}
    for call in reversed(graph.calls):
        wanted = [latest[user] if loops[user] else early[user] for user in users.get(call, ())]
        latest[call] = early[call] if call in roots or not wanted or not loops[call] else max(early[call], min(wanted))
    return latest


def _only_for_updates(graph: Graph) -> set[Call]:
    """Calls that serve nothing but new states. They stay by themselves, so that they can run last, in the memory of the states."""
    others = {v.call for v in [*graph.outputs, *graph.effects] if v.call is not None}
    for call in reversed(graph.calls):
        if call in others:
            others.update(v.call for v in call.inputs if v.call is not None)
    # What is neither elementwise nor a reduction (a product, a view of one) stands between a loss and its updates, and belongs to neither.
    for call in reversed(graph.calls):
        if call.record.family not in ("elementwise", "reduction") or call.record.name in REDUCTIONS:
            others.add(call)
        if call in others:
            others.update(v.call for v in call.inputs if v.call is not None)
    return {call for call in graph.calls if call not in others}


def _candidates(call: Call, home: Mapping[Value, Unit], kind: Callable[[Call], Any]) -> Iterable[list[Unit]]:
    """Sets of groups to try to join: all of its own kind that the call uses together, then each alone, the latest first."""
    producers = {unit for arg in call.inputs for unit in [home.get(_root(arg))] if unit is not None and unit.group is not None}
    producers = {unit for unit in producers if kind(unit.calls[-1]) == kind(call)}
    ordered = sorted(producers, key=lambda unit: -unit.last)
    if len(ordered) > 1:
        yield ordered
    for unit in ordered:
        yield [unit]


def _root(value: Value) -> Value:
    while value.call is not None and is_view(value.call):
        value = value.call.inputs[0]
    return value


def _union(others: list[Unit], unit: Unit, position: Mapping[Call, int]) -> list[Call]:
    return sorted([call for other in others for call in other.calls] + unit.calls, key=position.__getitem__)


def _needs(unit: Unit, home: Mapping[Value, Unit]) -> set[Unit]:
    """The units that compute what a unit reads."""
    found = set()
    for call in unit.calls:
        for arg in call.inputs:
            v = arg
            while v not in home and v.call is not None:  # views, which have no unit
                v = v.call.inputs[0]
            if v in home and home[v] is not unit:
                found.add(home[v])
    return found


def _cycle(others: list[Unit], unit: Unit, home: Mapping[Value, Unit]) -> bool:
    """Whether a unit outside would have to run both before and after the union."""
    members = {*others, unit}
    start = min(other.first for other in others)
    stack = [need for member in members for need in _needs(member, home) if need not in members]
    seen: set[Unit] = set()
    while stack:
        current = stack.pop()
        if current in seen or current.last < start:
            continue
        seen.add(current)
        for need in _needs(current, home):
            if need in members:
                return True
            stack.append(need)
    return False


def _ordered(units: list[Unit], home: Mapping[Value, Unit]) -> list[Unit]:
    """Units in topological order, close to the order of their last calls."""
    done: set[Unit] = set()
    result: list[Unit] = []
    for unit in sorted(units, key=lambda u: u.last):
        stack = [unit]
        while stack:
            current = stack[-1]
            if current in done:
                stack.pop()
                continue
            missing = [need for need in _needs(current, home) if need not in done]
            if missing:
                stack.extend(missing)
            else:
                done.add(current)
                result.append(current)
                stack.pop()
    return result

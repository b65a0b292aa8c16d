"""What a traced function gives back and leaves behind: results, writes, gradients; and the effects that are refused."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.graph import INPUT, STATE, Graph, Value
from gradus.compiler.guards import LEAVES
from gradus.compiler.lifted import Holder, PastNode, State
from gradus.compiler.tracers import TracedNumber, Tracer, strayed
from gradus.compiler.trees import endless, holds, map_tree
from gradus.compiler.world import Trace
from gradus.errors import AliasError, TraceError
from gradus.tensors import Tensor

PLAIN = (list, tuple, set, frozenset, deque, dict)


class Argument:
    """An argument that the function returns as it is."""

    def __init__(self, position: int) -> None:
        self.position = position


class Output:
    """A tensor that the function returns. (No tuple: a tree of results is walked through tuples.)"""

    def __init__(self, value: Value, requires_grad: bool) -> None:
        self.value, self.requires_grad = value, requires_grad


class Traced(NamedTuple):
    """What a trace found out.

    Attributes:
        graph: the ops.
        trace: states, numbers and guards.
        result: what the function returned; tensors of the graph are replaced by Outputs.
        taken: positions of the arguments that are inputs of the graph.
        grads: (tensor or argument, Value or None): what its ``grad`` becomes.
        writes: (argument, Value): what is written into an argument's memory.
        flags: (tensor or argument, bool): what its ``requires_grad`` becomes.
        arg_grads: (argument, tensor): a ``grad`` of an argument that is read, so that it must be that very tensor.
    """

    graph: Graph
    trace: Trace
    result: Any
    taken: list[int]
    grads: list[tuple[Holder, Value | None]]
    writes: list[tuple[int, Value]]
    flags: list[tuple[Holder, bool]]
    arg_grads: list[tuple[int, Tensor]]


def take_stock(world: Trace, result: Any, arguments: dict[int, State]) -> Traced:
    """Name the outputs, what states become and what ``grad`` becomes."""
    graph = world.graph
    own: dict[int, Any] = {id(state.tensor): state.tensor for state in world.states.values()}
    own |= {id(state.tensor): Argument(position) for position, state in arguments.items()}

    def output(leaf: Any) -> Any:
        if isinstance(leaf, TracedNumber):
            return leaf.node
        if isinstance(leaf, Tensor) and (isinstance(leaf.value, Tracer) or id(leaf) in world.inside):
            return own[id(leaf)] if id(leaf) in own else Output(world.argument(leaf.value), leaf.requires_grad)
        if isinstance(leaf, Iterator):
            raise _one_reading(leaf)
        if not isinstance(leaf, LEAVES) and holds(lambda item: isinstance(item, Tensor) and id(item) in world.inside, leaf):
            raise _closed_to_us(leaf)
        return leaf

    try:
        tree = map_tree(output, result)
    except RecursionError:
        raise endless("result", "returns") from None
    writes, written = _writes(world, arguments)
    traced = Traced(graph, world, tree, list(arguments), [], writes, [], [])
    holders: list[tuple[Holder, State]] = [*((s.tensor, s) for s in world.states.values()), *arguments.items()]
    for holder, state in holders:
        _effects(world, traced, holder, state)
    _refuse_shared_memory(world, arguments, written)
    map_tree(lambda leaf: graph.outputs.append(leaf.value) if isinstance(leaf, Output) else None, tree)
    graph.outputs += [value for _, value in traced.grads if value is not None] + [value for _, value in writes]
    graph.outputs = list(dict.fromkeys(graph.outputs))
    graph.verify()
    return traced


def _one_reading(result: Any) -> TraceError:
    return TraceError(
        "a compiled function cannot return what can be read once only",
        got=f"a {type(result).__name__}",
        wanted="tensors, in tuples, lists or dicts",
        why="its items would be computed after the trace",
        fix="return a list",
        code="E42",
    )


def _closed_to_us(result: Any) -> TraceError:
    name = type(result).__name__
    base = next((base for base in (*PLAIN, Mapping) if isinstance(result, base)), type(result))
    article = "an" if name[0] in "AEIOUaeiou" else "a"
    form = (
        ", a dataclass" if dataclasses.is_dataclass(result) else f", a {base.__name__.lower()} of its own kind" * (base is not type(result))
    )
    return TraceError(
        f"a compiled function cannot return {article} {name} that holds tensors",
        got=f"{article} {name}{form}",
        wanted="tensors, in tuples, named tuples, lists or dicts",
        why="each call would have to make a new one, and only plain containers are known to be made of their items alone",
        fix=f"return the tensors, and make the {name} of them outside the compiled function",
        code="E42",
    )


def _writes(world: Trace, arguments: dict[int, State]) -> tuple[list[tuple[int, Value]], list[State]]:
    """What arguments' memory becomes, and all tensors that are written; what becomes of states goes to the graph."""
    writes: list[tuple[int, Value]] = []
    written: list[State] = []
    updates: dict[Value, Value] = {}
    for position, state in [*((-1, s) for s in world.states.values()), *arguments.items()]:
        if not isinstance(state.tensor.value, (Tracer, np.ndarray)):
            raise strayed("left behind by another world")
        new = world.argument(state.tensor.value)
        if new is state.value:
            continue
        _refuse_read_only(state)
        _refuse_other_type(state, new)
        written.append(state)
        if position >= 0:
            writes.append((position, new))
        elif updates.setdefault(state.value, new) is not new:
            raise shared_memory(state.array)
    for cell in world.cells.values():
        if cell.latest is not None and id(cell.first.array) in world.external:
            raise shared_memory(cell.first.array)
    world.graph.updates += updates.items()
    return writes, written


def _refuse_read_only(state: State) -> None:
    if not state.array.flags.writeable:
        raise AliasError(
            "this memory is read-only",
            got=f"a write to {state.value.typed()}, a part of an expanded tensor or of a read-only NumPy array",
            wanted="memory that may be written to",
            why="a kernel would not ask, and write all the same",
            fix="x = x.clone(); then write to it",
            code="E18",
        )


def _refuse_other_type(state: State, new: Value) -> None:
    if (new.shape, new.dtype) != (state.array.shape, state.array.dtype) or new.kind in (STATE, INPUT):
        raise TraceError(
            "a compiled function cannot give a tensor other memory",
            got=f"{state.value.typed()} that becomes {new.typed()}",
            wanted="new values of the same shape and dtype, in the same memory",
            why="p.data = q, model.double() and the like inside the function",
            fix="p.copy_(q) under no_grad, or keep this line outside the compiled function",
            code="E42",
        )


def _effects(world: Trace, traced: Traced, holder: Holder, state: State) -> None:
    """What becomes of ``grad`` and ``requires_grad``; other changes of a tensor from outside raise."""
    tensor, now, before = state.tensor, state.tensor._grad, state.grad
    if now is not before:
        if now is not None and id(now) in world.states:
            raise _refused_effect("the grad of a tensor became another tensor from outside", tensor, "p.grad.copy_(g)")
        traced.grads.append((holder, None if now is None else world.argument(now.value)))
    if isinstance(holder, int) and before is not None and id(before) in world.states:
        traced.arg_grads.append((holder, before))
    if tensor.requires_grad is not state.requires_grad:
        traced.flags.append((holder, tensor.requires_grad))
    if tensor.node is not state.node and not isinstance(tensor.node, PastNode):
        raise _refused_effect("a tensor from outside took over a history from inside", tensor, "with gradus.no_grad(): x.copy_(y)")
    if tuple((tensor._hooks or {}).items()) != state.hooks:
        raise _refused_effect("a hook was registered on a tensor from outside", tensor, "register it once, outside the compiled function")


def _refused_effect(what: str, tensor: Tensor, fix: str) -> TraceError:
    return TraceError(
        f"{what} inside a compiled function",
        got=f"a tensor of shape {tuple(tensor.value.shape)}",
        wanted="a function whose lasting effects are the values of tensors and their .grad",
        fix=fix,
        code="E42",
    )


def _refuse_shared_memory(world: Trace, arguments: dict[int, State], written: list[State]) -> None:
    """Raise if memory that is written is also read by way of another array, which a trace would not see change."""
    read: list[tuple[Any, Tracer | None]] = [(value.array, None) for value in world.constants.values()]
    read += [(state.array, state.cell) for state in [*arguments.values(), *world.states.values()]]
    for state in written:
        if any(cell is not state.cell and np.may_share_memory(array, state.array) for array, cell in read):
            raise shared_memory(state.array)


def shared_memory(array: np.ndarray) -> AliasError:
    """The error for memory that is written, and reached in two ways."""
    return AliasError(
        "a compiled function writes to memory that it also reaches by way of another tensor from outside",
        got=f"two tensors that share the memory of a {array.dtype}{list(array.shape)}",
        wanted="each memory reached one way, or not written to",
        why="a view, such as w[0], or an array given to gradus.from_numpy, was taken outside the function",
        fix="take the view inside the compiled function, or clone() it",
        code="E18",
    )

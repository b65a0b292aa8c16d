"""Tracing: the function runs once on abstract arrays, and every op that meets one is noted in a graph.

A tracer is just another array type below :class:`gradus.Tensor`: it stands in ``Tensor.value``, so the tape, ``backward``, clipping and the
optimiser run unchanged, and all that they do ends up in the graph. Tensors from outside are lifted to *states* when an op first touches
them. Python numbers that library code reads by :func:`gradus.mode.read_number` stay symbolic; every comparison of one is a guard.
Whatever happens, every tensor outside is afterwards as it was: what a run changes is noted in :class:`Traced`.
"""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gradus.compiler.graph import CONSTANT, INPUT, RESULT, STATE, Call, Graph, Number, Value
from gradus.compiler.inference import infer
from gradus.compiler.tracers import TracedNumber, Tracer, is_window
from gradus.errors import AliasError, TraceError, user_location
from gradus.mode import MODE, World
from gradus.primitive import Primitive
from gradus.tape import Node
from gradus.tensors import Tensor
from gradus.versions import LATEST, tick

Holder = Tensor | int  # a tensor from outside, or the position of an argument


class State(NamedTuple):
    """A tensor from outside that the function read or wrote, as it was at the start, and the value that stands for its memory."""

    tensor: Tensor
    array: np.ndarray
    grad: Tensor | None
    requires_grad: bool
    value: Value
    cell: Tracer | None
    node: Any
    hooks: tuple[Any, ...]

    def restore(self) -> None:
        """The tensor as it was."""
        self.tensor.value, self.tensor._grad = self.array, self.grad
        self.tensor.node, self.tensor.requires_grad = self.node, self.requires_grad
        if self.tensor._hooks is not None:
            self.tensor._hooks.clear()
            self.tensor._hooks.update(self.hooks)


class PastNode(Node):
    """Stands for the history that a tensor from outside had before the compiled function began."""

    special = True

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__(None, (), (), shape, dtype)

    @property
    def name(self) -> str:
        """What messages call it."""
        return "an op outside the compiled function"

    def pull(self, g: Any, create_graph: bool) -> list[Any]:
        """A backward pass inside cannot leave."""
        raise TraceError(
            "backward inside a compiled function cannot go on into what was computed outside",
            got=f"a tensor of shape {self.shape} that an op outside made",
            wanted="a graph that begins inside the compiled function",
            why="that graph is another one at each call",
            fix="compile the whole step, or pass x.detach()",
            code="E42",
        )


class Trace(World):
    """The world of one trace.

    Attributes:
        graph: what was noted.
        states: every lifted tensor by its identity.
        number_guards: (number, value) pairs that the program relies on.
        leaf_guards: (owner, key, value) of what library code read that is no number.
        written: (owner, key) to the symbolic number that a step leaves there.
    """

    has_memory = True

    def __init__(self, external: set[int] | None = None) -> None:
        self.graph = Graph()
        self.external = external or set()
        self.inside: set[int] = set()
        self.ended = False
        self.states: dict[int, State] = {}
        self.cells: dict[Any, Tracer] = {}
        self.constants: dict[int, Value] = {}
        self.numbers: dict[tuple[int, Any], Any] = {}
        self.written: dict[tuple[int, Any], tuple[MutableMapping[Any, Any], Any, Any]] = {}
        self.number_guards: list[tuple[Number, Any]] = []
        self.leaf_guards: list[tuple[MutableMapping[Any, Any], Any, Any]] = []
        # No WeakSet: a Ctrl-C that arrives in the callback by which it forgets a member would be lost.
        self.tracers: list[weakref.ref[Tracer]] = []

    # What the world does.

    def lift(self, tensor: Tensor) -> Tensor:
        """Let a tracer stand in for the memory of a tensor until the trace ends."""
        if type(tensor.value) is np.ndarray:
            if id(tensor) in self.inside:
                tensor.value = self._cell_of(tensor.value, CONSTANT)
            else:
                self.adopt(tensor, STATE)
        return tensor

    def touch(self, tensor: Tensor) -> None:
        """A tensor from outside is lifted, so that what becomes of it is noted."""
        if id(tensor) not in self.inside:
            self.lift(tensor)

    def created(self, tensor: Tensor) -> None:
        """Note a tensor that the function makes: a constant, not a state."""
        self.inside.add(id(tensor))

    def array(self, data: np.ndarray) -> Tracer | None:
        """An array from outside is read at every run."""
        return self.tracer(self.argument(data)) if id(data) in self.external else None

    def viewed(self, cell: Tracer) -> bool:
        """Whether some living tensor, or a saved value, is a view of a cell."""
        return any(tracer.base is cell for tracer in self.living())

    def adopt(self, tensor: Tensor, kind: str) -> State:
        """Note how a tensor is, and let the cell of its memory stand in."""
        array = tensor.value
        cell = self._cell_of(array, kind)
        hooks = tuple((tensor._hooks or {}).items())
        state = State(tensor, array, tensor._grad, tensor.requires_grad, cell.node, cell, tensor.node, hooks)
        if kind == STATE:
            self.states[id(tensor)] = state
        tensor.value = cell
        if tensor.node is not None and tensor.requires_grad:
            tensor.node = PastNode(array.shape, array.dtype)
        return state

    def _cell_of(self, array: np.ndarray, kind: str) -> Tracer:
        """One cell for all tensors outside that lie in the very same memory."""
        _refuse_odd_strides(array)
        key = array.__array_interface__["data"][0], array.shape, array.strides, array.dtype, kind
        if kind == INPUT:
            return self.tracer(Value(INPUT, array.shape, array.dtype, _same_strides(array)))
        if key not in self.cells:
            value = self.argument(array) if kind == CONSTANT else Value(STATE, array.shape, array.dtype, array)
            self.cells[key] = self.tracer(value)
        return self.cells[key]

    def write(self, tensor: Tensor, value: Any) -> None:
        """Let the memory of a tensor hold another value: all that share it see it."""
        LATEST[0] = moment = tick()
        tensor.value.become(self.argument(value), (moment, user_location()))

    def past(self, value: Any) -> Any:
        """A cell that keeps what lies in another one now."""
        return self.tracer(self.argument(value))

    def living(self) -> list[Tracer]:
        """The tracers that somebody still holds."""
        return [tracer for reference in self.tracers if (tracer := reference()) is not None]

    def read_number(self, owner: MutableMapping[Any, Any], key: Any) -> Any:
        """A number kept in a dictionary, as a symbol; other leaves as they are, guarded."""
        place = (id(owner), key)
        if place in self.written:
            return self.written[place][2]
        if place not in self.numbers:
            self.numbers[place] = self._symbol(owner, key, owner[key])
        return self.numbers[place]

    def _symbol(self, owner: Any, key: Any, value: Any) -> Any:
        if isinstance(value, (float, int)) and not isinstance(value, bool):
            return TracedNumber(self, Number(value.item() if isinstance(value, np.generic) else value, owner=owner, key=key))
        if type(value) is tuple and all(type(item) in (int, float) for item in value):
            whole = Number(value, owner=owner, key=key)
            return tuple([TracedNumber(self, Number(item, "[]", (whole, k))) for k, item in enumerate(value)])
        self.leaf_guards.append((owner, key, value))
        return value

    def write_number(self, owner: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        """Note what a step leaves in a dictionary."""
        self.written[(id(owner), key)] = (owner, key, value)

    # Notes.

    def tracer(self, value: Value) -> Tracer:
        """A cell with a value of the graph."""
        tracer = Tracer(self, value)
        self.tracers.append(weakref.ref(tracer))
        return tracer

    def argument(self, arg: Any) -> Any:
        """An argument of an op as the graph keeps it."""
        if isinstance(arg, Tracer):
            self._refuse_strangers(arg)
            return arg.current()
        if isinstance(arg, TracedNumber):
            self._refuse_strangers(arg)
            return arg.node
        if isinstance(arg, np.ndarray):
            if id(arg) not in self.constants:
                # The content of an array from outside is read at every run: it is a state that nobody writes to.
                self.constants[id(arg)] = Value(STATE if id(arg) in self.external else CONSTANT, arg.shape, arg.dtype, arg)
            return self.constants[id(arg)]
        return arg.item() if isinstance(arg, np.generic) else arg

    def _refuse_masks(self, args: tuple[Any, ...]) -> None:
        for arg in args[1:]:
            if (isinstance(arg, Tracer) or id(arg) in self.external) and arg.dtype.kind == "b":
                raise TraceError(
                    "a compiled function cannot select by a mask: how many elements are left depends on values",
                    got=f"a mask bool{list(arg.shape)} as an index",
                    wanted="shapes that are known before any numbers",
                    fix="gradus.where(mask, x, 0.0)",
                    code="E42",
                )

    def _refuse_strangers(self, arg: Tracer | TracedNumber) -> None:
        if self.ended or arg.trace is not self:
            raise Tracer.strayed()

    def note(self, record: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Tracer:
        """Add a call to the graph."""
        if record.family == "indexing":
            self._refuse_masks(args)
        params = {key: value._settled() if isinstance(value, TracedNumber) else value for key, value in params.items()}
        if record.family != "elementwise":  # NumPy's scalars are arrays there: einsum asks for their shape
            args = tuple([np.asarray(arg) if isinstance(arg, np.generic) else arg for arg in args])
        arguments = [self.argument(arg) for arg in args]
        output = Value(RESULT, *infer(record, arguments, params))
        call = Call(record, arguments, params, output)
        self.graph.calls.append(call)
        if record.family == "check":
            self.graph.effects.append(output)
        tracer = Tracer(self, output, args[0] if is_window(record, args, call) else None)
        self.tracers.append(weakref.ref(tracer))
        return tracer


def _same_strides(array: np.ndarray) -> np.ndarray:
    """Something that lies as an array does, without its memory; never read."""
    return np.lib.stride_tricks.as_strided(np.empty(1, array.dtype), array.shape, array.strides)


def _refuse_odd_strides(array: np.ndarray) -> None:
    if any(stride % array.itemsize for stride in array.strides):
        raise TraceError(
            "a compiled function cannot read memory whose elements do not lie at whole steps",
            got=f"strides {array.strides} of {array.dtype}",
            wanted="strides that are multiples of the element's size",
            why="the tensor looks into a structured array",
            fix="x.clone()",
            code="E42",
        )


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


def map_tree(f: Callable[[Any], Any], tree: Any) -> Any:
    """``f`` on every leaf of nested tuples, lists and dicts.

    >>> map_tree(lambda x: x + 1, (1, [2, {"a": 3}]))
    (2, [3, {'a': 4}])
    """
    if type(tree) is dict:
        return {key: map_tree(f, item) for key, item in tree.items()}
    if isinstance(tree, dict):
        found = copy.copy(tree)
        found.update({key: map_tree(f, item) for key, item in tree.items()})
        return found
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[map_tree(f, item) for item in tree])
    if type(tree) in (tuple, list):
        return type(tree)([map_tree(f, item) for item in tree])
    return f(tree)


class Around(Protocol):
    """What a trace asks about a function's surroundings.

    Attributes:
        arrays: identities of NumPy arrays, whose content is read at every run.
        tensors: tensors by their identity: an argument that is one of them counts as such, not as an argument.
    """

    arrays: set[int]
    tensors: dict[int, Any]

    def undo(self) -> None:
        """Let everything that the function may have added to be as it was."""


def trace(f: Callable[..., Any], args: Any, kwargs: Any, leaves: Sequence[Any], around: Around) -> Traced:
    """Run ``f`` on tracers in place of its tensor arguments; afterwards every tensor outside is as it was.

    Args:
        f: the function.
        args, kwargs: as ``f`` is called with.
        leaves: the arguments in their tuples, lists and dicts, one after the other.
        around: what ``f`` reaches from outside.
    """
    world = Trace(around.arrays)
    arguments: dict[int, State] = {}  # by position
    saved = MODE.grad_enabled, MODE.world
    try:
        MODE.set(MODE.grad_enabled, world)
        seen: set[int] = set()
        for k, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor) and id(leaf) not in around.tensors and id(leaf) not in seen:
                seen.add(id(leaf))
                arguments[k] = world.adopt(leaf, INPUT)
        world.graph.inputs += [state.value for state in arguments.values()]
        result = f(*args, **kwargs)
        traced = _finish(world, result, arguments)
    finally:
        MODE.set(*saved)
        world.ended = True
        _restore([*arguments.values(), *world.states.values()])
        around.undo()
        arguments.clear()
        world.cells.clear()
        world.states = {key: state._replace(cell=None) for key, state in world.states.items()}
    del result
    _refuse_survivors(world, f)
    return traced


def _restore(states: list[State]) -> None:
    for state in states:
        state.restore()


def _refuse_survivors(world: Trace, f: Any) -> None:
    """Raise if a tensor of the trace is still alive: it would never hold numbers."""
    for attempt in range(2):
        alive = world.living()
        if not alive:
            return
        if not attempt:
            del alive
            gc.collect()
    code = getattr(getattr(f, "__func__", f), "__code__", None)
    error = Tracer.strayed("kept after the call", f"{code.co_filename}:{code.co_firstlineno} in {code.co_name}" if code else "")
    error.got = f"{', '.join(sorted(tracer.node.typed() for tracer in alive[:3]))}{_holder(alive[0])}"
    raise error


def _holder(tracer: Tracer) -> str:
    """Where a surviving tensor is kept, in words, if that can be seen."""
    near = gc.get_referrers(tracer)
    near += [x for table in near if type(table) is dict for x in gc.get_referrers(table)]
    for tensor in [x for x in near if isinstance(x, Tensor)]:
        tables = gc.get_referrers(tensor)
        for table in [x for x in tables if type(x) is dict and "value" not in x]:
            name = next((key for key, value in table.items() if value is tensor), None)
            owner = next((type(x).__name__ for x in gc.get_referrers(table) if getattr(x, "__dict__", None) is table), "")
            if name is not None:
                return f", kept as {owner + '.' if owner else ''}{name}"
    return ""


class Argument:
    """An argument that the function returns as it is."""

    def __init__(self, position: int) -> None:
        self.position = position


class Output:
    """A tensor that the function returns. (No tuple: a tree of results is walked through tuples.)"""

    def __init__(self, value: Value, requires_grad: bool) -> None:
        self.value, self.requires_grad = value, requires_grad


def _finish(world: Trace, result: Any, arguments: dict[int, State]) -> Traced:
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
        return leaf

    tree = map_tree(output, result)
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


def _writes(world: Trace, arguments: dict[int, State]) -> tuple[list[tuple[int, Value]], list[State]]:
    """What arguments' memory becomes, and all tensors that are written; what becomes of states goes to the graph."""
    writes: list[tuple[int, Value]] = []
    written: list[State] = []
    updates: dict[Value, Value] = {}
    for position, state in [*((-1, s) for s in world.states.values()), *arguments.items()]:
        if not isinstance(state.tensor.value, (Tracer, np.ndarray)):
            raise Tracer.strayed("left behind by another world")
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

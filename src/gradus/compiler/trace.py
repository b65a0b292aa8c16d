"""Tracing: the function runs once on abstract arrays, and every op that meets one is noted in a graph.

A tracer is just another array type below :class:`gradus.Tensor`: it stands in ``Tensor.value``, so the tape, ``backward``, clipping and the
optimiser run unchanged, and all that they do ends up in the graph. Tensors from outside are lifted to *states* when an op first touches
them. Python numbers that library code reads by :func:`gradus.mode.read_number` stay symbolic; every comparison of one is a guard.
"""

from __future__ import annotations

import operator
import random
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.graph import CONSTANT, INPUT, OPERATORS, RESULT, STATE, Call, Graph, Number, Value
from gradus.compiler.inference import infer
from gradus.errors import TraceError, user_location
from gradus.mode import MODE, World
from gradus.ops.operators import Operators
from gradus.primitive import Primitive
from gradus.tensors import Tensor


class Tracer(Operators):
    """Stands for an array during a trace: it has a shape and a dtype, but no numbers yet."""

    __slots__ = ("trace", "node")

    def __init__(self, trace: Trace, node: Value) -> None:
        self.trace, self.node = trace, node

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.node.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.node.size

    def __repr__(self) -> str:
        return f"<traced {self.node.typed()}>"

    def __len__(self) -> int:
        return self.node.shape[0]

    def __concrete__(self, asked: str) -> Any:
        raise _no_value(asked, self.node)

    def __bool__(self) -> bool:
        raise _no_value("bool()", self.node)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise _no_value("a NumPy function", self.node)

    @staticmethod
    def __bind__(record: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        trace = next(arg.trace for arg in args if isinstance(arg, (Tracer, TracedNumber)))
        return trace.note(record, args, params)


def _no_value(asked: str, value: Value) -> TraceError:
    branch = asked == "bool()"
    return TraceError(
        "a compiled function cannot branch on the values of a tensor" if branch else f"{asked} needs numbers, and a compiled function has none yet",
        got=f"{asked} of a {value.typed()} inside gradus.compile",
        wanted="ops on tensors, whose result does not decide what Python does next",
        why="the function is traced once and replayed with other numbers: a branch taken now would be taken for ever" if branch else "",
        fix="gradus.where(condition, a, b), or keep this line outside the compiled function",
        code="E42",
    )


class TracedNumber:
    """Stands for a Python number that changes between calls: arithmetic is kept as an expression, comparing makes a guard."""

    __slots__ = ("trace", "node")
    __array_ufunc__ = None

    def __init__(self, trace: Trace, node: Number) -> None:
        self.trace, self.node = trace, node

    __bind__ = staticmethod(Tracer.__bind__)

    def __repr__(self) -> str:
        return repr(self.node.example)

    def _compare(self, operation: str, other: Any) -> bool:
        other = other.node if isinstance(other, TracedNumber) else other
        example = OPERATORS[operation](self.node.example, other.example if isinstance(other, Number) else other)
        self.trace.number_guards.append((Number(example, operation, (self.node, other)), example))
        return example

    def _settled(self) -> Any:
        """The example itself, which from now on must not change."""
        self.trace.number_guards.append((self.node, self.node.example))
        return self.node.example

    def __float__(self) -> float:
        return float(self._settled())

    def __int__(self) -> int:
        return int(self._settled())

    def __index__(self) -> int:
        return operator.index(self._settled())

    def __bool__(self) -> bool:
        return bool(self._settled())

    def __hash__(self) -> int:
        return hash(self._settled())

    def __format__(self, spec: str) -> str:
        return format(self.node.example, spec)

    def __neg__(self) -> Any:
        return _combined("*", self, -1)


def _combined(operation: str, a: Any, b: Any) -> Any:
    trace = a.trace if isinstance(a, TracedNumber) else b.trace
    a, b = (x.node if isinstance(x, TracedNumber) else x for x in (a, b))
    example = OPERATORS[operation](*[x.example if isinstance(x, Number) else x for x in (a, b)])
    return TracedNumber(trace, Number(example, operation, (a, b)))


def _install_arithmetic() -> None:
    """``+ - * / // % **`` from both sides, and the comparisons."""

    def arithmetic(operation: str, swapped: bool) -> Callable[..., Any]:
        def method(self: TracedNumber, other: Any) -> Any:
            if type(other) is not TracedNumber and not isinstance(other, (int, float)):
                return NotImplemented  # an array or a Tensor: an op then
            return _combined(operation, other, self) if swapped else _combined(operation, self, other)

        return method

    def comparison(operation: str) -> Callable[..., Any]:
        def method(self: TracedNumber, other: Any) -> Any:
            if type(other) is not TracedNumber and not isinstance(other, (int, float)):
                return NotImplemented
            return self._compare(operation, other)

        return method

    for name, operation in {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**"}.items():
        setattr(TracedNumber, f"__{name}__", arithmetic(operation, swapped=False))
        setattr(TracedNumber, f"__r{name}__", arithmetic(operation, swapped=True))
    for name, operation in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
        setattr(TracedNumber, f"__{name}__", comparison(operation))


_install_arithmetic()


class State(NamedTuple):
    """A tensor from outside that the function read or wrote: its memory, its ``grad`` at the start, and the value that stands for it."""

    tensor: Tensor
    array: np.ndarray
    grad: Tensor | None
    requires_grad: bool
    value: Value


class Trace(World):
    """The world of one trace.

    Attributes:
        graph: what was noted.
        states: every lifted tensor by its identity.
        number_guards: (number, value) pairs that the program relies on.
        leaf_guards: (owner, key, value) of what library code read that is no number.
        written: (owner, key) to the symbolic number that a step leaves there.
    """

    def __init__(self, external: set[int]) -> None:
        self.graph = Graph()
        self.states: dict[int, State] = {}
        self.external = external
        self.constants: dict[int, Value] = {}
        self.cells: dict[tuple[int, Any], Any] = {}
        self.written: dict[tuple[int, Any], tuple[MutableMapping[Any, Any], Any, Any]] = {}
        self.number_guards: list[tuple[Number, Any]] = []
        self.leaf_guards: list[tuple[MutableMapping[Any, Any], Any, Any]] = []
        self.tracers: weakref.WeakSet[Tracer] = weakref.WeakSet()
        self.views: list[tuple[weakref.ref[Tensor], weakref.ref[Tensor]]] = []

    # What the world does.

    def lift(self, tensor: Tensor) -> Tensor:
        """Let a tracer stand in for the memory of a tensor until the trace ends."""
        if type(tensor.value) is np.ndarray:
            value = Value(STATE, tensor.value.shape, tensor.value.dtype, tensor.value)
            self.states[id(tensor)] = State(tensor, tensor.value, tensor._grad, tensor.requires_grad, value)
            tensor.value = self.tracer(value)
        return tensor

    def read_number(self, owner: MutableMapping[Any, Any], key: Any) -> Any:
        """A number kept in a dictionary, as a symbol; other leaves as they are, guarded."""
        cell = (id(owner), key)
        if cell in self.written:
            return self.written[cell][2]
        if cell not in self.cells:
            self.cells[cell] = self._symbol(owner, key, owner[key])
        return self.cells[cell]

    def _symbol(self, owner: Any, key: Any, value: Any) -> Any:
        if isinstance(value, (float, int)) and not isinstance(value, bool):
            return TracedNumber(self, Number(value.item() if isinstance(value, np.generic) else value, owner=owner, key=key))
        if type(value) is tuple:
            whole = Number(value, owner=owner, key=key)
            return tuple([TracedNumber(self, Number(item, "[]", (whole, k))) for k, item in enumerate(value)])
        self.leaf_guards.append((owner, key, value))
        return value

    def write_number(self, owner: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        """Note what a step leaves in a dictionary."""
        self.written[(id(owner), key)] = (owner, key, value)

    # Notes.

    def tracer(self, value: Value) -> Tracer:
        """A tracer for a value of the graph."""
        tracer = Tracer(self, value)
        self.tracers.add(tracer)
        return tracer

    def argument(self, arg: Any) -> Any:
        """An argument of an op as the graph keeps it."""
        if isinstance(arg, (Tracer, TracedNumber)):
            if arg.trace is not self:
                raise _escaped("a value of an earlier trace")
            return arg.node
        if isinstance(arg, np.ndarray):
            if id(arg) not in self.constants:
                self.constants[id(arg)] = Value(CONSTANT, arg.shape, arg.dtype, arg)
            return self.constants[id(arg)]
        return arg.item() if isinstance(arg, np.generic) else arg

    def note(self, record: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Tracer:
        """Add a call to the graph."""
        if record.family == "indexing":
            _refuse_masks(args)
        params = {key: value._settled() if isinstance(value, TracedNumber) else value for key, value in params.items()}
        arguments = [self.argument(arg) for arg in args]
        output = Value(RESULT, *infer(record, arguments, params))
        self.graph.calls.append(Call(record, arguments, params, output))
        if record.family == "check":
            self.graph.effects.append(output)
        return self.tracer(output)


def _refuse_masks(args: tuple[Any, ...]) -> None:
    for arg in args[1:]:
        if isinstance(arg, Tracer) and arg.dtype.kind == "b":
            raise TraceError(
                "a compiled function cannot select by a mask: how many elements are left depends on values",
                got=f"a mask {arg.node.typed()} as an index",
                wanted="shapes that are known before any numbers",
                fix="gradus.where(mask, x, 0.0)",
                code="E42",
            )


def _escaped(what: str) -> TraceError:
    return TraceError(
        f"{what} was used after its trace had ended",
        got="a tensor that was kept from inside a compiled function",
        wanted="tensors that are returned by it",
        why="inside a compiled function a tensor holds no numbers: it was stored in an attribute, a list or a global",
        fix="return it from the compiled function, and store it outside",
        code="E42",
    )


class Traced(NamedTuple):
    """What a trace found out.

    Attributes:
        graph: the ops.
        trace: states, numbers and guards.
        result: what the function returned; tensors of the graph are replaced by their Values.
        grads: (tensor, Value or None): what ``tensor.grad`` becomes.
    """

    graph: Graph
    trace: Trace
    result: Any
    grads: list[tuple[Tensor, Value | None]]


def map_tree(f: Callable[[Any], Any], tree: Any) -> Any:
    """``f`` on every leaf of nested tuples, lists and dicts.

    >>> map_tree(lambda x: x + 1, (1, [2, {"a": 3}]))
    (2, [3, {'a': 4}])
    """
    if isinstance(tree, dict):
        return {key: map_tree(f, item) for key, item in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[map_tree(f, item) for item in tree])
    if type(tree) in (tuple, list):
        return type(tree)([map_tree(f, item) for item in tree])
    return f(tree)


def trace(f: Callable[..., Any], args: Any, kwargs: Any, external: set[int]) -> Traced:
    """Run ``f`` on tracers in place of its tensor arguments; afterwards every tensor outside is as it was.

    Args:
        f: the function.
        args, kwargs: as ``f`` is called with; Tensors in tuples, lists and dicts are found.
        external: identities of the arrays that ``f`` reaches from outside: their content is read at every run.
    """
    world = Trace(external)
    inputs: dict[int, tuple[Tensor, Any]] = {}
    leaves: list[Tensor] = []

    def stand_in(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) not in inputs:
            value = Value(INPUT, leaf.value.shape, leaf.value.dtype)
            world.graph.inputs.append(value)
            inputs[id(leaf)] = (leaf, leaf.value)
            leaves.append(leaf)
            leaf.value = world.tracer(value)
        return leaf

    saved = MODE.grad_enabled, MODE.world
    dice = random.getstate(), _numpy_dice()
    grads = {}
    MODE.set(MODE.grad_enabled, world)
    try:
        map_tree(stand_in, (args, kwargs))
        grads = {id(leaf): leaf._grad for leaf in leaves}
        result = f(*args, **kwargs)
        _refuse_dice(dice)
        traced = _finish(world, result, leaves, grads)
    finally:
        MODE.set(*saved)
        for leaf, array in inputs.values():
            leaf.value = array
            leaf._grad = grads.get(id(leaf), leaf._grad)
        for state in world.states.values():
            state.tensor.value = state.array
            state.tensor._grad = state.grad
    del result
    return traced


def _numpy_dice() -> Any:
    kind, keys, position, *rest = np.random.get_state(legacy=True)
    return kind, keys.tobytes(), position, rest


def _refuse_dice(before: Any) -> None:
    if before != (random.getstate(), _numpy_dice()):
        raise TraceError(
            "a compiled function cannot draw from np.random or random: the numbers of the trace would be repeated for ever",
            got="a generator of NumPy or Python that moved during the trace",
            wanted="Gradus' generator, whose counter is part of the step",
            fix="gradus.rand(shape), gradus.randn(shape) or F.dropout",
            code="E42",
        )


def _finish(world: Trace, result: Any, leaves: list[Tensor], start: dict[int, Any]) -> Traced:
    """Name the outputs, what states become and what ``grad`` becomes."""
    graph = world.graph

    def value_of(tensor: Tensor) -> Value:
        return world.argument(tensor.value)

    own = {id(state.tensor) for state in world.states.values()} | {id(leaf) for leaf in leaves}

    def output(leaf: Any) -> Any:
        if isinstance(leaf, TracedNumber):
            return leaf.node
        if isinstance(leaf, Tensor) and id(leaf) not in own and isinstance(leaf.value, Tracer):
            return Output(value_of(leaf), leaf.requires_grad)
        return leaf

    tree = map_tree(output, result)
    grads: list[tuple[Tensor, Value | None]] = []
    for state in list(world.states.values()):
        if isinstance(state.tensor.value, Tracer) and state.tensor.value.node is state.value:
            pass
        else:
            graph.updates.append((state.value, value_of(state.tensor)))
    for tensor, before in [(s.tensor, s.grad) for s in list(world.states.values())] + [(leaf, start[id(leaf)]) for leaf in leaves]:
        now = tensor._grad
        if now is before:
            continue
        if now is None:
            grads.append((tensor, None))
        elif before is not None and id(before) in world.states:  # it was added to: the same memory takes the sum
            graph.updates.append((world.states[id(before)].value, value_of(now)))
        else:
            grads.append((tensor, value_of(now)))
    map_tree(lambda leaf: graph.outputs.append(leaf.value) if isinstance(leaf, Output) else None, tree)
    graph.outputs += [value for _, value in grads if value is not None]
    graph.outputs = list(dict.fromkeys(graph.outputs))
    return Traced(graph.verify(), world, tree, grads)


class Output:
    """A tensor that the function returns. (No tuple: a tree of results is walked through tuples.)"""

    def __init__(self, value: Value, requires_grad: bool) -> None:
        self.value, self.requires_grad = value, requires_grad

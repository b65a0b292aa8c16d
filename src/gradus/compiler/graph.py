"""The graph: a flat list of typed calls in the order they were traced. It prints, checks itself, and runs on plain NumPy.

A *value* is an array with a shape and a dtype: an input, a state (memory that outlives the call, such as a parameter), a constant, or the
output of a call. A *number* is a Python number that changes between calls (a learning rate, a step count); arithmetic on numbers is kept
as an expression. A call is an op record with arguments and parameters: the same records that eager mode runs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradus.backend import INDEX_SLOT
from gradus.errors import GradusError
from gradus.primitive import Primitive
from gradus.tape import evaluate

INPUT, STATE, CONSTANT, RESULT = "input", "state", "constant", "result"


class GraphError(GradusError, AssertionError):
    """A graph that breaks its own rules: a mistake in a pass, not in a user's program."""


class Value:
    """An array of the graph.

    Attributes:
        kind: "input", "state", "constant" or "result".
        shape, dtype: what every run must give.
        call: the call that computes it; None unless ``kind`` is "result".
        array: of a constant its content; of a state the memory.
    """

    __slots__ = ("kind", "shape", "dtype", "call", "array", "__weakref__")

    def __init__(self, kind: str, shape: tuple[int, ...], dtype: np.dtype[Any], array: Any = None) -> None:
        self.kind, self.shape, self.dtype, self.array = kind, tuple(shape), np.dtype(dtype), array
        self.call: Call | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def nbytes(self) -> int:
        """Bytes of a contiguous array of this type."""
        return self.size * self.dtype.itemsize

    def typed(self) -> str:
        """``float32[64, 10]``."""
        return f"{self.dtype}{list(self.shape)}"


OPERATORS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "[]": operator.getitem,
}


class Number:
    """A Python number that changes between calls: read from ``owner[key]``, or computed from others by an operator.

    Attributes:
        operation: "" for a number that is read, else a key of OPERATORS.
        operands: numbers and Python numbers.
        owner, key: where it is read.
        example: its value during the trace.
    """

    __slots__ = ("operation", "operands", "owner", "key", "example")

    def __init__(self, example: Any, operation: str = "", operands: tuple[Any, ...] = (), owner: Any = None, key: Any = None) -> None:
        self.example, self.operation, self.operands, self.owner, self.key = example, operation, operands, owner, key

    def evaluate(self, known: dict[Number, Any]) -> Any:
        """The value now; ``known`` keeps what was computed already."""
        if self not in known:
            if self.operation:
                operands = [x.evaluate(known) if isinstance(x, Number) else x for x in self.operands]
                known[self] = OPERATORS[self.operation](*operands)
            else:
                found = self.owner[self.key]
                known[self] = found.item() if isinstance(found, np.generic) else found
        return known[self]


class Call:
    """One op of the graph: ``output = record(*args, **params)``. Arguments are Values, Numbers and Python numbers."""

    __slots__ = ("record", "args", "params", "output", "where")

    def __init__(self, record: Primitive, args: Sequence[Any], params: Mapping[str, Any], output: Value, where: str = "") -> None:
        self.record, self.args, self.params, self.output, self.where = record, tuple(args), params, output, where
        output.call = self

    @property
    def inputs(self) -> list[Value]:
        """The arguments that are arrays."""
        return [arg for arg in self.args if isinstance(arg, Value)]


class Graph:
    """A function of arrays as a list of calls.

    Attributes:
        inputs: values given at each run.
        calls: in an order in which each argument is computed before it is used.
        outputs: values handed back.
        updates: (state, value) pairs: what each changed state holds after a run.
        effects: values whose computation may raise, such as checked labels; they are kept although nothing may use them.
    """

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.calls: list[Call] = []
        self.outputs: list[Value] = []
        self.updates: list[tuple[Value, Value]] = []
        self.effects: list[Value] = []

    @property
    def roots(self) -> list[Value]:
        """What a run is for: outputs, new states, effects."""
        return [*self.outputs, *(value for _, value in self.updates), *self.effects]

    def with_calls(self, calls: Iterable[Call], replaced: Mapping[Value, Value] | None = None) -> Graph:
        """The same function with other calls; ``replaced`` says which values stand for old ones among outputs and updates."""
        new, by = Graph(), replaced or {}
        new.inputs = self.inputs
        new.calls = list(calls)
        new.outputs = [by.get(v, v) for v in self.outputs]
        new.updates = [(state, by.get(v, v)) for state, v in self.updates]
        new.effects = [by.get(v, v) for v in self.effects]
        return new

    def leaves(self) -> list[Value]:
        """Inputs, states and constants that some call or root uses, in order of first use."""
        used = [v for call in self.calls for v in call.inputs] + self.roots + [state for state, _ in self.updates]
        return list(dict.fromkeys([*self.inputs, *(v for v in used if v.kind != RESULT)]))

    # Reading it.

    def names(self) -> dict[Any, str]:
        """A short name for every value and number: x0 inputs, s0 states, c0 constants, h0 numbers, v0 results."""
        counts: dict[str, int] = {}
        names: dict[Any, str] = {}

        def name(thing: Any, letter: str) -> None:
            if thing not in names:
                counts[letter] = counts.get(letter, -1) + 1
                names[thing] = f"{letter}{counts[letter]}"

        letters = {INPUT: "x", STATE: "s", CONSTANT: "c", RESULT: "v"}
        for leaf in self.leaves():
            name(leaf, letters[leaf.kind])
        for call in self.calls:
            for arg in call.args:
                if isinstance(arg, Number):
                    name(arg, "h")
            name(call.output, "v")
        return names

    def __str__(self) -> str:
        names = self.names()
        lines = [f"{names[leaf]}: {leaf.typed()} = {leaf.kind}" for leaf in self.leaves()]
        lines += [f"{names[call.output]}: {call.output.typed()} = {call_text(call, names)}" for call in self.calls]
        lines += [f"{names[state]} <- {names[value]}" for state, value in self.updates]
        return "\n".join([*lines, f"return {', '.join(names[v] for v in self.outputs)}"])

    # Checking it.

    def verify(self) -> Graph:
        """Raise GraphError unless every argument is computed before it is used, once, and states are updated in their own type."""
        known: set[Value] = set(self.leaves())
        for k, call in enumerate(self.calls):
            for arg in call.inputs:
                if arg not in known:
                    raise GraphError(f"call {k}, {call.record.name}, uses a {arg.typed()} that is not computed yet")
            if call.output in known or call.output.kind != RESULT:
                raise GraphError(f"call {k}, {call.record.name}, writes a value that exists already")
            if call.output.call is not call:
                raise GraphError(f"the output of call {k}, {call.record.name}, belongs to another call")
            known.add(call.output)
        for value in self.roots:
            if value not in known:
                raise GraphError(f"a root {value.typed()} is never computed")
        for state, value in self.updates:
            if state.shape != value.shape or state.dtype != value.dtype:
                raise GraphError(f"a state {state.typed()} would become {value.typed()}")
        return self

    # Running it.

    def interpret(self, inputs: Sequence[np.ndarray], known: dict[Number, Any] | None = None) -> list[np.ndarray]:
        """Run on NumPy, one call after the other, through the forward functions of eager mode; states are updated at the end."""
        numbers = {} if known is None else known
        arrays: dict[Value, np.ndarray] = dict(zip(self.inputs, inputs, strict=True))

        def argument(arg: Any) -> Any:
            if isinstance(arg, Value):
                return arrays.get(arg, arg.array)
            return arg.evaluate(numbers) if isinstance(arg, Number) else arg

        for call in self.calls:
            y = np.asarray(evaluate(call.record, [argument(arg) for arg in call.args], call.params))
            if y.shape != call.output.shape or y.dtype != call.output.dtype:
                raise GraphError(f"{call.record.name} gave {y.dtype}{list(y.shape)}", wanted=call.output.typed(), got=call.where)
            arrays[call.output] = y
        outputs = [np.array(argument(value)) for value in self.outputs]
        for state, new in [(state, np.array(argument(value))) for state, value in self.updates]:
            np.copyto(state.array, new)
        return outputs


def call_text(call: Call, names: Mapping[Any, str]) -> str:
    """``multiply(v3, 0.5)``."""
    args = [names[arg] if isinstance(arg, (Value, Number)) else repr(arg) for arg in call.args]
    params = [f"{key}={parameter_text(value)}" for key, value in call.params.items()]
    return f"{call.record.name}({', '.join(args + params)})"


def parameter_text(value: Any) -> str:
    """A parameter as a person writes it: slices in keys as ``1:3``.

    >>> parameter_text((slice(1, 3), None, Ellipsis, INDEX_SLOT))
    '[1:3, None, ..., #]'
    """
    if isinstance(value, tuple) and any(isinstance(item, slice) or item is Ellipsis or item is INDEX_SLOT for item in value):
        return "[" + ", ".join(_key_text(item) for item in value) + "]"
    return str(value) if isinstance(value, np.dtype) else repr(value)


def _key_text(item: Any) -> str:
    if isinstance(item, slice):
        text = f"{'' if item.start is None else item.start}:{'' if item.stop is None else item.stop}"
        return text if item.step is None else f"{text}:{item.step}"
    return "..." if item is Ellipsis else "#" if item is INDEX_SLOT else repr(item)

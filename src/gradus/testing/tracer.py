"""A minimal tracer: it stands in for ``Tensor.value``, notes every op that runs, and replays them with new data.

It is the smallest proof that one set of rules serves eager execution and a compiler alike: while a step is traced, the tape, ``backward``
and the optimiser run unchanged, and all they do ends up in one flat list of raw calls. Shapes are fixed; nothing is optimised.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradus.mode import MODE, World
from gradus.ops.operators import Operators
from gradus.primitive import Primitive
from gradus.tape import evaluate
from gradus.tensors import Tensor, wrap


class Traced(Operators):
    """A value during tracing: its concrete example, and the slot that will hold it at each replay."""

    __slots__ = ("trace", "slot", "example")

    def __init__(self, trace: Trace, example: Any) -> None:
        self.trace, self.example = trace, np.asarray(example)
        self.slot = trace.new_slot()

    shape = property(lambda self: self.example.shape)
    dtype = property(lambda self: self.example.dtype)
    ndim = property(lambda self: self.example.ndim)
    size = property(lambda self: self.example.size)

    def __repr__(self) -> str:
        return f"Traced({self.slot}: {self.dtype}{list(self.shape)})"

    def __concrete__(self, asked: str) -> Any:
        raise TypeError(f"{asked} needs a number, but during tracing there is none yet")

    @staticmethod
    def __bind__(record: Primitive, args: tuple[Any, ...], params: Any) -> Any:
        trace = next(arg.trace for arg in args if isinstance(arg, (Traced, HostNumber)))
        values = [arg.example if isinstance(arg, (Traced, HostNumber)) else arg for arg in args]
        y = Traced(trace, evaluate(record, values, params))
        trace.calls.append((record, args, params, y))
        return y


class HostNumber:
    """A Python number that changes between steps (a learning rate, a step count): arithmetic on it is noted, too."""

    def __init__(self, trace: Trace, example: Any, compute: Callable[[dict[int, Any]], Any] | None = None) -> None:
        self.trace, self.example, self.slot = trace, example, trace.new_slot()
        self.compute = compute or (lambda slots: slots[self.slot])

    __bind__ = staticmethod(Traced.__bind__)
    __array_ufunc__ = None

    def _combine(self, other: Any, f: Callable[..., Any], swapped: bool = False) -> Any:
        if isinstance(other, (Traced, Tensor, np.ndarray)):
            return NotImplemented

        def value(x: Any, slots: dict[int, Any]) -> Any:
            return x.compute(slots) if isinstance(x, HostNumber) else x

        a, b = (other, self) if swapped else (self, other)
        example = f(*[x.example if isinstance(x, HostNumber) else x for x in (a, b)])
        return HostNumber(self.trace, example, lambda slots: f(value(a, slots), value(b, slots)))

    def __add__(self, other: Any) -> Any:
        return self._combine(other, operator.add)

    def __radd__(self, other: Any) -> Any:
        return self._combine(other, operator.add, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._combine(other, operator.sub)

    def __rsub__(self, other: Any) -> Any:
        return self._combine(other, operator.sub, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._combine(other, operator.mul)

    def __rmul__(self, other: Any) -> Any:
        return self._combine(other, operator.mul, swapped=True)

    def __truediv__(self, other: Any) -> Any:
        return self._combine(other, operator.truediv)

    def __rtruediv__(self, other: Any) -> Any:
        return self._combine(other, operator.truediv, swapped=True)

    def __pow__(self, other: Any) -> Any:
        return self._combine(other, operator.pow)

    def __rpow__(self, other: Any) -> Any:
        return self._combine(other, operator.pow, swapped=True)

    def __neg__(self) -> Any:
        return self._combine(-1, operator.mul)


class Trace(World):
    """The world of one trace.

    Attributes:
        calls: every op that ran: (record, arguments, parameters, output).
        state: tensors met on the way whose memory belongs to the caller, such as parameters: (tensor, memory, input slot).
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Primitive, tuple[Any, ...], Any, Traced]] = []
        self.state: list[tuple[Tensor, np.ndarray, Traced]] = []
        self.slots = 0

    def new_slot(self) -> int:
        """A fresh place for a value."""
        self.slots += 1
        return self.slots - 1

    def lift(self, tensor: Tensor) -> Tensor:
        """Let a traced value stand in for the memory of a tensor, until the trace ends."""
        if type(tensor.value) is np.ndarray:
            traced = Traced(self, tensor.value)
            self.state.append((tensor, tensor.value, traced))
            tensor.value = traced
        return tensor

    def run(self, f: Callable[..., Any], args: Sequence[np.ndarray]) -> tuple[list[Traced], Any]:
        """Call ``f`` on Tensors of traced values; afterwards every lifted tensor has its memory back, unchanged."""
        inputs = [Traced(self, arg) for arg in args]
        saved = MODE.grad_enabled, MODE.world
        MODE.set(MODE.grad_enabled, self)
        try:
            result = f(*[wrap(x) for x in inputs])
            self.updates = [(memory, traced, tensor.value) for tensor, memory, traced in self.state]
        finally:
            MODE.set(*saved)
            for tensor, memory, _ in self.state:
                tensor.value = memory
        return inputs, result

    def execute(self, slots: dict[int, Any]) -> dict[int, Any]:
        """Run the noted calls on raw arrays, given the slots of inputs and state."""

        def value(x: Any) -> Any:
            if isinstance(x, HostNumber):
                return x.compute(slots)
            return slots[x.slot] if isinstance(x, Traced) else x

        for record, args, params, y in self.calls:
            slots[y.slot] = np.asarray(evaluate(record, [value(arg) for arg in args], params))
        return slots


class Replay:
    """A traced function: call it with new data, and it repeats the noted ops, updating the state tensors in their own memory.

    Args:
        f: takes Tensors, returns one Tensor.
        args: example arrays.
        host: maker of host numbers: called with the trace before ``f``, returns a function giving their values at each step.
    """

    def __init__(
        self, f: Callable[..., Tensor], args: Sequence[np.ndarray], host: Callable[[Trace], Callable[[], dict[int, Any]]] | None = None
    ) -> None:
        self.trace = Trace()
        self.host = host(self.trace) if host is not None else dict
        self.inputs, self.result = self.trace.run(f, args)

    def __call__(self, *args: np.ndarray) -> np.ndarray:
        slots: dict[int, Any] = dict(self.host())
        slots.update({x.slot: np.asarray(arg) for x, arg in zip(self.inputs, args, strict=True)})
        slots.update({traced.slot: memory.copy() for _, memory, traced in self.trace.state})
        slots = self.trace.execute(slots)
        for memory, _, after in self.trace.updates:
            np.copyto(memory, slots[after.slot])
        value = self.result.value
        return slots[value.slot] if isinstance(value, Traced) else value

"""How a pass rewrites: walk the calls in order, note new ones through the same records, and say which value stands for which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradus.compiler.graph import RESULT, Call, Graph, Number, Value
from gradus.compiler.tracers import TracedNumber, Tracer
from gradus.compiler.world import Trace
from gradus.mode import MODE


class Rewriting(Trace):
    """A trace in which calls of a graph are noted anew."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.old = graph
        self.replaced: dict[Value, Value] = {}

    def now(self, value: Value) -> Value:
        """What stands for a value of the old graph."""
        return self.replaced.get(value, value)

    def stand_in(self, arg: Any) -> Any:
        """An argument of an old call as an op takes it: a tracer, a traced number or the Python number itself."""
        if isinstance(arg, Value):
            return Tracer(self, self.now(arg))
        return TracedNumber(self, arg) if isinstance(arg, Number) else arg

    def keep(self, call: Call) -> Value:
        """The call itself, with the new arguments."""
        args = [self.now(arg) if isinstance(arg, Value) else arg for arg in call.args]
        if args == list(call.args):
            self.graph.calls.append(call)
            return call.output
        output = Value(RESULT, call.output.shape, call.output.dtype)
        self.graph.calls.append(Call(call.record, args, call.params, output))
        return output


def rewrite(graph: Graph, step: Callable[[Rewriting, Call], Value]) -> Graph:
    """A graph in which ``step`` has dealt with every call: it notes what it wants and returns what stands for the call's output."""
    world = Rewriting(graph)
    saved = MODE.grad_enabled, MODE.world
    MODE.set(False, world)
    try:
        for call in graph.calls:
            new = step(world, call)
            if new is not call.output:
                world.replaced[call.output] = new
    finally:
        MODE.set(*saved)
    return graph.with_calls(world.graph.calls, world.replaced)

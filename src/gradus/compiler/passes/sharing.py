"""Common subexpressions and dead code: what is computed twice is computed once, and what nobody needs is not computed."""

from __future__ import annotations

from typing import Any

from gradus.compiler.graph import Call, Graph, Number, Value
from gradus.compiler.passes.rewriting import Rewriting, rewrite


def share(graph: Graph) -> Graph:
    """One call for all that are equal in op, arguments and parameters."""
    seen: dict[Any, Value] = {}
    numbers: dict[Any, int] = {}

    def step(world: Rewriting, call: Call) -> Value:
        args = tuple([_key(world.now(arg) if isinstance(arg, Value) else arg, numbers) for arg in call.args])
        key = (call.record.name, args, repr(call.params))
        if key not in seen:
            seen[key] = world.keep(call)
        return seen[key]

    return rewrite(graph, step)


def _key(arg: Any, numbers: dict[Any, int]) -> Any:
    """What makes two arguments the same; expressions of numbers are compared by their form."""
    if isinstance(arg, Number):
        return "number", number_key(arg, numbers)
    return (type(arg), repr(arg)) if isinstance(arg, (int, float)) else id(arg)


def number_key(number: Any, known: dict[Any, int]) -> Any:
    """A number by its form: equal for numbers that are always equal."""
    if not isinstance(number, Number):
        return type(number), repr(number)
    if number.operation:
        form: Any = (number.operation, *[number_key(x, known) for x in number.operands])
    else:
        form = (id(number.owner), number.key)
    return known.setdefault(form, len(known))


def drop_dead(graph: Graph) -> Graph:
    """Only the calls that an output, a new state or an effect needs."""
    needed = set(graph.roots)
    kept: list[Call] = []
    for call in reversed(graph.calls):
        if call.output in needed:
            kept.append(call)
            needed.update(call.inputs)
    return graph.with_calls(reversed(kept))

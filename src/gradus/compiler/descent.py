"""Plain gradient descent inside the product: ``W - h · (Gᵀ X)`` is one call of the library, with alpha = -h, beta = 1 and W as its output.

The gradient of a weight is then never stored. It applies where a state's new value is the old one plus or minus a multiple of a product
that nothing else reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gradus.compiler.fusion import Unit
from gradus.compiler.graph import Call, Graph, Number, Value
from gradus.compiler.layout import Layout
from gradus.compiler.products import is_product, product


class Descent(NamedTuple):
    """A unit that the product replaces.

    Attributes:
        unit: multiply and subtract (or add).
        product: the call of the gradient.
        alpha: what the product is multiplied with.
        output: the new state.
    """

    unit: Unit
    product: Call
    alpha: Any
    output: Value


def find_descents(graph: Graph, units: list[Unit], memory: Mapping[Value, Value], places: Mapping[Value, Layout]) -> list[Descent]:
    """All places where the fold applies."""
    uses: dict[Value, int] = {}
    for call in graph.calls:
        for v in call.inputs:
            uses[v] = uses.get(v, 0) + 1
    roots, written = set(graph.roots), set(memory.values())
    found = []
    for unit in units:
        descent = _match(unit, memory)
        if descent is None:
            continue
        gradient = descent.product
        free = uses[gradient.output] == 1 and gradient.output not in roots
        # The product runs among the updates, when any state that is updated in place may have been written.
        apart = all(places[v].root not in written for v in gradient.inputs)
        if free and apart and is_product(gradient) and product(gradient, places) is not None:
            found.append(descent)
    return found


def _match(unit: Unit, memory: Mapping[Value, Value]) -> Descent | None:
    """``s - h * m`` or ``s + h * m`` with a product m of the shape of the state s, as the whole of a unit."""
    if len(unit.calls) != 2:
        return None
    scaled, moved = unit.calls
    if scaled.record.name != "multiply" or moved.record.name not in ("subtract", "add") or moved.output not in memory:
        return None
    state = memory[moved.output]
    others = [arg for arg in moved.args if arg is not scaled.output]
    if others != [state] or (moved.record.name == "subtract" and moved.args[0] is not state):
        return None
    values = [arg for arg in scaled.args if isinstance(arg, Value)]
    factors = [arg for arg in scaled.args if not isinstance(arg, Value)]
    if len(values) != 1 or len(factors) != 1 or values[0].call is None or values[0].shape != state.shape:
        return None
    factor = factors[0]
    if moved.record.name == "subtract":
        factor = Number(-factor.example, "*", (factor, -1)) if isinstance(factor, Number) else -factor
    return Descent(unit, values[0].call, factor, moved.output)

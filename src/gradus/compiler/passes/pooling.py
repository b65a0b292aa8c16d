"""ReLU after max pooling instead of before it, on a quarter of the numbers.

Cutting at 0 keeps the order of numbers, so max_pool(relu(x)) is relu(max_pool(x)) exactly. Going back, max_pool's gradient puts each number
at one place of its window, and where the largest is above 0 it is the same place before and after ReLU: masking and summing before the
numbers are spread gives what masking and summing afterwards gives. A bias does not move: adding it may round two places of a window to the
same number, and then the gradient would go to another of them than in eager mode.
"""

from __future__ import annotations

from typing import Any

from gradus import ops
from gradus.compiler.graph import Call, Graph, Value
from gradus.compiler.passes.rewriting import Rewriting, rewrite
from gradus.compiler.tracers import Tracer


def pool_first(graph: Graph) -> Graph:
    """The same graph, in which max pooling sees what comes before ReLU."""
    pooled: dict[Any, tuple[Value, Value]] = {}  # (what was pooled, how) to what is pooled now, and the result
    spread: dict[Value, Value] = {}  # a gradient spread over the windows to the gradient before that

    def step(world: Rewriting, call: Call) -> Value:
        for rule in (_forward, _masked, _summed):
            new = rule(world, call, pooled, spread)
            if new is not None:
                return new
        return world.keep(call)

    return rewrite(graph, step)


def _made_by(value: Any, name: str) -> Call | None:
    """The call that computes a value, if it is of this op."""
    return value.call if isinstance(value, Value) and value.call is not None and value.call.record.name == name else None


def _forward(world: Rewriting, call: Call, pooled: dict[Any, tuple[Value, Value]], spread: dict[Value, Value]) -> Value | None:
    """max_pool2d(relu(x))."""
    cut = _made_by(call.args[0], "relu") if call.record.name == "max_pool2d" else None
    if cut is None:
        return None
    x = cut.args[0]
    y = ops.relu(world.note(call.record, (world.stand_in(x),), call.params))
    pooled[(call.args[0], repr(call.params))] = x, y.node
    return y.node


def _masked(world: Rewriting, call: Call, pooled: dict[Any, tuple[Value, Value]], spread: dict[Value, Value]) -> Value | None:
    """max_pool2d_gradient(g, x) * (x > 0), where x was rectified before it was pooled."""
    if call.record.name != "multiply":
        return None
    gradient, mask = _made_by(call.args[0], "max_pool2d_gradient"), _made_by(call.args[1], "astype")
    positive = _made_by(mask.args[0], "greater") if mask is not None else None
    if gradient is None or positive is None:
        return None
    g, x = gradient.args
    known = pooled.get((x, repr(gradient.params)))
    if known is None or positive.args[0] is not x or positive.args[1] != 0:
        return None
    z, y = known
    kept = world.stand_in(g) * ops.astype(Tracer(world, y) > 0, g.dtype)
    spread[call.output] = kept.node
    return world.note(gradient.record, (kept, world.stand_in(z)), gradient.params).node


def _summed(world: Rewriting, call: Call, pooled: dict[Any, tuple[Value, Value]], spread: dict[Value, Value]) -> Value | None:
    """The sum over images and places of a gradient that was spread: the bias's gradient."""
    over_images = _made_by(call.args[0], "sum") if call.record.name == "sum" else None
    if over_images is None or over_images.args[0] not in spread or over_images.params != {"axis": (0,), "keepdims": False}:
        return None
    if call.params["axis"] != (1, 2):
        return None
    few = ops.sum(Tracer(world, spread[over_images.args[0]]), axis=(0,))
    return ops.sum(few, axis=(1, 2), keepdims=call.params["keepdims"]).node

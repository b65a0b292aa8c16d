"""Reductions whose kept axes lie in the middle, in two steps that loops can follow.

Batch statistics sum (B, C, H, W) over all axes but C: first the rows (H, W) that lie together, then the few numbers that are left over B.
"""

from __future__ import annotations

from gradus.compiler.graph import Call, Graph, Value
from gradus.compiler.passes.rewriting import Rewriting, rewrite
from gradus.primitive import normalize_axes

DIVISIBLE = ("sum", "max", "min", "prod")


def split_reductions(graph: Graph) -> Graph:
    """The same graph, in which every reduction folds either the first axes or the last."""

    def step(world: Rewriting, call: Call) -> Value:
        if call.record.name not in DIVISIBLE:
            return world.keep(call)
        x = call.inputs[0]
        axes = normalize_axes(call.params["axis"], x.ndim)
        real = [k for k in range(x.ndim) if x.shape[k] != 1]
        folded = [k for k in real if k in axes]
        last = [k for j, k in enumerate(real) if k in axes and all(other in axes for other in real[j:])]
        first = [k for j, k in enumerate(real) if k in axes and all(other in axes for other in real[: j + 1])]
        if folded in (last, first) or not last:
            return world.keep(call)
        rows = world.note(call.record, (world.stand_in(x),), {"axis": tuple(last), "keepdims": True})
        return world.note(call.record, (rows,), {"axis": axes, "keepdims": call.params["keepdims"]}).node

    return rewrite(graph, step)

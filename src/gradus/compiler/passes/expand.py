"""Expansion: a composite record becomes the ops its own forward function names, and operands meet in one dtype by explicit casts.

``sigmoid``, ``softmax`` or ``var`` state their forward in the vocabulary of ops; run on tracers, it writes out its own definition. What
cannot be written so (a sort, a convolution) stays one call. Afterwards every elementwise call has operands of one dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import ops
from gradus.compiler.graph import CONSTANT, Call, Graph, Number, Value
from gradus.compiler.passes.rewriting import Rewriting, rewrite
from gradus.compiler.tracers import Tracer
from gradus.errors import GradusError


def expand(graph: Graph, keeps: Callable[[Call], bool] = lambda call: False) -> Graph:
    """The same graph in plain ops; calls that ``keeps`` names stay, because a kernel computes them whole."""

    def step(world: Rewriting, call: Call) -> Value:
        if keeps(call):
            return world.keep(call)
        args = [_plain(world, world.stand_in(arg), call) for arg in call.args]
        args = _met(call, args)
        return _written_out(world, call.record, args, call.params, call.output, ()).node

    return rewrite(graph, step)


def _plain(world: Rewriting, arg: Any, call: Call) -> Any:
    """A constant that is one number all over, as that number, where the other operands settle shape and dtype."""
    if not isinstance(arg, Tracer) or call.record.family != "elementwise" or arg.node.kind != CONSTANT:
        return arg
    array = arg.node.array
    others = [world.now(other) for other in call.args if isinstance(other, Value) and world.now(other) is not arg.node]
    if id(array) in world.external or not _uniform(array) or not others:
        return arg
    if np.broadcast_shapes(*[other.shape for other in others]) != call.output.shape or any(o.dtype != arg.dtype for o in others):
        return arg
    return array.reshape(-1)[0].item()


def _uniform(array: np.ndarray) -> bool:
    if array.size == 0:
        return False
    if array.size == 1 or not any(stride for stride, n in zip(array.strides, array.shape, strict=True) if n > 1):
        return True
    return array.size <= 4096 and bool((array == array.reshape(-1)[0]).all())


def _met(call: Call, args: list[Any]) -> list[Any]:
    """Array operands in the dtype they meet in."""
    record, wanted = call.record, call.output.dtype
    if record.family not in ("elementwise", "reduction", "fused", "contraction", "movement") or record.name == "astype":
        return args
    meeting = range(len(args)) if record.meeting is None else record.meeting
    arrays = [args[k] for k in meeting if isinstance(args[k], Tracer)]
    if record.dtype_rule == "free":
        if record.family != "elementwise" or len(args) < 2 or not arrays:
            return args
        wanted = np.result_type(
            *[a.dtype for a in arrays], *[x.example if isinstance(x, Number) else x for x in args if type(x) in (int, float)]
        )
        if wanted.kind == "b" or any(a.dtype.kind == "b" for a in arrays):
            return args
    elif wanted.kind == "b" and not any(a.dtype.kind == "f" for a in arrays):
        return args
    return [
        ops.astype(arg, wanted) if k in meeting and isinstance(arg, Tracer) and arg.dtype != wanted else arg for k, arg in enumerate(args)
    ]


def _written_out(world: Rewriting, record: Any, args: list[Any], params: Any, output: Value, above: tuple[str, ...]) -> Tracer:
    """The output of a record, by its definition where it has one in other ops."""
    if record.composite:
        start = len(world.graph.calls)
        try:
            y = record.forward(ops, *args, **params)
        except (GradusError, TypeError, AttributeError, ValueError, IndexError):
            y = None  # its forward function is no definition in ops
        noted = world.graph.calls[start:]
        if isinstance(y, Tracer) and y.shape == output.shape and all(call.record is not record for call in noted):
            del world.graph.calls[start:]
            return _inner(world, noted, y, output, (*above, record.name))
        del world.graph.calls[start:]
    return world.note(record, tuple(args), params)


def _inner(world: Rewriting, noted: list[Call], y: Tracer, output: Value, above: tuple[str, ...]) -> Tracer:
    """The calls of a definition, each written out in turn."""
    by: dict[Value, Value] = {}
    for call in noted:
        args = [Tracer(world, by.get(arg, arg)) if isinstance(arg, Value) else world.stand_in(arg) for arg in call.args]
        args = _met(call, args)
        by[call.output] = _written_out(world, call.record, args, call.params, call.output, above).node
    y = Tracer(world, by.get(y.node, y.node))
    return ops.astype(y, output.dtype) if y.dtype != output.dtype else y

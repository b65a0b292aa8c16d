"""Algebra that is safe for floating point: what leaves every result the same, or closer to the truth.

Casts and reshapes that change nothing vanish, chains of views become one view, what depends on constants alone is computed now, and
log(softmax(x)) becomes log_softmax(x). Nothing is reassociated, and nothing that could hide a NaN is dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import ops
from gradus.compiler.graph import CONSTANT, Call, Graph, Number, Value
from gradus.compiler.passes.rewriting import Rewriting, rewrite
from gradus.primitive import REGISTRY
from gradus.tape import evaluate

# A constant larger than this is computed anew at each run rather than kept in memory.
LARGEST_FOLDED = 1 << 22


def simplify(graph: Graph, external: set[int]) -> Graph:
    """The same graph without what the rules below remove. Arrays in ``external`` may change between runs."""

    def step(world: Rewriting, call: Call) -> Value:
        args = [world.now(arg) if isinstance(arg, Value) else arg for arg in call.args]
        for rule in RULES:
            new = rule(world, call, args)
            if new is not None:
                return new
        folded = _folded(call, args, external)
        return world.keep(call) if folded is None else folded

    return rewrite(graph, step)


def _folded(call: Call, args: list[Any], external: set[int]) -> Value | None:
    """The result of a call on constants."""
    arrays = [arg for arg in args if isinstance(arg, Value)]
    if not arrays or any(isinstance(arg, Number) for arg in args) or call.output.size > LARGEST_FOLDED or call.record.family == "check":
        return None
    if any(arg.kind != CONSTANT or id(arg.array) in external for arg in arrays):
        return None
    y = np.asarray(evaluate(call.record, [arg.array if isinstance(arg, Value) else arg for arg in args], call.params))
    return Value(CONSTANT, y.shape, y.dtype, y)


def _no_cast(world: Rewriting, call: Call, args: list[Any]) -> Value | None:
    if call.record.name in ("astype", "stop_gradient") and args[0].dtype == call.output.dtype:
        return args[0]
    return None


def _no_move(world: Rewriting, call: Call, args: list[Any]) -> Value | None:
    """A view of the same shape in the same order."""
    name, x = call.record.name, args[0] if args else call.output
    if name in ("reshape", "broadcast_to") and x.shape == call.output.shape:
        return x
    if name == "permute_dims" and call.params["axes"] == tuple(range(x.ndim)):
        return x
    return None


def _view_of_view(world: Rewriting, call: Call, args: list[Any]) -> Value | None:
    """reshape of reshape, and transposition of transposition."""
    name = call.record.name
    before = args[0].call if args and isinstance(args[0], Value) else None
    if before is None or before.record.name != name or name not in ("reshape", "permute_dims"):
        return None
    inner = before.args[0]
    if name == "reshape":
        return inner if inner.shape == call.output.shape else ops.reshape(world.stand_in(inner), call.output.shape).node
    axes = tuple([before.params["axes"][a] for a in call.params["axes"]])
    return inner if axes == tuple(range(inner.ndim)) else ops.permute_dims(world.stand_in(inner), axes).node


def _log_of_softmax(world: Rewriting, call: Call, args: list[Any]) -> Value | None:
    """log(softmax(x)) is minus infinity where the softmax rounds to 0; log_softmax is exact there."""
    before = args[0].call if call.record.name == "log" and isinstance(args[0], Value) else None
    if before is None or before.record.name != "softmax":
        return None
    return world.note(REGISTRY["log_softmax"], (world.stand_in(before.args[0]),), before.params).node


def _times_one(world: Rewriting, call: Call, args: list[Any]) -> Value | None:
    """x * 1 and x / 1, exact for every x."""
    if call.record.name not in ("multiply", "divide") or len(args) != 2:
        return None
    a, b = args
    if isinstance(a, Value) and type(b) in (int, float) and b == 1 and a.dtype == call.output.dtype and a.shape == call.output.shape:
        return a
    if call.record.name == "multiply" and isinstance(b, Value) and type(a) in (int, float) and a == 1 and b.dtype == call.output.dtype:
        return b if b.shape == call.output.shape else None
    return None


def _of_one(world: Rewriting, call: Call, args: list[Any]) -> Value | None:
    """A sum, product or extreme over axes of length 1."""
    if call.record.name in ("sum", "prod", "max", "min") and call.output.size == args[0].size and args[0].dtype == call.output.dtype:
        return args[0] if args[0].shape == call.output.shape else ops.reshape(world.stand_in(args[0]), call.output.shape).node
    return None


RULES = (_of_one, _no_cast, _no_move, _view_of_view, _log_of_softmax, _times_one)

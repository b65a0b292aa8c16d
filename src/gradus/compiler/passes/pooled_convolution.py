"""A convolution and the max pooling behind it as one op, forward and back, so that no full-size map is written or read.

max_pool2d(conv2d(x, w) + b), with a bias or without, becomes conv_max_pool2d, which gives the maxima and their places; conv2d's gradients
of max_pool2d_gradient become ops that take the places instead of the map. All of it or nothing: where the map, or its gradient, is used in
any other way, it stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus.compiler.graph import CONSTANT, Call, Graph, Value
from gradus.compiler.passes.rewriting import Rewriting, rewrite
from gradus.compiler.passes.sharing import drop_dead, share
from gradus.compiler.tracers import Tracer
from gradus.fused.conv_pool import CONVOLUTION, POOLING
from gradus.fused.conv_pool_kernels import shape_of
from gradus.primitive import REGISTRY

GRADIENTS = ("conv2d_weight_gradient", "conv2d_input_gradient")


def pool_in_convolutions(graph: Graph) -> Graph:
    """The same graph, in which convolutions whose results are only pooled give the pooled values."""
    graph = drop_dead(share(graph))  # what nobody needs is no user, and users of equal maps are users of one
    users: dict[Value, list[Call]] = {}
    for call in graph.calls:
        for value in call.inputs:
            users.setdefault(value, []).append(call)
    kept = set(graph.roots)
    chosen = {call.output: parts for call in graph.calls if (parts := _fitting(call, users, kept)) is not None}
    made: dict[Value, Tracer] = {}  # a map to the maxima and places that stand for it
    spread: dict[Value, tuple[Any, Any]] = {}  # the gradient of a map to that of the maxima, and the places

    def step(world: Rewriting, call: Call) -> Value:
        args = call.args
        if call.output in chosen:
            made[call.output] = world.note(REGISTRY["conv_max_pool2d"], tuple(map(world.stand_in, chosen[call.output])), {})
        elif call.record.name == "max_pool2d" and args[0] in made:
            return made[args[0]][0].node
        elif call.record.name == "max_pool2d_gradient" and args[1] in made:
            spread[call.output] = world.stand_in(args[0]), made[args[1]][1]
        elif call.record.name == GRADIENTS[0] and args[1] in spread:
            return world.note(REGISTRY["conv_max_pool2d_weight_gradient"], (world.stand_in(args[0]), *spread[args[1]]), {}).node
        elif call.record.name == GRADIENTS[1] and args[0] in spread:
            return world.note(REGISTRY["conv_max_pool2d_input_gradient"], (*spread[args[0]], world.stand_in(args[1])), {}).node
        else:
            return world.keep(call)
        return call.output  # which nobody uses any more

    return rewrite(graph, step) if chosen else graph


def _fitting(call: Call, users: dict[Value, list[Call]], kept: set[Value]) -> tuple[Value, Value, Value] | None:
    """Images, kernels and biases of a map, if there is a kernel for it with pooling, and it and its gradient are used as they must be."""
    parts = _parts(call, users, kept)
    shape = None if parts is None else shape_of(parts[0].shape, parts[1].shape, *parts, call.output)
    if parts is None or shape is None or call.output in kept or parts[2].shape != (shape.outputs, 1, 1):
        return None
    pooled, z = False, call.output
    for user in users.get(z, []):
        if user.params != POOLING:
            return None
        if user.record.name == "max_pool2d":
            pooled = True
            continue
        if user.record.name != "max_pool2d_gradient" or user.args[0] is z or user.output in kept:
            return None
        if not all(_takes_gradient(of, user.output, parts, shape.few) for of in users.get(user.output, [])):
            return None
    return parts if pooled else None


def _parts(call: Call, users: dict[Value, list[Call]], kept: set[Value]) -> tuple[Value, Value, Value] | None:
    """x, w and b of conv2d(x, w) + b, or of conv2d(x, w) with zeros for b; the convolution alone is not to be used otherwise."""
    conv: Call | None = call
    if call.record.name == "add":
        z = call.args[0]
        conv = z.call if isinstance(z, Value) and z not in kept and users[z] == [call] and call.inputs.count(z) == 1 else None
    if conv is None or conv.record.name != "conv2d" or conv.params != CONVOLUTION:
        return None
    if not all(isinstance(arg, Value) for arg in (*call.args, *conv.args)):
        return None
    x, w = conv.args
    if call is not conv:
        return x, w, call.args[1]
    none = np.zeros((w.shape[0], 1, 1), w.dtype)
    return x, w, Value(CONSTANT, none.shape, none.dtype, none)


def _takes_gradient(user: Call, g: Value, parts: tuple[Value, Value, Value], few: bool) -> bool:
    """Whether a call is the gradient of a convolution of these parts that takes ``g`` as the gradient of the map."""
    name, sizes = user.record.name, {"w_shape": parts[1].shape, "x_shape": parts[0].shape}
    if name not in GRADIENTS or not all(isinstance(arg, Value) and arg.dtype == g.dtype for arg in user.args):
        return False
    key, position = ("w_shape", 1) if name == GRADIENTS[0] else ("x_shape", 0)
    other = user.args[1 - position]
    like = parts[0] if name == GRADIENTS[0] else parts[1]
    right = user.params == CONVOLUTION | {key: sizes[key]} and user.args[position] is g and other is not g and other.shape == like.shape
    return right and not (few and name == GRADIENTS[1])

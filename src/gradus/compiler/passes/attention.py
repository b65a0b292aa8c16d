"""Attention as one op forward and one back, so that no matrix of all queries by all keys is kept between them.

softmax(q · scale @ kᵀ + mask) @ v, with a mask or without, becomes ``attention``, and what the rules of these ops made of its gradient
becomes ``attention_gradient``. A mask that is the causal triangle, or has it added, is no array any more. All of it or nothing: where the
weights, or anything else on the way, are used otherwise (dropout, returned, differentiated again), nothing changes.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from gradus import ops
from gradus.compiler.graph import CONSTANT, Call, Graph, Value
from gradus.compiler.passes.rewriting import Rewriting, rewrite
from gradus.compiler.passes.sharing import drop_dead, share
from gradus.compiler.tracers import Tracer
from gradus.fused.attention_kernels import pays, shape_of
from gradus.fused.blocked_attention import SWAPPED
from gradus.primitive import REGISTRY

Users = dict[Value, list[Call]]


class Forward(NamedTuple):
    """What attention is made of: ``a`` holds queries times ``scale``, ``b`` the keys transposed; ``lost`` are values on the way."""

    a: Value
    b: Value
    v: Value
    mask: Value | None
    weights: Value
    y: Value
    lost: tuple[Value, ...]


class Backward(NamedTuple):
    """The cotangent, and the gradients that are needed: ``a`` as above, ``b`` transposed as above."""

    g: Value
    a: Value | None
    b: Value | None
    v: Value | None
    lost: tuple[Value, ...]


class Found(NamedTuple):
    """Attention in a graph.

    Attributes:
        q: the queries; what multiplies them is in ``scale``.
        dq: the gradient for ``q``, where there is one.
        inside: whether the heads lie inside of the queries in memory.
    """

    forward: Forward
    backward: Backward | None
    q: Value
    scale: float
    dq: Value | None
    mask: Value | None
    causal: bool
    inside: bool


def attend_in_blocks(graph: Graph, external: set[int]) -> Graph:
    """The same graph with attention as one op. Arrays in ``external`` may change between runs."""
    graph = drop_dead(share(graph))  # what nobody needs is no user, and equal views are one
    users: Users = {}
    for call in graph.calls:
        for value in call.inputs:
            users.setdefault(value, []).append(call)
    kept = set(graph.roots)
    founds = [found for call in graph.calls if call.record.name == "softmax" and (found := _found(call, users, kept, external)) is not None]
    if not founds:
        return graph
    blocks = [Blocks(found) for found in founds]
    roles: dict[Value, tuple[Blocks, str]] = {}
    for block in blocks:
        roles |= {value: (block, role) for value, role in block.roles()}

    def step(world: Rewriting, call: Call) -> Value:
        block, role = roles.get(call.output, (None, ""))
        return world.keep(call) if block is None else block.replacement(world, call, role)

    return rewrite(graph, step)


class Blocks:
    """Puts the two ops in place of what was found."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.operands: tuple[Any, ...] = ()
        self.gradients: Tracer | None = None

    def roles(self) -> list[tuple[Value, str]]:
        """Values that something else stands for, or nothing."""
        forward, backward = self.found.forward, self.found.backward
        roles = [*((value, "") for value in forward.lost), (forward.y, "y")]
        if backward is not None:
            roles += [(value, "") for value in (backward.a, *backward.lost) if value is not None]
            roles += [(value, role) for role, value in (("q", self.found.dq), ("k", backward.b), ("v", backward.v)) if value is not None]
        return roles

    def replacement(self, world: Rewriting, call: Call, role: str) -> Value:
        """What stands for the output of a call."""
        if role == "y":
            return self._forward(world).node
        return self._gradient(world, role).node if role else call.output  # which nobody uses any more

    @property
    def params(self) -> dict[str, bool]:
        """Those of both ops."""
        return {"causal": self.found.causal, "inside": self.found.inside}

    def _forward(self, world: Rewriting) -> Tracer:
        found, forward = self.found, self.found.forward
        q, v = [_four_axes(world.stand_in(x)) for x in (found.q, forward.v)]
        k = _four_axes(ops.matrix_transpose(world.stand_in(forward.b)))
        mask = Value(CONSTANT, (1, 1, 1, 1), q.dtype, np.zeros((1, 1, 1, 1), q.dtype)) if found.mask is None else found.mask
        self.operands = (q, k, v, _four_axes_of_mask(world.stand_in(mask)), found.scale)
        y = world.note(REGISTRY["attention"], self.operands, self.params)
        return ops.reshape(ops.permute_dims(y, SWAPPED) if found.inside else y, forward.y.shape)

    def _gradient(self, world: Rewriting, role: str) -> Tracer:
        backward = self.found.backward
        assert backward is not None
        if self.gradients is None:
            g = _four_axes(world.stand_in(backward.g))
            self.gradients = world.note(REGISTRY["attention_gradient"], (g, *self.operands), self.params)
        start = 0
        for name, like in zip("qkv", self.operands[:3], strict=True):
            if name == role:
                return self._part(self.gradients[start : start + like.size], like.shape, role)
            start += like.size
        raise AssertionError(role)

    def _part(self, flat: Tracer, shape: tuple[int, ...], role: str) -> Tracer:
        """One of the gradients in the shape that its users know."""
        lead = self.found.forward.y.shape[:-2]
        batch, heads, rows, width = shape
        if self.found.inside:
            part = ops.permute_dims(ops.reshape(flat, (batch, rows, heads, width)), SWAPPED)
        else:
            part = ops.reshape(flat, shape)
        part = ops.reshape(part, (*lead, rows, width))
        return ops.matrix_transpose(part) if role == "k" else part


def _with_four_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(batch, heads, rows, width) of (…, rows, width)."""
    lead = shape[:-2]
    return int(np.prod(lead[:-1], dtype=int)), lead[-1] if lead else 1, *shape[-2:]


def _four_axes(x: Any) -> Any:
    return ops.reshape(x, _with_four_axes(x.shape))


def _four_axes_of_mask(x: Any) -> Any:
    return ops.reshape(x, ((1,) * 4 + tuple(x.shape))[-4:])


# Looking for it.


def _found(call: Call, users: Users, kept: set[Value], external: set[int]) -> Found | None:
    """Attention around a softmax, if there is a kernel for it."""
    forward = _forward(call, users, kept)
    if forward is None:
        return None
    others = [user for user in users[forward.weights] if user is not forward.y.call]
    backward = _backward(forward, others, users, kept) if others else None
    if others and backward is None:
        return None
    q, scale, dq = _unscaled(forward, backward, users, kept)
    mask, causal = _without_triangle(forward, external)
    found = Found(forward, backward, q, scale, dq, mask, causal, len(q.shape) == 4 and _heads_inside(q))
    return found if _has_kernel(found) else None


def _has_kernel(found: Found) -> bool:
    """Whether there is a kernel for the shapes that pays."""
    forward = found.forward
    lead = forward.y.shape[:-2]
    parts = (found.q, forward.b, forward.v)
    if any(part.shape[:-2] != lead for part in parts):
        return False
    mask = found.mask
    if mask is not None and (mask.dtype != forward.y.dtype or (mask.ndim > 2 and len(lead) > 2) or mask.ndim > len(lead) + 2):
        return False
    shapes = [_with_four_axes(part.shape) for part in (found.q, forward.b, forward.v)]
    shapes[1] = (*shapes[1][:2], shapes[1][3], shapes[1][2])
    shapes.append((1, 1, 1, 1) if mask is None else ((1,) * 4 + mask.shape)[-4:])
    q, k, v, m = [SimpleNamespace(shape=shape, dtype=forward.y.dtype) for shape in shapes]
    shape = shape_of(q, k, v, m)
    return shape is not None and pays(shape, found.causal, found.inside)


def _forward(call: Call, users: Users, kept: set[Value]) -> Forward | None:
    """softmax(a @ b + mask) @ v."""
    x, weights = call.args[0], call.output
    if call.params["axis"] != weights.ndim - 1 or weights.ndim < 2 or weights in kept or not _alone(x, call, users, kept):
        return None
    scores, mask = x, None
    if x.call is not None and x.call.record.name == "add":
        products = [arg for arg in x.call.inputs if _made_by(arg, "matmul") and arg.shape == x.shape and _alone(arg, x.call, users, kept)]
        if len(products) != 1 or len(x.call.inputs) != 2:
            return None
        (scores,) = products
        (mask,) = [arg for arg in x.call.inputs if arg is not scores]
    matmul = _made_by(scores, "matmul")
    if matmul is None or not _alone(scores, call if mask is None else x.call, users, kept):
        return None
    a, b = matmul.inputs
    mixing = [user for user in users.get(weights, []) if user.record.name == "matmul" and user.args[0] is weights]
    if len(mixing) != 1 or mixing[0].args[1] is weights or len(a.shape) < 2 or len(b.shape) < 2:
        return None
    v = mixing[0].args[1]
    if len({value.dtype for value in (a, b, v, scores, weights)}) != 1 or len(v.shape) < 2:
        return None
    return Forward(a, b, v, mask, weights, mixing[0].output, tuple(dict.fromkeys([scores, x, weights])))


def _backward(forward: Forward, others: list[Call], users: Users, kept: set[Value]) -> Backward | None:
    """What the rules of matmul and softmax make of the weights: h = g @ vᵀ, s = w · (h - sum(h · w)); then s @ k, aᵀ @ s and wᵀ @ g."""
    w = forward.weights
    scaled = [user for user in others if user.record.name == "multiply" and user.args[0] is w]
    summed = [user for user in others if user.record.name == "multiply" and user.args[1] is w and user.args[0] is not w]
    turned = [user for user in others if _is_turned(user, w)]
    if len(scaled) != 1 or len(summed) != 1 or len(turned) > 1 or len(others) != 2 + len(turned):
        return None
    h, s = summed[0].args[0], scaled[0].output
    total = _only(summed[0].output, "sum", users, kept)
    less = None if total is None else _only(total.output, "subtract", users, kept)
    if total is None or less is None or less.args != (h, total.output) or not _alone(less.output, scaled[0], users, kept):
        return None
    axis = total.params["axis"]
    if (axis if isinstance(axis, int) else axis[0] if axis is not None and len(axis) == 1 else None) != w.ndim - 1:
        return None
    product = _made_by(h, "matmul")
    right = scaled[0].args[1] is less.output and total.params["keepdims"] and h not in kept and s not in kept
    if product is None or not right or set(users[h]) != {summed[0], less} or not _turned(product.args[1], forward.v):
        return None
    g = product.args[0]
    values = None
    if turned:
        mixed = _only(turned[0].output, "matmul", users, kept)
        if mixed is None or mixed.args != (turned[0].output, g):
            return None
        values = mixed.output
    queries = keys = None
    for user in users[s]:
        if user.record.name != "matmul" or user.args[0] is user.args[1]:
            return None
        if user.args[0] is s and queries is None and _turned(user.args[1], forward.b):
            queries = user.output
        elif user.args[1] is s and keys is None and _turned(user.args[0], forward.a):
            keys = user.output
        else:
            return None
    if g.shape != forward.y.shape or g.dtype != w.dtype:
        return None
    lost = (h, summed[0].output, total.output, less.output, s, *(user.output for user in turned))
    return Backward(g, queries, keys, values, lost)


def _unscaled(forward: Forward, backward: Backward | None, users: Users, kept: set[Value]) -> tuple[Value, float, Value | None]:
    """The queries before they are multiplied by a number, that number, and the gradient for them."""
    a, dq = forward.a, None if backward is None else backward.a
    times = _made_by(a, "multiply")
    if times is None or not isinstance(times.args[0], Value) or type(times.args[1]) is not float or times.args[0].shape != a.shape:
        return a, 1.0, dq
    x, scale = times.args
    if x.dtype != a.dtype:
        return a, 1.0, dq
    if dq is None:
        return x, scale, None
    back = _only(dq, "multiply", users, kept)
    return (x, scale, back.output) if back is not None and back.args == (dq, scale) else (a, 1.0, dq)


def _without_triangle(forward: Forward, external: set[int]) -> tuple[Value | None, bool]:
    """The mask without the causal triangle, and whether that was in it."""
    mask = forward.mask
    if mask is None or _is_triangle(mask, forward, external):
        return None, mask is not None
    added = _made_by(mask, "add")
    if added is not None and len(added.inputs) == 2:
        for part, rest in (added.inputs, added.inputs[::-1]):
            if _is_triangle(part, forward, external) and rest.dtype == mask.dtype:
                return rest, True
    return mask, False


def _is_triangle(mask: Value, forward: Forward, external: set[int]) -> bool:
    """Whether a mask is 0 up to each query's own place and minus infinity behind it."""
    rows, columns = forward.weights.shape[-2:]
    if mask.kind != CONSTANT or id(mask.array) in external or mask.shape != (1,) * (mask.ndim - 2) + (rows, columns):
        return False
    behind = np.arange(columns)[None, :] > np.arange(rows)[:, None]
    return bool((mask.array.reshape(rows, columns) == np.where(behind, -np.inf, 0.0)).all())


def _heads_inside(q: Value) -> bool:
    swap = _made_by(q, "permute_dims")
    return swap is not None and tuple(swap.params["axes"]) == SWAPPED


def _made_by(value: Any, name: str) -> Call | None:
    """The call that computes a value, if it is of this op."""
    return value.call if isinstance(value, Value) and value.call is not None and value.call.record.name == name else None


def _alone(value: Any, user: Call | None, users: Users, kept: set[Value]) -> bool:
    """Whether a call is the only one that uses a value, once."""
    return user is not None and isinstance(value, Value) and value not in kept and users[value] == [user]


def _only(value: Value, name: str, users: Users, kept: set[Value]) -> Call | None:
    """The one call that uses a value, if it is of this op."""
    found = users.get(value, [])
    return found[0] if len(found) == 1 and found[0].record.name == name and _alone(value, found[0], users, kept) else None


def _origin(value: Value) -> tuple[Value, tuple[int, ...]]:
    """What a value is a transposition of, and in which order it has its axes."""
    axes = tuple(range(value.ndim))
    while (call := _made_by(value, "permute_dims")) is not None:
        axes = tuple([call.params["axes"][axis] for axis in axes])
        value = call.inputs[0]
    return value, axes


def _turned(x: Any, y: Value) -> bool:
    """Whether the matrices of x are those of y, transposed."""
    if not isinstance(x, Value) or x.ndim != y.ndim:
        return False
    (source, axes), (other, order) = _origin(x), _origin(y)
    return source is other and axes == (*order[:-2], order[-1], order[-2])


def _is_turned(user: Call, w: Value) -> bool:
    return user.record.name == "permute_dims" and _turned(user.output, w)

"""Functions from functions: grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp. They compose, to any order.

Reverse mode is the tape. Forward mode is a world: while it runs, each Tensor's ``value`` is a :class:`Dual`, a pair of Tensors of the world
outside, (primal, tangent). An op on duals computes both parts by ops on those Tensors, so whatever the outside world records of them
(a tape, another forward mode) it records of both. How a tangent passes through an op follows from the op's record alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradus import ops, reverse
from gradus.errors import GradError, ShapeError, UsageError
from gradus.grad_mode import enable_grad
from gradus.mode import MODE, World
from gradus.ops.operators import Operators
from gradus.primitive import Primitive
from gradus.tape import Node, apply
from gradus.tensors import Tensor, as_array, wrap

# Trees: tensors in tuples, lists and dicts.


def _flatten(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _flatten(value)]
    if isinstance(tree, (tuple, list)):
        return [leaf for value in tree for leaf in _flatten(value)]
    return [tree]


def _rebuild(tree: Any, leaves: list[Any]) -> Any:
    if isinstance(tree, dict):
        return {key: _rebuild(value, leaves) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        parts = [_rebuild(value, leaves) for value in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return leaves.pop(0)


def _map(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    columns = [_flatten(t) for t in (tree, *others)]
    return _rebuild(tree, [f(*leaves) for leaves in zip(*columns, strict=True)])


def _to_tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    return wrap(as_array(x))


# Reverse mode.


def _fresh_input(x: Any) -> Tensor:
    """A tensor of the same value whose gradient is asked for, still connected to whatever ``x`` depends on outside."""
    x = _to_tensor(x)
    if x.value.dtype.kind != "f":
        raise GradError(
            "grad needs inputs of a floating dtype", got=f"dtype {x.dtype}", wanted="float32 or float64", fix="x.float()", code="E21"
        )
    if MODE.world is not None:
        x = MODE.world.lift(x)
    # Multiplying by 1 keeps the connection to an outer derivative and gives this one a node of its own to stop at.
    if x.requires_grad:
        with enable_grad():
            return apply(ops.multiply.record, (x, 1))
    fresh = wrap(x.value)
    fresh.requires_grad = True
    return fresh


def _depends_on_others(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether the graph of the outputs reaches anything that requires a gradient beside the inputs."""
    own = {x.node or x for x in inputs}
    nodes = reverse.reachable(y.node for y in outputs if y.node is not None)
    parents = {parent for node in nodes if node not in own for parent in node.parents if parent is not None}
    return any(x.node is not None for x in inputs) or any(isinstance(p, Tensor) and p not in own for p in parents)


def _pullback(outputs: Sequence[Tensor], inputs: Sequence[Tensor], cotangents: Sequence[Any], keep: bool) -> list[Tensor]:
    """Cotangents of the inputs; zeros where an output does not depend on them."""
    reached = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if isinstance(y, Tensor) and y.requires_grad]
    if not reached:
        return [wrap(np.zeros(x.value.shape, x.value.dtype)) for x in inputs]
    ys, gs = [y for y, _ in reached], [g for _, g in reached]
    again = _depends_on_others(ys, inputs) or any(isinstance(g, Tensor) and g.requires_grad for g in gs)
    found = reverse.grad(ys, list(inputs), gs, retain_graph=keep or again, create_graph=again, allow_unused=True)
    return [wrap(np.zeros(x.value.shape, x.value.dtype)) if g is None else g for x, g in zip(inputs, found, strict=True)]


def _argnums(argnums: int | Sequence[int], args: tuple[Any, ...]) -> tuple[int, ...]:
    which = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if any(not -len(args) <= k < len(args) for k in which):
        raise UsageError(
            f"there is no argument {argnums} to differentiate", got=f"{len(args)} positional arguments", wanted="argnums among them"
        )
    return tuple(k % len(args) for k in which)


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """``(f(x), df/dx)`` for a function with one number as result.

    Args:
        f: takes tensors, or tuples, lists and dicts of tensors; returns a scalar Tensor, or with ``has_aux`` a pair (scalar, anything).
        argnums: which arguments to differentiate; with several the gradient is a tuple.

    >>> value, slope = value_and_grad(lambda x: x ** 3)(2.0)
    >>> float(value), float(slope)
    (8.0, 12.0)
    """

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            which = _argnums(argnums, args)
            trees = [_map(_fresh_input, args[k]) for k in which]
            call = list(args)
            for k, tree in zip(which, trees, strict=True):
                call[k] = tree
            result = f(*call, **kwargs)
            y, aux = result if has_aux else (result, None)
            if not isinstance(y, Tensor) or y.value.size != 1:
                got = f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
                raise GradError(
                    "grad needs a function with one number as result",
                    got=got,
                    wanted="a scalar Tensor",
                    fix="return y.sum(), or use gradus.jacobian",
                    code="E21",
                )
            inputs = _flatten(trees)
            gradients = _pullback([y], inputs, [None], keep=False)
            outer = _connected(y, inputs)
        parts = [_rebuild(tree, gradients) for tree in trees]
        slope = parts[0] if isinstance(argnums, int) else tuple(parts)
        return ((outer, aux) if has_aux else outer), slope

    return differentiated


def _connected(y: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """The value to hand out: with its history if that reaches beyond the inputs made here, else without."""
    return y if y.requires_grad and _depends_on_others([y], inputs) else wrap(y.value)


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The derivative of a function with one number as result; apply it again for higher orders.

    >>> cube = lambda x: x ** 3
    >>> float(grad(cube)(2.0)), float(grad(grad(cube))(2.0)), float(grad(grad(grad(cube)))(2.0))
    (12.0, 12.0, 6.0)
    """
    both = value_and_grad(f, argnums, has_aux)

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        value, slope = both(*args, **kwargs)
        return (slope, value[1]) if has_aux else slope

    return differentiated


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """``f(*primals)`` and the function that carries a cotangent of the result back to the primals (a row vector times the Jacobian).

    >>> y, pull = vjp(lambda x: x * x, Tensor([1.0, 2.0]))
    >>> pull(Tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    with enable_grad():
        trees = [_map(_fresh_input, p) for p in primals]
        inputs = _flatten(trees)
        result = f(*trees)
        outputs = _flatten(result)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        with enable_grad():
            gradients = _pullback(outputs, inputs, [_to_tensor(g) for g in _flatten(cotangent)], keep=True)
        return tuple([_rebuild(tree, gradients) for tree in trees])

    return _map(lambda y: _connected(y, inputs), result), pull


# Forward mode.


class Dual(Operators):
    """A value with its direction of change: two Tensors of the world outside. No tangent (None) means zero."""

    __slots__ = ("world", "primal", "tangent")

    def __init__(self, world: ForwardMode, primal: Tensor, tangent: Tensor | None) -> None:
        self.world, self.primal, self.tangent = world, primal, tangent

    shape = property(lambda self: self.primal.value.shape)
    dtype = property(lambda self: self.primal.value.dtype)
    ndim = property(lambda self: self.primal.value.ndim)
    size = property(lambda self: self.primal.value.size)

    def __repr__(self) -> str:
        return f"Dual({self.primal}, {self.tangent})"

    def __concrete__(self, asked: str) -> Any:
        if asked == "numpy()" and self.tangent is not None:
            raise GradError(
                "Can't call numpy() on a Tensor that carries a tangent",
                got=f"a tensor of shape {tuple(self.shape)} inside jvp",
                wanted="a tensor outside of it",
                why="NumPy does not record derivatives: the tangent would end here silently",
                fix="x.detach().numpy()",
                code="E21",
            )
        return self.primal.detach().numpy()

    @staticmethod
    def __bind__(record: Primitive, args: tuple[Any, ...], params: Any) -> Any:
        world = next(arg.world for arg in args if isinstance(arg, Dual))
        with world.outside():
            primals = tuple([arg.primal if isinstance(arg, Dual) else arg for arg in args])
            tangents = [arg.tangent if isinstance(arg, Dual) else None for arg in args]
            y = apply(record, primals, params)
            if not record.differentiable or y.value.dtype.kind != "f" or all(t is None for t in tangents):
                # A plain constant stays one, as in lift: it may be written to memory that outlives this world.
                return y.value if type(y.value) is np.ndarray and not y.requires_grad else Dual(world, y, None)
            return Dual(world, y, pushforward(record, primals, tangents, y, params))


class ForwardMode(World):
    """The world of one ``jvp``: lifts Tensors from outside to duals without a tangent."""

    def __init__(self) -> None:
        self.grad_enabled, self.world = MODE.grad_enabled, MODE.world

    def lift(self, x: Tensor, tangent: Tensor | None = None) -> Tensor:
        """A Tensor of this world; those that are already, and constants, stay as they are."""
        if isinstance(x.value, Dual) and x.value.world is self:
            return x
        if tangent is None and type(x.value) is np.ndarray and not x.requires_grad:
            return x
        lifted = wrap(Dual(self, x, tangent))
        if x.requires_grad and x.node is None and tangent is None:
            # Perhaps a leaf of a derivative taken inside this world: gradients that arrive at the dual go to the leaf.
            lifted.node = Node(ops.astype.record, (x,), ((),), x.value.shape, x.value.dtype)
            lifted.requires_grad = True
        return lifted

    def created(self, tensor: Tensor) -> None:
        """Noted by the trace in which this takes place, if there is one."""
        if self.world is not None:
            self.world.created(tensor)

    def outside(self) -> _Outside:
        """A context in which ops run as they would have where ``jvp`` was called."""
        return _Outside(self)


class _Outside:
    def __init__(self, world: ForwardMode) -> None:
        self.world = world

    def __enter__(self) -> None:
        self.saved = MODE.grad_enabled, MODE.world
        MODE.set(self.world.grad_enabled, self.world.world)

    def __exit__(self, *error: Any) -> None:
        MODE.set(*self.saved)


def pushforward(record: Primitive, primals: tuple[Any, ...], tangents: list[Any], y: Tensor, params: Any) -> Tensor | None:
    """The tangent of an op's output, derived from its record: diagonal, linear, multilinear, or by transposing the rule."""
    total: Tensor | None = None
    if record.forward_mode == "linear":
        moved = [
            _zero_like(p) if t is None and record.rule_of(i) is not None else p if t is None else t
            for i, (p, t) in enumerate(zip(primals, tangents, strict=True))
        ]
        return apply(record, tuple(moved), params)
    for i, t in enumerate(tangents):
        if t is None or record.rule_of(i) is None:
            continue
        if record.forward_mode == "multilinear":
            part = apply(record, tuple([t if k == i else p for k, p in enumerate(primals)]), params)
        elif record.forward_mode == "diagonal":
            part = _rule(record, i, ops.broadcast_to(t, y.value.shape), primals, y, params)
        else:
            part = _transposed(record, i, t, primals, y, params)
        total = part if total is None else total + part
    return total


def _zero_like(x: Any) -> Any:
    return wrap(np.zeros(x.shape, x.dtype)) if hasattr(x, "shape") else 0.0


def _rule(record: Primitive, i: int, g: Tensor, primals: tuple[Any, ...], y: Tensor, params: Any) -> Tensor:
    """The derivative rule of input ``i`` run on Tensors."""
    rule, saver = record.rule_of(i), record.saver_of(i)
    assert rule is not None and saver is not None
    part = rule.function(ops, g, *saver(primals, y, params, i))
    return part if part.dtype == y.dtype else ops.astype(part, y.value.dtype)


def _transposed(record: Primitive, i: int, t: Tensor, primals: tuple[Any, ...], y: Tensor, params: Any) -> Tensor:
    """A rule is linear in its cotangent, so its own reverse derivative carries tangents forward."""
    with enable_grad():
        probe = wrap(np.zeros(y.value.shape, y.value.dtype))
        if MODE.world is not None:
            probe = MODE.world.lift(probe, wrap(np.zeros(y.value.shape, y.value.dtype)))
        probe.requires_grad = True
        pulled = reverse.fit_to(ops, _rule(record, i, probe, primals, y, params), t.value.shape)
        (carried,) = reverse.grad(pulled, probe, t, create_graph=True, allow_unused=True)
    return _zero_like(y) if carried is None else carried


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``f(*primals)`` and its change in the direction of ``tangents`` (the Jacobian times a column vector), in one forward pass.

    >>> y, dy = jvp(lambda x: x * x, (Tensor([1.0, 2.0]),), (Tensor([1.0, 10.0]),))
    >>> dy
    tensor([ 2., 40.])
    """
    if isinstance(primals, Tensor) or isinstance(tangents, Tensor):
        raise UsageError(
            "jvp takes its primals and tangents as tuples",
            got="a Tensor",
            wanted="one of each for every argument",
            fix="jvp(f, (x,), (v,))",
        )
    if len(primals) != len(tangents):
        raise ShapeError(
            "jvp needs a tangent for each primal", got=f"{len(primals)} primals, {len(tangents)} tangents", wanted="equal numbers"
        )
    world = ForwardMode()

    def lifted(x: Any, t: Any) -> Tensor:
        x, t = _to_tensor(x), _to_tensor(t)
        if x.shape != t.shape:
            raise ShapeError(
                "a tangent has the shape of its primal", got=f"primal {tuple(x.shape)}, tangent {tuple(t.shape)}", wanted="equal shapes"
            )
        return world.lift(x, t if t.dtype == x.dtype else ops.astype(t, x.value.dtype))

    inside = [_map(lifted, p, t) for p, t in zip(primals, tangents, strict=True)]
    saved = MODE.grad_enabled, MODE.world
    try:
        MODE.set(MODE.grad_enabled, world)  # inside: Ctrl-C may arrive as soon as it is set
        result = f(*inside)
    finally:
        MODE.set(*saved)
    return _map(lambda y: _lowered(y, world)[0], result), _map(lambda y: _lowered(y, world)[1], result)


def _lowered(y: Any, world: ForwardMode) -> tuple[Any, Any]:
    """A result as a pair of Tensors of the world outside."""
    if not isinstance(y, Tensor):
        raise GradError(
            "jvp needs a function whose results are Tensors",
            got=type(y).__name__,
            wanted="a Tensor, or tuples, lists and dicts of Tensors",
            why="float(), item() and numpy() leave the graph, and the tangent with it",
            fix="return the Tensor itself",
            code="E21",
        )
    if isinstance(y.value, Dual) and y.value.world is world:
        return y.value.primal, _zero_like(y.value.primal) if y.value.tangent is None else y.value.tangent
    return y, _zero_like(y)


# Matrices of derivatives.


def jacobian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """All derivatives of a function of one tensor: shape ``f(x).shape + x.shape``.

    Row by row in reverse mode, or column by column in forward mode where the result is larger than the input.

    >>> jacobian(lambda x: x * x)(Tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def matrix(*args: Any) -> Tensor:
        x = _to_tensor(args[argnums])

        def partial(v: Any) -> Any:
            return f(*args[:argnums], v, *args[argnums + 1 :])

        y, pull = vjp(partial, x)
        n, m = y.value.size, x.value.size
        if n <= m:
            rows = [pull(ops.reshape(wrap(basis), y.value.shape))[0] for basis in np.eye(n, dtype=y.value.dtype)]
            return (
                ops.reshape(ops.stack(rows, axis=0), (*y.shape, *x.shape)) if rows else wrap(np.zeros((*y.shape, *x.shape), y.value.dtype))
            )
        columns = [jvp(partial, (x,), (wrap(basis.reshape(x.value.shape)),))[1] for basis in np.eye(m, dtype=x.value.dtype)]
        return (
            ops.reshape(ops.stack([ops.reshape(c, (-1,)) for c in columns], axis=1), (*y.shape, *x.shape))
            if columns
            else wrap(np.zeros((*y.shape, *x.shape), y.value.dtype))
        )

    return matrix


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """All second derivatives of a function with one number as result: shape ``x.shape + x.shape``.

    >>> hessian(lambda x: (x ** 3).sum())(Tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Tensor:
    """The Hessian of ``f`` at ``x`` times ``v``, without the Hessian: forward mode over reverse mode.

    >>> hvp(lambda x: (x ** 3).sum(), Tensor([1.0, 2.0]), Tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """
    return jvp(grad(f), (x,), (v,))[1]


__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

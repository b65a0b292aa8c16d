"""Products of matrices and vectors, added to something or not, and distances."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import ShapeError, UsageError
from gradus.tensors import wrap
from gradus.torch_names.movement import movedim
from gradus.torch_names.reduction import norm
from gradus.torch_names.table import axis_of, both, check_ranks, common_shape, function, tensor_of


@both
def matmul(input: Any, other: Any) -> Any:
    """Matrix product over the last two axes, broadcast over the others."""
    return ops.matmul(input, other)


def _product(name: str, *ranks: int) -> Callable[..., Any]:
    def product(input: Any, other: Any) -> Any:
        for x, rank in zip((input, other), ranks, strict=True):
            check_ranks(name, rank, x, most=rank, fix="a @ b takes any number of axes")
        if name == "bmm" and input.shape[0] != other.shape[0]:
            raise ShapeError(
                "bmm needs batches of one size",
                got=f"{tuple(input.shape)} and {tuple(other.shape)}",
                wanted="equal first axes",
                fix="a @ b broadcasts them",
                code="E03",
            )
        return ops.matmul(input, other)

    product.__name__, product.__doc__ = name, f"matmul of tensors with {ranks[0]} and {ranks[1]} axes."
    return both(product)


mm, bmm, mv, dot = _product("mm", 2, 2), _product("bmm", 3, 3), _product("mv", 2, 1), _product("dot", 1, 1)


@both
def inner(input: Any, other: Any) -> Any:
    """Sums of products over the last axes of both: shape input.shape[:-1] + other.shape[:-1]."""
    if not input.ndim or not other.ndim:
        return ops.multiply(input, other)
    rows = ops.reshape(other, (-1, other.shape[-1])) if other.ndim > 1 else other
    flat = ops.matmul(input, rows.mT if other.ndim > 1 else rows)
    return flat if other.ndim < 3 else ops.reshape(flat, (*input.shape[:-1], *other.shape[:-1]))


@both
def outer(input: Any, vec2: Any) -> Any:
    """All products of two vectors."""
    check_ranks("outer", 1, input, vec2, most=1)
    return ops.expand_dims(input, axis=1) * ops.expand_dims(vec2, axis=0)


@function
def einsum(equation: str, *operands: Any) -> Any:
    """Einstein's sum."""
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return ops.einsum(equation, *[tensor_of(x) for x in given])


@both
def vdot(input: Any, other: Any) -> Any:
    """The sum of products of two vectors."""
    check_ranks("vdot", 1, input, other, most=1)
    return ops.matmul(input, other)


@both
def kron(input: Any, other: Any) -> Any:
    """Every element of ``input`` times the whole of ``other``, as one array of blocks.

    >>> import gradus
    >>> gradus.eye(2).kron(gradus.tensor([[1.0, 2.0]]))
    tensor([[1., 2., 0., 0.],
            [0., 0., 1., 2.]])
    """
    ndim = max(input.ndim, other.ndim)
    a, b = [ops.reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape)) for x in (input, other)]
    spread = ops.reshape(a, tuple([n for length in a.shape for n in (length, 1)])) * ops.reshape(
        b, tuple([n for length in b.shape for n in (1, length)])
    )
    return ops.reshape(spread, tuple([n * m for n, m in zip(a.shape, b.shape, strict=True)]))


@function
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sums of products over the last ``dims`` axes of ``a`` and the first of ``b``, or over two lists of axes.

    >>> import gradus
    >>> gradus.tensordot(gradus.ones(2, 3, 4), gradus.ones(3, 4, 5), 2).shape
    Size([2, 5])
    """
    over_a, over_b = (list(range(a.ndim - dims, a.ndim)), list(range(dims))) if isinstance(dims, int) else map(list, dims)
    over_a, over_b = [axis_of(a, dim) for dim in over_a], [axis_of(b, dim) for dim in over_b]
    kept_a, kept_b = [[k for k in range(x.ndim) if k not in over] for x, over in ((a, over_a), (b, over_b))]
    if [a.shape[k] for k in over_a] != [b.shape[k] for k in over_b]:
        raise ShapeError(
            "tensordot sums over axes of one length",
            got=f"{tuple(a.shape)} and {tuple(b.shape)}, dims {dims}",
            wanted="equal lengths",
            code="E03",
        )
    summed = math.prod([a.shape[k] for k in over_a])
    rows, columns = [tuple([x.shape[k] for k in kept]) for x, kept in ((a, kept_a), (b, kept_b))]
    left = ops.reshape(ops.permute_dims(a, (*kept_a, *over_a)), (math.prod(rows), summed))
    right = ops.reshape(ops.permute_dims(b, (*over_b, *kept_b)), (summed, math.prod(columns)))
    return ops.reshape(ops.matmul(left, right), (*rows, *columns))


@both
def matrix_power(input: Any, n: int) -> Any:
    """A square matrix times itself, ``n`` times in all; the identity for 0.

    >>> import gradus
    >>> gradus.tensor([[1, 1], [0, 1]]).matrix_power(5)
    tensor([[1, 5],
            [0, 1]])
    """
    check_ranks("matrix_power", 2, input)
    if n < 0 or input.shape[-1] != input.shape[-2]:
        raise UsageError(
            "matrix_power takes square matrices and n from 0", got=f"n = {n}, shape {tuple(input.shape)}", wanted="n >= 0", code="E29"
        )
    power, result = input, None
    while n:
        if n & 1:
            result = power if result is None else ops.matmul(result, power)
        n >>= 1
        power = ops.matmul(power, power) if n else power
    if result is None:
        return ops.broadcast_to(ops.eye(input.shape[-1], dtype=input.dtype), tuple(input.shape)) * wrap(np.ones((), input.dtype))
    return result if result is not input else input.clone()


@both
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The vector product along an axis of length 3: the first one when ``dim`` is None.

    >>> import gradus
    >>> gradus.tensor([1, 0, 0]).cross(gradus.tensor([0, 1, 0]))
    tensor([0, 0, 1])
    """
    shape = common_shape(tuple(input.shape), tuple(other.shape))
    axis = next((k for k, n in enumerate(shape) if n == 3), None) if dim is None else axis_of(wrap(np.empty(shape, bool)), dim)
    if axis is None or shape[axis] != 3:
        raise ShapeError("cross needs an axis of length 3", got=f"shape {shape}, dim {dim}", wanted="3 on the axis", code="E03")
    a, b = [movedim(ops.broadcast_to(x, shape), axis, -1) for x in (input, other)]
    later, earlier = np.array([1, 2, 0]), np.array([2, 0, 1])
    product = ops.take(a, later, axis=-1) * ops.take(b, earlier, axis=-1) - ops.take(a, earlier, axis=-1) * ops.take(b, later, axis=-1)
    return movedim(product, -1, axis)


# Added to something.


def _onto(name: str, input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    shape = tuple(product.shape)
    if common_shape(tuple(input.shape), shape) != shape:
        raise ShapeError(
            f"{name} adds to a product, whose shape stays",
            got=f"{tuple(input.shape)} and {shape}",
            wanted="a shape that broadcasts to it",
            code="E03",
        )
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product  # whatever the input is, NaN too
    return (input if beta == 1 else input * beta) + product


@both
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · mat1 @ mat2; the input is broadcast to the product's shape.

    >>> import gradus
    >>> gradus.addmm(gradus.ones(1), gradus.ones(2, 3), gradus.ones(3, 2))
    tensor([[4., 4.],
            [4., 4.]])
    """
    return _onto("addmm", input, mm(mat1, mat2), beta, alpha)


@both
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · mat @ vec."""
    return _onto("addmv", input, mv(mat, vec), beta, alpha)


@both
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · all products of two vectors."""
    return _onto("addr", input, outer(vec1, vec2), beta, alpha)


@both
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · batch1 @ batch2."""
    return _onto("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@both
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · the sum of batch1 @ batch2 over the batch."""
    return _onto("addbmm", input, ops.sum(bmm(batch1, batch2), axis=0), beta, alpha)


# Distances.


@both
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return norm(input - other, p, None)


@function
def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """The p-norm of the difference between each row of ``x1`` and each row of ``x2``: (…, P, M) and (…, R, M) give (…, P, R).

    >>> import gradus
    >>> gradus.cdist(gradus.zeros(1, 2), gradus.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    check_ranks("cdist", 2, x1, x2)
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            "X1 and X2 must have the same number of columns",
            got=f"x1 of shape {tuple(x1.shape)}, x2 of shape {tuple(x2.shape)}",
            wanted="points of the same space: equal last axes",
            code="E03",
        )
    return norm(ops.expand_dims(x1, axis=-2) - ops.expand_dims(x2, axis=-3), p, -1)


@function
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last axis."""
    return norm(x1 - x2 + eps, p, -1, keepdim)


@function
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-08) -> Any:
    """The cosine of the angle between vectors along ``dim``; lengths below ``eps`` count as ``eps``.

    >>> import gradus
    >>> gradus.cosine_similarity(gradus.tensor([[1.0, 0.0]]), gradus.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    a, b = [x / ops.maximum(ops.norm(x, axis=dim, keepdims=True), eps) for x in (x1, x2)]
    return ops.sum(a * b, axis=dim)

"""PyTorch's spelling, continued: elementwise functions, products and distances, all of them written with existing ops.

Nothing here has a derivative of its own: each function is a composition, so it is differentiated, traced and compiled as its parts are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, ShapeError, UsageError
from gradus.tensors import wrap
from gradus.torch_movement import axis_of, cat, check_ranks, common_shape, movedim
from gradus.torch_table import FUNCTIONS, both, function, tensor_of

# Elementwise.


def _fractions(input: Any) -> Any:
    """As PyTorch computes with it where the result is no whole number: integers and booleans become the default float."""
    return input if input.dtype.kind == "f" else input.float()


def _beside(other: Any, x: Any) -> Any:
    """``x`` as a tensor; a number takes the dtype of the floating tensor that it meets."""
    number = not hasattr(x, "dtype") and hasattr(other, "dtype") and other.dtype.kind == "f"
    return ops.astype(tensor_of(x), other.dtype) if number else tensor_of(x)


@both
def positive(input: Any) -> Any:
    """The tensor itself."""
    if input.dtype.kind == "b":
        raise DTypeError("positive takes numbers", got="bool", wanted="a number dtype", fix="x.int()", code="E14")
    return input


@both
def bitwise_not(input: Any) -> Any:
    """Every bit turned; of booleans, the opposite."""
    if input.dtype.kind == "f":
        raise DTypeError("bitwise_not takes whole numbers", got=str(input.dtype), wanted="integers or bool", fix="x.long()", code="E14")
    return (
        ops.logical_not(input)
        if input.dtype.kind == "b"
        else ops.bitwise_xor(input, -1 if input.dtype.kind == "i" else np.iinfo(input.dtype).max)
    )


@both
def sgn(input: Any) -> Any:
    """-1, 0 or 1: the sign."""
    return ops.sign(input)


@both
def frac(input: Any) -> Any:
    """What is behind the point: x - trunc(x)."""
    return input - ops.trunc(input)


@both
def fmod(input: Any, other: Any) -> Any:
    """What remains of input / other rounded towards zero; it has the sign of ``input``."""
    other = _beside(input, other)
    size = ops.remainder(ops.abs(input), ops.abs(other))
    return ops.where(input < 0, -size, size)


@both
def deg2rad(input: Any) -> Any:
    """Degrees as radians: x · π / 180."""
    return _fractions(input) * (math.pi / 180.0)


@both
def rad2deg(input: Any) -> Any:
    """Radians as degrees: x · 180 / π."""
    return _fractions(input) * (180.0 / math.pi)


@both
def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), the inverse of the sigmoid, with x limited to [eps, 1 - eps]."""
    x = _fractions(input)
    x = x if eps is None else ops.clip(x, low=eps, high=1.0 - eps)
    return ops.log(x / (1.0 - x))


@both
def sinc(input: Any) -> Any:
    """sin(πx) / (πx), and 1 at 0."""
    x = _fractions(input) * math.pi
    origin = ops.equal(x, 0.0)
    return ops.where(origin, 1.0, ops.sin(x) / ops.where(origin, 1.0, x))


@both
def xlogy(input: Any, other: Any) -> Any:
    """x · log(y), and 0 where x is 0."""
    x, y = _beside(other, input), _beside(input, other)
    nothing = ops.logical_and(ops.equal(x, 0), ops.logical_not(ops.isnan(y)))
    return ops.where(nothing, 0.0, x * ops.log(ops.where(nothing, 1, y)))


@both
def logaddexp2(input: Any, other: Any) -> Any:
    """log₂(2ᵃ + 2ᵇ) without overflow."""
    return ops.logaddexp(input * math.log(2.0), other * math.log(2.0)) * (1.0 / math.log(2.0))


@both
def float_power(input: Any, exponent: Any) -> Any:
    """A power, computed in float64."""
    base, raised = [x.double() if hasattr(x, "double") else float(x) for x in (input, exponent)]
    return ops.pow(base, raised)


@both
def heaviside(input: Any, values: Any) -> Any:
    """0 below zero, 1 above, ``values`` at zero."""
    step = ops.astype(input > 0, input.dtype)
    return ops.where(ops.equal(input, 0), values, step)


@both
def signbit(input: Any) -> Any:
    """Whether the sign is minus, as it is for -0.0."""
    if input.dtype.kind != "f":
        return ops.less(input, 0)
    origin = ops.equal(input, 0)  # where only the reciprocal, one of two infinities, tells
    return ops.less(ops.where(origin, ops.reciprocal(ops.where(origin, input, 1.0)), input), 0)


@both
def copysign(input: Any, other: Any) -> Any:
    """The size of ``input`` with the sign of ``other``."""
    x, y = _fractions(tensor_of(input)), tensor_of(other)
    size = ops.abs(x)
    return ops.where(signbit(y), -size, size)


@both
def fmax(input: Any, other: Any) -> Any:
    """The larger one; a number beside NaN is the larger one."""
    return ops.where(ops.isnan(input), other, ops.where(ops.isnan(other), input, ops.maximum(input, other)))


@both
def fmin(input: Any, other: Any) -> Any:
    """The smaller one; a number beside NaN is the smaller one."""
    return ops.where(ops.isnan(input), other, ops.where(ops.isnan(other), input, ops.minimum(input, other)))


@both
def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Numbers in place of NaN and infinities: 0, and the largest and smallest of the dtype, unless told otherwise."""
    if input.dtype.kind != "f":
        return input.clone()
    largest = float(np.finfo(input.dtype).max)
    y = ops.where(ops.isnan(input), 0.0 if nan is None else nan, input)
    y = ops.where(ops.equal(input, math.inf), largest if posinf is None else posinf, y)
    return ops.where(ops.equal(input, -math.inf), -largest if neginf is None else neginf, y)


@both
def isposinf(input: Any) -> Any:
    """Where it is plus infinity."""
    return ops.equal(input, math.inf) if input.dtype.kind == "f" else ops.equal(input, input + 1)


@both
def isneginf(input: Any) -> Any:
    """Where it is minus infinity."""
    return ops.equal(input, -math.inf) if input.dtype.kind == "f" else ops.equal(input, input + 1)


# Products.


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


def _product(name: str, first: Any, second: Any) -> Any:
    ranks = {"mm": (2, 2), "mv": (2, 1), "bmm": (3, 3), "outer": (1, 1)}[name]
    for x, rank in zip((first, second), ranks, strict=True):
        check_ranks(name, rank, x, most=rank)
    if name == "outer":
        return ops.expand_dims(first, axis=1) * ops.expand_dims(second, axis=0)
    if name == "bmm" and first.shape[0] != second.shape[0]:
        raise ShapeError(
            "bmm needs batches of one size", got=f"{tuple(first.shape)} and {tuple(second.shape)}", wanted="equal first axes", code="E03"
        )
    return ops.matmul(first, second)


@both
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · mat1 @ mat2; the input is broadcast to the product's shape."""
    return _onto("addmm", input, _product("mm", mat1, mat2), beta, alpha)


@both
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · mat @ vec."""
    return _onto("addmv", input, _product("mv", mat, vec), beta, alpha)


@both
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · all products of two vectors."""
    return _onto("addr", input, _product("outer", vec1, vec2), beta, alpha)


@both
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · batch1 @ batch2."""
    return _onto("baddbmm", input, _product("bmm", batch1, batch2), beta, alpha)


@both
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · the sum of batch1 @ batch2 over the batch."""
    return _onto("addbmm", input, ops.sum(_product("bmm", batch1, batch2), axis=0), beta, alpha)


@both
def vdot(input: Any, other: Any) -> Any:
    """The sum of products of two vectors."""
    check_ranks("vdot", 1, input, other, most=1)
    return ops.matmul(input, other)


@both
def kron(input: Any, other: Any) -> Any:
    """Every element of ``input`` times the whole of ``other``, as one array of blocks."""
    ndim = max(input.ndim, other.ndim)
    a, b = [ops.reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape)) for x in (input, other)]
    spread = ops.reshape(a, tuple([n for length in a.shape for n in (length, 1)])) * ops.reshape(
        b, tuple([n for length in b.shape for n in (1, length)])
    )
    return ops.reshape(spread, tuple([n * m for n, m in zip(a.shape, b.shape, strict=True)]))


@function
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sums of products over the last ``dims`` axes of ``a`` and the first of ``b``, or over two lists of axes."""
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
    """A square matrix times itself, ``n`` times in all; the identity for 0."""
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
    """The vector product along an axis of length 3: the first one when ``dim`` is None."""
    shape = common_shape(tuple(input.shape), tuple(other.shape))
    axis = next((k for k, n in enumerate(shape) if n == 3), None) if dim is None else axis_of(wrap(np.empty(shape, bool)), dim)
    if axis is None or shape[axis] != 3:
        raise ShapeError("cross needs an axis of length 3", got=f"shape {shape}, dim {dim}", wanted="3 on the axis", code="E03")
    a, b = [movedim(ops.broadcast_to(x, shape), axis, -1) for x in (input, other)]
    later, earlier = np.array([1, 2, 0]), np.array([2, 0, 1])
    product = ops.take(a, later, axis=-1) * ops.take(b, earlier, axis=-1) - ops.take(a, earlier, axis=-1) * ops.take(b, later, axis=-1)
    return movedim(product, -1, axis)


# Distances.


def _norm(difference: Any, p: float, axis: Any, keepdim: bool = False) -> Any:
    return FUNCTIONS["norm"](difference, p, axis, keepdim)


@both
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return _norm(input - other, p, None)


@function
def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """The p-norm of the difference between each row of ``x1`` and each row of ``x2``: (…, P, M) and (…, R, M) give (…, P, R)."""
    check_ranks("cdist", 2, x1, x2)
    return _norm(ops.expand_dims(x1, axis=-2) - ops.expand_dims(x2, axis=-3), p, -1)


@function
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last axis."""
    return _norm(x1 - x2 + eps, p, -1, keepdim)


@function
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-08) -> Any:
    """The cosine of the angle between vectors along ``dim``; lengths below ``eps`` count as ``eps``."""
    a, b = [x / ops.maximum(ops.norm(x, axis=dim, keepdims=True), eps) for x in (x1, x2)]
    return ops.sum(a * b, axis=dim)


# Differences and areas.


@both
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Each element less the one before it along an axis, ``n`` times over, after ``prepend`` and ``append`` were put at its ends."""
    axis = axis_of(input, dim)
    if n < 0:
        raise UsageError("diff takes differences n times", got=f"n = {n}", wanted="n >= 0", code="E29")
    if prepend is not None or append is not None:
        input = cat([x for x in (prepend, input, append) if x is not None], axis)
    front = (slice(None),) * axis
    for _ in range(n):
        later, earlier = ops.getitem(input, key=(*front, slice(1, None))), ops.getitem(input, key=(*front, slice(0, -1)))
        input = ops.not_equal(later, earlier) if input.dtype.kind == "b" else later - earlier
    return input


@function
def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The area below points along an axis, joined by straight lines; ``dx`` apart, or at the places ``x``."""
    y = movedim(_fractions(y), dim, -1)
    between = (ops.getitem(y, key=(Ellipsis, slice(1, None))) + ops.getitem(y, key=(Ellipsis, slice(0, -1)))) * 0.5
    width = dx if x is None else diff(x if x.ndim == 1 else movedim(x, dim, -1))
    return ops.sum(between * width, axis=-1)


FUNCTIONS["trapz"] = trapezoid


@function
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Powers of a vector's elements as columns, from N - 1 down to 0, or upwards."""
    check_ranks("vander", 1, x, most=1)
    x = x if x.dtype.kind == "f" else ops.astype(x, np.int64)
    count = x.shape[0] if N is None else N
    powers = [ops.ones((x.shape[0],), x.dtype)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    columns = powers[:count] if increasing else powers[:count][::-1]
    if not columns:
        return wrap(np.zeros((x.shape[0], 0), x.dtype))
    return ops.stack([tensor_of(column) for column in columns], axis=1)

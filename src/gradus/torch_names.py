"""PyTorch's spelling of what computes values, and how its arguments differ from ``gradus.ops``: the last part of the table.

A decorated definition is one entry. :mod:`gradus.torch_table` holds the table, what a tensor is and how one is made;
:mod:`gradus.torch_movement` what moves values. In-place forms (``add_``) are derived at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import ops, torch_arithmetic, torch_inplace, torch_shapes, torch_statistics
from gradus.errors import DTypeError, IndexRangeError, ShapeError, UsageError
from gradus.fused.softmax import log_softmax, softmax
from gradus.ops.reduction import normalize_axes
from gradus.primitive import REGISTRY
from gradus.tape import binary_method, unary_method
from gradus.tensors import Tensor, wrap
from gradus.torch_movement import ValuesIndices, axis_of, cat, check_ranks, nonzero, stack, with_an_axis
from gradus.torch_table import (
    FUNCTIONS,
    METHODS,
    as_method,
    both,
    clone,
    empty,
    function,
    tensor,
    tensor_of,
    torch_keywords,
    zeros,
)

__all__ = ["FUNCTIONS", "METHODS", "cat", "clone", "empty", "install", "matmul", "stack", "tensor", "zeros"]

# Elementwise ops: every record, under its own name and PyTorch's.

ALIASES = {
    "add": ("add",), "subtract": ("subtract", "sub"), "multiply": ("multiply", "mul"), "divide": ("divide", "div", "true_divide"),
    "negative": ("negative", "neg"), "abs": ("abs", "absolute"), "equal": ("eq",), "not_equal": ("not_equal", "ne"),
    "less": ("less", "lt"), "less_equal": ("less_equal", "le"), "greater": ("greater", "gt"), "greater_equal": ("greater_equal", "ge"),
    "asin": ("asin", "arcsin"), "acos": ("acos", "arccos"), "atan": ("atan", "arctan"), "atan2": ("atan2", "arctan2"),
    "asinh": ("asinh", "arcsinh"), "acosh": ("acosh", "arccosh"), "atanh": ("atanh", "arctanh"), "trunc": ("trunc", "fix"),
    "cumulative_prod": (), "zero_safe_mul": (), "where": (), "clip": (), "astype": (),
}  # fmt: skip


def _install_elementwise() -> None:
    """Functions for all elementwise records; the methods skip the dispatch, since a Tensor is known to be there."""
    for record in list(REGISTRY.values()):
        if record.family != "elementwise":
            continue
        fast = {1: unary_method, 2: binary_method}.get(len(record.inputs))
        quick = fast(record) if fast is not None and not record.params and None not in record.savers else None
        assert record.function is not None
        if quick is not None:
            quick.__name__, quick.__doc__ = record.name, record.function.__doc__
        for name in ALIASES.get(record.name, (record.name,)):
            FUNCTIONS[name] = record.function
            METHODS[name] = quick or as_method(record.function)
    FUNCTIONS["pow"], METHODS["pow"] = ops.pow, as_method(ops.pow)


_install_elementwise()


@both
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other."""
    return ops.add(input, other) if alpha == 1 else ops.add(input, other * alpha)


@both
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input - alpha · other."""
    return ops.subtract(input, other) if alpha == 1 else ops.subtract(input, other * alpha)


FUNCTIONS["subtract"] = METHODS["subtract"] = sub


@both
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; rounded down with ``rounding_mode="floor"``, towards zero with "trunc"."""
    if rounding_mode is None:
        return ops.divide(input, other)
    if rounding_mode == "floor":
        return ops.floor_divide(input, other)
    if rounding_mode != "trunc":
        raise UsageError("div has no such rounding_mode", got=repr(rounding_mode), wanted="None, 'floor' or 'trunc'", code="E29")
    down = ops.floor_divide(input, other)
    if down.dtype.kind == "f":
        return ops.trunc(ops.divide(input, other))
    # Integers of any size, exactly: one more where the quotient is negative and leaves a remainder.
    return down + ops.logical_and(ops.remainder(input, other) != 0, down < 0)


FUNCTIONS["divide"] = METHODS["divide"] = FUNCTIONS["true_divide"] = METHODS["true_divide"] = div


@both
def round(input: Any, *, decimals: int = 0) -> Any:
    """To the nearest whole number, halves to even; or to so many decimals."""
    return ops.round(input) if not decimals else ops.round(input * 10.0**decimals) / 10.0**decimals


@both
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Limit to [min, max]."""
    return ops.clip(input, low=min, high=max)


@both
def clamp_min(input: Any, min: Any) -> Any:
    """Limit from below."""
    return ops.clip(input, low=min)


@both
def clamp_max(input: Any, max: Any) -> Any:
    """Limit from above."""
    return ops.clip(input, high=max)


@function
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition holds, else ``other``; with the condition alone, the indices where it holds."""
    if input is None:
        return nonzero(tensor_of(condition), as_tuple=True)
    if not (hasattr(input, "dtype") or hasattr(other, "dtype")):
        input = tensor_of(input)  # two Python numbers
    return ops.where(_mask(condition, "where"), input, other)


def _where(self: Any, condition: Any, other: Any) -> Any:
    """This tensor where the condition holds, else ``other``."""
    return where(condition, self, other)


METHODS["where"] = _where


def _mask(condition: Any, name: str) -> Any:
    condition = tensor_of(condition)
    if condition.dtype.kind != "b":
        raise DTypeError(
            f"{name} expected a boolean condition", got=f"dtype {condition.dtype}", wanted="bool", fix="condition != 0", code="E14"
        )
    return condition


@both
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight · (end - input)."""
    return input + weight * (end - input)


@both
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value · tensor1 · tensor2."""
    return input + value * (tensor1 * tensor2)


@both
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value · tensor1 / tensor2."""
    return input + value * (tensor1 / tensor2)


@both
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``value`` where the mask holds, else ``input``."""
    return ops.astype(ops.where(_mask(mask, "masked_fill"), value, input), input.dtype)


FUNCTIONS["clip"] = METHODS["clip"] = clamp
FUNCTIONS["log_softmax"] = METHODS["log_softmax"] = torch_keywords(log_softmax)
FUNCTIONS["softmax"] = METHODS["softmax"] = torch_keywords(softmax)


# Reductions.


def _axes(input: Any, dim: Any) -> Any:
    """``dim`` as the ops take it, checked: None for all axes (also for ``()``), and 0 or -1 of a 0-d tensor mean nothing."""
    if dim is None or (dim.__class__ is int and 0 <= dim < input.ndim):
        return dim
    if dim == () or dim == []:
        return None
    axes = normalize_axes(dim, input.ndim)
    if not isinstance(dim, int) and len(dim) != len(set(axes)) and (input.ndim or len(dim) > 1):
        raise ShapeError(
            "a dim appears multiple times in the list of dims",
            got=f"dims {tuple(dim)} for shape {tuple(input.shape)}",
            wanted="different axes",
            code="E03",
        )
    return (dim if isinstance(dim, int) else tuple(dim)) if input.ndim else None


def _summable(input: Any) -> Any:
    """Sums of unsigned integers are int64, as sums of all other integers and booleans."""
    return ops.astype(input, np.int64) if input.dtype.kind == "u" else input


def _floating(input: Any, name: str) -> None:
    if input.dtype.kind != "f":
        raise DTypeError(
            f"{name}(): could not infer output dtype. Input dtype must be a floating point dtype. Got: {input.dtype}",
            got=f"{name} of {input.dtype}", wanted="float32 or float64",
            why="the result of integers would be rounded, or would need a dtype that nobody chose", fix=f"x.float().{name}()", code="E14",
        )  # fmt: skip


def _reduction(op: Callable[..., Any]) -> Callable[..., Any]:
    widens = op in (ops.sum, ops.prod)

    def reduce(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        if dtype is not None:
            input = ops.astype(input, dtype)
        elif widens:
            input = _summable(input)
        return op(input, axis=_axes(input, dim), keepdims=keepdim)

    reduce.__name__, reduce.__doc__ = op.__name__, op.__doc__
    return reduce


sum, prod, all, any, logsumexp, count_nonzero = [
    both(_reduction(op)) for op in (ops.sum, ops.prod, ops.all, ops.any, ops.logsumexp, ops.count_nonzero)
]
argmax, argmin = [both(_reduction(op)) for op in (ops.argmax, ops.argmin)]


@both
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over ``dim`` (all axes when None)."""
    input = input if dtype is None else ops.astype(input, dtype)
    _floating(input, "mean")
    return ops.mean(input, axis=_axes(input, dim), keepdims=keepdim)


def _correction(correction: Any, unbiased: Any) -> float:
    return (1.0 if unbiased else 0.0) if unbiased is not None else 1.0 if correction is None else float(correction)


@both
def var(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """The variance, divided by n - 1 unless told otherwise (NumPy divides by n)."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    _floating(input, "var")
    return ops.var(input, axis=_axes(input, dim), keepdims=keepdim, correction=_correction(correction, unbiased))


@both
def std(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """The standard deviation, from the variance with n - 1 unless told otherwise."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    _floating(input, "std")
    return ops.std(input, axis=_axes(input, dim), keepdims=keepdim, correction=_correction(correction, unbiased))


@both
def norm(input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """The p-norm over ``dim``: "fro" or 2, 1, 0 (how many are not 0), plus or minus infinity, or any other p."""
    _floating(input, "norm")
    dim = _axes(input, dim)
    if p in (2, "fro"):
        return ops.norm(input, axis=dim, keepdims=keepdim)
    size = ops.abs(input)
    if p == 1:
        return ops.sum(size, axis=dim, keepdims=keepdim)
    if p in (math.inf, -math.inf):
        return (ops.max if p > 0 else ops.min)(size, axis=dim, keepdims=keepdim)
    if p == 0:
        return ops.sum(ops.astype(size != 0, input.dtype), axis=dim, keepdims=keepdim)
    total = ops.sum(size ** float(p), axis=dim, keepdims=keepdim)
    root = total ** (1.0 / p)
    return root if p < 0 else ops.where(total != 0, root, 0.0)  # whose derivative at 0 is 0


def _extreme(best: Callable[..., Any], where_best: Callable[..., Any], pairwise: Callable[..., Any], name: str) -> Callable[..., Any]:
    def extreme(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            return best(input)
        if isinstance(dim, Tensor):
            return pairwise(input, dim)
        if not input.ndim:
            normalize_axes(dim, 0)
            return ValuesIndices(best(input), where_best(input))
        indices = where_best(input, axis=axis_of(input, dim), keepdims=True)
        values = ops.take_along_axis(input, indices, axis=dim)
        return ValuesIndices(*[v if keepdim else ops.squeeze(v, axis=dim) for v in (values, indices)])

    extreme.__name__ = name
    extreme.__doc__ = f"The {name} of all elements; with ``dim`` (values, indices) along it; with a second tensor, elementwise."
    return extreme


max = both(_extreme(ops.max, ops.argmax, ops.maximum, "max"))
min = both(_extreme(ops.min, ops.argmin, ops.minimum, "min"))


@both
def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest value; ties share the gradient evenly."""
    return ops.max(input, axis=_axes(input, dim), keepdims=keepdim)


@both
def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest value; ties share the gradient evenly."""
    return ops.min(input, axis=_axes(input, dim), keepdims=keepdim)


@both
def cumsum(input: Any, dim: int) -> Any:
    """Running sums along ``dim``."""
    return with_an_axis(lambda x: ops.cumulative_sum(x, axis=axis_of(x, dim)), _summable(input))


@both
def cumprod(input: Any, dim: int) -> Any:
    """Running products along ``dim``."""
    return with_an_axis(
        lambda x: ops.moveaxis(ops.cumulative_prod(ops.moveaxis(x, axis_of(x, dim), -1)), -1, axis_of(x, dim)), _summable(input)
    )


@both
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(values, indices) in order along ``dim``; always stable."""

    def ordered(x: Any) -> Any:
        indices = ops.argsort(x, axis=axis_of(x, dim), descending=descending)
        return ValuesIndices(ops.take_along_axis(x, indices, axis=dim), indices)

    return with_an_axis(ordered, input)


@both
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Indices that sort along ``dim``."""
    return with_an_axis(lambda x: ops.argsort(x, axis=axis_of(x, dim), descending=descending), input)


@both
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the ``k`` largest (or smallest) along ``dim``, in order."""

    def best(x: Any) -> Any:
        axis = axis_of(x, dim)
        if not 0 <= k <= x.shape[axis]:
            raise IndexRangeError(
                "selected index k out of range",
                got=f"k = {k}, an axis of {x.shape[axis]} elements",
                wanted="0 <= k <= the length of the axis",
                code="E41",
            )
        order = ops.argsort(x, axis=axis, descending=largest)
        indices = ops.getitem(order, key=(*(slice(None),) * axis, slice(0, k)))
        return ValuesIndices(ops.take_along_axis(x, indices, axis=axis), indices)

    return with_an_axis(best, input)


# Products.


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


# Comparison of whole tensors; counting.


@both
def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |a - b| ≤ atol + rtol·|b| everywhere."""
    a, b = [tensor_of(x).detach().numpy() for x in (input, other)]
    return bool(np.allclose(a, b, rtol, atol, equal_nan))


@both
def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Where |a - b| ≤ atol + rtol·|b|."""
    return wrap(np.isclose(input.detach().numpy(), other.detach().numpy(), rtol, atol, equal_nan))


@both
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    return tuple(input.shape) == tuple(other.shape) and bool(np.array_equal(input.detach().numpy(), other.detach().numpy()))


@both
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall in each of ``bins`` equal intervals of [min, max] (the data's own range when both are 0)."""
    x = input.detach().numpy()
    low, high = (min, max) if (min, max) != (0, 0) else (x.min(), x.max())
    return wrap(np.histogram(x, bins=bins, range=(low, high))[0].astype(x.dtype))


@both
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each non-negative integer occurs."""
    counts = np.bincount(input.numpy(), None if weights is None else weights.detach().numpy(), minlength)
    return wrap(counts if weights is None or weights.dtype.kind != "f" else counts.astype(weights.dtype))


@both
def unique(input: Any, return_counts: bool = False, return_inverse: bool = False) -> Any:
    """The distinct elements in order."""
    found: Any = np.unique(input.detach().numpy(), return_counts=return_counts, return_inverse=return_inverse)  # type: ignore[call-overload]
    return tuple([wrap(x) for x in found]) if isinstance(found, tuple) else wrap(found)


# The methods.

PARTS = (torch_arithmetic, torch_shapes, torch_statistics)  # have entered their names by being imported


def install() -> None:
    """Make the entries methods of Tensor."""
    for name, entry in METHODS.items():
        if callable(entry) and not hasattr(entry, "__get__"):
            entry = as_method(entry)
        setattr(Tensor, name, entry)


torch_inplace.derive()
install()

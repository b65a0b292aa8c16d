"""Sums, means, norms, extremes, and how far values are spread."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, ShapeError, UsageError
from gradus.primitive import normalize_axes
from gradus.tensors import Tensor, wrap
from gradus.torch_names.diagonals import diagonal
from gradus.torch_names.table import ValuesIndices, axis_of, both, check_ranks, tensor_of


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


def summable(input: Any) -> Any:
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
            input = summable(input)
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


MinMax = namedtuple("MinMax", ["min", "max"])


@both
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """(smallest, largest) of all elements, or along an axis."""
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


@both
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of all that is not NaN."""
    kept = ops.where(ops.isnan(input), 0, input) if input.dtype.kind == "f" else input
    return sum(kept, dim, keepdim, dtype=dtype)


@both
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of all that is not NaN."""
    if input.dtype.kind != "f":
        raise DTypeError("nanmean takes the mean of floating numbers", got=str(input.dtype), wanted="floats", fix="x.float()", code="E14")
    there = ops.astype(ops.logical_not(ops.isnan(input)), input.dtype)
    return nansum(input, dim, keepdim, dtype=dtype) / sum(there, dim, keepdim, dtype=dtype)


@both
def var_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """(variance, mean)."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@both
def std_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """(standard deviation, mean)."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@both
def cov(input: Any, *, correction: int = 1) -> Any:
    """How variables vary together: rows are variables, columns observations; divided by their number less ``correction``.

    >>> import gradus
    >>> gradus.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]).cov()
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    check_ranks("cov", 0, input, most=2)
    x = ops.reshape(input, (1, -1)) if input.ndim < 2 else input
    x = x - ops.mean(x, axis=1, keepdims=True)
    found = ops.matmul(x, ops.matrix_transpose(x)) * (1.0 / (x.shape[1] - correction) if x.shape[1] > correction else math.inf)
    return found if input.ndim > 1 else ops.reshape(found, ())


@both
def corrcoef(input: Any) -> Any:
    """The covariance, divided by both standard deviations."""
    together = cov(input)
    if not together.ndim:
        return together / together
    size = ops.sqrt(diagonal(together))
    return ops.clip(together / ops.expand_dims(size, axis=1) / ops.expand_dims(size, axis=0), low=-1.0, high=1.0)


# Comparison of whole tensors.


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
def is_nonzero(input: Any) -> bool:
    """Whether the one element of a tensor is not zero."""
    if input.numel() != 1:
        raise UsageError(
            "is_nonzero looks at one element", got=f"shape {tuple(input.shape)}", wanted="one element", fix="x.any()", code="E29"
        )
    return bool(tensor_of(input))

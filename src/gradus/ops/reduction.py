"""Reductions fold axes away. A rule sees ``g`` and ``y`` with the folded axes kept as length 1, so that they broadcast against ``x``."""

from __future__ import annotations

import builtins
import math
from typing import Any

from gradus.ops import claims
from gradus.primitive import Domain, bind, normalize_axes, primitive, reduction


def count(x_shape: tuple[int, ...], axis: Any) -> int:
    """How many values a reduction over ``axis`` folds into one."""
    return math.prod(x_shape[k] for k in normalize_axes(axis, len(x_shape)))


def ratio(numerator: float, denominator: float) -> float:
    """A quotient of Python numbers with IEEE's answers for a zero denominator (Python raises)."""
    if denominator:
        return numerator / denominator
    return math.nan if numerator == 0 else math.copysign(math.inf, numerator)


def _mean(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    return xp.sum(x, axis=axis, keepdims=keepdims) * ratio(1.0, count(x.shape, axis))


def _centred(xp: Any, x: Any, axis: Any) -> Any:
    return x - xp.mean(x, axis=axis, keepdims=True)


def _var(xp: Any, x: Any, *, axis: Any, keepdims: bool, correction: float) -> Any:
    centred = _centred(xp, x, axis)
    total = xp.sum(centred * centred, axis=axis, keepdims=keepdims)
    return total * ratio(1.0, builtins.max(count(x.shape, axis) - correction, 0))


def _std_rule(xp: Any, g: Any, x: Any, y: Any, axis: Any, correction: float) -> Any:
    # Where x equals the mean the derivative is 0, also for a constant x, whose y is 0.
    return _centred(xp, x, axis) * _over(xp, g, y * builtins.max(count(x.shape, axis) - correction, 0))


def _over(xp: Any, g: Any, y: Any) -> Any:
    """``g / y``, 0 where y is 0: at the tip of a cone the derivatives of all orders count as 0."""
    return xp.where(xp.equal(y, 0), 0.0, g / y)


def finite(xp: Any, m: Any) -> Any:
    """``m`` with infinities replaced by 0, so that ``x - m`` is never infinity minus infinity."""
    return xp.where(xp.isfinite(m), m, 0.0)


def without_masks(xp: Any, m: Any) -> Any:
    """``m`` with 0 for minus infinity, the maximum of a row that is all masked; plus infinity stays, and its row becomes NaN."""
    return xp.where(xp.equal(m, -math.inf), 0.0, m)


def _logsumexp(xp: Any, x: Any, *, axis: Any, keepdims: bool) -> Any:
    if not count(x.shape, axis):
        return xp.log(xp.sum(x, axis=axis, keepdims=keepdims))  # of nothing: log(0)
    m = finite(xp, xp.max(x, axis=axis, keepdims=True))
    y = xp.log(xp.sum(xp.exp(x - m), axis=axis, keepdims=True)) + m
    return y if keepdims else xp.squeeze(y, axis=normalize_axes(axis, x.ndim))


def _product_before(xp: Any, x: Any) -> Any:
    """Along the last axis: the product of all elements before each one (1 for the first)."""
    if x.shape[-1] == 0:
        return x
    inclusive = xp.cumulative_prod(x)
    return xp.concat([xp.ones_like(xp.getitem(x, key=(..., slice(0, 1)))), xp.getitem(inclusive, key=(..., slice(0, -1)))], axis=-1)


def _cumulative_prod_rule(xp: Any, g: Any, x: Any) -> Any:
    # d y_j / d x_k is the product of all x_i with i <= j but i = k; taking it apart at k needs no division.
    # O(n^2), met in second derivatives only.
    n = x.shape[-1]
    later = xp.arange(n)[None, :] > xp.arange(n)[:, None]
    row = xp.expand_dims(x, axis=-2)
    between = xp.cumulative_prod(xp.where(later, row, xp.ones_like(row)))
    reach = xp.astype(xp.arange(n)[None, :] >= xp.arange(n)[:, None], g.dtype)
    return _product_before(xp, x) * xp.sum(between * reach * xp.expand_dims(g, axis=-2), axis=-1, keepdims=False)


def _products_of_others(xp: Any, x: Any, axis: Any) -> Any:
    """For each element the product of all others that fold into the same result: no division, so zeros are exact."""
    axes = normalize_axes(axis, x.ndim)
    front = tuple(k for k in range(x.ndim) if k not in axes)
    order = front + axes
    kept = tuple(x.shape[k] for k in front)
    n = count(x.shape, axes)
    flat = xp.reshape(xp.permute_dims(x, order), (*kept, n))
    before = _product_before(xp, flat)
    after = xp.flip(_product_before(xp, xp.flip(flat, axis=-1)), axis=-1)
    others = before * after
    back = tuple(order.index(k) for k in range(x.ndim))
    return xp.permute_dims(xp.reshape(others, tuple(x.shape[k] for k in order)), back)


sum = reduction("sum", lambda xp, g, x_shape: xp.broadcast_to(g, x_shape), linear=True)
mean = reduction(
    "mean",
    lambda xp, g, x_shape, axis: xp.broadcast_to(g * ratio(1.0, count(x_shape, axis)), x_shape),
    _mean,
    linear=True,
    dtype_rule="floating",
)
prod = reduction("prod", lambda xp, g, x, axis: g * _products_of_others(xp, x, axis))
max = reduction("max", lambda xp, g, x, y, axis: g * _shares(xp, x, y, axis, g.dtype), doc="The largest; ties share g evenly.")
min = reduction("min", lambda xp, g, x, y, axis: g * _shares(xp, x, y, axis, g.dtype), doc="The smallest; ties share g evenly.")
var = reduction(
    "var",
    lambda xp, g, x, axis, correction: g * _centred(xp, x, axis) * ratio(2.0, builtins.max(count(x.shape, axis) - correction, 0)),
    _var,
    params={"correction": 0.0},
    dtype_rule="floating",
    doc="Sum of squared deviations over (n - correction).",
)
std = reduction(
    "std",
    _std_rule,
    lambda xp, x, *, axis, keepdims, correction: xp.sqrt(_var(xp, x, axis=axis, keepdims=keepdims, correction=correction)),
    params={"correction": 0.0},
    dtype_rule="floating",
    doc="The square root of var; its derivative at a constant x is 0.",
)
norm = reduction(
    "norm",
    lambda xp, g, x, y: x * _over(xp, g, y),
    lambda xp, x, *, axis, keepdims: xp.sqrt(xp.sum(x * x, axis=axis, keepdims=keepdims)),
    dtype_rule="floating",
    doc="The Euclidean norm; its derivative at 0 is 0.",
)
logsumexp = reduction(
    "logsumexp",
    lambda xp, g, x, y: g * xp.exp(x - without_masks(xp, y)),
    _logsumexp,
    dtype_rule="floating",
    doc="log(sum(exp(x))), shifted by the maximum.",
)
all = reduction("all", None, domain=Domain(0, 1, dtype="bool"))
any = reduction("any", None, domain=Domain(0, 1, dtype="bool"))
count_nonzero = reduction("count_nonzero", None)
argmax = reduction("argmax", None, kernel=claims.extreme(1), doc="The index of the first largest value.")
argmin = reduction("argmin", None, kernel=claims.extreme(0), doc="The index of the first smallest value.")


def _shares(xp: Any, x: Any, y: Any, axis: Any, dtype: Any) -> Any:
    hits = xp.astype(xp.equal(x, y), dtype)
    return hits / xp.sum(hits, axis=axis, keepdims=True)


@primitive(
    "cumulative_sum",
    lambda xp, x, *, axis: xp.cumsum(x, axis=axis),
    (lambda xp, g, axis: xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis),),
    family="reduction",
    forward_mode="linear",
    kernel=claims.running_sum,
    samples=lambda draw: [((draw(3, 4),), {"axis": 1}), ((draw(5),), {"axis": -1}), ((draw(0, 2),), {"axis": 0})],
)
def cumulative_sum(record: Any, x: Any, /, axis: int = -1) -> Any:
    """Running sums along an axis."""
    return bind(record, (x,), {"axis": axis})


@primitive(
    "cumulative_prod",
    lambda xp, x: xp.cumprod(x, axis=-1),
    (_cumulative_prod_rule,),
    family="reduction",
    samples=lambda draw: [((draw(3, 4),), {}), ((draw(5),), {})],
)
def cumulative_prod(record: Any, x: Any, /) -> Any:
    """Running products along the last axis; zeros are exact."""
    return bind(record, (x,))

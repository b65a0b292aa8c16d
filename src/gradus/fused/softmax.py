"""Softmax and its logarithm, shifted by the maximum so that no exponential overflows.

softmax(x)_i = exp(x_i) / sum_j exp(x_j). A row of minus infinities (everything masked) gives zeros, not NaN.
"""

from __future__ import annotations

from typing import Any

from gradus import ops
from gradus.ops.reduction import without_masks
from gradus.primitive import bind, normalize_axes, primitive


def softmax_reference(x: Any, axis: int = -1) -> Any:
    """The definition, in ops."""
    e = ops.exp(x - ops.max(x, axis=axis, keepdims=True))
    return e / ops.sum(e, axis=axis, keepdims=True)


def log_softmax_reference(x: Any, axis: int = -1) -> Any:
    """The definition, in ops."""
    return x - ops.logsumexp(x, axis=axis, keepdims=True)


def _shift(xp: Any, x: Any, axis: int) -> Any:
    m = xp.max(x, axis=axis, keepdims=True)
    return x - without_masks(xp, m)


def _softmax(xp: Any, x: Any, *, axis: int) -> Any:
    if 0 in x.shape:
        return x
    e = xp.exp(_shift(xp, x, axis))
    total = xp.sum(e, axis=axis, keepdims=True)
    return e / xp.maximum(total, xp.astype(total == 0, total.dtype))


def _log_softmax(xp: Any, x: Any, *, axis: int) -> Any:
    if 0 in x.shape:
        return x
    shifted = _shift(xp, x, axis)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


SAMPLES: Any = lambda draw: [((draw(3, 4),), {"axis": 1}), ((draw(2, 3, 4),), {"axis": 0}), ((draw(5),), {"axis": -1})]


@primitive(
    "softmax",
    _softmax,
    (lambda xp, g, y, axis: y * (g - xp.sum(g * y, axis=axis, keepdims=True)),),
    family="fused",
    dtype_rule="floating",
    samples=SAMPLES,
)
def _softmax_op(record: Any, x: Any, /, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis."""
    return bind(record, (x,), {"axis": normalize_axes(axis, x.ndim)[0] if x.ndim else -1})


@primitive(
    "log_softmax",
    _log_softmax,
    (lambda xp, g, y, axis: g - xp.exp(y) * xp.sum(g, axis=axis, keepdims=True),),
    family="fused",
    dtype_rule="floating",
    samples=SAMPLES,
)
def _log_softmax_op(record: Any, x: Any, /, axis: int = -1) -> Any:
    """log(softmax(x)) along an axis, exact where softmax rounds to 0."""
    return bind(record, (x,), {"axis": normalize_axes(axis, x.ndim)[0] if x.ndim else -1})


def softmax(input: Any, dim: int = -1, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along ``dim``.

    >>> from gradus.tensors import Tensor
    >>> softmax(Tensor([0.0, 0.0, 1000.0]), dim=0)
    tensor([0., 0., 1.])
    """
    return _softmax_op(input if dtype is None else ops.astype(input, dtype), axis=dim)


def log_softmax(input: Any, dim: int = -1, dtype: Any = None) -> Any:
    """log(softmax(x)) along ``dim``, exact where softmax rounds to 0.

    >>> from gradus.tensors import Tensor
    >>> log_softmax(Tensor([0.0, 1000.0]), dim=0)
    tensor([-1000.,     0.])
    """
    return _log_softmax_op(input if dtype is None else ops.astype(input, dtype), axis=dim)

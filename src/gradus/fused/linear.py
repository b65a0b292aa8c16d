"""The linear layer: y = x Wᵀ + b, as one op whose weight gradient comes out contiguous."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.primitive import bind, primitive


def linear_reference(x: Any, w: Any, b: Any = None) -> Any:
    """The definition, in ops."""
    y = ops.matmul(x, ops.matrix_transpose(w))
    return y if b is None else y + b


def _forward(xp: Any, x: Any, w: Any, *b: Any) -> Any:
    y = xp.matmul(x, xp.matrix_transpose(w))
    return y if not b else y + b[0]


def _in_place(x: Any, w: Any, *b: Any) -> Any:
    y = np.matmul(x, w.T)
    # The product is ours alone, so the bias may be added in its memory.
    return y if not b else np.add(y, b[0], out=y) if y.dtype == b[0].dtype and y.ndim else y + b[0]


@primitive(
    "linear",
    _forward,
    (lambda xp, g, w: xp.matmul(g, w), lambda xp, g, x: xp.matmul(xp.matrix_transpose(g), x), lambda xp, g: g),
    raw=_in_place,
    family="fused",
    dtype_rule="promote",
    samples=lambda draw: [
        ((draw(3, 4), draw(2, 4), draw(2)), {}),
        ((draw(2, 3, 4), draw(2, 4)), {}),
        ((draw(4), draw(2, 4), draw(2)), {}),
        ((draw(0, 4), draw(2, 4), draw(2)), {}),
    ],
)
def _linear_op(record: Any, x: Any, w: Any, b: Any = None, /) -> Any:
    """x wᵀ + b over the last axis of x; weights are stored (out, in)."""
    if x.ndim == 2:
        return bind(record, (x, w) if b is None else (x, w, b))
    # One large product for all leading axes together.
    rows = ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    return ops.reshape(_linear_op(rows, w, b), (*x.shape[:-1], w.shape[0]))


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """y = x Wᵀ + b.

    Shape:
        input (…, in), weight (out, in), bias (out,); output (…, out).

    >>> from gradus.tensors import Tensor
    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([0.5]))
    tensor([[11.5000]])
    """
    if not input.ndim or weight.ndim != 2 or input.shape[-1] != weight.shape[1]:
        return linear_reference(input, weight, bias)
    return _linear_op(input, weight, bias)

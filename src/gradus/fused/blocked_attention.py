"""Attention and its gradients as one op each, so that no matrix of all queries by all keys is needed.

A compiler puts these ops in place of others, after it has differentiated, so they have no derivative themselves.
"""

from __future__ import annotations

from typing import Any

from gradus.fused import attention_kernels
from gradus.fused.attention import triangle
from gradus.primitive import bind, primitive

SWAPPED = (0, 2, 1, 3)


def _weights(xp: Any, q: Any, k: Any, mask: Any, scale: Any, causal: bool) -> Any:
    """softmax(q kᵀ · scale + mask), with minus infinity behind each query's own place if ``causal``."""
    scores = xp.matmul(q * scale, xp.matrix_transpose(k)) + mask
    return xp.softmax(scores + triangle(*scores.shape[-2:], scores.dtype) if causal else scores, axis=3)


def _attention(xp: Any, q: Any, k: Any, v: Any, mask: Any, scale: Any, *, causal: bool, inside: bool) -> Any:
    y = xp.matmul(_weights(xp, q, k, mask, scale, causal), v)
    return xp.permute_dims(y, axes=SWAPPED) if inside else y


def _attention_gradient(xp: Any, g: Any, q: Any, k: Any, v: Any, mask: Any, scale: Any, *, causal: bool, inside: bool) -> Any:
    p = _weights(xp, q, k, mask, scale, causal)
    h = xp.matmul(g, xp.matrix_transpose(v))
    s = p * (h - xp.sum(h * p, axis=3, keepdims=True))
    parts = [xp.matmul(s, k) * scale, xp.matmul(xp.matrix_transpose(s), q * scale), xp.matmul(xp.matrix_transpose(p), g)]
    if inside:
        parts = [xp.permute_dims(part, axes=SWAPPED) for part in parts]
    return xp.concat([xp.reshape(part, (-1,)) for part in parts], axis=0)


def _samples(draw: Any) -> list[Any]:
    q, k, v = draw(2, 3, 4, 2), draw(2, 3, 5, 2), draw(2, 3, 5, 3)
    return [
        ((q, k, v, draw(2, 1, 1, 5), 0.5), {"causal": False, "inside": True}),
        ((q, k, v, draw(4, 5)[None, None], 1.0), {"causal": True, "inside": False}),
    ]


def _gradient_samples(draw: Any) -> list[Any]:
    return [((draw(2, 3, 4, 3), *args), params) for args, params in _samples(draw)]


@primitive(
    "attention",
    _attention,
    (None, None, None, None, None),
    kernel=attention_kernels.attention,
    samples=_samples,
    family="fused",
    dtype_rule="promote",
)
def attention(record: Any, q: Any, k: Any, v: Any, mask: Any, scale: Any, /, causal: bool = False, inside: bool = False) -> Any:
    """softmax(q kᵀ · scale + mask) v, (B, H, L, V), for q (B, H, L, E), k (B, H, S, E), v (B, H, S, V) and a mask that broadcasts.

    Args:
        scale: a Python number.
        causal: query i sees keys 0 … i only.
        inside: the heads lie inside of the queries: (B, L, H, V).

    >>> import numpy as np
    >>> q, k, v = np.zeros((1, 1, 2, 1)), np.ones((1, 1, 2, 1)), np.array([[[[1.0], [3.0]]]])
    >>> attention(q, k, v, np.zeros((1, 1, 1, 1)), 1.0, causal=True).tolist()
    [[[[1.0], [2.0]]]]
    """
    return bind(record, (q, k, v, mask, scale), {"causal": causal, "inside": inside})


@primitive(
    "attention_gradient",
    _attention_gradient,
    (None, None, None, None, None, None),
    kernel=attention_kernels.attention_gradient,
    samples=_gradient_samples,
    family="fused",
    dtype_rule="promote",
)
def attention_gradient(
    record: Any, g: Any, q: Any, k: Any, v: Any, mask: Any, scale: Any, /, causal: bool = False, inside: bool = False
) -> Any:
    """The gradients of :func:`attention` for queries, keys and values behind each other in one flat array; ``g`` is (B, H, L, V)."""
    return bind(record, (g, q, k, v, mask, scale), {"causal": causal, "inside": inside})

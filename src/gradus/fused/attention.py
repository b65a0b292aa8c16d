"""Attention: each query takes a mixture of values, weighted by how well it matches their keys."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, ShapeError
from gradus.fused.dropout import dropout
from gradus.fused.softmax import softmax


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    r"""softmax(q kᵀ · scale + mask) v (Vaswani et al. 2017).

    Args:
        query: (…, L, E), floating.
        key: (…, S, E).
        value: (…, S, V).
        attn_mask: broadcasts to (…, L, S); boolean: True may be attended to; floating: added to the scores.
        dropout_p: probability of dropping a weight; applied whenever it is not 0.
        is_causal: query i sees keys 0 … i only, and of those what the mask lets through.
        scale: factor of the scores, 1/sqrt(E) when not given.
        enable_gqa: keys and values have fewer heads (axis -3), each serving several neighbouring heads of the query.

    Returns:
        Tensor (…, L, V). A query that may see nothing gives zeros, and so does its gradient.

    Raises:
        ShapeError: shapes that do not fit (E03).
        DTypeError: a mask of whole numbers (E14).

    >>> from gradus.tensors import Tensor
    >>> q, k, v = Tensor([[0.0], [0.0]]), Tensor([[1.0], [2.0]]), Tensor([[1.0], [3.0]])
    >>> scaled_dot_product_attention(q, k, v, is_causal=True)
    tensor([[1.],
            [2.]])
    """
    if enable_gqa:
        key, value = _shared(query, key), _shared(query, value)
    _check_shapes(query, key, value)
    if is_causal:
        causal = triangle(query.shape[-2], key.shape[-2], np.dtype(query.dtype))
        attn_mask = causal if attn_mask is None else additive(attn_mask, query.dtype) + causal
    weights = attention_weights(query, key, attn_mask, scale)
    return ops.matmul(dropout(weights, dropout_p) if dropout_p else weights, value)


def attention_weights(query: Any, key: Any, attn_mask: Any = None, scale: float | None = None) -> Any:
    """softmax(q kᵀ · scale + mask): (…, L, S). The arguments are those of :func:`scaled_dot_product_attention`."""
    width = query.shape[-1]
    scale = (1.0 / math.sqrt(width) if width else 1.0) if scale is None else scale
    # Scaling the query touches fewer numbers than scaling the scores.
    scores = ops.matmul(query * scale, ops.matrix_transpose(key))
    if attn_mask is not None:
        mask = additive(attn_mask, scores.dtype)
        if len(mask.shape) > scores.ndim or any(n not in (1, m) for n, m in zip(mask.shape[::-1], scores.shape[::-1], strict=False)):
            raise ShapeError(
                "attn_mask does not fit the scores",
                got=f"attn_mask of shape {tuple(mask.shape)}",
                wanted=f"a shape that broadcasts to {tuple(scores.shape)}",
                code="E03",
            )
        scores = scores + mask
    return softmax(scores, dim=-1)


def additive(mask: Any, dtype: Any) -> Any:
    """A mask as summands: True is 0, False is minus infinity; numbers stay as they are.

    >>> additive(np.array([True, False]), np.float32)
    array([  0., -inf], dtype=float32)
    """
    if mask.dtype.kind == "b":
        return ops.astype(ops.where(mask, 0.0, -math.inf), dtype)
    if mask.dtype.kind != "f":
        raise DTypeError(
            "attn_mask says yes and no, or adds to scores", got=f"dtype {mask.dtype}", wanted="bool or float", fix="mask.bool()", code="E14"
        )
    return mask if mask.dtype == dtype else ops.astype(mask, dtype)


@functools.lru_cache(maxsize=8)
def triangle(rows: int, columns: int, dtype: Any) -> np.ndarray:
    """0 on and below the diagonal, minus infinity above: the causal mask, made once for each size."""
    mask = np.where(np.arange(columns)[None, :] > np.arange(rows)[:, None], -math.inf, 0.0).astype(dtype)
    mask.flags.writeable = False
    return mask


def _shared(query: Any, x: Any) -> Any:
    """Keys or values with each head repeated for the neighbouring query heads that share it."""
    if query.ndim < 3 or x.ndim < 3 or query.shape[-3] == x.shape[-3]:
        return x
    heads, own = query.shape[-3], x.shape[-3]
    if not own or heads % own:
        raise ShapeError(
            "enable_gqa needs a number of query heads that the key heads divide",
            got=f"{heads} query heads, {own} key or value heads",
            wanted="a multiple",
            code="E03",
        )
    lead, (rows, width) = tuple(x.shape[:-3]), x.shape[-2:]
    spread = ops.broadcast_to(ops.expand_dims(x, axis=-3), (*lead, own, heads // own, rows, width))
    return ops.reshape(spread, (*lead, heads, rows, width))


def _check_shapes(query: Any, key: Any, value: Any) -> None:
    shapes = [tuple(x.shape) for x in (query, key, value)]
    q, k, v = shapes
    if min(len(q), len(k), len(v)) >= 2 and q[-1] == k[-1] and k[-2] == v[-2]:
        return
    raise ShapeError(
        "scaled_dot_product_attention cannot match queries, keys and values",
        got=f"query {q}, key {k}, value {v}",
        wanted="(…, L, E), (…, S, E) and (…, S, V)",
        code="E03",
    )

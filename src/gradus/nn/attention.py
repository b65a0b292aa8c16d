"""MultiheadAttention: several attentions side by side, each in a space of its own."""

from __future__ import annotations

from typing import Any

from gradus import ops
from gradus.errors import ShapeError, UsageError
from gradus.fused.attention import additive, attention_weights, scaled_dot_product_attention
from gradus.fused.dropout import dropout
from gradus.fused.linear import linear
from gradus.nn import init
from gradus.nn.linear import Linear, dtype_error
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor
from gradus.torch_names import empty


class MultiheadAttention(Module):
    r"""concat(head_1, …, head_h) W_oᵀ + b_o, where head_i attends with queries, keys and values of its own (Vaswani et al. 2017).

    Args:
        embed_dim: length E of the queries and the output.
        num_heads: how many heads share E; each has E / num_heads.
        dropout: probability of dropping a weight in training.
        bias: whether the projections have biases.
        add_bias_kv, add_zero_attn: PyTorch's options, refused unless False.
        kdim: length of the keys, E when not given.
        vdim: length of the values, E when not given.
        batch_first: whether the batch is axis 0 instead of axis 1.
        device: "cpu" or None.
        dtype: of the parameters; float32 when not given.

    Shape:
        query (L, B, E), key (S, B, kdim), value (S, B, vdim); output (L, B, E). With ``batch_first`` B comes first; without a batch it is
        left out.

    Attributes:
        in_proj_weight: (3E, E), for query, key and value one below the other, from Xavier's uniform distribution; where kdim or vdim
            differ, q_proj_weight (E, E), k_proj_weight (E, kdim) and v_proj_weight (E, vdim) instead.
        in_proj_bias: (3E,), 0 at the start.
        out_proj: Linear(E, E) with bias 0.

    Example:
        >>> import gradus
        >>> x = gradus.randn(5, 2, 8)
        >>> y, weights = MultiheadAttention(8, 4)(x, x, x)
        >>> y.shape, weights.shape
        (Size([5, 2, 8]), Size([2, 5, 5]))
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            got = f"embed_dim={embed_dim}, num_heads={num_heads}"
            raise UsageError("embed_dim must be divisible by num_heads", got=got, wanted="heads of equal size", code="E29")
        if add_bias_kv or add_zero_attn:
            raise UsageError("MultiheadAttention has no add_bias_kv and no add_zero_attn", wanted="False", code="E29")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.dropout, self.batch_first = dropout, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        packed = self.kdim == self.vdim == embed_dim
        sizes = {"q_proj_weight": embed_dim, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        for name, size in sizes.items():
            self.register_parameter(name, None if packed else Parameter(empty(embed_dim, size, device=device, dtype=dtype)))
        own = Parameter(empty(3 * embed_dim, embed_dim, device=device, dtype=dtype)) if packed else None
        self.register_parameter("in_proj_weight", own)
        self.register_parameter("in_proj_bias", Parameter(empty(3 * embed_dim, device=device, dtype=dtype)) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projections of the inputs anew and set all biases to 0; the weight of ``out_proj`` stays."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values, and the weights.

        Args:
            query, key, value: see the class.
            key_padding_mask: (B, S), or (S,) without a batch; True marks keys to pass over, numbers are added to the scores.
            need_weights: whether the weights are returned; without them it is faster.
            attn_mask: (L, S) or (B · num_heads, L, S); True marks keys a query must not see, numbers are added to the scores.
            average_attn_weights: weights as their mean over the heads, (B, L, S), instead of (B, heads, L, S).
            is_causal: a hint that ``attn_mask`` is the causal mask; the mask itself decides.

        Returns:
            (output, weights or None).
        """
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise UsageError(
                "Need attn_mask if specifying the is_causal hint.", fix="attn_mask=gradus.ones(L, L).triu(1).bool()", code="E29"
            )
        batched = query.ndim == 3
        q, k, v = self._project(query, key, value)
        q, k, v = (self._heads(x, batched) for x in (q, k, v))  # (B, heads, L or S, head_dim)
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = dropout(attention_weights(q, k, mask), p) if p else attention_weights(q, k, mask)
            y = ops.matmul(weights, v)
            weights = ops.mean(weights, axis=1) if average_attn_weights else weights
            weights = weights if batched else ops.squeeze(weights, axis=0)
        else:
            y = scaled_dot_product_attention(q, k, v, mask, p)
        return self.out_proj(self._joined(y, batched)), weights

    def _check(self, query: Any, key: Any, value: Any) -> None:
        for x in (query, key, value):
            if not isinstance(x, Tensor) or x.dtype != self.out_proj.weight.dtype:
                raise dtype_error(self, x, self.out_proj.weight.dtype)
        shapes = [tuple(x.shape) for x in (query, key, value)]
        widths = (self.embed_dim, self.kdim, self.vdim)
        fits = all(len(s) == len(shapes[0]) and len(s) in (2, 3) and s[-1] == n for s, n in zip(shapes, widths, strict=True))
        lead = [s[0] if self.batch_first else s[1] for s in shapes] if fits and len(shapes[0]) == 3 else []
        length = -2 if self.batch_first or len(shapes[0]) == 2 else 0
        if fits and len(set(lead)) <= 1 and shapes[1][length] == shapes[2][length]:
            return
        order = "B, {0}, {1}" if self.batch_first else "{0}, B, {1}"
        raise ShapeError(
            f"{self.caption()} cannot attend with these shapes",
            got="query {}, key {}, value {}".format(*shapes),
            wanted=", ".join(f"({order.format(n, w)})" for n, w in zip("LSS", widths, strict=True)) + "; or all three without B",
            code="E03",
        )

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Any, Any, Any]:
        """The three inputs times their parts of the weights; those that are one tensor, in one product."""
        w, b, e = self.in_proj_weight, self.in_proj_bias, self.embed_dim
        if w is None:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            biases = [None] * 3 if b is None else [b[k * e : (k + 1) * e] for k in range(3)]
            q, k, v = (linear(x, part, bias) for x, part, bias in zip((query, key, value), weights, biases, strict=True))
            return q, k, v
        if query is key is value:
            y = linear(query, w, b)
            return y[..., :e], y[..., e : 2 * e], y[..., 2 * e :]
        q = linear(query, w[:e], None if b is None else b[:e])
        if key is value:
            y = linear(key, w[e:], None if b is None else b[e:])
            return q, y[..., :e], y[..., e:]
        k = linear(key, w[e : 2 * e], None if b is None else b[e : 2 * e])
        return q, k, linear(value, w[2 * e :], None if b is None else b[2 * e :])

    def _heads(self, x: Tensor, batched: bool) -> Tensor:
        """(…, E) to (B, heads, T, head_dim)."""
        split = ops.reshape(x, (*x.shape[:-1], self.num_heads, self.head_dim))
        if not batched:
            return ops.expand_dims(ops.permute_dims(split, (1, 0, 2)), axis=0)
        return ops.permute_dims(split, (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _joined(self, y: Tensor, batched: bool) -> Tensor:
        """(B, heads, L, head_dim) to the layout of the query."""
        batch, _, length, _ = y.shape
        if not batched:
            return ops.reshape(ops.permute_dims(y, (0, 2, 1, 3)), (length, self.embed_dim))
        if self.batch_first:
            return ops.reshape(ops.permute_dims(y, (0, 2, 1, 3)), (batch, length, self.embed_dim))
        return ops.reshape(ops.permute_dims(y, (2, 0, 1, 3)), (length, batch, self.embed_dim))

    def _mask(self, attn_mask: Any, key_padding_mask: Any, q: Tensor, k: Tensor) -> Any:
        """Both masks as summands of the scores (B, heads, L, S). A True of this class forbids."""
        batch, heads, length, keys = q.shape[0], self.num_heads, q.shape[2], k.shape[2]
        total = None
        if attn_mask is not None:
            shape = tuple(attn_mask.shape)
            if shape not in ((length, keys), (batch * heads, length, keys)):
                raise ShapeError(
                    "attn_mask has another shape",
                    got=str(shape),
                    wanted=f"{(length, keys)} or {(batch * heads, length, keys)}",
                    code="E03",
                )
            total = _forbidding(attn_mask, q.dtype)
            total = total if len(shape) == 2 else ops.reshape(total, (batch, heads, length, keys))
        if key_padding_mask is not None:
            wanted = (batch, keys)
            if tuple(key_padding_mask.shape) not in (wanted, wanted[1:] if batch == 1 else wanted):
                raise ShapeError(
                    "key_padding_mask has another shape", got=str(tuple(key_padding_mask.shape)), wanted=str(wanted), code="E03"
                )
            padding = ops.reshape(_forbidding(key_padding_mask, q.dtype), (batch, 1, 1, keys))
            total = padding if total is None else total + padding
        return total


def _forbidding(mask: Any, dtype: Any) -> Any:
    return additive(ops.logical_not(mask) if mask.dtype.kind == "b" else mask, dtype)

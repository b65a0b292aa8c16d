"""Which compiled kernel computes attention, in which blocks of queries, and from which size on that pays.

Measured on one thread of an AMD Zen 5 with AVX-512, in turns (``benchmarks/attention.py``), float32: forward and backward pass in µs, and
the memory that the run needs beside arguments and results; products with all pairs in memory, as the definition says, and blocks.

    ===============================  ================  ================  ============
    batch x heads x queries x width         all pairs            blocks  times faster
    ===============================  ================  ================  ============
    12 x 4 x 64 x 32                  513 µs   2.8 MB   666 µs   1.3 MB          0.77
    12 x 4 x 64 x 32, causal          514 µs   2.8 MB   513 µs   1.3 MB          1.00
    12 x 4 x 128 x 32                2554 µs  10.2 MB  2928 µs   2.5 MB          0.87
    12 x 4 x 128 x 32, causal        2752 µs  10.2 MB  2094 µs   2.5 MB          1.31
    12 x 4 x 256 x 32                14530 µs  39.6 MB  10047 µs   5.0 MB          1.45
    12 x 4 x 256 x 32, causal        14244 µs  39.6 MB  6400 µs   5.0 MB          2.23
    2 x 4 x 1024 x 32                38614 µs 106.0 MB  23941 µs   4.2 MB          1.61
    2 x 4 x 1024 x 32, causal        37434 µs 106.0 MB  12680 µs   4.2 MB          2.95
    12 x 4 x 64 x 64, causal         1003 µs   3.2 MB  1174 µs   2.5 MB          0.85
    4 x 4 x 256 x 64                 5836 µs  13.8 MB  5941 µs   3.7 MB          0.98
    4 x 4 x 256 x 64, causal         5845 µs  13.8 MB  3753 µs   3.7 MB          1.56
    ===============================  ================  ================  ============

Where queries, keys and values are parts of one product, heads inside of rows, products of all pairs need copies that blocks do not: a
training step of a language model with 4 heads of 32 and 64 queries went from 24.7 to 23.5 ms, with 2 heads of 64 it stayed the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradus import blas
from gradus.primitive import Handmade

KINDS = {np.dtype("float32"): "float32", np.dtype("float64"): "float64"}
VECTOR = 64  # bytes
SLACK = 64  # elements behind a scratch array, for vectors that begin in it
ROWS, NARROW_ROWS = 8, 2  # of a tile, with 32 registers of 64 bytes and with fewer
BLOCK = 64  # queries at a time
KEYS, CAUSAL_KEYS = 256, 128  # from which on blocks pay
INSIDE_KEYS, INSIDE_WIDTH = 64, 32  # and where products would need copies, up to which width
NARROW_KEYS = 1024  # and with smaller registers, for the memory: nobody measured that
QUERIES = 64  # with fewer, all pairs are not many
SCORES = 3 << 17  # bytes of scores at a time: with keys and values they stay in a second-level cache of 1 MiB


class Shape(NamedTuple):
    """From queries (batch, heads, long, width), keys (batch, heads, short, width) and values (batch, heads, short, wide)."""

    batch: int
    heads: int
    long: int
    short: int
    width: int
    wide: int
    kind: str

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.kind).itemsize

    @property
    def lanes(self) -> int:
        """Numbers in a vector."""
        return VECTOR // self.size

    @property
    def panels(self) -> int:
        """Keys, up to whole panels of two vectors."""
        return rounded(self.short, 2 * self.lanes)

    @property
    def leading(self) -> int:
        """Numbers from one row of scores to the next: never a power of 2, so that rows do not fight for the same lines of the cache."""
        return self.panels + self.lanes

    def block(self, matrices: int) -> int:
        """Queries at a time, where each has a row in so many matrices."""
        fitting = SCORES // (self.leading * self.size * matrices) // ROWS * ROWS
        return max(ROWS, min(BLOCK, fitting, rounded(self.long, ROWS)))

    def pairs(self, causal: bool) -> int:
        """How often a query sees a key, in one head."""
        if not causal:
            return self.long * self.short
        both = min(self.long, self.short)
        return both * (both + 1) // 2 + (self.long - both) * self.short


def rounded(n: int, to: int) -> int:
    """The next multiple.

    >>> rounded(7, 4)
    8
    """
    return -(-n // to) * to


def shape_of(q: Any, k: Any, v: Any, mask: Any) -> Shape | None:
    """The shape of a call; None where there is no kernel for it."""
    if any(x.dtype != q.dtype or len(x.shape) != 4 for x in (k, v, mask)) or len(q.shape) != 4 or q.dtype not in KINDS:
        return None
    (batch, heads, long, width), (short, wide) = q.shape, v.shape[2:]
    if tuple(k.shape) != (batch, heads, short, width) or tuple(v.shape[:2]) != (batch, heads) or 0 in (*q.shape, *v.shape):
        return None
    if any(n not in (1, m) for n, m in zip(mask.shape, (batch, heads, long, short), strict=True)):
        return None
    return Shape(batch, heads, long, short, width, wide, KINDS[q.dtype])


def pays(s: Shape, causal: bool, inside: bool) -> bool:
    """Whether the op is worth it, beside products with all pairs in memory; the table above."""
    if s.long < QUERIES or not blas.wide_registers():
        return s.long >= QUERIES and s.short >= NARROW_KEYS
    if not causal:
        return s.short >= KEYS
    return s.short >= (INSIDE_KEYS if inside and max(s.width, s.wide) <= INSIDE_WIDTH else CAUSAL_KEYS)


def _function(name: str, s: Shape) -> str:
    return f"attention.{'' if blas.wide_registers() else 'narrow_'}{name}_{s.kind}"


def _steps(heads: int, rows: int, width: int, inside: bool) -> tuple[int, int, int]:
    """From one batch, head and row to the next in a result."""
    return (heads * rows * width, width, heads * width) if inside else (heads * rows * width, rows * width, width)


def _mask_steps(shape: Any) -> tuple[int, ...]:
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(4)]
    return tuple([0 if n == 1 else stride for n, stride in zip(shape, strides, strict=True)])


def _room(s: Shape, *elements: int) -> tuple[tuple[int, str], ...]:
    return tuple([(n + SLACK, s.kind) for n in elements])


def attention(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For queries, keys, values, a mask and a factor."""
    q, k, v, mask, _ = inputs
    s = shape_of(q, k, v, mask)
    if s is None:
        return None
    block, wide = s.block(1), rounded(s.wide, s.lanes)
    scratch = _room(s, s.panels * s.width, s.short * wide, block * s.width, block * s.leading, block * wide)
    integers = (*s[:6], block, int(params["causal"]), *_steps(s.heads, s.long, s.wide, params["inside"]), *_mask_steps(mask.shape))
    flops = 2 * s.batch * s.heads * s.pairs(params["causal"]) * (s.width + s.wide)
    return Handmade(_function("forward", s), integers, (), scratch, flops, 1, False, (0, 1, 2))


def attention_gradient(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For a cotangent, then as :func:`attention`."""
    g, q, k, v, mask, _ = inputs
    s = shape_of(q, k, v, mask)
    if s is None or g.dtype != q.dtype or tuple(g.shape) != (*s[:3], s.wide):
        return None
    block, thin, thick = s.block(2), rounded(s.width, s.lanes), rounded(s.wide, s.lanes)
    keys = rounded(s.short, ROWS)
    scores = block * s.leading
    scratch = _room(
        *(s, s.panels * s.width, s.panels * s.wide, s.short * thin, block * thin, block * thick),
        *(scores, scores, block * thin, keys * thin, keys * thick),
    )
    steps = [_steps(s.heads, rows, width, params["inside"]) for rows, width in ((s.long, s.width), (s.short, s.width), (s.short, s.wide))]
    integers = (*s[:6], block, int(params["causal"]), *steps[0], *steps[1], *steps[2], *_mask_steps(mask.shape))
    flops = 2 * s.batch * s.heads * s.pairs(params["causal"]) * (3 * s.width + 2 * s.wide)
    return Handmade(_function("backward", s), integers, (), scratch, flops, 1, False, (0, 1, 2, 3))

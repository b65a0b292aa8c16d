"""Random bits from a counter: Philox 4x64 with 10 rounds (Salmon et al. 2011), the generator behind :mod:`gradus.ops.random`.

Block n of a stream is a function of (seed, stream, n) alone, so nothing is carried from one block to the next.
"""

from __future__ import annotations

from llvmlite import ir
from numba import float32, float64, types, uint64
from numba.extending import intrinsic

from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.table import array

FIRST_FACTOR, SECOND_FACTOR = 0xD2E7470EE14C6C93, 0xCA5A826395121157
FIRST_WEYL, SECOND_WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
ROUNDS = 10


@intrinsic
def _upper(typing_context, a, b):
    """The upper half of the product of two 64-bit numbers."""

    def emit(context, builder, signature, values):
        wide = ir.IntType(128)
        product = builder.mul(*[builder.zext(value, wide) for value in values])
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), emit


@inlined
def block(seed, stream, n):
    """The four 64-bit words of a block."""
    a, b, c, d = n, uint64(0), uint64(0), uint64(0)
    first, second = seed, stream
    for _ in range(ROUNDS):
        low, high = a * uint64(FIRST_FACTOR), _upper(a, uint64(FIRST_FACTOR))
        other_low, other_high = c * uint64(SECOND_FACTOR), _upper(c, uint64(SECOND_FACTOR))
        a, b, c, d = other_high ^ b ^ first, other_low, high ^ d ^ second, low
        first += uint64(FIRST_WEYL)
        second += uint64(SECOND_WEYL)
    return a, b, c, d


@inlined
def _single(word):
    """24 bits of a 32-bit word as a number in [0, 1)."""
    return float32(word >> uint64(8)) * float32(2.0**-24)


@inlined
def _double(word):
    """53 bits of two 32-bit words as a number in [0, 1)."""
    upper, lower = (word & uint64(0xFFFFFFFF)) >> uint64(5), word >> uint64(38)
    return (float64(upper) * 67108864.0 + float64(lower)) * 2.0**-53


@compiled
def uniform_single(out_address, count, seed, stream, counter):
    """float32 numbers, two of each 64-bit word, the lower half first."""
    if counter < 0:
        return 1
    out = array(out_address, float32)
    key, other, low = uint64(seed), uint64(stream), uint64(0xFFFFFFFF)
    for k in range((count + 7) // 8):
        # Numbering starts after the counter, as in NumPy.
        a, b, c, d = block(key, other, uint64(counter) + uint64(k) + uint64(1))
        left = count - 8 * k
        p = 8 * k
        if left >= 8:
            out[p], out[p + 1] = _single(a & low), _single(a >> uint64(32))
            out[p + 2], out[p + 3] = _single(b & low), _single(b >> uint64(32))
            out[p + 4], out[p + 5] = _single(c & low), _single(c >> uint64(32))
            out[p + 6], out[p + 7] = _single(d & low), _single(d >> uint64(32))
        else:
            for i in range(left):
                word = a if i < 2 else b if i < 4 else c if i < 6 else d
                out[p + i] = _single(word >> uint64(32) if i % 2 else word & low)
    return 0


@compiled
def uniform_double(out_address, count, seed, stream, counter):
    """float64 numbers, one of each 64-bit word."""
    if counter < 0:
        return 1
    out = array(out_address, float64)
    key, other = uint64(seed), uint64(stream)
    for k in range((count + 3) // 4):
        a, b, c, d = block(key, other, uint64(counter) + uint64(k) + uint64(1))
        left = count - 4 * k
        p = 4 * k
        out[p] = _double(a)
        if left > 1:
            out[p + 1] = _double(b)
        if left > 2:
            out[p + 2] = _double(c)
        if left > 3:
            out[p + 3] = _double(d)
    return 0

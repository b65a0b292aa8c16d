"""Matrix products A Bᵀ in float32 as the inner products that they are: of each row of A with each row of B, copying nothing.

Sixteen sums are made at a time, of four rows with four: eight vectors are loaded for sixteen multiplications. A sum lies in the lanes of a
vector until the end, and sixteen such vectors become one vector of sums then, which costs as much as some sixty terms of each. So few rows
gain, for which a copy of the other factor would not pay, and long ones.

Measured on one core with AVX-512, memory cold, GF/s here | from panels (:mod:`gradus.kernels.gemm`) | OpenBLAS:
64x50x784 164 | 156 | 124, 128x10x512 111 | 70 | 54, 32x512x784 161 | 135 | 125, 4x512x784 118 | - | 31, 768x384x128 111 | 206 | 188.
"""

from __future__ import annotations

from numba import float32

from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.lanes import everywhere, fetch_ahead, span, zeros
from gradus.kernels.register_tiles import add_pairs, lane_sums, store_parts, zeros_each

SIZE, LANES, VECTOR, SIDE = 4, 16, 64, 4
PIECE = 400 * LANES  # terms in one go, 400 of each sum as in gradus.kernels.gemm


@inlined
def four_rows(start, step, first, count):
    """Addresses of four rows from row ``first`` on; where a matrix of ``count`` rows has no more, its last one again."""
    last, place = start + (count - 1) * step, start + first * step
    return place, min(place + step, last), min(place + 2 * step, last), min(place + 3 * step, last)


@compiled
def sixteen_sums(rows, columns, early, k):
    """The inner products of four rows with four, by their addresses: a vector, those of one row behind each other.

    Args:
        early: how many terms before the first one the first vector begins, so that it begins where a line of the cache does.
    """
    total = zeros(float32)
    for piece in range(-early, k, PIECE):
        sums = zeros_each(float32, 16)
        for first in range(piece, min(piece + PIECE, k), LANES):
            sums = add_pairs(sums, rows, columns, first * SIZE, span(-first, k - first, float32))
        total = total + lane_sums(sums)
    return total


@compiled
def strip_of_results(a, a_step, b, b_step, m, n, k, alpha, c, c_step, first):
    """C = alpha · A Bᵀ for four rows of the longer factor, from row ``first`` on. The other factor is for the cache to hold.

    What a strip has less than four rows is computed again from its last row, and written to the same place. While it is at a strip, the
    processor brings in the next one, some lines before each sixteen results.
    """
    far, far_step = (a, a_step) if m > n else (b, b_step)
    next_strip, line = far + (first + SIDE) * far_step, 0
    lines = (k * SIZE // VECTOR + 1) * SIDE // (min(m, n) // SIDE + 1) + 1 if first + 2 * SIDE <= max(m, n) else 0
    early = a % VECTOR // SIZE if a_step % VECTOR == 0 and b_step % VECTOR == 0 else 0
    for near in range(0, min(m, n), SIDE):
        for _ in range(lines):
            fetch_ahead(next_strip + line % SIDE * far_step + line // SIDE * VECTOR)
            line += 1
        i, j = (first, near) if m > n else (near, first)
        sums = sixteen_sums(four_rows(a, a_step, i, m), four_rows(b, b_step, j, n), early, k)
        store_parts(four_rows(c + j * SIZE, c_step, i, m), n - j, sums * everywhere(alpha))

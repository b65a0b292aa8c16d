"""Attention of one head after the other, a block of query rows at a time, so that no matrix of all queries by all keys is kept.

Per block, with queries Q, keys K, values V, a mask M and the cotangent G:

    P = softmax(scale · Q Kᵀ + M)        Y = P V
    dP = G Vᵀ        dS = P ∘ (dP - rowsum(P ∘ dP))        dQ = scale · dS K        dK += scale · dSᵀ Q        dV += Pᵀ G

Going back, P is computed again. Tiles of a few rows by two vectors stay in registers. Where each query sees the keys up to its own place
only (``causal``), tiles behind that are skipped; not so in heads in which a number is infinite or NaN, or may become so in a product: it
spreads as in the definition.

T. Dao et al.: FlashAttention (2022), https://arxiv.org/abs/2205.14135. There keys are taken in blocks too, here rows of scores are whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64

from gradus.kernels.columns import clear, copy_rows
from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.gemm import tile
from gradus.kernels.instructions import choose
from gradus.kernels.lanes import (
    everywhere,
    lane_count,
    lane_largest,
    lane_sum,
    larger,
    largest,
    load,
    load_where,
    multiply_add,
    pick,
    span,
    store,
    transpose_block,
    zeros,
)
from gradus.kernels.register_tiles import store_matrix, zeros_each
from gradus.kernels.scalar import exp
from gradus.kernels.table import array

VECTOR = 64  # bytes
DEPTH = 256  # terms of a sum in one go: a rounding error of one sum grows with its terms, and rows of the factor stay in the first cache


@compiled
def moderate(x, step, rows, length, factor, dtype, size):
    """Whether the numbers of some rows times a factor, and the products with other such rows, are finite, by |x · y|² <= |x|² |y|².

    ``step`` counts the numbers from one row to the next.
    """
    found = zeros(dtype)
    for j in range(0, length, lane_count(dtype)):
        kept, place = span(0, length - j, dtype), x + j * size
        for _ in range(rows):
            number = load_where(place, kept, dtype)
            found = multiply_add(number, number, found)
            place += step * size
    return lane_sum(found) * factor * factor * dtype(4) * dtype(0) == dtype(0)  # 4: roundings do not make it less


@compiled
def hides_nothing(mask, m2, m3, rows, columns, dtype, size):
    """Whether no number of a mask is NaN or infinity: minus infinity added to these would not hide them."""
    zero = zeros(dtype)
    found = zero
    length = columns if m3 != 0 else 1
    for i in range(rows if m2 != 0 else 1):
        for j in range(0, length, lane_count(dtype)):
            x = load_where(mask + (i * m2 + j) * size, span(0, length - j, dtype), dtype)
            found = found + largest(x, zero) * zero
    return lane_sum(found) == 0


@compiled
def turn_into_panels(x, step, rows, length, panels, dtype, size):
    """Panels of the transpose of a matrix: for each two vectors' worth of its rows, as many numbers in each of ``length`` rows."""
    lanes = lane_count(dtype)
    a, b = array(x, dtype), array(panels, dtype)
    whole = length // lanes * lanes
    for i in range(0, rows, lanes):
        place = i // (2 * lanes) * 2 * lanes * length + i % (2 * lanes)
        done = whole if i + lanes <= rows else 0
        for j in range(0, done, lanes):
            transpose_block(x + (i * step + j) * size, step * size, panels + (place + j * 2 * lanes) * size, 2 * VECTOR, dtype)
        for n in range(i, min(i + lanes, rows)):
            for j in range(done, length):
                b[place + j * 2 * lanes + n - i] = a[n * step + j]


@inlined
def times_scale(rows, count, scale, dtype):
    """Rows times ``scale``: queries before the products, their gradient after them, so that the same ones overflow as in eager mode."""
    x = array(rows, dtype)
    for j in range(count):
        x[j] = x[j] * scale


@inlined
def largest_masked(row, mask, mask_step, seen, count, dtype):
    """Add a row of a mask, or one number if ``mask_step`` is 0, to scores, minus infinity behind the first ``seen``; gives the largest."""
    lanes, size = lane_count(dtype), VECTOR // lane_count(dtype)
    number = array(mask, dtype)[0]
    lowest, term = everywhere(dtype(-np.inf)), everywhere(number)
    top = lowest
    whole = 0
    if mask_step == 0 and number == dtype(0):
        whole = seen // lanes * lanes
        for place in range(row, row + whole * size, VECTOR):
            top = larger(load(place, dtype), top)
    for j in range(whole, count, lanes):
        kept = span(0, seen - j, dtype)
        if mask_step != 0:
            term = load_where(mask + j * size, kept, dtype)
        x = pick(kept, load(row + j * size, dtype) + term, lowest)
        store(row + j * size, x)
        top = larger(x, top)
    return lane_largest(top)


@inlined
def exponentials(row, count, top, together, dtype):
    """exp(x - top) of a row in place; ``together``, a constant, divides ``count``."""
    x = array(row, dtype)
    for start in range(0, count, together):
        for j in range(start, start + together):
            x[j] = exp(x[j] - top)


@inlined
def make_shares(row, count, dtype):
    """Numbers by their sum, if that is not 0, in place, in some whole pairs of vectors."""
    end = row + count * (VECTOR // lane_count(dtype))
    total, more = zeros(dtype), zeros(dtype)
    for place in range(row, end, 2 * VECTOR):
        total = total + load(place, dtype)
        more = more + load(place + VECTOR, dtype)
    whole = lane_sum(total + more)
    share = everywhere(dtype(1) / choose(whole == dtype(0), dtype(1), whole))
    for place in range(row, end, VECTOR):
        store(place, load(place, dtype) * share)


@inlined
def seen_by(query, columns, triangle):
    """How many keys a query may see."""
    return min(columns, query + 1) if triangle else columns


@inlined
def whole_pairs(count, across):
    """The next multiple of ``across``, the numbers in two vectors."""
    return (count + across - 1) // across * across


@inlined
def hide(row, first, count, dtype):
    """Minus infinity added to the numbers from ``first`` on."""
    x = array(row, dtype)
    for j in range(first, count):
        x[j] += dtype(-np.inf)


@inlined
def softmax_gradient(weights, g, seen, together, dtype):
    """P ∘ (dP - sum of P ∘ dP) of one row, written over dP; zeros behind the first ``seen``."""
    lanes, size = lane_count(dtype), VECTOR // lane_count(dtype)
    count = (seen + together - 1) // together * together
    total, more = zeros(dtype), zeros(dtype)
    for j in range(0, count, 2 * lanes):
        p, d, k = weights + j * size, g + j * size, j + lanes
        total = multiply_add(load(p, dtype), load_where(d, span(0, seen - j, dtype), dtype), total)
        more = multiply_add(load(p + VECTOR, dtype), load_where(d + VECTOR, span(0, seen - k, dtype), dtype), more)
    mean = everywhere(lane_sum(total + more))
    for j in range(0, count, lanes):
        d = g + j * size
        store(d, load(weights + j * size, dtype) * (load_where(d, span(0, seen - j, dtype), dtype) - mean))


def _products(dtype: Any, size: int, height: int) -> tuple[Any, Any, Any]:
    """The three kinds of products for numbers of ``size`` bytes, in tiles of ``height`` rows."""
    lanes = VECTOR // size
    across, count, half = 2 * lanes, 2 * height, height

    @compiled
    def tiles(a, row_step, k_step, b, b_step, c, c_step, vectors, k, add):
        """C = A B (+ C) for ``height`` rows and some vectors; all steps in bytes."""
        zero, one, everything = zeros(dtype), dtype(1), span(0, lanes, dtype)
        for v in range(0, vectors - 1, 2):
            sums = tile(a, row_step, k_step, b + v * VECTOR, b_step, k, zeros_each(dtype, count), (zero, zero))
            store_matrix(c + v * VECTOR, c_step, 0, everything, one, add, sums, (zero, zero))
        if vectors % 2:
            v = vectors - 1
            thin = tile(a, row_step, k_step, b + v * VECTOR, b_step, k, zeros_each(dtype, half), (zero,))
            store_matrix(c + v * VECTOR, c_step, 0, everything, one, add, thin, (zero,))

    @compiled
    def rows_with_rows(a, a_step, panels, c, leading, depth, rows, columns, first, triangle):
        """C = A Bᵀ for the panels of Bᵀ."""
        for j in range(0, columns, across):
            start = (j - first) // height * height if triangle and j > first else 0
            for i in range(start, rows, height):
                place = c + (i * leading + j) * size
                tiles(a + i * a_step, a_step, size, panels + j * depth * size, 2 * VECTOR, place, leading * size, 2, depth, False)

    @compiled
    def weighted(p, leading, b, vectors, c, rows, columns, first, triangle):
        """C = P B, for B and C of rows of ``vectors``."""
        step = vectors * VECTOR
        for start in range(0, columns, DEPTH):
            for i in range(0, rows, height):
                last = min(columns, first + i + height) if triangle else columns
                k = min(last - start, DEPTH)
                if k > 0:
                    place = p + (i * leading + start) * size
                    tiles(place, leading * size, size, b + start * step, step, c + i * step, step, vectors, k, start > 0)

    @compiled
    def add_weighted(p, leading, b, vectors, c, rows, columns, first, triangle):
        """C += Pᵀ B, for B and C of rows of ``vectors``."""
        step = vectors * VECTOR
        for j in range(0, columns, height):
            start = j - first if triangle and j > first else 0
            place = p + (start * leading + j) * size
            tiles(place, size, leading * size, b + start * step, step, c + j * step, step, vectors, rows - start, True)

    return rows_with_rows, weighted, add_weighted


def _weights(dtype: Any, size: int, height: int, rows_with_rows: Any) -> Any:
    """Queries and panels of keys to P."""
    across = 2 * VECTOR // size

    @compiled
    def weights_of(queries, query_step, panels, weights, leading, depth, rows, columns, first, causal, triangle, mask, m2, m3):
        """P of one block, from queries times the scale."""
        rows_with_rows(queries, query_step, panels, weights, leading, depth, rows, columns, first, triangle)
        slot = leading - 1  # behind the numbers of a row
        for i in range(rows):  # one thing at a time, so that rows do not wait for one another
            row = weights + i * leading * size
            if causal and not triangle:
                hide(row, first + i + 1, columns, dtype)
            seen = seen_by(first + i, columns, triangle)
            array(row, dtype)[slot] = largest_masked(row, mask + i * m2 * size, m3, seen, whole_pairs(seen, across), dtype)
        for i in range(rows):
            row = weights + i * leading * size
            top = array(row, dtype)[slot]
            shift = choose(top == dtype(-np.inf), dtype(0), top)
            exponentials(row, whole_pairs(seen_by(first + i, columns, triangle), across), shift, across, dtype)
        for i in range(rows):
            make_shares(weights + i * leading * size, whole_pairs(seen_by(first + i, columns, triangle), across), dtype)

    return weights_of


def _forward(dtype: Any, size: int, height: int, weights_of: Any, weighted: Any) -> Any:
    """Queries, keys and values to Y."""
    lanes = VECTOR // size
    across = 2 * lanes

    @compiled
    def forward(
        q, k, v, mask, y, panels, values, queries, weights, result,
        batch, heads, long, short, width, wide, block, causal, y0, y1, y2, m0, m1, m2, m3,
        q0, q1, q2, k0, k1, k2, v0, v1, v2, scale,
    ):  # fmt: skip
        leading, vectors = (short + across - 1) // across * across + lanes, (wide + lanes - 1) // lanes
        for n in range(batch * heads):
            b, h = n // heads, n % heads
            qh, kh, vh = q + (b * q0 + h * q1) * size, k + (b * k0 + h * k1) * size, v + (b * v0 + h * v1) * size
            triangle = (
                causal != 0
                and moderate(qh, q2, long, width, dtype(scale), dtype, size)
                and moderate(kh, k2, short, width, dtype(1), dtype, size)
                and moderate(vh, v2, short, wide, dtype(1), dtype, size)
                and hides_nothing(mask + (b * m0 + h * m1) * size, m2, m3, long, short, dtype, size)
            )
            turn_into_panels(kh, k2, short, width, panels, dtype, size)
            copy_rows(vh, v2, values, vectors * lanes, short, wide, dtype, size)
            for first in range(0, long, block):
                rows = min(block, long - first)
                columns = min(short, first + (rows + height - 1) // height * height) if triangle else short
                copy_rows(qh + first * q2 * size, q2, queries, width, rows, width, dtype, size)
                times_scale(queries, rows * width, dtype(scale), dtype)
                place = mask + (b * m0 + h * m1 + first * m2) * size
                weights_of(queries, width * size, panels, weights, leading, width, rows, columns, first, causal, triangle, place, m2, m3)
                weighted(weights, leading, values, vectors, result, rows, columns, first, triangle)
                copy_rows(result, vectors * lanes, y + (b * y0 + h * y1 + first * y2) * size, y2, rows, wide, dtype, size)
        return 0

    return forward


def _backward(dtype: Any, size: int, height: int, weights_of: Any, products: Any) -> Any:
    """The same and a cotangent to dQ, dK and dV."""
    rows_with_rows, weighted, add_weighted = products
    lanes = VECTOR // size
    across = 2 * lanes

    @compiled
    def backward(
        g, q, k, v, mask, y, panels, more_panels, keys, queries, cotangents, weights, more_weights, result, for_keys, for_values,
        batch, heads, long, short, width, wide, block, causal, x0, x1, x2, z0, z1, z2, y0, y1, y2, m0, m1, m2, m3,
        g0, g1, g2, q0, q1, q2, k0, k1, k2, v0, v1, v2, scale,
    ):  # fmt: skip
        leading = (short + across - 1) // across * across + lanes
        thin, thick = (width + lanes - 1) // lanes, (wide + lanes - 1) // lanes
        padded = (short + height - 1) // height * height
        dk = y + batch * heads * long * width * size
        dv = dk + batch * heads * short * width * size
        for n in range(batch * heads):
            b, h = n // heads, n % heads
            gh, qh = g + (b * g0 + h * g1) * size, q + (b * q0 + h * q1) * size
            kh, vh = k + (b * k0 + h * k1) * size, v + (b * v0 + h * v1) * size
            triangle = (
                causal != 0
                and moderate(gh, g2, long, wide, dtype(1), dtype, size)
                and moderate(qh, q2, long, width, dtype(scale), dtype, size)
                and moderate(kh, k2, short, width, dtype(1), dtype, size)
                and moderate(vh, v2, short, wide, dtype(1), dtype, size)
                and hides_nothing(mask + (b * m0 + h * m1) * size, m2, m3, long, short, dtype, size)
            )
            turn_into_panels(kh, k2, short, width, panels, dtype, size)
            turn_into_panels(vh, v2, short, wide, more_panels, dtype, size)
            copy_rows(kh, k2, keys, thin * lanes, short, width, dtype, size)
            clear(for_keys, padded * thin * lanes, dtype, size)
            clear(for_values, padded * thick * lanes, dtype, size)
            for first in range(0, long, block):
                rows = min(block, long - first)
                columns = min(short, first + (rows + height - 1) // height * height) if triangle else short
                copy_rows(qh + first * q2 * size, q2, queries, thin * lanes, rows, width, dtype, size)
                times_scale(queries, rows * thin * lanes, dtype(scale), dtype)
                copy_rows(gh + first * g2 * size, g2, cotangents, thick * lanes, rows, wide, dtype, size)
                place = mask + (b * m0 + h * m1 + first * m2) * size
                weights_of(queries, thin * VECTOR, panels, weights, leading, width, rows, columns, first, causal, triangle, place, m2, m3)
                rows_with_rows(cotangents, thick * VECTOR, more_panels, more_weights, leading, wide, rows, columns, first, triangle)
                for i in range(rows):
                    seen = seen_by(first + i, columns, triangle)
                    softmax_gradient(weights + i * leading * size, more_weights + i * leading * size, seen, across, dtype)
                weighted(more_weights, leading, keys, thin, result, rows, columns, first, triangle)
                times_scale(result, rows * thin * lanes, dtype(scale), dtype)
                copy_rows(result, thin * lanes, y + (b * x0 + h * x1 + first * x2) * size, x2, rows, width, dtype, size)
                add_weighted(more_weights, leading, queries, thin, for_keys, rows, columns, first, triangle)
                add_weighted(weights, leading, cotangents, thick, for_values, rows, columns, first, triangle)
            copy_rows(for_keys, thin * lanes, dk + (b * z0 + h * z1) * size, z2, short, width, dtype, size)
            copy_rows(for_values, thick * lanes, dv + (b * y0 + h * y1) * size, y2, short, wide, dtype, size)
        return 0

    return backward


def _kernels(dtype: Any, size: int, height: int) -> tuple[Any, Any]:
    """Forward and backward."""
    products = _products(dtype, size, height)
    weights_of = _weights(dtype, size, height, products[0])
    return _forward(dtype, size, height, weights_of, products[1]), _backward(dtype, size, height, weights_of, products)


# Tiles of 8 rows fill half of 32 vector registers of 64 bytes; elsewhere a vector takes two of 16 registers.
forward_float32, backward_float32 = _kernels(float32, 4, 8)
forward_float64, backward_float64 = _kernels(float64, 8, 8)
narrow_forward_float32, narrow_backward_float32 = _kernels(float32, 4, 2)
narrow_forward_float64, narrow_backward_float64 = _kernels(float64, 8, 2)

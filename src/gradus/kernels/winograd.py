"""Convolution by 3 x 3 kernels in steps of 1 with 4 multiplications for each output instead of 9: Winograd's F(2x2, 3x3).

Images are cut into tiles of 4 x 4 that overlap by 2; each makes 2 x 2 outputs. With D a tile, K a kernel, Y the outputs,

    Y = Aᵀ [(G K Gᵀ) ⊙ (Bᵀ D B)] A

and the sum over channels of what ⊙ multiplies makes 16 matrix products, one for each place: (outputs, channels) · (channels, tiles).
The gradient of the kernels is Gᵀ [Σ (A Y' Aᵀ) ⊙ (Bᵀ D B)] G, again 16 products; that of the images is a convolution by turned kernels.
The tiles of a few rows are transformed at a time, so that they stay in the cache. A pixel that is infinite or NaN makes all outputs of its
tiles NaN, not only those whose windows it is in.

A. Lavin, S. Gray: Fast Algorithms for Convolutional Neural Networks (2016), https://arxiv.org/abs/1509.09308
"""

from __future__ import annotations

from typing import Any

from numba import float32

from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.gemm import turn
from gradus.kernels.lanes import evens, load, load_where, odds, span, store_where, woven_first, woven_second, zeros
from gradus.kernels.products import sgemm
from gradus.kernels.table import array

SIZE = 4  # bytes of a float32
PLACES = 16  # in a tile
GAP = 16  # elements between the matrices of two places: at a distance of 4 KiB they would meet in one set of the cache


@inlined
def plane_bytes(rows, columns):
    """From the matrix of one place to that of the next."""
    return (rows * columns + GAP) * SIZE


@inlined
def across_a_row(address, inside, m0, m1, m2, m3):
    """One row of DB for as many tiles as there are lanes; ``inside``: whether the image has that row."""
    if inside:
        a, b = load_where(address, m0, float32), load_where(address + 16 * SIZE, m1, float32)
        c, d = load_where(address + 2 * SIZE, m2, float32), load_where(address + 18 * SIZE, m3, float32)
        d0, d1, d2, d3 = evens(a, b), odds(a, b), evens(c, d), odds(c, d)
        return d0 - d2, d1 + d2, d2 - d1, d1 - d3
    zero = zeros(float32)
    return zero, zero, zero, zero


@inlined
def store_row(target, plane, mask, a, b, c, d):
    """Four places of a tile."""
    store_where(target, mask, a)
    store_where(target + plane, mask, b)
    store_where(target + 2 * plane, mask, c)
    store_where(target + 3 * plane, mask, d)


@compiled
def transform_plane(x, height, width, top, left, first, last, tiles_across, target, plane):
    """BᵀDB of the tile rows first … last - 1 of one channel of one image: ``plane`` bytes lie between the places of a tile."""
    for j in range(0, tiles_across, 16):
        x0 = 2 * j - left
        m0, m1 = span(-x0, width - x0, float32), span(-x0 - 16, width - x0 - 16, float32)
        m2, m3 = span(-x0 - 2, width - x0 - 2, float32), span(-x0 - 18, width - x0 - 18, float32)
        kept = span(0, tiles_across - j, float32)
        y = 2 * first - top
        source, place = x + (y * width + x0) * SIZE, target + j * SIZE
        a0, a1, a2, a3 = across_a_row(source, 0 <= y < height, m0, m1, m2, m3)
        b0, b1, b2, b3 = across_a_row(source + width * SIZE, 0 <= y + 1 < height, m0, m1, m2, m3)
        for _ in range(first, last):
            y += 2
            source += 2 * width * SIZE
            c0, c1, c2, c3 = across_a_row(source, 0 <= y < height, m0, m1, m2, m3)
            d0, d1, d2, d3 = across_a_row(source + width * SIZE, 0 <= y + 1 < height, m0, m1, m2, m3)
            store_row(place, plane, kept, a0 - c0, a1 - c1, a2 - c2, a3 - c3)
            store_row(place + 4 * plane, plane, kept, b0 + c0, b1 + c1, b2 + c2, b3 + c3)
            store_row(place + 8 * plane, plane, kept, c0 - b0, c1 - b1, c2 - b2, c3 - b3)
            store_row(place + 12 * plane, plane, kept, b0 - d0, b1 - d1, b2 - d2, b3 - d3)
            a0, a1, a2, a3, b0, b1, b2, b3 = c0, c1, c2, c3, d0, d1, d2, d3
            place += tiles_across * SIZE


def _of_tile_rows(of_plane: Any) -> Any:
    """What ``of_plane`` does for the tile rows of one channel of one image, for those of all images, counted through."""

    @compiled
    def of_tiles(x, channels, height, width, top, left, first, last, tiles_down, tiles_across, places):
        """The tile rows first … last - 1 of images ``x``; ``places`` (place, channel, tile), with room for a vector behind it."""
        tiles = (last - first) * tiles_across
        row = first
        while row < last:
            image, start = row // tiles_down, row % tiles_down
            end = min(tiles_down, start + last - row)
            for c in range(channels):
                source = x + (image * channels + c) * height * width * SIZE
                target = places + (c * tiles + (row - first) * tiles_across) * SIZE
                of_plane(source, height, width, top, left, start, end, tiles_across, target, plane_bytes(channels, tiles))
            row += end - start

    return of_tiles


@inlined
def column_of_outputs(address, plane):
    """Two rows of AᵀM for one column of places."""
    m0, m1 = load(address, float32), load(address + 4 * plane, float32)
    m2, m3 = load(address + 8 * plane, float32), load(address + 12 * plane, float32)
    return m0 + m1 + m2, m1 - m2 - m3


@compiled
def outputs_of_plane(y, down, across, top, left, first, last, tiles_across, source, plane):
    """AᵀMA of the tile rows first … last - 1 of one channel of one image, put where they belong."""
    for j in range(0, tiles_across, 16):
        k0, k1 = span(0, across - 2 * j, float32), span(0, across - 2 * j - 16, float32)
        more = across - 2 * j > 16
        place, target = source + j * SIZE, y + (2 * first * across + 2 * j) * SIZE
        for i in range(first, last):
            a0, b0 = column_of_outputs(place, plane)
            a1, b1 = column_of_outputs(place + plane, plane)
            a2, b2 = column_of_outputs(place + 2 * plane, plane)
            a3, b3 = column_of_outputs(place + 3 * plane, plane)
            even, odd = a0 + a1 + a2, a1 - a2 - a3
            store_where(target, k0, woven_first(even, odd))
            if more:
                store_where(target + 16 * SIZE, k1, woven_second(even, odd))
            if 2 * i + 1 < down:
                even, odd = b0 + b1 + b2, b1 - b2 - b3
                store_where(target + across * SIZE, k0, woven_first(even, odd))
                if more:
                    store_where(target + (across + 16) * SIZE, k1, woven_second(even, odd))
            place += tiles_across * SIZE
            target += 2 * across * SIZE


@inlined
def half_sums(p, q, r):
    """G times a column."""
    half = float32(0.5)
    return p, half * (p + r + q), half * (p + r - q), r


@compiled
def transform_kernels(w, outputs, channels, turned, u):
    """GKGᵀ: ``u`` (place, output, channel). ``turned``: kernels lie as (channel, output) and are read from their end."""
    w, u = array(w, float32), array(u, float32)
    plane = outputs * channels + GAP
    for o in range(outputs):
        for c in range(channels):
            k, step = ((c * outputs + o) * 9 + 8, -1) if turned else ((o * channels + c) * 9, 1)
            a = half_sums(w[k], w[k + step], w[k + 2 * step])
            b = half_sums(w[k + 3 * step], w[k + 4 * step], w[k + 5 * step])
            d = half_sums(w[k + 6 * step], w[k + 7 * step], w[k + 8 * step])
            for column in range(4):
                e = half_sums(a[column], b[column], d[column])
                for row in range(4):
                    u[(4 * row + column) * plane + o * channels + c] = e[row]


@compiled
def forward(x, w, y, u, v, m, batch, channels, height, width, outputs, down, across, top, left, rows, turned):
    """y = conv2d(x, w); with ``turned``, the gradient for images: x is the cotangent, and w is read as turned kernels."""
    transform_kernels(w, outputs, channels, turned, u)
    tiles_down, tiles_across = (down + 1) // 2, (across + 1) // 2
    total = batch * tiles_down
    for first in range(0, total, rows):
        last = min(first + rows, total)
        tiles = (last - first) * tiles_across
        transform_tiles(x, channels, height, width, top, left, first, last, tiles_down, tiles_across, v)
        for k in range(PLACES):
            a, b, c = u + k * plane_bytes(outputs, channels), v + k * plane_bytes(channels, tiles), m + k * plane_bytes(outputs, tiles)
            sgemm(False, False, outputs, tiles, channels, 1.0, a, channels, b, tiles, 0.0, c, tiles)
        outputs_of_tiles(y, outputs, down, across, 0, 0, first, last, tiles_down, tiles_across, m)
    return 0


@compiled
def spread_plane(g, down, across, top, left, first, last, tiles_across, target, plane):
    """AY'Aᵀ of the tile rows first … last - 1 of one channel of one cotangent."""
    for j in range(0, tiles_across, 16):
        m0, m1 = span(0, across - 2 * j, float32), span(0, across - 2 * j - 16, float32)
        kept = span(0, tiles_across - j, float32)
        source, place = g + (2 * first * across + 2 * j) * SIZE, target + j * SIZE
        for i in range(first, last):
            p, q = load_where(source, m0, float32), load_where(source + 16 * SIZE, m1, float32)
            a0, a1 = evens(p, q), odds(p, q)
            b0, b1 = zeros(float32), zeros(float32)
            if 2 * i + 1 < down:
                p, q = load_where(source + across * SIZE, m0, float32), load_where(source + (across + 16) * SIZE, m1, float32)
                b0, b1 = evens(p, q), odds(p, q)
            zero = zeros(float32)
            c0, c1, d0, d1 = a0 + b0, a1 + b1, a0 - b0, a1 - b1
            store_row(place, plane, kept, a0, a0 + a1, a0 - a1, zero - a1)
            store_row(place + 4 * plane, plane, kept, c0, c0 + c1, c0 - c1, zero - c1)
            store_row(place + 8 * plane, plane, kept, d0, d0 + d1, d0 - d1, zero - d1)
            store_row(place + 12 * plane, plane, kept, zero - b0, zero - b0 - b1, b1 - b0, b1)
            place += tiles_across * SIZE
            source += 2 * across * SIZE


transform_tiles, outputs_of_tiles, spread_tiles = [_of_tile_rows(f) for f in (transform_plane, outputs_of_plane, spread_plane)]


@inlined
def three_of_four(p, q, r, s):
    """Gᵀ times a column."""
    half = float32(0.5)
    return p + half * (q + r), half * (q - r), half * (q + r) + s


@compiled
def gather_kernels(u, outputs, channels, dw):
    """GᵀUG, the adjoint of :func:`transform_kernels`."""
    u, dw = array(u, float32), array(dw, float32)
    plane = outputs * channels + GAP
    for k in range(outputs * channels):
        a = three_of_four(u[k], u[4 * plane + k], u[8 * plane + k], u[12 * plane + k])
        b = three_of_four(u[plane + k], u[5 * plane + k], u[9 * plane + k], u[13 * plane + k])
        c = three_of_four(u[2 * plane + k], u[6 * plane + k], u[10 * plane + k], u[14 * plane + k])
        d = three_of_four(u[3 * plane + k], u[7 * plane + k], u[11 * plane + k], u[15 * plane + k])
        for row in range(3):
            e = three_of_four(a[row], b[row], c[row], d[row])
            for column in range(3):
                dw[9 * k + 3 * row + column] = e[column]


@compiled
def weight_gradient(x, g, dw, u, v, t, h, batch, channels, height, width, outputs, down, across, top, left, rows):
    """The gradient of conv2d for its kernels."""
    tiles_down, tiles_across = (down + 1) // 2, (across + 1) // 2
    total = batch * tiles_down
    for first in range(0, total, rows):
        last = min(first + rows, total)
        tiles = (last - first) * tiles_across
        transform_tiles(x, channels, height, width, top, left, first, last, tiles_down, tiles_across, v)
        spread_tiles(g, outputs, down, across, 0, 0, first, last, tiles_down, tiles_across, h)
        for k in range(PLACES):
            # the product of rows by rows would be slower by more than it costs to turn the tiles
            turn(v + k * plane_bytes(channels, tiles), channels, tiles, tiles, t, channels)
            a, c = h + k * plane_bytes(outputs, tiles), u + k * plane_bytes(outputs, channels)
            sgemm(False, False, outputs, channels, tiles, 1.0, a, tiles, t, channels, 0.0 if first == 0 else 1.0, c, channels)
    gather_kernels(u, outputs, channels, dw)
    return 0

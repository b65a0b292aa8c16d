"""Convolution by 3 x 3 kernels with its maximum over windows of 2 x 2, and the gradients: the full-size map is never in memory.

Winograd's tile of 2 x 2 outputs (:mod:`gradus.kernels.winograd`) is a window: its maximum, and which of the four places has it, are found
in registers. Going back, a gradient h of the maxima and those places say all that the full-size gradient would. Images have even sides and
one zero around them, so that the tiles of an image are one row of numbers, as are its maxima, and vectors run along it without a gap.

For few channels the four outputs of a window are summed straight from the 4 x 4 pixels that they depend on.
"""

from __future__ import annotations

from numba import float32

from gradus.kernels.columns import fill_columns
from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.gemm import turn
from gradus.kernels.lanes import (
    both,
    equal,
    everywhere,
    lane_sum,
    less,
    load,
    load_where,
    multiply_add,
    pick,
    replaces,
    span,
    store,
    store_where,
    zeros,
)
from gradus.kernels.products import sgemm
from gradus.kernels.register_tiles import load_each, store_each
from gradus.kernels.table import array
from gradus.kernels.winograd import (
    PLACES,
    SIZE,
    column_of_outputs,
    gather_kernels,
    outputs_of_tiles,
    plane_bytes,
    store_row,
    transform_kernels,
    transform_tiles,
)

LANES = 16  # float32
AROUND = (4, 4, 2, 2, 1, 1, 1, 1)  # the pixels that a window of outputs depends on, as a window of columns: 4 x 4 in steps of 2, padding 1


@inlined
def store_largest(a, b, c, d, kept, values, places):
    """The largest of the four outputs of each window, and which one it is: the first of equals, the last NaN."""
    right, right_below = replaces(b, a), replaces(d, c)
    up, low = pick(right, b, a), pick(right_below, d, c)
    lower = replaces(low, up)
    one, two, three = everywhere(float32(1)), everywhere(float32(2)), everywhere(float32(3))
    store_where(values, kept, pick(lower, low, up))
    store_where(places, kept, pick(lower, pick(right_below, three, two), pick(right, one, zeros(float32))))


@compiled
def largest_of_tiles(m, bias, channels, first, last, tiles_down, tiles_across, y, places):
    """The largest of AᵀMA + bias for each tile of the tile rows first … last - 1, and its place; ``m`` (place, channel, tile)."""
    tiles = (last - first) * tiles_across
    plane, biases = plane_bytes(channels, tiles), array(bias, float32)
    row = first
    while row < last:
        image, start = row // tiles_down, row % tiles_down
        end = min(tiles_down, start + last - row)
        count = (end - start) * tiles_across
        for c in range(channels):
            more = everywhere(biases[c])
            source = m + (c * tiles + (row - first) * tiles_across) * SIZE
            offset = ((image * channels + c) * tiles_down + start) * tiles_across * SIZE
            for j in range(0, count, LANES):
                place = source + j * SIZE
                a0, b0 = column_of_outputs(place, plane)
                a1, b1 = column_of_outputs(place + plane, plane)
                a2, b2 = column_of_outputs(place + 2 * plane, plane)
                a3, b3 = column_of_outputs(place + 3 * plane, plane)
                a, b = a0 + a1 + a2 + more, a1 - a2 - a3 + more
                c0, d = b0 + b1 + b2 + more, b1 - b2 - b3 + more
                store_largest(a, b, c0, d, span(0, count - j, float32), y + offset + j * SIZE, places + offset + j * SIZE)
        row += end - start


@compiled
def forward(x, w, bias, y, u, v, m, batch, channels, height, width, outputs, rows):
    """y[0] = max_pool2d(conv2d(x, w, bias, padding=1), 2), y[1] = the places."""
    transform_kernels(w, outputs, channels, 0, u)
    down, across = height // 2, width // 2
    total = batch * down
    for first in range(0, total, rows):
        last = min(first + rows, total)
        tiles = (last - first) * across
        transform_tiles(x, channels, height, width, 1, 1, first, last, down, across, v)
        for k in range(PLACES):
            a, b, c = u + k * plane_bytes(outputs, channels), v + k * plane_bytes(channels, tiles), m + k * plane_bytes(outputs, tiles)
            sgemm(False, False, outputs, tiles, channels, 1.0, a, channels, b, tiles, 0.0, c, tiles)
        largest_of_tiles(m, bias, outputs, first, last, down, across, y, y + batch * outputs * down * across * SIZE)
    return 0


@compiled
def spread_tiles(h, places, channels, first, last, tiles_down, tiles_across, target):
    """AY'Aᵀ of tile rows, where Y' is h at one place of each tile: ``target`` (place, channel, tile)."""
    tiles = (last - first) * tiles_across
    plane = plane_bytes(channels, tiles)
    zero, one, two, three = zeros(float32), everywhere(float32(1)), everywhere(float32(2)), everywhere(float32(3))
    row = first
    while row < last:
        image, start = row // tiles_down, row % tiles_down
        end = min(tiles_down, start + last - row)
        count = (end - start) * tiles_across
        for c in range(channels):
            to = target + (c * tiles + (row - first) * tiles_across) * SIZE
            offset = ((image * channels + c) * tiles_down + start) * tiles_across * SIZE
            for j in range(0, count, LANES):
                kept = span(0, count - j, float32)
                t, p = load_where(h + offset + j * SIZE, kept, float32), load_where(places + offset + j * SIZE, kept, float32)
                a0, a1 = pick(equal(p, zero), t, zero), pick(equal(p, one), t, zero)
                b0, b1 = pick(equal(p, two), t, zero), pick(equal(p, three), t, zero)
                c0, c1, d0, d1 = a0 + b0, a1 + b1, a0 - b0, a1 - b1
                place = to + j * SIZE
                store_row(place, plane, kept, a0, a0 + a1, a0 - a1, zero - a1)
                store_row(place + 4 * plane, plane, kept, c0, c0 + c1, c0 - c1, zero - c1)
                store_row(place + 8 * plane, plane, kept, d0, d0 + d1, d0 - d1, zero - d1)
                store_row(place + 12 * plane, plane, kept, zero - b0, zero - b0 - b1, b1 - b0, b1)
        row += end - start


@compiled
def weight_gradient(x, h, places, dw, u, v, t, s, batch, channels, height, width, outputs, rows):
    """The gradient for kernels."""
    down, across = height // 2, width // 2
    total = batch * down
    for first in range(0, total, rows):
        last = min(first + rows, total)
        tiles = (last - first) * across
        transform_tiles(x, channels, height, width, 1, 1, first, last, down, across, v)
        spread_tiles(h, places, outputs, first, last, down, across, s)
        for k in range(PLACES):
            turn(v + k * plane_bytes(channels, tiles), channels, tiles, tiles, t, channels)
            a, c = s + k * plane_bytes(outputs, tiles), u + k * plane_bytes(outputs, channels)
            sgemm(False, False, outputs, channels, tiles, 1.0, a, tiles, t, channels, 0.0 if first == 0 else 1.0, c, channels)
    gather_kernels(u, outputs, channels, dw)
    return 0


@inlined
def winner(h, places, mask, p, which):
    """h in the windows whose largest output is the one that is asked for, 0 in the others."""
    return load_where(h, both(mask, equal(p, everywhere(float32(which)))), float32)


@inlined
def columns_done(d0, d1, d2, d3):
    """A row of DB."""
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


@compiled
def transform_winners(h, places, channels, down, across, first, last, column, target, plane, channel_step):
    """BᵀDB of the tile rows first … last - 1 of one image, where D, full-size, is h at one place of each window.

    A tile reaches into the windows around its own; ``column`` says in which column each tile is, so that none reaches around the edge.
    """
    size, stop = down * across, last * across
    up, side = across * SIZE, SIZE
    for j in range(first * across, stop, LANES):
        kept, number = span(0, stop - j, float32), load(column + j * SIZE, float32)
        left = both(kept, less(zeros(float32), number))
        right = both(kept, less(number, everywhere(float32(across - 1))))
        above, below = span(across - j, LANES, float32), span(0, size - across - j, float32)
        mask_0, mask_1, mask_2 = both(left, above), both(kept, above), both(right, above)
        mask_6, mask_7, mask_8 = both(left, below), both(kept, below), both(right, below)
        for c in range(channels):
            a, p = h + (c * size + j) * SIZE, places + (c * size + j) * SIZE
            p0, p1 = load_where(p - up - side, mask_0, float32), load_where(p - up, mask_1, float32)
            p2, p3 = load_where(p - up + side, mask_2, float32), load_where(p - side, left, float32)
            p4, p5 = load_where(p, kept, float32), load_where(p + side, right, float32)
            p6, p7 = load_where(p + up - side, mask_6, float32), load_where(p + up, mask_7, float32)
            p8 = load_where(p + up + side, mask_8, float32)
            a0, a1, a2, a3 = columns_done(
                winner(a - up - side, p, mask_0, p0, 3), winner(a - up, p, mask_1, p1, 2),
                winner(a - up, p, mask_1, p1, 3), winner(a - up + side, p, mask_2, p2, 2),
            )  # fmt: skip
            b0, b1, b2, b3 = columns_done(
                winner(a - side, p, left, p3, 1), winner(a, p, kept, p4, 0), winner(a, p, kept, p4, 1), winner(a + side, p, right, p5, 0)
            )
            c0, c1, c2, c3 = columns_done(
                winner(a - side, p, left, p3, 3), winner(a, p, kept, p4, 2), winner(a, p, kept, p4, 3), winner(a + side, p, right, p5, 2)
            )
            d0, d1, d2, d3 = columns_done(
                winner(a + up - side, p, mask_6, p6, 1), winner(a + up, p, mask_7, p7, 0),
                winner(a + up, p, mask_7, p7, 1), winner(a + up + side, p, mask_8, p8, 0),
            )  # fmt: skip
            place = target + (j - first * across) * SIZE + c * channel_step
            store_row(place, plane, kept, a0 - c0, a1 - c1, a2 - c2, a3 - c3)
            store_row(place + 4 * plane, plane, kept, b0 + c0, b1 + c1, b2 + c2, b3 + c3)
            store_row(place + 8 * plane, plane, kept, c0 - b0, c1 - b1, c2 - b2, c3 - b3)
            store_row(place + 12 * plane, plane, kept, b0 - d0, b1 - d1, b2 - d2, b3 - d3)


@compiled
def input_gradient(h, places, w, y, u, v, m, column, batch, channels, height, width, outputs, rows):
    """The gradient for images: ``channels`` of them, ``outputs`` of h."""
    transform_kernels(w, channels, outputs, 1, u)
    down, across = height // 2, width // 2
    numbers = array(column, float32)
    for j in range(down * across):
        numbers[j] = j % across
    total = batch * down
    for first in range(0, total, rows):
        last = min(first + rows, total)
        tiles = (last - first) * across
        row = first
        while row < last:
            image, start = row // down, row % down
            end = min(down, start + last - row)
            offset, target = image * outputs * down * across * SIZE, v + (row - first) * across * SIZE
            transform_winners(
                h + offset, places + offset, outputs, down, across, start, end, column, target, plane_bytes(outputs, tiles), tiles * SIZE
            )
            row += end - start
        for k in range(PLACES):
            a, b, c = u + k * plane_bytes(channels, outputs), v + k * plane_bytes(outputs, tiles), m + k * plane_bytes(channels, tiles)
            sgemm(False, False, channels, tiles, outputs, 1.0, a, outputs, b, tiles, 0.0, c, tiles)
        outputs_of_tiles(y, channels, height, width, 0, 0, first, last, down, across, m)
    return 0


# Few channels.


@inlined
def add_row(total, a, b, c, u, v, w):
    """Add the share of one row of a kernel."""
    return multiply_add(c, w, multiply_add(b, v, multiply_add(a, u, total)))


@inlined
def load_row(address, plane, kept):
    """Four pixels in a row, of each window of a vector."""
    return (
        load_where(address, kept, float32),
        load_where(address + plane, kept, float32),
        load_where(address + 2 * plane, kept, float32),
        load_where(address + 3 * plane, kept, float32),
    )


@compiled
def forward_of_few(x, w, bias, y, pixels, batch, channels, height, width, outputs):
    """As :func:`forward`; ``pixels`` (channel, 4 x 4, window)."""
    down, across = height // 2, width // 2
    windows = down * across
    plane = windows * SIZE
    weights, biases, behind = array(w, float32), array(bias, float32), batch * outputs * plane
    for image in range(batch):
        source = x + image * channels * height * width * SIZE
        fill_columns(source, channels, height, width, AROUND, across, 0, down, pixels, windows, float32, SIZE)
        for j in range(0, windows, LANES):
            kept = span(0, windows - j, float32)
            for o in range(outputs):
                a, b, c, d = zeros(float32), zeros(float32), zeros(float32), zeros(float32)
                for k in range(channels):
                    at, n = pixels + (k * 16 * windows + j) * SIZE, (o * channels + k) * 9
                    r0 = load_row(at, plane, kept)
                    for _ in range(3):
                        at += 4 * plane
                        u, v, z = everywhere(weights[n]), everywhere(weights[n + 1]), everywhere(weights[n + 2])
                        n += 3
                        r1 = load_row(at, plane, kept)
                        a, b = add_row(a, r0[0], r0[1], r0[2], u, v, z), add_row(b, r0[1], r0[2], r0[3], u, v, z)
                        c, d = add_row(c, r1[0], r1[1], r1[2], u, v, z), add_row(d, r1[1], r1[2], r1[3], u, v, z)
                        r0 = r1
                target = y + ((image * outputs + o) * windows + j) * SIZE
                more = everywhere(biases[o])
                store_largest(a + more, b + more, c + more, d + more, kept, target, target + behind)
    return 0


@inlined
def add_winners(sums, t, r0, r1, lower, right):
    """Add the share of one row of windows' pixels to three places of a kernel."""
    p, q = pick(lower, r1[0], r0[0]), pick(lower, r1[1], r0[1])
    r, s = pick(lower, r1[2], r0[2]), pick(lower, r1[3], r0[3])
    a, b, c = sums
    return multiply_add(t, pick(right, q, p), a), multiply_add(t, pick(right, r, q), b), multiply_add(t, pick(right, s, r), c)


@compiled
def weight_gradient_of_few(x, h, places, dw, pixels, sums, batch, channels, height, width, outputs):
    """As :func:`weight_gradient`: a product for each window's largest output only. ``sums`` (output, channel, place) are vectors."""
    down, across = height // 2, width // 2
    windows = down * across
    plane, vector = windows * SIZE, LANES * SIZE
    zero, one, two = zeros(float32), everywhere(float32(1)), everywhere(float32(2))
    three = (zero, zero, zero)
    everything = span(0, LANES, float32)
    for k in range(outputs * channels * 9):
        store(sums + k * vector, zero)
    for image in range(batch):
        source = x + image * channels * height * width * SIZE
        fill_columns(source, channels, height, width, AROUND, across, 0, down, pixels, windows, float32, SIZE)
        for o in range(outputs):
            offset = (image * outputs + o) * plane
            for k in range(channels):
                total = sums + (o * channels + k) * 9 * vector
                s0 = load_each(total, vector, three)
                s1 = load_each(total + 3 * vector, vector, three)
                s2 = load_each(total + 6 * vector, vector, three)
                for j in range(0, windows, LANES):
                    kept = span(0, windows - j, float32)
                    t, p = load_where(h + offset + j * SIZE, kept, float32), load_where(places + offset + j * SIZE, kept, float32)
                    lower = less(one, p)
                    right = equal(p - pick(lower, two, zero), one)
                    at = pixels + (k * 16 * windows + j) * SIZE
                    r0, r1 = load_row(at, plane, kept), load_row(at + 4 * plane, plane, kept)
                    r2, r3 = load_row(at + 8 * plane, plane, kept), load_row(at + 12 * plane, plane, kept)
                    s0 = add_winners(s0, t, r0, r1, lower, right)
                    s1 = add_winners(s1, t, r1, r2, lower, right)
                    s2 = add_winners(s2, t, r2, r3, lower, right)
                store_each(total, vector, everything, s0)
                store_each(total + 3 * vector, vector, everything, s1)
                store_each(total + 6 * vector, vector, everything, s2)
    target = array(dw, float32)
    for k in range(outputs * channels * 9):
        target[k] = lane_sum(load(sums + k * vector, float32))
    return 0

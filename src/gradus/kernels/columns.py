"""The windows of images as columns of a matrix, and columns added up to images again.

``window`` is (kernel h, kernel w, step down, step across, gap down, gap across, padding top, padding left), ``size`` the bytes of a number.
A row of the matrix belongs to a channel and a place in the window; its columns are the windows of some rows of windows. Padding costs no
branch inside a loop: it is lanes of a mask.
"""

from __future__ import annotations

from gradus.kernels.lanes import compiled, evens, inlined, lane_count, load_where, span, store_where, zeros
from gradus.kernels.table import array


@inlined
def inside(width, across, step, offset):
    """The windows [first, end) whose place ``offset`` lies in a row of ``width`` pixels."""
    first = max(0, -(offset // step))
    end = min(across, (width - 1 - offset) // step + 1)
    return min(first, across), max(end, min(first, across))


@inlined
def copy_places(source, first, end, across, step, target, dtype, size):
    """One place of the windows of a row: target[j] = source[j · step] for first <= j < end, and 0 elsewhere."""
    lanes = lane_count(dtype)
    if step <= 2:
        for j in range(0, across, lanes):
            kept = span(0, across - j, dtype)
            if step == 1:
                values = load_where(source + j * size, span(first - j, end - j, dtype), dtype)
            else:
                low, high = 2 * (first - j), 2 * (end - j) - 1
                a = load_where(source + 2 * j * size, span(low, high, dtype), dtype)
                b = load_where(source + (2 * j + lanes) * size, span(low - lanes, high - lanes, dtype), dtype)
                values = evens(a, b)
            store_where(target + j * size, kept, values)
    else:
        x, y = array(source, dtype), array(target, dtype)
        for j in range(first):
            y[j] = dtype(0)
        for j in range(first, end):
            y[j] = x[j * step]
        for j in range(end, across):
            y[j] = dtype(0)


@inlined
def add_places(source, first, end, across, step, target, dtype, size):
    """The adjoint: target[j · step] += source[j] for first <= j < end."""
    if step == 1:
        for j in range(0, across, lane_count(dtype)):
            mask = span(first - j, end - j, dtype)
            there = load_where(target + j * size, mask, dtype)
            store_where(target + j * size, mask, there + load_where(source + j * size, mask, dtype))
    else:
        x, y = array(source, dtype), array(target, dtype)
        for j in range(first, end):
            y[j * step] += x[j]


@inlined
def clear(target, count, dtype, size):
    """Zeros."""
    zero = zeros(dtype)
    for j in range(0, count, lane_count(dtype)):
        store_where(target + j * size, span(0, count - j, dtype), zero)


@compiled
def fill_columns(x, channels, height, width, window, across, first_row, last_row, target, length, dtype, size):
    """The columns of some rows of windows of one image; ``length`` numbers lie between two rows of the matrix."""
    down, wide, step_down, step, gap_down, gap, top, left = window
    row = 0
    for c in range(channels):
        for k in range(down):
            for m in range(wide):
                first, end = inside(width, across, step, m * gap - left)
                place = target + row * length * size
                for i in range(first_row, last_row):
                    y = i * step_down + k * gap_down - top
                    if 0 <= y < height:
                        source = x + ((c * height + y) * width + m * gap - left) * size
                        copy_places(source, first, end, across, step, place, dtype, size)
                    else:
                        clear(place, across, dtype, size)
                    place += across * size
                row += 1


@compiled
def add_columns(source, length, channels, height, width, window, across, first_row, last_row, y, dtype, size):
    """Add the columns of some rows of windows to the image that they were read from."""
    down, wide, step_down, step, gap_down, gap, top, left = window
    row = 0
    for c in range(channels):
        for k in range(down):
            for m in range(wide):
                first, end = inside(width, across, step, m * gap - left)
                place = source + row * length * size
                for i in range(first_row, last_row):
                    r = i * step_down + k * gap_down - top
                    if 0 <= r < height:
                        target = y + ((c * height + r) * width + m * gap - left) * size
                        add_places(place, first, end, across, step, target, dtype, size)
                    place += across * size
                row += 1


@compiled
def copy_rows(source, source_step, target, target_step, rows, length, dtype, size):
    """Rows of ``length`` numbers from one matrix to another; the steps count numbers."""
    for row in range(rows):
        for j in range(0, length, lane_count(dtype)):
            kept = span(0, length - j, dtype)
            values = load_where(source + (row * source_step + j) * size, kept, dtype)
            store_where(target + (row * target_step + j) * size, kept, values)

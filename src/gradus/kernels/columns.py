"""The windows of images as columns of a matrix, and columns added up to images again.

``window`` is (kernel h, kernel w, step down, step across, gap down, gap across, padding top, padding left), ``size`` the bytes of a number.
A row of the matrix belongs to a channel and a place in the window; its columns are the windows of some rows of windows. Padding costs no
branch inside a loop: it is lanes of a mask.
"""

from __future__ import annotations

from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.lanes import evens, lane_count, load_where, span, store_where, zeros
from gradus.kernels.table import array


@inlined
def inside(width, across, step, offset):
    """The windows [first, end) whose place ``offset`` lies in a row of ``width`` pixels."""
    first = max(0, -(offset // step))
    end = min(across, (width - 1 - offset) // step + 1)
    return min(first, across), max(end, min(first, across))


@inlined
def clear(target, count, dtype, size):
    """Zeros."""
    zero = zeros(dtype)
    for j in range(0, count, lane_count(dtype)):
        store_where(target + j * size, span(0, count - j, dtype), zero)


@inlined
def copy_places(source, source_row, first, end, across, step, target, rows, dtype, size):
    """One place of the windows in some rows: target[i, j] = source[i · source_row + j · step] for first <= j < end, and 0 elsewhere."""
    lanes = lane_count(dtype)
    if step <= 2:
        for j in range(0, across, lanes):
            kept = span(0, across - j, dtype)
            low, high = step * (first - j), step * (end - j - 1) + 1
            mask, more = span(low, high, dtype), span(low - lanes, high - lanes, dtype)
            x, y = source + step * j * size, target + j * size
            for _ in range(rows):
                values = load_where(x, mask, dtype)
                if step == 2:
                    values = evens(values, load_where(x + lanes * size, more, dtype))
                store_where(y, kept, values)
                x += source_row * size
                y += across * size
    else:
        x, y = array(source, dtype), array(target, dtype)
        for i in range(rows):
            for j in range(first):
                y[i * across + j] = dtype(0)
            for j in range(first, end):
                y[i * across + j] = x[i * source_row + j * step]
            for j in range(end, across):
                y[i * across + j] = dtype(0)


@inlined
def add_places(source, first, end, across, step, target, target_row, rows, dtype, size):
    """The adjoint: target[i · target_row + j · step] += source[i, j] for first <= j < end."""
    if step == 1:
        for j in range(0, across, lane_count(dtype)):
            mask = span(first - j, end - j, dtype)
            x, y = source + j * size, target + j * size
            for _ in range(rows):
                store_where(y, mask, load_where(y, mask, dtype) + load_where(x, mask, dtype))
                x += across * size
                y += target_row * size
    else:
        x, y = array(source, dtype), array(target, dtype)
        for i in range(rows):
            for j in range(first, end):
                y[i * target_row + j * step] += x[i * across + j]


@inlined
def rows_inside(height, step, offset, first_row, last_row):
    """Those of the rows of windows [first_row, last_row) whose place ``offset`` lies in the image."""
    first, end = inside(height, last_row, step, offset)
    first = max(first, first_row)
    return min(first, last_row), max(end, min(first, last_row))


@compiled
def fill_columns(x, channels, height, width, window, across, first_row, last_row, target, length, dtype, size):
    """The columns of some rows of windows of one image; ``length`` numbers lie between two rows of the matrix."""
    down, wide, step_down, step, gap_down, gap, top, left = window
    place = target
    for c in range(channels):
        for k in range(down):
            r = k * gap_down - top
            start, stop = rows_inside(height, step_down, r, first_row, last_row)
            for m in range(wide):
                first, end = inside(width, across, step, m * gap - left)
                source = x + ((c * height + start * step_down + r) * width + m * gap - left) * size
                here = place + (start - first_row) * across * size
                if start > first_row:
                    clear(place, (start - first_row) * across, dtype, size)
                copy_places(source, step_down * width, first, end, across, step, here, stop - start, dtype, size)
                if stop < last_row:
                    clear(place + (stop - first_row) * across * size, (last_row - stop) * across, dtype, size)
                place += length * size


@compiled
def add_columns(source, length, channels, height, width, window, across, first_row, last_row, y, dtype, size):
    """Add the columns of some rows of windows to the image that they were read from."""
    down, wide, step_down, step, gap_down, gap, top, left = window
    place = source
    for c in range(channels):
        for k in range(down):
            r = k * gap_down - top
            start, stop = rows_inside(height, step_down, r, first_row, last_row)
            for m in range(wide):
                first, end = inside(width, across, step, m * gap - left)
                target = y + ((c * height + start * step_down + r) * width + m * gap - left) * size
                here = place + (start - first_row) * across * size
                add_places(here, first, end, across, step, target, step_down * width, stop - start, dtype, size)
                place += length * size


@compiled
def pad_planes(x, channels, height, width, top, left, down, across, target, dtype, size):
    """Planes with zeros around them, or cut where top and left are negative: ``target`` (channel, down, across)."""
    window = (1, 1, 1, 1, 1, 1, top, left)
    fill_columns(x, channels, height, width, window, across, 0, down, target, down * across, dtype, size)


@compiled
def copy_rows(source, source_step, target, target_step, rows, length, dtype, size):
    """Rows of ``length`` numbers from one matrix to another; the steps count numbers."""
    for row in range(rows):
        for j in range(0, length, lane_count(dtype)):
            kept = span(0, length - j, dtype)
            values = load_where(source + (row * source_step + j) * size, kept, dtype)
            store_where(target + (row * target_step + j) * size, kept, values)

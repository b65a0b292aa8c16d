"""Pooling: the largest value or the sum of each window, and where their gradients go. Planes are images of one channel each.

``window`` is (kernel h, kernel w, step down, step across, gap down, gap across, padding top, padding left). Windows of 2 x 2 side by side,
the common case, are done in vectors; the rest place by place over rows of windows, or window by window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64

from gradus.kernels.choices import maximum
from gradus.kernels.columns import clear, inside
from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.lanes import (
    any_nan,
    evens,
    lane_count,
    larger,
    largest,
    less,
    load_where,
    odds,
    pick,
    replaces,
    span,
    store_where,
    woven_first,
    woven_second,
    zeros,
)
from gradus.kernels.table import array


@inlined
def two_by_two(address, width, j, dtype, size):
    """The four values of each window: left and right ones of the upper row, then of the lower; and the masks of the two halves."""
    lanes = lane_count(dtype)
    first, second = span(0, width - 2 * j, dtype), span(0, width - 2 * j - lanes, dtype)
    a, b = load_where(address, first, dtype), load_where(address + lanes * size, second, dtype)
    address += width * size
    c, d = load_where(address, first, dtype), load_where(address + lanes * size, second, dtype)
    return evens(a, b), odds(a, b), evens(c, d), odds(c, d)


def _largest_of_four(dtype: Any, size: int) -> tuple[Any, Any]:
    """The largest of 2 x 2 values, and its gradient."""

    @compiled
    def largest_of_four(x, y, planes, height, width):
        down, across = height // 2, width // 2
        for p in range(planes):
            for j in range(0, across, lane_count(dtype)):
                kept = span(0, across - j, dtype)
                source, place = x + (p * height * width + 2 * j) * size, y + (p * down * across + j) * size
                for _ in range(down):
                    a, b, c, d = two_by_two(source, width, j, dtype, size)
                    store_where(place, kept, largest(largest(a, b), largest(c, d)))
                    source += 2 * width * size
                    place += across * size
        return 0

    @compiled
    def gradient_to_four(g, x, y, planes, height, width):
        down, across, lanes = height // 2, width // 2, lane_count(dtype)
        if height % 2 or width % 2:
            clear(y, planes * height * width, dtype, size)
        zero = zeros(dtype)
        for p in range(planes):
            for j in range(0, across, lanes):
                kept = span(0, across - j, dtype)
                first, second = span(0, 2 * (across - j), dtype), span(0, 2 * (across - j) - lanes, dtype)
                source, place = x + (p * height * width + 2 * j) * size, y + (p * height * width + 2 * j) * size
                cotangent = g + (p * down * across + j) * size
                a, b, c, d = two_by_two(source, width, j, dtype, size)
                for i in range(down):
                    t = load_where(cotangent, kept, dtype)
                    # The lower row, or the right one of two, only if it is greater or NaN: the first of equals has it, the last NaN.
                    # A NaN shows in the sums (so does infinity minus infinity, at no harm).
                    right, right_below, lower = less(a, b), less(c, d), less(larger(b, a), larger(d, c))
                    if any_nan(a + b, c + d):
                        right, right_below = replaces(b, a), replaces(d, c)
                        lower = replaces(pick(right_below, d, c), pick(right, b, a))
                    up, low = pick(lower, zero, t), pick(lower, t, zero)
                    e, f = pick(right, zero, up), pick(right, up, zero)
                    q, r = pick(right_below, zero, low), pick(right_below, low, zero)
                    # Before anything is written: where x and y lie a multiple of 4 KiB apart, as large arrays do, a processor would
                    # take reading the next row for reading what the vector that reaches into it has just written, and wait.
                    source += 2 * width * size if i + 1 < down else 0
                    a, b, c, d = two_by_two(source, width, j, dtype, size)
                    store_where(place, first, woven_first(e, f))
                    store_where(place + lanes * size, second, woven_second(e, f))
                    store_where(place + width * size, first, woven_first(q, r))
                    store_where(place + (width + lanes) * size, second, woven_second(q, r))
                    place += 2 * width * size
                    cotangent += across * size
        return 0

    return largest_of_four, gradient_to_four


def _largest_of_windows(dtype: Any, size: int) -> tuple[Any, Any]:
    """The largest of any windows, and its gradient."""

    @compiled
    def largest_of_windows(x, y, planes, height, width, down, across, k0, k1, s0, s1, d0, d1, top, left):
        source, target = array(x, dtype), array(y, dtype)
        for p in range(planes):
            for i in range(down):
                row = (p * down + i) * across
                for j in range(across):
                    target[row + j] = dtype(-np.inf)
                for k in range(k0):
                    r = i * s0 + k * d0 - top
                    if 0 <= r < height:
                        for m in range(k1):
                            first, end = inside(width, across, s1, m * d1 - left)
                            start = (p * height + r) * width + m * d1 - left
                            for j in range(first, end):
                                target[row + j] = maximum(target[row + j], source[start + j * s1])
        return 0

    @compiled
    def gradient_to_windows(g, x, y, planes, height, width, down, across, k0, k1, s0, s1, d0, d1, top, left):
        cotangent, source, target = array(g, dtype), array(x, dtype), array(y, dtype)
        clear(y, planes * height * width, dtype, size)
        for p in range(planes):
            for i in range(down):
                for j in range(across):
                    chosen, best = -1, dtype(-np.inf)  # the first of equals, the last NaN
                    for k in range(k0):
                        r = i * s0 + k * d0 - top
                        if 0 <= r < height:
                            for m in range(k1):
                                c = j * s1 + m * d1 - left
                                if 0 <= c < width:
                                    here = (p * height + r) * width + c
                                    v = source[here]
                                    if chosen < 0 or v > best or v != v:
                                        chosen, best = here, v
                    if chosen >= 0:
                        target[chosen] += cotangent[(p * down + i) * across + j]
        return 0

    return largest_of_windows, gradient_to_windows


def _sums_of_four(dtype: Any, size: int) -> tuple[Any, Any]:
    """Sums of 2 x 2 values, and their gradient."""

    @compiled
    def sum_of_four(x, y, planes, height, width):
        down, across = height // 2, width // 2
        for p in range(planes):
            for j in range(0, across, lane_count(dtype)):
                kept = span(0, across - j, dtype)
                source, place = x + (p * height * width + 2 * j) * size, y + (p * down * across + j) * size
                for _ in range(down):
                    a, b, c, d = two_by_two(source, width, j, dtype, size)
                    store_where(place, kept, (a + c) + (b + d))
                    source += 2 * width * size
                    place += across * size
        return 0

    @compiled
    def spread_to_four(g, y, planes, height, width):
        down, across, lanes = height // 2, width // 2, lane_count(dtype)
        if height % 2 or width % 2:
            clear(y, planes * height * width, dtype, size)
        for p in range(planes):
            for j in range(0, across, lanes):
                kept = span(0, across - j, dtype)
                first, second = span(0, 2 * (across - j), dtype), span(0, 2 * (across - j) - lanes, dtype)
                source, place = g + (p * down * across + j) * size, y + (p * height * width + 2 * j) * size
                for _ in range(down):
                    t = load_where(source, kept, dtype)
                    for _ in range(2):
                        store_where(place, first, woven_first(t, t))
                        store_where(place + lanes * size, second, woven_second(t, t))
                        place += width * size
                    source += across * size
        return 0

    return sum_of_four, spread_to_four


def _sums_of_windows(dtype: Any, size: int) -> tuple[Any, Any]:
    """Sums of any windows, and their gradient."""

    @compiled
    def sum_of_windows(x, y, planes, height, width, down, across, k0, k1, s0, s1, top, left):
        source, target = array(x, dtype), array(y, dtype)
        for p in range(planes):
            for i in range(down):
                row = (p * down + i) * across
                for j in range(across):
                    target[row + j] = dtype(0)
                for k in range(k0):
                    r = i * s0 + k - top
                    if 0 <= r < height:
                        for m in range(k1):
                            first, end = inside(width, across, s1, m - left)
                            start = (p * height + r) * width + m - left
                            for j in range(first, end):
                                target[row + j] += source[start + j * s1]
        return 0

    @compiled
    def spread_to_windows(g, y, planes, height, width, down, across, k0, k1, s0, s1, top, left):
        cotangent, target = array(g, dtype), array(y, dtype)
        clear(y, planes * height * width, dtype, size)
        for p in range(planes):
            for i in range(down):
                row = (p * down + i) * across
                for k in range(k0):
                    r = i * s0 + k - top
                    if 0 <= r < height:
                        for m in range(k1):
                            first, end = inside(width, across, s1, m - left)
                            start = (p * height + r) * width + m - left
                            for j in range(first, end):
                                target[start + j * s1] += cotangent[row + j]
        return 0

    return sum_of_windows, spread_to_windows


largest_of_four_float32, gradient_to_four_float32 = _largest_of_four(float32, 4)
largest_of_windows_float32, gradient_to_windows_float32 = _largest_of_windows(float32, 4)
sum_of_four_float32, spread_to_four_float32 = _sums_of_four(float32, 4)
sum_of_windows_float32, spread_to_windows_float32 = _sums_of_windows(float32, 4)
largest_of_four_float64, gradient_to_four_float64 = _largest_of_four(float64, 8)
largest_of_windows_float64, gradient_to_windows_float64 = _largest_of_windows(float64, 8)
sum_of_four_float64, spread_to_four_float64 = _sums_of_four(float64, 8)
sum_of_windows_float64, spread_to_windows_float64 = _sums_of_windows(float64, 8)

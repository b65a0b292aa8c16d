"""Convolution in steps of 1 straight from its definition: for few channels, where columns would cost more than the products with them.

Vectors run along a row of outputs. Several outputs of a group share each vector of pixels, so that reading it and masking the padding are
paid once; a group of one output (depthwise convolution) is the same with one.
"""

from __future__ import annotations

from typing import Any

from numba import float32, float64

from gradus.kernels.lanes import (
    add_products,
    add_scaled,
    compiled,
    lane_count,
    lane_sum,
    load,
    load_each,
    load_where,
    span,
    store,
    store_each,
    zeros,
)
from gradus.kernels.table import array

TOGETHER = 8  # outputs: sums in registers, enough of them to hide how long one addition takes


def _functions(dtype: Any, size: int) -> tuple[Any, Any]:
    """Forward (which is also the gradient for images) and weight gradient in one precision."""

    @compiled
    def rows_of_outputs(
        x, w, y, channels, height, width, down, across, k0, k1, d0, d1, top, left, channel_step, output_step, place_step, none
    ):  # fmt: skip
        """As many outputs of one image and group as ``none`` holds vectors of zeros."""
        for i in range(down):
            for j in range(0, across, lane_count(dtype)):
                sums = none
                for c in range(channels):
                    for k in range(k0):
                        row = i + k * d0 - top
                        if 0 <= row < height:
                            start = x + ((c * height + row) * width + j - left) * size
                            weights = w + (c * channel_step + k * k1 * place_step) * size
                            for m in range(k1):
                                offset = j + m * d1 - left
                                values = load_where(start + m * d1 * size, span(-offset, width - offset, dtype), dtype)
                                sums = add_scaled(sums, values, weights + m * place_step * size, output_step * size)
                store_each(y + (i * across + j) * size, down * across * size, span(0, across - j, dtype), sums)

    @compiled
    def forward(
        x, w, y, batch, channels, height, width, outputs, down, across, groups, k0, k1, d0, d1, top, left, turned
    ):  # fmt: skip
        places = k0 * k1
        few, out = channels // groups, outputs // groups
        channel_step, output_step, start, place_step = places, few * places, 0, 1
        if turned:
            channel_step, output_step, start, place_step = out * places, places, places - 1, -1
        zero = zeros(dtype)
        one, many = (zero,), (zero, zero, zero, zero, zero, zero, zero, zero)
        for b in range(batch):
            for g in range(groups):
                image = x + (b * channels + g * few) * height * width * size
                whole = out // TOGETHER * TOGETHER
                for o in range(0, whole, TOGETHER):
                    weights = w + (g * out * few * places + o * output_step + start) * size
                    target = y + (b * outputs + g * out + o) * down * across * size
                    rows_of_outputs(
                        image, weights, target, few, height, width, down, across, k0, k1, d0, d1, top, left,
                        channel_step, output_step, place_step, many,
                    )  # fmt: skip
                for o in range(whole, out):
                    weights = w + (g * out * few * places + o * output_step + start) * size
                    target = y + (b * outputs + g * out + o) * down * across * size
                    rows_of_outputs(
                        image, weights, target, few, height, width, down, across, k0, k1, d0, d1, top, left,
                        channel_step, output_step, place_step, one,
                    )  # fmt: skip
        return 0

    @compiled
    def sums_of_rows(x, g, sums, channels, height, width, down, across, first, last, k0, k1, d0, d1, top, left, like):
        """Add the share of some rows of as many outputs of one group as ``like`` holds vectors: ``sums`` (place, output)."""
        lanes = lane_count(dtype)
        vector, step = lanes * size, down * across * size
        everything = span(0, lanes, dtype)
        for c in range(channels):
            for k in range(k0):
                for m in range(k1):
                    total = load_each(sums, vector, like)
                    for i in range(max(first, top - k * d0), min(last, height + top - k * d0)):
                        start = x + ((c * height + i + k * d0 - top) * width + m * d1 - left) * size
                        row = g + i * across * size
                        for j in range(0, across, lanes):
                            offset = j + m * d1 - left
                            kept = span(max(-offset, 0), min(width - offset, across - j), dtype)
                            values = load_where(start + j * size, kept, dtype)
                            total = add_products(total, values, row + j * size, step, kept)
                    store_each(sums, vector, everything, total)
                    sums += len(like) * vector

    @compiled
    def weight_gradient(
        x, g, w, sums, batch, channels, height, width, outputs, down, across, groups, rows, k0, k1, d0, d1, top, left
    ):  # fmt: skip
        lanes = lane_count(dtype)
        few, out = channels // groups, outputs // groups
        depth, vector = few * k0 * k1, lanes * size
        zero = zeros(dtype)
        one, many = (zero,), (zero, zero, zero, zero, zero, zero, zero, zero)
        for k in range(outputs * depth):
            store(sums + k * vector, zero)
        whole = out // TOGETHER * TOGETHER
        for b in range(batch):
            for first in range(0, down, rows):
                last = min(first + rows, down)
                for k in range(groups):
                    image = x + (b * channels + k * few) * height * width * size
                    for o in range(0, whole, TOGETHER):
                        source, part = g + (b * outputs + k * out + o) * down * across * size, sums + (k * out + o) * depth * vector
                        sums_of_rows(image, source, part, few, height, width, down, across, first, last, k0, k1, d0, d1, top, left, many)
                    for o in range(whole, out):
                        source, part = g + (b * outputs + k * out + o) * down * across * size, sums + (k * out + o) * depth * vector
                        sums_of_rows(image, source, part, few, height, width, down, across, first, last, k0, k1, d0, d1, top, left, one)
        target = array(w, dtype)
        for k in range(groups):
            for o in range(out):
                together = TOGETHER if o < whole else 1
                start = (k * out + o // together * together) * depth + o % together
                for place in range(depth):
                    target[(k * out + o) * depth + place] = lane_sum(load(sums + (start + place * together) * vector, dtype))
        return 0

    return forward, weight_gradient


forward_float32, weight_gradient_float32 = _functions(float32, 4)
forward_float64, weight_gradient_float64 = _functions(float64, 8)

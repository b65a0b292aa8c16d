"""Convolution in steps of 1 straight from its definition: for few channels, where columns would cost more than the products with them.

Vectors run along a row of outputs. Several outputs of a group share each vector of pixels; those of one output share its weights
(depthwise convolution). The channels of a group are copied with their padding, so that nothing inside the loops asks where the image ends.
"""

from __future__ import annotations

from typing import Any

from numba import float32, float64

from gradus.kernels.columns import pad_planes
from gradus.kernels.compilation import compiled
from gradus.kernels.lanes import everywhere, lane_count, lane_sum, load, load_where, span, store, zeros
from gradus.kernels.register_tiles import add_products, add_scaled, load_each, store_each
from gradus.kernels.table import array

TOGETHER = 8  # outputs: sums in registers, enough of them to hide how long one addition takes


def _forward(dtype: Any, size: int) -> Any:
    """Images to outputs, or cotangents to images."""

    @compiled
    def rows_of_one(x, w, y, channels, plane, row, first, last, across, k0, k1, d0, d1, channel_step, place_step, none):
        """One output of one image, as many rows at a time as ``none`` holds vectors of zeros."""
        weights = array(w, dtype)
        for j in range(0, across, lane_count(dtype)):
            kept = span(0, across - j, dtype)
            for i in range(first, last, len(none)):
                sums = none
                for c in range(channels):
                    place = c * channel_step
                    for k in range(k0):
                        start = x + (c * plane + (i + k * d0) * row + j) * size
                        for m in range(k1):
                            sums = add_products(sums, everywhere(weights[place]), start + m * d1 * size, row * size, kept)
                            place += place_step
                store_each(y + (i * across + j) * size, across * size, kept, sums)

    @compiled
    def rows_of_outputs(x, w, y, channels, plane, row, down, across, k0, k1, d0, d1, channel_step, output_step, place_step, none):
        """As many outputs of one image and group as ``none`` holds vectors of zeros."""
        for j in range(0, across, lane_count(dtype)):
            kept = span(0, across - j, dtype)
            for i in range(down):
                sums = none
                for c in range(channels):
                    weights = w + c * channel_step * size
                    for k in range(k0):
                        start = x + (c * plane + (i + k * d0) * row + j) * size
                        for m in range(k1):
                            sums = add_scaled(sums, load(start + m * d1 * size, dtype), weights, output_step * size)
                            weights += place_step * size
                store_each(y + (i * across + j) * size, down * across * size, kept, sums)

    @compiled
    def forward(x, w, y, padded, batch, channels, height, width, outputs, down, across, groups, k0, k1, d0, d1, top, left, turned):
        """y = conv2d(x, w); with ``turned``, the gradient for images: x is the cotangent, and w is read as turned kernels."""
        places = k0 * k1
        few, out = channels // groups, outputs // groups
        channel_step, output_step, start, place_step = places, few * places, 0, 1
        if turned:
            channel_step, output_step, start, place_step = out * places, places, places - 1, -1
        rows, row = down + (k0 - 1) * d0, across + (k1 - 1) * d1
        zero = zeros(dtype)
        one, many = (zero,), (zero, zero, zero, zero, zero, zero, zero, zero)
        for b in range(batch):
            for g in range(groups):
                image = x + (b * channels + g * few) * height * width * size
                pad_planes(image, few, height, width, top, left, rows, row, padded, dtype, size)
                steps = (few, rows * row, row, down, across, k0, k1, d0, d1, channel_step, output_step, place_step)
                whole, whole_rows = out // TOGETHER * TOGETHER, down // TOGETHER * TOGETHER
                for o in range(0, whole, TOGETHER):
                    weights = w + (g * out * few * places + o * output_step + start) * size
                    rows_of_outputs(padded, weights, y + (b * outputs + g * out + o) * down * across * size, *steps, many)
                window = (across, k0, k1, d0, d1, channel_step, place_step)
                for o in range(whole, out):
                    weights = w + (g * out * few * places + o * output_step + start) * size
                    target = y + (b * outputs + g * out + o) * down * across * size
                    rows_of_one(padded, weights, target, few, rows * row, row, 0, whole_rows, *window, many)
                    rows_of_one(padded, weights, target, few, rows * row, row, whole_rows, down, *window, one)
        return 0

    return forward


def _weight_gradient(dtype: Any, size: int) -> Any:
    """Images and cotangents to kernels."""

    @compiled
    def sums_of_rows(x, g, sums, channels, plane, row, down, across, first, last, k0, k1, d0, d1, like):
        """Add the share of some rows of as many outputs of one group as ``like`` holds vectors: ``sums`` (place, output)."""
        lanes = lane_count(dtype)
        vector, step = lanes * size, down * across * size
        everything = span(0, lanes, dtype)
        for c in range(channels):
            for k in range(k0):
                for m in range(k1):
                    total = load_each(sums, vector, like)
                    start = x + (c * plane + k * d0 * row + m * d1) * size
                    for j in range(0, across, lanes):
                        kept = span(0, across - j, dtype)
                        for i in range(first, last):
                            values = load_where(start + (i * row + j) * size, kept, dtype)
                            total = add_products(total, values, g + (i * across + j) * size, step, kept)
                    store_each(sums, vector, everything, total)
                    sums += len(like) * vector

    @compiled
    def weight_gradient(
        x, g, w, padded, sums, batch, channels, height, width, outputs, down, across, groups, lot, k0, k1, d0, d1, top, left
    ):
        """The gradient of conv2d for its kernels, ``lot`` rows of the cotangent at a time; ``sums`` (output, place) are vectors."""
        few, out = channels // groups, outputs // groups
        depth, vector = few * k0 * k1, lane_count(dtype) * size
        rows, row = down + (k0 - 1) * d0, across + (k1 - 1) * d1
        zero = zeros(dtype)
        one, many = (zero,), (zero, zero, zero, zero, zero, zero, zero, zero)
        for k in range(outputs * depth):
            store(sums + k * vector, zero)
        whole = out // TOGETHER * TOGETHER
        for b in range(batch):
            for k in range(groups):
                image = x + (b * channels + k * few) * height * width * size
                pad_planes(image, few, height, width, top, left, rows, row, padded, dtype, size)
                for first in range(0, down, lot):
                    steps = (few, rows * row, row, down, across, first, min(first + lot, down), k0, k1, d0, d1)
                    for o in range(0, whole, TOGETHER):
                        source = g + (b * outputs + k * out + o) * down * across * size
                        sums_of_rows(padded, source, sums + (k * out + o) * depth * vector, *steps, many)
                    for o in range(whole, out):
                        source = g + (b * outputs + k * out + o) * down * across * size
                        sums_of_rows(padded, source, sums + (k * out + o) * depth * vector, *steps, one)
        target = array(w, dtype)
        for k in range(groups):
            for o in range(out):
                together = TOGETHER if o < whole else 1
                start = (k * out + o // together * together) * depth + o % together
                for place in range(depth):
                    target[(k * out + o) * depth + place] = lane_sum(load(sums + (start + place * together) * vector, dtype))
        return 0

    return weight_gradient


forward_float32 = _forward(float32, 4)
weight_gradient_float32 = _weight_gradient(float32, 4)
forward_float64 = _forward(float64, 8)
weight_gradient_float64 = _weight_gradient(float64, 8)

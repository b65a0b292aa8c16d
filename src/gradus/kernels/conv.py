"""Convolution of any kind as matrix products with columns, of a few images or rows at a time, so that they stay in the cache.

Per block, with W (outputs, depth), columns (depth, windows) and the cotangent Y' (outputs, windows), in each group of channels:

    Y = W · columns        W' += Y' · columnsᵀ        X' += the columns Wᵀ · Y', added where they were read

A block is ``rows`` rows of windows of one image, whose results the product writes straight into the image, or several whole images with
windows side by side, which need a copy. Kernels of 1 x 1 in steps of 1 need no columns (``plain``).
"""

from __future__ import annotations

from typing import Any

from numba import float32, float64

from gradus.kernels.columns import add_columns, clear, copy_rows, fill_columns
from gradus.kernels.compilation import compiled
from gradus.kernels.memory import dgemm, sgemm


def _forward(dtype: Any, size: int, gemm: Any) -> Any:
    """Images and kernels to outputs."""

    @compiled
    def forward(
        x, w, y, columns, products, batch, channels, height, width, outputs, down, across, groups, images, rows, plain,
        k0, k1, s0, s1, d0, d1, top, left,
    ):  # fmt: skip
        window = (k0, k1, s0, s1, d0, d1, top, left)
        depth, out, windows = channels // groups * k0 * k1, outputs // groups, down * across
        for b in range(0, batch, images):
            count = min(images, batch - b)
            for first in range(0, down, rows):
                last = min(first + rows, down)
                here = (last - first) * across
                length = count * here
                for i in range(count):
                    image = x + (b + i) * channels * height * width * size
                    if plain:
                        columns, length = image + first * across * size, windows
                    else:
                        place = columns + i * here * size
                        fill_columns(image, channels, height, width, window, across, first, last, place, length, dtype, size)
                start = y + (b * outputs * windows + first * across) * size
                target, step = (start, windows) if images == 1 else (products, length)
                for g in range(groups):
                    a, c = w + g * out * depth * size, target + g * out * step * size
                    gemm(False, False, out, count * here, depth, 1.0, a, depth, columns + g * depth * length * size, length, 0.0, c, step)
                if images > 1:
                    for i in range(count):
                        place = y + (b + i) * outputs * windows * size
                        copy_rows(products + i * windows * size, length, place, windows, outputs, windows, dtype, size)
        return 0

    return forward


def _input_gradient(dtype: Any, size: int, gemm: Any) -> Any:
    """Cotangents and kernels to images."""

    @compiled
    def input_gradient(
        g, w, x, columns, products, batch, channels, height, width, outputs, down, across, groups, images, rows, plain,
        k0, k1, s0, s1, d0, d1, top, left,
    ):  # fmt: skip
        window = (k0, k1, s0, s1, d0, d1, top, left)
        depth, out, windows = channels // groups * k0 * k1, outputs // groups, down * across
        pixels = channels * height * width
        for b in range(0, batch, images):
            count = min(images, batch - b)
            if not plain:
                clear(x + b * pixels * size, count * pixels, dtype, size)
            for first in range(0, down, rows):
                last = min(first + rows, down)
                here = (last - first) * across
                length = count * here
                source, step = g + (b * outputs * windows + first * across) * size, windows
                if images > 1:
                    for i in range(count):
                        place = g + (b + i) * outputs * windows * size
                        copy_rows(place, windows, products + i * windows * size, length, outputs, windows, dtype, size)
                    source, step = products, length
                if plain:
                    columns, length = x + (b * pixels + first * across) * size, windows
                for k in range(groups):
                    a, c = w + k * out * depth * size, columns + k * depth * length * size
                    gemm(True, False, depth, count * here, out, 1.0, a, depth, source + k * out * step * size, step, 0.0, c, length)
                if not plain:
                    for i in range(count):
                        place, image = columns + i * here * size, x + (b + i) * pixels * size
                        add_columns(place, length, channels, height, width, window, across, first, last, image, dtype, size)
        return 0

    return input_gradient


def _weight_gradient(dtype: Any, size: int, gemm: Any) -> Any:
    """Images and cotangents to kernels."""

    @compiled
    def weight_gradient(
        x, g, w, columns, products, batch, channels, height, width, outputs, down, across, groups, images, rows, plain,
        k0, k1, s0, s1, d0, d1, top, left,
    ):  # fmt: skip
        window = (k0, k1, s0, s1, d0, d1, top, left)
        depth, out, windows = channels // groups * k0 * k1, outputs // groups, down * across
        beta = 0.0
        for b in range(0, batch, images):
            count = min(images, batch - b)
            for first in range(0, down, rows):
                last = min(first + rows, down)
                here = (last - first) * across
                length = count * here
                source, step = g + (b * outputs * windows + first * across) * size, windows
                if images > 1:
                    for i in range(count):
                        place = g + (b + i) * outputs * windows * size
                        copy_rows(place, windows, products + i * windows * size, length, outputs, windows, dtype, size)
                    source, step = products, length
                for i in range(count):
                    image = x + (b + i) * channels * height * width * size
                    if plain:
                        columns, length = image + first * across * size, windows
                    else:
                        place = columns + i * here * size
                        fill_columns(image, channels, height, width, window, across, first, last, place, length, dtype, size)
                for k in range(groups):
                    a, c = source + k * out * step * size, w + k * out * depth * size
                    right = columns + k * depth * length * size
                    gemm(False, True, out, depth, count * here, 1.0, a, step, right, length, beta, c, depth)
                beta = 1.0
        return 0

    return weight_gradient


forward_float32 = _forward(float32, 4, sgemm)
input_gradient_float32 = _input_gradient(float32, 4, sgemm)
weight_gradient_float32 = _weight_gradient(float32, 4, sgemm)
forward_float64 = _forward(float64, 8, dgemm)
input_gradient_float64 = _input_gradient(float64, 8, dgemm)
weight_gradient_float64 = _weight_gradient(float64, 8, dgemm)

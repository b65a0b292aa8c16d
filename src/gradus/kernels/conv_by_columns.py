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
from gradus.kernels.products import dgemm, sgemm


@compiled
def columns_of_images(x, count, channels, height, width, window, across, first, last, columns, dtype, size):
    """The columns of some rows of windows of ``count`` images, side by side."""
    here = (last - first) * across
    for i in range(count):
        image, place = x + i * channels * height * width * size, columns + i * here * size
        fill_columns(image, channels, height, width, window, across, first, last, place, count * here, dtype, size)


@compiled
def set_side_by_side(g, count, outputs, windows, products, dtype, size):
    """Rows of ``count`` images one behind the other in memory, as one matrix."""
    for i in range(count):
        copy_rows(g + i * outputs * windows * size, windows, products + i * windows * size, count * windows, outputs, windows, dtype, size)


@compiled
def set_apart(products, count, outputs, windows, y, dtype, size):
    """The inverse of :func:`set_side_by_side`."""
    for i in range(count):
        copy_rows(products + i * windows * size, count * windows, y + i * outputs * windows * size, windows, outputs, windows, dtype, size)


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
                image, length = x + b * channels * height * width * size, count * here
                if plain:
                    columns, length = image + first * across * size, windows
                else:
                    columns_of_images(image, count, channels, height, width, window, across, first, last, columns, dtype, size)
                start = y + (b * outputs * windows + first * across) * size
                target, step = (start, windows) if images == 1 else (products, length)
                for g in range(groups):
                    a, c = w + g * out * depth * size, target + g * out * step * size
                    gemm(False, False, out, count * here, depth, 1.0, a, depth, columns + g * depth * length * size, length, 0.0, c, step)
                if images > 1:
                    set_apart(products, count, outputs, windows, y + b * outputs * windows * size, dtype, size)
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
                    set_side_by_side(g + b * outputs * windows * size, count, outputs, windows, products, dtype, size)
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
                    set_side_by_side(g + b * outputs * windows * size, count, outputs, windows, products, dtype, size)
                    source, step = products, length
                image = x + b * channels * height * width * size
                if plain:
                    columns, length = image + first * across * size, windows
                else:
                    columns_of_images(image, count, channels, height, width, window, across, first, last, columns, dtype, size)
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

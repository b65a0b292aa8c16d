"""Which compiled kernel computes a convolution with its pooling: Winograd's way, or for few channels the definition; float32 only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradus.fused.conv_kernels import LANES, LEAST_TILES, SLACK, TILES
from gradus.primitive import Handmade

FEW = 4  # channels up to which the definition is taken
MANY = 8  # channels and outputs from which on Winograd's way is


class Shape(NamedTuple):
    """From images (batch, channels, height, width) to as many maxima of ``outputs`` channels as there are windows of 2 x 2."""

    batch: int
    channels: int
    height: int
    width: int
    outputs: int

    @property
    def windows(self) -> int:
        """In one image."""
        return self.height // 2 * (self.width // 2)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the convolution, by its definition."""
        return 8 * self.batch * self.outputs * self.windows * self.channels * 9

    @property
    def few(self) -> bool:
        """Whether the definition is the way."""
        return self.channels <= FEW

    def tiles(self) -> tuple[int, int]:
        """Tile rows at a time, and the tiles in them."""
        across = self.width // 2
        wanted = min(256, max(LEAST_TILES, TILES // (64 * (self.channels + self.outputs))))
        rows = max(1, min(round(wanted / across), self.batch * (self.height // 2)))
        return rows, rows * across


def shape_of(x_shape: Any, w_shape: Any, *arrays: Any) -> Shape | None:
    """The shape of a convolution by 3 x 3 kernels with one zero around images of even sides; None where there is no kernel for it."""
    batch, channels, height, width = x_shape
    if tuple(w_shape[1:]) != (channels, 3, 3) or height % 2 or width % 2 or any(a.dtype != np.float32 for a in arrays):
        return None
    if channels > FEW and min(channels, w_shape[0]) < MANY:
        return None
    return Shape(batch, channels, height, width, w_shape[0])


def _places(rows: int, columns: int) -> tuple[int, str]:
    return 16 * (rows * columns + 16) + SLACK, "float32"


def conv_max_pool2d(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For images, kernels and biases."""
    x, w, bias = inputs
    s = shape_of(x.shape, w.shape, x, w, bias)
    if s is None:
        return None
    if s.few:
        return Handmade("conv_pool.forward_of_few", tuple(s), (), ((16 * s.channels * s.windows + SLACK, "float32"),), s.flops)
    rows, tiles = s.tiles()
    scratch = (_places(s.outputs, s.channels), _places(s.channels, tiles), _places(s.outputs, tiles))
    return Handmade("conv_pool.forward", (*s, rows), (), scratch, s.flops)


def weight_gradient(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For images, a cotangent and places."""
    x, h, places = inputs
    s = shape_of(x.shape, output.shape, x, h, places)
    if s is None:
        return None
    if s.few:
        pixels, sums = (16 * s.channels * s.windows + SLACK, "float32"), (s.outputs * s.channels * 9 * LANES // 4, "float32")
        return Handmade("conv_pool.weight_gradient_of_few", tuple(s), (), (pixels, sums), s.flops // 4)
    rows, tiles = s.tiles()
    turned = (s.channels * tiles + SLACK, "float32")
    scratch = (_places(s.outputs, s.channels), _places(s.channels, tiles), turned, _places(s.outputs, tiles))
    return Handmade("conv_pool.weight_gradient", (*s, rows), (), scratch, s.flops)


def input_gradient(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For a cotangent, places and kernels."""
    h, places, w = inputs
    s = shape_of(output.shape, w.shape, h, places, w)
    if s is None or s.few:
        return None
    rows, tiles = s.tiles()
    scratch = (_places(s.outputs, s.channels), _places(s.outputs, tiles), _places(s.channels, tiles), (s.windows + SLACK, "float32"))
    return Handmade("conv_pool.input_gradient", (*s, rows), (), scratch, s.flops)

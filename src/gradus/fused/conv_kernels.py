"""Which compiled kernel computes a convolution: Winograd's way, straight from the definition, or as products with columns.

Measured on one thread of an AMD Zen 5 with AVX-512, in turns (``benchmarks/convolution.py --ways``): 10⁹ operations of the definition a
second, beside 180 to 205 of a plain float32 matrix product; 3 x 3 kernels in steps of 1, padding 1, C channels to O.

    ==================================  ====================  =======  ==========  =======
    images                              op                    Winograd definition  columns
    ==================================  ====================  =======  ==========  =======
    64 of 28 x 28, C 1, O 32            forward                    43          86      102
    64 of 28 x 28, C 1, O 32            gradient for kernels       29          59       72
    64 of 14 x 14, C 32, O 64           forward                   253         113      141
    64 of 14 x 14, C 32, O 64           gradient for images       224         110      111
    64 of 14 x 14, C 32, O 64           gradient for kernels      182          58      125
    32 of 28 x 28, C 8, O 8             forward                   159         110       99
    32 of 28 x 28, C 8, O 8             gradient for kernels       54          67       86
    32 of 28 x 28, C 16, O 16           forward                   236         114       96
    32 of 28 x 28, C 16, O 16           gradient for kernels      117          68       67
    32 of 14 x 14, C 32, O 64 in 4      forward                     –         111      105
    32 of 14 x 14, C 32, O 64 in 4      gradient for images         –         106       51
    64 of 14 x 14, C 6, O 16, 5 x 5     forward                     –          92       66
    ==================================  ====================  =======  ==========  =======
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gradus.primitive import Handmade

KINDS = {np.dtype("float32"): "float32", np.dtype("float64"): "float64"}
LANES = 64  # bytes of a vector
SLACK = 64  # elements behind a scratch array, for vectors that begin in it
COLUMNS = 1 << 19  # bytes of columns at a time
TILES = 3 << 18  # bytes of transformed tiles at a time: with the kernels they fill most of a second-level cache of 1 MiB
LEAST_TILES = 40  # at a time
FEW_WINDOWS = 128  # images with fewer windows stand side by side
ROWS = 1 << 10  # numbers of a cotangent at a time, for each output that is summed up at once
SHALLOW = 256  # numbers in a window up to which the definition beats columns, where vectors are filled


class Shape(NamedTuple):
    """The sizes of one convolution, from images x by kernels w to y."""

    batch: int
    channels: int
    height: int
    width: int
    outputs: int
    down: int
    across: int
    groups: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    kind: str

    @property
    def depth(self) -> int:
        """Numbers of a window, in one group."""
        return self.channels // self.groups * math.prod(self.kernel)

    @property
    def flops(self) -> int:
        """Multiplications and additions by the definition."""
        return 2 * self.batch * self.outputs * self.down * self.across * self.depth

    @property
    def sizes(self) -> tuple[int, ...]:
        """Batch to across."""
        return self[:7]

    def turned(self) -> Shape:
        """The convolution in steps of 1 that is the gradient for images: from cotangents to images, by kernels read from their end."""
        reach = [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]
        return self._replace(
            channels=self.outputs,
            height=self.down,
            width=self.across,
            outputs=self.channels,
            down=self.height,
            across=self.width,
            before=(reach[0] - self.before[0], reach[1] - self.before[1]),
        )


def shape_of(x: Any, w: Any, y: Any, params: Any) -> Shape | None:
    """The shape of a call, None if no kernel knows its dtype or its padding."""
    padding = params["padding"]
    if x.dtype not in KINDS or not x.dtype == w.dtype == y.dtype or min(min(around) for around in padding) < 0:
        return None
    (batch, channels, height, width), (outputs, _, *kernel), (_, _, down, across) = x.shape, w.shape, y.shape
    before: Any = tuple(around[0] for around in padding)
    kernel_size: Any = tuple(kernel)
    return Shape(
        batch, channels, height, width, outputs, down, across, params["groups"],
        kernel_size, params["stride"], params["dilation"], before, KINDS[x.dtype],
    )  # fmt: skip


def _steps_of_one(s: Shape) -> bool:
    return s.stride == (1, 1)


def suits_tiles(s: Shape, least: int) -> bool:
    """Whether Winograd's way pays from ``least`` channels on: float32, since float64 is asked for where every digit counts."""
    plain = s.kernel == (3, 3) and s.stride == s.dilation == (1, 1) and s.groups == 1
    return plain and s.kind == "float32" and min(s.channels, s.outputs) >= least


def _suits_definition(s: Shape) -> bool:
    """Whether few products are made from each pixel, and vectors along a row are filled well."""
    lanes = LANES // (4 if s.kind == "float32" else 8)
    filled = s.across / (-(-s.across // lanes) * lanes)
    alone = s.outputs // s.groups < 8 and s.groups == 1
    return _steps_of_one(s) and s.kernel != (1, 1) and s.depth <= SHALLOW * filled and not alone


def _tiles(s: Shape) -> tuple[int, int]:
    """Tile rows at a time, and the tiles in them."""
    across = (s.across + 1) // 2
    wanted = min(256, max(LEAST_TILES, TILES // (64 * (s.channels + s.outputs))))
    rows = max(1, min(round(wanted / across), s.batch * ((s.down + 1) // 2)))
    return rows, rows * across


def _places(rows: int, columns: int) -> tuple[int, str]:
    return 16 * (rows * columns + 16) + SLACK, "float32"


def by_tiles(s: Shape, turned: int) -> Handmade:
    """Winograd's way; with ``turned``, from cotangents to images."""
    rows, tiles = _tiles(s)
    scratch = (_places(s.outputs, s.channels), _places(s.channels, tiles), _places(s.outputs, tiles))
    return Handmade("winograd.forward", (*s.sizes, *s.before, rows, turned), (), scratch, s.flops)


def sums_by_tiles(s: Shape) -> Handmade:
    """Winograd's way to the gradient for kernels."""
    rows, tiles = _tiles(s)
    turned = (s.channels * tiles + SLACK, s.kind)
    scratch = (_places(s.outputs, s.channels), _places(s.channels, tiles), turned, _places(s.outputs, tiles))
    return Handmade("winograd.weight_gradient", (*s.sizes, *s.before, rows), (), scratch, s.flops)


def _padded(s: Shape) -> tuple[int, str]:
    """Room for the channels of a group with their padding."""
    rows, row = [n + d * (k - 1) for n, k, d in zip((s.down, s.across), s.kernel, s.dilation, strict=True)]
    return s.channels // s.groups * rows * row + SLACK, s.kind


def by_definition(s: Shape, turned: int) -> Handmade:
    """The definition in vectors; with ``turned``, from cotangents to images."""
    integers = (*s.sizes, s.groups, *s.kernel, *s.dilation, *s.before, turned)
    return Handmade(f"direct.forward_{s.kind}", integers, (), (_padded(s),), s.flops)


def sums_by_definition(s: Shape) -> Handmade:
    """The definition of the gradient for kernels."""
    sums = (s.outputs * s.depth * LANES // (int(s.kind[5:]) // 8), s.kind)
    rows = max(1, min(s.down, ROWS // s.across))
    window = (*s.kernel, *s.dilation, *s.before)
    return Handmade(f"direct.weight_gradient_{s.kind}", (*s.sizes, s.groups, rows, *window), (), (_padded(s), sums), s.flops)


def by_columns(name: str, s: Shape) -> Handmade:
    """Products with columns."""
    depth = s.groups * s.depth
    windows = s.down * s.across
    wanted = max(16, COLUMNS // (depth * int(s.kind[5:]) // 8))
    plain = s.kernel == s.stride == (1, 1) and s.before == (0, 0) and (s.height, s.width) == (s.down, s.across)
    images, rows = 1, max(1, min(s.down, wanted // s.across))
    if windows < FEW_WINDOWS and rows == s.down:
        images, plain = max(1, min(s.batch, wanted // windows)), plain and s.batch == 1
    length = images * rows * s.across
    scratch = ((1 if plain else depth * length, s.kind), (s.outputs * length if images > 1 else 1, s.kind))
    window = (*s.kernel, *s.stride, *s.dilation, *s.before)
    return Handmade(f"conv_by_columns.{name}_{s.kind}", (*s.sizes, s.groups, images, rows, int(plain), *window), (), scratch, s.flops)


def conv2d(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For images and kernels."""
    x, w = inputs
    s = shape_of(x, w, output, params)
    if s is None:
        return None
    if suits_tiles(s, 8):
        return by_tiles(s, 0)
    return by_definition(s, 0) if _suits_definition(s) else by_columns("forward", s)


def input_gradient(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For a cotangent and kernels."""
    g, w = inputs
    s = shape_of(output, w, g, params)
    if s is None:
        return None
    if _steps_of_one(s):
        back = s.turned()
        if suits_tiles(back, 8):
            return by_tiles(back, 1)
        if _suits_definition(back):
            return by_definition(back, 1)
    return by_columns("input_gradient", s)


def weight_gradient(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For images and a cotangent."""
    x, g = inputs
    s = shape_of(x, output, g, params)
    if s is None:
        return None
    if suits_tiles(s, 16):
        return sums_by_tiles(s)
    if _steps_of_one(s) and s.outputs == s.groups:
        return sums_by_definition(s)
    return by_columns("weight_gradient", s)

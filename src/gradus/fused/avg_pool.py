"""Average pooling: the sum of each window, divided by how many values it has. The sum and its gradient are the records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, UsageError
from gradus.fused import pool_kernels
from gradus.fused.pool import COLUMNS, ROWS, Line, as_rows, pool_window, row_sizes, spread
from gradus.fused.unfold import NO_PADDING, Padding, Pair, images, ints
from gradus.primitive import bind, primitive


def _sum_pool(xp: Any, x: Any, *, kernel: Pair, stride: Pair, padding: Padding) -> Any:
    for axis in (ROWS, COLUMNS):
        line = Line(axis, x.shape[axis], kernel, stride, padding, (1, 1))
        first, *others = line.places(xp, line.pad(xp, x))
        for values in others:
            first = first + values
        x = first
    return x


def _sum_pool_gradient(xp: Any, g: Any, *, size: Pair, kernel: Pair, stride: Pair, padding: Padding) -> Any:
    for axis in (COLUMNS, ROWS):
        line = Line(axis, size[axis - ROWS], kernel, stride, padding, (1, 1))
        g = line.add_at(xp, [g] * len(line.keys))
    return g


def _sum_pool_gradient_raw(g: np.ndarray, *, size: Pair, kernel: Pair, stride: Pair, padding: Padding) -> np.ndarray:
    for axis in (COLUMNS, ROWS):
        line = Line(axis, size[axis - ROWS], kernel, stride, padding, (1, 1))
        g = spread(line, g, [None] * len(line.keys))
    return g


@primitive(
    "sum_pool2d",
    _sum_pool,
    (lambda xp, g, x_shape, params: xp.sum_pool2d_gradient(g, size=tuple(x_shape[2:]), **params),),
    kernel=pool_kernels.sum_pool2d,
    family="fused",
    forward_mode="linear",
    samples=lambda draw: [
        ((draw(2, 2, 4, 6), (2, 2), (2, 2), NO_PADDING), {}),
        ((draw(1, 2, 5, 4), (3, 2), (1, 2), ((1, 1), (0, 1))), {}),
    ],
)
def sum_pool2d(record: Any, x: Any, /, kernel: Pair, stride: Pair, padding: Padding) -> Any:
    """The sum of each window: what a mean is made of."""
    return bind(record, (x,), {"kernel": kernel, "stride": stride, "padding": padding})


@primitive(
    "sum_pool2d_gradient",
    _sum_pool_gradient,
    (lambda xp, t, kernel, stride, padding: xp.sum_pool2d(t, kernel=kernel, stride=stride, padding=padding),),
    raw=_sum_pool_gradient_raw,
    kernel=pool_kernels.sum_pool2d_gradient,
    family="fused",
    forward_mode="linear",
    samples=lambda draw: [
        ((draw(2, 2, 2, 3), (4, 6), (2, 2), (2, 2), NO_PADDING), {}),
        ((draw(1, 2, 5, 2), (5, 4), (3, 2), (1, 2), ((1, 1), (0, 1))), {}),
    ],
)
def sum_pool2d_gradient(record: Any, g: Any, /, size: Pair, kernel: Pair, stride: Pair, padding: Padding) -> Any:
    """The gradient of sum_pool2d: each cotangent added to all places of its window, in images of ``size``."""
    return bind(record, (g,), {"size": size, "kernel": kernel, "stride": stride, "padding": padding})


# PyTorch's functions.


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """y[b, c, i, j] = the mean of x[b, c, …] in the window (i, j).

    Args:
        input: (B, C, H, W), or (C, H, W) for one image.
        kernel_size, stride, padding, ceil_mode: as in :func:`max_pool2d`; what is padded is 0.
        count_include_pad: whether padded zeros count where the sum is divided by the number of values.
        divisor_override: divide by this instead.

    Raises:
        ShapeError: an input that is no image (E05), a window larger than the padded image (E06).
        DTypeError: integers (E14).
        UsageError: sizes below 1, padding of more than half a kernel (E29).

    >>> from gradus.tensors import Tensor
    >>> avg_pool2d(Tensor([[[1.0, 2.0], [3.0, 6.0]]]), 2)
    tensor([[[3.]]])
    """
    x = _floating("avg_pool2d", images("avg_pool2d", input))
    if divisor_override == 0:
        raise UsageError("divisor must be not zero", got="divisor_override=0", wanted="another number, or None", code="E29")
    window = pool_window(x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    kernel, steps, around = window["kernel"], window["stride"], window["padding"]
    y = sum_pool2d(x, kernel, steps, around)
    if divisor_override is not None:
        y = y * (1.0 / divisor_override)
    elif around == NO_PADDING:
        y = y * (1.0 / math.prod(kernel))
    else:
        pads = ints(padding, 2, "padding", least=0)
        lengths = [
            _lengths(n, count, k, s, p, count_include_pad)
            for n, count, k, s, p in zip(x.shape[2:], y.shape[2:], kernel, steps, pads, strict=True)
        ]
        y = y * (1.0 / np.outer(*lengths)).astype(x.dtype)
    return y if input.ndim == 4 else ops.squeeze(y, axis=0)


def _lengths(size: int, count: int, kernel: int, stride: int, pad: int, count_pad: bool) -> np.ndarray:
    """How many places of each window count; those beyond the padding that was asked for never do."""
    start = np.arange(count) * stride - pad
    end = np.minimum(start + kernel, size + pad)
    return end - start if count_pad else np.minimum(end, size) - np.maximum(start, 0)


def _floating(op: str, x: Any) -> Any:
    if x.dtype.kind != "f":
        raise DTypeError(f"{op} takes the mean of floating numbers", got=f"x {x.dtype}", wanted="floats", fix="x.float()", code="E14")
    return x


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The mean of windows that are chosen so that ``output_size`` of them cover the image: window i begins at ⌊i·H/n⌋, ends at ⌈(i+1)·H/n⌉.

    Args:
        input: (B, C, H, W), or (C, H, W) for one image.
        output_size: one number or (h, w); None stands for the input's own length.

    Raises:
        ShapeError: an input that is no image (E05).
        DTypeError: integers (E14).

    >>> from gradus.tensors import Tensor
    >>> adaptive_avg_pool2d(Tensor([[[1.0, 2.0, 6.0]]]), (1, 2))
    tensor([[[1.5000, 4.0000]]])
    """
    x = _floating("adaptive_avg_pool2d", images("adaptive_avg_pool2d", input))
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * 2
    if len(given) != 2:
        raise UsageError(f"output_size cannot be {output_size!r}", wanted="one number or (h, w)", code="E29")
    size = tuple(x.shape[2:])
    wanted = ints([n if m is None else m for n, m in zip(size, given, strict=True)], 2, "output_size")
    if all(m and n % m == 0 for n, m in zip(size, wanted, strict=True)):
        kernel: Any = tuple(n // m for n, m in zip(size, wanted, strict=True))
        y = sum_pool2d(x, kernel, kernel, NO_PADDING) * (1.0 / max(1, math.prod(kernel)))
    else:
        y = x
        for axis, n, m in zip((ROWS, COLUMNS), size, wanted, strict=True):
            ends = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
            means = [ops.mean(ops.getitem(y, key=(slice(None),) * axis + (slice(*end),)), axis=axis, keepdims=True) for end in ends]
            y = ops.concat(means, axis=axis)
    return y if input.ndim == 4 else ops.squeeze(y, axis=0)


def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
) -> Any:
    """:func:`avg_pool2d` over sequences: (B, C, L) or (C, L).

    >>> from gradus.tensors import Tensor
    >>> avg_pool1d(Tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    tensor([[3.0000, 2.5000]])
    """
    sizes = (row_sizes(kernel_size, "kernel_size", 1), row_sizes(stride, "stride", 1), row_sizes(padding, "padding", 0, 0))
    return as_rows("avg_pool1d", input, lambda x: avg_pool2d(x, *sizes, ceil_mode, count_include_pad))


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """:func:`adaptive_avg_pool2d` over sequences: (B, C, L) or (C, L).

    >>> from gradus.tensors import Tensor
    >>> adaptive_avg_pool1d(Tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    tensor([[3.0000, 2.5000]])
    """
    (size,) = output_size if isinstance(output_size, (tuple, list)) and len(output_size) == 1 else (output_size,)
    return as_rows("adaptive_avg_pool1d", input, lambda x: adaptive_avg_pool2d(x, (1, size)))

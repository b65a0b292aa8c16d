"""Convolution: three ops, each bilinear and each the derivative of the others, so that derivatives of any order stay among them.

With the windows of the images as columns, all three are matrix products: y = W · columns, the gradient of the weights is g · columnsᵀ, and
the gradient of the images is Wᵀ · g, folded back. The columns exist for a few images at a time, so that they stay in the cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import ShapeError, UsageError
from gradus.fused import conv_kernels
from gradus.fused.unfold import (
    NO_PADDING,
    Padding,
    Pair,
    add_columns,
    columns_of,
    images,
    images_of,
    ints,
    padded_images,
    reach,
    window_counts,
    window_view,
)
from gradus.primitive import bind, primitive

COLUMN_BYTES = 1 << 22  # of columns at a time; measured flat from a quarter of it to here, slower beyond


# The definitions, in the vocabulary.


def _grouped_columns(xp: Any, x: Any, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Any:
    """(B, C, H, W) to (B, groups, C / groups · places, windows)."""
    columns = columns_of(xp, x, kernel, stride, padding, dilation)
    batch, channels, places, down, across = columns.shape
    return xp.reshape(columns, (batch, groups, channels // groups * places, down * across))


def _conv2d(xp: Any, x: Any, w: Any, *, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Any:
    out, _, *kernel = w.shape
    counts = window_counts(x.shape[2:], tuple(kernel), stride, padding, dilation)
    columns = _grouped_columns(xp, x, tuple(kernel), stride, padding, dilation, groups)
    rows = xp.reshape(w, (groups, out // groups, columns.shape[2]))
    return xp.reshape(xp.matmul(rows, columns), (x.shape[0], out, *counts))


def _input_gradient(
    xp: Any, g: Any, w: Any, *, x_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Any:
    out, channels, *kernel = w.shape
    batch, _, down, across = g.shape
    rows = xp.reshape(w, (groups, out // groups, channels * kernel[0] * kernel[1]))
    columns = xp.matmul(xp.matrix_transpose(rows), xp.reshape(g, (batch, groups, out // groups, down * across)))
    columns = xp.reshape(columns, (batch, groups * channels, kernel[0] * kernel[1], down, across))
    return images_of(xp, columns, x_shape[2:], tuple(kernel), stride, padding, dilation)  # type: ignore[arg-type]


def _weight_gradient(
    xp: Any, x: Any, g: Any, *, w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Any:
    columns = _grouped_columns(xp, x, w_shape[2:], stride, padding, dilation, groups)  # type: ignore[arg-type]
    batch, out, down, across = g.shape
    products = xp.matmul(xp.reshape(g, (batch, groups, out // groups, down * across)), xp.matrix_transpose(columns))
    return xp.reshape(xp.sum(products, axis=0), w_shape)


# The same on NumPy arrays. The images of a block lie side by side, so that one product serves all of them: few large products are
# faster than many small ones where windows are few, and much faster where a threaded BLAS waits for a busy core at each.


def _blocks(batch: int, bytes_an_image: int) -> list[slice]:
    size = max(1, COLUMN_BYTES // max(1, bytes_an_image))
    return [slice(start, min(start + size, batch)) for start in range(0, batch, size)]


class _Memory:
    """Room for the largest block of an intermediate result: fresh pages for each would cost more than filling them."""

    def __init__(self, blocks: list[slice], size_an_image: int, dtype: Any) -> None:
        self.flat = np.empty((blocks[0].stop if blocks else 0) * size_an_image, dtype)

    def shaped(self, *shape: int) -> np.ndarray:
        """The first part of the room as an array of this shape."""
        return self.flat[: math.prod(shape)].reshape(shape)


def _conv2d_raw(x: np.ndarray, w: np.ndarray, *, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> np.ndarray:
    batch, (out, channels, *sides) = x.shape[0], w.shape
    kernel = (sides[0], sides[1])
    counts = window_counts(x.shape[2:], kernel, stride, padding, dilation)
    windows, depth = counts[0] * counts[1], channels * kernel[0] * kernel[1]
    rows = w.reshape(groups, out // groups, depth)
    x = padded_images(x, padding)
    if kernel == (1, 1):
        pixels = x[:, :, :: stride[0], :: stride[1]].reshape(batch, groups, channels, windows)
        return np.matmul(rows, pixels).reshape(batch, out, *counts)
    y = np.empty((batch, out, *counts), np.result_type(x, w))
    view = window_view(x, kernel, stride, dilation, counts).transpose(1, 2, 3, 0, 4, 5)
    blocks = _blocks(batch, groups * depth * windows * x.itemsize)
    column_memory, product_memory = _Memory(blocks, groups * depth * windows, x.dtype), _Memory(blocks, out * windows, y.dtype)
    for block in blocks:
        size = block.stop - block.start
        columns = column_memory.shaped(*view.shape[:3], size, *counts)
        columns[...] = view[:, :, :, block]
        product = product_memory.shaped(groups, out // groups, size * windows)
        np.matmul(rows, columns.reshape(groups, depth, size * windows), out=product)
        y[block] = product.reshape(out, size, *counts).swapaxes(0, 1)
    return y


def _input_gradient_raw(
    g: np.ndarray, w: np.ndarray, *, x_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> np.ndarray:
    batch, channels, height, width = x_shape
    out, _, *sides = w.shape
    kernel, counts = (sides[0], sides[1]), g.shape[2:]
    depth, windows = channels // groups * kernel[0] * kernel[1], counts[0] * counts[1]
    rows = w.reshape(groups, out // groups, depth).swapaxes(1, 2)
    if kernel == stride == (1, 1) and padding == NO_PADDING:
        return np.matmul(rows, g.reshape(batch, groups, out // groups, windows)).reshape(x_shape)
    (top, bottom), (left, right) = padding
    y = np.zeros((batch, channels, top + height + bottom, left + width + right), np.result_type(g, w))
    blocks = _blocks(batch, groups * depth * windows * y.itemsize)
    memory = _Memory(blocks, groups * depth * windows, y.dtype)
    product = np.multiply if out == groups else np.matmul  # a column times a row: broadcasting takes a fifth of the time
    for block in blocks:
        size = block.stop - block.start
        columns = memory.shaped(groups, depth, size * windows)
        product(rows, _side_by_side(g[block], groups), out=columns)
        columns = columns.reshape(channels, kernel[0] * kernel[1], size, *counts).transpose(2, 0, 1, 3, 4)
        add_columns(y[block], columns, kernel, stride, dilation)
    return y[:, :, top : top + height, left : left + width]


def _weight_gradient_raw(
    x: np.ndarray, g: np.ndarray, *, w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> np.ndarray:
    batch, out, *counts = g.shape
    kernel = (w_shape[2], w_shape[3])
    depth, windows = w_shape[1] * kernel[0] * kernel[1], counts[0] * counts[1]
    total = np.zeros((groups, out // groups, depth), np.result_type(x, g))
    view = window_view(padded_images(x, padding), kernel, stride, dilation, tuple(counts)).transpose(1, 2, 3, 0, 4, 5)
    blocks = _blocks(batch, groups * depth * windows * x.itemsize)
    memory = _Memory(blocks, groups * depth * windows, x.dtype)
    for block in blocks:
        size = block.stop - block.start
        columns = memory.shaped(*view.shape[:3], size, *counts)
        columns[...] = view[:, :, :, block]
        total += np.matmul(_side_by_side(g[block], groups), columns.reshape(groups, depth, size * windows).swapaxes(1, 2))
    return total.reshape(w_shape)


def _side_by_side(g: np.ndarray, groups: int) -> np.ndarray:
    """(B, O, down, across) to (groups, O / groups, B · down · across)."""
    batch, out, down, across = g.shape
    return g.swapaxes(0, 1).reshape(groups, out // groups, batch * down * across)


# The records.

FIELDS: dict[str, Any] = {"family": "fused", "forward_mode": "multilinear", "dtype_rule": "promote"}


@primitive(
    "conv2d",
    _conv2d,
    (
        lambda xp, g, w, x_shape, params: xp.conv2d_input_gradient(g, w, x_shape=tuple(x_shape), **params),
        lambda xp, g, x, w_shape, params: xp.conv2d_weight_gradient(x, g, w_shape=tuple(w_shape), **params),
    ),
    raw=_conv2d_raw,
    kernel=conv_kernels.conv2d,
    samples=lambda draw: [
        ((draw(2, 2, 4, 3), draw(3, 2, 3, 2)), {}),
        ((draw(2, 2, 3, 4), draw(2, 2, 2, 2)), {"padding": ((0, 1), (0, 1))}),
        ((draw(1, 2, 5, 4), draw(4, 1, 2, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}),
        ((draw(2, 3, 2, 3), draw(2, 3, 1, 1)), {}),
        ((draw(2, 1, 3, 4), draw(2, 1, 1, 1)), {"stride": 2, "padding": 1}),
        ((draw(0, 2, 3, 3), draw(1, 2, 2, 2)), {}),
    ],
    **FIELDS,
)
def conv2d(
    record: Any, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """y[b, o, i, j] = Σ x[b, c, i·stride + k·dilation - padding, …] · w[o, c, k, l] + bias[o]: cross-correlation of images with kernels.

    Args:
        input: (B, C, H, W), or (C, H, W) for one image.
        weight: (O, C / groups, kernel h, kernel w).
        bias: (O,), or None.
        stride, dilation: steps between windows and between the places in a window; one number or (h, w).
        padding: zeros on both sides; one number, (h, w), "valid" (none), "same" (y as large as x), or ((top, bottom), (left, right)).
        groups: how many parts the channels fall into that do not see each other.

    Returns:
        (B, O, windows down, windows across), or without B.

    Raises:
        ShapeError: channels that do not match (E04), an input that is no image (E05), a kernel larger than the padded image (E06).
    """
    x = images("conv2d", input)
    if weight.ndim != 4:
        got = f"weight of shape {tuple(weight.shape)}"
        raise ShapeError("conv2d needs a weight of 4 axes", got=got, wanted="(O, C / groups, kernel h, kernel w)", code="E04")
    check_channels(input, weight, groups, 2)
    steps, gaps = ints(stride, 2, "stride"), ints(dilation, 2, "dilation")
    around = paddings(padding, tuple(weight.shape[2:]), steps, gaps)
    window_counts(x.shape[2:], weight.shape[2:], steps, around, gaps)
    y = bind(record, (x, weight), {"stride": steps, "padding": around, "dilation": gaps, "groups": groups})
    y = y if bias is None else y + ops.reshape(bias, (-1, 1, 1))
    return y if input.ndim == 4 else ops.squeeze(y, axis=0)


@primitive(
    "conv2d_input_gradient",
    _input_gradient,
    (
        lambda xp, t, w, stride, padding, dilation, groups: xp.conv2d(
            t, w, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda xp, t, g, w_shape, stride, padding, dilation, groups: xp.conv2d_weight_gradient(
            t, g, w_shape=tuple(w_shape), stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ),
    raw=_input_gradient_raw,
    kernel=conv_kernels.input_gradient,
    samples=lambda draw: [
        ((draw(2, 3, 2, 2), draw(3, 2, 3, 2), (2, 2, 4, 3), (1, 1), NO_PADDING, (1, 1), 1), {}),
        ((draw(1, 4, 3, 2), draw(4, 1, 2, 2), (1, 2, 5, 4), (2, 1), ((1, 1), (0, 0)), (1, 2), 2), {}),
        ((draw(2, 2, 2, 3), draw(2, 3, 1, 1), (2, 3, 2, 3), (1, 1), NO_PADDING, (1, 1), 1), {}),
        ((draw(2, 2, 2, 3), draw(2, 3, 1, 1), (2, 3, 4, 5), (2, 2), NO_PADDING, (1, 1), 1), {}),
    ],
    **FIELDS,
)
def conv2d_input_gradient(
    record: Any, g: Any, w: Any, /, x_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Any:
    """The gradient of conv2d for its images: (B, O, …), (O, C / groups, …) to ``x_shape``. A transposed convolution is this op."""
    params = {"x_shape": x_shape, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return bind(record, (g, w), params)


@primitive(
    "conv2d_weight_gradient",
    _weight_gradient,
    (
        lambda xp, t, g, x_shape, stride, padding, dilation, groups: xp.conv2d_input_gradient(
            g, t, x_shape=tuple(x_shape), stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda xp, t, x, stride, padding, dilation, groups: xp.conv2d(
            x, t, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ),
    raw=_weight_gradient_raw,
    kernel=conv_kernels.weight_gradient,
    samples=lambda draw: [
        ((draw(2, 2, 4, 3), draw(2, 3, 2, 2), (3, 2, 3, 2), (1, 1), NO_PADDING, (1, 1), 1), {}),
        ((draw(1, 2, 5, 4), draw(1, 4, 3, 2), (4, 1, 2, 2), (2, 1), ((1, 1), (0, 0)), (1, 2), 2), {}),
        ((draw(2, 3, 2, 3), draw(2, 2, 2, 3), (2, 3, 1, 1), (1, 1), NO_PADDING, (1, 1), 1), {}),
    ],
    **FIELDS,
)
def conv2d_weight_gradient(
    record: Any, x: Any, g: Any, /, w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Any:
    """The gradient of conv2d for its weights: (B, C, …), (B, O, …) to ``w_shape``."""
    params = {"w_shape": w_shape, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return bind(record, (x, g), params)


def conv1d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
    """The same over sequences: a convolution of images of height 1.

    Shape:
        input (B, C, L) or (C, L), weight (O, C / groups, kernel), bias (O,); output (B, O, windows) or without B.

    Raises:
        ShapeError: as :func:`conv2d`.

    >>> from gradus.tensors import Tensor
    >>> conv1d(Tensor([[1.0, 2.0, 4.0]]), Tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    x = images("conv1d", input, axes=1)
    if weight.ndim != 3:
        got = f"weight of shape {tuple(weight.shape)}"
        raise ShapeError("conv1d needs a weight of 3 axes", got=got, wanted="(O, C / groups, kernel)", code="E04")
    check_channels(input, weight, groups, 1)
    steps, gaps = ints(stride, 1, "stride"), ints(dilation, 1, "dilation")
    around = paddings(padding, tuple(weight.shape[2:]), steps, gaps)
    window_counts(x.shape[2:], weight.shape[2:], steps, around, gaps)
    flat: Any = ((0, 0), *around)
    y = conv2d(ops.expand_dims(x, axis=2), ops.expand_dims(weight, axis=2), bias, (1, *steps), flat, (1, *gaps), groups)
    y = ops.squeeze(y, axis=2)
    return y if input.ndim == 3 else ops.squeeze(y, axis=0)


# Arguments.


def paddings(padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Any:
    """``padding`` in any of its spellings as (before, after) for each axis.

    >>> paddings("same", (3, 4), (1, 1), (1, 1)), paddings(1, (3,), (1,), (1,))
    (((1, 1), (1, 2)), ((1, 1),))
    """
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        if any(s != 1 for s in stride):
            fix = "padding=" + str(tuple([d * (k - 1) // 2 for k, d in zip(kernel, dilation)]))
            what = "padding='same' is not supported for strided convolutions"
            raise UsageError(what, got=f"stride={stride}", wanted="stride 1", fix=fix, code="E29")
        lacking = [reach(k, d) - 1 for k, d in zip(kernel, dilation)]
        return tuple([(n // 2, n - n // 2) for n in lacking])
    if isinstance(padding, str):
        raise UsageError(f"there is no padding {padding!r}", wanted="'valid', 'same', or numbers", code="E29")
    if isinstance(padding, tuple) and padding and isinstance(padding[0], tuple):
        return tuple([ints(side, 2, "padding", least=0) for side in padding])
    return tuple([(n, n) for n in ints(padding, len(kernel), "padding", least=0)])


def check_channels(x: Any, weight: Any, groups: Any, axes: int) -> None:
    """The channels of images, weights and groups must fit."""
    (groups,) = ints(groups, 1, "groups")
    shape, size = tuple(x.shape), tuple(weight.shape)
    if size[0] % groups:
        raise ShapeError(
            f"{groups} groups cannot share {size[0]} output channels evenly",
            got=f"weight of shape {size}, groups={groups}",
            wanted="output channels that are a multiple of the groups",
            code="E04",
        )
    channels, wanted = shape[-1 - axes], size[1] * groups
    if channels == wanted:
        return
    name = f"nn.Conv{axes}d"
    why, fix = "", f"{name}({channels}, {size[0]}, …)" if channels % groups == 0 else ""
    if len(shape) == axes + 1 and wanted == 1:
        why, fix = f"{axes + 1} axes are one input with channels first; a batch without an axis of channels looks alike", "x.unsqueeze(1)"
    elif shape[-1] == wanted:
        order = (0, axes + 1, *range(1, axes + 1)) if len(shape) == axes + 2 else (axes, *range(axes))
        why, fix = "the last axis has that length: the channels are last", f"x.permute{order}"
    raise ShapeError(
        f"Given groups={groups}, weight of size {list(size)}, expected input{list(shape)} to have {wanted} channels, "
        f"but got {channels} channels instead",
        got=f"x of shape {shape}",
        wanted=f"{wanted} channels on axis {len(shape) - 1 - axes}",
        why=why,
        fix=fix,
        code="E04",
    )


def pad_borders(x: Any, around: tuple[Pair, ...], mode: str) -> Any:
    """Values of the input itself around it, on the last axes: "reflect" (without repeating the edge), "replicate" or "circular".

    Raises:
        ShapeError: more padding than the input has to give (E06).

    >>> from gradus.tensors import Tensor
    >>> pad_borders(Tensor([1.0, 2.0, 3.0]), ((2, 1),), "reflect")
    tensor([3., 2., 1., 2., 3., 2.])
    """
    for axis, (before, after) in enumerate(around, x.ndim - len(around)):
        if before == after == 0:
            continue
        size = x.shape[axis]
        most = {"reflect": size - 1, "circular": size, "replicate": max(before, after) if size else 0}[mode]
        if max(before, after) > most:
            raise ShapeError(
                f"padding of {max(before, after)} by mode {mode!r} needs a longer axis",
                got=f"x of shape {tuple(x.shape)}",
                wanted=f"at most {max(most, 0)} on axis {axis}",
                fix='padding_mode="zeros"',
                code="E06",
            )
        places = np.arange(-before, size + after)
        if mode == "circular":
            places = places % size
        elif mode == "replicate":
            places = places.clip(0, size - 1)
        else:
            places = (size - 1) - np.abs(size - 1 - np.abs(places))
        x = ops.take(x, places, axis=axis)
    return x

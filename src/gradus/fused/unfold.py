"""Windows that slide over images: where they lie, and the two linear ops that take images to windows (unfold) and back (fold).

An image batch is (B, C, H, W). In records a window is given by plain tuples: ``kernel`` (h, w), ``stride`` (h, w), ``dilation`` (h, w) and
``padding`` ((top, bottom), (left, right)), so that paddings of two sizes, as 'same' needs for even kernels, are no special case.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gradus import ops
from gradus.errors import ShapeError, UsageError
from gradus.primitive import bind, primitive

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
NO_PADDING: Padding = ((0, 0), (0, 0))


def ints(value: Any, count: int, name: str, least: int = 1) -> tuple[int, ...]:
    """One whole number for all axes, or one an axis, as a tuple.

    >>> ints(3, 2, "kernel_size"), ints([1, 2], 2, "stride")
    ((3, 3), (1, 2))
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    values = values * count if len(values) == 1 else values
    if len(values) != count or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least for n in values):
        wanted = f"a whole number from {least}" + (f", or {count} of them" if count > 1 else "")
        raise UsageError(f"{name} cannot be {value!r}", got=f"{name}={value!r}", wanted=wanted, code="E29")
    return tuple([int(n) for n in values])


def reach(kernel: int, dilation: int) -> int:
    """How far a window extends, gaps included."""
    return dilation * (kernel - 1) + 1


def window_counts(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[Pair, ...], dilation: tuple[int, ...]
) -> tuple[int, ...]:
    """How many windows fit along each axis.

    Raises:
        ShapeError: a window that is larger than the padded input (E06).

    >>> window_counts((28, 5), (3, 3), (1, 2), ((1, 1), (0, 0)), (1, 1))
    (28, 2)
    """
    padded = [n + sum(around) for n, around in zip(size, padding)]
    reaches = [reach(k, d) for k, d in zip(kernel, dilation)]
    if any(n < r for n, r in zip(padded, reaches)):
        lacking = max((r - n + 1) // 2 + max(around) for n, r, around in zip(padded, reaches, padding))
        raise ShapeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: ({' x '.join(map(str, reaches))}). "
            "Kernel size can't be greater than actual input size",
            got=f"images of {' x '.join(map(str, size))}, a kernel of {' x '.join(map(str, kernel))}",
            wanted="a kernel that fits into the padded images",
            why="each pooling and each convolution without padding made the images smaller",
            fix=f"padding={lacking}, or a layer of pooling less",
            code="E06",
        )
    return tuple([(n - r) // s + 1 for n, r, s in zip(padded, reaches, stride)])


def images(op: str, x: Any, axes: int = 2) -> Any:
    """``x`` with a batch axis, after a look at how many axes it has: (C, H, W) is one image.

    Raises:
        ShapeError: neither one image nor a batch (E05).
    """
    if x.ndim == axes + 2:
        return x
    if x.ndim == axes + 1:
        return ops.expand_dims(x, axis=0)
    letters = ("L",) if axes == 1 else ("H", "W")
    one, many = f"({', '.join(('C', *letters))})", f"({', '.join(('B', 'C', *letters))})"
    fix = {axes: "x[None, None]" if axes == 2 else "x[None]"}.get(x.ndim, f"x.flatten(0, {x.ndim - axes - 2})" if x.ndim > axes + 2 else "")
    raise ShapeError(
        f"Expected {axes + 1}D (unbatched) or {axes + 2}D (batched) input to {op}, but got input of size: {list(x.shape)}",
        got=f"x of shape {tuple(x.shape)}",
        wanted=f"{one} or {many}",
        why="the axis of channels is missing" if x.ndim == axes else "",
        fix=fix,
        code="E05",
    )


def taps(kernel: Pair, stride: Pair, dilation: Pair, counts: Pair) -> list[tuple[Any, ...]]:
    """For each place in a window, row by row, the key that reads that place of all windows from a padded image."""
    rows, columns = [
        [slice(k * d, k * d + (n - 1) * s + 1, s) for k in range(size)] for size, s, d, n in zip(kernel, stride, dilation, counts)
    ]
    return [(..., row, column) for row in rows for column in columns]


def columns_of(xp: Any, x: Any, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
    """(B, C, H, W) to (B, C, kernel h · kernel w, windows down, windows across): the definition of unfolding, in the vocabulary."""
    counts: Any = window_counts(x.shape[2:], kernel, stride, padding, dilation)
    x = xp.pad(x, ((0, 0), (0, 0), *padding)) if padding != NO_PADDING else x
    return xp.stack([xp.getitem(x, key=key) for key in taps(kernel, stride, dilation, counts)], axis=2)


def images_of(xp: Any, columns: Any, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
    """The adjoint of :func:`columns_of`: every value is added to the pixel that it was read from."""
    batch, channels, _, *counts = columns.shape
    (top, bottom), (left, right) = padding
    shape = (batch, channels, size[0] + top + bottom, size[1] + left + right)
    total: Any = None
    for k, key in enumerate(taps(kernel, stride, dilation, tuple(counts))):
        part = xp.scatter_add(xp.getitem(columns, key=(slice(None), slice(None), k)), shape=shape, key=key)
        total = part if total is None else total + part
    return total if padding == NO_PADDING else xp.getitem(total, key=(..., slice(top, top + size[0]), slice(left, left + size[1])))


# The same two on NumPy arrays.


def padded_images(x: np.ndarray, padding: Padding) -> np.ndarray:
    """Zeros around the images; ``x`` itself where there is nothing to pad."""
    if padding == NO_PADDING:
        return x
    (top, bottom), (left, right) = padding
    batch, channels, height, width = x.shape
    y = np.zeros((batch, channels, top + height + bottom, left + width + right), x.dtype)
    y[:, :, top : top + height, left : left + width] = x
    return y


def window_view(x: np.ndarray, kernel: Pair, stride: Pair, dilation: Pair, counts: tuple[int, ...]) -> np.ndarray:
    """All windows of padded images as a view, (B, C, kernel h, kernel w, windows down, windows across)."""
    batch, channels, down, across = x.strides
    strides = (batch, channels, down * dilation[0], across * dilation[1], down * stride[0], across * stride[1])
    return as_strided(x, (*x.shape[:2], *kernel, *counts), strides, writeable=False)


def add_columns(y: np.ndarray, columns: np.ndarray, kernel: Pair, stride: Pair, dilation: Pair) -> None:
    """Add (B, C, kernel h · kernel w, down, across) to padded images, in their memory."""
    for k, key in enumerate(taps(kernel, stride, dilation, columns.shape[3:])):
        y[key] += columns[:, :, k]


def _unfold_raw(x: np.ndarray, *, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> np.ndarray:
    counts = window_counts(x.shape[2:], kernel, stride, padding, dilation)
    view = window_view(padded_images(x, padding), kernel, stride, dilation, counts)
    out = np.empty(view.shape, x.dtype)
    out[...] = view
    return out.reshape(*x.shape[:2], kernel[0] * kernel[1], *counts)


def _fold_raw(x: np.ndarray, *, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> np.ndarray:
    (top, bottom), (left, right) = padding
    y = np.zeros((*x.shape[:2], size[0] + top + bottom, size[1] + left + right), x.dtype)
    add_columns(y, x, kernel, stride, dilation)
    return y[:, :, top : top + size[0], left : left + size[1]]


WINDOW_SAMPLES: Any = [
    {"kernel": (2, 3), "stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)},
    {"kernel": (2, 2), "stride": (2, 1), "padding": ((0, 1), (1, 0)), "dilation": (1, 2)},
]


@primitive(
    "unfold2d",
    lambda xp, x, *, kernel, stride, padding, dilation: columns_of(xp, x, kernel, stride, padding, dilation),
    (
        lambda xp, g, x_shape, kernel, stride, padding, dilation: xp.fold2d(
            g, size=tuple(x_shape[2:]), kernel=kernel, stride=stride, padding=padding, dilation=dilation
        ),
    ),
    raw=_unfold_raw,
    family="fused",
    forward_mode="linear",
    samples=lambda draw: [((draw(2, 3, 4, 5),), params) for params in WINDOW_SAMPLES],
)
def unfold2d(record: Any, x: Any, /, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
    """(B, C, H, W) to (B, C, places in a window, windows down, windows across)."""
    return bind(record, (x,), {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation})


@primitive(
    "fold2d",
    lambda xp, x, *, size, kernel, stride, padding, dilation: images_of(xp, x, size, kernel, stride, padding, dilation),
    (lambda xp, g, kernel, stride, padding, dilation: xp.unfold2d(g, kernel=kernel, stride=stride, padding=padding, dilation=dilation),),
    raw=_fold_raw,
    family="fused",
    forward_mode="linear",
    samples=lambda draw: [
        ((draw(2, 3, 6, 3, 3),), {"size": (4, 5), **WINDOW_SAMPLES[0]}),
        ((draw(2, 3, 4, 2, 4),), {"size": (4, 5), **WINDOW_SAMPLES[1]}),
    ],
)
def fold2d(record: Any, x: Any, /, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
    """The adjoint of unfold2d: (B, C, places in a window, windows down, windows across) to (B, C, *size), overlaps added."""
    return bind(record, (x,), {"size": size, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation})


def _window(kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> dict[str, Any]:
    top, left = ints(padding, 2, "padding", least=0)
    return {
        "kernel": ints(kernel_size, 2, "kernel_size"),
        "stride": ints(stride, 2, "stride"),
        "padding": ((top, top), (left, left)),
        "dilation": ints(dilation, 2, "dilation"),
    }


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of an image, one a column.

    Shape:
        input (B, C, H, W) or (C, H, W); output (B, C · kernel h · kernel w, windows) or without B.

    Raises:
        ShapeError: an input of other axes (E05), a kernel larger than the padded image (E06).

    >>> from gradus.tensors import Tensor
    >>> unfold(Tensor([[[1.0, 2.0, 3.0]]]), kernel_size=(1, 2))
    tensor([[1., 2.],
            [2., 3.]])
    """
    x = images("unfold", input)
    columns = unfold2d(x, **_window(kernel_size, dilation, padding, stride))
    batch, channels, places, down, across = columns.shape
    y = ops.reshape(columns, (batch, channels * places, down * across))
    return y if input.ndim == 4 else ops.squeeze(y, axis=0)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Windows put back where :func:`unfold` reads them, and added where they overlap: its adjoint, not its inverse.

    Shape:
        input (B, C · kernel h · kernel w, windows) or without B; output (B, C, *output_size) or without B.

    Raises:
        ShapeError: rows that are no multiple of the kernel's size, or another number of windows than fit into the image (E03).

    >>> from gradus.tensors import Tensor
    >>> fold(Tensor([[1.0, 2.0], [2.0, 3.0]]), output_size=(1, 3), kernel_size=(1, 2))
    tensor([[[1., 4., 3.]]])
    """
    window = _window(kernel_size, dilation, padding, stride)
    size: Any = ints(output_size, 2, "output_size")
    counts = window_counts(size, **window)
    places = window["kernel"][0] * window["kernel"][1]
    shape = tuple(input.shape)
    if len(shape) not in (2, 3) or shape[-2] % places or shape[-1] != counts[0] * counts[1]:
        raise ShapeError(
            "fold: these are not the windows of such an image",
            got=f"input of shape {shape}",
            wanted=f"(B, {places} · C, {counts[0] * counts[1]}): kernels of {places} places, {counts[0]} x {counts[1]} windows",
            fix="the output_size, kernel_size, dilation, padding and stride that unfold was given",
            code="E03",
        )
    x = input if len(shape) == 3 else ops.expand_dims(input, axis=0)
    y = fold2d(ops.reshape(x, (x.shape[0], shape[-2] // places, places, *counts)), size=size, **window)
    return y if len(shape) == 3 else ops.squeeze(y, axis=0)

"""Max pooling: the largest value of each window, along one axis after the other, so that 3 x 3 windows cost 3 + 3 passes.

Records take a window as in :mod:`gradus.fused.unfold`; PyTorch's ``ceil_mode`` becomes more padding at the end before they are called.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import backend, ops
from gradus.errors import UsageError
from gradus.fused import pool_kernels
from gradus.fused.unfold import NO_PADDING, Padding, Pair, images, ints, reach, window_counts
from gradus.primitive import bind, primitive

ROWS, COLUMNS = 2, 3  # the axes H and W of (B, C, H, W)


class Line:
    """Windows along one axis of an image batch.

    Attributes:
        keys: for each place in a window, the key that reads it from all windows of the padded batch.
        first: the same places as masks of the windows of which they are the first that is no padding; None where there is no padding.
    """

    def __init__(self, axis: int, size: int, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> None:
        k = axis - ROWS
        self.axis, self.size, self.around = axis, size, padding[k]
        (self.count,) = window_counts((size,), (kernel[k],), (stride[k],), (padding[k],), (dilation[k],))
        self.padded_size = size + sum(padding[k])
        places = [slice(i * dilation[k], i * dilation[k] + (self.count - 1) * stride[k] + 1, stride[k]) for i in range(kernel[k])]
        self.keys = [(slice(None),) * axis + (place,) for place in places]
        self.disjoint = stride[k] >= kernel[k] and dilation[k] == 1
        self.first: list[Any] | None = None
        if self.around != (0, 0):
            real = (np.arange(self.padded_size) >= self.around[0]) & (np.arange(self.padded_size) < self.around[0] + size)
            self.real = real.reshape((-1,) + (1,) * (COLUMNS - axis))
            inside = np.array([self.real[place] for place in places])
            self.first = list(inside & (np.cumsum(inside, axis=0) == 1))

    def pad(self, xp: Any, x: Any, fill: Any = 0) -> Any:
        """``x`` with ``fill`` around it on this axis."""
        if self.first is None:
            return x
        x = xp.pad(x, tuple([self.around if k == self.axis else (0, 0) for k in range(4)]))
        return x if fill == 0 else xp.where(self.real, x, fill)

    def places(self, xp: Any, padded: Any) -> list[Any]:
        """For each place in a window, its values in all windows."""
        return [xp.getitem(padded, key=key) for key in self.keys]

    def add_at(self, xp: Any, parts: list[Any]) -> Any:
        """The adjoint of padding with zeros and reading the places: each part is added where its place lies."""
        shape = [*parts[0].shape]
        shape[self.axis] = self.padded_size
        total: Any = None
        for key, part in zip(self.keys, parts, strict=True):
            spread = xp.scatter_add(part, shape=tuple(shape), key=key)
            total = spread if total is None else total + spread
        if self.first is None:
            return total
        return xp.getitem(total, key=(slice(None),) * self.axis + (slice(self.around[0], self.around[0] + self.size),))


def _lowest(dtype: Any) -> Any:
    return -math.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _largest(xp: Any, x: Any, line: Line) -> Any:
    """The largest value of each window along one axis."""
    first, *others = line.places(xp, line.pad(xp, x, _lowest(x.dtype)))
    for values in others:
        first = xp.maximum(first, values)
    return first


def _hits(xp: Any, x: Any, line: Line) -> list[Any]:
    """For each place in a window, a mask of the windows of which it is the largest value: the first of equals, the last NaN.

    Every window has exactly one: from the last place on, the one that took the place of the largest before it, and else the first.
    """
    best, *others = line.places(xp, line.pad(xp, x, _lowest(x.dtype)))
    taking: list[Any] = []
    for k, values in enumerate(others, start=1):
        takes = xp.greater(values, best)
        if x.dtype.kind == "f":
            takes = xp.logical_or(takes, xp.isnan(values))
        if line.first is not None:
            takes = xp.logical_or(takes, line.first[k])
        taking.append(takes)
        best = xp.maximum(best, values) if k < len(others) else best
    hits: list[Any] = []
    taken: Any = None
    for takes in reversed(taking):
        hits.append(takes if taken is None else xp.logical_and(takes, xp.logical_not(taken)))
        taken = takes if taken is None else xp.logical_or(taken, takes)
    taken = xp.less(best, best) if taken is None else taken  # a window of one place: nowhere
    return [xp.logical_not(taken), *reversed(hits)]


def _lines(x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> tuple[Line, Line]:
    """Across, then down: the first largest of the rows' first largest values is the first in reading order, and likewise the last NaN."""
    across = Line(COLUMNS, x_shape[COLUMNS], kernel, stride, padding, dilation)
    return across, Line(ROWS, x_shape[ROWS], kernel, stride, padding, dilation)


def _max_pool(xp: Any, x: Any, *, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
    across, down = _lines(x.shape, kernel, stride, padding, dilation)
    # Down first: whole rows are compared, and half of them are left for the slower comparison within rows.
    return _largest(xp, _largest(xp, x, down), across)


def _max_pool_gradient(xp: Any, g: Any, x: Any, *, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
    across, down = _lines(x.shape, kernel, stride, padding, dilation)
    g = down.add_at(xp, [xp.where(hit, g, 0) for hit in _hits(xp, _largest(xp, x, across), down)])
    return across.add_at(xp, [xp.where(hit, g, 0) for hit in _hits(xp, x, across)])


def _picked(xp: Any, t: Any, x: Any, *, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
    """``t`` where the largest values of ``x`` are: the adjoint of :func:`_max_pool_gradient`."""
    across, down = _lines(x.shape, kernel, stride, padding, dilation)
    for line, values in ((across, x), (down, _largest(xp, x, across))):
        picked: Any = 0
        for hit, place in zip(_hits(xp, values, line), line.places(xp, line.pad(xp, t)), strict=True):
            picked = xp.where(hit, place, picked)
        t = picked
    return t


# NumPy arrays, written in place.


def _kept(g: np.ndarray, mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """``g`` where the mask is, 0 elsewhere, whatever is there. To choose bits by a mask is ten times as fast as to choose numbers."""
    kind = f"i{g.itemsize}"
    bits = np.negative(mask.view("i1")).astype(kind)  # all or none of a number
    return np.bitwise_and(g.view(kind), bits, out=None if out is None else out.view(kind)).view(g.dtype)


def spread(line: Line, g: np.ndarray, masks: list[Any]) -> np.ndarray:
    """:meth:`Line.add_at` of ``g`` where the masks are (None: everywhere), in one array; what does not overlap is written, not added."""
    shape = [*g.shape]
    shape[line.axis] = line.padded_size
    total = np.zeros(shape, g.dtype)
    for key, mask in zip(line.keys, masks, strict=True):
        if not line.disjoint:
            total[key] += g if mask is None else _kept(g, mask)
        elif mask is None:
            total[key] = g
        else:
            _kept(g, mask, out=total[key])
    return total if line.first is None else total[(slice(None),) * line.axis + (slice(line.around[0], line.around[0] + line.size),)]


def _max_pool_gradient_raw(g: np.ndarray, x: np.ndarray, **window: Any) -> np.ndarray:
    xp = backend.numpy
    across, down = _lines(x.shape, **window)
    g = spread(down, g, _hits(xp, _largest(xp, x, across), down))
    return spread(across, g, _hits(xp, x, across))


# The records.


def _distinct(draw: Any, *shape: int) -> Any:
    """Values at least 0.1 apart, so that a small step moves no maximum."""
    return draw.random.permutation(math.prod(shape)).reshape(shape) * 0.1 - 2.0


MAX_SAMPLES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 4, 6), {"kernel_size": 2}),
    ((1, 2, 5, 4), {"kernel_size": (3, 2), "stride": (1, 2), "padding": 1}),
    ((1, 2, 6, 5), {"kernel_size": 2, "stride": 2, "dilation": (2, 1), "ceil_mode": True}),
    ((0, 2, 3, 3), {"kernel_size": 3}),
]


@primitive(
    "max_pool2d",
    _max_pool,
    (lambda xp, g, x, params: xp.max_pool2d_gradient(g, x, **params),),
    kernel=pool_kernels.max_pool2d,
    family="fused",
    samples=lambda draw: [((_distinct(draw, *shape),), params) for shape, params in MAX_SAMPLES],
)
def max_pool2d(
    record: Any,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """y[b, c, i, j] = the largest x[b, c, …] in the window (i, j); the first of equals in reading order, or the last NaN, has the gradient.

    Args:
        input: (B, C, H, W), or (C, H, W) for one image.
        kernel_size: of a window; one number or (h, w).
        stride: step between windows; ``kernel_size`` when not given.
        padding: on both sides, at most half a kernel; what is padded is never the largest.
        dilation: step between the places in a window.
        ceil_mode: whether a last window that hangs over the edge counts.
        return_indices: give also the places of the largest values, int64, counted row by row in each image.

    Returns:
        (B, C, windows down, windows across), or without B; a pair with the indices when asked for.

    Raises:
        ShapeError: an input that is no image (E05), a window larger than the padded image (E06).
        UsageError: sizes below 1, padding of more than half a kernel (E29).
    """
    x = images("max_pool2d", input)
    window = pool_window(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = bind(record, (x,), window)
    y = y if input.ndim == 4 else ops.squeeze(y, axis=0)
    if not return_indices:
        return y
    size = tuple(x.shape[2:])
    places = np.broadcast_to(np.arange(math.prod(size)).reshape(size), tuple(x.shape))
    indices = _picked(ops, places, x, **window)
    return y, indices if input.ndim == 4 else ops.squeeze(indices, axis=0)


GRADIENT_WINDOW: dict[str, Any] = {"kernel": (3, 2), "stride": (1, 2), "padding": NO_PADDING, "dilation": (1, 1)}


@primitive(
    "max_pool2d_gradient",
    _max_pool_gradient,
    (lambda xp, t, x, params: _picked(xp, t, x, **params), None),
    raw=_max_pool_gradient_raw,
    kernel=pool_kernels.max_pool2d_gradient,
    family="fused",
    samples=lambda draw: [
        ((draw(2, 2, 2, 3), _distinct(draw, 2, 2, 4, 6)), {**GRADIENT_WINDOW, "kernel": (2, 2), "stride": (2, 2)}),
        ((draw(1, 2, 5, 2), _distinct(draw, 1, 2, 5, 4)), {**GRADIENT_WINDOW, "padding": ((1, 1), (0, 1))}),
    ],
)
def max_pool2d_gradient(record: Any, g: Any, x: Any, /, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Any:
    """The gradient of max_pool2d: ``g`` at the largest value of each window of ``x``, 0 elsewhere. Linear in ``g``."""
    return bind(record, (g, x), {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation})


# PyTorch's functions.


def pool_window(size: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> dict[str, Any]:
    """The parameters of a pooling record, with ``ceil_mode`` as padding at the end."""
    kernel: Any = ints(kernel_size, 2, "kernel_size")
    steps: Any = kernel if stride is None else ints(stride, 2, "stride")
    gaps: Any = ints(dilation, 2, "dilation")
    around: Any = [(n, n) for n in ints(padding, 2, "padding", least=0)]
    if any(before > reach(k, d) // 2 for (before, _), k, d in zip(around, kernel, gaps, strict=True)):
        raise UsageError(
            "pad should be at most half of effective kernel size",
            got=f"padding={padding}, kernel_size={kernel_size}, dilation={dilation}",
            wanted="windows that are not mostly padding",
            fix=f"padding={tuple(reach(k, d) // 2 for k, d in zip(kernel, gaps, strict=True))}",
            code="E29",
        )
    window_counts(size, kernel, steps, tuple(around), gaps)
    if ceil_mode:
        for k, n in enumerate(size):
            before, after = around[k]
            count = -((reach(kernel[k], gaps[k]) - n - before - after) // steps[k]) + 1
            # A window that would begin behind the image does not count.
            count -= (count - 1) * steps[k] >= n + before
            around[k] = (before, max(after, (count - 1) * steps[k] + reach(kernel[k], gaps[k]) - n - before))
    return {"kernel": kernel, "stride": steps, "padding": tuple(around), "dilation": gaps}


# Sequences are images of height 1.


def as_rows(op: str, input: Any, f: Any) -> Any:
    """``f`` on images of height 1, and its results as sequences again."""
    x = images(op, input, axes=1)
    results = f(ops.expand_dims(x, axis=2))
    drop = (2,) if input.ndim == 3 else (0, 2)
    return tuple([ops.squeeze(y, axis=drop) for y in results]) if isinstance(results, tuple) else ops.squeeze(results, axis=drop)


def row_sizes(value: Any, name: str, other: int, least: int = 1) -> Any:
    """A size of windows in sequences as one in images: ``other`` for the height. None stays None."""
    return value if value is None else (other, *ints(value, 1, name, least))


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`max_pool2d` over sequences: (B, C, L) or (C, L).

    >>> from gradus.tensors import Tensor
    >>> max_pool1d(Tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    tensor([[5., 3.]])
    """
    sizes = (
        row_sizes(kernel_size, "kernel_size", 1),
        row_sizes(stride, "stride", 1),
        row_sizes(padding, "padding", 0, 0),
        row_sizes(dilation, "dilation", 1),
    )
    return as_rows("max_pool1d", input, lambda x: max_pool2d(x, *sizes, ceil_mode, return_indices))

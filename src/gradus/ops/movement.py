"""Movement: ops that place values elsewhere and compute nothing. All are linear, so forward mode is the op itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradus.errors import ShapeError
from gradus.ops import claims
from gradus.primitive import axis_out_of_range, bind, normalize_axes, primitive

FAMILY: dict[str, Any] = {"family": "movement", "forward_mode": "linear"}


def complete_shape(shape: Sequence[int], old: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` with its one -1 replaced by the length that fits.

    >>> complete_shape((2, -1), (4, 3))
    (2, 6)
    """
    size = math.prod(old)
    if math.prod(shape) == size and -1 not in shape and (size or min(shape) >= 0):
        return tuple(shape)
    shape = tuple([int(n) for n in shape])
    known = math.prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known and size % known == 0:
        return tuple([size // known if n == -1 else n for n in shape])
    if -1 in shape or known != size or any(n < 0 for n in shape):
        legal = (
            f"x.reshape({', '.join(str(n) for n in (*shape[:-1], -1))})"
            if shape and size % max(math.prod(shape[:-1]), 1) == 0
            else "x.reshape(-1)"
        )
        raise ShapeError(
            f"shape '{list(shape)}' is invalid for input of size {size}",
            got=f"x of shape {old} ({size} elements)",
            wanted=f"a shape of {size} elements",
            fix=legal,
            code="E03",
        )
    return shape


@primitive(
    "reshape",
    lambda xp, x, *, shape: xp.reshape(x, shape),
    (lambda xp, g, x_shape: xp.reshape(g, x_shape),),
    raw=lambda x, *, shape: x.reshape(shape),
    view=True,
    samples=lambda draw: [
        ((draw(3, 4),), {"shape": (2, 6)}),
        ((draw(3, 4),), {"shape": (-1,)}),
        ((draw(),), {"shape": (1, 1)}),
        ((draw(0, 3),), {"shape": (3, 0)}),
    ],
    **FAMILY,
)
def reshape(record: Any, x: Any, /, shape: Any) -> Any:
    """The same values, in C order, under another shape; one length may be -1."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return bind(record, (x,), {"shape": complete_shape(shape, x.shape)})


@primitive(
    "permute_dims",
    lambda xp, x, *, axes: xp.permute_dims(x, axes),
    (lambda xp, g, axes: xp.permute_dims(g, _inverse(axes)),),
    view=True,
    samples=lambda draw: [((draw(2, 3, 4),), {"axes": (2, 0, 1)}), ((draw(3),), {"axes": (0,)})],
    **FAMILY,
)
def permute_dims(record: Any, x: Any, /, axes: Any) -> Any:
    """The axes in another order: ``y.shape[k] = x.shape[axes[k]]``."""
    places = tuple([a % x.ndim for a in axes]) if x.ndim else tuple(axes)
    if sorted(places) != list(range(x.ndim)):
        raise ShapeError(
            "permute_dims names every axis once",
            got=f"x of shape {tuple(x.shape)}, axes {tuple(axes)}",
            wanted=f"{x.ndim} different axes",
            code="E03",
        )
    return bind(record, (x,), {"axes": places})


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged."""
    if x.ndim < 2:
        raise ShapeError("matrix_transpose needs a matrix", got=f"x of shape {tuple(x.shape)}", wanted="2 axes or more", code="E03")
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def moveaxis(x: Any, source: int, destination: int, /) -> Any:
    """One axis moved to another place; the others keep their order."""
    axes = [k for k in range(x.ndim) if k != source % x.ndim]
    axes.insert(destination % x.ndim, source % x.ndim)
    return permute_dims(x, axes)


@primitive(
    "broadcast_to",
    lambda xp, x, *, shape: xp.broadcast_to(x, shape),
    (lambda xp, g: g,),  # the engine folds g back to the input's shape
    raw=lambda x, *, shape: np.broadcast_to(x, shape),  # always a view: what expand promises
    view=True,
    samples=lambda draw: [((draw(3, 1),), {"shape": (2, 3, 4)}), ((draw(),), {"shape": (2,)})],
    **FAMILY,
)
def broadcast_to(record: Any, x: Any, /, shape: Any) -> Any:
    """Repeat along axes of length 1 and new leading axes, without copying (stride 0)."""
    return bind(record, (x,), {"shape": tuple(shape)})


def expand_dims(x: Any, /, axis: Any = 0) -> Any:
    """New axes of length 1 at the given places of the result."""
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = x.ndim + len(axes)
    places = {a % ndim for a in axes if -ndim <= a < ndim}
    if len(places) != len(axes):
        raise axis_out_of_range(axis, ndim)
    old = iter(x.shape)
    return reshape(x, tuple([1 if k in places else next(old) for k in range(ndim)]))


def squeeze(x: Any, /, axis: Any) -> Any:
    """Drop axes of length 1."""
    axes = normalize_axes(axis, x.ndim)
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(
            "squeeze drops axes of length 1 only",
            got=f"x of shape {tuple(x.shape)}, axis {axis}",
            wanted="length 1 on that axis",
            code="E03",
        )
    return reshape(x, tuple([n for k, n in enumerate(x.shape) if k not in axes]))


@primitive(
    "flip",
    lambda xp, x, *, axis: xp.flip(x, axis=axis),
    (lambda xp, g, axis: xp.flip(g, axis=axis),),
    view=True,
    samples=lambda draw: [((draw(3, 4),), {"axis": 1}), ((draw(3, 4),), {"axis": (0, 1)})],
    **FAMILY,
)
def flip(record: Any, x: Any, /, axis: Any = None) -> Any:
    """The order along the given axes reversed."""
    return bind(record, (x,), {"axis": normalize_axes(axis, x.ndim)})


@primitive(
    "roll",
    lambda xp, x, *, shift, axis: xp.roll(x, shift, axis=axis),
    (lambda xp, g, shift, axis: xp.roll(g, tuple([-s for s in shift]), axis=axis),),
    kernel=claims.roll,
    samples=lambda draw: [((draw(3, 4),), {"shift": 1, "axis": 1}), ((draw(3, 4),), {"shift": (1, -2), "axis": (0, 1)})],
    **FAMILY,
)
def roll(record: Any, x: Any, /, shift: Any, axis: Any = None) -> Any:
    """Shift along axes; what leaves at the end comes back at the start."""
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, axis=0), x.shape)
    shift = shift if isinstance(shift, (tuple, list)) else (shift,)
    return bind(record, (x,), {"shift": tuple(shift), "axis": tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)})


def _concat_rule(xp: Any, g: Any, i: int, xs_shapes: tuple[tuple[int, ...], ...], axis: int) -> Any:
    start = sum(shape[axis] for shape in xs_shapes[:i])
    return xp.getitem(g, key=(*(slice(None),) * axis, slice(start, start + xs_shapes[i][axis])))


@primitive(
    "concat",
    lambda xp, *xs, axis: xp.concat(xs, axis=axis),
    _concat_rule,
    dtype_rule="promote",
    kernel=claims.concat,
    samples=lambda draw: [(([draw(2, 3), draw(2, 1), draw(2, 2)],), {"axis": 1}), (([draw(2), draw(0)],), {"axis": 0})],
    **FAMILY,
)
def concat(record: Any, arrays: Any, /, axis: int = 0) -> Any:
    """Join arrays along an existing axis."""
    arrays = tuple(arrays)
    if not arrays:
        raise ShapeError("concat needs at least one array", got="none", wanted="a list of one array or more", code="E03")
    (axis,) = normalize_axes(axis, arrays[0].ndim)
    for k, x in enumerate(arrays):
        if x.ndim != arrays[0].ndim or any(n != m for j, (n, m) in enumerate(zip(x.shape, arrays[0].shape, strict=True)) if j != axis):
            raise ShapeError(
                f"Sizes of tensors must match except in dimension {axis}",
                got=f"shape {tuple(arrays[0].shape)} at 0 and {tuple(x.shape)} at {k}",
                wanted=f"equal lengths on every axis but {axis}",
                code="E03",
            )
    return bind(record, arrays, {"axis": axis})


@primitive(
    "stack",
    lambda xp, *xs, axis: xp.stack(xs, axis=axis),
    lambda xp, g, i, axis: xp.getitem(g, key=(*(slice(None),) * axis, i)),
    dtype_rule="promote",
    kernel=claims.stack,
    samples=lambda draw: [(([draw(2, 3), draw(2, 3)],), {"axis": 1}), (([draw(), draw()],), {"axis": 0})],
    **FAMILY,
)
def stack(record: Any, arrays: Any, /, axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis."""
    arrays = tuple(arrays)
    if not arrays:
        raise ShapeError("stack needs at least one array", got="none", wanted="a list of one array or more", code="E03")
    for k, x in enumerate(arrays):
        if x.shape != arrays[0].shape:
            raise ShapeError(
                "stack expects each tensor to be equal size",
                got=f"shape {tuple(arrays[0].shape)} at 0 and {tuple(x.shape)} at {k}",
                wanted="one shape",
                code="E03",
            )
    (axis,) = normalize_axes(axis, arrays[0].ndim + 1)
    return bind(record, arrays, {"axis": axis})


TRIANGLE_SAMPLES: Any = lambda draw: [((draw(3, 4),), {"k": 0}), ((draw(2, 3, 3),), {"k": -1}), ((draw(4, 3),), {"k": 1})]


@primitive(
    "tril",
    lambda xp, x, *, k: xp.tril(x, k),
    (lambda xp, g, k: xp.tril(g, k=k),),
    kernel=claims.triangle(1),
    samples=TRIANGLE_SAMPLES,
    **FAMILY,
)
def tril(record: Any, x: Any, /, k: int = 0) -> Any:
    """The part on and below diagonal ``k`` of the last two axes, zero elsewhere."""
    return bind(record, (x,), {"k": k})


@primitive(
    "triu",
    lambda xp, x, *, k: xp.triu(x, k),
    (lambda xp, g, k: xp.triu(g, k=k),),
    kernel=claims.triangle(0),
    samples=TRIANGLE_SAMPLES,
    **FAMILY,
)
def triu(record: Any, x: Any, /, k: int = 0) -> Any:
    """The part on and above diagonal ``k`` of the last two axes, zero elsewhere."""
    return bind(record, (x,), {"k": k})


def _pad_rule(xp: Any, g: Any, width: tuple[tuple[int, int], ...], x_shape: tuple[int, ...]) -> Any:
    return xp.getitem(g, key=tuple([slice(before, before + n) for (before, _), n in zip(width, x_shape, strict=True)]))


@primitive(
    "pad",
    lambda xp, x, *, width: xp.pad(x, width),
    (_pad_rule,),
    kernel=claims.pad,
    samples=lambda draw: [
        ((draw(3, 4),), {"width": ((1, 0), (2, 3))}),
        (
            (
                draw(
                    0,
                ),
            ),
            {"width": ((1, 1),)},
        ),
    ],
    **FAMILY,
)
def pad(record: Any, x: Any, /, width: Any) -> Any:
    """Zeros around: ``width`` holds (before, after) for each axis."""
    return bind(record, (x,), {"width": tuple([tuple(w) for w in width])})

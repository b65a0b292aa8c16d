"""PyTorch's spelling of what moves values and computes nothing: shapes, and reading and writing at indices; a part of the table.

Here too is what its other parts need of axes: :func:`axis_of`, :func:`check_ranks`, :func:`common_shape`, :func:`with_an_axis`.
"""

from __future__ import annotations

import builtins
import itertools
import math
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import IndexRangeError, ShapeError, UsageError
from gradus.mode import MODE
from gradus.primitive import REGISTRY, normalize_axes
from gradus.tape import apply
from gradus.tensors import Tensor, wrap
from gradus.torch_table import FUNCTIONS, METHODS, both, function, function_named, method, sizes_of, tensor_of

ValuesIndices = namedtuple("ValuesIndices", ["values", "indices"])


def axis_of(input: Any, dim: int) -> int:
    """One axis of a tensor that has axes, counted from the front."""
    axes = normalize_axes(dim, input.ndim)
    if not axes:
        raise IndexRangeError("a 0-d tensor has no axis", got=f"dim {dim}", wanted="1 axis or more", fix="x.reshape(1)", code="E41")
    return axes[0]


def check_ranks(name: str, least: int, *tensors: Any, most: int | None = None, fix: str = "") -> None:
    """Raise unless every tensor has between ``least`` and ``most`` axes."""
    for x in tensors:
        if x.ndim < least or (most is not None and x.ndim > most):
            wanted = f"{least} axes" if most == least else f"{least} axes or more" if most is None else f"{least} to {most} axes"
            raise ShapeError(
                f"{name} takes tensors of {wanted}",
                got=", ".join(str(tuple(x.shape)) for x in tensors),
                wanted=wanted,
                fix=fix,
                code="E03",
            )


def common_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which tensors of these shapes meet."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            "shapes cannot be broadcast to one",
            got=" and ".join(str(tuple(shape)) for shape in shapes),
            wanted="lengths that are equal or 1, counted from the last axis",
            code="E03",
        ) from None


def with_an_axis(f: Callable[[Any], Any], input: Any) -> Any:
    """``f`` of a tensor that has an axis; a 0-d tensor gets one for the time of the call."""
    if input.ndim:
        return f(input)
    result = f(ops.reshape(input, (1,)))
    return ValuesIndices(*[ops.reshape(part, ()) for part in result]) if isinstance(result, tuple) else ops.reshape(result, ())


# Shapes.


def _apart(result: Any) -> Any:
    """A fresh result with memory of its own, where NumPy gives a view and PyTorch a copy."""
    if isinstance(result, Tensor) and type(result.value) is np.ndarray and result.value.base is not None:
        result.value, result._base = np.array(result.value, order="C"), None
    elif isinstance(result, Tensor) and MODE.world is not None and MODE.world.has_memory:
        result.value, result._base = MODE.world.past(result.value), None
    return result


@method
def reshape(self: Any, *shape: Any) -> Any:
    """The same values under another shape; one length may be -1."""
    return ops.reshape(self, sizes_of(shape))


@method
def view(self: Any, *shape: Any) -> Any:
    """As reshape; with a dtype, the same bits read as another type is refused: use ``to``."""
    if len(shape) == 1 and isinstance(shape[0], np.dtype):
        raise UsageError("view(dtype) is not offered", wanted="a shape", fix="x.to(dtype)")
    return ops.reshape(self, sizes_of(shape))


@function_named("reshape")
def _reshape(input: Any, shape: Any) -> Any:
    """The same values under another shape; one length may be -1."""
    return reshape(input, shape)


@method
def reshape_as(self: Any, other: Any) -> Any:
    """The same values in the shape of another tensor."""
    return reshape(self, other.shape)


METHODS["view_as"] = reshape_as


@both
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Join the axes from ``start_dim`` to ``end_dim`` into one."""
    ndim = builtins.max(input.ndim, 1)
    for d in (start_dim, end_dim):
        normalize_axes(d, ndim)
    first, last = start_dim % ndim, end_dim % ndim
    if first > last:
        raise UsageError(
            "flatten() has invalid args: start_dim cannot come after end_dim",
            got=f"{start_dim}, {end_dim}",
            wanted="start_dim <= end_dim",
            code="E03",
        )
    if not input.ndim:
        return ops.reshape(input, (1,))
    shape = input.shape
    return ops.reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@both
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Split one axis into several."""
    dim = axis_of(input, dim)
    return ops.reshape(input, (*input.shape[:dim], *ops.movement.complete_shape(sizes, (input.shape[dim],)), *input.shape[dim + 1 :]))


@method
def permute(self: Any, *dims: Any) -> Any:
    """The axes in another order."""
    axes = sizes_of(dims)
    if len(axes) != self.ndim or len(normalize_axes(axes, self.ndim)) != len({d % self.ndim for d in axes} if self.ndim else ()):
        raise ShapeError(
            "permute names each axis once",
            got=f"dims {axes} for shape {tuple(self.shape)}",
            wanted=f"the numbers 0 … {self.ndim - 1} in some order",
            code="E03",
        )
    return ops.permute_dims(self, axes)


@function_named("permute")
def _permute(input: Any, dims: Any) -> Any:
    """The axes in another order."""
    return permute(input, tuple(dims))


@both
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes exchanged."""
    normalize_axes((dim0, dim1), input.ndim)
    axes = list(range(input.ndim))
    if not axes:
        return input
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return ops.permute_dims(input, axes)


FUNCTIONS["swapaxes"] = METHODS["swapaxes"] = transpose


@both
def t(input: Any) -> Any:
    """A matrix with its axes exchanged; vectors stay."""
    if input.ndim > 2:
        raise ShapeError(
            "t() expects a tensor with <= 2 dimensions",
            got=f"{input.ndim} axes",
            wanted="a matrix",
            fix="x.mT or x.transpose(0, 1)",
            code="E03",
        )
    return ops.permute_dims(input, tuple(range(input.ndim))[::-1])


def _reversed(self: Any) -> Any:
    """The axes in reverse order."""
    return ops.permute_dims(self, tuple(range(self.ndim))[::-1])


METHODS["T"] = property(_reversed)
METHODS["mT"] = property(ops.matrix_transpose)


@both
def squeeze(input: Any, dim: Any = None) -> Any:
    """Drop axes of length 1: all, or those named if their length is 1."""
    dims = normalize_axes(dim, input.ndim)
    return ops.reshape(input, tuple([n for k, n in enumerate(input.shape) if n != 1 or k not in dims]))


@both
def unsqueeze(input: Any, dim: int) -> Any:
    """A new axis of length 1."""
    return ops.expand_dims(input, axis=dim)


@method
def expand(self: Any, *sizes: Any) -> Any:
    """Repeat axes of length 1 without copying (stride 0); -1 keeps a length."""
    shape = sizes_of(sizes)
    offset = len(shape) - self.ndim
    if offset < 0 or -1 in shape[:offset]:
        raise ShapeError(
            f"expand cannot make {list(shape)} of {list(self.shape)}",
            got=f"sizes {shape}",
            wanted="as many sizes as axes, or more in front; -1 for axes that exist",
            code="E03",
        )
    return ops.broadcast_to(self, tuple([self.shape[k - offset] if n == -1 else n for k, n in enumerate(shape)]))


@method
def expand_as(self: Any, other: Any) -> Any:
    """Axes of length 1 repeated without copying, to the shape of another tensor."""
    return expand(self, tuple(other.shape))


@both
def broadcast_to(input: Any, shape: Any) -> Any:
    """Axes of length 1 repeated without copying; -1 keeps a length."""
    return expand(input, tuple(shape))


@method
def repeat(self: Any, *sizes: Any) -> Any:
    """The whole tensor, copied so many times along each axis."""
    times = sizes_of(sizes)
    if len(times) < self.ndim:
        raise ShapeError(
            "repeat needs a number for each axis",
            got=f"{times} for shape {tuple(self.shape)}",
            wanted=f"at least {self.ndim} numbers",
            code="E03",
        )
    shape = (1,) * (len(times) - self.ndim) + tuple(self.shape)
    paired = tuple([n for pair in zip(times, shape, strict=True) for n in pair])
    spread = ops.broadcast_to(ops.reshape(self, tuple([n for m in shape for n in (1, m)])), paired)
    return _apart(ops.reshape(spread, tuple([k * n for k, n in zip(times, shape, strict=True)])))


@function
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Join along an existing axis."""
    return ops.concat([tensor_of(x) for x in tensors], axis=dim if axis is None else axis)


FUNCTIONS["concat"] = FUNCTIONS["concatenate"] = cat


@function
def stack(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Join along a new axis."""
    return ops.stack([tensor_of(x) for x in tensors], axis=dim if axis is None else axis)


@both
def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> Any:
    """Pieces of one size (the last may be smaller), or of the sizes listed."""
    axis = axis_of(input, dim)
    n, sections = input.shape[axis], split_size_or_sections
    sizes = [builtins.min(sections, n - start) for start in range(0, n, sections)] or [0] if isinstance(sections, int) else list(sections)
    if builtins.sum(sizes) != n:
        raise ShapeError(f"split expects sizes that sum to {n}", got=f"{sizes}", wanted=f"a total of {n} on axis {axis}", code="E03")
    starts = np.cumsum([0, *sizes])
    return tuple([ops.getitem(input, key=(*(slice(None),) * axis, slice(int(a), int(b)))) for a, b in itertools.pairwise(starts)])


@both
def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """At most so many pieces of equal size (the last may be smaller)."""
    if chunks < 1:
        raise UsageError("chunk expects chunks to be greater than 0", got=str(chunks), wanted="1 or more", code="E29")
    n = input.shape[axis_of(input, dim)]
    return split(input, -(-n // chunks) if n else [0] * chunks, dim)


@both
def unbind(input: Any, dim: int = 0) -> Any:
    """The slices along an axis, without it."""
    axis = axis_of(input, dim)
    return tuple([ops.getitem(input, key=(*(slice(None),) * axis, i)) for i in range(input.shape[axis])])


@both
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Shift along axes; what leaves at the end comes back at the start."""
    if dims is not None:
        normalize_axes(dims, input.ndim)
    return ops.roll(input, shifts, axis=dims)


@both
def flip(input: Any, *dims: Any) -> Any:
    """The order along axes reversed."""
    axes = sizes_of(dims)
    if len({d % input.ndim for d in axes} if input.ndim else ()) != len(axes):
        raise ShapeError(
            "flip names an axis at most once", got=f"dims {axes} for shape {tuple(input.shape)}", wanted="different axes", code="E03"
        )
    return _apart(ops.flip(input, axis=axes))


@both
def tril(input: Any, diagonal: int = 0) -> Any:
    """The part on and below a diagonal, zero elsewhere."""
    check_ranks("tril", 2, input)
    return ops.tril(input, k=diagonal)


@both
def triu(input: Any, diagonal: int = 0) -> Any:
    """The part on and above a diagonal, zero elsewhere."""
    check_ranks("triu", 2, input)
    return ops.triu(input, k=diagonal)


@both
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """One axis, or several, moved to other places; the rest keep their order."""
    sources, places = [
        [d % input.ndim for d in ((dim,) if isinstance(dim, int) else dim) if normalize_axes(d, input.ndim)]
        for dim in (source, destination)
    ]
    order = [k for k in range(input.ndim) if k not in sources]
    for place, axis in builtins.sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return permute(input, order)


@both
def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """``length`` slices from ``start`` along an axis."""
    axis = axis_of(input, dim)
    n = input.shape[axis]
    first = start + n if start < 0 else start
    if length < 0 or not 0 <= first <= first + length <= n:
        raise IndexRangeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({n})",
            got=f"shape {tuple(input.shape)}, dim {dim}",
            wanted="a range inside the axis",
            code="E41",
        )
    return ops.getitem(input, key=(*(slice(None),) * axis, slice(first, first + length)))


@both
def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or a matrix with this diagonal."""
    check_ranks("diag", 1, input, most=2)
    if input.ndim == 2:
        rows = np.arange(builtins.max(-diagonal, 0), builtins.min(input.shape[0], input.shape[1] - diagonal))
        return ops.index(input, (rows, rows + diagonal))
    n = input.shape[0] + builtins.abs(diagonal)
    rows = np.arange(input.shape[0]) + builtins.max(-diagonal, 0)
    static, arrays = ops.indexing.split_key((rows, rows + diagonal))
    return ops.scatter_add(input, *arrays, shape=(n, n), key=static)


# Reading and writing at indices.

GETITEM = REGISTRY["getitem"]


@method
def __getitem__(self: Any, key: Any) -> Any:
    """``x[key]`` with every form of key that NumPy and PyTorch know; a 0-d integer tensor counts as an integer: the result is a view."""
    if key.__class__ is int or key.__class__ is slice:
        return apply(GETITEM, (self,), {"key": (key,)})
    if MODE.world is None:
        key = tuple([_plain(item) for item in key]) if isinstance(key, tuple) else _plain(key)
    return ops.index(self, key)


def _plain(item: Any) -> Any:
    return int(item) if isinstance(item, (Tensor, np.ndarray)) and not item.ndim and item.dtype.kind in "iu" else item


def from_the_front(index: Any, name: str, input: Any = None) -> None:
    """Raise for negative indices: -1, a common mark of missing values, would read the last element.

    Beside an ``input``, raise for an index with fewer or more axes too: an index of labels would name whole rows.
    """
    if input is not None and builtins.max(index.ndim, 1) != builtins.max(input.ndim, 1) and 0 not in index.shape:
        raise ShapeError(
            f"{name}: Index tensor must have the same number of dimensions as input tensor",
            got=f"index of shape {tuple(index.shape)}, input of shape {tuple(input.shape)}",
            wanted=f"an index with {input.ndim} axes, an element for each result",
            fix=f"{name}(dim, index.unsqueeze(dim))" if index.ndim + 1 == input.ndim else "",
            code="E03",
        )
    if isinstance(index.value, np.ndarray) and index.value.size and index.value.min() < 0:
        raise IndexRangeError(
            f"{name}: an index is negative",
            got=f"index {index.value.min()}",
            wanted="indices from 0",
            fix="x[index] counts from the end",
            code="E41",
        )


@both
def gather(input: Any, dim: int, index: Any) -> Any:
    """``y[i, j] = x[i, index[i, j]]`` for dim 1, and so on."""
    from_the_front(index, "gather", input)
    return with_an_axis(lambda x: ops.take_along_axis(x, index if index.ndim else ops.reshape(index, (1,)), axis=axis_of(x, dim)), input)


@both
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """``input`` with ``src`` added at the places that gather would read; a place named twice receives both."""
    from_the_front(index, "scatter_add", input)
    if src.ndim != index.ndim or any(n > m for n, m in zip(index.shape, src.shape, strict=True)):
        raise ShapeError(
            "scatter_add needs a value for each index",
            got=f"index of shape {tuple(index.shape)}, src of shape {tuple(src.shape)}",
            wanted="src at least as large as index on every axis",
            code="E03",
        )
    cut = ops.getitem(src, key=tuple([slice(0, n) for n in index.shape]))
    return ops.scatter_add_along_axis(input, index, cut, axis=dim)


@both
def index_select(input: Any, dim: int, index: Any) -> Any:
    """Slices along an axis in the order of ``index``."""
    if index.ndim > 1:
        raise ShapeError(
            "index_select(): Index is supposed to be a vector",
            got=f"index of shape {tuple(index.shape)}",
            wanted="one axis",
            fix="x[index]",
            code="E03",
        )
    from_the_front(index, "index_select")
    return ops.take(input, index if index.ndim else ops.reshape(index, (1,)), axis=axis_of(input, dim))


@both
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """As gather, with indices broadcast against the other axes; of the flattened tensor when dim is None."""
    from_the_front(indices, "take_along_dim", None if dim is None else input)
    if dim is None:
        return ops.take_along_axis(ops.reshape(input, (-1,)), ops.reshape(indices, (-1,)), axis=0)
    axis = axis_of(input, dim)
    others = common_shape(*[tuple(x.shape[:axis] + x.shape[axis + 1 :]) for x in (input, indices)])
    wide, picked = [ops.broadcast_to(x, (*others[:axis], x.shape[axis], *others[axis:])) for x in (input, indices)]
    return ops.take_along_axis(wide, picked, axis=axis)


@both
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask holds, as a vector."""
    shape = common_shape(tuple(input.shape), tuple(mask.shape))
    return ops.index(ops.broadcast_to(input, shape), ops.broadcast_to(mask, shape))


@both
def nonzero(input: Any, as_tuple: bool = False) -> Any:
    """The indices of elements that are not zero."""
    found = np.atleast_1d(input.detach().numpy()).nonzero()
    if not input.ndim and not as_tuple:
        return wrap(np.zeros((len(found[0]), 0), np.int64))
    return tuple([wrap(i) for i in found]) if as_tuple else wrap(np.stack(found, axis=1) if found else np.zeros((0, 0), np.int64))

"""PyTorch's spelling, continued: diagonals, joining and repeating, and writing at indices; all of it written with existing ops.

Nothing here has a derivative of its own: each function is a composition, so it is differentiated, traced and compiled as its parts are.
"""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, IndexRangeError, ShapeError, UsageError
from gradus.primitive import normalize_axes
from gradus.tensors import Size, Tensor, wrap
from gradus.torch_movement import (
    axis_of,
    cat,
    check_ranks,
    common_shape,
    flip,
    from_the_front,
    movedim,
    nonzero,
    permute,
    stack,
    transpose,
    with_an_axis,
)
from gradus.torch_table import FUNCTIONS, METHODS, both, clone, function, method, sizes_of, tensor_of

# Diagonals.


def _plane(input: Any, dim1: int, dim2: int) -> tuple[int, int]:
    """Two different axes, counted from the front."""
    first, second = axis_of(input, dim1), axis_of(input, dim2)
    if first == second:
        raise ShapeError(
            "a diagonal lies between two different axes",
            got=f"dim1={dim1} and dim2={dim2} of shape {tuple(input.shape)}",
            wanted="two axes",
            fix="x.diagonal(0, -2, -1)",
            code="E03",
        )
    return first, second


@both
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    r"""The elements :math:`x_{i,\,i+\mathrm{offset}}` of the axes ``dim1`` and ``dim2``, which one axis at the end takes the place of.

    A view of the tensor where its memory allows, as with ``reshape``; else a copy, which cannot be written to.

    >>> diagonal(tensor_of([[1, 2, 3], [4, 5, 6]]), 1)
    tensor([2, 6])
    """
    first, second = _plane(input, dim1, dim2)
    if offset < 0:
        return diagonal(input, -offset, second, first)
    others = [axis for axis in range(input.ndim) if axis not in (first, second)]
    rows, columns = input.shape[first], input.shape[second]
    length = builtins.max(builtins.min(rows, columns - offset), 0)
    # Both axes as one line of memory, in the order in which they lie there, so that the elements wanted have one distance.
    steps = input.value.strides
    by_columns = builtins.abs(steps[first]) < builtins.abs(steps[second])
    start, step = (offset * rows, rows + 1) if by_columns else (offset, columns + 1)
    plane = [second, first] if by_columns else [first, second]
    line = ops.reshape(permute(input, [*others, *plane]), (*[input.shape[axis] for axis in others], rows * columns))
    return _kept(ops.getitem(line, key=(Ellipsis, slice(start, start + length * step if length else start, step))), input)


def _kept(copy: Any, input: Any) -> Any:
    """A copy where PyTorch has a view may be read, but not written to: nothing of that would reach the tensor."""
    if type(copy.value) is np.ndarray and type(input.value) is np.ndarray and not np.may_share_memory(copy.value, input.value):
        copy.value.flags.writeable = not copy.value.size
    return copy


@both
def trace(input: Any) -> Any:
    r""":math:`\sum_i x_{ii}` of a matrix; whole numbers are summed as int64.

    >>> trace(tensor_of([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    check_ranks("trace", 2, input, most=2)
    if input.dtype.kind == "b":
        raise DTypeError("trace adds numbers", got="bool", wanted="a number dtype", fix="x.int().trace()", code="E14")
    total = diagonal(input)
    return ops.sum(total if total.dtype.kind in "fi" else ops.astype(total, np.int64))


@both
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last axis as a diagonal and zeros elsewhere, on the axes ``dim1`` and ``dim2`` of the result."""
    first, second = [normalize_axes(dim, input.ndim + 1)[0] for dim in (dim1, dim2)]
    if first == second:
        raise ShapeError("a diagonal lies between two different axes", got=f"dim1={dim1} and dim2={dim2}", wanted="two axes", code="E03")
    gap = builtins.abs(offset)
    n = input.shape[-1] + gap
    longer = ops.pad(input, width=((0, 0),) * (input.ndim - 1) + ((0, gap),))  # element i stands in row i, or below in column i
    wide = ops.expand_dims(longer, axis=-1 if offset >= 0 else -2)
    matrix = ops.astype(ops.where(np.eye(n, k=offset, dtype=bool), wide, 0), input.dtype)
    return movedim(matrix, (-2, -1), (first, second))


@both
def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all elements, one after the other, on a diagonal."""
    return diag_embed(ops.reshape(input, (-1,)), offset)


def _triangle(name: str, mask: Any) -> None:
    def indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
        found = np.stack(np.nonzero(mask(np.ones((row, col), bool), offset)))
        return wrap(found.astype(dtype or np.int64))

    indices.__name__ = name
    indices.__doc__ = (
        f"Where a matrix of this shape has its {'lower' if mask is np.tril else 'upper'} triangle: row numbers, column numbers."
    )
    function(indices)


_triangle("tril_indices", np.tril)
_triangle("triu_indices", np.triu)


@method
def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Any:
    """One number on the whole main diagonal of a matrix, or of a tensor whose axes are of one length."""
    check_ranks("fill_diagonal_", 2, self)
    if wrap or (self.ndim > 2 and len(set(self.shape)) > 1):
        raise UsageError(
            "fill_diagonal_ fills one diagonal", got=f"wrap={wrap}, shape {tuple(self.shape)}", wanted="wrap=False", code="E29"
        )
    places = np.eye(self.shape[0], self.shape[1], dtype=bool) if self.ndim == 2 else np.zeros(tuple(self.shape), bool)
    if self.ndim > 2:
        places[(np.arange(self.shape[0]),) * self.ndim] = True
    return self.masked_fill_(places, fill_value)


# Axes.

FUNCTIONS["moveaxis"] = METHODS["moveaxis"] = movedim
FUNCTIONS["swapdims"] = METHODS["swapdims"] = transpose


@both
def ravel(input: Any) -> Any:
    """All elements along one axis."""
    return ops.reshape(input, (-1,))


@both
def adjoint(input: Any) -> Any:
    """The last two axes exchanged: numbers here have no imaginary part to change the sign of."""
    return ops.matrix_transpose(input)


METHODS["mH"] = property(adjoint)


def _at_least(name: str, shape_of: Any) -> None:
    def lifted(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
        found = tuple([ops.reshape(x, shape_of(tuple(x.shape))) for x in map(tensor_of, given)])
        return found if len(tensors) != 1 or given is not tensors else found[0]

    lifted.__name__, lifted.__doc__ = name, f"Each tensor with {name[-2]} axes or more; new ones have length 1."
    function(lifted)


_at_least("atleast_1d", lambda shape: shape or (1,))
_at_least("atleast_2d", lambda shape: (1,) * (2 - len(shape)) + shape)
_at_least("atleast_3d", lambda shape: {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape))


@both
def fliplr(input: Any) -> Any:
    """Axis 1 reversed."""
    check_ranks("fliplr", 2, input)
    return flip(input, 1)


@both
def flipud(input: Any) -> Any:
    """Axis 0 reversed."""
    check_ranks("flipud", 1, input)
    return flip(input, 0)


@both
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """Turned ``k`` times by a right angle, from the first axis of ``dims`` towards the second."""
    if len(dims) != 2:
        raise UsageError("rot90 turns a plane", got=f"dims {tuple(dims)}", wanted="two axes", fix="x.rot90(1, (0, 1))", code="E29")
    first, second = _plane(input, *dims)
    quarter = k % 4
    if quarter == 0:
        return clone(input)
    if quarter == 2:
        return flip(input, first, second)
    return transpose(flip(input, second if quarter == 1 else first), first, second)


# Joining, repeating, cutting.


@function
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes meet in."""
    return Size(common_shape(*[(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]))


@function
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of all tensors in the shape that they meet in."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shape = common_shape(*[tuple(x.shape) for x in given])
    return tuple([ops.broadcast_to(x, shape) for x in given])


@function
def hstack(tensors: Any) -> Any:
    """Joined along axis 1; vectors one after the other."""
    lifted = [FUNCTIONS["atleast_1d"](x) for x in tensors]
    return cat(lifted, 1 if lifted and lifted[0].ndim > 1 else 0)


@function
def vstack(tensors: Any) -> Any:
    """Joined along axis 0; vectors are rows."""
    return cat([FUNCTIONS["atleast_2d"](x) for x in tensors], 0)


FUNCTIONS["row_stack"] = vstack


@function
def dstack(tensors: Any) -> Any:
    """Joined along axis 2."""
    return cat([FUNCTIONS["atleast_3d"](x) for x in tensors], 2)


@function
def column_stack(tensors: Any) -> Any:
    """Joined along axis 1; vectors are columns."""
    return cat([x if x.ndim > 1 else ops.reshape(x, (-1, 1)) for x in map(tensor_of, tensors)], 1)


@function
def block_diag(*tensors: Any) -> Any:
    """One matrix with the matrices given along its diagonal, and zeros elsewhere."""
    blocks = [FUNCTIONS["atleast_2d"](x) for x in tensors]
    check_ranks("block_diag", 2, *blocks, most=2)
    total, rows, start = builtins.sum([x.shape[1] for x in blocks]), [], 0
    for x in blocks:
        rows.append(ops.pad(x, width=((0, 0), (start, total - start - x.shape[1]))))
        start += x.shape[1]
    return cat(rows, 0)


@both
def tile(input: Any, *dims: Any) -> Any:
    """The whole tensor, copied so many times along each axis; the times of axes in front may be left out."""
    times = sizes_of(dims)
    return input.repeat((1,) * (input.ndim - len(times)) + tuple(times))


@both
def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None) -> Any:
    """Each slice along an axis, repeated so many times; the elements one after the other when ``dim`` is None.

    With ``repeats`` alone, each of the numbers 0, 1, 2 … so many times.

    >>> repeat_interleave(tensor_of([5, 6]), tensor_of([1, 3]))
    tensor([5, 6, 6, 6])
    """
    if repeats is None:
        return repeat_interleave(wrap(np.arange(input.numel())), input)
    if dim is None:
        return repeat_interleave(ops.reshape(input, (-1,)), repeats, 0)
    axis = axis_of(input, dim)
    times = np.asarray(repeats if isinstance(repeats, int) else tensor_of(repeats).numpy())
    if times.min(initial=0) < 0 or (times.ndim and times.shape not in ((1,), (input.shape[axis],))):
        raise ShapeError(
            "repeat_interleave needs to know how often each slice is repeated",
            got=f"repeats {times.tolist()} for an axis of {input.shape[axis]}",
            wanted="one number from 0 up, or one for each slice",
            code="E03",
        )
    return ops.take(input, np.repeat(np.arange(input.shape[axis]), times), axis=axis)


@function
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """A grid for each vector that varies along its own axis alone; with ``indexing="xy"`` the first two axes are exchanged."""
    vectors = [tensor_of(x) for x in (tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors)]
    if indexing not in ("ij", "xy"):
        raise UsageError("meshgrid has no such indexing", got=repr(indexing), wanted="'ij' or 'xy'", code="E29")
    check_ranks("meshgrid", 0, *vectors, most=1)
    lines = [ops.reshape(x, (-1,)) for x in vectors]
    shape = tuple([x.shape[0] for x in lines])
    grids = [ops.reshape(x, (1,) * k + (-1,) + (1,) * (len(lines) - k - 1)) for k, x in enumerate(lines)]
    wide = [ops.broadcast_to(x, shape) for x in grids]
    return tuple([transpose(x, 0, 1) if indexing == "xy" and len(lines) > 1 else x for x in wide])


@function
def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element of each vector, as rows; a single vector comes back as it is."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([ops.reshape(x, (-1,)) for x in meshgrid(*tensors)], 1)


@both
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All choices of ``r`` elements of a vector in their order, as rows."""
    check_ranks("combinations", 1, input, most=1)
    if r < 0:
        raise UsageError("combinations cannot choose fewer elements than none", got=f"r = {r}", wanted="r >= 0", code="E29")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = list(choose(range(input.shape[0]), r)) if r else []
    return ops.take(input, np.array(chosen, np.int64).reshape((-1, r) if r else (0,)))


@both
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """So many pieces whose lengths differ by one at most, the longer ones first; or pieces that end at the places listed."""
    axis = axis_of(input, dim)
    n = input.shape[axis]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1:
            raise UsageError("tensor_split makes one piece or more", got=str(indices_or_sections), wanted="1 or more", code="E29")
        small, more = divmod(n, indices_or_sections)
        ends = [0, *itertools.accumulate([small + (k < more) for k in range(indices_or_sections)])]
        bounds = list(itertools.pairwise(ends))
    else:
        places = [int(place) for place in indices_or_sections]
        bounds = list(zip([0, *places], [*places, n], strict=True))
    return tuple([ops.getitem(input, key=(*(slice(None),) * axis, slice(a, b))) for a, b in bounds])


def _split_along(name: str, least: int, axis: Any) -> None:
    def pieces(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
        check_ranks(name, least, input)
        dim = axis(input)
        if isinstance(indices_or_sections, int) and (indices_or_sections < 1 or input.shape[dim] % indices_or_sections):
            raise ShapeError(
                f"{name} makes pieces of one length",
                got=f"{indices_or_sections} pieces of {input.shape[dim]}",
                wanted="a number that divides it",
                fix="x.tensor_split(n, dim)",
                code="E03",
            )
        return tensor_split(input, indices_or_sections, dim)

    pieces.__name__, pieces.__doc__ = name, f"tensor_split along axis {name[0] == 'd' and 2 or int(name[0] == 'h')}, into equal pieces."
    both(pieces)


_split_along("vsplit", 2, lambda x: 0)
_split_along("hsplit", 1, lambda x: int(x.ndim > 1))
_split_along("dsplit", 3, lambda x: 2)


# Reading and writing at indices.


@both
def select(input: Any, dim: int, index: int) -> Any:
    """One slice along an axis, without it."""
    axis = axis_of(input, dim)
    if not -input.shape[axis] <= index < input.shape[axis]:
        raise IndexRangeError(
            "select(): index is out of range",
            got=f"index {index} of an axis of {input.shape[axis]}",
            wanted="an index inside the axis",
            code="E41",
        )
    return ops.getitem(input, key=(*(slice(None),) * axis, int(index)))


@both
def argwhere(input: Any) -> Any:
    """The indices of elements that are not zero, a row for each."""
    return nonzero(input)


@both
def take(input: Any, index: Any) -> Any:
    """Elements by their number, counted through the whole tensor."""
    return ops.take(ops.reshape(input, (-1,)), index)


@method
def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """All windows of ``size`` neighbours along an axis, ``step`` apart; they stand along a new axis at the end.

    A copy, which cannot be written to.
    """
    axis = axis_of(self, dimension)
    if size < 0 or step < 1 or size > self.shape[axis]:
        raise ShapeError(
            "unfold needs windows that fit",
            got=f"size {size}, step {step} on an axis of {self.shape[axis]}",
            wanted="0 <= size <= the length of the axis, step 1 or more",
            code="E03",
        )
    starts = np.arange(0, self.shape[axis] - size + 1, step)
    return _kept(movedim(ops.take(self, starts[:, None] + np.arange(size), axis=axis), axis + 1, -1), self)


def _values(name: str, input: Any, index: Any, src: Any) -> Any:
    if not isinstance(src, Tensor):
        return src
    if src.ndim != index.ndim or builtins.any(n > m for n, m in zip(index.shape, src.shape, strict=True)):
        raise ShapeError(
            f"{name} needs a value for each index",
            got=f"index of shape {tuple(index.shape)}, src of shape {tuple(src.shape)}",
            wanted="src at least as large as index on every axis",
            code="E03",
        )
    _check_dtype(name, input, src)
    return ops.getitem(src, key=tuple([slice(0, n) for n in index.shape]))


def _check_dtype(name: str, input: Any, values: Any) -> None:
    if values.dtype != input.dtype:
        raise DTypeError(
            f"{name} writes values of the tensor's own dtype",
            got=f"values {values.dtype}, tensor {input.dtype}",
            wanted=str(input.dtype),
            fix="values.to(x.dtype)",
            code="E14",
        )


@both
def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Any:
    """``input`` with ``src`` (or one value) at the places that gather would read; of a place named twice, the last counts."""
    from_the_front(index, "scatter", input)
    values = _values("scatter", input, index, value if src is None else src)
    index, values = [ops.reshape(x, (1,)) if isinstance(x, Tensor) and not x.ndim else x for x in (index, values)]

    def written(x: Any) -> Any:
        axis = axis_of(x, dim)
        grid = [index if k == axis else np.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - k)) for k, n in enumerate(index.shape)]
        return ops.index_update(x, values, *grid, key=ops.indexing.split_key(tuple(grid))[0])

    return with_an_axis(written, input)


def _rows(input: Any, dim: int, index: Any, name: str) -> tuple[int, tuple[Any, ...]]:
    """The axis, and the key of the slices along it that ``index`` names."""
    if index.ndim > 1:
        raise ShapeError(f"{name}: index is a vector", got=f"index of shape {tuple(index.shape)}", wanted="one axis", code="E03")
    from_the_front(index, name)
    axis = axis_of(input, dim)
    return axis, (*(slice(None),) * axis, index if index.ndim else ops.reshape(index, (1,)))


def _slices(name: str, x: Any, axis: int, index: Any, source: Any) -> Any:
    """``source``, which must hold a slice of ``x`` for each index."""
    _check_dtype(name, x, source)
    slices = source if source.ndim else ops.reshape(source, (1,))
    wanted = (*x.shape[:axis], index.shape[0] if index.ndim else 1, *x.shape[axis + 1 :])
    if slices.shape != wanted:
        raise ShapeError(
            f"{name} needs a slice for each index",
            got=f"source {tuple(source.shape)}, index {tuple(index.shape)}, x {tuple(x.shape)}",
            wanted=f"source of shape {wanted}",
            code="E03",
        )
    return slices


@both
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """``input`` with ``alpha`` · ``source`` added to the slices along an axis that ``index`` names."""

    def added(x: Any) -> Any:
        axis, key = _rows(x, dim, index, "index_add")
        static, arrays = ops.indexing.split_key(key)
        more = _slices("index_add", x, axis, index, source)
        return x + ops.scatter_add(more if alpha == 1 else more * alpha, *arrays, shape=x.shape, key=static)

    return with_an_axis(added, input)


@both
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """``input`` with ``source`` in place of the slices along an axis that ``index`` names."""

    def written(x: Any) -> Any:
        axis, key = _rows(x, dim, index, "index_copy")
        static, arrays = ops.indexing.split_key(key)
        return ops.index_update(x, _slices("index_copy", x, axis, index, source), *arrays, key=static)

    return with_an_axis(written, input)


@both
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """``input`` with one value in the slices along an axis that ``index`` names."""

    def written(x: Any) -> Any:
        static, arrays = ops.indexing.split_key(_rows(x, dim, index, "index_fill")[1])
        return ops.index_update(x, value, *arrays, key=static)

    return with_an_axis(written, input)


@both
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """``input`` with the elements of ``source``, one after the other, where the mask holds; the two are broadcast."""
    if mask.dtype.kind != "b":
        raise DTypeError("masked_scatter takes a boolean mask", got=str(mask.dtype), wanted="bool", fix="mask != 0", code="E14")
    _check_dtype("masked_scatter", input, source)
    shape = common_shape(tuple(input.shape), tuple(mask.shape))
    input, held = [ops.broadcast_to(x, shape) for x in (input, mask)]
    count = math.prod(source.shape)
    if type(held.value) is np.ndarray and held.value.sum() > count:
        raise ShapeError(
            "masked_scatter: expected self and source to have enough elements",
            got=f"{held.value.sum()} places, {count} elements",
            wanted="an element for each place",
            code="E03",
        )
    if not count:
        return clone(input)
    places = ops.cumulative_sum(ops.reshape(ops.astype(held, np.int64), (-1,)), axis=0) - 1
    taken = ops.take(ops.reshape(source, (-1,)), ops.clip(places, low=0, high=count - 1))
    return ops.where(held, ops.reshape(taken, shape), input)


@both
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """``input`` with values at the places that ``x[indices]`` reads, written or (``accumulate``) added."""
    if isinstance(values, Tensor):
        _check_dtype("index_put", input, values)
    static, arrays = ops.indexing.split_key(tuple(indices))
    if not accumulate:
        return ops.index_update(input, values, *arrays, key=static)
    read = ops.getitem(input, *arrays, key=static)
    return input + ops.scatter_add(ops.broadcast_to(values, read.shape), *arrays, shape=input.shape, key=static)


@function
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Numbers of elements, counted through a tensor of ``shape``, as an index for each axis."""
    sizes, found, rest = sizes_of((shape,)), [], indices
    for n in reversed(sizes):
        found.append(ops.remainder(rest, n))
        rest = ops.floor_divide(rest, n)
    return tuple(reversed(found))


# Sets.


@both
def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """All elements but those that equal the one before them."""
    x = input.detach().numpy().ravel()
    new = np.ones(x.shape, bool)
    new[1:] = x[1:] != x[:-1]
    places = np.flatnonzero(new)
    found = [wrap(x[places])]
    if return_inverse:
        found.append(wrap((np.cumsum(new) - 1).reshape(tuple(input.shape))))
    if return_counts:
        found.append(wrap(np.diff(np.append(places, len(x)))))
    return tuple(found) if len(found) > 1 else found[0]


@function
def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Any:
    """Whether each element is among the others."""
    a, b = tensor_of(elements), ops.reshape(tensor_of(test_elements), (-1,))
    found = ops.any(ops.equal(ops.expand_dims(a, axis=-1), b), axis=-1)
    return ops.logical_not(found) if invert else found


@function
def searchsorted(sorted_sequence: Any, input: Any, *, right: bool = False) -> Any:
    """How many of an ascending vector are smaller than each number (``right``: not greater)."""
    edges, x = tensor_of(sorted_sequence), tensor_of(input)
    check_ranks("searchsorted", 1, edges, most=1)
    return wrap(np.asarray(np.searchsorted(edges.detach().numpy(), x.detach().numpy(), "right" if right else "left")))


@function
def bucketize(input: Any, boundaries: Any, *, right: bool = False) -> Any:
    """The number of the interval, between ascending boundaries, that each number lies in."""
    return searchsorted(boundaries, input, right=right)

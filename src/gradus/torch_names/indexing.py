"""Reading and writing at indices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, IndexRangeError, ShapeError
from gradus.mode import MODE
from gradus.primitive import REGISTRY
from gradus.tape import apply
from gradus.tensors import Tensor, wrap
from gradus.torch_names.attributes import clone
from gradus.torch_names.diagonals import read_only_copy
from gradus.torch_names.movement import movedim
from gradus.torch_names.table import axis_of, both, common_shape, function, method, sizes_of, with_an_axis

# Read.

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


def from_the_front(index: Any, name: str, input: Any = None) -> None:
    """Raise for negative indices: -1, a common mark of missing values, would read the last element.

    Beside an ``input``, raise for an index with fewer or more axes too: an index of labels would name whole rows.
    """
    if input is not None and max(index.ndim, 1) != max(input.ndim, 1) and 0 not in index.shape:
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

    >>> import gradus
    >>> gradus.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
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
    return read_only_copy(movedim(ops.take(self, starts[:, None] + np.arange(size), axis=axis), axis + 1, -1), self)


@function
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Numbers of elements, counted through a tensor of ``shape``, as an index for each axis.

    >>> import gradus
    >>> gradus.unravel_index(gradus.tensor([5]), (2, 3))
    (tensor([1]), tensor([2]))
    """
    sizes, found, rest = sizes_of((shape,)), [], indices
    for n in reversed(sizes):
        found.append(ops.remainder(rest, n))
        rest = ops.floor_divide(rest, n)
    return tuple(reversed(found))


# Written.


def _values(name: str, input: Any, index: Any, src: Any) -> Any:
    if not isinstance(src, Tensor):
        return src
    if src.ndim != index.ndim or any(n > m for n, m in zip(index.shape, src.shape, strict=True)):
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
def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Any:
    """``input`` with ``src`` (or one value) at the places that gather would read; of a place named twice, the last counts.

    >>> import gradus
    >>> gradus.zeros(2, 3).scatter(1, gradus.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
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
    """``input`` with ``alpha`` · ``source`` added to the slices along an axis that ``index`` names.

    >>> import gradus
    >>> gradus.zeros(3).index_add(0, gradus.tensor([0, 0, 2]), gradus.tensor([1.0, 2.0, 3.0]))
    tensor([3., 0., 3.])
    """

    def added(x: Any) -> Any:
        axis, key = _rows(x, dim, index, "index_add")
        static, arrays = ops.indexing.split_key(key)
        more = _slices("index_add", x, axis, index, source)
        return x + ops.scatter_add(more if alpha == 1 else more * alpha, *arrays, shape=x.shape, key=static)

    return with_an_axis(added, input)


@both
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """``input`` with ``source`` in place of the slices along an axis that ``index`` names.

    >>> import gradus
    >>> gradus.zeros(3).index_copy(0, gradus.tensor([2, 0]), gradus.tensor([1.0, 2.0]))
    tensor([2., 0., 1.])
    """

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
    """``input`` with the elements of ``source``, one after the other, where the mask holds; the two are broadcast.

    >>> import gradus
    >>> mask = gradus.tensor([True, False, True])
    >>> gradus.zeros(3).masked_scatter(mask, gradus.tensor([7.0, 8.0]))
    tensor([7., 0., 8.])
    """
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
    taken = ops.take(ops.reshape(source, (-1,)), ops.clip(places, low=0))  # which raises where a trace has too few elements
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

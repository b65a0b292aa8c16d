"""Diagonals of matrices, matrices with a diagonal, and triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, ShapeError, UsageError
from gradus.primitive import normalize_axes
from gradus.torch_names.movement import movedim, permute
from gradus.torch_names.table import both, check_ranks, method, plane_of


@both
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    r"""The elements :math:`x_{i,\,i+\mathrm{offset}}` of the axes ``dim1`` and ``dim2``, which one axis at the end takes the place of.

    A view of the tensor where its memory allows, as with ``reshape``; else a copy, which cannot be written to.

    >>> import gradus
    >>> gradus.tensor([[1, 2, 3], [4, 5, 6]]).diagonal(1)
    tensor([2, 6])
    """
    first, second = plane_of(input, dim1, dim2)
    if offset < 0:
        return diagonal(input, -offset, second, first)
    others = [axis for axis in range(input.ndim) if axis not in (first, second)]
    rows, columns = input.shape[first], input.shape[second]
    length = max(min(rows, columns - offset), 0)
    # Both axes as one line of memory, in the order in which they lie there, so that the elements wanted have one distance.
    steps = input.value.strides
    by_columns = abs(steps[first]) < abs(steps[second])
    start, step = (offset * rows, rows + 1) if by_columns else (offset, columns + 1)
    plane = [second, first] if by_columns else [first, second]
    line = ops.reshape(permute(input, [*others, *plane]), (*[input.shape[axis] for axis in others], rows * columns))
    return read_only_copy(ops.getitem(line, key=(Ellipsis, slice(start, start + length * step if length else start, step))), input)


def read_only_copy(copy: Any, input: Any) -> Any:
    """A copy where PyTorch has a view may be read, but not written to: nothing of that would reach the tensor."""
    if type(copy.value) is np.ndarray and type(input.value) is np.ndarray and not np.may_share_memory(copy.value, input.value):
        copy.value.flags.writeable = not copy.value.size
    return copy


@both
def trace(input: Any) -> Any:
    r""":math:`\sum_i x_{ii}` of a matrix; whole numbers are summed as int64.

    >>> import gradus
    >>> gradus.tensor([[1.0, 2.0], [3.0, 4.0]]).trace()
    tensor(5.)
    """
    check_ranks("trace", 2, input, most=2)
    if input.dtype.kind == "b":
        raise DTypeError("trace adds numbers", got="bool", wanted="a number dtype", fix="x.int().trace()", code="E14")
    total = diagonal(input)
    return ops.sum(total if total.dtype.kind in "fi" else ops.astype(total, np.int64))


@both
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last axis as a diagonal and zeros elsewhere, on the axes ``dim1`` and ``dim2`` of the result.

    >>> import gradus
    >>> gradus.tensor([1, 2]).diag_embed()
    tensor([[1, 0],
            [0, 2]])
    """
    first, second = [normalize_axes(dim, input.ndim + 1)[0] for dim in (dim1, dim2)]
    if first == second:
        raise ShapeError("a diagonal lies between two different axes", got=f"dim1={dim1} and dim2={dim2}", wanted="two axes", code="E03")
    gap = abs(offset)
    n = input.shape[-1] + gap
    longer = ops.pad(input, width=((0, 0),) * (input.ndim - 1) + ((0, gap),))  # element i stands in row i, or below in column i
    wide = ops.expand_dims(longer, axis=-1 if offset >= 0 else -2)
    matrix = ops.astype(ops.where(np.eye(n, k=offset, dtype=bool), wide, 0), input.dtype)
    return movedim(matrix, (-2, -1), (first, second))


@both
def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all elements, one after the other, on a diagonal.

    >>> import gradus
    >>> gradus.tensor([1, 2]).diagflat(1)
    tensor([[0, 1, 0],
            [0, 0, 2],
            [0, 0, 0]])
    """
    return diag_embed(ops.reshape(input, (-1,)), offset)


@both
def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or a matrix with this diagonal."""
    check_ranks("diag", 1, input, most=2)
    if input.ndim == 2:
        rows = np.arange(max(-diagonal, 0), min(input.shape[0], input.shape[1] - diagonal))
        return ops.index(input, (rows, rows + diagonal))
    n = input.shape[0] + abs(diagonal)
    rows = np.arange(input.shape[0]) + max(-diagonal, 0)
    static, arrays = ops.indexing.split_key((rows, rows + diagonal))
    return ops.scatter_add(input, *arrays, shape=(n, n), key=static)


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

"""Tensors joined, repeated, combined and cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import ShapeError, UsageError
from gradus.tensors import Size, wrap
from gradus.torch_names.movement import apart, atleast_1d, atleast_2d, atleast_3d, transpose
from gradus.torch_names.table import FUNCTIONS, axis_of, both, check_ranks, common_shape, function, method, sizes_of, tensor_of


@function
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Join along an existing axis."""
    return ops.concat([tensor_of(x) for x in tensors], axis=dim if axis is None else axis)


FUNCTIONS["concat"] = FUNCTIONS["concatenate"] = cat


@function
def stack(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Join along a new axis."""
    return ops.stack([tensor_of(x) for x in tensors], axis=dim if axis is None else axis)


@function
def hstack(tensors: Any) -> Any:
    """Joined along axis 1; vectors one after the other.

    >>> import gradus
    >>> gradus.hstack([gradus.tensor([1, 2]), gradus.tensor([3])])
    tensor([1, 2, 3])
    """
    lifted = [atleast_1d(x) for x in tensors]
    return cat(lifted, 1 if lifted and lifted[0].ndim > 1 else 0)


@function
def vstack(tensors: Any) -> Any:
    """Joined along axis 0; vectors are rows."""
    return cat([atleast_2d(x) for x in tensors], 0)


FUNCTIONS["row_stack"] = vstack


@function
def dstack(tensors: Any) -> Any:
    """Joined along axis 2."""
    return cat([atleast_3d(x) for x in tensors], 2)


@function
def column_stack(tensors: Any) -> Any:
    """Joined along axis 1; vectors are columns."""
    return cat([x if x.ndim > 1 else ops.reshape(x, (-1, 1)) for x in map(tensor_of, tensors)], 1)


@function
def block_diag(*tensors: Any) -> Any:
    """One matrix with the matrices given along its diagonal, and zeros elsewhere.

    >>> import gradus
    >>> gradus.block_diag(gradus.tensor([[1, 2]]), gradus.tensor(3))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    blocks = [atleast_2d(x) for x in tensors]
    check_ranks("block_diag", 2, *blocks, most=2)
    total, rows, start = sum([x.shape[1] for x in blocks]), [], 0
    for x in blocks:
        rows.append(ops.pad(x, width=((0, 0), (start, total - start - x.shape[1]))))
        start += x.shape[1]
    return cat(rows, 0)


# Repeated.


@method
def repeat(self: Any, *sizes: Any, repeats: Any = None) -> Any:
    """The whole tensor, copied so many times along each axis."""
    times = sizes_of(sizes if repeats is None else (repeats,))
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
    return apart(ops.reshape(spread, tuple([k * n for k, n in zip(times, shape, strict=True)])))


@both
def tile(input: Any, *sizes: Any, dims: Any = None) -> Any:
    """The whole tensor, copied so many times along each axis; the times of axes in front may be left out.

    >>> import gradus
    >>> gradus.tensor([1, 2]).tile(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times = sizes_of(sizes if dims is None else (dims,))
    return input.repeat((1,) * (input.ndim - len(times)) + tuple(times))


@both
def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None) -> Any:
    """Each slice along an axis, repeated so many times; the elements one after the other when ``dim`` is None.

    With ``repeats`` alone, each of the numbers 0, 1, 2 … so many times.

    >>> import gradus
    >>> gradus.tensor([5, 6]).repeat_interleave(gradus.tensor([1, 3]))
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
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes meet in."""
    return Size(common_shape(*[(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]))


@function
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of all tensors in the shape that they meet in."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shape = common_shape(*[tuple(x.shape) for x in given])
    return tuple([ops.broadcast_to(x, shape) for x in given])


# Combined.


@function
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """A grid for each vector that varies along its own axis alone; with ``indexing="xy"`` the first two axes are exchanged.

    >>> import gradus
    >>> gradus.meshgrid(gradus.tensor([1, 2]), gradus.tensor([3, 4, 5]))[0]
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
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
    """All combinations of one element of each vector, as rows; a single vector comes back as it is.

    >>> import gradus
    >>> gradus.cartesian_prod(gradus.tensor([1, 2]), gradus.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    if len(tensors) == 1:
        return tensors[0]
    return stack([ops.reshape(x, (-1,)) for x in meshgrid(*tensors)], 1)


@both
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All choices of ``r`` elements of a vector in their order, as rows.

    >>> import gradus
    >>> gradus.tensor([1, 2, 3]).combinations()
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    check_ranks("combinations", 1, input, most=1)
    if r < 0:
        raise UsageError("combinations cannot choose fewer elements than none", got=f"r = {r}", wanted="r >= 0", code="E29")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = list(choose(range(input.shape[0]), r)) if r else []
    return ops.take(input, np.array(chosen, np.int64).reshape((-1, r) if r else (0,)))


# Cut.


@both
def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> Any:
    """Pieces of one size (the last may be smaller), or of the sizes listed."""
    axis = axis_of(input, dim)
    n, sections = input.shape[axis], split_size_or_sections
    sizes = [min(sections, n - start) for start in range(0, n, sections)] or [0] if isinstance(sections, int) else list(sections)
    if sum(sizes) != n:
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
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """So many pieces whose lengths differ by one at most, the longer ones first; or pieces that end at the places listed.

    >>> import gradus
    >>> [part.tolist() for part in gradus.arange(5).tensor_split(3)]
    [[0, 1], [2, 3], [4]]
    """
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


def _split_along(name: str, least: int, axis: Callable[[Any], int], doc: str) -> None:
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

    pieces.__name__, pieces.__doc__ = name, doc
    both(pieces)


_split_along("vsplit", 2, lambda x: 0, "Pieces of one length along axis 0, or pieces that end at the places listed.")
_split_along("hsplit", 1, lambda x: int(x.ndim > 1), "As vsplit, along axis 1; a vector along its only axis.")
_split_along("dsplit", 3, lambda x: 2, "As vsplit, along axis 2.")

"""Values under another shape, and axes in another order; nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import ShapeError, UsageError
from gradus.mode import MODE
from gradus.primitive import normalize_axes
from gradus.tensors import Tensor
from gradus.torch_names.attributes import clone
from gradus.torch_names.table import (
    FUNCTIONS,
    METHODS,
    axis_of,
    both,
    check_ranks,
    function,
    function_named,
    method,
    plane_of,
    sizes_of,
    tensor_of,
)


def apart(result: Any) -> Any:
    """A fresh result with memory of its own, where NumPy gives a view and PyTorch a copy."""
    if isinstance(result, Tensor) and type(result.value) is np.ndarray and result.value.base is not None:
        result.value, result._base = np.array(result.value, order="C"), None
    elif isinstance(result, Tensor) and MODE.world is not None and MODE.world.has_memory:
        result.value, result._base = MODE.world.past(result.value), None
    return result


@method
def reshape(self: Any, *sizes: Any, shape: Any = None) -> Any:
    """The same values under another shape; one length may be -1."""
    return ops.reshape(self, sizes_of(sizes if shape is None else (shape,)))


@method
def view(self: Any, *shape: Any, size: Any = None) -> Any:
    """As reshape; with a dtype, the same bits read as another type is refused: use ``to``."""
    if len(shape) == 1 and isinstance(shape[0], np.dtype):
        raise UsageError("view(dtype) is not offered", wanted="a shape", fix="x.to(dtype)")
    return ops.reshape(self, sizes_of(shape if size is None else (size,)))


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
    ndim = max(input.ndim, 1)
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
def permute(self: Any, *order: Any, dims: Any = None) -> Any:
    """The axes in another order."""
    axes = sizes_of(order if dims is None else (dims,))
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
def expand(self: Any, *sizes: Any, size: Any = None) -> Any:
    """Repeat axes of length 1 without copying (stride 0); -1 keeps a length."""
    shape = sizes_of(sizes if size is None else (size,))
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


@both
def ravel(input: Any) -> Any:
    """All elements along one axis."""
    return ops.reshape(input, (-1,))


def _at_least(axes: int, shape_of: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Callable[..., Any]:
    def lifted(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
        found = tuple([ops.reshape(x, shape_of(tuple(x.shape))) for x in map(tensor_of, given)])
        return found if len(tensors) != 1 or given is not tensors else found[0]

    lifted.__name__, lifted.__doc__ = f"atleast_{axes}d", f"Each tensor, {axes}-d or more; new axes have length 1."
    return function(lifted)


atleast_1d = _at_least(1, lambda shape: shape or (1,))
atleast_2d = _at_least(2, lambda shape: (1,) * (2 - len(shape)) + shape)
atleast_3d = _at_least(3, lambda shape: {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape))


@both
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """One axis, or several, moved to other places; the rest keep their order."""
    sources, places = [
        [d % input.ndim for d in ((dim,) if isinstance(dim, int) else dim) if normalize_axes(d, input.ndim)]
        for dim in (source, destination)
    ]
    order = [k for k in range(input.ndim) if k not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return permute(input, order)


FUNCTIONS["moveaxis"] = METHODS["moveaxis"] = movedim
FUNCTIONS["swapdims"] = METHODS["swapdims"] = transpose


@both
def adjoint(input: Any) -> Any:
    """The last two axes exchanged: numbers here have no imaginary part to change the sign of."""
    return ops.matrix_transpose(input)


METHODS["mH"] = property(adjoint)


@both
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Shift along axes; what leaves at the end comes back at the start."""
    if dims is not None:
        normalize_axes(dims, input.ndim)
    return ops.roll(input, shifts, axis=dims)


@both
def flip(input: Any, *axes: Any, dims: Any = None) -> Any:
    """The order along axes reversed."""
    axes = sizes_of(axes if dims is None else (dims,))
    if len({d % input.ndim for d in axes} if input.ndim else ()) != len(axes):
        raise ShapeError(
            "flip names an axis at most once", got=f"dims {axes} for shape {tuple(input.shape)}", wanted="different axes", code="E03"
        )
    return apart(ops.flip(input, axis=axes))


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
    """Turned ``k`` times by a right angle, from the first axis of ``dims`` towards the second.

    >>> import gradus
    >>> gradus.tensor([[1, 2], [3, 4]]).rot90()
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2:
        raise UsageError("rot90 turns a plane", got=f"dims {tuple(dims)}", wanted="two axes", fix="x.rot90(1, (0, 1))", code="E29")
    first, second = plane_of(input, *dims)
    quarter = k % 4
    if quarter == 0:
        return clone(input)
    if quarter == 2:
        return flip(input, first, second)
    return transpose(flip(input, second if quarter == 1 else first), first, second)

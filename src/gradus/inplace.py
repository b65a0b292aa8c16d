"""Changing a tensor's memory: plain assignment, and in-place ops that take over the history of their result.

``y.mul_(2)`` computes ``y * 2``, copies it into the memory of ``y`` and gives ``y`` the node of the product. Writing to a view writes to the
tensor that owns the memory, so that one gets a node too: "what it was, with these places replaced". Whatever cannot keep the gradient
right raises. That saved values were overwritten is found by the backward pass (:mod:`gradus.versions`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import ops
from gradus.backend import INDEX_SLOT
from gradus.errors import AliasError, DTypeError, GradError, ShapeError, user_location
from gradus.ops.indexing import split_key
from gradus.tape import MODE
from gradus.tensors import Tensor, wrap
from gradus.versions import count_write


def assign(tensor: Tensor, value: Any) -> None:
    """Replace a tensor's values in its own memory, outside any graph: what optimisers, initialisers and checkpoints do.

    >>> t = Tensor([1.0, 2.0]); memory = t.value; assign(t, [3.0, 4.0]); memory
    array([3., 4.], dtype=float32)
    """
    value = value.value if isinstance(value, Tensor) else value
    if type(tensor.value) is not np.ndarray:
        tensor.value = ops.astype(ops.broadcast_to(value, tensor.value.shape), tensor.value.dtype)
        return
    if MODE.world is not None and hasattr(type(value), "__bind__"):
        tensor.value = value
        return
    np.copyto(tensor.value, value, casting="same_kind")
    count_write(tensor.value, "an assignment outside the graph, such as an optimiser's step")


def write(tensor: Tensor, result: Tensor, name: str) -> Tensor:
    """Let ``tensor`` become ``result``: its memory takes the values, its place in the graph the history."""
    if MODE.world is not None:
        return _write_traced(tensor, result)
    if result.value.shape != tensor.value.shape:
        raise ShapeError(
            f"output with shape {list(tensor.shape)} doesn't match the broadcast shape {list(result.shape)}", got=f"{name} on shape {tuple(tensor.shape)}",
            wanted="a result of the same shape", why="memory cannot grow in place", fix=f"y = y {_PLAIN.get(name, '…')} other", code="E03",
        )  # fmt: skip
    if result.value.dtype != tensor.value.dtype:
        if not np.can_cast(result.value.dtype, tensor.value.dtype, "same_kind"):
            raise DTypeError(f"result type {result.dtype} can't be cast to the desired output type {tensor.dtype}", got=f"{name} on {tensor.dtype}", fix="x = x.float()", code="E14")
        result = ops.astype(result, tensor.value.dtype)
    recorded = MODE.grad_enabled and (tensor.requires_grad or result.requires_grad)
    owner = _owner(tensor) if tensor._base is not None else tensor
    if recorded:
        _refuse_leaf(owner, name)
    places = _places(tensor, owner) if recorded and owner is not tensor else None
    before = _history(owner)
    np.copyto(tensor.value, result.value)
    count_write(tensor.value, user_location() if MODE.grad_enabled else "a write under no_grad")
    if not recorded:
        return tensor
    if places is None:
        tensor.node, tensor.requires_grad = result.node, result.requires_grad
        return tensor
    # The owner is what it was with these places replaced; the view is read from it again.
    _rebase(owner, before, result, places)
    view = ops.reshape(ops.getitem(ops.reshape(owner, (-1,)), places.reshape(-1), key=(INDEX_SLOT,)), tensor.value.shape)
    tensor.node, tensor.requires_grad = view.node, view.requires_grad
    return tensor


_PLAIN = {"add_": "+", "sub_": "-", "mul_": "*", "div_": "/", "__iadd__": "+", "__isub__": "-", "__imul__": "*", "__itruediv__": "/"}


def _write_traced(tensor: Tensor, result: Tensor) -> Tensor:
    lifted = MODE.world.lift(tensor)
    if lifted is not tensor or tensor._base is not None:
        raise AliasError("this trace cannot write to a tensor that it does not own", got=f"shape {tuple(tensor.shape)}", fix="y = y + 1 instead of y += 1", code="E18")
    value = ops.broadcast_to(result.value, tensor.value.shape) if result.value.shape != tensor.value.shape else result.value
    tensor.value = ops.astype(value, tensor.value.dtype) if value.dtype != tensor.value.dtype else value
    if MODE.grad_enabled and (tensor.requires_grad or result.requires_grad):
        _refuse_leaf(tensor, "an in-place op")
        tensor.node, tensor.requires_grad = result.node, result.requires_grad
    return tensor


def _refuse_leaf(tensor: Tensor, name: str) -> None:
    if tensor.requires_grad and tensor.node is None:
        raise GradError(
            "a leaf Variable that requires grad is being used in an in-place operation", got=f"{name} on a leaf of shape {tuple(tensor.shape)}",
            wanted="a leaf that keeps the value its gradient is taken at", why="parameters are updated outside the graph",
            fix=f"with gradus.no_grad(): w{'.' + name + '(…)' if not name.startswith('__') else ' ' + _PLAIN.get(name, '') + '= …'}", code="E20",
        )  # fmt: skip


def _owner(tensor: Tensor) -> Tensor:
    """The tensor at the end of a chain of views that still share its memory."""
    while tensor._base is not None and np.may_share_memory(tensor.value, tensor._base.value):
        tensor = tensor._base
    return tensor


def _places(view: Tensor, owner: Tensor) -> np.ndarray:
    """For each element of a view its flat position in the owner."""
    base, array = owner.value, view.value
    if not base.flags.c_contiguous or base.dtype != array.dtype or 0 in array.strides and array.size > 1 and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True)):
        raise AliasError(
            "this view cannot be written to with its gradient kept", got=f"a view of strides {array.strides} on memory of strides {base.strides}",
            wanted="a plain view of contiguous memory", fix="y = y.clone(); then write to it", code="E18",
        )  # fmt: skip
    start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    places = np.full(array.shape, start // base.itemsize, np.int64)
    for axis, (n, stride) in enumerate(zip(array.shape, array.strides, strict=True)):
        places += (np.arange(n) * (stride // base.itemsize)).reshape((-1,) + (1,) * (array.ndim - 1 - axis))
    return places


def _history(tensor: Tensor) -> Tensor:
    """A tensor of the same memory and node, to stand for the past in the graph."""
    past = wrap(tensor.value)
    past.node, past.requires_grad = tensor.node, tensor.requires_grad
    return past


def _rebase(owner: Tensor, before: Tensor, result: Tensor, places: np.ndarray) -> None:
    flat = ops.reshape(before, (-1,))
    flat._base = None  # the past keeps its history whatever is written to the memory
    updated = ops.reshape(ops.index_update(flat, ops.reshape(result, (-1,)), places.reshape(-1), key=(INDEX_SLOT,)), before.value.shape)
    owner.node, owner.requires_grad = updated.node, updated.requires_grad


def set_item(tensor: Tensor, key: Any, value: Any) -> None:
    """``tensor[key] = value``."""
    if not isinstance(value, Tensor):
        value = wrap(np.asarray(value))
    static, arrays = split_key(key)
    recorded = MODE.grad_enabled and (tensor.requires_grad or value.requires_grad)
    if recorded or MODE.world is not None:
        cast = value if value.value.dtype == tensor.value.dtype else ops.astype(value, tensor.value.dtype)
        write(tensor, ops.index_update(tensor, cast, *arrays, key=static), "__setitem__")
        return
    raw = tuple([a.value if isinstance(a, Tensor) else a for a in arrays])
    from_key = iter(raw)
    try:
        tensor.value[tuple([next(from_key) if item is INDEX_SLOT else item for item in static])] = value.value
    except ValueError as error:
        raise ShapeError(f"x[key] = value: {error}", got=f"value of shape {tuple(value.shape)}, x of shape {tuple(tensor.shape)}", wanted="a value that broadcasts to x[key]", code="E03") from None
    count_write(tensor.value, user_location() if MODE.grad_enabled else "a write under no_grad")

"""Changing a tensor's memory: plain assignment, and in-place ops that take over the history of their result.

``y.mul_(2)`` computes ``y * 2``, copies it into the memory of ``y`` and gives ``y`` the node of the product. Writing to a view writes to
the tensor that owns the memory, so that one gets a node too: "what it was, with these places replaced". Views taken before a write read
their history from the owner again when they are used next. Whatever cannot keep the gradient right raises. That saved values were
overwritten is found by the backward pass (:mod:`gradus.versions`).
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np

from gradus import ops
from gradus.backend import INDEX_SLOT
from gradus.errors import AliasError, DTypeError, GradError, IndexRangeError, ShapeError, user_location
from gradus.mode import MODE
from gradus.ops.indexing import integers_first, split_key
from gradus.tensors import Tensor, wrap
from gradus.versions import count_write, written_since
from gradus.versions import owner as memory_of

KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}  # a result may be written to a dtype of its own kind or of a higher one


def assign(tensor: Tensor, value: Any) -> None:
    """Replace a tensor's values in its own memory, outside any graph: what optimisers, initialisers and checkpoints do.

    >>> t = Tensor([1.0, 2.0]); memory = t.value; assign(t, [3.0, 4.0]); memory
    array([3., 4.], dtype=float32)
    """
    if MODE.world is not None:
        tensor, value = MODE.world.lift(tensor), MODE.world.lift(value) if isinstance(value, Tensor) else value
    value = value.value if isinstance(value, Tensor) else value
    if type(tensor.value) is not np.ndarray:
        value = value if hasattr(value, "shape") else np.asarray(value)
        value = ops.broadcast_to(value, tensor.value.shape) if value.shape != tensor.value.shape else value
        value = ops.astype(value, tensor.value.dtype) if value.dtype != tensor.value.dtype else value
        if MODE.world is None:
            tensor.value = value
        else:
            MODE.world.write(tensor, value)
        return
    np.copyto(tensor.value, value, casting="same_kind")
    count_write(tensor.value, "an assignment outside the graph, such as an optimiser's step")


def write(tensor: Tensor, result: Tensor, name: str) -> Tensor:
    """Let ``tensor`` become ``result``: its memory takes the values, its place in the graph the history."""
    if MODE.world is not None:
        return _write_traced(tensor, result, name)
    result = _fitted(tensor, result, name)
    owner = _owner(tensor) if tensor._base is not None else tensor
    if owner is tensor:
        tensor._base = None  # it was made by an op that may give a view, but has memory of its own
    recorded = MODE.grad_enabled and (tensor.requires_grad or result.requires_grad or owner.requires_grad)
    if recorded:
        _refuse_leaf(owner, name)
    _refuse_shared_elements(tensor, name)
    places = _places(tensor, owner) if recorded and owner is not tensor else None
    views = _constant_views(owner, tensor) if recorded and not owner.requires_grad else ()
    before = _history(owner)
    np.copyto(tensor.value, result.value)
    count_write(tensor.value, user_location() if MODE.grad_enabled else "a write under no_grad")
    if not recorded:
        return tensor
    if places is None:
        tensor.node, tensor.requires_grad = result.node, result.requires_grad
    else:
        # The owner is what it was with these places replaced; the view is read from it again.
        _rebase(owner, before, result, places)
        read_again(tensor, places)
    for view in views if owner.requires_grad else ():
        read_again(view)
    return tensor


def _fitted(tensor: Tensor, result: Tensor, name: str) -> Tensor:
    """The result in the dtype of the tensor that takes it; what does not fit raises."""
    if result.value.shape != tensor.value.shape:
        raise ShapeError(
            f"output with shape {list(tensor.shape)} doesn't match the broadcast shape {list(result.shape)}",
            got=f"{name} on shape {tuple(tensor.shape)}",
            wanted="a result of the same shape",
            why="memory cannot grow in place",
            fix=f"y = y {_PLAIN.get(name, '…')} other",
            code="E03",
        )
    if result.value.dtype != tensor.value.dtype:
        if KINDS[result.value.dtype.kind] > KINDS[tensor.value.dtype.kind]:
            raise DTypeError(
                f"result type {result.dtype} can't be cast to the desired output type {tensor.dtype}",
                got=f"{name} on {tensor.dtype}",
                fix="x = x.float()",
                code="E14",
            )
        result = ops.astype(result, tensor.value.dtype)
    return result


def read_again(view: Tensor, places: np.ndarray | None = None) -> None:
    """Give a view the history that its owner has by now."""
    if MODE.world is not None:
        raise _view_of_history(view, "a view is used after its tensor was changed in place")
    owner = _owner(view)
    if owner is view:
        return
    places = _places(view, owner) if places is None else places
    read = ops.reshape(ops.getitem(ops.reshape(owner, (-1,)), places.reshape(-1), key=(INDEX_SLOT,)), view.value.shape)
    view.node, view.requires_grad = read.node, read.requires_grad


def past_of(tensor: Tensor, others: tuple[Any, ...], copied: bool = True) -> Tensor:
    """What a recorded in-place op computes from: the tensor as it is now, its values ``copied`` if the derivative may need them later."""
    owner = _owner(tensor) if tensor._base is not None else tensor
    wanted = owner.requires_grad or tensor.requires_grad or any(isinstance(other, Tensor) and other.requires_grad for other in others)
    if not MODE.grad_enabled or not wanted or (MODE.world is not None and not MODE.world.has_memory):
        return tensor
    if MODE.world is not None:
        past = _history(MODE.world.lift(tensor))
        past.value = MODE.world.past(past.value)
        return past
    stale = owner.requires_grad if tensor.node is None else written_since(tensor.value, tensor.node.order)
    if owner is not tensor and stale:
        read_again(tensor)
    past = _history(tensor)
    if copied:
        past.value = np.array(past.value)
    return past


def _constant_views(owner: Tensor, writer: Tensor) -> list[Tensor]:
    """Living views of a constant that is about to get a history, which they will share.

    The garbage collector knows them. Asking it is slow, so it is asked only if the memory has more users than the owner and the writer.
    """
    root = memory_of(owner.value)
    users = sys.getrefcount(root) - 2 - (owner.value is root) - (writer is not owner)
    if users <= 0 and owner.value is root:
        return []
    found: dict[int, Tensor] = {}
    bases = [owner]
    while bases:
        for holder in gc.get_referrers(bases.pop()):
            # The collector names the tensor itself, or the dictionary of its attributes.
            for view in gc.get_referrers(holder) if type(holder) is dict and "_base" in holder else [holder]:
                if isinstance(view, Tensor) and id(view) not in found and view._base is not None and _owner(view) is owner:
                    found[id(view)] = view
                    bases.append(view)
    # Those that have a history compare clocks when they are used; the writer gets its own.
    return [view for view in found.values() if view.node is None and view is not writer]


def _refuse_shared_elements(tensor: Tensor, name: str) -> None:
    """An expanded tensor has several places for one element: a write would be seen at all of them."""
    array = tensor.value
    if 0 in array.strides and array.size and any(stride == 0 and n > 1 for stride, n in zip(array.strides, array.shape, strict=True)):
        raise AliasError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location",
            got=f"{name} on strides {array.strides}",
            wanted="a tensor with memory for each element",
            why="expand repeats elements without copying them",
            fix="x = x.clone(); then write to it",
            code="E18",
        )
    if not array.flags.writeable:
        raise AliasError(
            "this memory is read-only",
            got=f"{name} on shape {tuple(tensor.shape)}, a part of an expanded tensor or of a read-only NumPy array",
            wanted="memory that may be written to",
            why="expand repeats elements without copying them, and a write to one would be seen at all",
            fix="x = x.clone(); then write to it",
            code="E18",
        )


_PLAIN = {"add_": "+", "sub_": "-", "mul_": "*", "div_": "/", "__iadd__": "+", "__isub__": "-", "__imul__": "*", "__itruediv__": "/"}


def _write_traced(tensor: Tensor, result: Tensor, name: str) -> Tensor:
    """The same while a world stands between tensors and arrays."""
    world = MODE.world
    if world.lift(tensor) is not tensor or (tensor._base is not None and not world.has_memory):
        raise AliasError(
            "this trace cannot write to a tensor that it does not own",
            got=f"shape {tuple(tensor.shape)}",
            fix="y = y + 1 instead of y += 1",
            code="E18",
        )
    result = _fitted(tensor, result, name)
    owner = _owner(tensor)
    recorded = MODE.grad_enabled and (tensor.requires_grad or result.requires_grad or owner.requires_grad)
    if recorded:
        _refuse_leaf(owner, name)
        if owner is not tensor or (world.has_memory and not owner.requires_grad and world.viewed(tensor.value)):
            raise _view_of_history(tensor, f"{name} on a view, or on a tensor with views, inside a compiled function")
    if type(tensor.value) is np.ndarray and type(result.value) is np.ndarray:  # a constant of forward mode, such as a running mean
        np.copyto(tensor.value, result.value)
        count_write(tensor.value, "a write inside jvp")
    else:
        world.write(tensor, result.value)
    if recorded:
        tensor.node, tensor.requires_grad = result.node, result.requires_grad
    return tensor


def _view_of_history(tensor: Tensor, what: str) -> AliasError:
    return AliasError(
        f"{what}, and its derivative would have to pass through both",
        got=f"a tensor of shape {tuple(tensor.shape)}",
        wanted="a tensor with memory of its own",
        why="inside a compiled function the history of a view is not kept up with that of its tensor",
        fix="y = y + 1 instead of y += 1, x[key] = y + 1, or y = y.clone() before writing",
        code="E18",
    )


def _refuse_leaf(tensor: Tensor, name: str) -> None:
    if tensor.requires_grad and tensor.node is None:
        raise GradError(
            "a leaf Variable that requires grad is being used in an in-place operation",
            got=f"{name} on a leaf of shape {tuple(tensor.shape)}",
            wanted="a leaf that keeps the value its gradient is taken at",
            why="parameters are updated outside the graph",
            fix=f"with gradus.no_grad(): w{'.' + name + '(…)' if not name.startswith('__') else ' ' + _PLAIN.get(name, '') + '= …'}",
            code="E20",
        )


def _owner(tensor: Tensor) -> Tensor:
    """The tensor at the end of a chain of views that still share its memory."""
    while tensor._base is not None and _lies_in(tensor.value, tensor._base.value):
        tensor = tensor._base
    return tensor


def _lies_in(view: Any, base: Any) -> bool:
    """Whether two arrays share memory; what stands for memory during a trace knows what it is a view of."""
    if type(view) is np.ndarray and type(base) is np.ndarray:
        return np.may_share_memory(view, base)
    return getattr(view, "base", None) is not None


def _places(view: Tensor, owner: Tensor) -> np.ndarray:
    """For each element of a view its flat position in the owner."""
    base, array = owner.value, view.value
    if not base.flags.c_contiguous or base.dtype != array.dtype:
        raise AliasError(
            "this view cannot be written to with its gradient kept",
            got=f"a view of strides {array.strides} on memory of strides {base.strides}",
            wanted="a plain view of contiguous memory",
            fix="y = y.clone(); then write to it",
            code="E18",
        )
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
    if value.value.ndim and value.value.shape[0] == 1:
        # Leading axes of length 1 broadcast anyway; NumPy refuses them at an element and at a mask.
        value = ops.reshape(value, value.value.shape[next((k for k, n in enumerate(value.value.shape) if n != 1), value.value.ndim) :])
    static, arrays = split_key(key)
    if arrays and any(type(item) is int for item in static):
        basic, rest = integers_first(static, arrays)
        from_rest = iter(arrays)
        tensor[basic][tuple([next(from_rest) if item is INDEX_SLOT else item for item in rest])] = value
        return
    owner = _owner(tensor) if tensor._base is not None else tensor
    recorded = MODE.grad_enabled and (tensor.requires_grad or value.requires_grad or owner.requires_grad)
    if recorded or MODE.world is not None:
        past = past_of(tensor, (value,), copied=False)
        cast = value if value.value.dtype == tensor.value.dtype else ops.astype(value, tensor.value.dtype)
        write(tensor, ops.index_update(past, cast, *arrays, key=static), "__setitem__")
        return
    _refuse_shared_elements(tensor, "x[key] = value")
    raw = iter([a.value if isinstance(a, Tensor) else a for a in arrays])
    place = tuple([next(raw) if item is INDEX_SLOT else item for item in static])
    try:
        tensor.value[place] = value.value
    except ValueError as error:
        raise ShapeError(
            f"x[key] = value: {error}",
            got=f"value of shape {tuple(value.shape)}, x of shape {tuple(tensor.shape)}",
            wanted="a value that broadcasts to x[key]",
            code="E03",
        ) from None
    except IndexError as error:
        raise IndexRangeError(str(error), got=f"x of shape {tuple(tensor.shape)}", wanted="indices inside the axes", code="E41") from None
    count_write(tensor.value, user_location() if MODE.grad_enabled else "a write under no_grad")


Tensor._read_again = read_again  # type: ignore[attr-defined]

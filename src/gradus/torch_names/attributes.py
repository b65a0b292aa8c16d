"""What a tensor is: its dtype, its memory, its place in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import autograd, dtypes, inplace, ops
from gradus.errors import GradError
from gradus.mode import MODE
from gradus.tensors import Tensor, wrap
from gradus.tensors import device as device_type
from gradus.torch_names.table import METHODS, both, function, method


def cast(self: Any, dtype: Any) -> Any:
    """The tensor in another dtype; itself when it has that dtype, so that identity survives as in PyTorch."""
    return self if self.dtype == dtype else ops.astype(self, np.dtype(dtype))


def _conversion(name: str, dtype: Any) -> None:
    def convert(self: Any) -> Any:
        return cast(self, dtype)

    convert.__name__ = name
    convert.__doc__ = f"The tensor in {np.dtype(dtype)}; itself if that is its dtype."
    method(convert)


for _name in ("float", "double", "half", "long", "int", "short"):
    _conversion(_name, getattr(dtypes, _name))


_conversion("bool", dtypes.bool_)
_conversion("byte", dtypes.uint8)
_conversion("char", dtypes.int8)


@method
def type_as(self: Any, other: Any) -> Any:
    """The tensor in the dtype of another one."""
    return cast(self, other.dtype)


@method
def cpu(self: Any) -> Any:
    """The tensor itself, which lies in the memory of the CPU."""
    return self


@method
def dim(self: Any) -> int:
    """How many axes it has."""
    return self.value.ndim


METHODS["ndimension"] = dim


@both
def numel(input: Any) -> int:
    """How many elements it has."""
    return int(input.value.size)


METHODS["nelement"] = numel


@method
def element_size(self: Any) -> int:
    """How many bytes one element takes."""
    return self.value.itemsize


@both
def is_floating_point(input: Any) -> bool:
    """Whether its elements are fractions: float16, float32 or float64."""
    return input.value.dtype.kind == "f"


@method
def is_contiguous(self: Any) -> bool:
    """Whether its elements lie in C order, without gaps."""
    return bool(self.value.flags.c_contiguous)


@method
def data_ptr(self: Any) -> int:
    """The address of its first element."""
    return self.value.__array_interface__["data"][0]


@method
def size(self: Any, dim: int | None = None) -> Any:
    """The shape, or the length of one axis."""
    return self.shape if dim is None else self.value.shape[dim]


@method
def backward(self: Any, gradient: Any = None, retain_graph: Any = None, create_graph: bool = False, inputs: Any = None) -> None:
    """Add to the ``grad`` of every leaf what this tensor's derivative by it is, as :func:`gradus.autograd.backward` does."""
    autograd.backward(self, gradient, retain_graph, create_graph, inputs)


@function
def is_tensor(obj: Any) -> bool:
    """Whether it is a Tensor."""
    return isinstance(obj, Tensor)


METHODS["itemsize"] = property(element_size)


def _nbytes(self: Any) -> int:
    """How many bytes its elements take."""
    return self.value.itemsize * int(self.value.size)


METHODS["nbytes"] = property(_nbytes)
METHODS["__setitem__"] = inplace.set_item
METHODS["register_hook"] = autograd.register_hook
METHODS["retain_grad"] = autograd.retain_grad


@method
def to(self: Any, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False) -> Any:
    """Another dtype (a dtype, or another tensor's), or the same device."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "mps") or isinstance(arg, device_type):
            device = arg
        else:
            dtype = arg
    if device is not None:
        device_type(device)
    result = self if dtype is None else cast(self, dtype)
    return clone(result) if copy and result is self else result


TYPE_NAMES = {
    "float64": "Double",
    "float32": "Float",
    "float16": "Half",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}


TYPE_NAMES |= {name: name.upper() for name in ("uint16", "uint32", "uint64")}


@method
def type(self: Any, dtype: Any = None) -> Any:
    """The dtype's name, or the tensor in another dtype."""
    return f"gradus.{TYPE_NAMES[self.dtype.name]}Tensor" if dtype is None else cast(self, dtype)


@method
def stride(self: Any, dim: int | None = None) -> Any:
    """Steps between neighbours along each axis, counted in elements."""
    strides = tuple([s // self.value.itemsize for s in self.value.strides])
    return strides if dim is None else strides[dim]


class Storage(list):
    """The memory behind a tensor, element by element, as it lies."""

    def __init__(self, elements: Any, dtype: Any) -> None:
        super().__init__(elements)
        self.dtype = dtype

    def __repr__(self) -> str:
        lines = "".join(f" {x}\n" for x in self)
        return f"{lines}[gradus.{TYPE_NAMES[self.dtype.name]}Storage of size {len(self)}]"

    size = list.__len__


@method
def storage(self: Any) -> Storage:
    """The memory that the tensor is a view of: expanded axes take none."""
    from_memory = self.value
    while isinstance(from_memory.base, np.ndarray):
        from_memory = from_memory.base
    return Storage(from_memory.ravel(order="K").tolist(), from_memory.dtype)


@both
def clone(input: Any) -> Any:
    """A copy in memory of its own, connected in the graph."""
    if MODE.world is not None:
        input = MODE.world.lift(input)  # else a trace would take today's numbers for a constant
    if not input.requires_grad and isinstance(input.value, np.ndarray):
        return wrap(np.array(input.value, order="C"))
    return ops.multiply(input, 1) if input.dtype.kind != "b" else ops.logical_or(input, input)


@method
def contiguous(self: Any) -> Any:
    """The tensor itself, or a copy that lies in C order."""
    return self if self.value.flags.c_contiguous else clone(self)


@both
def detach(input: Any) -> Any:
    """A tensor of the same memory outside the graph."""
    if MODE.world is not None:
        input = MODE.world.lift(input)
    return wrap(ops.stop_gradient(input.value)) if not isinstance(input.value, np.ndarray) else wrap(input.value)


@method
def detach_(self: Any) -> Any:
    """Take this tensor out of its graph, in place."""
    if self._base is not None:
        raise GradError(
            "Can't detach views in-place",
            got=f"a view of shape {tuple(self.shape)}",
            wanted="a tensor with memory of its own",
            fix="v = v.detach()",
            code="E21",
        )
    self.node, self.requires_grad = None, False
    return self


@both
def is_complex(input: Any) -> bool:
    """False: there are no complex numbers here."""
    return False

"""The table of PyTorch's names, and its first part: what a tensor is (dtype, memory, place in the graph) and how one is made.

:func:`both` makes a definition a function of ``gradus`` and a method of Tensor, :func:`method` and :func:`function` one of them. The other
parts are :mod:`gradus.torch_movement` (what moves values) and :mod:`gradus.torch_names` (what computes them). ``dim``/``axis`` and
``keepdim``/``keepdims`` are both accepted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import autograd, dtypes, inplace, ops, random
from gradus.errors import DTypeError, GradError
from gradus.mode import MODE
from gradus.tensors import Tensor, as_array, wrap
from gradus.tensors import device as device_type

FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Any] = {}

SPELLINGS = {"axis": "dim", "keepdims": "keepdim"}


def torch_keywords(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``axis`` and ``keepdims`` stand for ``dim`` and ``keepdim``."""

    @functools.wraps(f)
    def accepting(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for numpy_name, torch_name in SPELLINGS.items():
                if numpy_name in kwargs:
                    kwargs[torch_name] = kwargs.pop(numpy_name)
        return f(*args, **kwargs)

    return accepting


def function(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is a function of ``gradus`` only; a device that it takes is checked here."""
    entry = _device_checked(f) if "device" in f.__code__.co_varnames[: f.__code__.co_argcount + f.__code__.co_kwonlyargcount] else f
    FUNCTIONS[f.__name__] = entry
    return entry


def _device_checked(f: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(f)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("device") is not None:
            device_type(kwargs["device"])  # raises for all but the CPU
        return f(*args, **kwargs)

    return checked


def function_named(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An entry that is a function only and takes other arguments than the method of the same name."""

    def enter(f: Callable[..., Any]) -> Callable[..., Any]:
        f.__name__ = f.__qualname__ = name
        return function(f)

    return enter


def method(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is a method of Tensor only."""
    METHODS[f.__name__] = f
    return f


def both(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is both; it takes NumPy's keywords too."""
    accepting = (
        torch_keywords(f)
        if {"dim", "keepdim"} & set(f.__code__.co_varnames[: f.__code__.co_argcount + f.__code__.co_kwonlyargcount])
        else f
    )
    FUNCTIONS[f.__name__] = METHODS[f.__name__] = accepting
    return accepting


def as_method(op: Callable[..., Any]) -> Callable[..., Any]:
    """A function of this package, or NumPy's, as one that binds to its object."""

    def bound(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return op(self, *args, **kwargs)

    bound.__doc__ = op.__doc__
    return bound


def sizes_of(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    for n in shape:
        if n.__class__ is not int:
            break
    else:
        return shape
    if len(shape) == 1 and not isinstance(shape[0], (int, np.integer, Tensor)):
        shape = tuple(shape[0])
    return tuple([int(n) for n in shape])


def tensor_of(x: Any) -> Any:
    """``x`` itself, or a Tensor of it."""
    return x if isinstance(x, Tensor) else wrap(as_array(x))


# Type, memory, place in the graph.


def _cast(self: Any, dtype: Any) -> Any:
    """The tensor in another dtype; itself when it has that dtype, so that identity survives as in PyTorch."""
    return self if self.dtype == dtype else ops.astype(self, np.dtype(dtype))


def _conversion(name: str, dtype: Any) -> None:
    def convert(self: Any) -> Any:
        return _cast(self, dtype)

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
    return _cast(self, other.dtype)


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
    result = self if dtype is None else _cast(self, dtype)
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
    return f"gradus.{TYPE_NAMES[self.dtype.name]}Tensor" if dtype is None else _cast(self, dtype)


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


# Creation.


@function
def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of a copy of ``data``: arrays keep their dtype, Python floats become float32, integers int64.

    >>> tensor([[1, 2.5]])
    tensor([[1.0000, 2.5000]])
    """
    return Tensor(data, requires_grad, dtype)


@function
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor of ``data``, sharing memory where that is possible."""
    if isinstance(data, Tensor):
        return data if dtype is None else _cast(data, dtype)
    if isinstance(data, np.ndarray) and data.dtype.kind in "fiub" and data.dtype.isnative and data.dtype.itemsize <= 8:
        plain = np.asarray(data)  # a matrix or masked array computes in ways of its own
        return wrap(plain if dtype is None else plain.astype(dtype, copy=False))
    return tensor(data, dtype)


FUNCTIONS["asarray"] = as_tensor


@function
def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the array's memory: a write to one is seen in the other."""
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"expected np.ndarray (got {array.__class__.__name__})", fix="gradus.tensor(data)")
    return as_tensor(array)


def _made(array: Any, requires_grad: bool) -> Tensor:
    made = wrap(array)
    return made.requires_grad_() if requires_grad else made


def _creator(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    def create(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, generator: Any = None) -> Tensor:
        shape = sizes_of(size)
        return _made(make(shape, dtype, generator) if name.startswith("rand") else make(shape, dtype), requires_grad)

    create.__name__, create.__doc__ = name, f"``{name}(2, 3)`` or ``{name}((2, 3))``: a tensor of this shape (float32 unless given)."
    return function(create)


zeros, ones, empty = _creator("zeros", ops.zeros), _creator("ones", ops.ones), _creator("empty", ops.zeros)
rand, randn = _creator("rand", random.uniform), _creator("randn", random.normal)


def _like(name: str, create: Callable[..., Any]) -> None:
    def like(input: Tensor, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        return create(tuple(input.shape), dtype=dtype or input.dtype, requires_grad=requires_grad)

    like.__name__, like.__doc__ = name, f"{name[:-5]} in the shape and dtype of another tensor."
    function(like)


for _name, _create in {"zeros": zeros, "ones": ones, "empty": empty, "rand": rand, "randn": randn}.items():
    _like(_name + "_like", _create)


@method
def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in another shape, in this tensor's dtype."""
    return zeros(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method
def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in another shape, in this tensor's dtype."""
    return ones(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method
def new_empty(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros, as :func:`gradus.empty` gives, in another shape, in this tensor's dtype."""
    return empty(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@function
def full(size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one value."""
    return _made(ops.full(sizes_of((size,)), fill_value, dtype), requires_grad)


@method
def new_full(self: Any, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """One value in another shape, in this tensor's dtype."""
    return full(size, fill_value, dtype or self.dtype, device, requires_grad)


@method
def new_tensor(self: Any, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of a copy of ``data`` in this tensor's dtype."""
    return tensor(data, dtype or self.dtype, device, requires_grad)


@function
def full_like(input: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value in the shape and dtype of another tensor."""
    return full(tuple(input.shape), fill_value, dtype or input.dtype)


@function
def arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Evenly spaced values in [start, end)."""
    return _made(ops.arange(start, end, step, dtype), requires_grad)


@function
def linspace(start: float, end: float, steps: int, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """``steps`` evenly spaced values, both ends included."""
    return _made(ops.linspace(start, end, steps, dtype), requires_grad)


@function
def eye(n: int, m: int | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    return _made(ops.eye(n, m, dtype=dtype), requires_grad)


@function
def randint(low: int, high: Any = None, size: Any = None, *, dtype: Any = None, generator: Any = None) -> Tensor:
    """Integers in [low, high), or in [0, low) when called as ``randint(high, size)``."""
    if size is None:
        low, high, size = 0, low, high
    return wrap(ops.astype(random.integers(low, high, sizes_of((size,)), generator), np.dtype(dtype or dtypes.int64)))


@function
def randperm(n: int, *, generator: Any = None) -> Tensor:
    """The integers 0 … n - 1 in random order."""
    return wrap(random.permutation(n, generator))


FUNCTIONS["manual_seed"] = random.manual_seed

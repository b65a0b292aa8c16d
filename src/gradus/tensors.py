"""The Tensor: an array with a place in a graph of derivatives.

A Tensor holds little: ``value`` (a raw array, or a tracer standing in for one), ``grad``, ``requires_grad`` and ``node``, the record of
how it came about. What ops do when they meet Tensors is :mod:`gradus.tape`; PyTorch's many method names are :mod:`gradus.torch_names`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus import dtypes, ops, printing
from gradus.errors import DTypeError, GradError, UsageError
from gradus.memory import aligned_copy
from gradus.mode import MODE
from gradus.ops.operators import Operators
from gradus.primitive import REGISTRY


class Size(tuple):
    """A shape: a tuple that prints as PyTorch's does and counts its elements.

    >>> Size((2, 3)), Size((2, 3)).numel()
    (Size([2, 3]), 6)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Size({list(self)})"

    def numel(self) -> int:
        """The number of elements of an array of this shape."""
        return int(np.prod(self, dtype=np.int64))


class device:
    """Where a tensor's memory lies. Everything is on the CPU.

    >>> device("cpu").type
    'cpu'
    """

    def __init__(self, name: Any = "cpu") -> None:
        name = str(name)
        if name.split(":")[0] != "cpu":
            raise UsageError(f"Gradus has no device {name!r}", wanted="'cpu'", fix='gradus.device("cpu")', code="E31")
        self.type, self.index = "cpu", None

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __str__(self) -> str:
        return "cpu"

    def __eq__(self, other: object) -> bool:
        return str(other) == "cpu"

    def __hash__(self) -> int:
        return hash("cpu")


CPU = device()


def as_array(data: Any, dtype: Any = None) -> np.ndarray:
    """A fresh array of ``data``: arrays keep their dtype, Python floats become the default dtype, nested lists may hold tensors.

    >>> as_array([1, 2.5]).dtype, as_array(np.ones(2)).dtype
    (dtype('float32'), dtype('float64'))
    """
    if isinstance(data, Tensor):
        data = data.numpy() if not data.requires_grad else data.detach().numpy()
    if isinstance(data, (np.ndarray, np.generic)):
        array = aligned_copy(np.asarray(data), dtype)
    else:
        array = _from_python(data, dtype)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise DTypeError(
            f"a tensor cannot hold {array.dtype}",
            got=f"{type(data).__name__} of dtype {array.dtype}",
            wanted="numbers or booleans",
            why="the values are text, objects, complex numbers or rows of several lengths",
        )
    # Big-endian arrays compute slowly and match no dtype name.
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _from_python(data: Any, dtype: Any) -> np.ndarray:
    try:
        array = np.array(_unwrap(data), dtype=dtype)
    except ValueError as error:
        raise DTypeError(
            "rows of several lengths make no tensor", got=str(error), wanted="a rectangular nest of lists", code="E39"
        ) from None
    holds_numpy = isinstance(data, (list, tuple)) and _first_leaf_dtype(data) == np.float64
    if dtype is None and array.dtype == np.float64 and not holds_numpy:
        return array.astype(dtypes.get_default_dtype())
    return array


def _unwrap(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.detach().numpy()
    if isinstance(data, (list, tuple)):
        return [_unwrap(item) for item in data]
    return data


def _first_leaf_dtype(data: Any) -> Any:
    while isinstance(data, (list, tuple)) and len(data):
        data = data[0]
    return getattr(data, "dtype", None)


class Tensor(Operators):
    """An array that remembers how it was computed. Make one with :func:`gradus.tensor`.

    Attributes:
        value: the raw array; while a function is traced, a tracer that stands in for one.
        requires_grad: whether derivatives with respect to this tensor are wanted.
        grad: the accumulated derivative (a Tensor of the same shape and dtype), None before the first backward.
        node: the record of the op that made it; None for a leaf.
    """

    # Class-level defaults: an op's result sets only what differs, which is most of the speed of making one.
    value: Any
    node: Any = None
    requires_grad: bool = False
    _grad: Tensor | None = None
    _hooks: Any = None
    _base: Tensor | None = None
    __array_priority__ = 1000

    def __init__(self, data: Any = (), requires_grad: bool = False, dtype: Any = None) -> None:
        self.value = as_array(data, dtype)
        if MODE.world is not None:
            self.value = _in_world(self, data)
        if requires_grad:
            self.requires_grad_(True)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
    else:

        def __getattr__(self, name: str) -> Any:
            # Ops that were registered after import are methods too.
            record = REGISTRY.get(name)
            if record is None or record.function is None:
                raise AttributeError(f"Tensor has no attribute {name!r}", name=name, obj=self)  # Python adds "Did you mean …?"
            return (
                record.function.__get__(self)
                if hasattr(record.function, "__get__")
                else lambda *args, **kwargs: record.function(self, *args, **kwargs)
            )

    # What it is.

    @property
    def shape(self) -> Size:
        """The lengths of the axes."""
        return Size(self.value.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.value.ndim

    @property
    def device(self) -> device:
        """Where the memory lies: always the CPU."""
        return CPU

    @property
    def is_leaf(self) -> bool:
        """Whether no op made it, so that ``backward`` fills its ``grad``."""
        return self.node is None

    @property
    def grad_fn(self) -> Any:
        """PyTorch's name of ``node``."""
        return self.node

    @property
    def grad(self) -> Tensor | None:
        """The accumulated derivative, None before the first backward."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if MODE.world is not None:
            MODE.world.touch(self)
        if gradient is not None:
            if not isinstance(gradient, Tensor):
                raise GradError(
                    "a gradient is a Tensor or None", got=type(gradient).__name__, wanted="a Tensor", fix="x.grad = gradus.tensor(…)"
                )
            if gradient.shape != self.shape:
                raise GradError("a gradient has the shape of its tensor", got=f"{tuple(gradient.shape)}", wanted=f"{tuple(self.shape)}")
        self._grad = gradient

    @property
    def data(self) -> Tensor:
        """A tensor of the same memory that takes no part in derivatives."""
        return wrap(self.value if MODE.world is None else MODE.world.lift(self).value)

    @data.setter
    def data(self, other: Any) -> None:
        if MODE.world is not None:
            MODE.world.touch(self)
        self.value = other.value if isinstance(other, Tensor) else as_array(other)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for derivatives with respect to this tensor (or stop asking), in place."""
        if requires_grad and self.value.dtype.kind != "f":
            raise GradError(
                "only Tensors of floating point dtype can require gradients",
                got=f"dtype {self.dtype}",
                wanted="float32 or float64",
                why="a function of integers has no derivative",
                fix="x.float().requires_grad_()",
                code="E21",
            )
        if not requires_grad and self.node is not None:
            raise GradError("only leaves can stop requiring gradients", got=f"the output of {self.node}", fix="x.detach()", code="E21")
        if MODE.world is not None:
            MODE.world.touch(self)
        self.requires_grad = requires_grad
        return self

    # To and from other worlds.

    def numpy(self) -> np.ndarray:
        """The array itself, sharing memory; refused where the gradient would get lost."""
        if self.requires_grad:
            raise GradError(
                "Can't call numpy() on Tensor that requires grad",
                got=f"a tensor of shape {tuple(self.shape)} in a graph",
                wanted="a tensor outside the graph",
                why="NumPy does not record derivatives: the gradient would stop here silently",
                fix="x.detach().numpy()",
                code="E21",
            )
        return _concrete(self, "numpy()")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self) -> Any:
        """The one element as a Python number."""
        if self.value.size != 1:
            raise UsageError(
                f"a Tensor with {self.value.size} elements cannot be converted to Scalar",
                got=f"shape {tuple(self.shape)}",
                wanted="one element",
                code="E45",
            )
        return _concrete(self, "item()").item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return _concrete(self, "tolist()").tolist()

    def __bool__(self) -> bool:
        if self.value.size != 1:
            raise UsageError(
                "Boolean value of Tensor with more than one value is ambiguous"
                if self.value.size
                else "Boolean value of Tensor with no values is ambiguous",
                got=f"shape {tuple(self.shape)}",
                wanted="one element",
                fix="(a == b).all()",
                code="E45",
            )
        return bool(_concrete(self, "bool()"))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.value.dtype.kind not in "iub":
            raise TypeError(f"only integer tensors can be used as an index, got {self.dtype}")
        return int(self.item())

    def __len__(self) -> int:
        if not self.value.ndim:
            raise TypeError("len() of a 0-d tensor")
        return int(self.value.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self.value.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(self.value.shape[0]))

    def __contains__(self, item: Any) -> bool:
        return bool((self == item).any())

    def __repr__(self) -> str:
        return printing.tensor_text(self)

    def __format__(self, spec: str) -> str:
        if not self.value.ndim:
            return format(self.item(), spec)
        if spec:
            raise TypeError(f"a format such as {spec!r} is for one number, not for a tensor of shape {tuple(self.shape)}: x.item()")
        return str(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.node is not None:
            raise GradError("only leaf tensors can be deep-copied", got=f"the output of {self.node}", fix="x.detach().clone()")
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.value = np.array(self.value)
        copy.requires_grad = self.requires_grad
        if self._grad is not None:
            copy._grad = self._grad.__deepcopy__(memo)
        return copy

    def __reduce__(self) -> Any:
        return _restore, (type(self), np.array(_concrete(self, "copying")), self.requires_grad)


def _restore(kind: type[Tensor], value: np.ndarray, requires_grad: bool) -> Tensor:
    tensor = kind.__new__(kind)
    tensor.value, tensor.requires_grad = value, requires_grad
    return tensor


def _concrete(tensor: Tensor, asked: str) -> np.ndarray:
    """The raw array of a tensor; a tracer has none yet, and says so in its own words."""
    if MODE.world is not None:
        MODE.world.touch(tensor)
    value = tensor.value
    return value if type(value) is np.ndarray else value.__concrete__(asked)


_new = Tensor.__new__


def wrap(value: Any) -> Tensor:
    """A Tensor around a raw array or tracer, sharing memory. NumPy's scalars become 0-d arrays again here."""
    tensor = _new(Tensor)
    tensor.value = np.asarray(value) if isinstance(value, np.generic) else value
    if MODE.world is not None:
        MODE.world.created(tensor)
    return tensor


def _in_world(tensor: Tensor, data: Any) -> Any:
    """The value of a tensor made inside a traced function; the array from outside that it copies is read at every run."""
    MODE.world.created(tensor)
    traced = MODE.world.array(data) if type(data) is np.ndarray else None
    return tensor.value if traced is None else traced if traced.dtype == tensor.value.dtype else ops.astype(traced, tensor.value.dtype)

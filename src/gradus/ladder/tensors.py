"""Tensors: flat memory, a shape and strides; arithmetic whose operands are repeated, not copied.

The rung below, `matmul`, used arrays as they came. This one builds them: a tensor is a view of flat
memory, so that a transpose, a slice, a new axis or a row repeated a thousand times costs no memory
at all; and broadcasting, which took a loop out of the matrix product, is a stride of 0. Only the
innermost loops over numbers are left to NumPy, on operands of one shape; which shapes fit is
decided by `broadcasting`.

Source: "A Neural Net from the Foundations", chapter 17 of *Deep Learning for Coders with fastai and
PyTorch* (Jeremy Howard and Sylvain Gugger, 2020): element-wise arithmetic and broadcasting. What is
worth knowing beside it:

- Its 9.666666984558105 is a float32 number. Here Python's floats become float32 as in PyTorch;
  NumPy makes them float64 and gives 9.666666666666666.
- Strides count elements, as in PyTorch. NumPy's count bytes.
- It lets `...` mean "all preceding dimensions". It means those that no other index takes, wherever
  they are: `x[0, ..., 1]`.
- `std` divides by n-1 here, as in PyTorch; NumPy's and that of many texts divides by n.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus.ladder.broadcasting import broadcast_shape


class Tensor:
    """Element [i, j, …] is at `memory[offset + i * strides[0] + j * strides[1] + …]`.

    It is read-only: many elements may be one number.

    Example:
        >>> c = tensor([10.0, 20, 30])
        >>> t = c.expand(3, 3)
        >>> t.stride(), t.shape, t.storage().tolist()
        ((0, 1), (3, 3), [10.0, 20.0, 30.0])
        >>> c[:, None].expand_as(t).stride()
        (1, 0)
    """

    __array_ufunc__ = None  # `np.float32(2) * t` asks `t.__rmul__`
    __hash__ = object.__hash__  # `==` is element by element

    def __init__(
        self, memory: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
    ) -> None:
        self.memory, self.shape, self.strides, self.offset = memory, shape, strides, offset

    # what it holds

    def stride(self) -> tuple[int, ...]:
        """How many places of the memory lie between neighbours, by axis."""
        return self.strides

    def storage(self) -> np.ndarray:
        """The memory itself, flat, however many elements the shape makes of it."""
        return self.memory

    def numpy(self) -> np.ndarray:
        """The same memory as an array (which counts strides in bytes)."""
        start = self.memory[self.offset :]
        steps = tuple(step * self.memory.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(start, self.shape, steps, writeable=False)

    def tolist(self) -> Any:
        """Nested lists, or a number for rank 0."""
        return self.numpy().tolist()

    def item(self) -> Any:
        """The only element as a Python number or bool."""
        count = math.prod(self.shape)
        if count != 1:
            raise RuntimeError(f"a Tensor with {count} elements cannot be converted to Scalar")
        return self.numpy().item()

    def __bool__(self) -> bool:
        if math.prod(self.shape) > 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self.item())

    def __repr__(self) -> str:
        layout: Any = {"precision": 4, "floatmode": "maxprec_equal", "prefix": "tensor("}
        text = np.array2string(self.numpy(), separator=", ", **layout)
        return f"tensor({text})"

    # other views of the same memory

    def view(
        self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int | None = None
    ) -> Tensor:
        """Another shape and other strides over this memory."""
        return Tensor(self.memory, shape, strides, self.offset if offset is None else offset)

    def t(self) -> Tensor:
        """The transpose of a matrix: both axes change places."""
        rank = len(self.shape)
        if rank > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {rank}D")
        return self.view(self.shape[::-1], self.strides[::-1])

    def unsqueeze(self, axis: int) -> Tensor:
        """A new axis of length 1 there; the same as indexing with None."""
        return self[(slice(None),) * position(axis, len(self.shape) + 1) + (None,)]

    def squeeze(self, axis: int | None = None) -> Tensor:
        """Without the given axis if its length is 1, or, if none is given, without all of length 1.

        Also without the batch's, when it holds one.
        """
        axes = range(len(self.shape)) if axis is None else [position(axis, len(self.shape))]
        kept = [k for k, n in enumerate(self.shape) if n != 1 or k not in axes]
        return self.view(tuple(self.shape[k] for k in kept), tuple(self.strides[k] for k in kept))

    def expand(self, *shape: int) -> Tensor:
        """Axes of length 1, and new ones in front, repeated by a stride of 0."""
        rank = len(self.shape)
        new = len(shape) - rank
        if new < 0:
            raise RuntimeError(
                f"{len(shape)} sizes for a tensor of {rank} dimensions: "
                "expand adds axes, it removes none"
            )
        strides = [0] * new
        for axis, (wanted, n, step) in enumerate(zip(shape[new:], self.shape, self.strides), new):
            if n not in (1, wanted):
                raise RuntimeError(
                    f"The expanded size of the tensor ({wanted}) must match the existing size ({n})"
                    f" at non-singleton dimension {axis}.  Target sizes: {list(shape)}."
                    f"  Tensor sizes: {list(self.shape)}"
                )
            strides.append(step if n == wanted else 0)
        return self.view(shape, tuple(strides))

    def expand_as(self, other: Tensor) -> Tensor:
        """`expand` to the other's shape."""
        return self.expand(*other.shape)

    def __getitem__(self, index: Any) -> Tensor:
        """An integer takes one element of an axis, a slice several; None makes an axis.

        ... stands for the axes that are left.
        """
        index = index if isinstance(index, tuple) else (index,)
        dots = sum(i is ... for i in index)
        if dots > 1:
            raise IndexError("an index holds ... at most once")
        index += () if dots else (...,)
        taken = sum(i is not None and i is not ... for i in index)
        if taken > len(self.shape):
            raise IndexError(f"too many indices for tensor of dimension {len(self.shape)}")
        shape: list[int] = []
        strides: list[int] = []
        offset, axis = self.offset, 0
        for i in index:
            if i is None:
                shape.append(1)
                # Any stride would do: the axis has one element.
                inside = axis < len(self.shape)
                strides.append(self.shape[axis] * self.strides[axis] if inside else 1)
                continue
            if i is ...:
                left = len(self.shape) - taken
                shape += self.shape[axis : axis + left]
                strides += self.strides[axis : axis + left]
                axis += left
                continue
            n, step = self.shape[axis], self.strides[axis]
            if isinstance(i, slice):
                start, stop, each = i.indices(n)
                shape.append(len(range(start, stop, each)))
                strides.append(step * each)
                offset += start * step if shape[-1] else 0
            elif -n <= i < n:
                offset += (i + n if i < 0 else i) * step
            else:
                raise IndexError(f"index {i} is out of bounds for dimension {axis} with size {n}")
            axis += 1
        return self.view(tuple(shape), tuple(strides), offset)

    # element by element

    def __add__(self, other: Any) -> Tensor:
        return elementwise(np.add, self, other)

    def __sub__(self, other: Any) -> Tensor:
        return elementwise(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return elementwise(np.subtract, other, self)

    def __mul__(self, other: Any) -> Tensor:
        return elementwise(np.multiply, self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return elementwise(np.true_divide, self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return elementwise(np.true_divide, other, self)

    def __lt__(self, other: Any) -> Tensor:
        return elementwise(np.less, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return elementwise(np.greater, self, other)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return elementwise(np.equal, self, other)

    __radd__, __rmul__ = __add__, __mul__

    # many elements become one: a tensor of rank 0, or one axis less

    def sum(self, axis: int | None = None) -> Tensor:
        """The sum of all elements, or along one axis."""
        return tensor(self.numpy().sum(axis))

    def mean(self, axis: int | None = None) -> Tensor:
        """The sum over the count."""
        return self.sum(axis) / (math.prod(self.shape) if axis is None else self.shape[axis])

    def all(self) -> Tensor:
        """Whether every element is true."""
        return tensor(self.numpy().all())

    def std(self, unbiased: bool = True) -> Tensor:
        """The root of the mean squared distance from the mean, over n-1 (unbiased) or n."""
        distance = self - self.mean()
        n = math.prod(self.shape)
        return tensor(np.sqrt(((distance * distance).sum() / (n - 1 if unbiased else n)).numpy()))

    def __matmul__(self, other: Tensor) -> Tensor:
        """(n, m) @ (m, l) with no loop: (n, m, 1) * (1, m, l), summed over m.

        The price are n·m·l numbers in memory.
        """
        if self.shape[1] != other.shape[0]:
            inner = f"{self.shape[1]} not equal to {other.shape[0]}"
            raise RuntimeError(f"Inner dimensions must match: {inner}")
        return (self[:, :, None] * other[None]).sum(1)


def position(axis: int, rank: int) -> int:
    """The axis counted from the front."""
    if not -rank <= axis < rank:
        expected = f"expected to be in range of [{-rank}, {rank - 1}], but got {axis}"
        raise IndexError(f"Dimension out of range ({expected})")
    return axis % rank


def tensor(data: Any) -> Tensor:
    """A tensor with memory of its own. Python's floats become float32, integers int64.

    Arrays keep their type.

    Example:
        >>> tensor([[1, 2.5], [3, 4]])
        tensor([[1.0, 2.5],
                [3.0, 4.0]])
    """
    array = np.array(data)
    if array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        array = array.astype(np.float32)
    strides = tuple(math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim))
    return Tensor(array.reshape(-1), array.shape, strides)


def operand(x: Any, other: Any) -> Tensor:
    """x as a tensor. A Python number takes the type of the tensor it meets, if that can hold it."""
    if isinstance(x, Tensor) or not (isinstance(x, (int, float)) and isinstance(other, Tensor)):
        return x if isinstance(x, Tensor) else tensor(x)
    kind = other.memory.dtype.kind
    fits = kind == "f" or (kind == "i" and not isinstance(x, float)) or isinstance(x, bool)
    own = np.float32 if isinstance(x, float) else np.int64
    return tensor(np.array(x, other.memory.dtype if fits else own))


def elementwise(operation: np.ufunc, a: Any, b: Any) -> Tensor:
    """Expands both operands to one shape, copying nothing, and applies the operation to each pair.

    Example:
        >>> elementwise(np.maximum, tensor([1, 5]), tensor([[3], [4]]))
        tensor([[3, 5],
                [4, 5]])
    """
    a, b = operand(a, b), operand(b, a)
    shape = broadcast_shape(a.shape, b.shape)
    types = [x.memory.dtype for x in (a, b)]
    floats = [kind for kind in types if kind.kind == "f"]
    if not floats and operation is np.true_divide:
        floats = [np.dtype(np.float32)]
    common = np.result_type(*(floats or types))  # of int64 and float32 NumPy would make float64
    left, right = (x.expand(*shape).numpy().astype(common, copy=False) for x in (a, b))
    with np.errstate(all="ignore"):  # 1 / 0 is inf, 0 / 0 nan, in silence
        return tensor(operation(left, right))

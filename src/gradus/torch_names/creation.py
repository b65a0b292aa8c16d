"""Tensors made of data, of one value, or of evenly spaced ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import dtypes, ops, random
from gradus.errors import DTypeError, UsageError
from gradus.tensors import Tensor, wrap
from gradus.torch_names.attributes import cast
from gradus.torch_names.table import FUNCTIONS, check_ranks, function, method, sizes_of, tensor_of


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
        return data if dtype is None else cast(data, dtype)
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
    def create(
        *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False, generator: Any = None
    ) -> Tensor:
        shape = sizes_of(sizes if size is None else (size,))
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
def new_zeros(self: Any, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in another shape, in this tensor's dtype."""
    return zeros(*sizes, size=size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method
def new_ones(self: Any, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in another shape, in this tensor's dtype."""
    return ones(*sizes, size=size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method
def new_empty(self: Any, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros, as :func:`gradus.empty` gives, in another shape, in this tensor's dtype."""
    return empty(*sizes, size=size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


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
def arange(start: Any = None, end: Any = None, step: Any = 1, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Evenly spaced values in [start, end)."""
    if start is None and end is None:
        raise UsageError("arange needs an end", got="no numbers", wanted="arange(end) or arange(start, end)", code="E29")
    return _made(ops.arange(0 if start is None else start, end, step, dtype), requires_grad)


@function
def linspace(start: float, end: float, steps: int, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """``steps`` evenly spaced values, both ends included."""
    return _made(ops.linspace(start, end, steps, dtype), requires_grad)


@function
def eye(n: int, m: int | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    return _made(ops.eye(n, m, dtype=dtype), requires_grad)


@function
def logspace(start: float, end: float, steps: int, base: float = 10.0, dtype: Any = None, device: Any = None) -> Tensor:
    """``steps`` numbers from baseˢᵗᵃʳᵗ to baseᵉⁿᵈ whose neighbours have one ratio."""
    exponents = np.linspace(start, end, steps)
    return wrap(np.power(float(base), exponents).astype(dtype or dtypes.get_default_dtype()))


def _triangle(name: str, mask: Callable[..., np.ndarray], part: str) -> None:
    def indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
        found = np.stack(np.nonzero(mask(np.ones((row, col), bool), offset)))
        return wrap(found.astype(dtype or np.int64))

    indices.__name__, indices.__doc__ = name, f"Where a matrix of this shape has its {part} triangle: row numbers, column numbers."
    function(indices)


_triangle("tril_indices", np.tril, "lower")
_triangle("triu_indices", np.triu, "upper")


@function
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Powers of a vector's elements as columns, from N - 1 down to 0, or upwards."""
    check_ranks("vander", 1, x, most=1)
    x = x if x.dtype.kind == "f" else ops.astype(x, np.int64)
    count = x.shape[0] if N is None else N
    powers = [ops.ones((x.shape[0],), x.dtype)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    columns = powers[:count] if increasing else powers[:count][::-1]
    if not columns:
        return wrap(np.zeros((x.shape[0], 0), x.dtype))
    return ops.stack([tensor_of(column) for column in columns], axis=1)

"""PyTorch's spelling of everything, in one table: what is a function, what is a method, and how its arguments differ from ``gradus.ops``.

``dim``/``axis`` and ``keepdim``/``keepdims`` are both accepted. A decorated definition below is one entry: :func:`both` makes it a function
of ``gradus`` and a method of Tensor, :func:`method` and :func:`function` one of the two. In-place forms (``add_``) are derived at the end.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradus import autograd, dtypes, inplace, ops, random
from gradus.errors import DTypeError, ShapeError, UsageError
from gradus.fused.softmax import log_softmax, softmax
from gradus.primitive import REGISTRY
from gradus.tape import binary_method, unary_method
from gradus.tensors import Tensor, as_array, wrap
from gradus.tensors import device as device_type

FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Any] = {}

SPELLINGS = {"axis": "dim", "keepdims": "keepdim"}


def _torch_keywords(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``axis`` and ``keepdims`` stand for ``dim`` and ``keepdim``."""

    @functools.wraps(f)
    def accepting(*args: Any, **kwargs: Any) -> Any:
        for numpy_name, torch_name in SPELLINGS.items():
            if numpy_name in kwargs:
                kwargs[torch_name] = kwargs.pop(numpy_name)
        return f(*args, **kwargs)

    return accepting


def function(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is a function of ``gradus`` only."""
    FUNCTIONS[f.__name__] = f
    return f


def method(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is a method of Tensor only."""
    METHODS[f.__name__] = f
    return f


def both(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is both; it takes NumPy's keywords too."""
    accepting = _torch_keywords(f) if {"dim", "keepdim"} & set(f.__code__.co_varnames[: f.__code__.co_argcount + f.__code__.co_kwonlyargcount]) else f
    FUNCTIONS[f.__name__] = METHODS[f.__name__] = accepting
    return accepting


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    if len(shape) == 1 and not isinstance(shape[0], (int, np.integer, Tensor)):
        shape = tuple(shape[0])
    return tuple([int(n) for n in shape])


def _as_tensor(x: Any) -> Any:
    return x if isinstance(x, Tensor) else wrap(as_array(x))


# Elementwise ops: every record, under its own name and PyTorch's.

ALIASES = {
    "add": ("add",), "subtract": ("subtract", "sub"), "multiply": ("multiply", "mul"), "divide": ("divide", "div", "true_divide"), "negative": ("negative", "neg"),
    "abs": ("abs", "absolute"), "equal": ("eq",), "not_equal": ("not_equal", "ne"), "less": ("less", "lt"), "less_equal": ("less_equal", "le"),
    "greater": ("greater", "gt"), "greater_equal": ("greater_equal", "ge"), "asin": ("asin", "arcsin"), "acos": ("acos", "arccos"), "atan": ("atan", "arctan"),
    "atan2": ("atan2", "arctan2"), "asinh": ("asinh", "arcsinh"), "acosh": ("acosh", "arccosh"), "atanh": ("atanh", "arctanh"), "trunc": ("trunc", "fix"),
    "cumulative_prod": (), "zero_safe_mul": (), "where": (), "clip": (), "astype": (),
}  # fmt: skip


def _install_elementwise() -> None:
    """Functions for all elementwise records; the methods skip the dispatch, since a Tensor is known to be there."""
    for record in list(REGISTRY.values()):
        if record.family != "elementwise":
            continue
        fast = {1: unary_method, 2: binary_method}.get(len(record.inputs))
        quick = fast(record) if fast is not None and not record.params and None not in record.savers else None
        for name in ALIASES.get(record.name, (record.name,)):
            assert record.function is not None
            FUNCTIONS[name] = record.function
            METHODS[name] = quick or _as_method(record.function)
    FUNCTIONS["pow"], METHODS["pow"] = ops.pow, _as_method(ops.pow)


def _as_method(op: Callable[..., Any]) -> Callable[..., Any]:
    def bound(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return op(self, *args, **kwargs)

    bound.__doc__ = op.__doc__
    return bound


_install_elementwise()


@both
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other."""
    return ops.add(input, other) if alpha == 1 else ops.add(input, other * alpha)


@both
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input - alpha · other."""
    return ops.subtract(input, other) if alpha == 1 else ops.subtract(input, other * alpha)


@both
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Limit to [min, max]."""
    return ops.clip(input, low=min, high=max)


@both
def clamp_min(input: Any, min: Any) -> Any:
    """Limit from below."""
    return ops.clip(input, low=min)


@both
def clamp_max(input: Any, max: Any) -> Any:
    """Limit from above."""
    return ops.clip(input, high=max)


@function
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition holds, else ``other``; with the condition alone, the indices where it holds."""
    if input is None:
        return tuple([wrap(index) for index in _as_tensor(condition).numpy().nonzero()])
    return ops.where(_as_tensor(condition), input, other)


METHODS["where"] = lambda self, condition, other: ops.where(condition, self, other)


@both
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight · (end - input)."""
    return input + weight * (end - input)


@both
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value · tensor1 · tensor2."""
    return input + value * (tensor1 * tensor2)


@both
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value · tensor1 / tensor2."""
    return input + value * (tensor1 / tensor2)


@both
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``value`` where the mask holds, else ``input``."""
    return ops.where(mask, value, input)


FUNCTIONS["clip"] = METHODS["clip"] = clamp
FUNCTIONS["log_softmax"] = METHODS["log_softmax"] = _torch_keywords(log_softmax)
FUNCTIONS["softmax"] = METHODS["softmax"] = _torch_keywords(softmax)


# Reductions.


def _reduction(op: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        return op(input if dtype is None else ops.astype(input, dtype), axis=dim, keepdims=keepdim)

    reduce.__name__, reduce.__doc__ = op.__name__, op.__doc__
    return reduce


sum, prod, all, any, logsumexp, count_nonzero = [both(_reduction(op)) for op in (ops.sum, ops.prod, ops.all, ops.any, ops.logsumexp, ops.count_nonzero)]  # noqa: A001
argmax, argmin = [both(_reduction(op)) for op in (ops.argmax, ops.argmin)]


@both
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over ``dim`` (all axes when None)."""
    input = input if dtype is None else ops.astype(input, dtype)
    if input.dtype.kind != "f":
        raise DTypeError(f"mean(): could not infer output dtype. Input dtype must be a floating point dtype. Got: {input.dtype}", fix="x.float().mean()", code="E14")
    return ops.mean(input, axis=dim, keepdims=keepdim)


def _correction(correction: Any, unbiased: Any) -> float:
    return (1.0 if unbiased else 0.0) if unbiased is not None else 1.0 if correction is None else float(correction)


@both
def var(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """The variance, divided by n - 1 unless told otherwise (NumPy divides by n)."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return ops.var(input, axis=dim, keepdims=keepdim, correction=_correction(correction, unbiased))


@both
def std(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """The standard deviation, from the variance with n - 1 unless told otherwise."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return ops.std(input, axis=dim, keepdims=keepdim, correction=_correction(correction, unbiased))


@both
def norm(input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """The p-norm over ``dim``: "fro" or 2, 1, infinity, or any positive p."""
    if p in (2, "fro"):
        return ops.norm(input, axis=dim, keepdims=keepdim)
    size = ops.abs(input)
    if p == 1:
        return ops.sum(size, axis=dim, keepdims=keepdim)
    if p == math.inf:
        return ops.max(size, axis=dim, keepdims=keepdim)
    return ops.sum(size ** float(p), axis=dim, keepdims=keepdim) ** (1.0 / p)


ValuesIndices = namedtuple("ValuesIndices", ["values", "indices"])


def _extreme(best: Callable[..., Any], where_best: Callable[..., Any], pairwise: Callable[..., Any], name: str) -> Callable[..., Any]:
    def extreme(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            return best(input)
        if isinstance(dim, Tensor):
            return pairwise(input, dim)
        indices = where_best(input, axis=dim, keepdims=True)
        values = ops.take_along_axis(input, indices, axis=dim)
        return ValuesIndices(*[v if keepdim else ops.squeeze(v, axis=dim) for v in (values, indices)])

    extreme.__name__ = name
    extreme.__doc__ = f"The {name} of all elements; with ``dim`` (values, indices) along it; with a second tensor, elementwise."
    return extreme


max = both(_extreme(ops.max, ops.argmax, ops.maximum, "max"))  # noqa: A001
min = both(_extreme(ops.min, ops.argmin, ops.minimum, "min"))  # noqa: A001


@both
def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest value; ties share the gradient evenly."""
    return ops.max(input, axis=dim, keepdims=keepdim)


@both
def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest value; ties share the gradient evenly."""
    return ops.min(input, axis=dim, keepdims=keepdim)


@both
def cumsum(input: Any, dim: int) -> Any:
    """Running sums along ``dim``."""
    return ops.cumulative_sum(input, axis=dim)


@both
def cumprod(input: Any, dim: int) -> Any:
    """Running products along ``dim``."""
    return ops.moveaxis(ops.cumulative_prod(ops.moveaxis(input, dim, -1)), -1, dim)


@both
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(values, indices) in order along ``dim``; always stable."""
    indices = ops.argsort(input, axis=dim, descending=descending)
    return ValuesIndices(ops.take_along_axis(input, indices, axis=dim), indices)


@both
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Indices that sort along ``dim``."""
    return ops.argsort(input, axis=dim, descending=descending)


@both
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the ``k`` largest (or smallest) along ``dim``, in order."""
    if not 0 <= k <= input.shape[dim]:
        raise IndexError(f"selected index k out of range: k is {k}, the axis has {input.shape[dim]} elements")
    (axis,) = ops.reduction.normalize_axes(dim, input.ndim)
    order = ops.argsort(input, axis=axis, descending=largest)
    indices = ops.getitem(order, key=(*(slice(None),) * axis, slice(0, k)))
    return ValuesIndices(ops.take_along_axis(input, indices, axis=axis), indices)


# Shapes.


@method
def reshape(self: Any, *shape: Any) -> Any:
    """The same values under another shape; one length may be -1."""
    return ops.reshape(self, _sizes(shape))


@method
def view(self: Any, *shape: Any) -> Any:
    """As reshape; with a dtype, the same bits read as another type is refused: use ``to``."""
    if len(shape) == 1 and isinstance(shape[0], np.dtype):
        raise UsageError("view(dtype) is not offered", wanted="a shape", fix="x.to(dtype)")
    return ops.reshape(self, _sizes(shape))


FUNCTIONS["reshape"] = lambda input, shape: ops.reshape(input, shape)
METHODS["reshape_as"] = METHODS["view_as"] = lambda self, other: ops.reshape(self, other.shape)


@both
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Join the axes from ``start_dim`` to ``end_dim`` into one."""
    if not input.ndim:
        return ops.reshape(input, (1,))
    first, last = start_dim % input.ndim, end_dim % input.ndim
    shape = input.shape
    return ops.reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@both
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Split one axis into several."""
    dim %= input.ndim
    return ops.reshape(input, (*input.shape[:dim], *ops.movement.complete_shape(sizes, (input.shape[dim],)), *input.shape[dim + 1 :]))


@method
def permute(self: Any, *dims: Any) -> Any:
    """The axes in another order."""
    return ops.permute_dims(self, _sizes(dims))


FUNCTIONS["permute"] = lambda input, dims: ops.permute_dims(input, dims)


@both
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes exchanged."""
    axes = list(range(input.ndim))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return ops.permute_dims(input, axes)


FUNCTIONS["swapaxes"] = METHODS["swapaxes"] = transpose


@both
def t(input: Any) -> Any:
    """A matrix with its axes exchanged; vectors stay."""
    if input.ndim > 2:
        raise ShapeError("t() expects a tensor with <= 2 dimensions", got=f"{input.ndim} axes", wanted="a matrix", fix="x.mT or x.transpose(0, 1)", code="E03")
    return ops.permute_dims(input, tuple(range(input.ndim))[::-1])


METHODS["T"] = property(lambda self: ops.permute_dims(self, tuple(range(self.ndim))[::-1]))
METHODS["mT"] = property(ops.matrix_transpose)


@both
def squeeze(input: Any, dim: Any = None) -> Any:
    """Drop axes of length 1: all, or those named if their length is 1."""
    dims = ops.reduction.normalize_axes(dim, input.ndim)
    return ops.reshape(input, tuple([n for k, n in enumerate(input.shape) if n != 1 or k not in dims]))


@both
def unsqueeze(input: Any, dim: int) -> Any:
    """A new axis of length 1."""
    return ops.expand_dims(input, axis=dim)


@method
def expand(self: Any, *sizes: Any) -> Any:
    """Repeat axes of length 1 without copying (stride 0); -1 keeps a length."""
    shape = _sizes(sizes)
    offset = len(shape) - self.ndim
    return ops.broadcast_to(self, tuple([self.shape[k - offset] if n == -1 else n for k, n in enumerate(shape)]))


METHODS["expand_as"] = lambda self, other: ops.broadcast_to(self, tuple(other.shape))
FUNCTIONS["broadcast_to"] = METHODS["broadcast_to"] = lambda input, shape: ops.broadcast_to(input, tuple(shape))


@method
def repeat(self: Any, *sizes: Any) -> Any:
    """The whole tensor, copied so many times along each axis."""
    times = _sizes(sizes)
    shape = (1,) * (len(times) - self.ndim) + tuple(self.shape)
    paired = tuple([n for pair in zip(times, shape, strict=True) for n in pair])
    spread = ops.broadcast_to(ops.reshape(self, tuple([n for m in shape for n in (1, m)])), paired)
    return ops.reshape(spread, tuple([k * n for k, n in zip(times, shape, strict=True)]))


@function
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Join along an existing axis."""
    return ops.concat([_as_tensor(x) for x in tensors], axis=dim if axis is None else axis)


FUNCTIONS["concat"] = FUNCTIONS["concatenate"] = cat


@function
def stack(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Join along a new axis."""
    return ops.stack([_as_tensor(x) for x in tensors], axis=dim if axis is None else axis)


@both
def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> Any:
    """Pieces of one size (the last may be smaller), or of the sizes listed."""
    (axis,) = ops.reduction.normalize_axes(dim, input.ndim)
    n, sections = input.shape[axis], split_size_or_sections
    sizes = [builtins.min(sections, n - start) for start in range(0, n, sections)] or [0] if isinstance(sections, int) else list(sections)
    if builtins.sum(sizes) != n:
        raise ShapeError(f"split expects sizes that sum to {n}", got=f"{sizes}", wanted=f"a total of {n} on axis {axis}", code="E03")
    starts = np.cumsum([0, *sizes])
    return tuple([ops.getitem(input, key=(*(slice(None),) * axis, slice(int(a), int(b)))) for a, b in zip(starts, starts[1:], strict=False)])


@both
def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """At most so many pieces of equal size (the last may be smaller)."""
    return split(input, builtins.max(-(-input.shape[dim] // chunks), 1), dim)


@both
def unbind(input: Any, dim: int = 0) -> Any:
    """The slices along an axis, without it."""
    (axis,) = ops.reduction.normalize_axes(dim, input.ndim)
    return tuple([ops.getitem(input, key=(*(slice(None),) * axis, i)) for i in range(input.shape[axis])])


@both
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Shift along axes; what leaves at the end comes back at the start."""
    return ops.roll(input, shifts, axis=dims)


@both
def flip(input: Any, *dims: Any) -> Any:
    """The order along axes reversed."""
    return ops.flip(input, axis=_sizes(dims))


@both
def tril(input: Any, diagonal: int = 0) -> Any:
    """The part on and below a diagonal, zero elsewhere."""
    return ops.tril(input, k=diagonal)


@both
def triu(input: Any, diagonal: int = 0) -> Any:
    """The part on and above a diagonal, zero elsewhere."""
    return ops.triu(input, k=diagonal)


@both
def movedim(input: Any, source: int, destination: int) -> Any:
    """One axis moved to another place."""
    return ops.moveaxis(input, source, destination)


@both
def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """``length`` slices from ``start`` along an axis."""
    (axis,) = ops.reduction.normalize_axes(dim, input.ndim)
    return ops.getitem(input, key=(*(slice(None),) * axis, slice(start, start + length)))


@both
def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or a matrix with this diagonal."""
    if input.ndim == 2:
        rows = np.arange(builtins.max(-diagonal, 0), builtins.min(input.shape[0], input.shape[1] - diagonal))
        return ops.index(input, (rows, rows + diagonal))
    n = input.shape[0] + builtins.abs(diagonal)
    rows = np.arange(input.shape[0]) + builtins.max(-diagonal, 0)
    static, arrays = ops.indexing.split_key((rows, rows + diagonal))
    return ops.scatter_add(input, *arrays, shape=(n, n), key=static)


# Reading and writing at indices.


@both
def gather(input: Any, dim: int, index: Any) -> Any:
    """``y[i, j] = x[i, index[i, j]]`` for dim 1, and so on."""
    return ops.take_along_axis(input, index, axis=dim)


@both
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """``input`` with ``src`` added at the places that gather would read; a place named twice receives both."""
    cut = ops.getitem(src, key=tuple([slice(0, n) for n in index.shape]))
    return ops.scatter_add_along_axis(input, index, cut, axis=dim)


@both
def index_select(input: Any, dim: int, index: Any) -> Any:
    """Slices along an axis in the order of ``index``."""
    return ops.take(input, index, axis=dim)


@both
def take_along_dim(input: Any, indices: Any, dim: int) -> Any:
    """As gather, with broadcast indices."""
    return ops.take_along_axis(input, indices, axis=dim)


@both
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask holds, as a vector."""
    shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    return ops.index(ops.broadcast_to(input, shape), ops.broadcast_to(mask, shape))


@both
def nonzero(input: Any, as_tuple: bool = False) -> Any:
    """The indices of elements that are not zero."""
    found = input.detach().numpy().nonzero()
    return tuple([wrap(i) for i in found]) if as_tuple else wrap(np.stack(found, axis=1) if found else np.zeros((0, 0), np.int64))


# Products.


@both
def matmul(input: Any, other: Any) -> Any:
    """Matrix product over the last two axes, broadcast over the others."""
    return ops.matmul(input, other)


for _name in ("mm", "bmm", "mv", "dot", "inner"):
    FUNCTIONS[_name] = METHODS[_name] = ops.matmul if _name != "inner" else lambda input, other: ops.matmul(input, other.mT if other.ndim > 1 else other)


@both
def outer(input: Any, vec2: Any) -> Any:
    """All products of two vectors."""
    return ops.expand_dims(input, axis=1) * ops.expand_dims(vec2, axis=0)


@function
def einsum(equation: str, *operands: Any) -> Any:
    """Einstein's sum."""
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return ops.einsum(equation, *[_as_tensor(x) for x in given])


# Comparison of whole tensors; counting.


@both
def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |a - b| ≤ atol + rtol·|b| everywhere."""
    a, b = [_as_tensor(x).detach().numpy() for x in (input, other)]
    return bool(np.allclose(a, b, rtol, atol, equal_nan))


@both
def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Where |a - b| ≤ atol + rtol·|b|."""
    return wrap(np.isclose(input.detach().numpy(), other.detach().numpy(), rtol, atol, equal_nan))


@both
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    return tuple(input.shape) == tuple(other.shape) and bool(np.array_equal(input.detach().numpy(), other.detach().numpy()))


@both
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall in each of ``bins`` equal intervals of [min, max] (the data's own range when both are 0)."""
    x = input.detach().numpy()
    low, high = (min, max) if (min, max) != (0, 0) else (x.min(), x.max())
    return wrap(np.histogram(x, bins=bins, range=(low, high))[0].astype(x.dtype))


@both
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each non-negative integer occurs."""
    return wrap(np.bincount(input.numpy(), None if weights is None else weights.detach().numpy(), minlength))


@both
def unique(input: Any, return_counts: bool = False, return_inverse: bool = False) -> Any:
    """The distinct elements in order."""
    found = np.unique(input.detach().numpy(), return_counts=return_counts, return_inverse=return_inverse)
    return tuple([wrap(x) for x in found]) if isinstance(found, tuple) else wrap(found)


# Type, memory, place in the graph.

for _name in ("float", "double", "half", "long", "int", "short"):
    METHODS[_name] = functools.partialmethod(lambda self, dtype: ops.astype(self, dtype), getattr(dtypes, _name))
METHODS["bool"] = lambda self: ops.astype(self, dtypes.bool_)
METHODS["type_as"] = lambda self, other: ops.astype(self, other.dtype)
METHODS["cpu"] = lambda self: self
METHODS["dim"] = METHODS["ndimension"] = lambda self: self.value.ndim
METHODS["numel"] = METHODS["nelement"] = lambda self: int(self.value.size)
METHODS["element_size"] = lambda self: self.value.itemsize
METHODS["is_floating_point"] = lambda self: self.value.dtype.kind == "f"
METHODS["is_contiguous"] = lambda self: bool(self.value.flags.c_contiguous)
METHODS["data_ptr"] = lambda self: self.value.__array_interface__["data"][0]
METHODS["size"] = lambda self, dim=None: self.shape if dim is None else self.value.shape[dim]
METHODS["__setitem__"] = inplace.set_item
METHODS["backward"] = lambda self, gradient=None, retain_graph=None, create_graph=False, inputs=None: autograd.backward(self, gradient, retain_graph, create_graph, inputs)
METHODS["register_hook"] = autograd.register_hook
METHODS["retain_grad"] = autograd.retain_grad
FUNCTIONS["numel"] = lambda input: int(input.value.size)
FUNCTIONS["is_tensor"] = lambda x: isinstance(x, Tensor)


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
    result = self if dtype is None else ops.astype(self, np.dtype(dtype))
    return clone(result) if copy else result


@method
def type(self: Any, dtype: Any = None) -> Any:  # noqa: A001
    """The dtype's name, or the tensor in another dtype."""
    return f"gradus.{self.dtype.name}" if dtype is None else ops.astype(self, dtype)


@method
def stride(self: Any, dim: int | None = None) -> Any:
    """Steps between neighbours along each axis, counted in elements."""
    strides = tuple([s // self.value.itemsize for s in self.value.strides])
    return strides if dim is None else strides[dim]


class Storage(list):  # type: ignore[type-arg]
    """The memory behind a tensor, element by element, as it lies."""

    def __init__(self, elements: Any, dtype: Any) -> None:
        super().__init__(elements)
        self.dtype = dtype

    def __repr__(self) -> str:
        lines = "".join(f" {x}\n" for x in self)
        return f"{lines}[gradus.storage of {self.dtype.name}, size {len(self)}]"

    size = list.__len__


@method
def storage(self: Any) -> Storage:
    """The memory that the tensor is a view of: expanded axes take none."""
    from_memory = self.value
    while isinstance(from_memory.base, np.ndarray):
        from_memory = from_memory.base
    return Storage(from_memory.ravel(order="K").tolist(), from_memory.dtype)


METHODS["untyped_storage"] = storage


@both
def clone(input: Any) -> Any:
    """A copy in memory of its own, connected in the graph."""
    return wrap(np.array(input.value, order="C")) if not input.requires_grad and isinstance(input.value, np.ndarray) else ops.multiply(input, 1)


@method
def contiguous(self: Any) -> Any:
    """The tensor itself, or a copy that lies in C order."""
    return self if self.value.flags.c_contiguous else clone(self)


@both
def detach(input: Any) -> Any:
    """A tensor of the same memory outside the graph."""
    return wrap(ops.stop_gradient(input.value)) if not isinstance(input.value, np.ndarray) else wrap(input.value)


@method
def detach_(self: Any) -> Any:
    """Take this tensor out of its graph, in place."""
    self.node, self.requires_grad = None, False
    return self


# In-place forms: the plain op, written into the tensor's own memory.

IN_PLACE = """add sub mul div pow neg abs exp log sqrt tanh sigmoid relu clamp clamp_min clamp_max square reciprocal floor ceil round masked_fill
lerp addcmul addcdiv scatter_add sin cos erf""".split()


def _in_place(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return inplace.write(self, plain(self, *args, **kwargs), name)

    changed.__name__ = name
    changed.__doc__ = f"``{name[:-1]}``, written into this tensor's memory."
    return changed


for _name in IN_PLACE:
    METHODS[_name + "_"] = _in_place(_name + "_", METHODS[_name])
for _name, _op in {"__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__ipow__": "pow"}.items():
    METHODS[_name] = _in_place(_name, METHODS[_op])


def _fresh(self: Tensor, array: Any, name: str) -> Tensor:
    return inplace.write(self, wrap(np.asarray(array, self.value.dtype)), name)


METHODS["fill_"] = lambda self, value: _fresh(self, np.full(self.value.shape, float(value) if isinstance(value, Tensor) else value, self.value.dtype), "fill_")
METHODS["zero_"] = lambda self: _fresh(self, np.zeros(self.value.shape, self.value.dtype), "zero_")
METHODS["uniform_"] = lambda self, a=0.0, b=1.0, generator=None: _fresh(self, a + (b - a) * random.uniform(self.value.shape, self.value.dtype, generator), "uniform_")
METHODS["normal_"] = lambda self, mean=0.0, std=1.0, generator=None: _fresh(self, mean + std * random.normal(self.value.shape, self.value.dtype, generator), "normal_")


@method
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Take over the values of another tensor, broadcast and cast to fit."""
    src = ops.astype(_as_tensor(src), self.value.dtype)
    return inplace.write(self, ops.broadcast_to(src, self.value.shape), "copy_")


# Creation.


@function
def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of a copy of ``data``: arrays keep their dtype, Python floats become float32, integers int64.

    >>> tensor([[1, 2.5]])
    tensor([[1.0000, 2.5000]])
    """
    made = wrap(as_array(data, dtype))
    return made.requires_grad_() if requires_grad else made


@function
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor of ``data``, sharing memory where that is possible."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and data.dtype.kind in "fiub" and data.dtype.isnative:
        return wrap(data if dtype is None else data.astype(dtype, copy=False))
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
        shape = _sizes(size)
        return _made(make(shape, dtype, generator) if name.startswith("rand") else make(shape, dtype), requires_grad)

    create.__name__, create.__doc__ = name, f"``{name}(2, 3)`` or ``{name}((2, 3))``: a tensor of this shape (float32 unless given)."
    FUNCTIONS[name] = create
    return create


zeros, ones, empty = _creator("zeros", ops.zeros), _creator("ones", ops.ones), _creator("empty", ops.zeros)
rand, randn = _creator("rand", random.uniform), _creator("randn", random.normal)


def _like(name: str, create: Callable[..., Any]) -> None:
    def like(input: Tensor, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        return create(tuple(input.shape), dtype=dtype or input.dtype, requires_grad=requires_grad)

    like.__name__, like.__doc__ = name, f"{name[:-5]} in the shape and dtype of another tensor."
    FUNCTIONS[name] = like


for _name, _create in {"zeros": zeros, "ones": ones, "empty": empty, "rand": rand, "randn": randn}.items():
    _like(_name + "_like", _create)
METHODS["new_zeros"] = lambda self, *size, dtype=None: zeros(*size, dtype=dtype or self.dtype)
METHODS["new_ones"] = lambda self, *size, dtype=None: ones(*size, dtype=dtype or self.dtype)


@function
def full(size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one value."""
    return _made(ops.full(_sizes((size,)), fill_value, dtype), requires_grad)


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
    return wrap(random.integers(low, high, _sizes((size,)), generator).astype(dtype or dtypes.int64, copy=False))


@function
def randperm(n: int, *, generator: Any = None) -> Tensor:
    """The integers 0 … n - 1 in random order."""
    return wrap(random.permutation(n, generator))


FUNCTIONS["manual_seed"] = random.manual_seed


def install() -> None:
    """Make the entries methods of Tensor."""
    for name, entry in METHODS.items():
        if callable(entry) and not hasattr(entry, "__get__"):
            entry = _as_method(entry)
        setattr(Tensor, name, entry)


install()

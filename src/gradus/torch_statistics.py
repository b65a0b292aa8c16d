"""PyTorch's spelling, continued: order, spread, random choice, and what a dtype can hold; written with existing ops.

Nothing here has a derivative of its own: each function is a composition, so it is differentiated, traced and compiled as its parts are.
"""

from __future__ import annotations

import math
import os
from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np

from gradus import dtypes, inplace, ops, random
from gradus.errors import DTypeError, IndexRangeError, UsageError
from gradus.tensors import Tensor, wrap
from gradus.torch_movement import ValuesIndices, axis_of, check_ranks, common_shape, movedim, with_an_axis
from gradus.torch_table import FUNCTIONS, both, clone, function, method, sizes_of, tensor, tensor_of

MinMax = namedtuple("MinMax", ["min", "max"])


# Order.


@both
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """(smallest, largest) of all elements, or along an axis."""
    return MinMax(FUNCTIONS["amin"](input, dim, keepdim), FUNCTIONS["amax"](input, dim, keepdim))


@both
def msort(input: Any) -> Any:
    """Sorted along axis 0."""
    return with_an_axis(lambda x: ops.take_along_axis(x, ops.argsort(x, axis=0), axis=0), input)


def _picked(input: Any, place: int, axis: int, keepdim: bool, nan: bool) -> ValuesIndices:
    """(value, index) of the element at one place of the order along an axis; the first NaN, where ``nan`` says so and there is one."""
    order = ops.argsort(input, axis=axis)
    indices = ops.getitem(order, key=(*(slice(None),) * axis, slice(place, place + 1)))
    if nan and input.dtype.kind == "f":
        lost = ops.isnan(input)
        indices = ops.where(
            ops.any(lost, axis=axis, keepdims=True), ops.argmax(ops.astype(lost, np.int64), axis=axis, keepdims=True), indices
        )
    values = ops.take_along_axis(input, indices, axis=axis)
    return ValuesIndices(*[x if keepdim else ops.squeeze(x, axis=axis) for x in (values, indices)])


def _behind(x: Any, steps: int, axis: int, first: Any) -> Any:
    """Each element's neighbour so many ``steps`` before it along an axis; ``first`` where there is none."""
    front = (slice(None),) * axis
    rest = ops.getitem(x, key=(*front, slice(0, x.shape[axis] - steps)))
    missing = ops.getitem(first, key=(*front, slice(0, steps)))
    return ops.concat([missing, rest], axis=axis)


def _running_best(name: str, better: Any) -> None:
    def best(input: Any, dim: int) -> Any:
        def found(x: Any) -> Any:
            axis = axis_of(x, dim)
            length = x.shape[axis]
            line = np.arange(length).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
            indices = ops.broadcast_to(tensor_of(line), tuple(x.shape))
            fixed, steps = ops.stop_gradient(x), 1
            while steps < length:  # after each round an index is the best of twice as many (Hillis and Steele 1986)
                before = _behind(indices, steps, axis, indices)
                mine, theirs = [ops.take_along_axis(fixed, i, axis=axis) for i in (indices, before)]
                kept = better(mine, theirs)
                if x.dtype.kind == "f":
                    kept = ops.logical_or(ops.logical_and(kept, ops.logical_not(ops.isnan(theirs))), ops.isnan(mine))
                indices, steps = ops.where(kept, indices, before), 2 * steps
            return ValuesIndices(ops.take_along_axis(x, indices, axis=axis), indices)

        return with_an_axis(found, input)

    best.__name__ = name
    best.__doc__ = (
        f"({'largest' if name == 'cummax' else 'smallest'} so far, where it was) along an axis; of equal ones the last, and NaN once met."
    )
    both(best)


_running_best("cummax", ops.greater_equal)
_running_best("cummin", ops.less_equal)


@both
def logcumsumexp(input: Any, dim: int) -> Any:
    """The logarithm of running sums of exponentials, without overflow."""

    def found(x: Any) -> Any:
        axis, steps = axis_of(x, dim), 1
        x = clone(x) if x.shape[axis] < 2 else x
        nothing = wrap(np.full(tuple(x.shape), -np.inf, x.dtype))
        while steps < x.shape[axis]:
            x, steps = ops.logaddexp(x, _behind(x, steps, axis, nothing)), 2 * steps
        return x

    if input.dtype.kind != "f":
        raise DTypeError("logcumsumexp takes floating numbers", got=str(input.dtype), wanted="floats", fix="x.float()", code="E14")
    return with_an_axis(found, input)


@both
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(value, index) of the ``k``-th smallest along an axis, counted from 1; NaN is larger than all numbers."""

    def found(x: Any) -> Any:
        axis = axis_of(x, dim)
        if not 1 <= k <= x.shape[axis]:
            raise IndexRangeError(
                "kthvalue(): selected number k out of range", got=f"k = {k}, {x.shape[axis]} elements", wanted="1 to that", code="E41"
            )
        return _picked(x, k - 1, axis, keepdim, False)

    return with_an_axis(found, input)


@both
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle of the order, the lower one of two; with ``dim`` (value, index) along it; NaN where there is one."""
    if dim is None:
        flat = ops.reshape(input, (-1,))
        if not flat.shape[0]:
            return ops.sum(flat) * math.nan
        return _picked(flat, (flat.shape[0] - 1) // 2, 0, False, True).values

    def found(x: Any) -> Any:
        axis = axis_of(x, dim)
        if not x.shape[axis]:
            raise IndexRangeError("median(): there is no middle of nothing", got=f"shape {tuple(x.shape)}", wanted="an element", code="E41")
        return _picked(x, (x.shape[axis] - 1) // 2, axis, keepdim, True)

    return with_an_axis(found, input)


@both
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle of the order of all that is not NaN, the lower one of two; with ``dim`` (value, index) along it."""
    if input.dtype.kind != "f":
        return median(input, dim, keepdim)
    if dim is None:
        return nanmedian(ops.reshape(input, (-1,)), 0).values if input.numel() else median(input)

    def found(x: Any) -> Any:
        axis = axis_of(x, dim)
        there = ops.sum(ops.astype(ops.logical_not(ops.isnan(x)), np.int64), axis=axis, keepdims=True)
        order = ops.argsort(x, axis=axis)  # NaN comes last
        indices = ops.take_along_axis(order, ops.maximum(there - 1, 0) // 2, axis=axis)
        values = ops.take_along_axis(x, indices, axis=axis)
        return ValuesIndices(*[y if keepdim else ops.squeeze(y, axis=axis) for y in (values, indices)])

    return with_an_axis(found, input)


INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


@both
def quantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """The value below which a share ``q`` of the elements lies; several shares make a first axis.

    Between two neighbours ``interpolation`` decides: "linear", "lower", "higher", "midpoint" or "nearest".
    """
    if input.dtype.kind != "f":
        raise DTypeError(
            "quantile() input tensor must be either float or double dtype",
            got=str(input.dtype),
            wanted="floats",
            fix="x.float()",
            code="E14",
        )
    if interpolation not in INTERPOLATIONS:
        raise UsageError("quantile has no such interpolation", got=repr(interpolation), wanted=", ".join(INTERPOLATIONS), code="E29")
    shares = np.asarray(q.detach().numpy() if isinstance(q, Tensor) else q, np.float64)
    x = ops.reshape(input, (-1,)) if dim is None or not input.ndim else movedim(input, dim, -1)
    n = x.shape[-1]
    if shares.ndim > 1 or not n or ((shares < 0) | (shares > 1)).any():
        raise UsageError(
            "quantile takes shares in [0, 1] of at least one element", got=f"q = {q}, {n} elements", wanted="0 <= q <= 1", code="E29"
        )
    ordered = ops.take_along_axis(x, ops.argsort(x, axis=-1), axis=-1)
    place = shares.reshape(-1) * (n - 1)
    low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
    if interpolation == "nearest":
        low = high = np.round(place).astype(np.int64)
    low, high = {"lower": (low, low), "higher": (high, high)}.get(interpolation, (low, high))
    weight = np.full(place.shape, 0.5) if interpolation == "midpoint" else place - low
    below, above = ops.take(ordered, low, axis=-1), ops.take(ordered, high, axis=-1)
    found = below + (above - below) * weight.astype(input.dtype)
    found = ops.where(ops.any(ops.isnan(x), axis=-1, keepdims=True), math.nan, found)
    found = movedim(found, -1, 0)
    if keepdim:
        kept = (
            (1,) * input.ndim
            if dim is None
            else tuple([1 if k == dim % input.ndim else m for k, m in enumerate(input.shape)])
            if input.ndim
            else ()
        )
        found = ops.reshape(found, (found.shape[0], *kept))
    return found if shares.ndim else ops.squeeze(found, axis=0)


# Spread.


@both
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of all that is not NaN."""
    kept = ops.where(ops.isnan(input), 0, input) if input.dtype.kind == "f" else input
    return FUNCTIONS["sum"](kept, dim, keepdim, dtype=dtype)


@both
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of all that is not NaN."""
    if input.dtype.kind != "f":
        raise DTypeError("nanmean takes the mean of floating numbers", got=str(input.dtype), wanted="floats", fix="x.float()", code="E14")
    there = ops.astype(ops.logical_not(ops.isnan(input)), input.dtype)
    return nansum(input, dim, keepdim, dtype=dtype) / FUNCTIONS["sum"](there, dim, keepdim, dtype=dtype)


@both
def var_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """(variance, mean)."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return FUNCTIONS["var"](input, dim, unbiased, keepdim, correction=correction), FUNCTIONS["mean"](input, dim, keepdim)


@both
def std_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Any:
    """(standard deviation, mean)."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return FUNCTIONS["std"](input, dim, unbiased, keepdim, correction=correction), FUNCTIONS["mean"](input, dim, keepdim)


@both
def cov(input: Any, *, correction: int = 1) -> Any:
    """How variables vary together: rows are variables, columns observations; divided by their number less ``correction``."""
    check_ranks("cov", 0, input, most=2)
    x = ops.reshape(input, (1, -1)) if input.ndim < 2 else input
    x = x - ops.mean(x, axis=1, keepdims=True)
    found = ops.matmul(x, ops.matrix_transpose(x)) * (1.0 / max(x.shape[1] - correction, 0) if x.shape[1] > correction else math.inf)
    return found if input.ndim > 1 else ops.reshape(found, ())


@both
def corrcoef(input: Any) -> Any:
    """The covariance, divided by both standard deviations."""
    together = cov(input)
    if not together.ndim:
        return together / together
    size = ops.sqrt(FUNCTIONS["diagonal"](together))
    return ops.clip(together / ops.expand_dims(size, axis=1) / ops.expand_dims(size, axis=0), low=-1.0, high=1.0)


# Random choice.


@both
def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Any:
    """1 with the probability that each element says (or ``p``), else 0."""
    if input.dtype.kind != "f" and p is None:
        raise DTypeError("bernoulli takes probabilities", got=str(input.dtype), wanted="floats", fix="x.float()", code="E14")
    drawn = wrap(random.uniform(tuple(input.shape), None, generator))
    return ops.astype(ops.less(drawn, ops.stop_gradient(input) if p is None else p), input.dtype)


@method
def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """1 with probability ``p``, else 0, everywhere."""
    drawn = wrap(random.uniform(tuple(self.shape), None, generator))
    return inplace.write(self, ops.astype(ops.less(drawn, p), self.dtype), "bernoulli_")


@method
def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Any:
    """Random numbers of the exponential distribution of rate ``lambd``."""
    drawn = wrap(random.uniform(tuple(self.shape), self.dtype, generator))
    return inplace.write(self, -ops.log(1.0 - drawn) / lambd, "exponential_")


@both
def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """Numbers of classes, drawn with probabilities in proportion to the last axis; without ``replacement`` each one once at most.

    Raises:
        UsageError: weights that are negative, NaN or infinite, or fewer of them above 0 than are to be drawn (E29).
    """
    check_ranks("multinomial", 1, input, most=2)
    weights = ops.astype(ops.stop_gradient(input), np.float64)
    classes = input.shape[-1]
    _check_weights(weights, num_samples, replacement)
    if replacement:
        ends = ops.cumulative_sum(weights, axis=-1)
        total = ops.getitem(ends, key=(Ellipsis, slice(classes - 1, classes)))
        u = wrap(random.uniform((*input.shape[:-1], num_samples), np.float64, generator)) * total
        below = ops.less_equal(ops.expand_dims(ends, axis=-2), ops.expand_dims(u, axis=-1))
        return ops.sum(ops.astype(below, np.int64), axis=-1)
    # The earliest of exponential waiting times, each class at the rate of its weight (Efraimidis and Spirakis 2006).
    waits = -ops.log(1.0 - wrap(random.uniform(tuple(input.shape), np.float64, generator))) / weights
    return ops.getitem(ops.argsort(waits, axis=-1), key=(Ellipsis, slice(0, num_samples)))


def _check_weights(weights: Any, count: int, replacement: bool) -> None:
    found = weights.value if isinstance(weights, Tensor) else weights
    if not isinstance(found, np.ndarray):
        return  # a trace has no numbers
    usable = np.isfinite(found).all() and (found >= 0).all() and (found.sum(-1) > 0).all()
    if not usable or count < 1 or (not replacement and count > (found > 0).sum(-1).min(initial=found.shape[-1])):
        raise UsageError(
            "multinomial cannot draw so many classes from these weights",
            got=f"{count} draws {'with' if replacement else 'without'} replacement, weights of shape {found.shape}",
            wanted="finite weights from 0 up, at least one (without replacement: as many as are drawn) above 0",
            fix="x.softmax(-1).multinomial(1)",
            code="E29",
        )


@function
def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None) -> Any:
    """Random numbers of the normal distribution, with a mean and deviation for each element, or one for all of a ``size``."""
    shape = sizes_of((size,)) if size is not None else common_shape(*[tuple(getattr(x, "shape", ())) for x in (mean, std)])
    dtype = next((x.dtype for x in (mean, std) if isinstance(x, Tensor)), None)
    return mean + std * wrap(random.normal(tuple(shape), dtype, generator))


@function
def randint_like(input: Any, low: int, high: Any = None, *, dtype: Any = None) -> Tensor:
    """Integers in [low, high), or in [0, low), in the shape and dtype of another tensor."""
    low, high = (0, low) if high is None else (low, high)
    return wrap(ops.astype(random.integers(low, high, tuple(input.shape)), np.dtype(dtype or input.dtype)))


@function
def logspace(start: float, end: float, steps: int, base: float = 10.0, dtype: Any = None, device: Any = None) -> Tensor:
    """``steps`` numbers from baseˢᵗᵃʳᵗ to baseᵉⁿᵈ whose neighbours have one ratio."""
    exponents = np.linspace(start, end, steps)
    return wrap(np.power(float(base), exponents).astype(dtype or dtypes.get_default_dtype()))


@function
def get_rng_state() -> dict[str, int]:
    """What :func:`set_rng_state` needs, so that the default generator goes on with the same numbers."""
    return random.default_generator().get_state()


@function
def set_rng_state(new_state: dict[str, int]) -> None:
    """Let the default generator go on where :func:`get_rng_state` was called."""
    random.default_generator().set_state(new_state)


@function
def initial_seed() -> int:
    """The seed of the default generator."""
    return random.default_generator().initial_seed()


@function
def seed() -> int:
    """Seed the default generator with a number that nobody chose, and return that."""
    return random.manual_seed(int.from_bytes(os.urandom(8), "little")).initial_seed()


# What a dtype can hold.


class FloatLimits(NamedTuple):
    """What a floating dtype holds.

    Attributes:
        bits: of one number.
        eps: the distance from 1 to the next number.
        max: the largest finite number; min: its negative.
        tiny: the smallest positive number of full precision, also called smallest_normal.
        resolution: the decimals that survive, as a power of ten.
        dtype: its name.
    """

    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float
    dtype: str


class IntegerLimits(NamedTuple):
    """What an integer dtype holds.

    Attributes:
        bits: of one number.
        max: the largest number; min: the smallest.
        dtype: its name.
    """

    bits: int
    max: int
    min: int
    dtype: str


@function
def finfo(type: Any = None) -> FloatLimits:
    """The limits of a floating dtype (the default one when not given), as Python numbers.

    >>> finfo(np.dtype("float32")).eps
    1.1920928955078125e-07
    """
    dtype = np.dtype(dtypes.get_default_dtype() if type is None else type)
    if dtype.kind != "f":
        raise DTypeError(
            "finfo is about floating dtypes", got=str(dtype), wanted="float16, float32, float64", fix="gradus.iinfo", code="E14"
        )
    found = np.finfo(dtype)
    tiny = float(found.smallest_normal)
    return FloatLimits(found.bits, float(found.eps), float(found.max), float(found.min), tiny, tiny, float(found.resolution), dtype.name)


@function
def iinfo(type: Any) -> IntegerLimits:
    """The limits of an integer dtype, as Python numbers."""
    dtype = np.dtype(type)
    if dtype.kind not in "iu":
        raise DTypeError("iinfo is about integer dtypes", got=str(dtype), wanted="an integer dtype", fix="gradus.finfo", code="E14")
    found = np.iinfo(dtype)
    return IntegerLimits(found.bits, int(found.max), int(found.min), dtype.name)


@function
def promote_types(type1: Any, type2: Any) -> Any:
    """The dtype in which two dtypes meet."""
    return dtypes.promote(np.dtype(type1), np.dtype(type2))


@function
def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype of the sum of two tensors, or of a tensor and a number."""
    given = [ops.getitem(ops.reshape(x, (-1,)), key=(slice(0, 0),)) if getattr(x, "ndim", 0) else x for x in (tensor1, tensor2)]
    if not any(hasattr(x, "dtype") for x in given):
        given = [tensor(x) for x in given]
    return ops.add(*given).dtype


@both
def is_nonzero(input: Any) -> bool:
    """Whether the one element of a tensor is not zero."""
    if input.numel() != 1:
        raise UsageError(
            "is_nonzero looks at one element", got=f"shape {tuple(input.shape)}", wanted="one element", fix="x.any()", code="E29"
        )
    return bool(tensor_of(input))


@both
def is_complex(input: Any) -> bool:
    """False: there are no complex numbers here."""
    return False

"""Methods with an underscore at the end, which write into the tensor's own memory.

Those that repeat a plain op are derived from it; the others fill a tensor with one value or with random numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import inplace, ops, random
from gradus.errors import UsageError
from gradus.tensors import Tensor, wrap
from gradus.torch_names.table import METHODS, method, tensor_of

# In-place forms: the plain op, written into the tensor's own memory.

IN_PLACE = """add sub mul div pow neg abs exp log sqrt tanh sigmoid relu clamp clamp_min clamp_max square reciprocal floor ceil round
masked_fill lerp addcmul addcdiv scatter_add sin cos erf tan asin acos atan sinh cosh exp2 expm1 log1p log2 log10 rsqrt trunc frac clip
remainder floor_divide fmod nan_to_num logit tril triu scatter index_add index_copy index_fill index_put
masked_scatter addmm addmv baddbmm""".split()


def _in_place(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        past = inplace.past_of(self, args)
        given = [past if arg is self else arg for arg in args]
        return inplace.write(self, plain(past, *given, **kwargs), name)

    changed.__name__ = name
    changed.__doc__ = f"``{name[:-1]}``, written into this tensor's memory."
    return changed


OPERATORS = {"__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__ipow__": "pow"}


def derive() -> None:
    """Enter the in-place forms of methods that are in the table by now."""
    for name in IN_PLACE:
        METHODS[name + "_"] = _in_place(name + "_", METHODS[name])
    for name, op in OPERATORS.items():
        METHODS[name] = _in_place(name, METHODS[op])


def _fresh(self: Tensor, array: Any, name: str) -> Tensor:
    return inplace.write(self, wrap(ops.astype(array, self.value.dtype)), name)


@method
def fill_(self: Tensor, value: Any) -> Tensor:
    """One value everywhere."""
    if isinstance(value, Tensor):
        return copy_(self, value)
    return _fresh(self, np.full(self.value.shape, value, self.value.dtype), "fill_")


@method
def zero_(self: Tensor) -> Tensor:
    """Zeros everywhere."""
    return _fresh(self, np.zeros(self.value.shape, self.value.dtype), "zero_")


@method
def uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Random numbers in [a, b), all equally likely."""
    return _fresh(self, a + (b - a) * random.uniform(self.value.shape, self.value.dtype, generator), "uniform_")


@method
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Random numbers of the normal distribution."""
    return _fresh(self, mean + std * random.normal(self.value.shape, self.value.dtype, generator), "normal_")


def _whole_bounds(bounds: tuple[Any, ...], named: dict[str, Any], dtype: Any) -> tuple[int, int]:
    """The half-open range that the arguments of ``random_`` name. Python has taken the word ``from`` for itself."""
    names = ("to",) if len(bounds) == 1 and "to" not in named else ("from", "to")
    given = dict(zip(names, bounds, strict=False)) | named
    bad = len(bounds) > 2 or len(given) != len(bounds) + len(named) or set(given) not in (set(), {"to"}, {"from", "to"})
    low, high = given.get("from", 0), given.get("to")
    unbounded = high is None and (not given or "from" in given)
    if bad or any(isinstance(n, bool) or not hasattr(n, "__index__") for n in ([low] if unbounded else [low, high])):
        written = ", ".join([repr(n) for n in bounds] + [f"{name}={n!r}" for name, n in named.items()])
        wanted = "random_(), random_(to), random_(from, to) or random_(from, None), with whole numbers"
        raise UsageError(
            "random_ draws whole numbers from a range", got=f"random_({written})", wanted=wanted, fix="x.random_(0, 10)", code="E29"
        )
    if unbounded:
        largest = 2 ** (np.finfo(dtype).nmant + 1) if dtype.kind == "f" else 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
        # PyTorch's word for all 64-bit numbers is the least of them.
        high = 2**63 if low == -(2**63) else largest + 1
    low, high = operator.index(low), operator.index(high)  # type: ignore[arg-type]
    if low >= high - (unbounded and dtype.kind == "f"):
        raise UsageError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}",
            got=f"from {low} to {high}",
            wanted="at least one number from 'from' up to, but not with, 'to'",
            fix="x.random_(0, 10)",
            code="E29",
        )
    return low, high


@method
def random_(self: Tensor, *bounds: int | None, generator: Any = None, **named: int | None) -> Tensor:
    """Whole numbers in [from, to), called as ``random_(from, to)``; ``random_(to)`` starts at 0.

    ``random_(from, None)`` goes up to the largest number of an integer dtype, or to 2²⁴ for float32, 2⁵³ for float64, 2¹¹ for float16:
    below these every whole number is held. ``random_()`` does so from 0.

    Raises:
        UsageError: bounds that are no whole numbers, in the wrong order, or beyond what the dtype holds (a float: beyond int64) (E29).
    """
    dtype = self.value.dtype
    limits = np.iinfo(dtype if dtype.kind in "iu" else np.int64)
    least, most = (0, 1) if dtype.kind == "b" else (int(limits.min), int(limits.max))
    if dtype == np.float16:
        least, most = -65504, 65504
    low, high = _whole_bounds(bounds, named, dtype)
    if low < least or high - 1 > most:
        raise UsageError(
            f"random_ would draw numbers that {dtype} does not hold",
            got=f"from {low} to {high}",
            wanted=f"numbers from {least} to {most}",
            fix="x.random_()",
            code="E29",
        )
    return _fresh(self, random.integers(low, high, self.value.shape, generator), "random_")


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


@method
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Take over the values of another tensor, broadcast and cast to fit."""
    src = ops.astype(tensor_of(src), self.value.dtype)
    return inplace.write(self, ops.broadcast_to(src, self.value.shape), "copy_")

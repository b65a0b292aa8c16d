"""What is computed element by element: every record of that family, and what is composed of them.

A composition has no derivative of its own: it is differentiated, traced and compiled as its parts are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, UsageError
from gradus.fused.softmax import log_softmax, softmax
from gradus.primitive import REGISTRY
from gradus.tape import binary_method, unary_method
from gradus.torch_names.indexing import nonzero
from gradus.torch_names.table import FUNCTIONS, METHODS, as_method, both, function, tensor_of, torch_keywords

ALIASES = {
    "add": ("add",), "subtract": ("subtract", "sub"), "multiply": ("multiply", "mul"), "divide": ("divide", "div", "true_divide"),
    "negative": ("negative", "neg"), "abs": ("abs", "absolute"), "equal": ("eq",), "not_equal": ("not_equal", "ne"),
    "less": ("less", "lt"), "less_equal": ("less_equal", "le"), "greater": ("greater", "gt"), "greater_equal": ("greater_equal", "ge"),
    "asin": ("asin", "arcsin"), "acos": ("acos", "arccos"), "atan": ("atan", "arctan"), "atan2": ("atan2", "arctan2"),
    "asinh": ("asinh", "arcsinh"), "acosh": ("acosh", "arccosh"), "atanh": ("atanh", "arctanh"), "trunc": ("trunc", "fix"),
    "sign": ("sign", "sgn"),
    "cumulative_prod": (), "zero_safe_mul": (), "where": (), "clip": (), "astype": (),
}  # fmt: skip


def _install_elementwise() -> None:
    """Functions for all elementwise records; the methods skip the dispatch, since a Tensor is known to be there."""
    for record in list(REGISTRY.values()):
        if record.family != "elementwise":
            continue
        fast = {1: unary_method, 2: binary_method}.get(len(record.inputs))
        quick = fast(record) if fast is not None and not record.params and None not in record.savers else None
        assert record.function is not None
        if quick is not None:
            quick.__name__, quick.__doc__ = record.name, record.function.__doc__
        for name in ALIASES.get(record.name, (record.name,)):
            FUNCTIONS[name] = record.function
            METHODS[name] = quick or as_method(record.function)
    FUNCTIONS["pow"], METHODS["pow"] = ops.pow, as_method(ops.pow)


_install_elementwise()


@both
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other."""
    return ops.add(input, other) if alpha == 1 else ops.add(input, other * alpha)


@both
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input - alpha · other."""
    return ops.subtract(input, other) if alpha == 1 else ops.subtract(input, other * alpha)


FUNCTIONS["subtract"] = METHODS["subtract"] = sub


@both
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; rounded down with ``rounding_mode="floor"``, towards zero with "trunc"."""
    if rounding_mode is None:
        return ops.divide(input, other)
    if rounding_mode == "floor":
        return ops.floor_divide(input, other)
    if rounding_mode != "trunc":
        raise UsageError("div has no such rounding_mode", got=repr(rounding_mode), wanted="None, 'floor' or 'trunc'", code="E29")
    down = ops.floor_divide(input, other)
    if down.dtype.kind == "f":
        return ops.trunc(ops.divide(input, other))
    # Integers of any size, exactly: one more where the quotient is negative and leaves a remainder.
    return down + ops.logical_and(ops.remainder(input, other) != 0, down < 0)


FUNCTIONS["divide"] = METHODS["divide"] = FUNCTIONS["true_divide"] = METHODS["true_divide"] = div


@both
def round(input: Any, *, decimals: int = 0) -> Any:
    """To the nearest whole number, halves to even; or to so many decimals."""
    return ops.round(input) if not decimals else ops.round(input * 10.0**decimals) / 10.0**decimals


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
        return nonzero(tensor_of(condition), as_tuple=True)
    if not (hasattr(input, "dtype") or hasattr(other, "dtype")):
        input = tensor_of(input)  # two Python numbers
    return ops.where(_mask(condition, "where"), input, other)


def _where(self: Any, condition: Any, other: Any) -> Any:
    """This tensor where the condition holds, else ``other``."""
    return where(condition, self, other)


METHODS["where"] = _where


def _mask(condition: Any, name: str) -> Any:
    condition = tensor_of(condition)
    if condition.dtype.kind != "b":
        raise DTypeError(
            f"{name} expected a boolean condition", got=f"dtype {condition.dtype}", wanted="bool", fix="condition != 0", code="E14"
        )
    return condition


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
    return ops.astype(ops.where(_mask(mask, "masked_fill"), value, input), input.dtype)


FUNCTIONS["clip"] = METHODS["clip"] = clamp
FUNCTIONS["log_softmax"] = METHODS["log_softmax"] = torch_keywords(log_softmax)
FUNCTIONS["softmax"] = METHODS["softmax"] = torch_keywords(softmax)


def as_fractions(input: Any) -> Any:
    """As PyTorch computes with it where the result is no whole number: integers and booleans become the default float."""
    return input if input.dtype.kind == "f" else input.float()


def _beside(other: Any, x: Any) -> Any:
    """``x`` as a tensor; a number takes the dtype of the floating tensor that it meets."""
    number = not hasattr(x, "dtype") and hasattr(other, "dtype") and other.dtype.kind == "f"
    return ops.astype(tensor_of(x), other.dtype) if number else tensor_of(x)


@both
def positive(input: Any) -> Any:
    """The tensor itself."""
    if input.dtype.kind == "b":
        raise DTypeError("positive takes numbers", got="bool", wanted="a number dtype", fix="x.int()", code="E14")
    return input


@both
def bitwise_not(input: Any) -> Any:
    """Every bit turned; of booleans, the opposite."""
    if input.dtype.kind == "f":
        raise DTypeError("bitwise_not takes whole numbers", got=str(input.dtype), wanted="integers or bool", fix="x.long()", code="E14")
    if input.dtype.kind == "b":
        return ops.logical_not(input)
    return ops.bitwise_xor(input, -1 if input.dtype.kind == "i" else np.iinfo(input.dtype).max)


@both
def frac(input: Any) -> Any:
    """What is behind the point: x - trunc(x)."""
    return input - ops.trunc(input)


@both
def fmod(input: Any, other: Any) -> Any:
    """What remains of input / other rounded towards zero; it has the sign of ``input``.

    >>> import gradus
    >>> gradus.tensor([5.0, -5.0]).fmod(3)
    tensor([ 2., -2.])
    """
    other = _beside(input, other)
    size = ops.remainder(ops.abs(input), ops.abs(other))
    return ops.where(input < 0, -size, size)


@both
def deg2rad(input: Any) -> Any:
    """Degrees as radians: x · π / 180."""
    return as_fractions(input) * (math.pi / 180.0)


@both
def rad2deg(input: Any) -> Any:
    """Radians as degrees: x · 180 / π."""
    return as_fractions(input) * (180.0 / math.pi)


@both
def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), the inverse of the sigmoid, with x limited to [eps, 1 - eps].

    >>> import gradus
    >>> gradus.tensor([0.5, 0.9]).logit()
    tensor([0.0000, 2.1972])
    """
    x = as_fractions(input)
    x = x if eps is None else ops.clip(x, low=eps, high=1.0 - eps)
    return ops.log(x / (1.0 - x))


@both
def sinc(input: Any) -> Any:
    """sin(πx) / (πx), and 1 at 0."""
    x = as_fractions(input) * math.pi
    origin = ops.equal(x, 0.0)
    return ops.where(origin, 1.0, ops.sin(x) / ops.where(origin, 1.0, x))


@both
def xlogy(input: Any, other: Any) -> Any:
    """x · log(y), and 0 where x is 0."""
    x, y = _beside(other, input), _beside(input, other)
    nothing = ops.logical_and(ops.equal(x, 0), ops.logical_not(ops.isnan(y)))
    return ops.where(nothing, 0.0, x * ops.log(ops.where(nothing, 1, y)))


@both
def logaddexp2(input: Any, other: Any) -> Any:
    """log₂(2ᵃ + 2ᵇ) without overflow."""
    return ops.logaddexp(input * math.log(2.0), other * math.log(2.0)) * (1.0 / math.log(2.0))


@both
def float_power(input: Any, exponent: Any) -> Any:
    """A power, computed in float64."""
    base, raised = [x.double() if hasattr(x, "double") else x for x in (input, exponent)]
    return ops.pow(base, raised)


@both
def heaviside(input: Any, values: Any) -> Any:
    """0 below zero, 1 above, ``values`` at zero.

    >>> import gradus
    >>> gradus.tensor([-2.0, 0.0, 2.0]).heaviside(gradus.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    step = ops.astype(input > 0, input.dtype)
    return ops.where(ops.equal(input, 0), values, step)


@both
def signbit(input: Any) -> Any:
    """Whether the sign is minus, as it is for -0.0."""
    if input.dtype.kind != "f":
        return ops.less(input, 0)
    origin = ops.equal(input, 0)  # where only the reciprocal, one of two infinities, tells
    return ops.less(ops.where(origin, ops.reciprocal(ops.where(origin, input, 1.0)), input), 0)


@both
def copysign(input: Any, other: Any) -> Any:
    """The size of ``input`` with the sign of ``other``."""
    x, y = as_fractions(tensor_of(input)), tensor_of(other)
    size = ops.abs(x)
    return ops.where(signbit(y), -size, size)


@both
def fmax(input: Any, other: Any) -> Any:
    """The larger one; a number beside NaN is the larger one."""
    return ops.where(ops.isnan(input), other, ops.where(ops.isnan(other), input, ops.maximum(input, other)))


@both
def fmin(input: Any, other: Any) -> Any:
    """The smaller one; a number beside NaN is the smaller one."""
    return ops.where(ops.isnan(input), other, ops.where(ops.isnan(other), input, ops.minimum(input, other)))


@both
def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Numbers in place of NaN and infinities: 0, and the largest and smallest of the dtype, unless told otherwise."""
    if input.dtype.kind != "f":
        return input.clone()
    largest = float(np.finfo(input.dtype).max)
    y = ops.where(ops.isnan(input), 0.0 if nan is None else nan, input)
    y = ops.where(ops.equal(input, math.inf), largest if posinf is None else posinf, y)
    return ops.where(ops.equal(input, -math.inf), -largest if neginf is None else neginf, y)


@both
def isposinf(input: Any) -> Any:
    """Where it is plus infinity."""
    return ops.equal(input, math.inf) if input.dtype.kind == "f" else ops.equal(input, input + 1)


@both
def isneginf(input: Any) -> Any:
    """Where it is minus infinity."""
    return ops.equal(input, -math.inf) if input.dtype.kind == "f" else ops.equal(input, input + 1)

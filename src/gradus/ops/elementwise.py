"""Elementwise ops: the value at a place depends on the inputs at that place alone.

One line an op: name, then the gradient of each input for the cotangent ``g``. Un-broadcasting and the cast back to the input's dtype
happen in the engine. Where a derivative is unbounded, ``zero_safe_mul(g, d)`` keeps a zero cotangent zero (0 times infinity is NaN):
a branch that ``where`` did not take cannot poison the gradient.
"""

from __future__ import annotations

import math
from typing import Any

from gradus.dtypes import get_default_dtype
from gradus.errors import UsageError
from gradus.primitive import BOOL, INTEGER, NONZERO, POSITIVE, REAL, UNIT, Domain, binary, bind, primitive, unary

ABOVE_ONE = Domain(1.2, 3.0)
AROUND_ZERO = Domain(-3.0, 3.0, avoid=(0.0,), gap=0.1)
BETWEEN_INTEGERS = Domain(-2.9, 2.9, avoid=(-2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5), gap=0.08)

# Arithmetic.
add = binary("add", lambda xp, g: g, lambda xp, g: g)
subtract = binary("subtract", lambda xp, g: g, lambda xp, g: -g)
multiply = binary("multiply", lambda xp, g, b: g * b, lambda xp, g, a: g * a)
divide = binary(
    "divide",
    lambda xp, g, b: xp.zero_safe_mul(g, _inverse(b)),
    # From the inputs and not from y, so that y may be written to in place.
    lambda xp, g, a, b: xp.zero_safe_mul(g, -(a / b) / b),
    domains=(REAL, NONZERO),
    dtype_rule="floating",
)
zero_safe_mul = binary(
    "zero_safe_mul",
    lambda xp, g, b: xp.zero_safe_mul(g, b),
    lambda xp, g, a: g * a,
    doc="``a * b`` that is 0 wherever a is 0, even where b is infinite or NaN; it differentiates like a product.",
)
floor_divide = binary(
    "floor_divide", None, None, lambda xp, a, b: _whole(xp, xp.floor_divide(a, b), b), domains=(BETWEEN_INTEGERS, NONZERO)
)
remainder = binary(
    "remainder",
    lambda xp, g: g,
    lambda xp, g, a, b: -g * xp.floor(a / b),
    lambda xp, a, b: _whole(xp, xp.remainder(a, b), b),
    domains=(BETWEEN_INTEGERS, Domain(3.1, 4)),
)
maximum = binary(
    "maximum",
    lambda xp, g, a, b: g * _wins(xp, a, b, g.dtype),
    lambda xp, g, a, b: g * _wins(xp, b, a, g.dtype),
    doc="The larger; a tie shares g.",
)
minimum = binary(
    "minimum",
    lambda xp, g, a, b: g * _wins(xp, b, a, g.dtype),
    lambda xp, g, a, b: g * _wins(xp, a, b, g.dtype),
    doc="The smaller; a tie shares g.",
)
atan2 = binary(
    "atan2",
    lambda xp, g, a, b: xp.zero_safe_mul(b, g / (a * a + b * b)),
    lambda xp, g, a, b: xp.zero_safe_mul(-a, g / (a * a + b * b)),
    domains=(NONZERO, NONZERO),
    dtype_rule="floating",
)
hypot = binary(
    "hypot",
    lambda xp, g, a, y: xp.zero_safe_mul(a, g / y),
    lambda xp, g, b, y: xp.zero_safe_mul(b, g / y),
    domains=(NONZERO, NONZERO),
    dtype_rule="floating",
)
logaddexp = binary(
    "logaddexp",
    lambda xp, g, a, b: g * xp.sigmoid(a - b),
    lambda xp, g, a, b: g * xp.sigmoid(b - a),
    dtype_rule="floating",
    doc="log(exp(a) + exp(b)), stable.",
)
negative = unary("negative", lambda xp, g: -g, dtype_rule="promote")
abs = unary("abs", lambda xp, g, x: g * xp.sign(x), domain=AROUND_ZERO, dtype_rule="promote")
sign = unary("sign", lambda xp, g: g * 0.0, domain=AROUND_ZERO, dtype_rule="promote")
square = unary("square", lambda xp, g, x: g * (2.0 * x), dtype_rule="promote")
reciprocal = unary("reciprocal", lambda xp, g, y: -xp.zero_safe_mul(g, y * y), domain=NONZERO)
sqrt = unary("sqrt", lambda xp, g, y: xp.zero_safe_mul(g, 0.5 / y), domain=POSITIVE)
rsqrt = unary(
    "rsqrt", lambda xp, g, y: xp.zero_safe_mul(g, -0.5 * y * y * y), lambda xp, x: 1.0 / xp.sqrt(x), domain=POSITIVE, doc="1 / sqrt(x)."
)

# Exponentials and logarithms.
exp = unary("exp", lambda xp, g, y: g * y)
exp2 = unary("exp2", lambda xp, g, y: g * (math.log(2.0) * y), lambda xp, x: xp.exp(math.log(2.0) * x), doc="2 ** x.")
expm1 = unary("expm1", lambda xp, g, y: g * (y + 1.0))
log = unary("log", lambda xp, g, x: xp.zero_safe_mul(g, 1.0 / x), domain=POSITIVE)
log2 = unary("log2", lambda xp, g, x: xp.zero_safe_mul(g, 1.0 / (math.log(2.0) * x)), domain=POSITIVE)
log10 = unary("log10", lambda xp, g, x: xp.zero_safe_mul(g, 1.0 / (math.log(10.0) * x)), domain=POSITIVE)
log1p = unary("log1p", lambda xp, g, x: xp.zero_safe_mul(g, 1.0 / (1.0 + x)), domain=POSITIVE)

# Trigonometric and hyperbolic functions.
sin = unary("sin", lambda xp, g, x: g * xp.cos(x))
cos = unary("cos", lambda xp, g, x: -g * xp.sin(x))
tan = unary("tan", lambda xp, g, y: g * (1.0 + y * y), domain=Domain(-1.2, 1.2))
asin = unary("asin", lambda xp, g, x: xp.zero_safe_mul(g, xp.rsqrt(1.0 - x * x)), domain=UNIT)
acos = unary("acos", lambda xp, g, x: -xp.zero_safe_mul(g, xp.rsqrt(1.0 - x * x)), domain=UNIT)
atan = unary("atan", lambda xp, g, x: g / (1.0 + x * x))
sinh = unary("sinh", lambda xp, g, x: g * xp.cosh(x))
cosh = unary("cosh", lambda xp, g, x: g * xp.sinh(x))
tanh = unary("tanh", lambda xp, g, y: g * (1.0 - y * y))
asinh = unary("asinh", lambda xp, g, x: g * xp.rsqrt(x * x + 1.0))
acosh = unary("acosh", lambda xp, g, x: xp.zero_safe_mul(g, xp.rsqrt(x * x - 1.0)), domain=ABOVE_ONE)
atanh = unary("atanh", lambda xp, g, x: xp.zero_safe_mul(g, 1.0 / (1.0 - x * x)), domain=UNIT)

# What networks need.
erf = unary("erf", lambda xp, g, x: g * (2.0 / math.sqrt(math.pi) * xp.exp(-x * x)))
sigmoid = unary("sigmoid", lambda xp, g, y: g * (y * (1.0 - y)), lambda xp, x: _sigmoid(xp, x), doc="1 / (1 + exp(-x)), without overflow.")
softplus = unary(
    "softplus", lambda xp, g, x: g * xp.sigmoid(x), lambda xp, x: xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x))), doc="log(1 + exp(x))."
)
relu = unary(
    "relu",
    lambda xp, g, y: g * xp.astype(y > 0, g.dtype),
    lambda xp, x: xp.maximum(x, 0),
    domain=AROUND_ZERO,
    dtype_rule="promote",
    doc="max(x, 0); relu'(0) = 0.",
)

stop_gradient = unary(
    "stop_gradient", None, lambda xp, x: x, dtype_rule="free", doc="``x`` itself, for every kind of derivative a constant."
)

# Steps: the derivative is zero.
floor = unary("floor", lambda xp, g: g * 0.0, domain=BETWEEN_INTEGERS, dtype_rule="promote")
ceil = unary("ceil", lambda xp, g: g * 0.0, domain=BETWEEN_INTEGERS, dtype_rule="promote")
round = unary("round", lambda xp, g: g * 0.0, domain=BETWEEN_INTEGERS, dtype_rule="promote")
trunc = unary("trunc", lambda xp, g: g * 0.0, domain=BETWEEN_INTEGERS, dtype_rule="promote")

# Comparison, logic, bits: no derivative.
equal = binary("equal", None, None, dtype_rule="free")
not_equal = binary("not_equal", None, None, dtype_rule="free")
less = binary("less", None, None, dtype_rule="free")
less_equal = binary("less_equal", None, None, dtype_rule="free")
greater = binary("greater", None, None, dtype_rule="free")
greater_equal = binary("greater_equal", None, None, dtype_rule="free")
logical_and = binary("logical_and", None, None, domains=(BOOL, BOOL), dtype_rule="free")
logical_or = binary("logical_or", None, None, domains=(BOOL, BOOL), dtype_rule="free")
logical_xor = binary("logical_xor", None, None, domains=(BOOL, BOOL), dtype_rule="free")
bitwise_and = binary("bitwise_and", None, None, domains=(INTEGER, INTEGER))
bitwise_or = binary("bitwise_or", None, None, domains=(INTEGER, INTEGER))
bitwise_xor = binary("bitwise_xor", None, None, domains=(INTEGER, INTEGER))
logical_not = unary("logical_not", None, domain=BOOL, dtype_rule="free")
isnan = unary("isnan", None, dtype_rule="free")
isinf = unary("isinf", None, dtype_rule="free")
isfinite = unary("isfinite", None, dtype_rule="free")


def _inverse(b: Any) -> Any:
    """1 / b, also of Python's own 0, by which Python will not divide."""
    return 1.0 / b if type(b) not in (int, float) or b else math.copysign(math.inf, b)


def _whole(xp: Any, y: Any, b: Any) -> Any:
    """``y``, a result of dividing by ``b``: NumPy's 0 for whole numbers divided by 0 is refused, since they have no infinity."""
    if y.dtype.kind in "iu" and not xp.all(b):
        raise UsageError("whole numbers cannot be divided by 0", got="a divisor of 0", wanted="divisors other than 0", fix="x.float() // y")
    return y


def _wins(xp: Any, a: Any, b: Any, dtype: Any) -> Any:
    """1 where a > b, 0.5 at a tie, 0 elsewhere."""
    return 0.5 * (xp.astype(a >= b, dtype) + xp.astype(a > b, dtype))


def _sigmoid(xp: Any, x: Any) -> Any:
    # exp of a negative number only: never overflows, and keeps the relative precision of tiny results.
    e = xp.exp(xp.abs(x) * -1.0)  # a product, since booleans have no negative
    return xp.maximum(e, xp.astype(x >= 0, e.dtype)) / (1.0 + e)


_pow = binary(
    "pow",
    # The exponent b - 1, but 0 where b is 0, so that the derivative of x ** 0 is 0 at x = 0 too.
    lambda xp, g, a, b: xp.zero_safe_mul(g, b * a ** (b - (b != 0))),
    # 0 ** b is 0 for every b > 0, and 0 ** 0 is counted with them.
    # The log of a Python number stays one: NumPy's float64 would be computed with in float64.
    lambda xp, g, a, b, y: xp.zero_safe_mul(
        g * y * xp.astype(xp.logical_or(a != 0, b < 0), g.dtype), float(xp.log(a)) if type(a) in (int, float) else xp.log(a)
    ),
    lambda xp, a, b: a**b,
    domains=(POSITIVE, REAL),
)


def pow(a: Any, b: Any, /) -> Any:
    """``a ** b``; the small constant powers run as products and roots (5 to 20 times faster in NumPy)."""
    if type(b) in (int, float) and hasattr(a, "dtype") and a.dtype.kind == "f":
        if b == 2:
            return square(a)
        if b == 3:
            return a * a * a
        if b == 0.5:
            return sqrt(a)
        if b == 1:
            return multiply(a, 1)
    return _pow(a, b)


pow.record = _pow.record  # type: ignore[attr-defined]
pow.record.function = pow  # type: ignore[attr-defined]


@primitive(
    "where",
    lambda xp, condition, a, b: xp.where(condition, a, b),
    (None, lambda xp, g, condition: xp.where(condition, g, 0.0), lambda xp, g, condition: xp.where(condition, 0.0, g)),
    family="elementwise",
    forward_mode="diagonal",
    dtype_rule="promote",
    meeting=(1, 2),
    samples=lambda draw: [((draw.bool(3, 4), draw(3, 4), draw(4)), {}), ((draw.bool(3, 1), draw(4), draw(3, 4)), {})],
)
def where(record: Any, condition: Any, a: Any, b: Any, /) -> Any:
    """``a`` where the condition holds, else ``b``; the gradient reaches only the branch taken."""
    return bind(record, (condition, a, b))


def _inside(xp: Any, x: Any, low: Any, high: Any, dtype: Any) -> Any:
    if low is None:
        return xp.astype(x <= high, dtype)
    if high is None:
        return xp.astype(x >= low, dtype)
    return xp.astype(x >= low, dtype) * xp.astype(x <= high, dtype)


def _clip(xp: Any, x: Any, *, low: Any, high: Any) -> Any:
    x = x if low is None else xp.maximum(x, low)
    return x if high is None else xp.minimum(x, high)


@primitive(
    "clip",
    _clip,
    (lambda xp, g, x, low, high: g * _inside(xp, x, low, high, g.dtype),),
    family="elementwise",
    forward_mode="diagonal",
    dtype_rule="promote",
    domains=(Domain(-3, 3, avoid=(-1, 1.5), gap=0.1),),
    samples=lambda draw: [((draw(3, 4),), {"low": -1.0, "high": 1.5}), ((draw(5),), {"low": -1.0}), ((draw(5),), {"high": 1.5})],
)
def clip(record: Any, x: Any, /, low: Any = None, high: Any = None) -> Any:
    """``x`` limited to [low, high]; at a bound the derivative is 1, as in PyTorch. Bounds that are arrays broadcast and get gradients."""
    if low is None and high is None:
        raise ValueError("clip needs low, high or both")
    if hasattr(low, "shape") or hasattr(high, "shape"):
        # A tie belongs to x, and a bound that is NaN gives NaN.
        x = x if low is None else where(logical_or(x < low, isnan(low)), low, x)
        return x if high is None else where(logical_or(x > high, isnan(high)), high, x)
    if x.dtype.kind != "f" and float in (type(low), type(high)):
        x = astype(x, get_default_dtype())
    return bind(record, (x,), {"low": low, "high": high})


@primitive(
    "astype",
    lambda xp, x, *, dtype: xp.astype(x, dtype),
    (lambda xp, g: g,),
    family="elementwise",
    forward_mode="linear",
    samples=lambda draw: [((draw(3, 4),), {"dtype": "float64"}), ((draw(3),), {"dtype": "int64"})],
    view=True,
)
def astype(record: Any, x: Any, /, dtype: Any) -> Any:
    """``x`` in another dtype; the gradient comes back in the dtype of ``x``."""
    return bind(record, (x,), {"dtype": dtype})

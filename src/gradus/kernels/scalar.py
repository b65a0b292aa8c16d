"""Element-wise functions that LLVM turns into vector instructions, for float32 and float64.

Numba's own ``exp``, ``tanh``, ``log``, ``sin`` … call the C library once for each element. These are written without a branch, in plain
arithmetic, and they are inlined: a loop over an array that calls them runs on 8 or 16 elements at a time.

    from gradus.kernels import scalar

    @numba.njit(error_model="numpy")
    def softplus(x, out):
        for i in range(x.size):
            out[i] = scalar.log1p(scalar.exp(x[i]))

The loop needs ``error_model="numpy"`` and no fastmath; with fastmath, infinities and NaN go wrong. Each function is right for ±0, ±inf,
NaN, denormals and overflow. The numbers in each docstring are the largest errors found, in units in the last place: on every seventh
of all float32 patterns, on 10⁷ random float64 (erf: 20,000); ``benchmarks/scalar_functions.py`` measures them. Where the processor has no
fused multiply-add, the last bit may differ, within the same bounds for float32. In float64, sine and cosine take a branch, for the C
library, where x is beyond ±2^20, so they stay scalar code. ``pow`` is left to the C library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload

from gradus.kernels.coefficients import DOUBLE, QUARTER_PARTS, SINGLE, TURN_PARTS
from gradus.kernels.instructions import (
    bit,
    choose,
    exponent,
    magnitude,
    multiply_add,
    nearest,
    polynomial,
    power_of_low_bits,
    power_of_two,
    rounding,
    significand,
    with_sign_of,
)

Function = Callable[[Any], Any]

OPTIONS = {"error_model": "numpy", "forceinline": True}
inlined = numba.njit(**OPTIONS)


def _both(make: Callable[[SimpleNamespace], Function]) -> dict[Any, Function]:
    """One formula, compiled for each precision with its numbers."""
    return {types.float32: inlined(make(SINGLE)), types.float64: inlined(make(DOUBLE))}


def _by_type(name: str, compiled: dict[Any, Function], text: str) -> Function:
    """The function that compiled code calls by name, whatever the precision of its argument."""

    def function(x: Any) -> Any:
        raise NotImplementedError(f"gradus.kernels.scalar.{name} is for compiled code")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = text

    @overload(function, jit_options=OPTIONS)
    def choice(x):  # Numba compares the parameters of both, annotations included
        body = compiled.get(x)
        return None if body is None else lambda x: body(x)

    return function


def _reduction(c: SimpleNamespace) -> Callable[[Any], tuple[Any, Any, Any]]:
    """x = k ln 2 + r + lost with |r| <= ln(2) / 2, as (k, r, lost)."""
    log2_e, high, low = c.log2_e, -c.ln2_high, -c.ln2_low

    @inlined
    def reduced(x):
        k = nearest(x * log2_e)
        near = multiply_add(k, high, x)
        r = multiply_add(k, low, near)
        return k, r, multiply_add(k, low, near - r)

    return reduced


def _exp(c: SimpleNamespace) -> Function:
    log2_e, ln2_high, ln2_low, series, zero, one, two = c.log2_e, -c.ln2_high, -c.ln2_low, c.exp, c.zero, c.one, c.two
    low, high, border, drop = c.exp_low, c.exp_high, c.exp_border, c.exp_drop

    def exp(x):
        z = choose(x > high, high, x)  # where the result is inf already
        big = rounding(x)
        total = multiply_add(z, log2_e, big)
        k = total - big
        r = multiply_add(k, ln2_low, multiply_add(k, ln2_high, z))
        power = multiply_add(r * r, polynomial(r, series), r) + one
        tiny = x < border  # there 2^k may be no normal number: a larger power first, then a factor that is small for all
        y = power * power_of_low_bits(total, tiny) * choose(tiny, drop, two)
        return choose(x < low, zero, y)  # at the end: denormal numbers on the way would cost a hundred cycles each

    return exp


def _moderate_exp(c: SimpleNamespace) -> Function:
    """exp for an argument whose result is a normal number."""
    reduced, series, one = _reduction(c), c.exp, c.one

    @inlined
    def moderate_exp(x):
        k, r, _ = reduced(x)
        return (multiply_add(r * r, polynomial(r, series), r) + one) * power_of_two(k)

    return moderate_exp


def _expm1(c: SimpleNamespace) -> Function:
    reduced, series, one, two, half = _reduction(c), c.exp, c.one, c.two, c.half
    low, high, linear = c.expm1_low, c.exp_high, c.linear

    def expm1(x):
        k, r, lost = reduced(choose(x > high, high, choose(x < low, low, x)))
        scale = power_of_two(k - one)  # half of 2^k, which may overflow
        grown = multiply_add(r * r, polynomial(r, series), lost) + r
        return choose(magnitude(x) < linear, x, two * multiply_add(scale, grown, scale - half))

    return expm1


def _log_of_parts(c: SimpleNamespace) -> Callable[[Any, Any, Any], Any]:
    """log(2^e (1 + f)) + rest, for 1 + f in [√½, √2): log(1 + f) = f - f²/2 + s (f²/2 + s² P(s²)) with s = f / (2 + f)."""
    series, two, half, ln2_high, ln2_low = c.log, c.two, c.half, c.ln2_high, c.ln2_low

    @inlined
    def log_of_parts(e, f, rest):
        s = f / (two + f)
        z = s * s
        square = half * f * f
        small = multiply_add(s, multiply_add(z, polynomial(z, series), square), multiply_add(e, ln2_low, rest))
        return multiply_add(e, ln2_high, f - (square - small))

    return log_of_parts


def _log(c: SimpleNamespace) -> Function:
    log_of_parts, zero, one, inf, nan = _log_of_parts(c), c.zero, c.one, c.inf, c.nan
    least, lift, lift_exponent = c.least_normal, c.lift, c.lift_exponent

    def log(x):
        denormal = x < least
        z = choose(denormal, x * lift, x)
        e = exponent(z) - choose(denormal, lift_exponent, zero)
        y = log_of_parts(e, significand(z) - one, zero)
        y = choose(x < inf, y, x)
        return choose(x < zero, nan, choose(x == zero, -inf, y))

    return log


def _log1p(c: SimpleNamespace) -> Function:
    log_of_parts, zero, one, inf, nan = _log_of_parts(c), c.zero, c.one, c.inf, c.nan

    def log1p(x):
        u = one + x
        taken = u - one
        lost = (one - (u - taken)) + (x - taken)  # u + lost is 1 + x exactly
        y = log_of_parts(exponent(u), significand(u) - one, lost / u)
        y = choose(x < inf, choose(x == zero, x, y), x)
        return choose(x < -one, nan, choose(x == -one, -inf, y))

    return log1p


def _sigmoid(c: SimpleNamespace) -> Function:
    exp, zero, one, half, centre = inlined(_exp(c)), c.zero, c.one, c.half, c.number(1.457)

    def sigmoid(x):
        e = exp(-magnitude(x))
        total = one + e
        lost = (one - total) + e
        y = choose(x >= zero, one, e) / total
        inverse = multiply_add(total, -half, centre)  # 1 / total to 5 %, enough for what half a unit in the last place makes
        return multiply_add(y * lost, -inverse, y)

    return sigmoid


def _tanh(c: SimpleNamespace) -> Function:
    exp, series, border, top, one, two = _moderate_exp(c), c.tanh, c.tanh_border, c.tanh_top, c.one, c.two

    def tanh(x):
        size = magnitude(x)
        z = x * x
        near = multiply_add(x * z, polynomial(z, series), x)
        far = one - two / (exp(two * choose(size > top, top, size)) + one)
        return with_sign_of(choose(size < border, near, far), x)

    return tanh


def _erf(c: SimpleNamespace) -> Function:
    exp, centre, tail, top, one, four = _moderate_exp(c), c.erf, c.erfc, c.erf_top, c.one, c.four

    def erf(x):
        size = magnitude(x)
        near = multiply_add(x, polynomial(x * x, centre), x)
        z = choose(size > top, top, size)
        far = one - exp(-z * z) * polynomial((z - four) / (z + four), tail)
        return with_sign_of(choose(size < one, near, far), x)

    return erf


def _waves(c: SimpleNamespace) -> Callable[[Any, Any], Any]:
    """sin(n π/2 + r) for |r| <= π/4 and an integral n."""
    sine, cosine, half, one = c.sin, c.cos, c.half, c.one

    @inlined
    def wave(n, r):
        z = r * r
        s = multiply_add(r * z, polynomial(z, sine), r)
        k = multiply_add(z * z, polynomial(z, cosine), multiply_add(z, -half, one))
        y = choose(bit(n, 0), k, s)
        return choose(bit(n, 1), -y, y)

    return wave


@inlined
def _quarter_turns(x):
    """A float32 x = n π/2 + r as (n modulo 4, r), for every finite x: exact products with parts of 1/2π, their whole turns dropped."""
    z = np.float64(x)
    a, b, c, d, e, f, g = TURN_PARTS
    a, b, c, d = z * a, z * b, z * c, z * d
    e, f, g = z * e, z * f, z * g
    a, b, c, d = a - nearest(a), b - nearest(b), c - nearest(c), d - nearest(d)
    e, f, g = e - nearest(e), f - nearest(f), g - nearest(g)
    n = nearest(4.0 * (a + (b + (c + (d + (e + (f + g)))))))
    r = (((((((a - 0.25 * n) + b) + c) + d) + e) + f) + g) * TURN
    return np.float32(n), np.float32(r)


TURN = 2 * math.pi
_wave32, _wave64 = _waves(SINGLE), _waves(DOUBLE)
_ONE32 = np.float32(1)
_ZERO32 = np.float32(0)


@inlined
def _sin32(x):
    n, r = _quarter_turns(x)
    return choose(x == _ZERO32, x, _wave32(n, r))


@inlined
def _cos32(x):
    n, r = _quarter_turns(x)
    return _wave32(n + _ONE32, r)


# The C library, for what is rare. Through `math` the call would be one of LLVM's own functions, which it computes for every element.
_c_sine = types.ExternalFunction("sin", types.float64(types.float64))
_c_cosine = types.ExternalFunction("cos", types.float64(types.float64))

BIG = 2.0**20  # to here the first three parts of π/2 have exact products with the number of quarter turns


@inlined
def _small_quarter_turns(x):
    """A float64 x = n π/2 + r as (n, r), for |x| <= 2^20 (after Cody and Waite)."""
    a, b, c, d = QUARTER_PARTS
    n = nearest(x * (2 / math.pi))
    exact = x - n * a
    near = exact - n * b
    lost = (exact - near) - n * b
    nearer = near - n * c
    lost += (near - nearer) - n * c
    return n, nearer + (lost - n * d)


@inlined
def _sin64(x):
    if not magnitude(x) <= BIG:
        return _c_sine(x)
    n, r = _small_quarter_turns(x)
    return choose(x == 0.0, x, _wave64(n, r))


@inlined
def _cos64(x):
    if not magnitude(x) <= BIG:
        return _c_cosine(x)
    n, r = _small_quarter_turns(x)
    return _wave64(n + 1.0, r)


exp = _by_type("exp", _both(_exp), "e^x: 0.99 ulp in float32, 0.98 in float64.")
expm1 = _by_type("expm1", _both(_expm1), "e^x - 1: 1.49 ulp in float32, 1.54 in float64.")
log = _by_type("log", _both(_log), "The natural logarithm: 0.82 ulp in float32, 0.79 in float64.")
log1p = _by_type("log1p", _both(_log1p), "log(1 + x): 0.82 ulp in float32, 0.81 in float64.")
sigmoid = _by_type("sigmoid", _both(_sigmoid), "1 / (1 + e^-x): 1.96 ulp in float32, 1.96 in float64.")
tanh = _by_type("tanh", _both(_tanh), "The hyperbolic tangent: 1.32 ulp in float32, 1.32 in float64.")
erf = _by_type("erf", _both(_erf), "The error function: 1.33 ulp in float32, 1.10 in float64.")
sin = _by_type("sin", {types.float32: _sin32, types.float64: _sin64}, "The sine of x in radians: 1.57 ulp in float32, 1.54 in float64.")
cos = _by_type("cos", {types.float32: _cos32, types.float64: _cos64}, "The cosine of x in radians: 1.57 ulp in float32, 1.56 in float64.")

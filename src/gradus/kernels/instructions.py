"""Single machine instructions that Numba has no name for, for float32 and float64 alike.

They work on the bits of a number or choose without a branch, so LLVM turns a loop over an array that calls them into vector
instructions. Integers stay inside: Numba widens every integer sum to 64 bits, and half of the vector lanes would be lost.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

SIGNIFICAND = {types.float32: 23, types.float64: 52}  # stored bits of the significand
ROUNDING = {types.float32: 1.5 * 2**23, types.float64: 1.5 * 2**52}  # added to x, it leaves the nearest integer to x in the low bits


def integer(value_type: ir.Type) -> ir.IntType:
    """The LLVM integer that is as wide as a float type."""
    return ir.IntType(32 if isinstance(value_type, ir.FloatType) else 64)


def named_instruction(name: str, builder: Any, *arguments: Any) -> Any:
    """A call of LLVM's own function ``llvm.<name>``, all of whose arguments and result are of one type."""
    kind = arguments[0].type
    function = builder.module.declare_intrinsic(f"llvm.{name}", [kind], ir.FunctionType(kind, [kind] * len(arguments)))
    return builder.call(function, arguments)


@intrinsic
def multiply_add(typing_context, a, b, c):
    """``a * b + c``, rounded once where the processor can."""
    return a(a, a, a), lambda context, builder, signature, values: named_instruction("fmuladd", builder, *values)


@intrinsic
def nearest(typing_context, x):
    """The integer nearest to x, the even one of two."""
    return x(x), lambda context, builder, signature, values: named_instruction("rint", builder, *values)


@intrinsic
def magnitude(typing_context, x):
    """``|x|``."""
    return x(x), lambda context, builder, signature, values: named_instruction("fabs", builder, *values)


@intrinsic
def with_sign_of(typing_context, x, other):
    """``|x|`` with the sign of ``other``."""
    return x(x, x), lambda context, builder, signature, values: named_instruction("copysign", builder, *values)


@intrinsic
def choose(typing_context, condition, yes, no):
    """``yes if condition else no``; both are there already, so nothing branches."""

    def emit(context, builder, signature, values):
        return builder.select(values[0], values[1], values[2])

    return yes(types.boolean, yes, yes), emit


@intrinsic
def polynomial(typing_context, x, coefficients):
    """c0 + c1·x + c2·x² + … by Horner's scheme, unrolled; ``coefficients`` is a tuple of numbers of x's type."""

    def emit(context, builder, signature, values):
        point, table = values
        parts = [builder.extract_value(table, position) for position in range(signature.args[1].count)]
        total = parts.pop()
        while parts:
            total = named_instruction("fmuladd", builder, total, point, parts.pop())
        return total

    return x(x, types.UniTuple(x, coefficients.count)), emit


@intrinsic
def power_of_two(typing_context, k):
    """2^k for an integral k for which 2^k is a normal number; any number for another k."""
    bits, bias = SIGNIFICAND[k], ROUNDING[k] + (127 if k == types.float32 else 1023)

    def emit(context, builder, signature, values):
        kind = values[0].type
        biased = builder.bitcast(builder.fadd(values[0], ir.Constant(kind, bias)), integer(kind))
        return builder.bitcast(builder.shl(biased, ir.Constant(biased.type, bits)), kind)

    return k(k), emit


@intrinsic
def rounding(typing_context, x):
    """A number of x's type: added to a smaller one, it leaves the nearest integer in the low bits of the sum."""
    number = ROUNDING[x]
    return x(x), lambda context, builder, signature, values: ir.Constant(values[0].type, number)


@intrinsic
def power_of_low_bits(typing_context, total, lifted):
    """2^(k - 1) for total = k + rounding, as :func:`rounding` makes it; 2^(k + 63) where ``lifted``."""
    bias = 126 if total == types.float32 else 1022

    def emit(context, builder, signature, values):
        kind = values[0].type
        whole = integer(kind)
        bits = builder.bitcast(values[0], whole)
        shift = builder.select(values[1], ir.Constant(whole, bias + 64), ir.Constant(whole, bias))
        return builder.bitcast(builder.shl(builder.add(bits, shift), ir.Constant(whole, SIGNIFICAND[signature.args[0]])), kind)

    return total(total, lifted), emit


def _exponent_bits(builder: Any, value: Any) -> Any:
    """The integer e for which ``value`` / 2^e lies in [√½, √2); ``value`` is positive, finite and normal."""
    single = value.type == ir.FloatType()
    whole = integer(value.type)
    root = ir.Constant(whole, 0x3F3504F3 if single else 0x3FE6A09E667F3BCD)  # √½
    return builder.ashr(builder.sub(builder.bitcast(value, whole), root), ir.Constant(whole, 23 if single else 52))


@intrinsic
def exponent(typing_context, x):
    """The integer e, as a float, for which x / 2^e lies in [√½, √2); x is positive, finite and normal."""
    big = ROUNDING[x]

    def emit(context, builder, signature, values):
        kind = values[0].type
        e = _exponent_bits(builder, values[0])
        if kind == ir.FloatType():
            return builder.sitofp(e, kind)
        # few processors convert 64-bit integers: a sum with a big number does it
        shift = ir.Constant(kind, big)
        return builder.fsub(builder.bitcast(builder.add(e, builder.bitcast(shift, e.type)), kind), shift)

    return x(x), emit


@intrinsic
def significand(typing_context, x):
    """x / 2^e in [√½, √2), with the e of :func:`exponent`."""
    bits = SIGNIFICAND[x]

    def emit(context, builder, signature, values):
        e = _exponent_bits(builder, values[0])
        scaled = builder.sub(builder.bitcast(values[0], e.type), builder.shl(e, ir.Constant(e.type, bits)))
        return builder.bitcast(scaled, values[0].type)

    return x(x), emit


@intrinsic(prefer_literal=True)
def bit(typing_context, n, position):
    """Whether the bit at ``position`` (a literal) is set in the integral number n, two's complement if n is negative."""
    if not isinstance(position, types.IntegerLiteral):
        return None
    mask, rounding = 1 << position.literal_value, ROUNDING[n]

    def emit(context, builder, signature, values):
        kind = values[0].type
        whole = builder.bitcast(builder.fadd(values[0], ir.Constant(kind, rounding)), integer(kind))
        return builder.icmp_unsigned("!=", builder.and_(whole, ir.Constant(whole.type, mask)), ir.Constant(whole.type, 0))

    return types.boolean(n, position), emit

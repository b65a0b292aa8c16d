"""Numbers side by side in a vector register, for kernels whose loops a compiler does not turn into vector code by itself.

    v = load_where(x, span(0, 14, float32), float32)        # the first 14 numbers at address x, 0 in the other lanes
    total += v * everywhere(weight)
    store(y, total)

A vector has as many lanes as fit into 64 bytes; a processor with shorter registers takes several. Addresses are integers, as everywhere in
:mod:`gradus.kernels`; nothing need be aligned. What a mask leaves out is neither read nor written, so it may lie outside of any array.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

BYTES = 64
WORD = ir.IntType(32)


class Lanes(types.Type):
    """The type of a vector: of floats, or of booleans for a mask, with as many lanes as the floats that it goes with."""

    def __init__(self, element: Any, of: Any) -> None:
        self.element, self.of, self.count = element, of, BYTES // (of.bitwidth // 8)
        super().__init__(f"lanes({element} x {self.count})")


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """A vector is LLVM's vector."""

    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, vector_type(kind))


def vector_type(kind: Lanes) -> ir.VectorType:
    """LLVM's type."""
    element = ir.IntType(1) if kind.element is types.boolean else ir.FloatType() if kind.of is types.float32 else ir.DoubleType()
    return ir.VectorType(element, kind.count)


def lanes_of(dtype: Any) -> Lanes:
    """The type of a vector of ``dtype``, which is given as Numba sees ``float32`` in a kernel."""
    return Lanes(dtype.dtype, dtype.dtype)


# What LLVM is told, for the instructions here and in gradus.kernels.register_tiles.


def zero(whole: ir.VectorType) -> ir.Constant:
    """0 in all lanes."""
    return ir.Constant(whole, [ir.Constant(whole.element, 0.0)] * whole.count)


def width(whole: ir.VectorType) -> int:
    """Bytes of a lane."""
    return 4 if isinstance(whole.element, ir.FloatType) else 8


def places(numbers: Iterable[int]) -> ir.Constant:
    """Lanes by their numbers."""
    numbers = list(numbers)
    return ir.Constant(ir.VectorType(WORD, len(numbers)), numbers)


def named(builder: Any, name: str, whole: ir.VectorType, signature: ir.FunctionType) -> Any:
    """LLVM's own function of a name for a type of vectors."""
    return cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.v{whole.count}f{8 * width(whole)}")


def fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c."""
    return builder.call(named(builder, "fmuladd", a.type, ir.FunctionType(a.type, [a.type] * 3)), [a, b, c])


def masked_load(builder: Any, whole: ir.VectorType, address: Any, mask: Any) -> Any:
    """The numbers at an address, an integer, in the lanes of a mask, 0 in the others."""
    pointer = whole.as_pointer()
    signature = ir.FunctionType(whole, [pointer, WORD, mask.type, whole])
    arguments = [builder.inttoptr(address, pointer), ir.Constant(WORD, width(whole)), mask, zero(whole)]
    return builder.call(named(builder, "masked.load", whole, signature), arguments)


def masked_store(builder: Any, address: Any, mask: Any, value: Any) -> None:
    """Write the lanes of a mask to an address, an integer."""
    whole, pointer = value.type, value.type.as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [whole, pointer, WORD, mask.type])
    arguments = [value, builder.inttoptr(address, pointer), ir.Constant(WORD, width(whole)), mask]
    builder.call(named(builder, "masked.store", whole, signature), arguments)


def spread(builder: Any, value: Any, count: int) -> Any:
    """A vector that holds one number everywhere."""
    whole = ir.VectorType(value.type, count)
    first = builder.insert_element(ir.Constant(whole, ir.Undefined), value, ir.Constant(WORD, 0))
    return builder.shuffle_vector(first, ir.Constant(whole, ir.Undefined), ir.Constant(ir.VectorType(WORD, count), [0] * count))


# Memory.


@intrinsic
def lane_count(typing_context, dtype):
    """How many numbers of a type a vector holds."""
    count = lanes_of(dtype).count
    return types.int64(dtype), lambda context, builder, signature, values: ir.Constant(ir.IntType(64), count)


@intrinsic
def load(typing_context, address, dtype):
    """The numbers at an address."""
    kind = lanes_of(dtype)

    def emit(context, builder, signature, values):
        place = builder.inttoptr(values[0], vector_type(kind).as_pointer())
        return builder.load(place, align=kind.of.bitwidth // 8)

    return kind(types.int64, dtype), emit


@intrinsic
def store(typing_context, address, v):
    """Write all lanes to an address."""

    def emit(context, builder, signature, values):
        place = builder.inttoptr(values[0], values[1].type.as_pointer())
        builder.store(values[1], place, align=v.of.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(types.int64, v), emit


@intrinsic
def span(typing_context, first, last, dtype):
    """The mask of the lanes k with first <= k < last."""
    count = lanes_of(dtype).count
    kind = Lanes(types.boolean, dtype.dtype)

    def emit(context, builder, signature, values):
        numbers = ir.Constant(ir.VectorType(WORD, count), list(range(count)))
        low, high = [spread(builder, builder.trunc(value, WORD), count) for value in values[:2]]
        return builder.and_(builder.icmp_signed(">=", numbers, low), builder.icmp_signed("<", numbers, high))

    return kind(types.int64, types.int64, dtype), emit


@intrinsic
def load_where(typing_context, address, mask, dtype):
    """The numbers at an address in the lanes of a mask, 0 in the others."""
    kind = lanes_of(dtype)

    def emit(context, builder, signature, values):
        return masked_load(builder, vector_type(kind), *values[:2])

    return kind(types.int64, mask, dtype), emit


@intrinsic
def store_where(typing_context, address, mask, v):
    """Write the lanes of a mask."""

    def emit(context, builder, signature, values):
        masked_store(builder, *values)
        return context.get_dummy_value()

    return types.void(types.int64, mask, v), emit


@intrinsic
def fetch_ahead(typing_context, address):
    """Have the line of the cache at an address brought in, without waiting for it. The address may lie outside of any array."""

    def emit(context, builder, signature, values):
        pointer = ir.IntType(8).as_pointer()
        function = ir.FunctionType(ir.VoidType(), [pointer, WORD, WORD, WORD])
        prefetch = cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0")
        numbers = [ir.Constant(WORD, number) for number in (0, 3, 1)]  # to be read, soon, data
        builder.call(prefetch, [builder.inttoptr(values[0], pointer), *numbers])
        return context.get_dummy_value()

    return types.void(types.int64), emit


# Arithmetic.


@intrinsic
def everywhere(typing_context, x):
    """One number in all lanes."""
    kind = Lanes(x, x)
    return kind(x), lambda context, builder, signature, values: spread(builder, values[0], kind.count)


@intrinsic
def zeros(typing_context, dtype):
    """0 in all lanes."""
    kind = lanes_of(dtype)
    return kind(dtype), lambda context, builder, signature, values: zero(vector_type(kind))


@intrinsic
def multiply_add(typing_context, a, b, c):
    """a · b + c, lane by lane, rounded once where the processor can."""
    return a(a, b, c), lambda context, builder, signature, values: fused(builder, *values)


@intrinsic
def largest(typing_context, a, b):
    """The larger of a and b, lane by lane; NaN if one of them is."""

    def emit(context, builder, signature, values):
        a, b = values
        ordered = builder.select(builder.fcmp_ordered(">", a, b), a, b)  # b if one of them is NaN: one instruction
        return builder.select(builder.fcmp_unordered("uno", a, a), a, ordered)

    return a(a, b), emit


@intrinsic
def larger(typing_context, a, b):
    """The larger of a and b, lane by lane; b if one of them is NaN. One instruction, unlike :func:`largest`."""

    def emit(context, builder, signature, values):
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return a(a, b), emit


@intrinsic
def less(typing_context, a, b):
    """The mask of the lanes with a < b; no NaN is."""
    kind = Lanes(types.boolean, a.of)
    return kind(a, b), lambda context, builder, signature, values: builder.fcmp_ordered("<", *values)


@intrinsic
def replaces(typing_context, b, a):
    """The mask of the lanes in which b takes the place of a, which was the largest before it: it is greater, or NaN."""
    kind = Lanes(types.boolean, a.of)

    def emit(context, builder, signature, values):
        b, a = values
        return builder.or_(builder.fcmp_ordered(">", b, a), builder.fcmp_unordered("uno", b, b))

    return kind(b, a), emit


@intrinsic
def any_nan(typing_context, a, b):
    """Whether a lane of a or b is NaN."""

    def emit(context, builder, signature, values):
        found = builder.fcmp_unordered("uno", *values)
        return builder.icmp_unsigned("!=", builder.bitcast(found, ir.IntType(a.count)), ir.Constant(ir.IntType(a.count), 0))

    return types.boolean(a, b), emit


@intrinsic
def equal(typing_context, a, b):
    """The mask of the lanes with a == b; no NaN is."""
    kind = Lanes(types.boolean, a.of)
    return kind(a, b), lambda context, builder, signature, values: builder.fcmp_ordered("==", *values)


@intrinsic
def both(typing_context, a, b):
    """The mask of the lanes that two masks have."""
    return a(a, b), lambda context, builder, signature, values: builder.and_(*values)


@intrinsic
def pick(typing_context, mask, a, b):
    """a in the lanes of a mask, b in the others."""
    return a(mask, a, b), lambda context, builder, signature, values: builder.select(*values)


def _in_pairs(combine: Any) -> Any:
    """A function of a vector: halves are combined lane by lane until one number is left."""

    def typed(typing_context, v):
        def emit(context, builder, signature, values):
            (v,) = values
            count = v.type.count
            while count > 1:
                count //= 2
                undefined = ir.Constant(v.type, ir.Undefined)
                low, high = [builder.shuffle_vector(v, undefined, places(range(k * count, (k + 1) * count))) for k in range(2)]
                v = combine(builder, low, high)
            return builder.extract_element(v, ir.Constant(WORD, 0))

        return v.of(v), emit

    return typed


#: the sum of all lanes, in pairs
lane_sum = intrinsic(_in_pairs(lambda builder, a, b: builder.fadd(a, b)))
#: the largest of all lanes; any number if one is NaN
lane_largest = intrinsic(_in_pairs(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b)))


def _operator(symbol: Any, instruction: str) -> None:
    """Let two vectors of one type be operands of ``symbol``."""

    @infer_global(symbol)
    class Between(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            same = len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]
            return signature(args[0], *args) if same else None

    @lower_builtin(symbol, Lanes, Lanes)
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return getattr(builder, instruction)(*values)


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _operator(_symbol, _instruction)


# Lanes that change places.


def _shuffle(numbers: Any) -> Any:
    """A function of two vectors: lane k of the result is lane numbers(count)[k] of the two, one behind the other."""

    def typed(typing_context, a, b):
        def emit(context, builder, signature, values):
            return builder.shuffle_vector(*values, places(numbers(a.count)))

        return a(a, b), emit

    return typed


evens = intrinsic(_shuffle(lambda n: range(0, 2 * n, 2)))
odds = intrinsic(_shuffle(lambda n: range(1, 2 * n, 2)))
#: a0 b0 a1 b1 …: the first half of it, and the second
woven_first = intrinsic(_shuffle(lambda n: [k // 2 + n * (k % 2) for k in range(n)]))
woven_second = intrinsic(_shuffle(lambda n: [k // 2 + n * (k % 2) for k in range(n, 2 * n)]))


@intrinsic
def transpose_block(typing_context, source, source_step, target, target_step, dtype):
    """Write the transpose of a square matrix of as many rows as a vector has lanes; steps between rows in bytes."""
    kind = lanes_of(dtype)

    def emit(context, builder, signature, values):
        pointer = vector_type(kind).as_pointer()

        def rows_at(start, step):
            rows = [builder.add(start, builder.mul(step, ir.Constant(step.type, k))) for k in range(kind.count)]
            return [builder.inttoptr(row, pointer) for row in rows]

        align, half = kind.of.bitwidth // 8, kind.count // 2
        rows = [builder.load(place, align=align) for place in rows_at(*values[:2])]
        first, second = [places([k // 2 + kind.count * (k % 2) for k in range(n, n + kind.count)]) for n in (0, kind.count)]
        for _ in range(kind.count.bit_length() - 1):  # each round weaves the upper half of the rows into the lower
            rows = [builder.shuffle_vector(rows[k // 2], rows[k // 2 + half], second if k % 2 else first) for k in range(kind.count)]
        for row, place in zip(rows, rows_at(*values[2:4]), strict=True):
            builder.store(row, place, align=align)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64, dtype), emit

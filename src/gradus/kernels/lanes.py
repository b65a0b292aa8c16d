"""Numbers side by side in a vector register, for kernels whose loops a compiler does not turn into vector code by itself.

    v = load_where(x, span(0, 14, float32), float32)        # the first 14 numbers at address x, 0 in the other lanes
    total += v * everywhere(weight)
    store(y, total)

A vector has as many lanes as fit into 64 bytes; a processor with shorter registers takes several. Addresses are integers, as everywhere in
:mod:`gradus.kernels`; nothing need be aligned. What a mask leaves out is neither read nor written, so it may lie outside of any array.
"""

from __future__ import annotations

import operator
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
        super().__init__(manager, kind, _vector(kind))


def _vector(kind: Lanes) -> ir.VectorType:
    element = ir.IntType(1) if kind.element is types.boolean else ir.FloatType() if kind.of is types.float32 else ir.DoubleType()
    return ir.VectorType(element, kind.count)


def lanes_of(dtype: Any) -> Lanes:
    """The type of a vector of ``dtype``, which is given as Numba sees ``float32`` in a kernel."""
    return Lanes(dtype.dtype, dtype.dtype)


def _number(kind: Lanes, value: float) -> ir.Constant:
    return ir.Constant(_vector(kind).element, value)


def _all(kind: Lanes, value: float) -> ir.Constant:
    return ir.Constant(_vector(kind), [_number(kind, value)] * kind.count)


def _suffix(kind: Lanes) -> str:
    return f"v{kind.count}f{kind.of.bitwidth}"


def _spread(builder: Any, value: Any, count: int) -> Any:
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
        place = builder.inttoptr(values[0], _vector(kind).as_pointer())
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
        low, high = [_spread(builder, builder.trunc(value, WORD), count) for value in values[:2]]
        return builder.and_(builder.icmp_signed(">=", numbers, low), builder.icmp_signed("<", numbers, high))

    return kind(types.int64, types.int64, dtype), emit


@intrinsic
def load_where(typing_context, address, mask, dtype):
    """The numbers at an address in the lanes of a mask, 0 in the others."""
    kind = lanes_of(dtype)

    def emit(context, builder, signature, values):
        whole = _vector(kind)
        pointer = whole.as_pointer()
        function = ir.FunctionType(whole, [pointer, WORD, values[1].type, whole])
        named = cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.load.{_suffix(kind)}.p0")
        place, align = builder.inttoptr(values[0], pointer), ir.Constant(WORD, kind.of.bitwidth // 8)
        return builder.call(named, [place, align, values[1], _all(kind, 0.0)])

    return kind(types.int64, mask, dtype), emit


@intrinsic
def store_where(typing_context, address, mask, v):
    """Write the lanes of a mask."""

    def emit(context, builder, signature, values):
        whole = values[2].type
        pointer = whole.as_pointer()
        function = ir.FunctionType(ir.VoidType(), [whole, pointer, WORD, values[1].type])
        named = cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.store.{_suffix(v)}.p0")
        place, align = builder.inttoptr(values[0], pointer), ir.Constant(WORD, v.of.bitwidth // 8)
        builder.call(named, [values[2], place, align, values[1]])
        return context.get_dummy_value()

    return types.void(types.int64, mask, v), emit


@intrinsic
def fetch_ahead(typing_context, address):
    """Have the line of the cache at an address brought in, without waiting for it. The address may lie outside of any array."""

    def emit(context, builder, signature, values):
        pointer = ir.IntType(8).as_pointer()
        function = ir.FunctionType(ir.VoidType(), [pointer, WORD, WORD, WORD])
        named = cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0")
        numbers = [ir.Constant(WORD, number) for number in (0, 3, 1)]  # to be read, soon, data
        builder.call(named, [builder.inttoptr(values[0], pointer), *numbers])
        return context.get_dummy_value()

    return types.void(types.int64), emit


# Arithmetic.


@intrinsic
def everywhere(typing_context, x):
    """One number in all lanes."""
    kind = Lanes(x, x)
    return kind(x), lambda context, builder, signature, values: _spread(builder, values[0], kind.count)


@intrinsic
def zeros(typing_context, dtype):
    """0 in all lanes."""
    kind = lanes_of(dtype)
    return kind(dtype), lambda context, builder, signature, values: _all(kind, 0.0)


@intrinsic
def multiply_add(typing_context, a, b, c):
    """a · b + c, lane by lane, rounded once where the processor can."""

    def emit(context, builder, signature, values):
        whole = values[0].type
        named = cgutils.get_or_insert_function(builder.module, ir.FunctionType(whole, [whole] * 3), f"llvm.fmuladd.{_suffix(a)}")
        return builder.call(named, values)

    return a(a, b, c), emit


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
                low, high = [builder.shuffle_vector(v, undefined, _places(range(k * count, (k + 1) * count))) for k in range(2)]
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


def _places(numbers: Any) -> ir.Constant:
    numbers = list(numbers)
    return ir.Constant(ir.VectorType(WORD, len(numbers)), numbers)


def _shuffle(places: Any) -> Any:
    """A function of two vectors: lane k of the result is lane places(count)[k] of the two, one behind the other."""

    def typed(typing_context, a, b):
        def emit(context, builder, signature, values):
            return builder.shuffle_vector(*values, _places(places(a.count)))

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
        pointer = _vector(kind).as_pointer()

        def places(start, step):
            rows = [builder.add(start, builder.mul(step, ir.Constant(step.type, k))) for k in range(kind.count)]
            return [builder.inttoptr(row, pointer) for row in rows]

        align, half = kind.of.bitwidth // 8, kind.count // 2
        rows = [builder.load(place, align=align) for place in places(*values[:2])]
        first, second = [_places([k // 2 + kind.count * (k % 2) for k in range(n, n + kind.count)]) for n in (0, kind.count)]
        for _ in range(kind.count.bit_length() - 1):  # each round weaves the upper half of the rows into the lower
            rows = [builder.shuffle_vector(rows[k // 2], rows[k // 2 + half], second if k % 2 else first) for k in range(kind.count)]
        for row, place in zip(rows, places(*values[2:4]), strict=True):
            builder.store(row, place, align=align)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64, dtype), emit


# Several vectors at once: a tuple of sums stays in registers over a loop, so that each vector that is loaded serves all of them.


def _each(builder: Any, values: Any, kind: Any, update: Any) -> Any:
    """The tuple of what ``update(k, vector)`` makes of each vector of a tuple."""
    for k in range(kind.count):
        values = builder.insert_value(values, update(k, builder.extract_value(values, k)), k)
    return values


def _fused(builder: Any, kind: Lanes, *values: Any) -> Any:
    whole = values[0].type
    named = cgutils.get_or_insert_function(builder.module, ir.FunctionType(whole, [whole] * 3), f"llvm.fmuladd.{_suffix(kind)}")
    return builder.call(named, values)


def _row(builder: Any, address: Any, step: Any, k: int, element: Any) -> Any:
    place = builder.add(address, builder.mul(step, ir.Constant(step.type, k)))
    return builder.inttoptr(place, element.as_pointer())


@intrinsic
def add_scaled(typing_context, sums, v, address, step):
    """sums[k] + v · the number at address + k · step (in bytes)."""

    def emit(context, builder, signature, values):
        whole, vector, start, bytes_between = values

        def update(k, total):
            number = builder.load(_row(builder, start, bytes_between, k, vector.type.element), align=v.of.bitwidth // 8)
            return _fused(builder, v, vector, _spread(builder, number, v.count), total)

        return _each(builder, whole, sums, update)

    return sums(sums, v, types.int64, types.int64), emit


def _masked_load(builder: Any, kind: Lanes, place: Any, mask: Any) -> Any:
    whole = _vector(kind)
    function = ir.FunctionType(whole, [whole.as_pointer(), WORD, mask.type, whole])
    named = cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.load.{_suffix(kind)}.p0")
    return builder.call(named, [place, ir.Constant(WORD, kind.of.bitwidth // 8), mask, _all(kind, 0.0)])


@intrinsic
def add_products(typing_context, sums, v, address, step, mask):
    """sums[k] + v · the numbers at address + k · step, in the lanes of a mask."""

    def emit(context, builder, signature, values):
        whole, vector, start, bytes_between, kept = values

        def update(k, total):
            other = _masked_load(builder, v, _row(builder, start, bytes_between, k, vector.type), kept)
            return _fused(builder, v, vector, other, total)

        return _each(builder, whole, sums, update)

    return sums(sums, v, types.int64, types.int64, mask), emit


@intrinsic
def store_each(typing_context, address, step, mask, sums):
    """Write sums[k] to address + k · step, in the lanes of a mask."""

    def emit(context, builder, signature, values):
        start, bytes_between, kept, whole = values
        for k in range(sums.count):
            vector = builder.extract_value(whole, k)
            pointer = vector.type.as_pointer()
            function = ir.FunctionType(ir.VoidType(), [vector.type, pointer, WORD, kept.type])
            named = cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.store.{_suffix(sums.dtype)}.p0")
            align = ir.Constant(WORD, sums.dtype.of.bitwidth // 8)
            builder.call(named, [vector, _row(builder, start, bytes_between, k, vector.type), align, kept])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, mask, sums), emit


@intrinsic
def load_each(typing_context, address, step, like):
    """As many vectors as the tuple ``like`` has, from address + k · step."""

    def emit(context, builder, signature, values):
        start, bytes_between, whole = values
        align = like.dtype.of.bitwidth // 8
        return _each(builder, whole, like, lambda k, old: builder.load(_row(builder, start, bytes_between, k, old.type), align=align))

    return like(types.int64, types.int64, like), emit


@intrinsic(prefer_literal=True)
def zeros_each(typing_context, dtype, count):
    """A tuple of ``count`` (a literal) vectors of 0."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    kind = lanes_of(dtype)
    whole = types.UniTuple(kind, count.literal_value)

    def emit(context, builder, signature, values):
        return context.make_tuple(builder, whole, [_all(kind, 0.0)] * whole.count)

    return whole(dtype, count), emit


@intrinsic
def load_beside(typing_context, address, like):
    """As many vectors as the tuple ``like`` has, one behind the other in memory."""

    def emit(context, builder, signature, values):
        start, whole = values
        kind = like.dtype
        return _each(
            builder,
            whole,
            like,
            lambda k, old: builder.load(_row(builder, start, ir.Constant(start.type, BYTES), k, old.type), align=kind.of.bitwidth // 8),
        )

    return like(types.int64, like), emit


@intrinsic
def add_outer(typing_context, sums, vectors, address, step):
    """A matrix of sums, rows behind each other, plus the product of the column of numbers at address + i · step and the row ``vectors``."""
    across, kind = vectors.count, vectors.dtype

    def emit(context, builder, signature, values):
        whole, row, start, bytes_between = values
        parts = [builder.extract_value(row, k) for k in range(across)]
        for i in range(sums.count // across):
            number = builder.load(_row(builder, start, bytes_between, i, parts[0].type.element), align=kind.of.bitwidth // 8)
            factor = _spread(builder, number, kind.count)
            for k in range(across):
                place = i * across + k
                whole = builder.insert_value(whole, _fused(builder, kind, parts[k], factor, builder.extract_value(whole, place)), place)
        return whole

    return sums(sums, vectors, types.int64, types.int64), emit


@intrinsic
def store_matrix(typing_context, address, step, first, mask, alpha, add, sums, vectors):
    """Write alpha · a matrix of sums as :func:`add_outer` makes it to address + i · step, from row ``first`` on.

    Args:
        mask: the lanes that count in the last vector of each row.
        add: whether what is there already is added.
        vectors: a tuple as long as a row.
    """
    across, kind = vectors.count, sums.dtype

    def emit(context, builder, signature, values):
        start, bytes_between, lowest, last, factor, more, whole, _ = values
        pointer = _vector(kind).as_pointer()
        align = ir.Constant(WORD, kind.of.bitwidth // 8)
        write = ir.FunctionType(ir.VoidType(), [_vector(kind), pointer, WORD, last.type])
        masked_store = cgutils.get_or_insert_function(builder.module, write, f"llvm.masked.store.{_suffix(kind)}.p0")
        everything, scale = ir.Constant(last.type, [1] * kind.count), _spread(builder, factor, kind.count)

        def rows(finished):
            for i in range(sums.count // across):
                with builder.if_then(builder.icmp_signed(">=", ir.Constant(lowest.type, i), lowest)):
                    row = builder.add(start, builder.mul(bytes_between, ir.Constant(start.type, i)))
                    for k in range(across):
                        kept = last if k == across - 1 else everything
                        place = builder.inttoptr(builder.add(row, ir.Constant(start.type, k * BYTES)), pointer)
                        value = builder.fmul(builder.extract_value(whole, i * across + k), scale)
                        builder.call(masked_store, [finished(value, place, kept), place, align, kept])

        with builder.if_else(more) as (adding, replacing):
            with adding:
                rows(lambda value, place, kept: builder.fadd(value, _masked_load(builder, kind, place, kept)))
            with replacing:
                rows(lambda value, place, kept: value)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, mask, kind.of, types.boolean, sums, vectors), emit


@intrinsic
def add_pairs(typing_context, sums, rows, columns, offset, mask):
    """A matrix of sums, rows behind each other, plus the vectors at rows[i] + offset times those at columns[j] + offset, masked."""
    kind = sums.dtype

    def emit(context, builder, signature, values):
        whole, left, right, behind, kept = values
        pointer = _vector(kind).as_pointer()

        def loaded(starts, count):
            places = [builder.inttoptr(builder.add(builder.extract_value(starts, k), behind), pointer) for k in range(count)]
            return [_masked_load(builder, kind, place, kept) for place in places]

        a, b = loaded(left, rows.count), loaded(right, columns.count)
        for i in range(rows.count):
            for j in range(columns.count):
                place = i * columns.count + j
                whole = builder.insert_value(whole, _fused(builder, kind, a[i], b[j], builder.extract_value(whole, place)), place)
        return whole

    return sums(sums, rows, columns, types.int64, mask), emit


@intrinsic
def lane_sums(typing_context, sums):
    """A vector of the sums of the lanes of each of as many vectors as it has lanes itself."""

    def emit(context, builder, signature, values):
        vectors = [builder.extract_value(values[0], k) for k in range(sums.count)]
        n = sums.count
        even, odd = _places(range(0, 2 * n, 2)), _places(range(1, 2 * n, 2))
        while len(vectors) > 1:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [builder.fadd(builder.shuffle_vector(a, b, even), builder.shuffle_vector(a, b, odd)) for a, b in pairs]
        return vectors[0]

    return sums.dtype(sums), emit


@intrinsic
def store_parts(typing_context, places, count, v):
    """Write as many equal parts of a vector as there are places, of each the first ``count`` lanes at most."""

    def emit(context, builder, signature, values):
        starts, kept, whole = values
        size = v.count // places.count
        numbers = ir.Constant(ir.VectorType(WORD, size), list(range(size)))
        mask = builder.icmp_signed("<", numbers, _spread(builder, builder.trunc(kept, WORD), size))
        undefined = ir.Constant(whole.type, ir.Undefined)
        for i in range(places.count):
            part = builder.shuffle_vector(whole, undefined, _places(range(i * size, (i + 1) * size)))
            pointer = part.type.as_pointer()
            write = ir.FunctionType(ir.VoidType(), [part.type, pointer, WORD, mask.type])
            named = cgutils.get_or_insert_function(builder.module, write, f"llvm.masked.store.v{size}f{v.of.bitwidth}.p0")
            place = builder.inttoptr(builder.extract_value(starts, i), pointer)
            builder.call(named, [part, place, ir.Constant(WORD, v.of.bitwidth // 8), mask])
        return context.get_dummy_value()

    return types.void(places, types.int64, v), emit

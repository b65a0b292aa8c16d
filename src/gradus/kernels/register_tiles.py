"""Several vectors at once: a tuple of sums stays in registers over a loop, so that each vector that is loaded serves all of them.

    sums = zeros_each(float32, 24)                      # a tile of six rows of four vectors
    for _ in range(k):
        sums = add_outer(sums, load_beside(b, row), a, a_step)
    store_matrix(c, c_step, 0, mask, alpha, False, sums, row)

A tuple is a value, as a vector is (:mod:`gradus.kernels.lanes`): each function here gives a new one. Steps are counted in bytes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gradus.kernels.lanes import BYTES, WORD, fused, lanes_of, masked_load, masked_store, places, spread, vector_type, width, zero


def _each(builder: Any, values: Any, kind: Any, update: Any) -> Any:
    """The tuple of what ``update(k, vector)`` makes of each vector of a tuple."""
    for k in range(kind.count):
        values = builder.insert_value(values, update(k, builder.extract_value(values, k)), k)
    return values


def _row(builder: Any, address: Any, step: Any, k: int) -> Any:
    return builder.add(address, builder.mul(step, ir.Constant(step.type, k)))


def _load(builder: Any, whole: ir.VectorType, address: Any) -> Any:
    return builder.load(builder.inttoptr(address, whole.as_pointer()), align=width(whole))


def _load_number(builder: Any, whole: ir.VectorType, address: Any) -> Any:
    """One number, in all lanes."""
    return spread(builder, builder.load(builder.inttoptr(address, whole.element.as_pointer()), align=width(whole)), whole.count)


@intrinsic(prefer_literal=True)
def zeros_each(typing_context, dtype, count):
    """A tuple of ``count`` (a literal) vectors of 0."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    kind = lanes_of(dtype)
    whole = types.UniTuple(kind, count.literal_value)

    def emit(context, builder, signature, values):
        return context.make_tuple(builder, whole, [zero(vector_type(kind))] * whole.count)

    return whole(dtype, count), emit


@intrinsic
def load_each(typing_context, address, step, like):
    """As many vectors as the tuple ``like`` has, from address + k · step."""

    def emit(context, builder, signature, values):
        start, bytes_between, whole = values
        return _each(builder, whole, like, lambda k, old: _load(builder, old.type, _row(builder, start, bytes_between, k)))

    return like(types.int64, types.int64, like), emit


@intrinsic
def load_beside(typing_context, address, like):
    """As many vectors as the tuple ``like`` has, one behind the other in memory."""

    def emit(context, builder, signature, values):
        start, whole = values
        step = ir.Constant(start.type, BYTES)
        return _each(builder, whole, like, lambda k, old: _load(builder, old.type, _row(builder, start, step, k)))

    return like(types.int64, like), emit


@intrinsic
def store_each(typing_context, address, step, mask, sums):
    """Write sums[k] to address + k · step, in the lanes of a mask."""

    def emit(context, builder, signature, values):
        start, bytes_between, kept, whole = values
        for k in range(sums.count):
            masked_store(builder, _row(builder, start, bytes_between, k), kept, builder.extract_value(whole, k))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, mask, sums), emit


@intrinsic
def add_scaled(typing_context, sums, v, address, step):
    """sums[k] + v · the number at address + k · step."""

    def emit(context, builder, signature, values):
        whole, vector, start, bytes_between = values

        def update(k, total):
            return fused(builder, vector, _load_number(builder, vector.type, _row(builder, start, bytes_between, k)), total)

        return _each(builder, whole, sums, update)

    return sums(sums, v, types.int64, types.int64), emit


@intrinsic
def add_products(typing_context, sums, v, address, step, mask):
    """sums[k] + v · the numbers at address + k · step, in the lanes of a mask."""

    def emit(context, builder, signature, values):
        whole, vector, start, bytes_between, kept = values

        def update(k, total):
            return fused(builder, vector, masked_load(builder, vector.type, _row(builder, start, bytes_between, k), kept), total)

        return _each(builder, whole, sums, update)

    return sums(sums, v, types.int64, types.int64, mask), emit


@intrinsic
def add_outer(typing_context, sums, vectors, address, step):
    """A matrix of sums, rows behind each other, plus the product of the column of numbers at address + i · step and the row ``vectors``."""

    def emit(context, builder, signature, values):
        whole, row, start, bytes_between = values
        columns = [builder.extract_value(row, k) for k in range(vectors.count)]
        for i in range(sums.count // vectors.count):  # a row after the other: the number of one is not kept while the next is at work
            number = _load_number(builder, columns[0].type, _row(builder, start, bytes_between, i))
            for k, column in enumerate(columns):
                place = i * vectors.count + k
                whole = builder.insert_value(whole, fused(builder, column, number, builder.extract_value(whole, place)), place)
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
        everything, scale = ir.Constant(last.type, [1] * kind.count), spread(builder, factor, kind.count)

        def rows(finished):
            for i in range(sums.count // across):
                with builder.if_then(builder.icmp_signed(">=", ir.Constant(lowest.type, i), lowest)):
                    row = _row(builder, start, bytes_between, i)
                    for k in range(across):
                        kept = last if k == across - 1 else everything
                        place = builder.add(row, ir.Constant(start.type, k * BYTES))
                        value = builder.fmul(builder.extract_value(whole, i * across + k), scale)
                        masked_store(builder, place, kept, finished(value, place, kept))

        with builder.if_else(more) as (adding, replacing):
            with adding:
                rows(lambda value, place, kept: builder.fadd(value, masked_load(builder, value.type, place, kept)))
            with replacing:
                rows(lambda value, place, kept: value)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, mask, kind.of, types.boolean, sums, vectors), emit


@intrinsic
def add_pairs(typing_context, sums, rows, columns, offset, mask):
    """A matrix of sums, rows behind each other, plus the vectors at rows[i] + offset times those at columns[j] + offset, masked."""

    def emit(context, builder, signature, values):
        whole, left, right, behind, kept = values

        def loaded(starts, count):
            addresses = [builder.add(builder.extract_value(starts, k), behind) for k in range(count)]
            return [masked_load(builder, vector_type(sums.dtype), address, kept) for address in addresses]

        a, b = loaded(left, rows.count), loaded(right, columns.count)
        for i in range(rows.count):
            for j in range(columns.count):
                place = i * columns.count + j
                whole = builder.insert_value(whole, fused(builder, a[i], b[j], builder.extract_value(whole, place)), place)
        return whole

    return sums(sums, rows, columns, types.int64, mask), emit


@intrinsic
def lane_sums(typing_context, sums):
    """The sum of the lanes of each vector, of as many as a vector has lanes: one vector."""

    def emit(context, builder, signature, values):
        count = sums.count
        vectors = [builder.extract_value(values[0], k) for k in range(count)]
        evens, odds = places(range(0, 2 * count, 2)), places(range(1, 2 * count, 2))
        while len(vectors) > 1:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [builder.fadd(builder.shuffle_vector(a, b, evens), builder.shuffle_vector(a, b, odds)) for a, b in pairs]
        return vectors[0]

    return sums.dtype(sums), emit


@intrinsic
def store_parts(typing_context, addresses, count, v):
    """Write a part of a vector to each address, all equally long, and of each part the first ``count`` lanes at most."""

    def emit(context, builder, signature, values):
        starts, most, whole = values
        size = v.count // addresses.count
        mask = builder.icmp_signed("<", places(range(size)), spread(builder, builder.trunc(most, WORD), size))
        for k in range(addresses.count):
            part = builder.shuffle_vector(whole, ir.Constant(whole.type, ir.Undefined), places(range(k * size, (k + 1) * size)))
            masked_store(builder, builder.extract_value(starts, k), mask, part)
        return context.get_dummy_value()

    return types.void(addresses, types.int64, v), emit

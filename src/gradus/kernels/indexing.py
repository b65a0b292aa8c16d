"""Reading, adding and writing at places that index arrays name. A number that names no place makes the kernel return 1.

Negative numbers count from the end, as in NumPy. Sums run in the order of the index array, so they are the same at every run.
"""

from __future__ import annotations

from numba import int32, int64

from gradus.kernels.choices import larger, smaller
from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.table import array


@inlined
def _row(number, rows):
    """The row that a number names, counted from the start; -1 if it names none."""
    row = int64(number)
    row += rows if row < 0 else 0
    return -1 if row >= rows else max(row, -1)


@compiled
def take(x_address, index_address, out_address, outer, rows, count, inner, kind, number):
    """``out[o, i] = x[o, index[i]]``, where both are runs of ``inner`` elements."""
    x, index, out = array(x_address, kind), array(index_address, number), array(out_address, kind)
    for o in range(outer):
        for i in range(count):
            row = _row(index[i], rows)
            if row < 0:
                return 1
            start, place = (o * rows + row) * inner, (o * count + i) * inner
            for c in range(inner):
                out[place + c] = x[start + c]
    return 0


@compiled
def add(g_address, index_address, out_address, outer, rows, count, inner, kind, number):
    """Zeros, and then ``out[o, index[i]] += g[o, i]``."""
    g, index, out = array(g_address, kind), array(index_address, number), array(out_address, kind)
    for c in range(outer * rows * inner):
        out[c] = kind(0)
    for o in range(outer):
        for i in range(count):
            row = _row(index[i], rows)
            if row < 0:
                return 1
            start, place = (o * count + i) * inner, (o * rows + row) * inner
            for c in range(inner):
                out[place + c] += g[start + c]
    return 0


@compiled
def put(x_address, values_address, index_address, out_address, outer, rows, count, inner, kind, number):
    """``out = x``, and then ``out[o, index[i]] = values[o, i]``; the last of several values for one place stays."""
    x, index, out = array(x_address, kind), array(index_address, number), array(out_address, kind)
    values = array(values_address, kind)
    for c in range(outer * rows * inner):
        out[c] = x[c]
    for o in range(outer):
        for i in range(count):
            row = _row(index[i], rows)
            if row < 0:
                return 1
            start, place = (o * count + i) * inner, (o * rows + row) * inner
            for c in range(inner):
                out[place + c] = values[start + c]
    return 0


@compiled
def put_number(x_address, index_address, out_address, outer, rows, count, inner, value, kind, number):
    """As :func:`put`, with one number in every place."""
    x, index, out = array(x_address, kind), array(index_address, number), array(out_address, kind)
    for c in range(outer * rows * inner):
        out[c] = x[c]
    for o in range(outer):
        for i in range(count):
            row = _row(index[i], rows)
            if row < 0:
                return 1
            place = (o * rows + row) * inner
            for c in range(inner):
                out[place + c] = kind(value)
    return 0


# Several index arrays, one for each of neighbouring axes; they broadcast against each other.
#
# The table holds: x or g, the index arrays, the output, the number of elements of the output, outer, the elements that one step of outer is
# long in the indexed array, inner, three lengths of the loops over all places; then for each index array: the length of its axis, that
# axis's step in elements, the bytes of a number, and its own three steps.
FIRST, EACH = 7, 6


@inlined
def _offset(address, arrays, i, j, k):
    """Where in the indexed array the place (i, j, k) is; -1 for a number out of range."""
    table = array(address, int64)
    offset = 0
    for a in range(arrays):
        at = arrays + 2 + FIRST + a * EACH
        where = i * table[at + 3] + j * table[at + 4] + k * table[at + 5]
        row = array(table[1 + a], int64)[where] if table[at + 2] == 8 else int64(array(table[1 + a], int32)[where])
        row = _row(row, table[at])
        if row < 0:
            return -1
        offset += row * table[at + 1]
    return offset


@compiled
def take_grid(address, arrays, kind):
    """``out[o, place] = x[o, numbers at that place]``."""
    table = array(address, int64)
    x, out, at = array(table[0], kind), array(table[arrays + 1], kind), arrays + 2
    outer, step, inner, n0, n1, n2 = table[at + 1], table[at + 2], table[at + 3], table[at + 4], table[at + 5], table[at + 6]
    p = 0
    for o in range(outer):
        for i in range(n0):
            for j in range(n1):
                for k in range(n2):
                    q = _offset(address, arrays, i, j, k)
                    if q < 0:
                        return 1
                    q += o * step
                    for c in range(inner):
                        out[p + c] = x[q + c]
                    p += inner
    return 0


@compiled
def add_grid(address, arrays, kind):
    """Zeros, and then ``out[o, numbers at a place] += g[o, place]``."""
    table = array(address, int64)
    g, out, at = array(table[0], kind), array(table[arrays + 1], kind), arrays + 2
    outer, step, inner, n0, n1, n2 = table[at + 1], table[at + 2], table[at + 3], table[at + 4], table[at + 5], table[at + 6]
    for c in range(table[at]):
        out[c] = kind(0)
    p = 0
    for o in range(outer):
        for i in range(n0):
            for j in range(n1):
                for k in range(n2):
                    q = _offset(address, arrays, i, j, k)
                    if q < 0:
                        return 1
                    q += o * step
                    for c in range(inner):
                        out[q + c] += g[p + c]
                    p += inner
    return 0


@compiled
def inside(x_address, out_address, count, length, exception, number):
    """The numbers themselves, if each is one of 0 … length - 1 or the exception."""
    x, out = array(x_address, number), array(out_address, number)
    wrong = False
    for i in range(count):
        value = int64(x[i])
        wrong |= ((value < 0) | (value >= length)) & (value != exception)
        out[i] = x[i]
    return 1 if wrong else 0


@compiled
def extreme(x_address, out_address, best_address, outer, length, inner, largest, kind):
    """The place of the first largest (or smallest) of ``length`` numbers; of the first NaN if there is one."""
    x, out, best = array(x_address, kind), array(out_address, int64), array(best_address, kind)
    for o in range(outer):
        start = o * length * inner
        for c in range(inner):
            best[c] = x[start + c]
            out[o * inner + c] = 0
        for i in range(1, length):
            for c in range(inner):
                value, old = x[start + i * inner + c], best[c]
                better = value > old if largest else value < old
                if (better or value != value) and old == old:
                    best[c] = value
                    out[o * inner + c] = i
    return 0


@compiled
def extreme_of_rows(x_address, out_address, rows, length, largest, kind):
    """As :func:`extreme`, along rows of floating numbers: what the largest is, as a vector reduction, and then where it is."""
    x, out = array(x_address, kind), array(out_address, int64)
    for r in range(rows):
        start = r * length
        best, nan = x[start], False
        if largest:
            for c in range(start, start + length):
                best = larger(best, x[c])
                nan |= x[c] != x[c]
        else:
            for c in range(start, start + length):
                best = smaller(best, x[c])
                nan |= x[c] != x[c]
        at = 0
        if nan:
            while x[start + at] == x[start + at]:
                at += 1
        else:
            while x[start + at] != best:
                at += 1
        out[r] = at
    return 0


@compiled
def running_sum(x_address, out_address, outer, length, inner, kind):
    """Sums of all that came before along an axis, and of the element itself."""
    x, out = array(x_address, kind), array(out_address, kind)
    for o in range(outer):
        start = o * length * inner
        for c in range(start, start + inner):
            out[c] = x[c]
        for c in range(start + inner, start + length * inner):
            out[c] = out[c - inner] + x[c]
    return 0

"""Putting elements elsewhere: joined arrays, borders of zeros, parts written into a whole, triangles.

What moves is the same for every type of one size, so these kernels see elements as plain integers of 1, 4 or 8 bytes.
"""

from __future__ import annotations

import numba
from numba import int64

from gradus.kernels.compilation import compiled, inlined
from gradus.kernels.table import array

PIECE = 15  # integers that describe one piece: input, two starts, and four loops with a length and two steps each


@compiled
def place(address, inputs, zeros_first, kind):
    """The output in pieces, each a walk of four nested loops through one input and through the output.

    The table holds the addresses of the inputs, that of the output, its number of elements, the number of pieces, and for each piece: which
    input, the first element in the output and in the input, four lengths, four steps in the output, four steps in the input.
    """
    table = array(address, int64)
    target = table[inputs]
    if zeros_first:
        out = array(target, kind)
        for c in range(table[inputs + 1]):
            out[c] = 0
    at = inputs + 3
    for _ in range(table[inputs + 2]):
        _piece(target, address, at, kind)
        at += PIECE
    return 0


@inlined
def _piece(target, address, at, kind):
    """Copy one piece."""
    table = array(address, int64)
    out, x = array(target, kind), array(table[table[at]], kind)
    out_step, x_step, length = table[at + 10], table[at + 14], table[at + 6]
    for i in range(table[at + 3]):
        for j in range(table[at + 4]):
            for k in range(table[at + 5]):
                p = table[at + 1] + i * table[at + 7] + j * table[at + 8] + k * table[at + 9]
                q = table[at + 2] + i * table[at + 11] + j * table[at + 12] + k * table[at + 13]
                if out_step == 1 and x_step == 1:
                    for c in range(length):
                        out[p + c] = x[q + c]
                else:
                    for c in range(length):
                        out[p + c * out_step] = x[q + c * x_step]


@compiled
def fill_part(address, kind):
    """A copy of the input with one number written into a part of it.

    The table holds the input, the output, the number of elements, then a piece as of :func:`place`, then the number.
    """
    table, numbers = array(address, int64), array(address, numba.float64)
    x, out, value = array(table[0], kind), array(table[1], kind), kind(numbers[3 + PIECE])
    for c in range(table[2]):
        out[c] = x[c]
    at, step = 3, table[13]
    for i in range(table[at + 3]):
        for j in range(table[at + 4]):
            for k in range(table[at + 5]):
                p = table[at + 1] + i * table[at + 7] + j * table[at + 8] + k * table[at + 9]
                for c in range(table[at + 6]):
                    out[p + c * step] = value
    return 0


@compiled
def triangle(x_address, out_address, matrices, rows, columns, diagonal, below, kind):
    """The part of matrices on and below a diagonal, or on and above it; zeros elsewhere."""
    x, out = array(x_address, kind), array(out_address, kind)
    for r in range(matrices * rows):
        start = r * columns
        if below:
            cut = min(max(r % rows + diagonal + 1, 0), columns)
            for c in range(cut):
                out[start + c] = x[start + c]
            for c in range(cut, columns):
                out[start + c] = 0
        else:
            cut = min(max(r % rows + diagonal, 0), columns)
            for c in range(cut):
                out[start + c] = 0
            for c in range(cut, columns):
                out[start + c] = x[start + c]
    return 0

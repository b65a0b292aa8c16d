"""Whether numbers are finite, found out while they are read for another purpose."""

from __future__ import annotations

from numba import float64, int64

from gradus.kernels.choices import sum_with
from gradus.kernels.compilation import compiled
from gradus.kernels.table import array


@compiled
def squares(address, inputs, kind):
    """The sum of the squares of all elements of all inputs, added up in float64; 1 if an element is NaN or infinite.

    The table holds the addresses of the inputs, that of the output, then the number of elements of each input.
    """
    table = array(address, int64)
    total = 0.0
    for k in range(inputs):
        x, part = array(table[k], kind), 0.0
        for c in range(table[inputs + 1 + k]):
            value = float64(x[c])
            part = sum_with(part, value * value)
        total += part
    out = array(table[inputs], kind)
    out[0] = kind(total)
    if total - total == 0.0:
        return 0
    for k in range(inputs):  # float64 squares overflow where the elements themselves are finite
        x, bad = array(table[k], kind), 0
        for c in range(table[inputs + 1 + k]):
            bad |= int64(x[c] - x[c] != 0)
        if bad:
            return 1
    return 0

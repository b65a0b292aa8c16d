"""Arrays whose memory begins at a multiple of 64 bytes, a line of the processor's cache.

NumPy promises 16. A vector of 64 bytes that begins elsewhere lies in two lines, and each load of it counts twice: the matrix products of a
small network take 7 % longer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LINE = 64  # bytes
LARGE = 4096  # bytes from which on it matters


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array with any content; one below ``LARGE`` bytes lies where NumPy puts it.

    >>> x = aligned((64, 784), np.dtype("float32"))
    >>> x.shape, x.ctypes.data % LINE
    ((64, 784), 0)
    """
    count = math.prod(shape) * dtype.itemsize
    if count < LARGE:
        return np.empty(shape, dtype)
    room = np.empty(count + LINE, np.uint8)
    start = -room.__array_interface__["data"][0] % LINE
    return room[start : start + count].view(dtype).reshape(shape)


def aligned_copy(array: np.ndarray, dtype: Any = None) -> np.ndarray:
    """``np.array(array, dtype)``, aligned where it is large.

    >>> aligned_copy(np.arange(3)).tolist()
    [0, 1, 2]
    """
    if array.nbytes < LARGE or dtype is not None or not array.flags.c_contiguous or array.dtype.hasobject:
        return np.array(array, dtype=dtype)
    copy = aligned(array.shape, array.dtype)
    copy[...] = array
    return copy

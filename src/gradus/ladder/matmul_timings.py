"""What each step of the matrix product is worth: all versions on the clock, beside printed times.

Sources: "A Neural Net from the Foundations", chapter 17 of *Deep Learning for Coders with fastai
and PyTorch* (Jeremy Howard and Sylvain Gugger, 2020), and the courses around it, "Deep Learning
from the Foundations" (2019) and "From Deep Learning Foundations to Stable Diffusion" (2022). One
calls the library faster "by three orders of magnitude", another "around 100,000 times", for the
same step. Both are true: it depends on what one element costs the loops. For (5, 784) @ (784, 10)
on one core of a server of 2024 the library won by 400 against lists, by 2,400 against NumPy's
arrays and by 66,000 against PyTorch's tensors, whose indexing is the slowest.
"""

from __future__ import annotations

import math
import timeit
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from gradus.ladder import matmul

# What the sources printed for (5, 784) @ (784, 10), in seconds: other machines, other years,
# PyTorch for NumPy. The chapter calls broadcasting 3,700 times faster; its own times make that
# 3,200. In 2022 the innermost loop was also compiled with Numba, 236e-6; here there is only NumPy.
PRINTED = {
    "course 2019": {
        "three loops, arrays": 835e-3,
        "row * column": 1.39e-3,
        "broadcasting": 254e-6,
        "einsum": 57.2e-6,
        "library": 18.2e-6,
    },
    "chapter 17, 2020": {
        "three loops, arrays": 1.15,
        "row * column": 1.7e-3,
        "broadcasting": 357e-6,
        "einsum": 68.7e-6,
        "library": 14e-6,
    },
    "course 2022": {
        "three loops, arrays": 421e-3,
        "row * column": 598e-6,
        "dot(row, column)": 481e-6,
        "broadcasting": 70e-6,
    },
}
# … and in the course of 2022 for all of MNIST, (50000, 784) @ (784, 10).
PRINTED_FULL = {"broadcasting": 663e-3, "einsum": 15.1e-3, "library": 15.2e-3}


def seconds_per_call(call: Callable[[], object], budget: float = 0.02, repeats: int = 3) -> float:
    """The best of `repeats` means, each over the calls that fit into `budget` seconds."""
    first = timeit.timeit(call, number=1)
    number = max(1, int(budget / max(first, 1e-7)))
    return min(timeit.repeat(call, number=number, repeat=repeats)) / number


class Timing(NamedTuple):
    """A version, its seconds a call, and how many times faster it is than the slowest."""

    name: str
    seconds: float
    ratio: float


def timings(
    shape: tuple[int, int, int] = (5, 784, 10),
    names: Iterable[str] = matmul.VERSIONS,
    seed: int = 0,
) -> list[Timing]:
    """Times (n, m) @ (m, l) in float32 by the named versions.

    Each is first made to show that it gives the library's product.

    Example:
        >>> [row.name for row in timings((2, 3, 4), ["einsum", "library"])]
        ['einsum', 'library']
    """
    rng = np.random.default_rng(seed)
    n, m, l = shape
    a, b = rng.standard_normal((n, m), np.float32), rng.standard_normal((m, l), np.float32)
    seconds = {}
    for name in names:
        version = matmul.VERSIONS[name]
        operands = (a.tolist(), b.tolist()) if version is matmul.loops_over_lists else (a, b)
        # Sums in another order differ in the last bits, relative to the size of what is summed.
        close = partial(matmul.near, atol=1e-4 * math.sqrt(m))
        matmul.test(version(*operands), a @ b, close, name)
        seconds[name] = seconds_per_call(partial(version, *operands))
    slowest = max(seconds.values())
    return [Timing(name, value, slowest / value) for name, value in seconds.items()]

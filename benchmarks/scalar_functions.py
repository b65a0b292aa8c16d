"""How exact and how fast the element-wise functions of compiled kernels are, beside NumPy.

The error is the largest found, in units in the last place of the exact result: for float32 against float64 on every n-th of all bit
patterns (n = 1 takes a minute or more a function), for float64 against the C library's long double on random numbers, half of them spread
evenly over the magnitudes; erf against 30-digit arithmetic on fewer. The time is that of 100,000 elements in cache, the best of many.

    python benchmarks/scalar_functions.py [n] [float64 samples]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import mpmath
import numba
import numpy as np

import gradus.special
from gradus.kernels import scalar

Function = Callable[..., Any]
# where float64 samples are drawn evenly
RANGES = {
    "exp": (-750, 712),
    "expm1": (-5, 5),
    "log": (0, 4),
    "log1p": (-1, 4),
    "sigmoid": (-745, 40),
    "tanh": (-5, 5),
    "erf": (-6, 6),
    "sin": (-1000, 1000),
    "cos": (-1000, 1000),
}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def exact_erf(x: np.ndarray) -> np.ndarray:
    """To all digits of a long double."""
    with mpmath.workdps(30):
        values = [mpmath.erf(mpmath.mpf(float(v))) for v in x]
        heads = np.array([float(v) for v in values], np.longdouble)
        return heads + np.array([float(v - float(v)) for v in values], np.longdouble)


NUMPY: dict[str, Function] = {name: getattr(np, name, None) or {"sigmoid": sigmoid, "erf": gradus.special.erf}[name] for name in RANGES}


def over_arrays(function: Function) -> Function:
    """The function on each element of an array."""

    @numba.njit(error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


def largest_error(y: np.ndarray, exact: np.ndarray) -> tuple[float, int]:
    """In units in the last place, and where; a wrong infinity or NaN counts as infinite."""
    rounded = exact.astype(y.dtype)
    special = ~np.isfinite(rounded) | ~np.isfinite(y)
    wrong = special & ~((y == rounded) | (np.isnan(y) & np.isnan(rounded)))
    unit = np.spacing(np.abs(np.where(special, 1, rounded).astype(y.dtype))).astype(exact.dtype)
    error = np.where(special, 0, np.abs(np.where(special, 0, y).astype(exact.dtype) - np.where(special, 0, exact)) / unit)
    error[wrong] = np.inf
    where = int(np.argmax(error))
    return float(error[where]), where


def patterns(every: int) -> Iterator[np.ndarray]:
    """Every n-th float32, by its bits."""
    chunk = 1 << 20
    for start in range(0, 2**32, chunk * every):
        bits = np.arange(start, min(start + chunk * every, 2**32), every, dtype=np.uint64).astype(np.uint32)
        yield bits.view(np.float32)


def samples(name: str, count: int) -> Iterator[np.ndarray]:
    """Random float64: by their bits and evenly over a range, in turn."""
    rng = np.random.default_rng(0)
    for number in range(max(2, count // 2**18)):
        if number % 2:
            yield rng.uniform(*RANGES[name], min(count, 2**18))
        else:
            yield rng.integers(0, 2**64, min(count, 2**18), dtype=np.uint64).view(np.float64)


def error(name: str, loop: Function, chunks: Iterator[np.ndarray], wide: Any) -> tuple[float, float]:
    """The largest error over all chunks, and the argument."""
    worst, place = 0.0, 0.0
    for x in chunks:
        y = np.empty_like(x)
        loop(x, y)
        exact = exact_erf(x) if name == "erf" and wide is np.longdouble else NUMPY[name](x.astype(wide))
        found, where = largest_error(y, exact)
        if found > worst:
            worst, place = found, float(x[where])
    return worst, place


def nanoseconds(run: Function) -> float:
    """The time of one element."""
    best = float("inf")
    for _ in range(100):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best * 1e9 / 100_000


def main(every: int = 37, count: int = 2_000_000) -> None:
    np.seterr(all="ignore")
    print(f"{'function':<9}{'dtype':<9}{'largest error':>14}{'at':>14}{'Gradus':>12}{'NumPy':>12}")
    for name in RANGES:
        loop = over_arrays(getattr(scalar, name))
        for dtype in (np.float32, np.float64):
            if dtype is np.float32:
                worst, place = error(name, loop, patterns(every), np.float64)
            else:
                worst, place = error(name, loop, samples(name, 20_000 if name == "erf" else count), np.longdouble)
            low, high = max(RANGES[name][0], -10), min(RANGES[name][1], 10)
            x = np.random.default_rng(0).uniform(low, high, 100_000).astype(dtype)
            out = np.empty_like(x)
            times = nanoseconds(partial(loop, x, out)), nanoseconds(partial(NUMPY[name], x))
            print(f"{name:<9}{dtype.__name__:<9}{worst:>10.2f} ulp{place:>14.6g}{times[0]:>9.3f} ns{times[1]:>9.3f} ns", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))

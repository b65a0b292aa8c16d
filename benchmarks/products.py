"""Matrix products of compiled code on one thread: our kernels, panels of either factor and inner products, beside OpenBLAS, in turns.

Rates in 10⁹ operations a second. N and T: whether a factor lies in memory as it is or transposed. "chosen" is what
:func:`gradus.compiler.products.quickest` takes, "gain" how much longer the library needs. Between two products a few megabytes are
written, so that both begin with cold caches.

    python benchmarks/products.py [M N K NT …]
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # before a library reads them: each chooses as it does for its users
    for _name in [name for name in os.environ if name.startswith("OPENBLAS_")]:
        del os.environ[_name]

import time
from collections.abc import Callable

import numba
import numpy as np

import gradus
from gradus.compiler import products
from gradus.kernels import gemm
from gradus.kernels.products import sgemm

SHAPES = """
128 512 784 NT  128 512 512 NT  128 512 512 NN  512 784 128 TN  512 512 128 TN
64 50 784 NT    50 784 64 TN    128 10 512 NT   10 512 128 TN
768 384 128 NT  768 128 128 NT  768 512 128 NT  768 128 512 NT  768 65 128 NT
768 128 384 NN  768 512 128 NN  768 128 512 NN  384 128 768 TN  512 128 768 TN  128 512 768 TN  65 128 768 TN
64 128 3136 NT  64 3136 128 NN  128 3136 64 TN  64 1200 300 NT  256 1024 1024 NT  1000 1000 1000 NN
1 512 784 NT    4 512 784 NT    8 512 784 NT    32 512 784 NT   1 2048 2048 NT
64 64 32 NT     64 32 64 NN     64 64 64 NN     100 100 100 NT
""".split()
TURNS, FLUSHED = 40, 3 << 18


@numba.njit(error_model="numpy")
def library(a, b, c, a_turned, b_turned, m, n, k, a_leading, b_leading, room, across):
    sgemm(a_turned, b_turned, m, n, k, 1.0, a, a_leading, b, b_leading, 0.0, c, n)


@numba.njit(error_model="numpy")
def ours(a, b, c, a_turned, b_turned, m, n, k, a_leading, b_leading, room, across):
    gemm.multiply(a, b, c, a_turned, b_turned, m, n, k, a_leading, b_leading, n, np.float32(1), False, room, across, 0)


@numba.njit(error_model="numpy")
def rows(a, b, c, a_turned, b_turned, m, n, k, a_leading, b_leading, room, across):
    gemm.multiply_rows(a, b, c, m, n, k, a_leading, b_leading, n, np.float32(1), room, 0)


def rates(m: int, n: int, k: int, form: str) -> dict[str, float]:
    """GF/s of each way at its shortest."""
    a_turned, b_turned = form[0] == "T", form[1] == "T"
    rng = np.random.default_rng(0)
    a, b = (rng.random(shape, np.float32) for shape in ((k, m) if a_turned else (m, k), (n, k) if b_turned else (k, n)))
    c, across = np.empty((m, n), np.float32), np.empty(m * n, np.float32)
    room = np.empty(gemm.JOB + (max(m, n) + gemm.WIDTH) * k, np.float32)
    places = [x.ctypes.data for x in (a, b, c)]
    rest = (a_turned, b_turned, m, n, k, a.shape[1], b.shape[1], room.ctypes.data)
    flushed = np.zeros(FLUSHED, np.float32)
    ways: dict[str, tuple[Callable[..., None], int]] = {"library": (library, 0), "second": (ours, 0), "first": (ours, across.ctypes.data)}
    if form == "NT":
        ways["inner"] = (rows, 0)
    if min(m, n) < products.TALL:
        del ways["second"], ways["first"]
    shortest = dict.fromkeys(ways, float("inf"))
    for _ in range(TURNS):
        for name, (way, turned) in ways.items():
            flushed += 1
            begin = time.perf_counter()
            way(*places, *rest, turned)
            shortest[name] = min(shortest[name], time.perf_counter() - begin)
            np.testing.assert_allclose(c, (a.T if a_turned else a) @ (b.T if b_turned else b), rtol=1e-4)
    return {name: 2 * m * n * k / seconds / 1e9 for name, seconds in shortest.items()}


def main(words: list[str]) -> None:
    gradus.set_num_threads(1)
    words = words or SHAPES
    print(f"{'m':>5}{'n':>6}{'k':>6}{'':>5}{'library':>9}{'second':>8}{'first':>7}{'inner':>7}  chosen    gain")
    for place in range(0, len(words), 4):
        m, n, k = map(int, words[place : place + 3])
        form = words[place + 3]
        found = rates(m, n, k, form)
        chosen = products.quickest("s", m, n, k, (form[0] == "T", form[1] == "T"), False)
        rates_of = {way: f"{found[way]:.0f}" if way in found else "-" for way in ("library", "second", "first", "inner")}
        numbers = f"{rates_of['library']:>9}{rates_of['second']:>8}{rates_of['first']:>7}{rates_of['inner']:>7}"
        print(f"{m:5}{n:6}{k:6}{form:>5}{numbers}  {chosen:<9}{found[chosen] / found['library']:5.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

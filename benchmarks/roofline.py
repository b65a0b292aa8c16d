"""How near kernels come to what the machine can do, both measured in the same run.

The machine: float32 matrix products with the best library at hand, and copies inside each level of memory. Then, for every kernel of a
compiled step, its arithmetic and its traffic per second, as shares of those limits.

    python benchmarks/roofline.py [WORKLOAD] [THREADS]
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # before NumPy reads them
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[_name] = sys.argv[2] if len(sys.argv) > 2 else "1"

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from machine import caches

SIZES = (256, 512, 1024)  # of square matrices
Product = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]  # (a, b, out)


class Row(NamedTuple):
    """One kernel of a compiled step."""

    kernel: str
    flops: float
    bytes: float  # read and written, each array once
    seconds: float  # of one call


class Limits(NamedTuple):
    """What the machine does at best."""

    library: str
    flops: float  # a second, float32 matrix product
    bandwidth: dict[str, tuple[int, float]]  # level: (bytes touched, bytes a second, read and written)


def fastest(call: Callable[[], Any], seconds: float = 0.3) -> float:
    """The least time of a call; short calls are timed many at a time."""
    call()
    begin = time.perf_counter()
    call()
    repeat = max(1, round(1e-3 / max(time.perf_counter() - begin, 1e-9)))
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(repeat):
            call()
        least = min(least, (time.perf_counter() - begin) / repeat)
    return least


def product() -> tuple[str, Product]:
    """The name of the library and its float32 matrix product: the one Gradus has chosen, or NumPy's."""
    from gradus import blas

    chosen = blas.library()
    if chosen.openblas is None:
        return "NumPy", lambda a, b, out: np.matmul(a, b, out=out)
    return f"{chosen.name} {chosen.core}".strip(), chosen.openblas.product


def copy_bandwidth(size: int) -> float:
    """Bytes read and written per second by a copy that touches ``size`` bytes in all."""
    source = np.ones(size // 8, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: np.copyto(target, source))


def limits() -> Limits:
    name, multiply = product()
    best = 0.0
    for n in SIZES:
        a, b, out = (np.ones((n, n), np.float32) for _ in range(3))
        best = max(best, 2 * n**3 / fastest(lambda a=a, b=b, out=out: multiply(a, b, out)))
    known = {level: size for level, size in caches().items() if level != "L1"} or {"L2": 2**20, "L3": 2**24}
    sizes = {level: size // 2 for level, size in known.items()} | {"memory": max(16 * max(known.values()), 2**28)}
    return Limits(name, best, {level: (size, copy_bandwidth(size)) for level, size in sizes.items()})


def level_of(size: float, bandwidth: dict[str, tuple[int, float]]) -> str:
    """Where so many bytes lie if nothing else does: the smallest level that holds them."""
    return next((level for level, (measured, _) in bandwidth.items() if size <= 2 * measured), "memory")


def roofline(rows: Iterable[Row], limits: Limits) -> str:
    """A line a kernel, the most expensive first: what it does per second, and its share of the bound that the roofline model gives it."""
    rows = sorted(rows, key=lambda row: -row.seconds)
    total, bound = sum(row.seconds for row in rows), 0.0
    lines = [f"{'kernel':<40}{'time':>10}{'of step':>9}{'GF/s':>8}{'GB/s':>8}  {'bound by':<9}{'share of bound':>14}"]
    for row in rows:
        level = level_of(row.bytes, limits.bandwidth)
        arithmetic, traffic = row.flops / limits.flops, row.bytes / limits.bandwidth[level][1]
        least = max(arithmetic, traffic)
        bound += least
        by = "products" if arithmetic >= traffic else level
        speeds = f"{row.flops / row.seconds / 1e9:>8.1f}{row.bytes / row.seconds / 1e9:>8.1f}"
        lines.append(
            f"{row.kernel[:39]:<40}{row.seconds * 1e6:>7.1f} µs{row.seconds / total:>9.1%}{speeds}  {by:<9}{least / row.seconds:>14.0%}"
        )
    lines.append(f"{'all kernels':<40}{total * 1e6:>7.1f} µs{1:>9.1%}{'':>16}  {'':<9}{bound / total:>14.0%}")
    return "\n".join(lines)


def of_compiled(compiled: Any) -> list[Row]:
    """Rows out of what ``gradus.compile`` reports of itself after a few calls."""
    return [Row(row.name, row.flops, row.bytes, row.seconds) for row in compiled.report().rows]


def main(workload: str | None = None, threads: str = "1") -> None:
    found = limits()
    print(f"{threads} thread(s); products with {found.library}: {found.flops / 1e9:.0f} GF/s")
    for level, (size, speed) in found.bandwidth.items():
        print(f"copy within {level} ({size / 2**20:g} MiB): {speed / 1e9:.0f} GB/s read and written")
    if workload is None:
        return
    from engines import with_gradus
    from workloads import WORKLOADS

    chosen = WORKLOADS[workload]
    with_gradus.set_threads(int(threads))
    unit = getattr(with_gradus, chosen.KIND)(chosen, chosen.start(np.random.default_rng(0)), True)
    for batch in unit.arguments[:10]:
        unit.call(*batch)
    print("\n" + chosen.TITLE + "\n" + roofline(of_compiled(unit.call), found))


if __name__ == "__main__":
    main(*sys.argv[1:3])

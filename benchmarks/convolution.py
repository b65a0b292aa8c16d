"""Convolution and pooling kernels of compiled code: 10⁹ operations a second beside a plain matrix product and PyTorch's, taken in turns.

Operations are those of the definition, so that ways that need fewer (Winograd's) show up as faster; pooling is given in GB/s read and
written. Each line: least and median processor time of a call (time in which other programs ran does not count, what they did to the
caches does), its rate at the least time, PyTorch's with channels last, and the kernel. A call comes after another one's arrays.

    python benchmarks/convolution.py [SHAPE …] [--ways]      # --ways: every way that can compute a shape, not only the chosen one
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # before NumPy reads them
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[_name] = "1"

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.native import function_of
from gradus.fused import conv_kernels, pool_kernels

TURNS = 40
OPS = ("conv2d", "input_gradient", "weight_gradient")


class Case(NamedTuple):
    """A convolution: images, kernels, and how they meet."""

    images: tuple[int, ...]
    kernels: tuple[int, ...]
    stride: int = 1
    padding: tuple[int, int] = (1, 1)
    groups: int = 1


CASES = {
    "first": Case((64, 1, 28, 28), (32, 1, 3, 3)),
    "second": Case((64, 32, 14, 14), (64, 32, 3, 3)),
    "colours": Case((32, 3, 32, 32), (32, 3, 3, 3)),
    "eight": Case((32, 8, 28, 28), (8, 8, 3, 3)),
    "sixteen": Case((32, 16, 28, 28), (16, 16, 3, 3)),
    "large": Case((4, 64, 56, 56), (64, 64, 3, 3)),
    "deep": Case((16, 128, 8, 8), (128, 128, 3, 3)),
    "lenet": Case((64, 6, 14, 14), (16, 6, 5, 5), padding=(0, 0)),
    "strided": Case((32, 32, 28, 28), (64, 32, 3, 3), stride=2),
    "pointwise": Case((32, 64, 14, 14), (128, 64, 1, 1), padding=(0, 0)),
    "sequence": Case((32, 16, 1, 128), (32, 16, 1, 5), padding=(0, 2)),
    "grouped": Case((32, 32, 14, 14), (64, 8, 3, 3), groups=4),
    "depthwise": Case((32, 64, 14, 14), (64, 1, 3, 3), groups=64),
}
POOLS = {"pool first": (64, 32, 28, 28), "pool second": (64, 64, 14, 14)}


def prepared(claim: Any, arrays: list[np.ndarray]) -> Callable[[], Any]:
    """A call of the kernel that a claim names, on these arrays and scratch memory of its own."""
    scratch = [np.zeros(elements, dtype) for elements, dtype in claim.scratch]
    function = function_of(claim.function, [a.ctypes.data for a in (*arrays, *scratch)] + [int(n) for n in claim.integers])

    def call(kept: Any = (arrays, scratch)) -> None:
        function()

    return call


def measured(calls: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, float]]:
    """Least and median seconds of each, taken in turns, so that a busy moment of the machine meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(TURNS):
        for name, call in calls.items():
            begin = time.thread_time()
            call()
            times[name].append(time.thread_time() - begin)
    return {name: (min(found), sorted(found)[TURNS // 2]) for name, found in times.items()}


def matrix_product() -> tuple[float, Callable[[], Any]]:
    """Operations and call of a product of 512 x 512 matrices with the library that kernels call."""
    from gradus import blas

    library = blas.library().openblas
    if library is None:
        raise SystemExit("no library of matrix products besides NumPy's: pip install gradus-dl[fast]")
    a, b, out = (np.ones((512, 512), np.float32) for _ in range(3))
    return 2 * 512**3, lambda: library.product(a, b, out)


def of_torch(case: Case, op: str, x: np.ndarray, w: np.ndarray, g: np.ndarray) -> Callable[[], Any]:
    """The same in PyTorch, channels last."""
    import torch

    torch.set_num_threads(1)
    images, cotangent = [torch.tensor(a).contiguous(memory_format=torch.channels_last) for a in (x, g)]
    kernels, step, pad = torch.tensor(w), (case.stride,) * 2, case.padding
    if op == "conv2d":
        return lambda: torch.nn.functional.conv2d(images, kernels, None, step, pad, 1, case.groups)
    wanted = [op == "input_gradient", op == "weight_gradient", False]
    return lambda: torch.ops.aten.convolution_backward(
        cotangent, images, kernels, None, step, pad, (1, 1), False, (0, 0), case.groups, wanted
    )


def ways(op: str, s: conv_kernels.Shape) -> dict[str, Any]:
    """All kernels that can compute a shape."""
    found = {"columns": conv_kernels.by_columns({"conv2d": "forward"}.get(op, op), s)}
    if s.stride == (1, 1):
        turned = s.turned() if op == "input_gradient" else s
        definition = (
            conv_kernels.sums_by_definition(s) if op == "weight_gradient" else conv_kernels.by_definition(turned, int(turned is not s))
        )
        found["definition"] = definition
        if conv_kernels.suits_tiles(s, 1):
            tiles = conv_kernels.sums_by_tiles(s) if op == "weight_gradient" else conv_kernels.by_tiles(turned, int(turned is not s))
            found["tiles"] = tiles
    return found


def convolution(name: str, case: Case, all_ways: bool) -> None:
    rng = np.random.default_rng(0)
    (B, _, H, W), (O, _, *kernel) = case.images, case.kernels
    down, across = [(n + 2 * p - k) // case.stride + 1 for n, p, k in zip((H, W), case.padding, kernel, strict=True)]
    x, w, g = (rng.standard_normal(shape).astype(np.float32) for shape in (case.images, case.kernels, (B, O, down, across)))
    step: Any = (case.stride,) * 2
    around: Any = tuple((p, p) for p in case.padding)
    params = {"stride": step, "padding": around, "dilation": (1, 1), "groups": case.groups}
    shape = conv_kernels.shape_of(x, w, g, params)
    assert shape is not None
    for op, arrays in zip(OPS, ([x, w, np.empty_like(g)], [g, w, np.empty_like(x)], [x, g, np.empty_like(w)]), strict=True):
        chosen = getattr(conv_kernels, op)(arrays[:2], arrays[2], params)
        claims = {chosen.function: chosen} | (ways(op, shape) if all_ways else {})
        flops, product = matrix_product()
        calls = {key: prepared(claim, arrays) for key, claim in claims.items()}
        times = measured({"product": product, "torch": of_torch(case, op, x, w, g), **calls})
        rate = flops / times["product"][0] / 1e9
        for key in calls:
            least, median = times[key]
            mine, theirs = shape.flops / least / 1e9, shape.flops / times["torch"][0] / 1e9
            line = f"{name:<10} {op:<16}{least * 1e3:>8.3f}{median * 1e3:>8.3f} ms {mine:>6.0f} GF/s {mine / rate:>5.0%} of {rate:.0f}"
            print(f"{line}  PyTorch {theirs:>4.0f}  {times['torch'][0] / least:>5.2f}x  {key}", flush=True)


def pooling(name: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    y = np.empty((*shape[:2], shape[2] // 2, shape[3] // 2), np.float32)
    params = {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    out = SimpleNamespace(shape=x.shape, dtype=x.dtype)
    calls = {
        "max_pool2d": prepared(pool_kernels.max_pool2d([x], y, params), [x, y]),
        "max_pool2d_gradient": prepared(pool_kernels.max_pool2d_gradient([y, x], out, params), [y, x, np.empty_like(x)]),
    }
    target = np.empty_like(x)
    times = measured({"copy": lambda: np.copyto(target, x), **calls})
    traffic = {"copy": 2 * x.nbytes, "max_pool2d": x.nbytes + y.nbytes, "max_pool2d_gradient": 2 * x.nbytes + y.nbytes}
    for op, (least, median) in times.items():
        print(f"{name:<10} {op:<20}{least * 1e3:>8.3f}{median * 1e3:>8.3f} ms {traffic[op] / least / 1e9:>6.1f} GB/s", flush=True)


def main(names: list[str]) -> None:
    wanted = [name for name in names if not name.startswith("--")]
    for name, case in CASES.items():
        if not wanted or name in wanted:
            convolution(name, case, "--ways" in names)
    for name, shape in POOLS.items():
        if not wanted or name in wanted:
            pooling(name, shape)


if __name__ == "__main__":
    main(sys.argv[1:])

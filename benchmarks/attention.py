"""Attention with its gradients, compiled: as one op in blocks of queries beside the matrices of all pairs, in turns.

Each line: least processor time of a forward and backward pass (time in which other programs ran does not count), and the memory that a run
needs beside its arguments and results. Both ways are measured, whichever the compiler would choose.

    python benchmarks/attention.py [SHAPE …]      # SHAPE as 12x4x64x32: batch, heads, queries, width
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # before NumPy reads them
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[_name] = "1"

import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

import gradus
from gradus.compiler.passes import attention

F = gradus.nn.functional
SHAPES = ("64x4x8x32", "32x4x16x32", "24x4x32x32", "12x4x64x32", "12x4x128x32", "12x4x256x32", "2x4x1024x32", "12x4x64x64", "4x4x256x64")
SECONDS = 0.5  # for each way of a shape


def step(causal: bool) -> Callable[..., Any]:
    """Forward and backward."""

    def both(q: Any, k: Any, v: Any) -> Any:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        y.backward(y.detach())
        return y

    return gradus.compile(both, tier="native")


def ready(causal: bool, tensors: list[Any], blocks: bool) -> Callable[..., Any]:
    """A compiled step that has run."""
    run = step(causal)
    with mock.patch.object(attention, "pays", return_value=blocks):
        for _ in range(3):
            once(run, tensors)
    return run


def once(run: Callable[..., Any], tensors: list[Any]) -> float:
    """Seconds of a call."""
    for t in tensors:
        t.grad = None
    begin = time.thread_time()
    run(*tensors)
    return time.thread_time() - begin


def main(words: list[str]) -> None:
    gradus.set_num_threads(1)
    print(f"{'batch x heads x queries x width':<33}{'matrices':>20}{'blocks':>20}{'times faster':>14}")
    rng = np.random.default_rng(0)
    for word in words or SHAPES:
        shape = tuple(map(int, word.split("x")))
        for causal in (False, True):
            tensors = [gradus.tensor(rng.standard_normal(shape).astype(np.float32)).requires_grad_() for _ in range(3)]
            runs = {blocks: ready(causal, tensors, blocks) for blocks in (False, True)}
            least = dict.fromkeys(runs, float("inf"))
            end = time.perf_counter() + 2 * SECONDS
            while time.perf_counter() < end:
                for blocks, run in runs.items():
                    least[blocks] = min(least[blocks], once(run, tensors))
            cells = [f"{least[blocks] * 1e6:9.0f} µs {runs[blocks].report().peak / 1e6:5.1f} MB" for blocks in (False, True)]
            print(f"{word + (' causal' if causal else ''):<33}{cells[0]:>20}{cells[1]:>20}{least[False] / least[True]:>14.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

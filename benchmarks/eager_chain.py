"""What one small op costs, forward and backward, beside PyTorch: chains of 1,000 ops on 8 floats.

The same code runs with both libraries, in turn, on one thread; at this size nearly all of the time is the library's own.
Printed are microseconds an op (minimum and median over the rounds) and the ratio of each pair of runs.

    python benchmarks/eager_chain.py [rounds]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

OPS = 1000
SIZE = 8


def multiply_and_add(y: Any, w: Any, b: Any) -> Any:
    """500 times: one product, one sum."""
    for _ in range(OPS // 2):
        y = y * w
        y = y + b
    return y


def six_kinds(y: Any, w: Any, b: Any) -> Any:
    """In turn: product, sum, tanh, sum of all elements (and its addition to the first half of them), reshape, indexing."""
    for _ in range(OPS // 6):
        y = y * w
        y = y + b
        y = y.tanh()
        y = y.reshape(2, 4)
        y = y.sum(0)
        y = y[INDEX]
    return y


INDEX = [0, 1, 2, 3, 0, 1, 2, 3]
CHAINS: dict[str, tuple[Callable[..., Any], float]] = {
    "mul, add": (multiply_and_add, 0.75),
    "mul, add, tanh, reshape, sum, index": (six_kinds, 1.0),
}


def seconds(library: Any, chain: Callable[..., Any]) -> float:
    """One forward and backward pass."""
    x = library.ones(SIZE, requires_grad=True)
    w, b, g = library.full((SIZE,), 0.999), library.full((SIZE,), 0.001), library.ones(SIZE)
    start = time.perf_counter()
    chain(x, w, b).backward(g)
    return time.perf_counter() - start


def main(rounds: int = 100) -> None:
    import torch

    import gradus

    torch.set_num_threads(1)
    print(
        f"{'chain':<38}{'Gradus min':>11}{'median':>9}{'PyTorch min':>13}{'median':>9}{'ratio of min':>14}{'median ratio':>14}{'goal':>7}"
    )
    for name, (chain, goal) in CHAINS.items():
        times: dict[str, list[float]] = {"gradus": [], "torch": []}
        for done in range(rounds + 5):
            for library in (gradus, torch):
                took = seconds(library, chain)
                if done >= 5:
                    times[library.__name__].append(took / OPS * 1e6)
        ours, theirs = times["gradus"], times["torch"]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        figures = f"{min(ours):>8.2f} µs{statistics.median(ours):>6.2f} µs{min(theirs):>10.2f} µs{statistics.median(theirs):>6.2f} µs"
        print(f"{name:<38}{figures}{min(ours) / min(theirs):>14.2f}{ratio:>14.2f}{goal:>7.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))

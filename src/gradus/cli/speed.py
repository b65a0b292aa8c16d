"""``gradus bench``: one training step here, run op by op and compiled."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import gradus
from gradus import blas, nn, optim
from gradus.compiler.tiers import kernels_installed

BATCH, SIZES = 64, (784, 50, 10)
WARM_UP = 3  # calls until a compiled step is compiled
TURN = 0.02  # s, at least one call


class Timing(NamedTuple):
    """Seconds of one way to run the step."""

    first: float  # the first calls, above as many later ones
    turns: list[float]  # a step, in each turn
    loss: float  # after the last step


def make_step() -> Callable[[Any, Any], Any]:
    """Loss, gradients and the optimiser's step of a small network, always from the same weights."""
    gradus.manual_seed(0)
    model = nn.Sequential(nn.Linear(SIZES[0], SIZES[1]), nn.ReLU(), nn.Linear(SIZES[1], SIZES[2]))
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def race(steps: dict[str, Callable[[Any, Any], Any]], rounds: int) -> dict[str, Timing]:
    """Time the steps in turn, so that a busy moment meets all of them."""
    rng = np.random.default_rng(0)
    x = gradus.tensor(rng.random((BATCH, SIZES[0]), np.float32))
    y = gradus.tensor(rng.integers(0, SIZES[-1], BATCH))

    def seconds(step: Callable[[Any, Any], Any], calls: int) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            step(x, y)
        return time.perf_counter() - begin

    first = {name: seconds(step, WARM_UP) for name, step in steps.items()}
    calls = {name: max(1, round(TURN / seconds(step, 1))) for name, step in steps.items()}
    turns: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            turns[name].append(seconds(step, calls[name]) / calls[name])
    return {
        name: Timing(max(0.0, first[name] - WARM_UP * statistics.median(turns[name])), turns[name], float(step(x, y).detach()))
        for name, step in steps.items()
    }


def print_speed(rounds: int) -> None:
    """Print what a step costs, eager and compiled, and where the comparison with other libraries is."""
    tier = None if kernels_installed() else "numpy"
    steps = {"eager": make_step(), "compiled": gradus.compile(make_step(), tier=tier)}
    library = blas.library()
    print(f"One training step: MLP {'-'.join(map(str, SIZES))}, batch {BATCH}, SGD; {blas.get_num_threads()} thread(s), {rounds} turns")
    print(f"Matrix products of compiled steps: {library.name} {library.core}".rstrip())
    timings = race(steps, rounds)
    eager = min(timings["eager"].turns)
    for name, timing in timings.items():
        least, middle = min(timing.turns), statistics.median(timing.turns)
        more = "" if name == "eager" else f"   {eager / least:.1f} times as fast; compiling took {timing.first:.2f} s"
        print(f"{name:<10}{least * 1e6:>8.1f} µs at best{middle * 1e6:>9.1f} µs median{more}")
    if tier:
        print('Compiled for NumPy alone: pip install "gradus-dl[fast]" makes kernels, which are faster')
    print("Beside PyTorch, JAX and HIPS/autograd, ten workloads: `make bench` in the source tree")

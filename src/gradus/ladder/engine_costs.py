"""What a training step costs: the engines on the clock, and what share are products of matrices.

`timings` asks what Eisenschlos' text promises: that differentiating in advance, not while running,
makes a dramatic difference. `work` and `matrix_products` weigh the claim that deep learning is
products of matrices and reverse-mode differentiation, and nothing but these.

Sources: "Building the foundations of Deep Learning from scratch" (the claim); Julian Eisenschlos,
Neural Networks in 100 lines of pure Python, 2019.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from gradus.ladder.complex_step import Network, make_network
from gradus.ladder.engines import engines, gradus_program, with_gradus


class Timing(NamedTuple):
    """An engine, its step's time in microseconds (median), and Gradus' uncompiled time over it."""

    engine: str
    microseconds: float
    speed: float


def timings(
    network: Network | None = None, repeats: int = 200, tier: str | None = None
) -> list[Timing]:
    """Loss and gradients in float32, timed in turns: a busy machine is unfair to all alike.

    Compiling pays most where products are small and everything around them weighs: try
    `make_network(dtype=np.float32)`.

    >>> [row.engine for row in timings(repeats=2, tier="numpy")]
    ['layers', 'closures', 'tape', 'gradus compiled', 'gradus']
    """
    if network is None:
        network = make_network(n=64, widths=(784, 50, 10), dtype=np.float32)
    makers = engines(tier)
    makers["gradus"] = lambda network: with_gradus(network, compiled=False)
    steps = {name: make(network) for name, make in makers.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(seconds)) * 1e6 for name, seconds in times.items()}
    return [Timing(name, median, medians["gradus"] / median) for name, median in medians.items()]


class Work(NamedTuple):
    """Multiplications, additions and comparisons of one training step, and the products' share."""

    forward_products: int
    backward_products: int
    elsewhere: int
    share: float


def work(n: int = 100, widths: tuple[int, int, int] = (784, 50, 10)) -> Work:
    """Of all arithmetic in a step, how much is products of matrices?

    The claim holds for batches; with one example at a time the update, which is neither product nor
    derivative, does a third of the work.

    A product (n, a) by (a, b) takes 2·n·a·b. For the gradients two more products follow each, but
    the first layer's input needs none: nobody asks for the gradient of the data. Elsewhere are
    biases, ReLU and loss, each forward and backward, and the update, two operations a parameter.

    >>> work().share > 0.98
    True
    """
    n_in, hidden, n_out = widths
    first, second = 2 * n * n_in * hidden, 2 * n * hidden * n_out
    # A hidden entry: bias, relu, mask, product, bias gradient. An output: bias, difference, square,
    # sum, two factors, bias gradient.
    entrywise = 5 * n * hidden + 7 * n * n_out
    update = 2 * (n_in * hidden + hidden + hidden * n_out + n_out)
    forward, backward, elsewhere = first + second, first + 2 * second, entrywise + update
    products = forward + backward
    return Work(forward, backward, elsewhere, products / (products + elsewhere))


def matrix_products(network: Network | None = None) -> int:
    """How many products of matrices the compiled step holds: two forward, three back.

    The sixth, for the gradient of x, is not there.

    >>> matrix_products()
    5
    """
    network = make_network() if network is None else network
    program, *_ = gradus_program(network, compiled=True, tier="numpy")
    return sum(call.record.name == "matmul" for call in program.graph.calls)

"""The gradient of a weight in three ways: what outer products cost in memory and in time.

Every example gives an outer product of its input and its gradient, and the weight's gradient is
their sum. Whoever forms them all before adding needs them all in memory.

Sources: M. Heinzer, "Creating a Neural Network from scratch - Part I", 2020 (the outer products);
J. Howard, S. Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020, chapter 17, and the
course behind it (times of the weight gradient).
"""

from __future__ import annotations

import time
import tracemalloc
from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.classification import CrossEntropy
from gradus.ladder.layers import Linear, Model, ReLU


class Way(NamedTuple):
    """One way to the weight gradient: seconds, most bytes at once, distance from x.T @ g.

    The bytes are those beyond the inputs.
    """

    name: str
    seconds: float
    peak_bytes: int
    error: float


def weight_gradient_ways(
    n: int = 100, inputs: int = 784, outputs: int = 50, seed: int = 0, dtype: Any = np.float64
) -> list[Way]:
    """Σ_i x_i g_iᵀ by outer products (n·inputs·outputs numbers), by einsum, by x.T @ g.

    For 50,000 images, 784 inputs, 50 outputs in float64 the outer products are 15.68 GB.

    >>> [way.name for way in weight_gradient_ways(n=5) if way.error < 1e-12]
    ['outer products', 'einsum', 'x.T @ g']
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, inputs)).astype(dtype)
    g = rng.standard_normal((n, outputs)).astype(dtype)
    true, rows = x.T @ g, []
    for name, way in {
        "outer products": lambda: (x[:, :, None] * g[:, None, :]).sum(axis=0),
        "einsum": lambda: np.einsum("ni,no->io", x, g),
        "x.T @ g": lambda: x.T @ g,
    }.items():
        tracemalloc.start()
        error = float(np.abs(way() - true).max())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        start = time.perf_counter()
        way()
        rows.append(Way(name, time.perf_counter() - start, peak, error))
    return rows


class FullBatch(NamedTuple):
    """Seconds of one pass forward and one backward with all examples at once."""

    forward: float
    backward: float


def full_batch_times(n: int = 50_000, hidden: int = 50, seed: int = 0) -> FullBatch:
    """784 -> hidden -> 10 on n examples in one batch.

    With the outer products of the weight gradient, backward would not fit into memory.

    >>> times = full_batch_times(n=100)
    >>> times.forward > 0 and times.backward > 0
    True
    """
    rng = np.random.default_rng(seed)
    x, t = rng.standard_normal((n, 784), dtype=np.float32), rng.integers(10, size=n)
    model = Model([Linear(784, hidden, rng), ReLU(), Linear(hidden, 10, rng)], CrossEntropy())
    start = time.perf_counter()
    model.loss(model(x), t)
    between = time.perf_counter()
    model.backward()
    return FullBatch(between - start, time.perf_counter() - between)

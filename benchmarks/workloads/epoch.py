"""An epoch of Fashion-MNIST through the library's own data loader; the order of the rows is given, so that all see the same batches.

PyTorch loads whole batches by index (a ``BatchSampler`` as ``sampler``, in its documentation under "disable automatic batching"), which is
far faster than its default of one row at a time. JAX and HIPS/autograd have no loader: they index the array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.mlp_small import array_loss, loss, network
from workloads.parts import Start, dense, images

TITLE, UNIT, KIND = "Fashion-MNIST, MLP 784-50-10, batch 64, SGD, with the loader", "epoch", "epoch"
OPTIMIZER = ("SGD", {"lr": 0.1})
CHECKED, TOLERANCE, ROUNDS = 1, 5e-3, 5
ROWS, BATCH, ORDERS = 60_000, 64, 10  # the last 32 rows of an epoch are left out, so that all batches have one shape

__all__ = ["array_loss", "loss", "network"]


def start(rng: np.random.Generator) -> Start:
    x, y, source = images(rng, ROWS, "fashion")
    orders = np.stack([rng.permutation(ROWS) for _ in range(ORDERS)])
    return Start(dense(rng, "0", 784, 50) | dense(rng, "2", 50, 10), (x, y, orders), source)


def batches(order: Any) -> Any:
    """The indices of each batch, (batches, batch)."""
    return order[: ROWS - ROWS % BATCH].reshape(-1, BATCH)

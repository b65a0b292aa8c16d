"""A network of ordinary size: matrix products, and Adam's passes over 670,000 parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.mlp_small import loss
from workloads.parts import Start, cross_entropy, dense, images

TITLE, UNIT, KIND = "MLP 784-512-512-10, batch 128, Adam", "step", "training"
OPTIMIZER = ("Adam", {"lr": 1e-3})
CHECKED, TOLERANCE = 100, 1e-2  # 1e-6 on real images; on invented ones a ReLU that flips makes it 4e-3
BATCHES, BATCH = 40, 128

__all__ = ["loss"]


def start(rng: np.random.Generator) -> Start:
    x, y, source = images(rng, BATCHES * BATCH)
    weights = dense(rng, "0", 784, 512) | dense(rng, "2", 512, 512) | dense(rng, "4", 512, 10)
    return Start(weights, (x.reshape(BATCHES, BATCH, 784), y.reshape(BATCHES, BATCH)), source)


def network(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def array_loss(xp: Any, w: Any, x: Any, y: Any) -> Any:
    h = xp.maximum(x @ w["0.weight"].T + w["0.bias"], 0)
    h = xp.maximum(h @ w["2.weight"].T + w["2.bias"], 0)
    return cross_entropy(xp, h @ w["4.weight"].T + w["4.bias"], y)

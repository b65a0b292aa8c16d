"""A small network for digits: what a step costs beside its arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.parts import Start, cross_entropy, dense, images

TITLE, UNIT, KIND = "MLP 784-50-10, batch 64, SGD", "step", "training"
OPTIMIZER = ("SGD", {"lr": 0.1})
CHECKED, TOLERANCE = 100, 1e-4
BATCHES, BATCH = 50, 64


def start(rng: np.random.Generator) -> Start:
    x, y, source = images(rng, BATCHES * BATCH)
    weights = dense(rng, "0", 784, 50) | dense(rng, "2", 50, 10)
    return Start(weights, (x.reshape(BATCHES, BATCH, 784), y.reshape(BATCHES, BATCH)), source)


def network(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))


def loss(lib: Any, model: Any, x: Any, y: Any) -> Any:
    return lib.nn.functional.cross_entropy(model(x), y)


def array_loss(xp: Any, w: Any, x: Any, y: Any) -> Any:
    h = xp.maximum(x @ w["0.weight"].T + w["0.bias"], 0)
    return cross_entropy(xp, h @ w["2.weight"].T + w["2.bias"], y)

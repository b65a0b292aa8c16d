"""One row through a small network, as in a loop that must answer at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.parts import Start, dense

TITLE, UNIT, KIND = "MLP 64-64-10, inference, batch 1", "call", "inference"
CHECKED, TOLERANCE = 100, 1e-5
ROWS = 64
LEFT_OUT = {"autograd": "without gradients it is NumPy"}


def start(rng: np.random.Generator) -> Start:
    weights = dense(rng, "0", 64, 64) | dense(rng, "2", 64, 10)
    return Start(weights, (rng.random((ROWS, 1, 64), np.float32),), "random")


def network(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def output(lib: Any, model: Any, x: Any) -> Any:
    return model(x)


def jax_loss(w: Any, x: Any) -> Any:
    from jax import numpy as jnp

    return jnp.maximum(x @ w["0.weight"].T + w["0.bias"], 0) @ w["2.weight"].T + w["2.bias"]

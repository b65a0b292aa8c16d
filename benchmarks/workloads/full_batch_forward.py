"""The forward pass of :mod:`workloads.full_batch` alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads import full_batch
from workloads.parts import Start

TITLE, UNIT, KIND = "MLP 784-50-1 on 50,000 rows, MSE, forward alone", "pass", "inference"
CHECKED, TOLERANCE, ROUNDS = 1, 1e-4, 15
LEFT_OUT = {"autograd": "without gradients it is NumPy"}
NAMES = {"w1": "0.weight", "b1": "0.bias", "w2": "2.weight", "b2": "2.bias"}


def start(rng: np.random.Generator) -> Start:
    begin = full_batch.start(rng)
    return begin._replace(weights={NAMES[name]: value for name, value in begin.weights.items()})


def network(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 1))


def output(lib: Any, model: Any, x: Any, y: Any) -> Any:
    return lib.nn.functional.mse_loss(model(x), y)


def jax_loss(w: Any, x: Any, y: Any) -> Any:
    from jax import numpy as jnp

    return full_batch.array_loss(jnp, {name: w[theirs] for name, theirs in NAMES.items()}, x, y)

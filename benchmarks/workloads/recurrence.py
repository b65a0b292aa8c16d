"""Ten steps of a recurrence on single numbers, forward and backward: nothing but the cost of calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.parts import Start

TITLE, UNIT, KIND = "scalar recurrence of 10 steps, forward and backward", "pass", "gradient"
CHECKED, TOLERANCE = 100, 1e-5
STEPS = 10


def start(rng: np.random.Generator) -> Start:
    weights = {"w": np.array(0.9, np.float32), "b": np.array(0.1, np.float32)}
    return Start(weights, (rng.standard_normal(64, np.float32),), "random")


def value(lib: Any, w: Any, x: Any) -> Any:
    for _ in range(STEPS):
        x = (w["w"] * x + w["b"]).tanh()
    return x


def array_loss(xp: Any, w: Any, x: Any) -> Any:
    for _ in range(STEPS):
        x = xp.tanh(w["w"] * x + w["b"])
    return x

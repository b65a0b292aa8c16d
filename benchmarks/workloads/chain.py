"""The cost of one small op: the first chain of ``eager_chain.py``, 500 products and 500 sums on 8 floats, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
from eager_chain import SIZE, multiply_and_add

from workloads.parts import Start

TITLE, UNIT, KIND = "chain of 1,000 ops on 8 floats, forward and backward", "pass", "gradient"
CHECKED, TOLERANCE = 1, 1e-4
WHOLE = "it would turn the chain into one kernel; the cost of an op is what is measured here"
LEFT_OUT = {"gradus_compiled": WHOLE, "torch_compile": WHOLE, "jax": WHOLE}


def start(rng: np.random.Generator) -> Start:
    weights = {"x": np.ones(SIZE, np.float32)}
    return Start(weights, (np.full((1, SIZE), 0.999, np.float32), np.full((1, SIZE), 0.001, np.float32)), "constants")


def value(lib: Any, weights: Any, w: Any, b: Any) -> Any:
    return multiply_and_add(weights["x"], w, b).sum()


def array_loss(xp: Any, weights: Any, w: Any, b: Any) -> Any:
    return xp.sum(multiply_and_add(weights["x"], w, b))

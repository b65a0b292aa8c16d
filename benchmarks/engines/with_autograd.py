"""HIPS/autograd: derivatives of NumPy code, the optimiser in plain NumPy."""

from __future__ import annotations

from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from engines import NotApplicableError, Unit, at_once


def set_threads(count: int) -> None:
    """NumPy's BLAS has read the environment."""


def numbers(result: Any) -> list[float]:
    return [float(np.abs(part).mean()) for part in (result if isinstance(result, tuple) else (result,))]


def loss_of(workload: Any) -> Any:
    return partial(workload.array_loss, anp)


def training_step(workload: Any, start: Any) -> Any:
    name, options = workload.OPTIMIZER
    lr = options["lr"]
    gradients = value_and_grad(loss_of(workload))
    p = {n: value.copy() for n, value in start.weights.items()}
    m, v = ({n: np.zeros_like(value) for n, value in p.items()} for _ in range(2))
    t = 0

    def step(*batch: Any) -> Any:
        nonlocal t
        t += 1
        loss, g = gradients(p, *batch)
        for n in p:
            if name == "SGD":
                p[n] -= lr * g[n]
            else:
                m[n] += 0.1 * (g[n] - m[n])
                v[n] += 0.001 * (g[n] * g[n] - v[n])
                p[n] -= lr / (1 - 0.9**t) * m[n] / (np.sqrt(v[n] / (1 - 0.999**t)) + 1e-8)
        return loss

    return step


def training(workload: Any, start: Any, compile: bool) -> Unit:
    return Unit(training_step(workload, start), list(zip(*start.data, strict=True)), numbers, at_once)


def gradient(workload: Any, start: Any, compile: bool) -> Unit:
    gradients = value_and_grad(loss_of(workload))

    def flat(result: Any) -> list[float]:
        return numbers((result[0], *(result[1][name] for name in start.weights)))

    return Unit(lambda *batch: gradients(start.weights, *batch), list(zip(*start.data, strict=True)), flat, at_once)


def inference(workload: Any, start: Any, compile: bool) -> Unit:
    raise NotApplicableError("without gradients it is NumPy")


def epoch(workload: Any, start: Any, compile: bool) -> Unit:
    step = training_step(workload, start)
    x, y, orders = start.data

    def one_epoch(order: Any) -> Any:
        return np.mean([step(x[rows], y[rows]) for rows in workload.batches(order)])

    return Unit(one_epoch, [(order,) for order in orders], numbers, at_once)

"""JAX: one ``jit`` around the whole step, its parameters and optimiser state donated, so that they are updated in place.

JAX computes behind the caller's back; every call waits for its result, as the other libraries do.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from workloads.parts import Arrays

from engines import Unit, at_once

Tree = Any


def set_threads(count: int) -> None:
    """XLA reads its flags and the process's cores when it starts; both were set before."""
    assert len(jax.devices("cpu")) == 1 and (count > 1 or "eigen=false" in os.environ["XLA_FLAGS"])


def numbers(result: Any) -> list[float]:
    return [float(np.abs(np.asarray(part)).mean()) for part in (result if isinstance(result, tuple) else (result,))]


def loss_of(workload: Any) -> Any:
    return workload.jax_loss if hasattr(workload, "jax_loss") else partial(workload.array_loss, jnp)


def weights_of(workload: Any, start: Any) -> Tree:
    weights: Arrays = workload.jax_weights(start.weights) if hasattr(workload, "jax_weights") else start.weights
    return {name: jnp.array(value) for name, value in weights.items()}


def sgd(p: Any, g: Any, m: Any, v: Any, t: Any, lr: float) -> tuple[Any, Any, Any]:
    return p - lr * g, m, v


def adamw(p: Any, g: Any, m: Any, v: Any, t: Any, lr: float, weight_decay: float = 0.0) -> tuple[Any, Any, Any]:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    first, second = (-jnp.expm1(t * np.log(beta)) for beta in (0.9, 0.999))  # 1 - beta^t in float32 would lose four digits
    size = jnp.sqrt(v / second) + 1e-8
    return p * (1 - lr * weight_decay) - lr / first * m / size, m, v


RULES = {"SGD": sgd, "Adam": adamw, "AdamW": adamw}  # Adam here has no decay, so that the two are one


def training_step(workload: Any, start: Any) -> Any:
    name, options = workload.OPTIMIZER
    rule = partial(RULES[name], **options)
    value_and_grad = jax.value_and_grad(loss_of(workload))
    p = weights_of(workload, start)
    m, v = (({n: jnp.zeros(() if name == "SGD" else w.shape) for n, w in p.items()}) for _ in range(2))
    t = jnp.array(0.0)

    @partial(jax.jit, donate_argnums=(0, 1, 2, 3))
    def update(p: Tree, m: Tree, v: Tree, t: Any, *batch: Any) -> tuple[Tree, Tree, Tree, Any, Any]:
        loss, g = value_and_grad(p, *batch)
        t = t + 1
        new = {n: rule(p[n], g[n], m[n], v[n], t) for n in p}
        p, m, v = ({n: parts[i] for n, parts in new.items()} for i in range(3))
        return p, m, v, t, loss

    def step(*batch: Any) -> Any:
        nonlocal p, m, v, t
        p, m, v, t, loss = update(p, m, v, t, *batch)
        return loss.block_until_ready()

    return step


def arguments(start: Any) -> list[tuple[Any, ...]]:
    return [tuple(jnp.array(part) for part in batch) for batch in zip(*start.data, strict=True)]


def training(workload: Any, start: Any, compile: bool) -> Unit:
    return Unit(training_step(workload, start), arguments(start), numbers, at_once)


def gradient(workload: Any, start: Any, compile: bool) -> Unit:
    value_and_grad = jax.jit(jax.value_and_grad(loss_of(workload)))
    weights = weights_of(workload, start)

    def call(*batch: Any) -> Any:
        return jax.block_until_ready(value_and_grad(weights, *batch))

    def flat(result: Any) -> list[float]:
        return numbers((result[0], *(result[1][name] for name in start.weights)))

    return Unit(call, arguments(start), flat, at_once)


def inference(workload: Any, start: Any, compile: bool) -> Unit:
    output, weights = jax.jit(loss_of(workload)), weights_of(workload, start)
    return Unit(lambda *batch: output(weights, *batch).block_until_ready(), arguments(start), numbers, at_once)


def epoch(workload: Any, start: Any, compile: bool) -> Unit:
    step = training_step(workload, start)
    x, y, orders = start.data

    def one_epoch(order: Any) -> Any:
        losses = [step(x[rows], y[rows]) for rows in workload.batches(order)]
        return np.mean(losses)

    return Unit(one_epoch, [(order,) for order in orders], numbers, at_once)

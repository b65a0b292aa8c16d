"""A convolutional network for digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.mlp_small import loss
from workloads.parts import Arrays, Start, cross_entropy, dense, images, uniform

TITLE, UNIT, KIND = "CNN 1-32-64 (3×3, pooled), 3136-128-10, batch 64, Adam", "step", "training"
OPTIMIZER = ("Adam", {"lr": 1e-3})
CHECKED, TOLERANCE = 100, 1e-2
BATCHES, BATCH = 20, 64
TORCH_CHANNELS_LAST = True  # a quarter off PyTorch's step
LEFT_OUT = {"autograd": "it has no convolution layer"}

__all__ = ["loss"]


def start(rng: np.random.Generator) -> Start:
    x, y, source = images(rng, BATCHES * BATCH)
    weights = {"0.weight": uniform(rng, 9, 32, 1, 3, 3), "0.bias": uniform(rng, 9, 32)}
    weights |= {"3.weight": uniform(rng, 288, 64, 32, 3, 3), "3.bias": uniform(rng, 288, 64)}
    weights |= dense(rng, "7", 3136, 128) | dense(rng, "9", 128, 10)
    return Start(weights, (x.reshape(BATCHES, BATCH, 1, 28, 28), y.reshape(BATCHES, BATCH)), source)


def network(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def jax_weights(w: Arrays) -> Arrays:
    """XLA's convolutions on the CPU want channels last: kernels (H, W, in, out), and the linear layer reads (H, W, C)."""
    moved = {name: w[name].transpose(2, 3, 1, 0) for name in ("0.weight", "3.weight")}
    moved["7.weight"] = w["7.weight"].reshape(128, 64, 7, 7).transpose(0, 2, 3, 1).reshape(128, 3136)
    return w | {name: np.ascontiguousarray(value) for name, value in moved.items()}


def jax_loss(w: Any, x: Any, y: Any) -> Any:
    """Pooling by reshaping: three times as fast a step as with ``reduce_window``, whose gradient XLA's CPU compiler serves badly."""
    import jax
    from jax import numpy as jnp

    def convolved(h: Any, name: str) -> Any:
        layout = ("NHWC", "HWIO", "NHWC")
        h = jax.lax.conv_general_dilated(h, w[f"{name}.weight"], (1, 1), "SAME", dimension_numbers=layout) + w[f"{name}.bias"]
        B, H, W, C = h.shape
        return jnp.max(jax.nn.relu(h).reshape(B, H // 2, 2, W // 2, 2, C), axis=(2, 4))

    h = convolved(convolved(x.reshape(-1, 28, 28, 1), "0"), "3").reshape(-1, 3136)
    h = jax.nn.relu(h @ w["7.weight"].T + w["7.bias"])
    return cross_entropy(jnp, h @ w["9.weight"].T + w["9.bias"], y)

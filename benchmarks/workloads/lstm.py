"""A language model over characters with one LSTM: 64 sequences of 70 time steps, hidden size 300, the next character at every step."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.gpt import loss
from workloads.parts import Start, cross_entropy, dense, text, uniform

TITLE, UNIT, KIND = "LSTM language model, batch 64, T 70, hidden 300, Adam", "step", "training"
OPTIMIZER = ("Adam", {"lr": 1e-3})
CHECKED, TOLERANCE, ROUNDS = 100, 1e-2, 10
BATCHES, BATCH = 20, 64
LENGTH, HIDDEN, VOCABULARY = 70, 300, 65
LEFT_OUT = {"autograd": "it has no such layers"}

__all__ = ["loss"]


def start(rng: np.random.Generator) -> Start:
    x, y, source = text(rng, BATCHES, BATCH, LENGTH)
    weights = {"embedding.weight": rng.standard_normal((VOCABULARY, HIDDEN), np.float32)}
    for name in ("ih", "hh"):
        weights[f"lstm.weight_{name}_l0"] = uniform(rng, HIDDEN, 4 * HIDDEN, HIDDEN)
        weights[f"lstm.bias_{name}_l0"] = uniform(rng, HIDDEN, 4 * HIDDEN)
    return Start(weights | dense(rng, "head", HIDDEN, VOCABULARY), (x, y), source)


def network(lib: Any) -> Any:
    nn = lib.nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
            self.lstm = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
            self.head = nn.Linear(HIDDEN, VOCABULARY)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.lstm(self.embedding(tokens))[0])

    return Model()


def jax_loss(w: Any, x: Any, y: Any) -> Any:
    import jax
    from jax import numpy as jnp

    def cell(carry: Any, z: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(z + h @ w["lstm.weight_hh_l0"].T, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    x = w["embedding.weight"][x.T]  # (T, B, hidden)
    z = x @ w["lstm.weight_ih_l0"].T + w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]
    zero = jnp.zeros((BATCH, HIDDEN), jnp.float32)
    _, h = jax.lax.scan(cell, (zero, zero), z)
    logits = h @ w["head.weight"].T + w["head.bias"]
    return cross_entropy(jnp, logits.reshape(-1, VOCABULARY), y.T.reshape(-1))

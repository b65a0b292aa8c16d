"""A small language model over characters: pre-norm blocks, exact GELU, learned positions, no dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.parts import Arrays, Start, cross_entropy, dense, text

TITLE, UNIT, KIND = "GPT, 4 layers, d 128, 4 heads, T 64, B 12, AdamW", "step", "training"
OPTIMIZER = ("AdamW", {"lr": 1e-3, "weight_decay": 0.1})
CHECKED, TOLERANCE = 100, 1e-2
BATCHES, BATCH = 20, 12
LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY = 4, 128, 4, 64, 65
LEFT_OUT = {"autograd": "it has no such layers"}


def start(rng: np.random.Generator) -> Start:
    x, y, source = text(rng, BATCHES, BATCH, LENGTH)

    def norm(name: str) -> Arrays:
        return {f"{name}.weight": np.ones(WIDTH, np.float32), f"{name}.bias": np.zeros(WIDTH, np.float32)}

    weights = {"token.weight": 0.02 * rng.standard_normal((VOCABULARY, WIDTH), np.float32)}
    weights["position.weight"] = 0.02 * rng.standard_normal((LENGTH, WIDTH), np.float32)
    for layer in range(LAYERS):
        block = f"blocks.{layer}"
        weights |= norm(f"{block}.norm1") | norm(f"{block}.norm2")
        weights |= dense(rng, f"{block}.qkv", WIDTH, 3 * WIDTH) | dense(rng, f"{block}.out", WIDTH, WIDTH)
        weights |= dense(rng, f"{block}.up", WIDTH, 4 * WIDTH) | dense(rng, f"{block}.down", 4 * WIDTH, WIDTH)
    weights |= norm("norm") | dense(rng, "head", WIDTH, VOCABULARY)
    return Start(weights, (x, y), source)


def network(lib: Any) -> Any:
    nn, F = lib.nn, lib.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            B, T, C = x.shape
            q, k, v = (part.reshape(B, T, HEADS, C // HEADS).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(C, 2))
            h = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, heads, T, C / heads)
            x = x + self.out(h.transpose(1, 2).reshape(B, T, C))
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.position = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)

        def forward(self, tokens: Any) -> Any:
            x = self.token(tokens) + self.position.weight
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return GPT()


def loss(lib: Any, model: Any, x: Any, y: Any) -> Any:
    return lib.nn.functional.cross_entropy(model(x).reshape(-1, VOCABULARY), y.reshape(-1))


def jax_loss(w: Any, x: Any, y: Any) -> Any:
    import jax
    from jax import numpy as jnp

    def linear(h: Any, name: str) -> Any:
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(h: Any, name: str) -> Any:
        h = h - h.mean(-1, keepdims=True)
        return h * jax.lax.rsqrt((h * h).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    B, T = x.shape
    later = jnp.where(jnp.tril(jnp.ones((T, T), bool)), 0.0, -jnp.inf)
    h = w["token.weight"][x] + w["position.weight"]
    for layer in range(LAYERS):
        block = f"blocks.{layer}"
        parts = jnp.split(linear(norm(h, f"{block}.norm1"), f"{block}.qkv"), 3, axis=-1)
        q, k, v = (part.reshape(B, T, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3) for part in parts)
        weight = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) * (WIDTH // HEADS) ** -0.5 + later)  # (B, heads, T, T)
        h = h + linear((weight @ v).transpose(0, 2, 1, 3).reshape(B, T, WIDTH), f"{block}.out")
        h = h + linear(jax.nn.gelu(linear(norm(h, f"{block}.norm2"), f"{block}.up"), approximate=False), f"{block}.down")
    return cross_entropy(jnp, linear(norm(h, "norm"), "head").reshape(-1, VOCABULARY), y.reshape(-1))

"""What workloads are made of: initial weights, real data where it is there, and the loss in plain array code."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Start(NamedTuple):
    """Where every engine begins."""

    weights: Arrays
    data: tuple[np.ndarray, ...]
    source: str  # of the data


def uniform(rng: np.random.Generator, fan_in: int, *shape: int) -> np.ndarray:
    """PyTorch's initialisation of linear layers, convolutions and (with the hidden size as ``fan_in``) LSTMs."""
    return rng.uniform(-(fan_in**-0.5), fan_in**-0.5, shape).astype(np.float32)


def dense(rng: np.random.Generator, name: str, inputs: int, outputs: int) -> Arrays:
    """Weight (outputs, inputs) and bias (outputs,) of a linear layer."""
    return {f"{name}.weight": uniform(rng, inputs, outputs, inputs), f"{name}.bias": uniform(rng, inputs, outputs)}


def images(rng: np.random.Generator, count: int, collection: str = "mnist") -> tuple[np.ndarray, np.ndarray, str]:
    """The first training images, float32 (count, 784) in 0 … 1, with labels; invented ones where $GRADUS_DATA has no such files."""
    folder = Path(os.environ.get("GRADUS_DATA", "")) / collection
    if (folder / "train-images-idx3-ubyte.gz").is_file():
        x = idx(folder / "train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:count]
        y = idx(folder / "train-labels-idx1-ubyte.gz", 8)[:count]
        return np.divide(x, np.float32(255), dtype=np.float32), y.astype(np.int64), collection
    # One pattern a class under much noise. Without anything to learn, rounding decides where the networks go, and no two engines agree.
    y = rng.integers(0, 10, count)
    return 0.8 * rng.random((count, 784), np.float32) + 0.2 * rng.random((10, 784), np.float32)[y], y, "invented"


def idx(file: Path, header: int) -> np.ndarray:
    """The bytes behind the header. Gradus has a reader that checks what it reads, but no engine but its own shall import it."""
    return np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=header)


def text(rng: np.random.Generator, batches: int, rows: int, length: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Tokens below 65 and the tokens that follow them, int64 (batches, rows, length), from Shakespeare's works where they are there."""
    file = Path(os.environ.get("GRADUS_DATA", "")) / "shakespeare" / "input.txt"
    source = "shakespeare" if file.is_file() else "random"
    if source == "random":
        tokens = rng.integers(0, 65, 200_000)
    else:
        _, tokens = np.unique(np.frombuffer(file.read_bytes(), np.uint8), return_inverse=True)
        assert tokens.max() < 65, "the text has more than 65 characters"
    begin = rng.integers(0, len(tokens) - length - 1, (batches, rows, 1))
    window = begin + np.arange(length)
    return tokens[window].astype(np.int64), tokens[window + 1].astype(np.int64), source


def cross_entropy(xp: Any, logits: Any, labels: Any) -> Any:
    """Mean of -log softmax(logits)[label], for logits (B, classes) and labels (B,)."""
    if xp.__name__ == "jax.numpy":  # its own way, which does not differentiate the maximum
        import jax

        log_p = jax.nn.log_softmax(logits)
    else:
        z = logits - xp.max(logits, axis=1, keepdims=True)
        log_p = z - xp.log(xp.sum(xp.exp(z), axis=1, keepdims=True))
    return -xp.mean(log_p[xp.arange(log_p.shape[0]), labels])

"""Dropout: while training, each value is zeroed with probability p and the others are scaled by 1 / (1 - p)."""

from __future__ import annotations

from typing import Any

from gradus import ops
from gradus.errors import UsageError
from gradus.ops.random import Generator, default_generator


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None) -> Any:
    """Zero each value with probability ``p`` while training, so that the expectation stays (Srivastava et al. 2014).

    >>> from gradus.tensors import Tensor
    >>> dropout(Tensor([1.0, 2.0]), p=0.5, training=False)
    tensor([1., 2.])
    """
    if not 0.0 <= p <= 1.0:
        raise UsageError(f"dropout probability has to be between 0 and 1, but got {p}", wanted="0 <= p <= 1", code="E29")
    if not training or p == 0.0:
        return input
    if p == 1.0:
        return input * 0.0
    kept = (generator or default_generator()).uniform(input.shape, "float32") >= p
    return input * (ops.astype(kept, input.dtype) * (1.0 / (1.0 - p)))

"""Activations, as compositions of ops (PyTorch's names and parameters)."""

from __future__ import annotations

import math
from typing import Any

from gradus import ops
from gradus.errors import UsageError

__all__ = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"]

relu: Any = ops.relu
sigmoid: Any = ops.sigmoid
tanh: Any = ops.tanh


def gelu(input: Any, approximate: str = "none") -> Any:
    """x · Φ(x), with the normal distribution function Φ, or its tanh approximation (Hendrycks and Gimpel 2016).

    >>> from gradus.tensors import Tensor
    >>> gelu(Tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    x = input
    if approximate == "tanh":
        return 0.5 * x * (1.0 + ops.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))))
    if approximate != "none":
        raise UsageError(f"gelu has no approximation {approximate!r}", wanted="'none' or 'tanh'", code="E29")
    return x * (0.5 * (1.0 + ops.erf(x * math.sqrt(0.5))))


def silu(input: Any) -> Any:
    """x · sigmoid(x) (Elfwing, Uchibe, Doya 2017).

    >>> from gradus.tensors import Tensor
    >>> silu(Tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """
    return input * ops.sigmoid(input)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """x where positive, else slope · x (Maas, Hannun, Ng 2013).

    >>> from gradus.tensors import Tensor
    >>> leaky_relu(Tensor([-1.0, 2.0]))
    tensor([-0.0100,  2.0000])
    """
    return ops.where(input > 0, input, input * negative_slope)


def elu(input: Any, alpha: float = 1.0) -> Any:
    """x where positive, else alpha · (exp(x) - 1) (Clevert, Unterthiner, Hochreiter 2015).

    >>> from gradus.tensors import Tensor
    >>> elu(Tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return ops.where(input > 0, input, alpha * ops.expm1(ops.clip(input, high=0.0)))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta · x)) / beta; beyond the threshold x itself, as PyTorch has it.

    >>> from gradus.tensors import Tensor
    >>> softplus(Tensor([0.0, 100.0]))
    tensor([  0.6931, 100.0000])
    """
    scaled = input * beta
    return ops.where(scaled > threshold, input, ops.softplus(scaled) / beta)

"""Activations under PyTorch's names: compositions of ops, and records for those of which networks have many."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import ops
from gradus.backend import numpy
from gradus.errors import UsageError
from gradus.primitive import bind, primitive

__all__ = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"]

relu: Any = ops.relu
sigmoid: Any = ops.sigmoid
tanh: Any = ops.tanh


def gelu_reference(x: Any, approximate: str = "none") -> Any:
    """The definition, in ops: x Φ(x), or Φ by a tanh."""
    if approximate == "tanh":
        return 0.5 * x * (1.0 + ops.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))))
    return x * (0.5 * (1.0 + ops.erf(x * math.sqrt(0.5))))


def silu_reference(x: Any) -> Any:
    """The definition, in ops: x · sigmoid(x)."""
    return x * ops.sigmoid(x)


STEEPNESS, CUBIC = math.sqrt(2.0 / math.pi), 0.044715  # of the tanh that stands for Φ


def _share(xp: Any, x: Any, approximate: str) -> Any:
    """Φ(x), or ½ (1 + tanh(u)) with u = STEEPNESS · (x + CUBIC · x³)."""
    if approximate == "tanh":
        return 0.5 + 0.5 * xp.tanh(x * (STEEPNESS + (STEEPNESS * CUBIC) * (x * x)))
    return 0.5 + 0.5 * xp.erf(x * math.sqrt(0.5))


def _share_slope(xp: Any, x: Any, share: Any, approximate: str) -> Any:
    if approximate == "tanh":
        # The share is a logistic function of 2u, whose slope is its product with what it lacks to 1.
        return share * (1.0 - share) * (2.0 * STEEPNESS + (6.0 * STEEPNESS * CUBIC) * (x * x))
    return math.sqrt(0.5 / math.pi) * xp.exp(-0.5 * (x * x))


def _gelu_rule(xp: Any, g: Any, x: Any, approximate: str) -> Any:
    share = _share(xp, x, approximate)
    return g * (share + x * _share_slope(xp, x, share, approximate))


def _silu_rule(xp: Any, g: Any, x: Any) -> Any:
    share = xp.sigmoid(x)
    return g * (share * (1.0 + x * (1.0 - share)))


def _gelu_raw(x: np.ndarray, *, approximate: str) -> np.ndarray:
    if approximate != "tanh" or x.dtype.kind != "f" or not x.ndim:
        return x * _share(numpy, x, approximate)
    y = x * x  # all the rest happens in this memory
    y *= STEEPNESS * CUBIC
    y += STEEPNESS
    y *= x
    np.tanh(y, out=y)
    y *= 0.5
    y += 0.5
    y *= x
    return y


@primitive(
    "gelu",
    lambda xp, x, *, approximate: x * _share(xp, x, approximate),
    (_gelu_rule,),
    raw=_gelu_raw,
    family="fused",
    forward_mode="diagonal",
    dtype_rule="floating",
    samples=lambda draw: [((draw(3, 4),), {"approximate": "none"}), ((draw(2, 3),), {"approximate": "tanh"}), ((draw(),), {})],
)
def _gelu_op(record: Any, x: Any, /, approximate: str = "none") -> Any:
    """x Φ(x) with the normal distribution function Φ, or its approximation by a tanh."""
    return bind(record, (x,), {"approximate": approximate})


@primitive(
    "silu",
    lambda xp, x: x * xp.sigmoid(x),
    (_silu_rule,),
    family="fused",
    forward_mode="diagonal",
    dtype_rule="floating",
    samples=lambda draw: [((draw(3, 4),), {}), ((draw(0, 2),), {})],
)
def _silu_op(record: Any, x: Any, /) -> Any:
    """x · sigmoid(x)."""
    return bind(record, (x,))


def gelu(input: Any, approximate: str = "none") -> Any:
    """x · Φ(x), with the normal distribution function Φ, or its tanh approximation (Hendrycks and Gimpel 2016).

    >>> from gradus.tensors import Tensor
    >>> gelu(Tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise UsageError(f"gelu has no approximation {approximate!r}", wanted="'none' or 'tanh'", code="E29")
    return _gelu_op(input, approximate=approximate)


def silu(input: Any) -> Any:
    """x · sigmoid(x) (Elfwing, Uchibe, Doya 2017).

    >>> from gradus.tensors import Tensor
    >>> silu(Tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """
    return _silu_op(input)


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

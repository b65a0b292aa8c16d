"""How weights begin: in-place initialisers and the scales that keep activations from exploding or vanishing.

Names that end in ``_`` fill the tensor they get and return it. Random numbers come from ``generator``, else from Gradus' default one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus import random
from gradus.errors import ShapeError, UsageError
from gradus.inplace import assign
from gradus.tensors import Tensor

Generator = random.Generator | None


def _fill(tensor: Tensor, value: Any) -> Tensor:
    assign(tensor, value)
    return tensor


# Plain fillings.


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    >>> import gradus
    >>> constant_(gradus.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return _fill(tensor, np.full(tensor.shape, val, tensor.dtype))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0.

    Example:
        >>> import gradus
        >>> zeros_(gradus.empty(2))
        tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1.

    Example:
        >>> import gradus
        >>> ones_(gradus.empty(2))
        tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity: 1 on the diagonal, 0 elsewhere.

    Example:
        >>> import gradus
        >>> eye_(gradus.empty(2, 3))
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError("eye_ fills a matrix", got=f"shape {tuple(tensor.shape)}", wanted="two axes", code="E03")
    return _fill(tensor, np.eye(*tensor.shape, dtype=tensor.dtype))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator = None) -> Tensor:
    """Fill with U(a, b).

    Example:
        >>> import gradus
        >>> uniform_(gradus.empty(3), generator=gradus.Generator(0))
        tensor([0.0347, 0.0115, 0.6120])
    """
    return _fill(tensor, a + (b - a) * random.uniform(tensor.shape, tensor.dtype, generator))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator = None) -> Tensor:
    """Fill with N(mean, std²).

    Example:
        >>> import gradus
        >>> normal_(gradus.empty(3), generator=gradus.Generator(0))
        tensor([-0.2028,  0.0081, -0.1720])
    """
    return _fill(tensor, mean + std * random.normal(tensor.shape, tensor.dtype, generator))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator = None
) -> Tensor:
    """Fill with N(mean, std²) conditioned on [a, b]: uniform numbers through the inverse of the distribution function.

    The function is summed up on a grid, over the part of [a, b] within 9 std of its likeliest point (beyond lies less than 1e-18).

    Args:
        tensor: what is filled.
        mean: of the normal distribution, not of the truncated one.
        std: likewise.
        a: least value, in the same unit as ``mean``.
        b: greatest value.
        generator: source of random numbers.

    Example:
        >>> import gradus
        >>> trunc_normal_(gradus.empty(3), generator=gradus.Generator(0))
        tensor([-1.5901,  0.2711, -0.3276])
    """
    if not a < b:
        raise UsageError("trunc_normal_ needs an interval", got=f"a = {a}, b = {b}", wanted="a < b", code="E29")
    likeliest = min(max(mean, a), b)
    grid = np.linspace(max(a, likeliest - 9 * std), min(b, likeliest + 9 * std), 16385)
    density = np.exp(0.5 * (((likeliest - mean) / std) ** 2 - ((grid - mean) / std) ** 2))
    total = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    sample = np.interp(random.uniform(tensor.shape, np.float64, generator), total / total[-1], grid)
    return _fill(tensor, np.clip(sample.astype(tensor.dtype), a, b))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator = None) -> Tensor:
    """Fill with a random orthogonal matrix (Saxe et al. 2014); axes after the first are taken as one.

    Rows are orthonormal where they are fewer than columns, else columns are. The signs of the diagonal of R make it even (Mezzadri 2007).

    Example:
        >>> import gradus
        >>> q = orthogonal_(gradus.empty(3, 5))
        >>> gradus.allclose(q @ q.T, gradus.eye(3), atol=1e-6)
        True
    """
    if tensor.ndim < 2:
        raise ShapeError("orthogonal_ fills a matrix", got=f"shape {tuple(tensor.shape)}", wanted="at least two axes", code="E03")
    rows = tensor.shape[0]
    if tensor.numel() == 0:
        return tensor
    columns = tensor.numel() // rows
    q, r = np.linalg.qr(random.normal((max(rows, columns), min(rows, columns)), np.float64, generator))
    q = q * np.sign(np.diag(r))
    return _fill(tensor, (gain * (q.T if rows < columns else q)).reshape(tensor.shape).astype(tensor.dtype))


# Scales.


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights must grow to make up for what an activation takes off the variance.

    Args:
        nonlinearity: its PyTorch name.
        param: the negative slope of "leaky_relu" (0.01 when not given).

    Example:
        >>> round(calculate_gain("relu"), 4), round(calculate_gain("leaky_relu", 5**0.5), 4)
        (1.4142, 0.5774)
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in GAINS:
        raise UsageError(f"no gain is known for {nonlinearity!r}", wanted=f"one of {', '.join([*GAINS, 'leaky_relu'])}", code="E29")
    return GAINS[nonlinearity]


GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output is summed from (fan in), and how many outputs an input goes to (fan out).

    >>> import gradus
    >>> fans(gradus.empty(8, 3, 5, 5))
    (75, 200)
    """
    if tensor.ndim < 2:
        raise ShapeError(
            "fan in and fan out need a matrix of weights", got=f"shape {tuple(tensor.shape)}", wanted="(outputs, inputs, …)", code="E03"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise UsageError(f"there is no mode {mode!r}", wanted="'fan_in' or 'fan_out'", code="E29")
    return fans(tensor)[mode == "fan_out"]


def _ratio(gain: float, fan: float) -> float:
    """gain / sqrt(fan); a tensor without elements has no fan and needs no scale."""
    return gain / math.sqrt(fan) if fan else 0.0


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator = None) -> Tensor:
    """Fill with U(-k, k), k = gain * sqrt(6 / (fan_in + fan_out)): keeps variance forward and backward (Glorot, Bengio 2010).

    Example:
        >>> import gradus
        >>> f"{xavier_uniform_(gradus.empty(200, 100)).abs().max():.2f}"
        '0.14'
    """
    bound = math.sqrt(3.0) * _ratio(gain, sum(fans(tensor)) / 2)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator = None) -> Tensor:
    """Fill with N(0, s²), s = gain * sqrt(2 / (fan_in + fan_out)).

    Example:
        >>> import gradus
        >>> f"{xavier_normal_(gradus.empty(200, 100)).std():.2f}"
        '0.08'
    """
    return normal_(tensor, 0.0, _ratio(gain, sum(fans(tensor)) / 2), generator)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator = None
) -> Tensor:
    """Fill with U(-k, k), k = gain * sqrt(3 / fan): keeps variance through ReLU layers (He et al. 2015).

    Args:
        tensor: weights, (outputs, inputs, …).
        a: negative slope of the leaky ReLU that follows.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: what follows the layer.
        generator: source of random numbers.

    Example:
        >>> import gradus
        >>> f"{kaiming_uniform_(gradus.empty(200, 100)).std():.2f}"
        '0.14'
    """
    bound = math.sqrt(3.0) * _ratio(calculate_gain(nonlinearity, a), _fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator = None
) -> Tensor:
    """Fill with N(0, s²), s = gain / sqrt(fan). Arguments as in :func:`kaiming_uniform_`.

    Example:
        >>> import gradus
        >>> f"{kaiming_normal_(gradus.empty(200, 100)).std():.2f}"
        '0.14'
    """
    return normal_(tensor, 0.0, _ratio(calculate_gain(nonlinearity, a), _fan(tensor, mode)), generator)

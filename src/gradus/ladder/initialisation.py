"""Initialisation: from which law weights are drawn, so that numbers keep their size by depth.

The rungs below, `deep_products` and `activations`, showed that a product multiplies the mean square
by (number of inputs) × (variance of a weight), and that a ReLU halves it. Everything here follows:
make the product of the three 1. A law does that on average over draws, at the start of the
training, and only if the layer's inputs are what the law assumes; the rung `lsuv` asks the data.
What each law does to fifty layers is shown by `initialisation_at_work`.

Weights are kept as PyTorch keeps them, (out, in) or (out, in, height, width) of a convolution, and
used as ``x @ w.T``. Why PyTorch itself starts with a law that does not keep sizes is told in
`why_root_five`.

Sources: Xavier Glorot and Yoshua Bengio, "Understanding the difficulty of training deep feedforward
neural networks" (2010); Kaiming He and others, "Delving Deep into Rectifiers" (2015); Michael
Heinzer, "Creating a Neural Network from scratch - Part I" (2020); the post "Building the
foundations of Deep Learning from scratch".
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = [
    "SCHEMES",
    "fan_in_and_fan_out",
    "gain",
    "glorot_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "narrow_uniform",
    "plain_normal",
    "xavier_normal",
    "xavier_uniform",
]

Shape = tuple[int, ...]
Scheme = Callable[[np.random.Generator, Shape], np.ndarray]


# --- The two numbers a law needs: how many inputs, and what is left of a mean square --------------


def fan_in_and_fan_out(shape: Shape) -> tuple[int, int]:
    """The numbers of inputs and of outputs, of weights (out, in, *kernel).

    So many products has a sum of the forward pass, and a sum of the backward pass.

    >>> fan_in_and_fan_out((50, 784)), fan_in_and_fan_out((32, 1, 5, 5))
    ((784, 50), (25, 800))
    """
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def gain(a: float = 0.0) -> float:
    """``√(2 / (1 + a²))``: max(x, a x), a leaky ReLU, keeps ``(1 + a²) / 2`` of the mean square.

    a = 0 is the ReLU itself, √2; a = 1 no activation at all, 1.

    >>> [round(gain(a), 4) for a in (0.0, 0.01, 0.1, 1.0, 5**0.5)]
    [1.4142, 1.4141, 1.4072, 1.0, 0.5774]
    """
    return math.sqrt(2.0 / (1.0 + a * a))


# --- The laws. A uniform law on [-bound, bound] has the variance bound² / 3 -----------------------


def plain_normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """N(0, 1): a layer of n inputs makes numbers √n times as large.

    >>> plain_normal(np.random.default_rng(0), (2, 3)).shape
    (2, 3)
    """
    return rng.standard_normal(shape)


def narrow_uniform(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """U[-1/√n, 1/√n], n inputs: too narrow, for each layer shrinks numbers by √⅓ = 0.577.

    Sometimes it is printed as Xavier's law. Its variance is 1/(3n). Glorot and Bengio start from
    it, the custom of their time, to show what is wrong with it; `nn.Linear` of PyTorch still does.

    >>> bool(abs(narrow_uniform(np.random.default_rng(0), (50, 100))).max() <= 0.1)
    True
    """
    bound = 1.0 / math.sqrt(fan_in_and_fan_out(shape)[0])
    return rng.uniform(-bound, bound, shape)


def xavier_normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """N(0, 1/n), n inputs: a linear layer keeps the size.

    >>> bool(0.095 < xavier_normal(np.random.default_rng(0), (50, 100)).std() < 0.105)
    True
    """
    return rng.standard_normal(shape) / math.sqrt(fan_in_and_fan_out(shape)[0])


def xavier_uniform(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """U[-√(3/n), √(3/n)]: the same variance 1/n, by the bound that gives it.

    >>> bool(0.095 < xavier_uniform(np.random.default_rng(0), (50, 100)).std() < 0.105)
    True
    """
    bound = math.sqrt(3.0 / fan_in_and_fan_out(shape)[0])
    return rng.uniform(-bound, bound, shape)


def glorot_uniform(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """U with the bound ``√(6 / (in + out))``, so of variance 2 / (in + out).

    That lies between what the forward pass wants, 1/in, and what the backward pass wants, 1/out;
    for as many outputs as inputs it is both.

    >>> bool(abs(glorot_uniform(np.random.default_rng(0), (50, 100))).max() <= 0.2)
    True
    """
    bound = math.sqrt(6.0 / sum(fan_in_and_fan_out(shape)))
    return rng.uniform(-bound, bound, shape)


def kaiming_std(shape: Shape, a: float, mode: str) -> float:
    """``gain(a) / √fan``; mode ``"fan_in"`` keeps the size of the activations on the way forward.

    ``"fan_out"`` keeps the size of the gradients on the way back.

    >>> kaiming_std((8, 2), 0.0, "fan_in"), kaiming_std((8, 2), 0.0, "fan_out")
    (1.0, 0.5)
    """
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', not {mode!r}")
    return gain(a) / math.sqrt(fan_in_and_fan_out(shape)[mode == "fan_out"])


def kaiming_normal(
    rng: np.random.Generator, shape: Shape, a: float = 0.0, mode: str = "fan_in"
) -> np.ndarray:
    """N(0, gain(a)²/n): with a = 0, N(0, 2/n), a layer and its ReLU together keep the mean square.

    >>> bool(0.135 < kaiming_normal(np.random.default_rng(0), (50, 100)).std() < 0.148)  # √(2/100)
    True
    """
    return rng.standard_normal(shape) * kaiming_std(shape, a, mode)


def kaiming_uniform(
    rng: np.random.Generator, shape: Shape, a: float = 0.0, mode: str = "fan_in"
) -> np.ndarray:
    """The same variance by a uniform law: bound ``√3 · gain(a) / √fan``.

    >>> bool(0.135 < kaiming_uniform(np.random.default_rng(0), (50, 100)).std() < 0.148)
    True
    """
    bound = math.sqrt(3.0) * kaiming_std(shape, a, mode)
    return rng.uniform(-bound, bound, shape)


SCHEMES: dict[str, Scheme] = {
    "plain normal": plain_normal,
    "narrow uniform": narrow_uniform,
    "Xavier normal": xavier_normal,
    "Xavier uniform": xavier_uniform,
    "Glorot uniform": glorot_uniform,
    "Kaiming normal": kaiming_normal,
    "Kaiming uniform": kaiming_uniform,
}

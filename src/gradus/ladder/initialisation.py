"""Initialisation: from which law weights are drawn, so that numbers keep their size through a hundred layers.

The rung below, `activations`, showed that a product multiplies the mean square by (number of inputs) × (variance of a weight), and that a
ReLU halves it. Everything here follows: make the product of the three 1. A law does that on average over draws, at the start of the
training, and only if the layer's inputs are what the law assumes; the rung `lsuv` asks the data, and `normalised` keeps the size while the
network runs.

Weights are kept as PyTorch keeps them, (out, in) or (out, in, height, width) of a convolution, and used as ``x @ w.T``. Why PyTorch itself
starts with a law that does not keep sizes is told in `why_root_five`.

Sources: Xavier Glorot and Yoshua Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010); Kaiming He and
others, "Delving Deep into Rectifiers" (2015); Sergey Ioffe and Christian Szegedy, "Batch Normalization" (2015); Boris Hanin and David
Rolnick, "How to Start Training: The Effect of Initialization and Architecture" (2018); Jeremy Howard's course "Deep Learning from the
Foundations" (2019); Michael Heinzer, "Creating a Neural Network from scratch - Part I" (2020); the post "Building the foundations of Deep
Learning from scratch".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = [
    "SCHEMES",
    "FirstLayer",
    "Row",
    "fan_in_and_fan_out",
    "gain",
    "glorot_uniform",
    "hard_coded_scale",
    "kaiming_normal",
    "kaiming_uniform",
    "linear",
    "narrow_uniform",
    "normalised",
    "plain_normal",
    "profile",
    "profiles",
    "relu",
    "shifted_relu",
    "spread_of_draws",
    "xavier_normal",
    "xavier_uniform",
]

Shape = tuple[int, ...]
Scheme = Callable[[np.random.Generator, Shape], np.ndarray]
Activation = Callable[[np.ndarray], np.ndarray]


# The two numbers a law needs: how many inputs, and what the activation leaves of a mean square


def fan_in_and_fan_out(shape: Shape) -> tuple[int, int]:
    """How many products a sum of the forward pass has, and of the backward pass, for weights (out, in, *kernel).

    >>> fan_in_and_fan_out((50, 784)), fan_in_and_fan_out((32, 1, 5, 5))
    ((784, 50), (25, 800))
    """
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def gain(a: float = 0.0) -> float:
    """What makes up for max(x, a x), a leaky ReLU: ``√(2 / (1 + a²))``, for it keeps ``(1 + a²) / 2`` of the mean square.

    a = 0 is the ReLU itself, √2; a = 1 no activation at all, 1.

    >>> [round(gain(a), 4) for a in (0.0, 0.01, 0.1, 1.0, 5**0.5)]
    [1.4142, 1.4141, 1.4072, 1.0, 0.5774]
    """
    return math.sqrt(2.0 / (1.0 + a * a))


# The laws. A uniform law on [-bound, bound] has the variance bound² / 3


def plain_normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """N(0, 1): a layer of n inputs makes numbers √n times as large.

    >>> plain_normal(np.random.default_rng(0), (2, 3)).shape
    (2, 3)
    """
    return rng.standard_normal(shape)


def narrow_uniform(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """U[-1/√n, 1/√n], n inputs: sometimes printed as Xavier's law, and too narrow: each layer shrinks numbers by √⅓ = 0.577.

    Its variance is 1/(3n). Glorot and Bengio start from it, as the custom of their time, to show what is wrong with it; PyTorch's
    `nn.Linear` has it still.

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

    That lies between what the forward pass wants, 1/in, and what the backward pass wants, 1/out; for as many outputs as inputs it is both.

    >>> bool(abs(glorot_uniform(np.random.default_rng(0), (50, 100))).max() <= 0.2)
    True
    """
    bound = math.sqrt(6.0 / sum(fan_in_and_fan_out(shape)))
    return rng.uniform(-bound, bound, shape)


def kaiming_std(shape: Shape, a: float, mode: str) -> float:
    """``gain(a) / √fan``; mode ``"fan_in"`` keeps the activations' size on the way forward, ``"fan_out"`` the gradients' on the way back.

    >>> kaiming_std((8, 2), 0.0, "fan_in"), kaiming_std((8, 2), 0.0, "fan_out")
    (1.0, 0.5)
    """
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', not {mode!r}")
    return gain(a) / math.sqrt(fan_in_and_fan_out(shape)[mode == "fan_out"])


def kaiming_normal(rng: np.random.Generator, shape: Shape, a: float = 0.0, mode: str = "fan_in") -> np.ndarray:
    """N(0, gain(a)²/n): with a = 0, N(0, 2/n), a layer and its ReLU together keep the mean square.

    >>> bool(0.135 < kaiming_normal(np.random.default_rng(0), (50, 100)).std() < 0.148)  # √(2/100)
    True
    """
    return rng.standard_normal(shape) * kaiming_std(shape, a, mode)


def kaiming_uniform(rng: np.random.Generator, shape: Shape, a: float = 0.0, mode: str = "fan_in") -> np.ndarray:
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


# Sizes by depth, for a picture


def linear(x: np.ndarray) -> np.ndarray:
    """No activation.

    >>> linear(3)
    3
    """
    return x


def relu(x: np.ndarray) -> np.ndarray:
    """``max(x, 0)``.

    >>> relu(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return np.maximum(x, 0)


def shifted_relu(x: np.ndarray) -> np.ndarray:
    """``max(x, 0) - ½``: after a Kaiming layer a ReLU's mean is √2 · 0.399 = 0.56, and nearly all of it can simply be taken off.

    The spread stays 0.83, the mean becomes 0.06, and the next layer's inputs are nearly centred. That is one layer; with many, the half is
    a fixed number and the scale moves: the size settles where ``√q = ½ / 1.128 = 0.44``, at the mean ``0.564 · 0.44 - ½ = -¼``.

    >>> shifted_relu(np.array([-1.0, 2.0])).tolist()
    [-0.5, 1.5]
    """
    return np.maximum(x, 0) - 0.5


def normalised(x: np.ndarray) -> np.ndarray:
    """Each column of a batch (B, features) with mean 0 and spread 1: the heart of batch normalisation, which does this inside the network.

    Then the scale of the weights above cancels out, at the start and however training moves it. A column without spread becomes 0.

    >>> normalised(np.array([[1.0, 5.0], [3.0, 5.0]])).round(4).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    centred = x - x.mean(0)
    std = centred.std(0)
    return centred / np.where(std == 0.0, 1.0, std)


class Row(NamedTuple):
    """What a layer gave out: its number (0 is the input), mean, spread."""

    layer: int
    mean: float
    std: float


def profile(
    rng: np.random.Generator,
    scheme: Scheme,
    activation: Activation = linear,
    depth: int = 50,
    width: int = 100,
    batch: int = 200,
    before: Activation = linear,
) -> list[Row]:
    """Mean and spread after each of depth layers ``x ← activation(before(x @ w.T))``.

    w (width, width) comes from the scheme, x (batch, width) from N(0, 1). ``before=normalised`` is a network with batch normalisation.

    >>> rng = np.random.default_rng(0)
    >>> [profile(rng, scheme, relu)[-1].std > 0.05 for scheme in (xavier_normal, kaiming_normal)]
    [False, True]
    """
    x = rng.standard_normal((batch, width))
    rows = [Row(0, float(x.mean()), float(x.std()))]
    for layer in range(1, depth + 1):
        x = activation(before(x @ scheme(rng, (width, width)).T))
        rows.append(Row(layer, float(x.mean()), float(x.std())))
    return rows


def profiles(seed: int = 0, depth: int = 50, width: int = 100) -> dict[tuple[str, str], list[Row]]:
    """`profile` of every scheme, without an activation, with a ReLU, and with a shifted one; keys (scheme, activation).

    >>> len(profiles(depth=2, width=10)), profiles(depth=2, width=10)["Kaiming normal", "relu"][0].layer
    (21, 0)
    """
    activations = (linear, relu, shifted_relu)
    return {
        (name, activation.__name__): profile(np.random.default_rng(seed), scheme, activation, depth, width)
        for name, scheme in SCHEMES.items()
        for activation in activations
    }


def spread_of_draws(depth: int, width: int, rectified: bool = False) -> tuple[float, float]:
    """Why the right scale still ends anywhere between 0.1 and 3: mean and spread of log(size of one sample) over draws of the weights.

    A layer multiplies the mean square by a random factor, 1 on average, of variance v/width, v = 2 and with Kaiming and ReLU 5. Their logs
    add up: about ``N(-¼ v depth/width, ¼ v depth/width)``. What matters is depth ÷ width, and no law of the weights can mend it; width, or
    normalising, can.

    >>> [round(value, 3) for value in spread_of_draws(152, 512)]  # most networks between e^-0.9 and e^0.6 times the input
    [-0.148, 0.385]
    """
    quarter = (5.0 if rectified else 2.0) * depth / width / 4.0
    return -quarter, math.sqrt(quarter)


# A scale written into the code fits one layer only


class FirstLayer(NamedTuple):
    """The spread of a first layer's sums: by √(2/512); by √(2/inputs); then with a bias, from N(0, 1) and from U(0, 1); that one's mean."""

    hard_coded: float
    by_inputs: float
    normal_bias: float
    uniform_bias: float
    mean_with_uniform_bias: float


def hard_coded_scale(rng: np.random.Generator, inputs: int = 784, outputs: int = 500, batch: int = 200, written: int = 512) -> FirstLayer:
    """√(2/512) was right for layers of 512; 784 pixels make sums of spread √(2 · 784/512) = 1.75, where √2 was meant.

    A bias drawn from N(0, 1) adds 1 to the variance, 3 to 2: √3. One from U(0, 1) moves every sum up by ½ on average. Zero adds nothing.

    >>> found = hard_coded_scale(np.random.default_rng(0))
    >>> [round(value, 1) for value in found]
    [1.8, 1.4, 1.7, 1.4, 0.5]
    """
    x, w = rng.standard_normal((batch, inputs)), rng.standard_normal((outputs, inputs))
    wrong, right = (x @ (w * math.sqrt(2.0 / n)).T for n in (written, inputs))
    normal, uniform = right + rng.standard_normal(outputs), right + rng.random(outputs)
    return FirstLayer(*(float(value) for value in (wrong.std(), right.std(), normal.std(), uniform.std(), uniform.mean())))

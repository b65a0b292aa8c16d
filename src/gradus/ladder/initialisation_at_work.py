"""Initialisation at work: how mean and spread fare by depth under each law, and what no law can do.

The rung `initialisation` has the laws. Here fifty layers are drawn from each, without an
activation, with a ReLU, and with two ways to centre what comes out: a ReLU that is shifted, and
batches that are normalised.

Sources: Sergey Ioffe and Christian Szegedy, "Batch Normalization" (2015); Boris Hanin and David
Rolnick, "How to Start Training: The Effect of Initialization and Architecture" (2018); Jeremy
Howard's course "Deep Learning from the Foundations" (2019); Michael Heinzer, "Creating a Neural
Network from scratch - Part I" (2020); the post "Building the foundations of Deep Learning from
scratch".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gradus.ladder.initialisation import SCHEMES, Scheme

Activation = Callable[[np.ndarray], np.ndarray]

# --- What stands between two products -------------------------------------------------------------


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
    """``max(x, 0) - ½``: after a Kaiming layer this takes off nearly all of a ReLU's mean.

    That mean is √2 · 0.399 = 0.56. The spread stays 0.83, the mean becomes 0.06, and the next
    layer's inputs are nearly centred. That is one layer; with many, the half is a fixed number and
    the scale moves: the size settles where ``√q = ½ / 1.128 = 0.44``, at the mean
    ``0.564 · 0.44 - ½ = -¼``.

    >>> shifted_relu(np.array([-1.0, 2.0])).tolist()
    [-0.5, 1.5]
    """
    return np.maximum(x, 0) - 0.5


def normalised(x: np.ndarray) -> np.ndarray:
    """Each column of a batch (B, features) with mean 0 and spread 1, as batch normalisation does.

    Then the scale of the weights above cancels out, at the start and however training moves it. A
    column without spread becomes 0.

    >>> normalised(np.array([[1.0, 5.0], [3.0, 5.0]])).round(4).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    centred = x - x.mean(0)
    std = centred.std(0)
    return centred / np.where(std == 0.0, 1.0, std)


# --- Sizes by depth -------------------------------------------------------------------------------


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

    w (width, width) comes from the scheme, x (batch, width) from N(0, 1). ``before=normalised`` is
    a network with batch normalisation.

    >>> rng = np.random.default_rng(0)
    >>> profile(rng, SCHEMES["Xavier normal"], relu)[-1].std > 0.05
    False
    >>> profile(rng, SCHEMES["Kaiming normal"], relu)[-1].std > 0.05
    True
    """
    x = rng.standard_normal((batch, width))
    rows = [Row(0, float(x.mean()), float(x.std()))]
    for layer in range(1, depth + 1):
        x = activation(before(x @ scheme(rng, (width, width)).T))
        rows.append(Row(layer, float(x.mean()), float(x.std())))
    return rows


def profiles(seed: int = 0, depth: int = 50, width: int = 100) -> dict[tuple[str, str], list[Row]]:
    """`profile` of every scheme, with no activation, a ReLU, a shifted one: (scheme, activation).

    >>> found = profiles(depth=2, width=10)
    >>> len(found), found["Kaiming normal", "relu"][0].layer
    (21, 0)
    """
    found = {}
    for name, scheme in SCHEMES.items():
        for activation in (linear, relu, shifted_relu):
            rng = np.random.default_rng(seed)
            rows = profile(rng, scheme, activation, depth, width)
            found[name, activation.__name__] = rows
    return found


def spread_of_draws(depth: int, width: int, rectified: bool = False) -> tuple[float, float]:
    """Mean and spread of log(size of one sample) over draws of the weights.

    So the right scale still ends anywhere between 0.1 and 3.

    A layer multiplies the mean square by a random factor, 1 on average, of variance v/width, v = 2
    and with Kaiming and ReLU 5. Their logs add up: about ``N(-¼ v depth/width, ¼ v depth/width)``.
    What matters is depth ÷ width. No law of the weights mends it, but width does, or normalising.

    >>> # most networks end between e^-0.9 and e^0.6 times the input
    >>> [round(value, 3) for value in spread_of_draws(152, 512)]
    [-0.148, 0.385]
    """
    quarter = (5.0 if rectified else 2.0) * depth / width / 4.0
    return -quarter, math.sqrt(quarter)


# --- A scale written into the code fits one layer only --------------------------------------------


class FirstLayer(NamedTuple):
    """The spread of a first layer's sums, by √(2/512), by √(2/inputs), and with two biases.

    The biases are from N(0, 1) and from U(0, 1); with the latter there is also a mean.
    """

    hard_coded: float
    by_inputs: float
    normal_bias: float
    uniform_bias: float
    mean_with_uniform_bias: float


def hard_coded_scale(
    rng: np.random.Generator,
    inputs: int = 784,
    outputs: int = 500,
    batch: int = 200,
    written: int = 512,
) -> FirstLayer:
    """A first layer's sums with √(2/512), which was right for layers of 512, and what is right.

    784 pixels make sums of spread √(2 · 784/512) = 1.75, where √2 was meant.

    A bias drawn from N(0, 1) adds 1 to the variance, 3 to 2: √3. One from U(0, 1) moves every sum
    up by ½ on average. Zero adds nothing.

    >>> found = hard_coded_scale(np.random.default_rng(0))
    >>> [round(value, 1) for value in found]
    [1.8, 1.4, 1.7, 1.4, 0.5]
    """
    x, w = rng.standard_normal((batch, inputs)), rng.standard_normal((outputs, inputs))
    wrong, right = (x @ (w * math.sqrt(2.0 / n)).T for n in (written, inputs))
    normal, uniform = right + rng.standard_normal(outputs), right + rng.random(outputs)
    found = (wrong.std(), right.std(), normal.std(), uniform.std(), uniform.mean())
    return FirstLayer(*map(float, found))

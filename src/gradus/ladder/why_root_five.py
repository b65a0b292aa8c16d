"""Why the square root of five? What PyTorch's layers start with, measured on a small network.

The rung `initialisation` says which law keeps numbers at their size behind a ReLU: Kaiming's, with
``a = 0``. PyTorch's `nn.Linear` and `nn.Conv2d` call the same law with ``a = √5``, as if behind a
leaky ReLU of slope 2.24, which nobody uses. This rung finds out what that number does: it turns the
law into U[-1/√n, 1/√n], the custom of the time before Xavier and Kaiming, under which activations
shrink, and gradients with them.

Source: Jeremy Howard, "Deep Learning from the Foundations", lesson 9, "Why sqrt 5?" (2019); the
convolution is written out here, with its gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = [
    "Convolution",
    "Difference",
    "conv",
    "conv_grads",
    "convolution",
    "default_law",
    "difference",
    "fan_in_and_fan_out",
    "forward",
    "gain",
    "gradient_of_first_layer",
    "kaiming_law",
    "network",
    "std_of_uniform",
]


# --- The number -----------------------------------------------------------------------------------


def std_of_uniform(bound: float = 1.0) -> float:
    """The spread of U[-bound, bound], ``bound / √3``.

    Its variance is ``1/(2 bound) ∫ x² dx = bound² / 3``.

    >>> round(std_of_uniform(), 4)
    0.5774
    """
    return bound / math.sqrt(3.0)


def gain(a: float) -> float:
    """``√(2 / (1 + a²))``, which makes up for max(x, a x).

    For a = √5 it is √⅓, just what the spread of U[-1, 1] is.

    >>> round(gain(0.0), 4), round(gain(1.0), 4), round(gain(math.sqrt(5.0)), 4)
    (1.4142, 1.0, 0.5774)
    """
    return math.sqrt(2.0 / (1.0 + a * a))


def fan_in_and_fan_out(shape: tuple[int, ...]) -> tuple[int, int]:
    """The fans of weights (out, in, height, width), in · height · width and out · height · width.

    So many terms has the sum of each output, and so many outputs has each input.

    ``height · width`` is the receptive field of one output in one channel.

    >>> fan_in_and_fan_out((32, 1, 5, 5))
    (25, 800)
    """
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


class Convolution(NamedTuple):
    """Weights (out, in, k, k), bias (out,), a window's step, the width of the border of zeros."""

    w: np.ndarray
    b: np.ndarray
    stride: int = 1
    padding: int = 0


Drawn = tuple[np.ndarray, np.ndarray]
Law = Callable[[np.random.Generator, tuple[int, ...]], Drawn]


def kaiming_law(rng: np.random.Generator, shape: tuple[int, ...], a: float = 0.0) -> Drawn:
    """Weights from U with the bound ``√3 · gain(a) / √fan_in``, biases 0.

    >>> w, b = kaiming_law(np.random.default_rng(0), (8, 1, 5, 5))
    >>> bool(abs(w).max() <= math.sqrt(6 / 25)), b.any().item()
    (True, False)
    """
    bound = math.sqrt(3.0) * gain(a) / math.sqrt(fan_in_and_fan_out(shape)[0])
    return rng.uniform(-bound, bound, shape), np.zeros(shape[0])


def default_law(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """PyTorch's start: the law above with a = √5, so ``√3 · √⅓ / √fan_in = 1/√fan_in``.

    The biases are from the same interval.

    >>> w, b = default_law(np.random.default_rng(0), (8, 1, 5, 5))
    >>> bool(abs(w).max() <= 0.2 and abs(b).max() <= 0.2)
    True
    """
    w, b = kaiming_law(rng, shape, math.sqrt(5.0))
    bound = 1.0 / math.sqrt(fan_in_and_fan_out(shape)[0])
    return w, rng.uniform(-bound, bound, b.shape)


# --- A convolution and its gradients --------------------------------------------------------------


def windows(x: np.ndarray, c: Convolution) -> np.ndarray:
    """What each output looks at: from images (B, C, H, W) a view (B, C, H', W', k, k).

    H' is (H + 2 padding - k) // stride + 1, and W' alike.

    >>> halving = Convolution(np.zeros((8, 3, 5, 5)), np.zeros(8), stride=2, padding=2)
    >>> windows(np.zeros((2, 3, 28, 28)), halving).shape
    (2, 3, 14, 14, 5, 5)
    """
    p = c.padding
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    view = np.lib.stride_tricks.sliding_window_view(padded, c.w.shape[2:], axis=(2, 3))
    return view[:, :, :: c.stride, :: c.stride]


def conv(x: np.ndarray, c: Convolution) -> np.ndarray:
    """``y[n, o, i, j] = b[o] + Σ_cuv w[o, c, u, v] · window[n, c, i, j, u, v]``.

    (B, C, H, W) becomes (B, O, H', W').

    >>> sums = Convolution(np.ones((1, 1, 3, 3)), np.zeros(1), padding=1)
    >>> conv(np.ones((1, 1, 3, 3)), sums)[0, 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    y = np.tensordot(windows(x, c), c.w, axes=((1, 4, 5), (1, 2, 3))) + c.b
    return np.moveaxis(y, 3, 1)


def conv_grads(x: np.ndarray, c: Convolution, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of x and w, from the gradient g (B, O, H', W') of the output.

    An output is a sum of products, so w gets windows weighted by g, and each pixel gets back,
    through every weight, what it took part in.

    >>> c = Convolution(np.full((1, 1, 1, 1), 3.0), np.zeros(1))
    >>> [grad.tolist() for grad in conv_grads(np.full((1, 1, 1, 1), 2.0), c, np.ones((1, 1, 1, 1)))]
    [[[[[3.0]]]], [[[[2.0]]]]]
    """
    grad_w = np.tensordot(g, windows(x, c), axes=((0, 2, 3), (0, 2, 3)))
    p, s, (height, width) = c.padding, c.stride, g.shape[2:]
    grad_x = np.zeros((*x.shape[:2], x.shape[2] + 2 * p, x.shape[3] + 2 * p))
    for u, v in np.ndindex(c.w.shape[2:]):
        part = np.tensordot(g, c.w[:, :, u, v], axes=(1, 0))
        grad_x[:, :, u : u + s * height : s, v : v + s * width : s] += np.moveaxis(part, 3, 1)
    return grad_x[:, :, p : p + x.shape[2], p : p + x.shape[3]], grad_w


# --- One layer, then four -------------------------------------------------------------------------


def convolution(
    law: Law,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    stride: int = 1,
    padding: int = 0,
) -> Convolution:
    """A convolution whose weights and biases the law draws.

    >>> convolution(kaiming_law, np.random.default_rng(0), (32, 1, 5, 5)).w.shape
    (32, 1, 5, 5)
    """
    return Convolution(*law(rng, shape), stride, padding)


def network(law: Law, rng: np.random.Generator) -> list[Convolution]:
    """1-8-16-32-1 channels, each layer halving height and width: the course's digits network.

    Its output is one number an image.

    >>> [c.w.shape for c in network(kaiming_law, np.random.default_rng(0))]
    [(8, 1, 5, 5), (16, 8, 3, 3), (32, 16, 3, 3), (1, 32, 3, 3)]
    """
    shapes = [(8, 1, 5, 5), (16, 8, 3, 3), (32, 16, 3, 3), (1, 32, 3, 3)]
    return [convolution(law, rng, shape, stride=2, padding=shape[-1] // 2) for shape in shapes]


def forward(layers: list[Convolution], images: np.ndarray) -> list[np.ndarray]:
    """What each layer is given, ReLU between them, and last the output (B,), a mean over places.

    >>> layers = network(kaiming_law, np.random.default_rng(0))
    >>> [x.shape for x in forward(layers, np.zeros((5, 1, 28, 28)))]
    [(5, 1, 28, 28), (5, 8, 14, 14), (5, 16, 7, 7), (5, 32, 4, 4), (5,)]
    """
    inputs = [images]
    for c in layers[:-1]:
        inputs.append(np.maximum(conv(inputs[-1], c), 0))
    return [*inputs, conv(inputs[-1], layers[-1]).mean((1, 2, 3))]


def gradient_of_first_layer(
    layers: list[Convolution], images: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """The gradient of the mean squared error with respect to the first weights.

    It goes back through the mean, the convolutions and the ReLUs.

    >>> rng = np.random.default_rng(0)
    >>> images = rng.standard_normal((5, 1, 28, 28))
    >>> gradient_of_first_layer(network(kaiming_law, rng), images, np.zeros(5)).shape
    (8, 1, 5, 5)
    """
    *inputs, output = forward(layers, images)
    area = conv(inputs[-1], layers[-1]).shape[2:]
    share = 2.0 * (output - targets) / output.size / math.prod(area)
    g = np.broadcast_to(share[:, None, None, None], (output.size, 1, *area))
    for x, c in zip(inputs[:0:-1], layers[:0:-1]):
        g = conv_grads(x, c, g)[0] * (x > 0)
    return conv_grads(inputs[0], layers[0], g)[1]


class Difference(NamedTuple):
    """Spreads under PyTorch's start and Kaiming's.

    Of one layer's output (32 filters of 5 × 5), the network's output, and the first gradient.
    """

    one_layer_default: float
    one_layer_linear: float
    output_default: float
    output_kaiming: float
    gradient_default: float
    gradient_kaiming: float


def difference(rng: np.random.Generator, images: np.ndarray, targets: np.ndarray) -> Difference:
    """Both starts on the same images (B, 1, 28, 28), of mean 0 and spread 1, with targets (B,).

    One layer: √(1/3 + 1/75) = 0.59 by default, the weights' part and the biases', and 1 with a = 1,
    the law for no activation. Four layers: the default loses a factor √6 at each against a = 0, so
    outputs are smaller by 6² = 36 or so, and the first layer's gradient, which passes three of
    them, by 6^1.5 = 15.

    >>> rng = np.random.default_rng(0)
    >>> found = difference(rng, rng.standard_normal((20, 1, 28, 28)), np.full(20, 4.5))
    >>> 0.5 < found.one_layer_default < 0.7, 0.8 < found.one_layer_linear < 1.2
    (True, True)
    >>> found.gradient_kaiming > 4 * found.gradient_default
    True
    """
    for_no_activation = lambda rng, shape: kaiming_law(rng, shape, 1.0)
    single = [
        conv(images, convolution(law, rng, (32, 1, 5, 5)))
        for law in (default_law, for_no_activation)
    ]
    networks = [network(law, rng) for law in (default_law, kaiming_law)]
    outputs = [forward(layers, images)[-1] for layers in networks]
    gradients = [gradient_of_first_layer(layers, images, targets) for layers in networks]
    return Difference(*(float(value.std()) for value in (*single, *outputs, *gradients)))

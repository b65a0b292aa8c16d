"""A judge of gradients that knows no chain rule: the derivative as an imaginary part.

Differences subtract two losses that are nearly equal, and rounding takes most of their digits.
Here a weight moves by iε instead, and the derivative is read off the imaginary part of the loss at
w + iε: exact to the last digits, for nothing is subtracted. The network that is judged is the
smallest with a hidden layer: linear, ReLU, linear, mean squared error. It is that of `engines`.

Sources: William Squire and George Trapp, Using complex variables to estimate derivatives of real
functions, 1998; Jeremy Howard and Sylvain Gugger, Deep Learning for Coders with fastai and PyTorch,
2020, chapter 17 (the network).

Letters: N examples; x inputs (N, n_in), y targets (N, n_out); w1 (n_in, hidden), b1 (hidden,),
w2 (hidden, n_out), b2 (n_out,).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# --- The problem ----------------------------------------------------------------------------------


class Network(NamedTuple):
    """Data and parameters of one problem, as plain arrays."""

    x: np.ndarray
    y: np.ndarray
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray

    @property
    def parameters(self) -> tuple[np.ndarray, ...]:
        """w1, b1, w2, b2."""
        return self[2:]


def make_network(
    seed: int = 0,
    n: int = 32,
    widths: tuple[int, int, int] = (20, 16, 3),
    dtype: Any = np.float64,
) -> Network:
    """Random data and weights.

    >>> make_network().w1.shape, make_network(widths=(784, 50, 1)).w2.shape
    ((20, 16), (50, 1))
    """
    rng, (n_in, hidden, n_out) = np.random.default_rng(seed), widths
    shapes = ((n, n_in), (n, n_out), (n_in, hidden), (hidden,), (hidden, n_out), (n_out,))
    scales = (1.0, 1.0, np.sqrt(2 / n_in), 0.1, np.sqrt(2 / hidden), 0.1)
    draws = (rng.standard_normal(shape) * scale for shape, scale in zip(shapes, scales))
    return Network(*(draw.astype(dtype) for draw in draws))


# --- The judge ------------------------------------------------------------------------------------


class Result(NamedTuple):
    """The loss and its gradients by w1, b1, w2, b2."""

    loss: float
    gradients: tuple[np.ndarray, ...]


def loss_by_formula(x: Any, y: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    """mean((max(x w1 + b1, 0) w2 + b2 - y)²); for complex weights the real part decides.

    >>> tiny = [np.array(v) for v in ([[3.0]], [[5.0]], [[1.0]], [0.0], [[2.0]], [0.0])]
    >>> float(loss_by_formula(*tiny))
    1.0
    """
    hidden = x @ w1 + b1
    return np.mean((np.where(hidden.real > 0, hidden, 0) @ w2 + b2 - y) ** 2)


def complex_step(network: Network, epsilon: float = 1e-100) -> Result:
    """∂loss/∂w = imaginary part of loss(w + iε) / ε, one weight at a time.

    The error is of order ε², and nothing cancels.

    >>> tiny = Network(*[np.array(v) for v in ([[3.0]], [[5.0]], [[1.0]], [0.0], [[2.0]], [0.0])])
    >>> complex_step(tiny).loss, complex_step(tiny).gradients[0]
    (1.0, array([[12.]]))
    """
    gradients = []
    for k, p in enumerate(network.parameters):
        gradient = np.zeros(p.shape)
        for index in np.ndindex(p.shape):
            moved = [q.astype(complex) for q in network.parameters]
            moved[k][index] += 1j * epsilon
            gradient[index] = loss_by_formula(network.x, network.y, *moved).imag / epsilon
        gradients.append(gradient)
    return Result(float(loss_by_formula(*network)), tuple(gradients))

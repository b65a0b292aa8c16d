"""Classification: softmax makes shares of a network's outputs, and two more losses judge them.

The rung below, `layers`, could learn numbers. To tell classes apart its outputs become shares of
one (`Softmax`), and a loss compares them with the class that is true: their squared error (`MSES`),
whose gradient shrinks where softmax is flat, or the logarithm of the true class's share
(`CrossEntropy`), whose gradient does not.

Sources: M. Heinzer, "Creating a Neural Network from scratch - Part I", 2020 (Softmax, three losses,
one-hot rows); J. Howard, S. Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020,
chapter 17 and the course behind it (log-softmax and its log-sum-exp).

Letters: N examples, C classes; x input, y output, g gradient, t target, s softmax.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus.ladder.functions_and_gradients import Tensor, add_g, difference, mse
from gradus.ladder.layers import Layer, Loss


def softmax(x: Any) -> np.ndarray:
    """s_i = exp(x_i) / Σ_k exp(x_k) along the last axis.

    Adding a number to a row changes nothing, so its maximum becomes 0 first.

    >>> softmax(np.array([[1000.0, 1000.0]]))
    array([[0.5, 0.5]])
    """
    powers = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return powers / np.sum(powers, axis=-1, keepdims=True)


def softmax_jacobian(s: np.ndarray) -> np.ndarray:
    """∂s_i/∂x_j = s_i (1[i = j] - s_j): s (..., C) -> (..., C, C).

    >>> softmax_jacobian(np.array([0.5, 0.5]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    return s[..., :, None] * (np.eye(s.shape[-1], dtype=s.dtype) - s[..., None, :])


def softmax_backward(s: np.ndarray, g: np.ndarray) -> np.ndarray:
    """gᵀ J of softmax without J: s_i (g_i - Σ_k g_k s_k), O(N·C) of memory where J takes O(N·C²).

    >>> s, g = np.array([[0.25, 0.75]]), np.array([[1.0, 0.0]])
    >>> softmax_backward(s, g), (g[:, None, :] @ softmax_jacobian(s))[:, 0, :]
    (array([[ 0.1875, -0.1875]]), array([[ 0.1875, -0.1875]]))
    """
    return s * (g - (g * s).sum(-1, keepdims=True))


class Softmax(Layer):
    """y = softmax(x) along the last axis.

    >>> Softmax()(np.zeros((1, 4)))
    Tensor([[0.25, 0.25, 0.25, 0.25]])
    """

    def __repr__(self) -> str:
        return "(Softmax)"

    def forward(self, x: Any) -> np.ndarray:
        return softmax(x)

    def bwd(self, y: Tensor, x: Any) -> None:
        add_g(x, softmax_backward(np.asarray(y), np.asarray(y.g)))


class MSES(Loss):
    """mean((softmax(y) - t)²): y (..., C) -> a number, with a gradient through softmax's Jacobian.

    >>> loss = MSES()
    >>> float(loss(np.zeros((1, 2)), np.array([[1.0, 0.0]]))), loss.gradient()
    (0.25, array([[-0.25,  0.25]]))
    """

    def __repr__(self) -> str:
        return "Loss: Mean Squared Error of Softmax"

    def forward(self, output: np.ndarray, target: np.ndarray) -> np.floating:
        return mse(softmax(output), target)

    def derivative(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        s = softmax(output)
        return softmax_backward(s, 2 * difference(s, target) / s.size)

    def gradient_by_jacobian(self) -> np.ndarray:
        """The same gradient with every entry of the N Jacobians formed, no loop: O(N·C²) memory."""
        output, target = self.args  # type: ignore[misc]
        s = softmax(np.asarray(output))
        g = 2 * difference(s, target) / s.size
        return (g[..., None, :] @ softmax_jacobian(s))[..., 0, :]


def log_softmax(x: np.ndarray) -> np.ndarray:
    """log softmax(x)_i = x_i - log Σ_k exp(x_k).

    The maximum is taken out of the sum, so that nothing overflows and no log meets 0.

    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_softmax_three_ways(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The logarithm of softmax; a difference of logarithms; the same with the maximum taken out.

    Only the last holds everywhere.

    >>> [way.tolist() for way in log_softmax_three_ways(np.array([0.0, 1000.0]))]
    [[-inf, 0.0], [-inf, -inf], [-1000.0, 0.0]]
    """
    with np.errstate(over="ignore", divide="ignore"):
        return np.log(softmax(x)), x - np.log(np.exp(x).sum(axis=-1, keepdims=True)), log_softmax(x)


def nll(log_probabilities: np.ndarray, index: np.ndarray) -> np.floating:
    """-mean(log_probabilities[i, index[i]]): of each row one entry, all taken at once.

    >>> float(nll(np.array([[-1.0, -2.0], [-3.0, -4.0]]), np.array([0, 1])))
    2.5
    """
    return -log_probabilities[np.arange(len(index)), index].mean()


class CrossEntropy(Loss):
    """-Σ_i t_i log softmax(y)_i, mean over the examples: y (..., C) -> a number.

    t has numbers of classes (...,), or one-hot rows or any probabilities (..., C).

    One class k true leaves -log(s_k). The gradient is (s - t) / N: no factor s (1 - s) shrinks it.

    >>> loss = CrossEntropy()
    >>> float(loss(np.zeros((1, 2)), np.array([[1.0, 0.0]]))) == float(np.log(2)), loss.gradient()
    (True, array([[-0.5,  0.5]]))
    """

    def __repr__(self) -> str:
        return "Loss: Cross-Entropy"

    def forward(self, output: np.ndarray, target: np.ndarray) -> np.floating:
        t = as_probabilities(target, output)
        # where a class has no share, its logarithm has no say, be it -inf
        log_shares = log_softmax(output)
        return -np.multiply(t, log_shares, where=t != 0, out=np.zeros_like(t)).sum(-1).mean()

    def derivative(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        t = as_probabilities(target, output)
        examples = output.size // output.shape[-1]
        return (softmax(output) * t.sum(-1, keepdims=True) - t) / examples


def as_probabilities(target: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Targets of the output's shape and dtype: class numbers become one-hot rows, others stay.

    >>> as_probabilities(np.array([1]), np.zeros((1, 3)))
    array([[0., 1., 0.]])
    """
    if target.shape == output.shape:
        return target.astype(output.dtype)
    if target.shape != output.shape[:-1] or target.dtype.kind not in "iu":
        wanted = f"targets of the same shape, or class numbers {output.shape[:-1]}"
        raise ValueError(f"an output of shape {output.shape} wants {wanted}")
    rows = index_to_one_hot(target.reshape(-1), output.shape[-1], output.dtype)
    return rows.reshape(output.shape)


def index_to_one_hot(index: Any, classes: int | None = None, dtype: Any = np.float32) -> np.ndarray:
    """Row i is 1 at index[i] and 0 elsewhere: (N,) -> (N, classes).

    `classes` is the largest index + 1 unless told.

    >>> index_to_one_hot([2, 1], classes=4)
    array([[0., 0., 1., 0.],
           [0., 1., 0., 0.]], dtype=float32)
    """
    index = np.asarray(index)
    classes = int(index.max()) + 1 if classes is None else classes
    if index.size and not 0 <= index.min() <= index.max() < classes:
        found = f"{index.min()} … {index.max()}"
        raise ValueError(f"class numbers lie in 0 … {classes - 1}, these in {found}")
    return np.eye(classes, dtype=dtype)[index]


def calculate_accuracy(output: Any, target: Any) -> float:
    """The share of rows whose largest output is at the target's place.

    Output (N, C), target (N, C) one-hot or (N,) class numbers.

    >>> calculate_accuracy(np.array([[1, 2], [4, 3]]), np.array([[0, 1], [0, 1]]))
    0.5
    """
    target = np.asarray(target)
    wanted = target if target.ndim == 1 else target.argmax(axis=1)
    return float(np.mean(np.asarray(output).argmax(axis=1) == wanted))

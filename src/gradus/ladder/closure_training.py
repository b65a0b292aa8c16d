"""What trains a model of closures: losses that return their gradient, optimisers, and the Learner.

A loss is where the way back begins: it returns its value and the gradient by the model's output,
with which `backward` is called. What arrives at the parameters an optimiser turns into a step.

Source: Julian Eisenschlos (eisenjulian), "Neural Networks in 100 lines of pure Python", 2019; the
binary cross-entropy is what its text leaves for later. What is otherwise here: the gradient of
`mse_loss` is divided by every entry, not by the examples alone; shapes (N, 1) and (N,) are refused;
and `fit` reports the mean over examples, where a mean of batches lets the small last one count as
much as the others.

Letters: N examples, C classes; Yp what the model predicts, Yt the target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus.ladder.closure_activations import sigmoid
from gradus.ladder.closures import Layer, Parameter

Loss = Callable[[Any, Any], tuple[Any, Any]]  # Yp, Yt -> the value, the gradient by Yp


# --- Losses ---------------------------------------------------------------------------------------


def same_shape(Yp: Any, Yt: Any) -> None:
    """Refuse shapes that NumPy would broadcast: (N, 1) minus (N,) is (N, N).

    >>> same_shape(np.zeros((2, 1)), np.zeros(2))
    Traceback (most recent call last):
    ValueError: predictions of shape (2, 1) and targets of shape (2,) differ: write Yt[:, None]
    """
    predicted, wanted = np.shape(Yp), np.shape(Yt)
    if predicted != wanted:
        hint = ": write Yt[:, None]" if predicted == (*wanted, 1) else ""
        raise ValueError(
            f"predictions of shape {predicted} and targets of shape {wanted} differ{hint}"
        )


def mse_loss(Yp: Any, Yt: Any) -> tuple[Any, Any]:
    """mean((Yp - Yt)²) over all entries, and 2 (Yp - Yt) / (number of entries).

    >>> value, gradient = mse_loss(np.array([[1.0, 3.0]]), np.zeros((1, 2)))
    >>> float(value), gradient
    (5.0, array([[1., 3.]]))
    """
    same_shape(Yp, Yt)
    error = Yp - Yt
    return (error * error).mean(), 2 * error / error.size


def bce_loss(Yp: Any, Yt: Any) -> tuple[Any, Any]:
    """Binary cross-entropy of p = sigmoid(Yp), and (p - Yt) / (number of entries).

    It is mean(-Yt log p - (1 - Yt) log(1 - p)), which log(1 + exp(Yp)) - Yt Yp says without a p
    that could round to 0 or 1.

    >>> value, gradient = bce_loss(np.array([1000.0]), np.array([0.0]))
    >>> float(value), gradient
    (1000.0, array([1.]))
    """
    same_shape(Yp, Yt)
    return (np.logaddexp(0, Yp) - Yt * Yp).mean(), (sigmoid(Yp) - Yt) / np.size(Yp)


def ce_loss(Yp: Any, Yt: Any) -> tuple[Any, Any]:
    """Cross-entropy of p = softmax(Yp), -Σ Yt log p, its mean over examples, and (p ΣYt - Yt) / N.

    Yt (N, C) has a probability for each class, in most cases a 1 and zeros. The greatest of each
    row is taken out before exp: softmax stays the same, and nothing overflows.

    >>> value, gradient = ce_loss(np.array([[0.0, 1000.0]]), np.array([[1.0, 0.0]]))
    >>> float(value), gradient
    (1000.0, array([[-1.,  1.]]))
    """
    same_shape(Yp, Yt)
    shifted = Yp - Yp.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p) * Yt.sum(axis=1, keepdims=True) - Yt
    return -(Yt * log_p).sum(axis=1).mean(), gradient / len(Yp)


# --- Optimisers -----------------------------------------------------------------------------------


class SGDOptimizer:
    """Gradient descent: a step of lr against `direction`, here the gradient, which is then spent.

    >>> p = Parameter([1.0])
    >>> p.collect(2.0); SGDOptimizer(lr=0.25).update(p); p.tensor, p.gradient
    (array([0.5]), array([0.]))
    """

    def __init__(self, lr: float = 0.1) -> None:
        self.lr = lr

    def direction(self, parameter: Parameter) -> Any:
        return parameter.gradient

    def update(self, parameter: Parameter) -> None:
        parameter.tensor -= self.lr * self.direction(parameter)
        parameter.gradient[...] = 0  # until here the gradients added up


class MomentumOptimizer(SGDOptimizer):
    """direction = momentum · last direction + gradient. A parameter listed twice would show.

    >>> p, optimizer = Parameter([0.0]), MomentumOptimizer(lr=1.0, momentum=0.5)
    >>> for _ in range(2): p.collect(1.0); optimizer.update(p)
    >>> p.tensor
    array([-2.5])
    """

    def __init__(self, lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__(lr)
        self.momentum = momentum
        self.velocity: dict[Parameter, Any] = {}

    def direction(self, parameter: Parameter) -> Any:
        slowed = self.momentum * self.velocity.get(parameter, 0)
        self.velocity[parameter] = slowed + parameter.gradient
        return self.velocity[parameter]


# --- The loop -------------------------------------------------------------------------------------


def shuffled_batches(n: int, bs: int, rng: Any, drop_last: bool = False) -> list[Any]:
    """The numbers of n rows in a new order, bs at a time; fewer in the last batch, or without it.

    >>> [len(rows) for rows in shuffled_batches(25, 10, np.random.default_rng(0))]
    [10, 10, 5]
    """
    batches = np.split(rng.permutation(n), range(bs, n, bs))
    return [rows for rows in batches if len(rows) == bs or not drop_last]


class Learner:
    """A model, a loss and an optimizer. `fit_batch` makes one step, `epoch` one pass, `fit` many.

    >>> from gradus.ladder.closures import Linear
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> learner = Learner(Linear(1, 1, rng=0), mse_loss, SGDOptimizer(lr=0.5), rng=0)
    >>> learner.fit(x, 3 * x, epochs=20, bs=5)[-1] < 1e-6
    True
    """

    def __init__(self, model: Layer, loss: Loss, optimizer: Any, rng: Any = None) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.rng = np.random.default_rng(rng)

    def fit_batch(self, x: Any, y: Any) -> float:
        """One step; returns the loss before it."""
        prediction, backward = self.model.forward(x)
        value, gradient = self.loss(prediction, y)
        backward(gradient)
        self.model.update(self.optimizer)
        return float(value)

    def epoch(self, x: Any, y: Any, bs: int, drop_last: bool = False) -> float:
        """Each example once, in batches of bs, in a new order; returns the mean loss of one."""
        batches = shuffled_batches(len(x), bs, self.rng, drop_last)
        total = sum(len(rows) * self.fit_batch(x[rows], y[rows]) for rows in batches)
        return total / sum(map(len, batches))

    def fit(self, x: Any, y: Any, epochs: int, bs: int, drop_last: bool = False) -> list[float]:
        """Several epochs; returns what each reported."""
        if len(x) != len(y):
            raise ValueError(f"{len(x)} inputs, but {len(y)} targets")
        return [self.epoch(x, y, bs, drop_last) for _ in range(epochs)]

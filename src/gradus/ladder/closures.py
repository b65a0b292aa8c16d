"""Closures: a layer's forward returns its output and a function that takes the gradient back. Nothing is remembered on the layer.

The layers of the rung below kept their last call on themselves, so one layer could not stand in a model twice. Here each call makes its
own `backward`, which holds what that call saw: the same layer may be called as often as one likes, and every gradient is exact.

Source: Julian Eisenschlos (eisenjulian), "Neural Networks in 100 lines of pure Python", 2019, after the library Thinc; with the binary
cross-entropy and the activations that its text promises for later. `closures_at_work.py` runs its experiments. Repaired here: the gradient
of `mse_loss` is divided by every entry, not by the examples alone; shapes (N, 1) and (N,) are refused; a layer listed twice is updated
once; layers appended later are seen; parameters given as whole numbers become floats; `fit` reports the mean over examples, not a sum of
batches' means, of which the small last one weighed as much as the others.

Letters: N examples; X input, Y output, D gradient of the loss by the output, S sigmoid or softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Backward = Callable[[Any], Any]


class Parameter:
    """An array and the sum of the gradients that came back to it; a frozen one is passed over by `update`.

    >>> Parameter([1, 2]).gradient  # floats, though the numbers were whole
    array([0., 0.])
    """

    def __init__(self, tensor: Any, frozen: bool = False) -> None:
        tensor = np.array(tensor)
        self.tensor = tensor if tensor.dtype.kind == "f" else tensor.astype(np.float64)
        self.gradient = np.zeros_like(self.tensor)
        self.frozen = frozen


class Layer:
    """forward(X) -> (Y, backward), backward(D) -> ∂loss/∂X, adding to the gradients of the parameters. This one changes nothing.

    >>> Y, backward = Layer().forward(np.ones(2))
    >>> Y, backward(np.zeros(2))
    (array([1., 1.]), array([0., 0.]))
    """

    def __init__(self) -> None:
        self.own: list[Parameter] = []

    @property
    def parameters(self) -> list[Parameter]:
        """Each parameter once, as they are now."""
        return self.own

    def build_param(self, tensor: Any) -> Parameter:
        """A new parameter of this layer."""
        self.own.append(Parameter(tensor))
        return self.own[-1]

    def forward(self, X: Any) -> tuple[Any, Backward]:
        return X, lambda D: D

    def update(self, optimizer: Any) -> None:
        """Let the optimizer change every parameter. Last of all: weights may serve in several places, none may find them changed."""
        for parameter in self.parameters:
            if not parameter.frozen:
                optimizer.update(parameter)


class Linear(Layer):
    """Y = X @ weights + bias, weights ~ N(0, 1/inputs), bias 0: (N, inputs) -> (N, outputs).

    With `input_gradient=False` backward returns None and saves one of its two products: right for the first layer of a model.

    >>> Linear(3, 2, rng=0).forward(np.zeros((5, 3)))[0].shape
    (5, 2)
    """

    def __init__(self, inputs: int, outputs: int, rng: Any = None, input_gradient: bool = True) -> None:
        super().__init__()
        self.weights = self.build_param(np.random.default_rng(rng).standard_normal((inputs, outputs)) * np.sqrt(1 / inputs))
        self.bias = self.build_param(np.zeros(outputs))
        self.input_gradient = input_gradient

    def forward(self, X: Any) -> tuple[Any, Backward]:
        def backward(D: Any) -> Any:
            self.weights.gradient += X.T @ D
            self.bias.gradient += D.sum(axis=0)
            return D @ self.weights.tensor.T if self.input_gradient else None

        return X @ self.weights.tensor + self.bias.tensor, backward


class Sequential(Layer):
    """Layers one after another; backward runs their backwards in reverse and returns the gradient by the first input.

    >>> model = Sequential(Linear(2, 3, rng=0), Tanh(), Linear(3, 1, rng=1))
    >>> Y, backward = model.forward(np.ones((4, 2)))
    >>> Y.shape, backward(np.ones((4, 1))).shape, len(model.parameters)
    ((4, 1), (4, 2), 4)
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layers = list(layers)

    @property
    def parameters(self) -> list[Parameter]:
        return list(dict.fromkeys([*self.own, *(parameter for layer in self.layers for parameter in layer.parameters)]))

    def forward(self, X: Any) -> tuple[Any, Backward]:
        backprops = []
        for layer in self.layers:
            X, backprop = layer.forward(X)
            backprops.append(backprop)

        def backward(D: Any) -> Any:
            for backprop in reversed(backprops):
                D = backprop(D)
            return D

        return X, backward


class Residual(Sequential):
    """Y = X + layers(X): a graph that forks and joins. Where a value was used twice, its two gradients are added.

    >>> Y, backward = Residual(Layer()).forward(np.ones(1))
    >>> Y, backward(np.ones(1))
    (array([2.]), array([2.]))
    """

    def forward(self, X: Any) -> tuple[Any, Backward]:
        Y, backprop = super().forward(X)
        return X + Y, lambda D: D + backprop(D)


# --- Activations: functions of each entry alone, so that their Jacobian is diagonal and backward is a product entry by entry -------------


def sigmoid(X: Any) -> Any:
    """1 / (1 + exp(-X)), written so that nothing overflows.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return np.exp(-np.logaddexp(0, -X))


class Activation(Layer):
    """Y = function(X), backward(D) = D * slope(X, Y). A new one states the two."""

    def function(self, X: Any) -> Any:
        raise NotImplementedError

    def slope(self, X: Any, Y: Any) -> Any:
        raise NotImplementedError

    def forward(self, X: Any) -> tuple[Any, Backward]:
        Y = self.function(X)
        return Y, lambda D: D * self.slope(X, Y)


class ReLU(Activation):
    """max(X, 0); the slope at 0 is taken as 0.

    >>> ReLU().forward(np.array([-2.0, 3.0]))[0]
    array([0., 3.])
    """

    function = lambda self, X: np.maximum(X, 0)
    slope = lambda self, X, Y: X > 0


class LeakyReLU(Activation):
    """X where it is positive, else X / 100.

    >>> LeakyReLU().forward(np.array([-2.0, 3.0]))[0]
    array([-0.02,  3.  ])
    """

    function = lambda self, X: np.where(X > 0, X, 0.01 * X)
    slope = lambda self, X, Y: np.where(X > 0, 1, 0.01)


class Sigmoid(Activation):
    """S = 1 / (1 + exp(-X)), slope S (1 - S), never above 1/4.

    >>> Y, backward = Sigmoid().forward(np.zeros(1))
    >>> Y, backward(np.ones(1))
    (array([0.5]), array([0.25]))
    """

    function = lambda self, X: sigmoid(X)
    slope = lambda self, X, Y: Y * (1 - Y)


class Tanh(Activation):
    """(exp(X) - exp(-X)) / (exp(X) + exp(-X)), slope 1 - Y².

    >>> Tanh().forward(np.zeros(1))[1](np.ones(1))
    array([1.])
    """

    function = lambda self, X: np.tanh(X)
    slope = lambda self, X, Y: 1 - Y * Y


class Softplus(Activation):
    """log(1 + exp(X)), a ReLU without a corner, slope sigmoid(X).

    >>> Softplus().forward(np.array([1000.0]))[0]
    array([1000.])
    """

    function = lambda self, X: np.logaddexp(0, X)
    slope = lambda self, X, Y: sigmoid(X)


class SiLU(Activation):
    """X sigmoid(X), slope S + Y (1 - S).

    >>> SiLU().forward(np.zeros(1))[1](np.ones(1))
    array([0.5])
    """

    function = lambda self, X: X * sigmoid(X)
    slope = lambda self, X, Y: sigmoid(X) + Y * (1 - sigmoid(X))


# --- Losses: loss(Yp, Yt) -> (value, gradient by Yp) --------------------------------------------------------------------------------------


def same_shape(Yp: Any, Yt: Any) -> None:
    """Refuse shapes that NumPy would broadcast: (N, 1) minus (N,) is (N, N).

    >>> same_shape(np.zeros((2, 1)), np.zeros(2))
    Traceback (most recent call last):
    ValueError: predictions of shape (2, 1) and targets of shape (2,) differ: write Yt[:, None]
    """
    if np.shape(Yp) != np.shape(Yt):
        hint = ": write Yt[:, None]" if np.shape(Yp) == (*np.shape(Yt), 1) else ""
        raise ValueError(f"predictions of shape {np.shape(Yp)} and targets of shape {np.shape(Yt)} differ{hint}")


def mse_loss(Yp: Any, Yt: Any) -> tuple[Any, Any]:
    """mean((Yp - Yt)²) over all entries, and 2 (Yp - Yt) / (number of entries).

    >>> loss, D = mse_loss(np.array([[1.0, 3.0]]), np.zeros((1, 2)))
    >>> float(loss), D
    (5.0, array([[1., 3.]]))
    """
    same_shape(Yp, Yt)
    diff = Yp - Yt
    return np.square(diff).mean(), 2 * diff / diff.size


def bce_loss(Yp: Any, Yt: Any) -> tuple[Any, Any]:
    """Binary cross-entropy of p = sigmoid(Yp): mean(-Yt log p - (1 - Yt) log(1 - p)), and (p - Yt) / (number of entries).

    >>> loss, D = bce_loss(np.array([1000.0]), np.array([0.0]))
    >>> float(loss), D
    (1000.0, array([1.]))
    """
    same_shape(Yp, Yt)
    return (np.logaddexp(0, Yp) - Yt * Yp).mean(), (sigmoid(Yp) - Yt) / np.size(Yp)


def ce_loss(Yp: Any, Yt: Any) -> tuple[Any, Any]:
    """Cross-entropy of S = softmax(Yp): the mean over examples of -Σ Yt log S, and (S ΣYt - Yt) / N; Yt (N, C), rows of probabilities.

    >>> loss, D = ce_loss(np.array([[0.0, 1000.0]]), np.array([[1.0, 0.0]]))
    >>> float(loss), D
    (1000.0, array([[-1.,  1.]]))
    """
    same_shape(Yp, Yt)
    shifted = Yp - Yp.max(axis=1, keepdims=True)
    log_S = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(Yt * log_S).sum(axis=1).mean(), (np.exp(log_S) * Yt.sum(axis=1, keepdims=True) - Yt) / len(Yp)


# --- Training -----------------------------------------------------------------------------------------------------------------------------


class SGDOptimizer:
    """tensor -= lr * gradient, and the gradient is zeroed: until then gradients add up.

    >>> p = Parameter([1.0])
    >>> p.gradient += 2; SGDOptimizer(lr=0.25).update(p); p.tensor, p.gradient
    (array([0.5]), array([0.]))
    """

    def __init__(self, lr: float = 0.1) -> None:
        self.lr = lr

    def update(self, param: Parameter) -> None:
        param.tensor -= self.lr * param.gradient
        param.gradient.fill(0)


class MomentumOptimizer(SGDOptimizer):
    """velocity = momentum * velocity + gradient; tensor -= lr * velocity. It would notice a parameter that is listed twice.

    >>> p, optimizer = Parameter([0.0]), MomentumOptimizer(lr=1.0, momentum=0.5)
    >>> for _ in range(2): p.gradient += 1; optimizer.update(p)
    >>> p.tensor
    array([-2.5])
    """

    def __init__(self, lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__(lr)
        self.momentum = momentum
        self.velocity: dict[Parameter, Any] = {}

    def update(self, param: Parameter) -> None:
        self.velocity[param] = self.momentum * self.velocity.get(param, 0) + param.gradient
        param.tensor -= self.lr * self.velocity[param]
        param.gradient.fill(0)


class Learner:
    """A model, a loss and an optimizer: `fit_batch` makes one step, `fit` many.

    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> losses = Learner(Linear(1, 1, rng=0), mse_loss, SGDOptimizer(lr=0.5), rng=0).fit(X, 3 * X, epochs=20, bs=5)
    >>> losses[-1] < 1e-6
    True
    """

    def __init__(self, model: Layer, loss: Callable[[Any, Any], tuple[Any, Any]], optimizer: Any, rng: Any = None) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.rng = np.random.default_rng(rng)

    def fit_batch(self, X: Any, Y: Any) -> float:
        """One step; returns the loss before it."""
        Y_, backward = self.model.forward(X)
        L, D = self.loss(Y_, Y)
        backward(D)
        self.model.update(self.optimizer)
        return float(L)

    def fit(self, X: Any, Y: Any, epochs: int, bs: int, drop_last: bool = False) -> list[float]:
        """Shuffle anew each epoch, step through batches of bs; returns the mean loss per example of each epoch."""
        if len(X) != len(Y):
            raise ValueError(f"{len(X)} inputs, but {len(Y)} targets")
        losses, used = [], len(X) - len(X) % bs if drop_last else len(X)
        for _ in range(epochs):
            p = self.rng.permutation(len(X))[:used]
            batches = [p[i : i + bs] for i in range(0, used, bs)]
            losses.append(sum(self.fit_batch(X[rows], Y[rows]) * len(rows) for rows in batches) / used)
        return losses

"""The closures at work: what they learn, what the layers that remember could not, and some slips.

Source: Julian Eisenschlos (eisenjulian), "Neural Networks in 100 lines of pure Python", 2019, text
and notebook; `slips` runs what they print beside what is true. The text prints a distance of
1.8e-05 after 10 epochs of `recover_linear`: ten leave 1e-3 to 2e-2, and 1e-5 takes about twenty.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.closure_activations import Sigmoid, Tanh
from gradus.ladder.closure_training import Learner, SGDOptimizer, ce_loss, mse_loss
from gradus.ladder.closures import Linear, Sequential

# --- What they learn ------------------------------------------------------------------------------


class Recovery(NamedTuple):
    """Losses of the epochs, and how far weights and bias are from those that made the data."""

    losses: list[float]
    weights: float
    bias: float


def recover_linear(
    features: int = 10,
    samples: int = 100,
    epochs: int = 20,
    bs: int = 10,
    lr: float = 0.05,
    noise: float = 0.0,
    seed: int = 0,
) -> Recovery:
    """Data from Y = X W + B, and a Linear that finds W and B.

    >>> found = recover_linear(epochs=30)
    >>> found.weights < 1e-4 and found.bias < 1e-4
    True
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, features))
    W, B = rng.standard_normal((features, 1)), rng.standard_normal(1)
    Y = X @ W + B + noise * rng.standard_normal((samples, 1))
    model = Linear(features, 1, rng)
    losses = Learner(model, mse_loss, SGDOptimizer(lr), rng).fit(X, Y, epochs, bs)
    weights_off = float(np.linalg.norm(model.weights.tensor - W))
    bias_off = float(abs(model.bias.tensor - B)[0])
    return Recovery(losses, weights_off, bias_off)


class Curves(NamedTuple):
    """Losses of the epochs with one layer and with two."""

    one_layer: list[float]
    two_layers: list[float]


def product_of_two(
    samples: int = 1000,
    hidden: int = 10,
    epochs: int = 50,
    bs: int = 50,
    lr: float = 0.3,
    seed: int = 0,
) -> Curves:
    """y = x1 x2: no line comes near it (the best is 0, of loss 1), a layer of sigmoids does.

    As printed, with Y of shape (N,), the first batch fails: the difference from (N, 1) is (N, N).
    Here Y is (N, 1).

    >>> curves = product_of_two(epochs=20)
    >>> curves.one_layer[-1] > 0.7, curves.two_layers[-1] < 0.5
    (True, True)
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, 2))
    Y = X[:, :1] * X[:, 1:]
    one = Sequential(Linear(2, 1, rng))
    two = Sequential(Linear(2, hidden, rng), Sigmoid(), Linear(hidden, 1, rng))
    return Curves(
        Learner(one, mse_loss, SGDOptimizer(lr=0.01), seed).fit(X, Y, epochs, bs),
        Learner(two, mse_loss, SGDOptimizer(lr), seed).fit(X, Y, epochs, bs),
    )


# --- What the rung below could not do -------------------------------------------------------------


class TwoGradients(NamedTuple):
    """The gradient of a weight as backward finds it, and by differences of the loss."""

    found: np.ndarray
    numeric: np.ndarray


def layer_used_twice(seed: int = 0) -> TwoGradients:
    """One Linear at two places of a model: the weight's gradient is the sum of both, and exact.

    >>> pair = layer_used_twice()
    >>> bool(np.allclose(pair.found, pair.numeric, atol=1e-8))
    True
    """
    rng = np.random.default_rng(seed)
    X, Y, same = rng.standard_normal((5, 4)), rng.standard_normal((5, 4)), Linear(4, 4, rng)
    model = Sequential(same, Tanh(), same)
    prediction, backward = model.forward(X)
    backward(mse_loss(prediction, Y)[1])
    weight, numeric, h = same.weights.tensor, np.zeros((4, 4)), 1e-5
    for place in np.ndindex(weight.shape):
        kept, losses = weight[place], []
        for step in (h, -h):
            weight[place] = kept + step
            losses.append(mse_loss(model.forward(X)[0], Y)[0])
        weight[place], numeric[place] = kept, (losses[0] - losses[1]) / (2 * h)
    return TwoGradients(same.weights.gradient, numeric)


# --- Slips of the source --------------------------------------------------------------------------


class Slip(NamedTuple):
    """Something printed in the source: where, what it gives, what is true."""

    where: str
    printed: Any
    true: Any


def product_shape(a: np.ndarray, b: np.ndarray) -> tuple[int, ...] | str:
    """The shape of a @ b, or what NumPy raises instead.

    >>> product_shape(np.ones((2, 3)), np.ones((3, 4)))
    (2, 4)
    >>> product_shape(np.ones((2, 3)), np.ones((2, 3)))
    'ValueError'
    """
    try:
        return (a @ b).shape
    except ValueError as error:
        return type(error).__name__


def slips(seed: int = 0) -> list[Slip]:
    """What text and notebook print, run beside what is true."""
    rng = np.random.default_rng(seed)
    Yp, Yt = rng.standard_normal((6, 3)), np.eye(3)[rng.integers(3, size=6)]
    return [*slips_of_the_text(Yp, Yt, rng.standard_normal((6, 2))), *slips_of_ce_loss(Yp, Yt)]


def slips_of_the_text(Yp: np.ndarray, Yt: np.ndarray, X: np.ndarray) -> list[Slip]:
    """Shapes and factors: predictions Yp and targets Yt (N, C), inputs X (N, F)."""
    error, gradient = Yp - Yt, mse_loss(Yp, Yt)[1]
    over_true = float((2 * error / len(error) / gradient).mean())
    column, flat = Yp[:, :1], Yt[:, 0]
    whole_numbers = np.array([1, 2])
    return [
        Slip("mse_loss's gradient for 3 outputs, over the true one", over_true, 1.0),
        Slip(
            "the text's gradient of MSE, 2 avg(y - ŷ): its shape",
            np.shape(2 * error.mean()),
            gradient.shape,
        ),
        Slip(
            "the text's gradient of w, dl/dy · xᵗ: its shape",
            product_shape(error, X.T),
            product_shape(X.T, error),
        ),
        Slip("Yp - Yt with Yt of shape (N,): its shape", (column - flat).shape, (6, 1)),
        Slip(
            "a gradient made by zeros_like of whole numbers: its dtype",
            np.zeros_like(whole_numbers).dtype.kind,
            "f",
        ),
    ]


def slips_of_ce_loss(Yp: np.ndarray, Yt: np.ndarray) -> list[Slip]:
    """The notebook's cross-entropy: predictions Yp and targets Yt (N, C)."""
    value, gradient = ce_loss(Yp, Yt)
    probability = np.exp(Yp) / np.exp(Yp).sum(axis=1, keepdims=True)
    inner = np.inner(Yt, np.log(probability))
    printed = Yt - probability / len(Yt)
    with np.errstate(over="ignore", invalid="ignore"):
        unshifted = np.exp([0.0, 1000.0]) / np.exp([0.0, 1000.0]).sum()
    return [
        Slip("the notebook's ce_loss by np.inner: shape before the mean", inner.shape, (6,)),
        Slip("its sign", float(np.sign(inner.mean())), float(np.sign(value))),
        Slip(
            "its gradient Yt - probability / N: largest entry",
            float(printed.max()),
            float(gradient.max()),
        ),
        Slip(
            "its softmax of (0, 1000), without the maximum taken out",
            unshifted.tolist(),
            [0.0, 1.0],
        ),
    ]

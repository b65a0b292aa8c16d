"""The tape at work: a network, a loop as long as its values want, and why backward needs an order.

Sources: Julian Eisenschlos, Neural Networks in 100 lines of pure Python, 2019 (y = x₁·x₂, which no
line comes near); Jeremy Howard and Sylvain Gugger, Deep Learning for Coders with fastai and
PyTorch, 2020, chapter 17 (the activation by hand).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.tape import MyRelu, Tensor


def mse(y: Tensor, target: Any) -> Tensor:
    """Mean of (y - target)² over all elements; other shapes, which broadcasting takes, are refused.

    >>> mse(Tensor([[1.0], [3.0]]), np.array([[1.0], [1.0]]))
    Tensor(2.0)
    """
    if y.shape != target.shape:
        raise ValueError(
            f"outputs of shape {y.shape} cannot be compared with targets of shape {target.shape}"
        )
    return ((y - target) ** 2).mean()


class Training(NamedTuple):
    """Mean losses of the epochs, and the trained parameters."""

    losses: list[float]
    parameters: list[Tensor]


def train(
    activation: Callable[[Tensor], Tensor] = MyRelu.apply,
    seed: int = 0,
    epochs: int = 40,
    hidden: int = 16,
    lr: float = 0.05,
) -> Training:
    """Learn y = x₁·x₂, 1,000 points in batches of 50, with two linear layers and an activation.

    A function that no straight line comes near: with ``lambda x: x`` for the activation the loss
    stays near 1, the variance of y.

    >>> train(epochs=20).losses[-1] < 0.2 < 0.8 < train(lambda x: x, epochs=20).losses[-1]
    True
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1000, 2))
    y = x[:, :1] * x[:, 1:]
    w1 = rng.standard_normal((2, hidden)) * np.sqrt(2 / 2)
    w2 = rng.standard_normal((hidden, 1)) * np.sqrt(2 / hidden)
    parameters = [Tensor(p, requires_grad=True) for p in (w1, np.zeros(hidden), w2, np.zeros(1))]
    losses = []
    for _ in range(epochs):
        order, total = rng.permutation(len(x)), 0.0
        for rows in order.reshape(-1, 50):
            weight1, bias1, weight2, bias2 = parameters
            loss = mse(activation(x[rows] @ weight1 + bias1) @ weight2 + bias2, y[rows])
            loss.backward()
            for p in parameters:
                p.value -= lr * p.grad
                p.grad = None  # gradients add up until told otherwise
            total += float(loss.value)
        losses.append(total / (len(x) // 50))
    return Training(losses, parameters)


def square_root(a: Tensor, tolerance: float = 1e-12) -> Tensor:
    """√a by Heron's method: a loop whose length depends on the values.

    The tape sees only what was computed, so the gradient is 1/(2√a).

    >>> a = Tensor(9.0, requires_grad=True)
    >>> root = square_root(a)
    >>> root.backward()
    >>> round(float(root.value), 9), round(float(a.grad), 9)
    (3.0, 0.166666667)
    """
    x = a * 0.5 + 0.5
    while abs(x.value**2 - a.value) > tolerance * a.value:
        x = (x + a / x) * 0.5
    return x


class Orders(NamedTuple):
    """da/da of c = b + b with b = a + a by three ways of visiting, and what it is."""

    topological: float
    recursion: float
    truth: float


def visiting_orders() -> Orders:
    """Why an order is needed: recursion that pushes each gradient on as it arrives counts it again.

    >>> visiting_orders()
    Orders(topological=4.0, recursion=8.0, truth=4.0)
    """
    a = Tensor(1.0, requires_grad=True)
    b = a + a
    c = b + b
    c.backward()
    sums = dict.fromkeys((a, b, c), 0.0)

    def visit(x: Tensor) -> None:
        for parent, pull in x.history:
            sums[parent] += float(pull(sums[x]))
        for parent, _ in x.history:
            visit(parent)  # b comes twice, each time with all that it has gathered

    sums[c] = 1.0
    visit(c)
    return Orders(float(a.grad), sums[a], 4.0)


def long_chain(length: int) -> float:
    """The gradient of x · (1 + 1/n)ⁿ at 1, by n products in a row: it tends to e.

    A recursive visit would end at about 1,000.

    >>> round(long_chain(5000), 2)
    2.72
    """
    x = y = Tensor(1.0, requires_grad=True)
    for _ in range(length):
        y = y * (1 + 1 / length)
    y.backward()
    return float(x.grad)

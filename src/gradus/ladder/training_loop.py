"""The training loop: an optimiser that updates, an epoch of batches, and validation in between.

The rung below made modules; here they earn their keep: whatever the model is, its parameters are
updated by two calls. How the loop came to be, from four arrays updated by hand, is told in eleven
steps by `training_stages`; the batches come from `data_loader`.

Gradients add up, so that a shared parameter gets every contribution; so somebody has to clear them.
Here it is `Optimizer.zero_grad`, after each step.

Sources: Jeremy Howard, Practical Deep Learning for Coders, part 2, 2019; Jeremy Howard and Sylvain
Gugger, Deep Learning for Coders with fastai and PyTorch, 2020, chapters 17 and 19.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.module import Module
from gradus.ladder.tape_of_layers import Parameter, Tensor, cross_entropy, no_grad

# --- The optimiser --------------------------------------------------------------------------------


class Optimizer:
    """Updates parameters by their gradients; one named twice moves once, a frozen one never."""

    def __init__(self, parameters: Iterable[Parameter], lr: float) -> None:
        self.parameters, self.lr = list(dict.fromkeys(parameters)), lr
        if not self.parameters:
            raise ValueError(
                "no parameters: was the generator used up, or was the model's layer kept in a "
                "plain list?"
            )

    def step(self) -> None:
        """Update every parameter that got a gradient."""
        for p in self.parameters:
            if p.requires_grad and p.grad is not None:
                self.update(p)

    def zero_grad(self) -> None:
        """Forget all gradients; without this the next backward pass adds to them."""
        for p in self.parameters:
            p.grad = None

    def update(self, p: Parameter) -> None:
        """The rule for one parameter."""
        raise NotImplementedError


class SGD(Optimizer):
    """v ← momentum · v + g; p ← p - lr · v.

    >>> p = Parameter([1.0])
    >>> p.grad = np.array([2.0])
    >>> SGD([p], lr=0.25).step()
    >>> p.value
    array([0.5])
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum = momentum
        self.velocity: dict[Parameter, Any] = {}

    def update(self, p: Parameter) -> None:
        """One step for one parameter."""
        v = p.grad
        if self.momentum:
            v = self.velocity[p] = self.momentum * self.velocity.get(p, 0.0) + p.grad
        p.value = p.value - self.lr * v


# --- The loop -------------------------------------------------------------------------------------


Batches = Iterable[tuple[np.ndarray, np.ndarray]]


def train_epoch(model: Module, optimizer: Optimizer, loader: Batches) -> list[float]:
    """One pass over a loader of x (N, n_in) and labels (N,): the loss of every batch.

    >>> from gradus.ladder.module import LinearLayer
    >>> model = LinearLayer(2, 2, np.random.default_rng(0))
    >>> batch = np.eye(2), np.array([0, 1])
    >>> first, *_, last = train_epoch(model, SGD(model.parameters(), lr=1.0), [batch] * 20)
    >>> last < first / 5
    True
    """
    losses = []
    for x, y in loader:
        loss = cross_entropy(model(Tensor(x)), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.value))
    return losses


class History(NamedTuple):
    """The loss of every training batch; after each epoch, mean loss and accuracy in validation."""

    losses: list[float]
    valid_losses: list[float]
    accuracies: list[float]


class Evaluation(NamedTuple):
    """Mean loss and share of right answers over examples, so a small batch weighs less."""

    loss: float
    accuracy: float


def evaluate(model: Module, loader: Iterable[tuple[np.ndarray, np.ndarray]]) -> Evaluation:
    """Run the model in evaluation mode, without a tape.

    >>> from gradus.ladder.module import Sequential
    >>> evaluate(Sequential(), [(np.eye(2), np.array([0, 0]))]).accuracy
    0.5
    """
    model.eval()
    total, right, n = 0.0, 0, 0
    with no_grad():
        for x, y in loader:
            output = model(Tensor(x))
            total += float(cross_entropy(output, y).value) * len(y)
            right += int((output.value.argmax(1) == y).sum())
            n += len(y)
    return Evaluation(total / n, right / n)


def fit(
    epochs: int,
    model: Module,
    optimizer: Optimizer,
    train_loader: Iterable[Any],
    valid_loader: Iterable[Any],
) -> History:
    """Train and validate in turn; each says its mode, for the other has left its own behind."""
    history = History([], [], [])
    for _ in range(epochs):
        model.train()
        history.losses.extend(train_epoch(model, optimizer, train_loader))
        found = evaluate(model, valid_loader)
        history.valid_losses.append(found.loss)
        history.accuracies.append(found.accuracy)
    return history

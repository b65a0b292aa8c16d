"""The training loop in eleven stages, from four arrays updated by hand to loaders and validation.

Each stage is a function that takes a `Task` and returns the loss of every batch; it removes one
thing that the one before had to spell out. All give exactly the same losses, to the last bit
(`agreement`). What they arrive at is `training_loop` and `data_loader`.

Two mistakes that one can make with it are in `training_mistakes`.

Sources: Jeremy Howard, Practical Deep Learning for Coders, part 2, 2019 (the loop grows in this
order, up to loaders with samplers and validation); Jeremy Howard and Sylvain Gugger, Deep Learning
for Coders with fastai and PyTorch, 2020, chapters 17 and 19.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.data_loader import DataLoader, Dataset, Sampler, collate
from gradus.ladder.module import (
    DummyModule,
    LinearLayer,
    Module,
    ModuleList,
    PlainLinear,
    ReLU,
    Sequential,
    kaiming,
)
from gradus.ladder.tape_of_layers import Parameter, Tensor, cross_entropy, linear, relu
from gradus.ladder.training_loop import SGD, fit, train_epoch


class Task(NamedTuple):
    """What is to be learnt, and the numbers of the loop.

    x (N, n_in) with labels y (N,), others to validate on, and the three widths of the network.
    """

    x: np.ndarray
    y: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray
    widths: tuple[int, int, int]
    lr: float = 0.5
    batch_size: int = 64
    epochs: int = 2
    seed: int = 0


def make_task(seed: int = 0, n: int = 500, **numbers: Any) -> Task:
    """Points in the plane, two classes: do the signs of both coordinates differ?

    No straight line tells them apart.

    >>> task = make_task(n=4)
    >>> (task.x[:, 0] < 0).tolist(), (task.x[:, 1] < 0).tolist(), task.y.tolist()
    ([False, False, True, False], [True, False, False, False], [1, 0, 1, 0])
    """
    x = np.random.default_rng(seed).standard_normal((2 * n, 2))
    y = (x[:, 0] * x[:, 1] < 0).astype(int)
    return Task(x[:n], y[:n], x[n:], y[n:], (2, 16, 2), seed=seed, **numbers)


def slices(task: Task) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All batches of all epochs, in order."""
    for _ in range(task.epochs):
        for i in range(0, len(task.x), task.batch_size):
            yield task.x[i : i + task.batch_size], task.y[i : i + task.batch_size]


def manual(task: Task) -> list[float]:
    """1. Four arrays by name: each is made, used, updated and cleared in a line of its own."""
    rng, (n_in, hidden, n_out) = np.random.default_rng(task.seed), task.widths
    w1, b1 = Parameter(kaiming(rng, n_in, hidden)), Parameter(np.zeros(hidden))
    w2, b2 = Parameter(kaiming(rng, hidden, n_out)), Parameter(np.zeros(n_out))
    losses = []
    for x, y in slices(task):
        loss = cross_entropy(linear(relu(linear(Tensor(x), w1, b1)), w2, b2), y)
        loss.backward()
        w1.value = w1.value - task.lr * w1.grad
        b1.value = b1.value - task.lr * b1.grad
        w2.value = w2.value - task.lr * w2.grad
        b2.value = b2.value - task.lr * b2.grad
        w1.grad = b1.grad = w2.grad = b2.grad = None
        losses.append(float(loss.value))
    return losses


def loop_over_parameters(
    task: Task, model: Callable[[Tensor], Tensor], parameters: Callable[[], Iterable[Parameter]]
) -> list[float]:
    """The loop of stages 2 to 6: whatever the model is made of, one line updates it."""
    losses = []
    for x, y in slices(task):
        loss = cross_entropy(model(Tensor(x)), y)
        loss.backward()
        for p in parameters():
            p.value = p.value - task.lr * p.grad
            p.grad = None
        losses.append(float(loss.value))
    return losses


def with_parameters(task: Task) -> list[float]:
    """2. Layers list their parameters, so the update is a loop; the list of layers is by hand."""
    rng, (n_in, hidden, n_out) = np.random.default_rng(task.seed), task.widths
    l1, l2 = PlainLinear(rng, n_in, hidden), PlainLinear(rng, hidden, n_out)
    both = lambda: [*l1.parameters(), *l2.parameters()]
    return loop_over_parameters(task, lambda x: l2(relu(l1(x))), both)


def with_dummy_module(task: Task) -> list[float]:
    """3. `__setattr__` keeps the list of layers."""
    model = DummyModule(np.random.default_rng(task.seed), *task.widths)
    return loop_over_parameters(task, model, model.parameters)


class ByHand(Module):
    """Layers in a plain list, into which `__setattr__` cannot look: `add_module` registers them."""

    def __init__(self, layers: Sequence[Module]) -> None:
        self.layers = layers
        for i, layer in enumerate(layers):
            self.add_module(f"layer_{i}", layer)

    def forward(self, x: Tensor) -> Tensor:
        """One after another."""
        for layer in self.layers:
            x = layer(x)
        return x


class InAList(Module):
    """The same with a `ModuleList`, which registers what it holds."""

    def __init__(self, layers: Sequence[Module]) -> None:
        self.layers = ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """One after another."""
        for layer in self.layers:
            x = layer(x)
        return x


def network(task: Task) -> list[Module]:
    """Linear, ReLU, Linear, with the weights of every other stage."""
    rng, (n_in, hidden, n_out) = np.random.default_rng(task.seed), task.widths
    return [LinearLayer(n_in, hidden, rng), ReLU(), LinearLayer(hidden, n_out, rng)]


def with_add_module(task: Task) -> list[float]:
    """4. A base class for any model; layers in a list are registered one by one."""
    model = ByHand(network(task))
    return loop_over_parameters(task, model, model.parameters)


def with_module_list(task: Task) -> list[float]:
    """5. The list registers them."""
    model = InAList(network(task))
    return loop_over_parameters(task, model, model.parameters)


def with_sequential(task: Task) -> list[float]:
    """6. The list also knows what to do with them: no class is written for the model."""
    model = Sequential(*network(task))
    return loop_over_parameters(task, model, model.parameters)


def with_optimizer(task: Task) -> list[float]:
    """7. Update and clearing have names: `step` and `zero_grad`."""
    model = Sequential(*network(task))
    optimizer, losses = SGD(model.parameters(), task.lr), []
    for x, y in slices(task):
        loss = cross_entropy(model(Tensor(x)), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.value))
    return losses


def with_dataset(task: Task) -> list[float]:
    """8. Inputs and targets are cut together."""
    model, data = Sequential(*network(task)), Dataset(task.x, task.y)
    optimizer, losses = SGD(model.parameters(), task.lr), []
    for _ in range(task.epochs):
        for i in range(0, len(data), task.batch_size):
            x, y = data[i : i + task.batch_size]
            loss = cross_entropy(model(Tensor(x)), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.value))
    return losses


def with_data_loader(task: Task) -> list[float]:
    """9. The loop over batches moves into the loader; here its batches are slices, as before."""
    model, data = Sequential(*network(task)), Dataset(task.x, task.y)
    optimizer = SGD(model.parameters(), task.lr)
    loader = [data[i : i + task.batch_size] for i in range(0, len(data), task.batch_size)]
    return [loss for _ in range(task.epochs) for loss in train_epoch(model, optimizer, loader)]


def with_sampler(task: Task) -> list[float]:
    """10. A sampler says which examples come, `collate` makes a batch of them: any order, any data.

    Here the order is 0, 1, 2, …
    """
    model, data = Sequential(*network(task)), Dataset(task.x, task.y)
    optimizer = SGD(model.parameters(), task.lr)
    loader = DataLoader(data, task.batch_size, Sampler(len(data)), collate)
    return [loss for _ in range(task.epochs) for loss in train_epoch(model, optimizer, loader)]


def with_validation(task: Task) -> list[float]:
    """11. The whole loop; looking at other data after each epoch does not change the training."""
    model = Sequential(*network(task))
    optimizer = SGD(model.parameters(), task.lr)
    loader = DataLoader(Dataset(task.x, task.y), task.batch_size)
    valid = DataLoader(Dataset(task.x_valid, task.y_valid), 128)
    return fit(task.epochs, model, optimizer, loader, valid).losses


STAGES = (
    manual,
    with_parameters,
    with_dummy_module,
    with_add_module,
    with_module_list,
    with_sequential,
    with_optimizer,
    with_dataset,
    with_data_loader,
    with_sampler,
    with_validation,
)


class StageRow(NamedTuple):
    """A stage, its last loss, and the largest difference of its losses from the stage before."""

    stage: str
    last_loss: float
    difference: float


def agreement(task: Task | None = None) -> list[StageRow]:
    """Run all stages on one task.

    >>> {row.difference for row in agreement()}
    {0.0}
    """
    rows, before = [], None
    for stage in STAGES:
        losses = stage(make_task() if task is None else task)
        before = losses if before is None else before
        difference = max(abs(a - b) for a, b in zip(losses, before, strict=True))
        rows.append(StageRow(stage.__name__, losses[-1], difference))
        before = losses
    return rows

"""Two mistakes that a training loop makes in silence: gradients not cleared, a parameter twice.

The stages of `training_stages` make neither. Here each is made on purpose, beside what is right.

Sources: Jeremy Howard, Practical Deep Learning for Coders, part 2, 2019 (the loop and its
`zero_grad`); Julian Eisenschlos, Neural Networks in 100 lines of pure Python, 2019, whose
`Sequential` names the parameters of a layer twice if the layer stands there twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gradus.ladder.data_loader import DataLoader, Dataset
from gradus.ladder.module import Sequential
from gradus.ladder.tape_of_layers import Parameter
from gradus.ladder.training_loop import SGD, train_epoch
from gradus.ladder.training_stages import Task, make_task, network


class Losses(NamedTuple):
    """The same training, as it should be and with the mistake."""

    right: list[float]
    mistaken: list[float]


def forgotten_zero_grad(task: Task | None = None) -> Losses:
    """Without `zero_grad` each step goes along the sum of all gradients so far.

    The loss leaps about and does not come down.

    >>> losses = forgotten_zero_grad(make_task(epochs=20))
    >>> losses.right[-1] < 0.2 < max(losses.mistaken[-8:])
    True
    """
    task = make_task() if task is None else task

    class Forgetful(SGD):
        def zero_grad(self) -> None:
            """Does nothing."""

    def run(kind: type[SGD]) -> list[float]:
        model = Sequential(*network(task))
        optimizer = kind(model.parameters(), task.lr)
        loader = DataLoader(Dataset(task.x, task.y), task.batch_size)
        return [loss for _ in range(task.epochs) for loss in train_epoch(model, optimizer, loader)]

    return Losses(run(SGD), run(Forgetful))


def named_twice(momentum: float = 0.9, steps: int = 3) -> tuple[float, float]:
    """Where a parameter stands after steps with gradient 1 and lr 1: named once, and named twice.

    Its optimiser has to be made to keep the double. Twice is not only twice as far: the velocity is
    updated twice as well, and later steps drift further apart.

    >>> named_twice(momentum=0.0), named_twice(momentum=0.5, steps=2)
    ((-3.0, -6.0), (-2.5, -6.125))
    """

    def run(doubled: bool) -> float:
        p = Parameter(np.array(0.0))
        optimizer = SGD([p, p], lr=1.0, momentum=momentum)
        optimizer.parameters = [p, p] if doubled else optimizer.parameters
        for _ in range(steps):
            p.grad = np.array(1.0)
            optimizer.step()
        return float(p.value)

    return run(False), run(True)

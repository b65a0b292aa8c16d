"""The arguments of a Learner: what is accepted, in all its forms, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradus.errors import UsageError
from gradus.nn import Module
from gradus.optim import SGD, Adam, AdamW, Optimizer
from gradus.train.callbacks import Callback

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def make_optimizer(given: str | Optimizer | Callable[..., Optimizer], model: Module, lr: float | None) -> Optimizer:
    """The optimizer itself, or one made of the model's parameters."""
    if isinstance(given, Optimizer):
        if lr is not None:
            raise UsageError(
                "the optimizer has its learning rate already", got=f"an {type(given).__name__} and lr={lr}", fix="learner.lr = ..."
            )
        own = {id(parameter) for parameter in model.parameters()}
        if not any(id(parameter) in own for group in given.param_groups for parameter in group["params"]):
            raise UsageError(
                "the optimizer holds no parameter of this model",
                why="the model was built anew after the optimizer",
                fix="optimizer=SGD(model.parameters(), lr=0.1)",
                code="E28",
            )
        return given
    if isinstance(given, str):
        if given not in OPTIMIZERS:
            raise UsageError(f"there is no optimizer {given!r}", wanted="one of " + ", ".join(OPTIMIZERS) + ", or an Optimizer")
        given = OPTIMIZERS[given]
    if not callable(given):
        raise UsageError("an optimizer must be a name, an Optimizer, or a class or function of the parameters", got=type(given).__name__)
    return given(model.parameters()) if lr is None else given(model.parameters(), lr=lr)


def check_callbacks(callbacks: Sequence[Callback]) -> tuple[Callback, ...]:
    """The callbacks as a tuple; a class in place of an object, or anything else, is refused."""
    for callback in callbacks:
        if not isinstance(callback, Callback):
            name = callback.__name__ if isinstance(callback, type) else type(callback).__name__
            raise UsageError(f"{name} is not a Callback object", wanted="instances of Callback", fix=f"callbacks=[{name}()]")
    return tuple(callbacks)


def check_counts(**counts: Any) -> None:
    """Refuse arguments that are no positive whole numbers; the message names them."""
    for name, value in counts.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise UsageError(f"{name} must be a positive whole number", got=f"{name}={value!r}")

"""Which loss means which kind of task, and how its model's outputs become probabilities and answers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradus import nn
from gradus.errors import UsageError
from gradus.fused import loss, softmax
from gradus.tensors import Tensor
from gradus.train.metrics import Accuracy, BinaryAccuracy, Metric, RSquared


class Task(NamedTuple):
    """What the outputs of a model mean.

    Attributes:
        name: "classification", "binary" or "regression".
        probabilities: outputs to probabilities, or None.
        decide: probabilities (or, in regression, outputs) as an array to answers.
        score: the metric that ``Learner.score`` reports.
    """

    name: str
    probabilities: Callable[[Tensor], Tensor] | None
    decide: Callable[[np.ndarray], np.ndarray]
    score: type[Metric]


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """The class of the largest probability in each row."""
    return probabilities.argmax(1)


def more_likely_than_not(probabilities: np.ndarray) -> np.ndarray:
    """1 where the probability is above one half, else 0."""
    return (probabilities > 0.5).astype(np.int64)


def as_they_are(outputs: np.ndarray) -> np.ndarray:
    """The outputs themselves: what a regression answers."""
    return outputs


LOGITS = Task("classification", lambda outputs: softmax.softmax(outputs, 1), most_probable, Accuracy)
LOG_PROBABILITIES = Task("classification", lambda outputs: outputs.exp(), most_probable, Accuracy)
BINARY = Task("binary", lambda outputs: outputs.sigmoid(), more_likely_than_not, BinaryAccuracy)
VALUES = Task("regression", None, as_they_are, RSquared)
TASKS = {"classification": LOGITS, "binary": BINARY, "regression": VALUES}

# name: (function, module class, task)
LOSSES: dict[str, tuple[Callable[..., Any], type, Task]] = {
    "cross_entropy": (loss.cross_entropy, nn.CrossEntropyLoss, LOGITS),
    "nll": (loss.nll_loss, nn.NLLLoss, LOG_PROBABILITIES),
    "bce_with_logits": (loss.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss, BINARY),
    "mse": (loss.mse_loss, nn.MSELoss, VALUES),
    "l1": (loss.l1_loss, nn.L1Loss, VALUES),
    "huber": (loss.huber_loss, nn.HuberLoss, VALUES),
    "smooth_l1": (loss.smooth_l1_loss, nn.SmoothL1Loss, VALUES),
}


def resolve_loss(given: str | Callable[..., Any], task: str | None) -> tuple[Callable[..., Any], Task]:
    """The loss function, and the task that it or ``task`` stands for: without either, a function of one's own is a regression."""
    if task is not None and task not in TASKS:
        raise UsageError(f"there is no task {task!r}", wanted="one of " + ", ".join(TASKS))
    if isinstance(given, str):
        if given not in LOSSES:
            raise UsageError(f"there is no loss {given!r}", wanted="one of " + ", ".join(LOSSES) + ", or a function of (outputs, target)")
        function: Callable[..., Any] = LOSSES[given][1]()
    elif isinstance(given, type) and issubclass(given, nn.Module):
        function = given()
    elif callable(given):
        function = given
    else:
        raise UsageError("a loss must be a name, a module or a function of (outputs, target)", got=type(given).__name__)
    plain = function.func if isinstance(function, functools.partial) else function
    for known, module, meaning in LOSSES.values():
        if plain is known or type(plain) is module:
            # The loss knows better than the task's name whether its outputs are logits or log-probabilities.
            return function, meaning if task in (None, meaning.name) else TASKS[task]
    return function, TASKS[task or "regression"]


def entropy_of_smoothed(smoothing: float, classes: int) -> float:
    """The entropy of a smoothed target, which the cross-entropy cannot go below.

    >>> round(entropy_of_smoothed(0.1, 10), 4)
    0.5003
    """
    rest = smoothing / classes
    right = 1 - smoothing + rest
    return -right * math.log(right) - (classes - 1) * (rest * math.log(rest) if rest else 0.0)


def lowest_loss(function: Callable[..., Any], prediction: Tensor, target: Tensor) -> float:
    """The loss of perfect answers, as far as the loss alone says: 0, and more where labels are smoothed.

    With class weights, or targets that are probabilities, it is another one for each row: then 0.
    """
    given = function.keywords if isinstance(function, functools.partial) else vars(function) if isinstance(function, nn.Module) else {}
    smoothing, weight = given.get("label_smoothing", 0.0), getattr(function, "weight", given.get("weight"))
    if not smoothing or weight is not None or target.dtype.kind == "f":
        return 0.0
    return entropy_of_smoothed(smoothing, prediction.shape[1 if prediction.ndim > 1 else 0])

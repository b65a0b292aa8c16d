"""Callbacks: everything in training that is not one of the five lines of the loop.

A callback is told of each event of a run, in this nesting::

    fit > epoch > pass (training, then validation) > batch > after_predict, after_loss, after_backward, after_step

``before_<stage>`` and ``after_<stage>`` frame a stage. Raising :class:`CancelBatch`, :class:`CancelEpoch` or :class:`CancelFit` leaves that
stage at once: its ``after_`` is skipped, its ``cleanup_`` runs in every case, after an error too. Callbacks are told in the order of their
``order``, equal orders as they were listed:

=====  ====================  ================================================================
order  callback              what it does
=====  ====================  ================================================================
0      Mode                  training mode for training passes, evaluation mode for the others; step count
5      LabelCheck            every label of the data set fits the outputs, before the first step
10     NonFiniteGuard        no update from a loss or gradient that is NaN or infinite
20     ClipGradients         gradients no longer than a given norm
30     Schedule              the learning rate of the next step
40     Metrics               means over the epoch: loss and metrics, for both passes
50     Recorder              one row per epoch into the History
60     Progress              what a person sees meanwhile
65     ActivationStats       what layers give out at each step
70     (yours)               the default of a new callback
80     EarlyStopping         no further epochs once the validation loss has stopped falling
90     Interruption          Ctrl-C ends the run after the step, not in it
=====  ====================  ================================================================

With ``Learner(compile=True)`` the lines of a batch are one compiled function, between which nobody can be told anything: a callback that
listens to ``after_predict``, ``after_loss`` or ``after_backward`` says in ``with_compile`` what becomes of that
(:mod:`gradus.train.compiled_steps`). When ``after_step`` is told of a compiled step, the gradients are gone already.
"""

from __future__ import annotations

import math
import re
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.errors import LabelError, UsageError
from gradus.fused.finite import checked_squares
from gradus.fused.labels import outside
from gradus.mode import read_number
from gradus.nn import Module
from gradus.nn.clip import clip_grad_norm_
from gradus.optim.schedule import CosineAnnealingLR, OneCycleLR
from gradus.tensors import Tensor
from gradus.train.nonfinite import check_gradients, check_loss

if TYPE_CHECKING:
    from gradus.train.learner import Learner

STAGES = ("fit", "epoch", "pass", "batch")
BETWEEN = ("after_predict", "after_loss", "after_backward")  # between the lines of a batch
EVENTS = (*(f"{moment}_{stage}" for stage in STAGES for moment in ("before", "after", "cleanup")), *BETWEEN, "after_step")


class CancelBatch(Exception):
    """Raised in a callback: go on with the next batch."""


class CancelEpoch(Exception):
    """Raised in a callback: go on with the next epoch; the rest of this one, its validation included, is left out."""


class CancelFit(Exception):
    """Raised in a callback: end the run and keep the model as it is."""


WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # where a word begins in CamelCase


class Callback:
    """Base of callbacks: define any of the events as a method that takes the learner.

    Attributes:
        order: callbacks with a small order are told first.
        with_compile: "eager", "late" or "inside": what becomes of its events between the lines of a compiled batch.
        name: the class in snake case, unless it states another.

    Example:
        >>> class CountSteps(Callback):
        ...     steps = 0
        ...     def after_step(self, learner):
        ...         self.steps += 1
        >>> CountSteps().name
        'count_steps'
    """

    name: str = "callback"
    order: int = 70
    with_compile: str = "eager"

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "name" not in vars(cls):
            cls.name = WORD.sub("_", cls.__name__).lower()
        for name in vars(cls):
            if name.startswith(("before_", "after_", "cleanup_")) and name not in (*EVENTS, "after_inside"):
                raise UsageError(f"{cls.__name__}.{name} would never be called", wanted="one of " + ", ".join(EVENTS))


class Mode(Callback):
    """Dropout and its like behave as in training during training passes, as in use during all others; counts the steps."""

    order = 0

    def before_pass(self, learner: Learner) -> None:
        learner.model.train(learner.training)

    def after_step(self, learner: Learner) -> None:
        learner.step += 1


class LabelCheck(Callback):
    """Compares all labels of a data set with the width of the first outputs, and names the row that does not fit.

    Args:
        labels: int array of any shape, first axis the rows.
        ignore_index: the label that the loss leaves out.
        name: what the labels are called in the message.
    """

    order = 5

    def __init__(self, labels: np.ndarray, ignore_index: int | None, name: str) -> None:
        self.labels, self.ignore_index, self.name = labels, ignore_index, name
        self.done = False

    @property
    def with_compile(self) -> str:  # type: ignore[override]
        """Once all labels were compared there is nothing left to do."""
        return "late" if self.done else "not yet"

    def before_batch(self, learner: Learner) -> None:
        # A number of outputs that may be out of date can only say that all is well.
        if not self.done and learner.outputs_seen and outside(self.labels, learner.outputs_seen, self.ignore_index) is None:
            self.done = True

    def after_predict(self, learner: Learner) -> None:
        if self.done:
            return
        self.done = True
        if learner.prediction.ndim < 2:
            return
        learner.outputs_seen = classes = learner.prediction.shape[1]
        found = outside(self.labels, classes, self.ignore_index)
        if found is None:
            return
        why = "the model's last layer is narrower than the number of classes"
        fix = f"a last layer with {found.high + 1} outputs, or other labels"
        if found.from_one:
            why, fix = f"the labels start at {found.low}", f"{self.name} - {found.low}"
        elif found.low < 0:
            why = "a label is negative"
            fix = f"{self.name} + {-found.low}, or leave those rows out"
        raise LabelError(
            f"{self.name} has a label that the model has no output for",
            got=f"label {found.label} in {found.place}; labels run from {found.low} to {found.high}",
            wanted=f"0 … {classes - 1}, as the model has {classes} outputs",
            why=why,
            fix=fix,
            code="E09",
        )


class NonFiniteGuard(Callback):
    """Stops before the update when the loss or a gradient is NaN or infinite: the weights stay as they were.

    Raises:
        NonFiniteError: names the step, the learning rate, and the first layer or parameter that is not finite.
    """

    order = 10
    with_compile = "inside"

    def after_loss(self, learner: Learner) -> None:
        check_loss(learner)

    def after_backward(self, learner: Learner) -> None:
        check_gradients(learner)

    def inside_step(self, model: Module, loss: Tensor) -> Tensor | None:
        checked_squares(loss.detach())
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        return checked_squares(*gradients) if gradients else None

    def after_inside(self, learner: Learner, value: Tensor | None) -> None:
        learner.gradient_norm = None if value is None else math.sqrt(value.item())


class ClipGradients(Callback):
    """Scales all gradients down together when their joint L2 norm is above ``max_norm``.

    Args:
        max_norm: > 0, in the unit of the gradients.
    """

    order = 20
    with_compile = "inside"

    def __init__(self, max_norm: float) -> None:
        if not max_norm > 0:
            raise UsageError("ClipGradients needs a positive norm", got=f"max_norm={max_norm}", wanted="max_norm > 0")
        self.max_norm = max_norm

    def after_backward(self, learner: Learner) -> None:
        clip_grad_norm_(learner.model.parameters(), self.max_norm)

    def inside_step(self, model: Module, loss: Tensor) -> None:
        clip_grad_norm_(model.parameters(), read_number(vars(self), "max_norm"))  # so that another norm needs no new trace


SCHEDULES: dict[str, Callable[[Any, int], Any]] = {
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, steps),
    "one-cycle": lambda optimizer, steps: OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=steps, cycle_momentum=False
    ),
}


class Schedule(Callback):
    """Moves the learning rate after each step, over all steps of the fit; the optimizer's own rate comes back afterwards.

    Args:
        schedule: "cosine" (from the optimizer's rate down to 0), "one-cycle" (up to the optimizer's rate, then down to almost 0), or a
            function ``(optimizer, total_steps) -> scheduler`` whose result has ``step()``.

    Sources: Loshchilov and Hutter 2017 (arXiv:1608.03983); Smith and Topin 2018 (arXiv:1708.07120).
    """

    order = 30

    def __init__(self, schedule: str | Callable[[Any, int], Any]) -> None:
        if isinstance(schedule, str) and schedule not in SCHEDULES:
            raise UsageError(
                f"there is no schedule {schedule!r}", wanted="one of " + ", ".join(SCHEDULES) + ", or a function of (optimizer, steps)"
            )
        self.make = SCHEDULES[schedule] if isinstance(schedule, str) else schedule

    def before_fit(self, learner: Learner) -> None:
        self.before = [group["lr"] for group in learner.optimizer.param_groups]
        self.left = learner.epochs * len(learner.train_loader)
        self.scheduler = self.make(learner.optimizer, self.left)

    def after_step(self, learner: Learner) -> None:
        self.left -= 1
        if self.left > 0:  # the last step has no next one
            self.scheduler.step()

    def cleanup_fit(self, learner: Learner) -> None:
        for group, lr in zip(learner.optimizer.param_groups, getattr(self, "before", ()), strict=False):
            group["lr"] = lr


class EarlyStopping(Callback):
    """Ends the run when a value of the epoch's row has not improved for ``patience`` epochs.

    Args:
        monitor: a column of the history; smaller is better unless it is an accuracy or ``r2``.
        patience: epochs without improvement that are allowed.
    """

    order = 80

    def __init__(self, monitor: str = "val_loss", patience: int = 5) -> None:
        self.monitor, self.patience = monitor, patience
        self.sign = -1.0 if monitor.endswith(("accuracy", "r2")) else 1.0

    def before_fit(self, learner: Learner) -> None:
        self.best, self.waited = math.inf, 0

    def after_epoch(self, learner: Learner) -> None:
        if self.monitor not in learner.row:
            raise UsageError(
                f"EarlyStopping watches {self.monitor!r}, which this run does not measure",
                got=", ".join(learner.row),
                fix="fit(..., validation=0.1)",
            )
        value = self.sign * learner.row[self.monitor]
        if value < self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            raise CancelFit


class Interruption(Callback):
    """The first Ctrl-C ends the run after the step in progress and keeps the model; the second ends it at once.

    The history then says ``interrupted = True``. Only Python's own Ctrl-C handler is replaced, and only in the main thread.
    """

    order = 90

    def before_fit(self, learner: Learner) -> None:
        self.pressed = False
        self.installed = (
            threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self.installed:
            signal.signal(signal.SIGINT, self.on_signal)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True

    def after_batch(self, learner: Learner) -> None:
        if self.pressed:
            learner.history.interrupted = True
            learner.say(f"stopped after step {learner.step}; the model is kept as it is now")
            raise CancelFit

    def cleanup_fit(self, learner: Learner) -> None:
        if getattr(self, "installed", False):
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.installed = False

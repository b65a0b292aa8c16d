"""Learner: a training loop of five lines (predict, loss, backward, step, zero_grad); everything else is a callback.

Source of the idea: Howard and others, fastai 2022, part 2, "miniai".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradus.autograd import no_grad
from gradus.compiler.tiers import kernels_installed
from gradus.data import LabelEncoder, Normalizer
from gradus.errors import DataError, ShapeError, UsageError
from gradus.nn import LoadReport, Module
from gradus.optim import Optimizer
from gradus.random import Generator, default_generator
from gradus.tensors import Tensor, wrap
from gradus.train.arguments import check_callbacks, check_counts, make_optimizer
from gradus.train.callbacks import (
    EVENTS,
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    Interruption,
    LabelCheck,
    Mode,
    NonFiniteGuard,
    Schedule,
)
from gradus.train.compiled_steps import CompiledSteps
from gradus.train.feed import Feed, is_loader
from gradus.train.history import History, Metrics, Recorder
from gradus.train.losses import resolve_loss
from gradus.train.lr_finder import LearningRates, RangeTest
from gradus.train.metrics import Metric, make_metric
from gradus.train.progress import Progress
from gradus.train.saved import load_learner, save_learner

PREDICTION_BATCH = 1024  # rows per forward pass when no gradient is needed


class Learner:
    """Trains, measures and uses a model.

    Args:
        model: any module.
        loss: a name ("cross_entropy", "nll", "bce_with_logits", "mse", "l1", "huber", "smooth_l1"), a module, or a function of
            (outputs, target) that returns one number.
        optimizer: a name ("sgd", "adam", "adamw"), a class or partial that is called with the parameters, or an Optimizer.
        lr: learning rate for an optimizer that is made here; its own default when not given.
        metrics: names ("accuracy", "mae", "r2"), Metric objects, or functions of (outputs, target) that return a number;
            accuracy for classifiers when not given.
        callbacks: see :mod:`gradus.train.callbacks`, also for the order in which they act.
        normalizer: a Normalizer that every input passes through; one that is not fitted yet is fitted on the training rows.
        classes: names of the classes, in the order of the labels; learnt from the data when labels are strings.
        task: "classification", "binary" or "regression", for a loss of your own that Gradus cannot know.
        input_dtype: dtype that inputs are cast to; that of the model's parameters when not given (an integer dtype for token numbers).
        progress: whether ``fit`` shows its progress.
        compile: whether batches run as one compiled function (:func:`gradus.compile`): several times faster, with the same results but for
            rounding, after a second or two for the first steps; True raises where the model cannot be traced. None compiles where the
            extra ``fast`` is installed and the model can be traced, and says so where it cannot. A callback or hook that looks between
            the lines of a batch is still told: such batches run eagerly.

    Modes: ``fit`` and ``lr_find`` leave the model in evaluation mode, ready for use; ``fit_batch`` leaves it in training mode;
    ``evaluate``, ``outputs``, ``predict`` and ``score`` work in evaluation mode, without gradients, and leave the mode as it was.

    Attributes for callbacks: ``model loss_function optimizer metrics train_loader valid_loader epochs epoch batch_index step training``
    ``inputs target prediction loss row history lr`` (``epoch`` counts from 0 within a fit, ``step`` from 0 over the learner's life).

    Example:
        >>> from gradus import nn
        >>> learner = Learner(nn.Linear(1, 1), "mse", "sgd", lr=0.1, progress=False)
        >>> history = learner.fit([[0.0], [1.0], [2.0]], [[1.0], [3.0], [5.0]], epochs=100, batch_size=3)
        >>> history["loss"][-1] < 0.01
        True
    """

    def __init__(
        self,
        model: Module,
        loss: str | Callable[..., Any],
        optimizer: str | Optimizer | Callable[..., Optimizer] = "adam",
        *,
        lr: float | None = None,
        metrics: Sequence[str | Metric | Callable[..., Any]] | None = None,
        callbacks: Sequence[Callback] = (),
        normalizer: Normalizer | None = None,
        classes: Sequence[str] | None = None,
        task: str | None = None,
        input_dtype: Any = None,
        progress: bool = True,
        compile: bool | None = False,
    ) -> None:
        if not isinstance(model, Module):
            raise UsageError("a Learner trains a module", got=type(model).__name__, wanted="an nn.Module", fix="nn.Sequential(...)")
        self.model = model
        self.loss_function, self.task = resolve_loss(loss, task)
        self.optimizer = make_optimizer(optimizer, model, lr)
        if metrics is None:
            metrics = [] if self.task.name == "regression" else ["accuracy"]
        self.metrics = Metrics([self.task.score() if metric == "accuracy" else make_metric(metric) for metric in metrics])
        self.callbacks = check_callbacks(callbacks)
        self.feed = Feed(model, self.task, normalizer, LabelEncoder(classes) if classes else None, input_dtype, self.say)
        self.progress = Progress() if progress else None
        self.history = History()
        self.notices: list[str] = []
        self.step = self.epoch = self.batch_index = self.epochs = 0
        self.training = False
        self.row: dict[str, float] = {}
        self.guard = NonFiniteGuard()
        self.gradient_norm: float | None = None
        self.outputs_seen = 0  # how many the model gave for each row, the last time that somebody looked
        wanted = kernels_installed() if compile is None else compile
        self.compiled = CompiledSteps(strict=compile is True, say=self.say) if wanted else None
        self._hooks: dict[str, list[Callable[[Learner], None]]] = {}
        self.train_loader: Any
        self.valid_loader: Any
        self.inputs: Any
        self.target: Any
        self.prediction: Any
        self.loss: Any
        self._forget()

    # The loop.

    def _one_batch(self) -> None:
        if self.compiled is not None and self.compiled.batch(self):
            return
        self.prediction = self.model(*self.inputs)
        self.notify("after_predict")
        self.loss = self.loss_function(self.prediction, self.target)
        self.notify("after_loss")
        if self.training:
            self.loss.backward()
            self.notify("after_backward")
            self.optimizer.step()
            self.notify("after_step")
            self.optimizer.zero_grad()

    def _one_pass(self, loader: Iterable[Any]) -> None:
        if self.compiled is not None:
            self.compiled.begin_pass(self)
        for self.batch_index, (*self.inputs, self.target) in enumerate(loader):
            self._stage("batch", CancelBatch, self._one_batch)

    def _one_epoch(self) -> None:
        self.training = True
        self._stage("pass", (), self._one_pass, self.train_loader)
        if self.valid_loader is not None:
            self.training = False
            with no_grad():
                self._stage("pass", (), self._one_pass, self.valid_loader)

    def _one_fit(self) -> None:
        epochs = range(self.epochs)
        for self.epoch in epochs:
            self.row = {}
            self._stage("epoch", CancelEpoch, self._one_epoch)

    def _stage(self, name: str, cancel: Any, body: Callable[..., None], *args: Any) -> None:
        """A stage between its ``before_`` and ``after_``; one that is cancelled or fails is left at once, but cleaned up."""
        try:
            self.notify(f"before_{name}")
            body(*args)
            self.notify(f"after_{name}")
        except cancel:
            self.optimizer.zero_grad()  # a batch left half-way must not add to the gradients of the next
        finally:
            self.notify(f"cleanup_{name}")

    def notify(self, event: str) -> None:
        """Tell every callback that defines this event."""
        for hook in self._hooks[event]:
            hook(self)

    def _listen(self, callbacks: Iterable[Callback]) -> None:
        ordered = sorted(callbacks, key=lambda callback: callback.order)
        self._hooks = {event: [getattr(callback, event) for callback in ordered if hasattr(callback, event)] for event in EVENTS}
        if self.compiled is not None:
            self.compiled.listen(ordered)

    def _forget(self) -> None:
        """Let go of the data and of the last batch's graph, which need not live as long as the learner."""
        self.train_loader = ()
        self.valid_loader = None
        self.inputs = ()
        self.target = self.prediction = self.loss = None

    # Training.

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation: float | tuple[Any, Any] | None = None,
        schedule: str | Callable[..., Any] | None = None,
        shuffle: bool = True,
        generator: Generator | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> History:
        """Train for some epochs, going on from the model's present weights.

        Args:
            x: inputs (rows, …) as array, list or Tensor, of any real dtype; or a DataLoader or Dataset of (input, …, target).
            y: targets (rows, …): integer or string labels for classifiers, numbers otherwise; beside a loader, the loader to
                validate on, if any.
            epochs: passes over the training rows.
            batch_size: rows per step; the last batch of an epoch may be smaller.
            validation: share of the rows to hold out at random, or a pair (X, Y), or None.
            schedule: "cosine", "one-cycle", or a function (optimizer, total_steps) -> scheduler with ``step()``.
            shuffle: whether each epoch visits the rows in a new order.
            generator: source of the split and of the order; Gradus' default generator when not given, so that
                ``gradus.manual_seed(0)`` before the model is made settles every bit of a run.
            callbacks: further callbacks for this fit alone.

        Returns:
            The history, one row per epoch. Ctrl-C ends the run after the step and sets ``history.interrupted``.

        Raises:
            DataError: lengths differ, no rows, ragged rows, NaN in the data (the row is named).
            LabelError: a label that the model has no output for.
            NonFiniteError: the loss or a gradient became NaN or infinite; the weights are those before that step.
        """
        check_counts(epochs=epochs, batch_size=batch_size)
        added = list(check_callbacks(callbacks))
        train: Any
        valid: Any
        if is_loader(x):
            if validation is not None:
                raise UsageError("validation= is for arrays", got="a loader and validation=", fix="fit(train_loader, valid_loader)")
            train = self.feed.loader(x, batch_size, shuffle, generator)
            valid = None if y is None else self.feed.loader(y, batch_size)
        else:
            rows, held_out = self.feed.split(x, y, validation, generator)
            train = self.feed.batches(rows, batch_size, shuffle, generator)
            valid = None if held_out is None else self.feed.batches(held_out, batch_size)
            added += self._label_checks(rows[1], "Y")
            added += [] if held_out is None else self._label_checks(held_out[1], "the validation Y")
        if len(train) == 0:
            raise DataError(
                "there is no batch to train on",
                got="a loader of length 0",
                why="the data set is smaller than one batch, and drop_last is set",
                fix="drop_last=False",
                code="E12",
            )
        if schedule is not None:
            added.append(Schedule(schedule))
        self.history = History()
        shown = [self.progress] if self.progress is not None else []
        self._run(train, valid, epochs, [Mode(), self.guard, self.metrics, Recorder(), *shown, Interruption(), *self.callbacks, *added])
        return self.history

    def _label_checks(self, target: np.ndarray, name: str) -> list[Callback]:
        if self.task.name != "classification" or target.dtype.kind != "i":
            return []
        return [LabelCheck(target, getattr(self.loss_function, "ignore_index", None), name)]

    def _run(self, train: Any, valid: Any, epochs: int, callbacks: Sequence[Callback]) -> None:
        self.train_loader, self.valid_loader, self.epochs = train, valid, epochs
        self.gradient_norm = None
        self._listen(callbacks)
        self.optimizer.zero_grad()
        try:
            self._stage("fit", CancelFit, self._one_fit)
        finally:
            self.optimizer.zero_grad()
            self.training = False
            self.model.eval()
            self._forget()

    def fit_batch(self, x: Any, y: Any) -> float:
        """One step on one batch, in training mode. Returns the loss before the step."""
        inputs, target = self.feed.pair(x, y, ("x", "y"))
        self._listen([Mode(), self.guard, *self._label_checks(target, "y"), *self.callbacks])
        self.training, self.epoch, self.batch_index = True, 0, 0
        self.inputs, self.target = (wrap(inputs),), wrap(target)
        self.model.train()
        self.optimizer.zero_grad()
        if self.compiled is not None:
            self.compiled.begin_pass(self)
        try:
            self._stage("batch", (CancelBatch, CancelEpoch, CancelFit), self._one_batch)
            return float(self.loss.item()) if self.loss is not None else float("nan")
        finally:
            self.optimizer.zero_grad()
            self.training = False
            self._forget()

    def lr_find(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int = 32,
        low: float = 1e-6,
        high: float = 10.0,
        steps: int = 150,
        generator: Generator | None = None,
    ) -> LearningRates:
        """Learning-rate range test: ``result.suggestion`` is a rate to train with, ``result.plot("lr.png")`` draws the curve.

        Trains for up to ``steps`` steps while the rate rises from ``low`` to ``high``, then puts model, optimizer and random numbers back.
        """
        generator = generator or default_generator()
        test = RangeTest(low, high, steps)
        with self._restored(generator):
            if is_loader(x):
                train: Any = self.feed.loader(x, batch_size, True, generator)
            else:
                train = self.feed.batches(self.feed.split(x, y, None, None)[0], batch_size, True, generator)
            self._run(train, None, -(-steps // max(len(train), 1)), [Mode(), test])
        return test.found

    @contextmanager
    def _restored(self, generator: Generator) -> Iterator[None]:
        """Puts back whatever training changes: weights, buffers, optimizer, step count, random numbers, what was learnt of the data."""
        weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        optimizer, step = copied(self.optimizer.state_dict()), self.step
        streams = [(stream, stream.get_state()) for stream in (default_generator(), generator)]
        encoder, normalizer = self.feed.encoder, self.feed.normalizer
        statistics = normalizer.state_dict() if normalizer is not None else {}
        try:
            yield
        finally:
            self.model.load_state_dict(weights)
            self.optimizer.load_state_dict(optimizer)
            if self.compiled is not None:
                self.compiled.forget()  # its programs write to the optimizer's memory of this time
            self.step, self.feed.encoder = step, encoder
            if normalizer is not None:
                normalizer.load_state_dict(statistics)
            for stream, state in streams:
                stream.set_state(state)

    # Measuring and using.

    def evaluate(self, x: Any, y: Any = None, *, batch_size: int = PREDICTION_BATCH) -> dict[str, float]:
        """Loss and metrics over some rows, or over a DataLoader. The model is not changed."""
        loader = self.feed.loader(x, batch_size) if is_loader(x) else self.feed.batches(self.feed.pair(x, y, ("X", "Y")), batch_size)
        if len(loader) == 0:
            raise DataError("there is nothing to evaluate", got="a loader of length 0", wanted="at least one batch", code="E12")
        self.training, self.row = False, {}
        self._listen([self.metrics])
        with self._evaluating():
            self._stage("pass", (), self._one_pass, loader)
        self._forget()
        return self.metrics.values()

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        was_training = self.model.training
        self.model.eval()
        try:
            with no_grad():
                yield
        finally:
            self.model.train(was_training)

    def _forward(self, inputs: np.ndarray, batch_size: int) -> Tensor:
        with self._evaluating():
            model = self.model if self.compiled is None else self.compiled.forward(self.model)
            parts = [model(wrap(inputs[start : start + batch_size])).numpy() for start in range(0, len(inputs), batch_size)]
        return wrap(np.concatenate(parts))

    def outputs(self, x: Any, *, batch_size: int = PREDICTION_BATCH) -> Tensor:
        """What the model itself returns for these rows (logits, for most classifiers), as one Tensor without gradient."""
        check_counts(batch_size=batch_size)
        return self._forward(self.feed.inputs(x, "X"), batch_size)

    def predict_proba(self, x: Any, *, batch_size: int = PREDICTION_BATCH) -> np.ndarray:
        """Probabilities: (rows, classes) for a classifier, shaped like the outputs for yes/no tasks."""
        if self.task.probabilities is None:
            raise UsageError("a regression has no probabilities", wanted="the loss of a classifier", fix="predict(X)")
        with no_grad():
            outputs = self.outputs(x, batch_size=batch_size)
            if self.task.name == "classification" and outputs.ndim < 2:
                got = f"X {np.shape(x)}, and so one row of outputs for all of it"
                raise ShapeError(
                    "X must have rows", got=got, wanted="X of shape (rows, …)", why="one example has no axis of rows", fix="X[None]"
                )
            return self.task.probabilities(outputs).numpy()

    def predict(self, x: Any, *, batch_size: int = PREDICTION_BATCH) -> np.ndarray:
        """Answers as scikit-learn gives them.

        Labels for a classifier (names, where classes have names), 0 or 1 for yes/no tasks, values for a regression.
        """
        if self.task.probabilities is None:
            return self.outputs(x, batch_size=batch_size).numpy()
        labels = self.task.decide(self.predict_proba(x, batch_size=batch_size))
        return labels if self.feed.encoder is None else np.asarray(self.feed.encoder.decode(labels)).reshape(labels.shape)

    def score(self, x: Any, y: Any, *, batch_size: int = PREDICTION_BATCH) -> float:
        """Accuracy of a classifier, R² of a regression."""
        inputs, target = self.feed.pair(x, y, ("X", "Y"))
        return self.task.score()(self._forward(inputs, batch_size), target)

    # Keeping.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to ``path``: a ``.safetensors`` file, or a folder that gets ``model.safetensors`` and the history.

        The file holds the weights and buffers, and as metadata the model's recipe, normalizer, classes and task; not the optimizer's state.
        """
        save_learner(self, path)

    def load(self, path: str | os.PathLike[str]) -> LoadReport:
        """Read weights, normalizer, classes and history from a file or folder that ``save`` wrote, into this learner's model.

        Raises:
            CheckpointError: the file is missing, corrupt, or of another model; nothing is changed then.
        """
        return load_learner(self, path)

    # What it knows.

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes in the order of the labels, if they have names."""
        return None if self.feed.encoder is None else [str(name) for name in self.feed.encoder.classes]

    @property
    def lr(self) -> float:
        """Learning rate of the first parameter group; assigning sets all groups."""
        return float(self.optimizer.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value

    def say(self, text: str) -> None:
        """Tell the person something once in this learner's life: with the progress, if it is shown, and in ``notices``."""
        if text not in self.notices:
            self.notices.append(text)
            if self.progress is not None:
                self.progress.catch_up(self.notices)


def copied(state: Any) -> Any:
    """A copy of a nest of dicts and lists whose Tensors share no memory with the original."""
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list):
        return [copied(value) for value in state]
    return state.detach().clone() if isinstance(state, Tensor) else state

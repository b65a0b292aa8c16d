"""What a run measured, epoch by epoch, and the callbacks that measure and write it down."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradus.errors import DataError
from gradus.io.atomic import atomic_write
from gradus.train.callbacks import Callback
from gradus.train.losses import lowest_loss
from gradus.train.metrics import Mean, Metric
from gradus.viz.curves import draw_curves

if TYPE_CHECKING:
    from gradus.train.learner import Learner

Row = dict[str, float]


class History(Mapping[str, list[float]]):
    """One list per measured quantity, one entry per epoch: ``history["val_loss"][-1]``.

    Columns: ``epoch`` (from 1), ``loss`` and each metric over the training rows (in training mode, while the weights move),
    ``val_loss`` and ``val_<metric>`` over the validation rows, ``lr`` (the rate of the epoch's last step), ``samples_per_second``
    and ``seconds``.

    Attributes:
        rows: one dict per epoch.
        step_losses: the loss of each training step.
        lowest_loss: that of perfect answers, where smoothed labels make it more than 0.
        interrupted: whether Ctrl-C ended the run.

    Example:
        >>> history = History()
        >>> history.rows.append({"epoch": 1, "loss": 0.5})
        >>> history["loss"]
        [0.5]
    """

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows: list[Row] = list(rows)
        self.step_losses: list[float] = []
        self.lowest_loss = 0.0
        self.interrupted = False

    def __getitem__(self, column: str) -> list[float]:
        if column not in self.columns():
            raise KeyError(f"{column!r} was not measured; there is {', '.join(self.columns()) or 'no complete epoch yet'}")
        return [row[column] for row in self.rows if column in row]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns())

    def __len__(self) -> int:
        return len(self.columns())

    def columns(self) -> list[str]:
        """The names of all measured quantities, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __repr__(self) -> str:
        if not self.rows:
            return "History(no complete epoch)"
        last = ", ".join(f"{name} {value:.4g}" for name, value in self.rows[-1].items() if name != "epoch")
        return f"History({len(self.rows)} epochs; last: {last}{'; interrupted' if self.interrupted else ''})"

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the curves of loss and metrics. Returns the matplotlib figure, and writes it to ``path`` when one is given."""
        return draw_curves(self, path, step_losses=self.step_losses, lowest_loss=self.lowest_loss)

    def to_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write one JSON object per epoch and line."""
        atomic_write(path, "".join(json.dumps(row) + "\n" for row in self.rows).encode())

    @classmethod
    def from_jsonl(cls, path: str | os.PathLike[str]) -> History:
        """Read what :meth:`to_jsonl` wrote.

        Raises:
            DataError: a line is not a JSON object of numbers.
        """
        rows = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise DataError(
                        f"{os.fspath(path)} is not a history", got=f"line {number}: {error}", wanted="one JSON object per line"
                    ) from error
                if not isinstance(row, dict) or not all(isinstance(value, int | float) for value in row.values()):
                    raise DataError(
                        f"{os.fspath(path)} is not a history", got=f"line {number}: {line[:80]!r}", wanted="a JSON object of numbers"
                    )
                rows.append(row)
        return cls(rows)


class Metrics(Callback):
    """Means over each pass: the loss, weighed by batch size, and the metrics."""

    order = 40

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = tuple(metrics)
        self.loss = Mean()

    def before_pass(self, learner: Learner) -> None:
        self.loss.reset()
        for metric in self.metrics:
            metric.reset()

    def after_batch(self, learner: Learner) -> None:
        rows = len(learner.target)
        summed = getattr(learner.loss_function, "reduction", "mean") == "sum"
        self.loss.add(learner.loss.item() / (rows if summed else 1), rows)
        if learner.training:
            learner.history.lowest_loss = lowest_loss(learner.loss_function, learner.prediction, learner.target)
        for metric in self.metrics:
            metric.update(learner.prediction, learner.target)

    def after_pass(self, learner: Learner) -> None:
        prefix = "" if learner.training else "val_"
        for name, value in self.values().items():
            learner.row[prefix + name] = value

    def values(self) -> Row:
        """The means so far."""
        return {"loss": self.loss.value(), **{metric.name: metric.value() for metric in self.metrics}}


class Recorder(Callback):
    """Appends one row per finished epoch to ``learner.history``."""

    order = 50
    with_compile = "late"

    def before_epoch(self, learner: Learner) -> None:
        learner.row["epoch"] = learner.epoch + 1
        self.started = time.perf_counter()

    def before_pass(self, learner: Learner) -> None:
        self.pass_started, self.samples = time.perf_counter(), 0

    def after_batch(self, learner: Learner) -> None:
        if learner.training:
            learner.history.step_losses.append(learner.loss.item())
            self.samples += len(learner.target)

    def after_loss(self, learner: Learner) -> None:
        if learner.training:  # before Schedule sets the rate of the next step
            self.lr = learner.lr

    def after_pass(self, learner: Learner) -> None:
        if learner.training:
            self.rate = self.samples / max(time.perf_counter() - self.pass_started, 1e-9)

    def after_epoch(self, learner: Learner) -> None:
        learner.row["lr"] = self.lr
        learner.row["samples_per_second"] = self.rate
        learner.row["seconds"] = time.perf_counter() - self.started
        learner.history.rows.append(dict(learner.row))

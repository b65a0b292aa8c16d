"""Metrics that are exact over a whole pass, whatever the batch sizes: each keeps sums, not means of means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus.errors import DataError, ShapeError, UsageError
from gradus.tensors import Tensor


class Mean:
    """A running mean whose terms are weighed."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.total, self.weight = 0.0, 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        """One more term."""
        self.total += value * weight
        self.weight += weight

    def value(self) -> float:
        """The mean so far; NaN before the first term."""
        return self.total / self.weight if self.weight else float("nan")


class Metric:
    """Base of metrics: ``reset()`` before a pass, ``update(outputs, target)`` after each batch, ``value()`` at any time."""

    name = "metric"

    def __init__(self) -> None:
        self.mean = Mean()

    def reset(self) -> None:
        """Forget what was seen: a new pass begins."""
        self.mean.reset()

    def update(self, outputs: Tensor, target: Tensor) -> None:
        """Take in the outputs of one batch and what they should have been."""
        raise NotImplementedError

    def value(self) -> float:
        """The metric of all that was seen since the last ``reset``."""
        return self.mean.value()

    def __call__(self, outputs: Any, target: Any) -> float:
        """The metric of these outputs alone."""
        self.reset()
        self.update(outputs, target)
        result = self.value()
        self.reset()
        if np.isnan(result):
            raise DataError(f"the {self.name} of no rows is not defined", got="an empty batch", wanted="at least one row", code="E46")
        return result


def arrays(outputs: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and target as NumPy arrays."""
    return tuple(value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value) for value in (outputs, target))  # type: ignore[return-value]


def shapes_differ(name: str, outputs: np.ndarray, target: np.ndarray, wanted: str, fix: str) -> ShapeError:
    """The error for outputs and a target that would broadcast against each other."""
    return ShapeError(
        f"{name} cannot compare these",
        got=f"outputs {outputs.shape}, target {target.shape}",
        wanted=wanted,
        why="they would be broadcast against each other and give a meaningless number",
        fix=fix,
        code="E07",
    )


class Accuracy(Metric):
    """Share of rows whose largest output stands at the label: ``mean(argmax(outputs, 1) == target)``.

    Args:
        ignore_index: label that is left out.

    Shapes: outputs (B, C, …) scores; target (B, …) integer labels, or (B, C, …) probabilities, of which the largest counts.

    Example:
        >>> Accuracy()([[0.1, 0.9], [0.8, 0.2]], [1, 1])
        0.5
    """

    name = "accuracy"

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def update(self, outputs: Any, target: Any) -> None:
        scores, labels = arrays(outputs, target)
        if scores.ndim >= 2 and scores.shape == labels.shape and labels.dtype.kind == "f":
            labels = labels.argmax(1)
        if scores.ndim < 2 or scores.shape[:1] + scores.shape[2:] != labels.shape:
            raise shapes_differ("accuracy", scores, labels, "outputs (B, C) and labels (B,)", "target.squeeze(1)")
        counted = labels != self.ignore_index
        if counted.any():
            self.mean.add(float((scores.argmax(1) == labels)[counted].mean()), int(counted.sum()))


class BinaryAccuracy(Metric):
    """Share of right yes/no answers: an output above 0 (a logit, so probability above 0.5) means yes.

    Shapes: outputs and target alike; target 0 or 1.
    """

    name = "accuracy"

    def update(self, outputs: Any, target: Any) -> None:
        scores, labels = arrays(outputs, target)
        if scores.shape != labels.shape:
            raise shapes_differ("accuracy", scores, labels, "equal shapes", "target.reshape(outputs.shape)")
        if labels.size:
            self.mean.add(float(((scores > 0) == (labels > 0.5)).mean()), labels.size)


class MeanAbsoluteError(Metric):
    """``mean(|outputs - target|)``, in the unit of the target. Shapes: alike."""

    name = "mae"

    def update(self, outputs: Any, target: Any) -> None:
        values, wanted = arrays(outputs, target)
        if values.shape != wanted.shape:
            raise shapes_differ(self.name, values, wanted, "equal shapes", "target.reshape(outputs.shape)")
        if values.size:
            self.mean.add(float(np.abs(values.astype(np.float64) - wanted).mean()), values.size)


class RSquared(Metric):
    """Coefficient of determination, ``1 - Σ(y - outputs)² / Σ(y - mean(y))²``: 1 is perfect, 0 is as good as always saying the mean.

    Several target columns are scored each by itself, and the scores averaged. A constant column scores 1 when it is met exactly, else 0.

    Shapes: outputs and target alike, (B,) or (B, K).

    Example:
        >>> RSquared()([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
        0.7857142857142857
    """

    name = "r2"

    def reset(self) -> None:
        self.outputs: list[np.ndarray] = []
        self.targets: list[np.ndarray] = []

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def update(self, outputs: Any, target: Any) -> None:
        values, wanted = arrays(outputs, target)
        if values.shape != wanted.shape:
            raise shapes_differ(self.name, values, wanted, "equal shapes", "target.reshape(outputs.shape)")
        # The rows are kept, not their sums: sums of squares cancel badly when the mean is far from 0.
        self.outputs.append(np.array(values, dtype=np.float64))
        self.targets.append(np.array(wanted, dtype=np.float64))

    def value(self) -> float:
        if not sum(map(len, self.targets)):
            return float("nan")
        values, wanted = (np.concatenate(parts).reshape(sum(map(len, parts)), -1) for parts in (self.outputs, self.targets))
        residual = ((wanted - values) ** 2).sum(0)
        spread = ((wanted - wanted.mean(0)) ** 2).sum(0)
        scores = np.where(spread > 0, 1 - residual / np.where(spread > 0, spread, 1), residual == 0)
        return float(scores.mean())


class FunctionMetric(Metric):
    """A function ``(outputs, target) -> number``, averaged over batches by their size."""

    def __init__(self, function: Callable[[Any, Any], Any], name: str) -> None:
        super().__init__()
        self.function, self.name = function, name

    def update(self, outputs: Any, target: Any) -> None:
        self.mean.add(float(self.function(outputs, target)), len(target))


METRICS: dict[str, type[Metric]] = {"accuracy": Accuracy, "binary_accuracy": BinaryAccuracy, "mae": MeanAbsoluteError, "r2": RSquared}


def make_metric(metric: str | Metric | Callable[[Any, Any], Any]) -> Metric:
    """A Metric from its name, itself, its class, or a function of (outputs, target)."""
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric not in METRICS:
            raise UsageError(
                f"there is no metric {metric!r}", wanted="one of " + ", ".join(METRICS) + ", or a function of (outputs, target)"
            )
        return METRICS[metric]()
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if not callable(metric):
        raise UsageError("a metric must be a name, a Metric or a function", got=type(metric).__name__)
    return FunctionMetric(metric, getattr(metric, "__name__", type(metric).__name__))

"""The learning-rate range test: raise the rate a little with each step and watch where the loss falls fastest.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186), section 3.3.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.errors import UsageError
from gradus.train.callbacks import Callback, CancelFit
from gradus.viz.learning_rate import draw_learning_rate

if TYPE_CHECKING:
    from gradus.train.learner import Learner

SMOOTHING = 0.9  # share of the running mean that is kept with each step
BLOW_UP = 4.0  # the test ends when the smoothed loss is this many times its best


class LearningRates:
    """The curve of a range test.

    Attributes:
        rates: learning rate of each step.
        losses: loss of each step, smoothed.
        suggestion: the rate where the smoothed loss falls most steeply.
    """

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []

    @property
    def suggestion(self) -> float:
        """The rate at which the loss fell fastest."""
        best = int(np.argmin(self.losses))
        if best < 2:
            raise UsageError(
                "the loss never fell during the test", got=f"best at the first rates, {self.rates[best]:.2g}", fix="lr_find(low=1e-8)"
            )
        slopes = np.gradient(np.asarray(self.losses[: best + 1]), np.log(self.rates[: best + 1]))
        return float(self.rates[int(np.argmin(slopes))])

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the curve. Returns the matplotlib figure, and writes it to ``path`` when one is given."""
        return draw_learning_rate(self.rates, self.losses, self.suggestion, path)

    def __repr__(self) -> str:
        return f"LearningRates(suggestion={self.suggestion:.2g}, {len(self.rates)} steps from {self.rates[0]:.2g} to {self.rates[-1]:.2g})"


class RangeTest(Callback):
    """Multiplies the learning rate by a constant with each step, and ends the run when the loss blows up or ``high`` is reached."""

    order = 8  # before NonFiniteGuard: a loss that blows up is the expected end, not an error
    with_compile = "late"  # one step more is taken back with all others

    def __init__(self, low: float, high: float, steps: int) -> None:
        if not 0 < low < high or steps < 10:
            raise UsageError("the range test needs 0 < low < high and at least 10 steps", got=f"low={low}, high={high}, steps={steps}")
        self.low, self.factor, self.steps = low, (high / low) ** (1 / (steps - 1)), steps
        self.found = LearningRates()
        self.mean = 0.0

    def before_batch(self, learner: Learner) -> None:
        learner.lr = self.low * self.factor ** len(self.found.rates)

    def after_loss(self, learner: Learner) -> None:
        value = learner.loss.item()
        if not math.isfinite(value):
            raise CancelFit
        taken = len(self.found.rates) + 1
        self.mean = SMOOTHING * self.mean + (1 - SMOOTHING) * value
        smooth = self.mean / (1 - SMOOTHING**taken)  # unbiased from the first step on
        self.found.rates.append(learner.lr)
        self.found.losses.append(smooth)
        if taken >= self.steps or smooth > BLOW_UP * min(self.found.losses):
            raise CancelFit

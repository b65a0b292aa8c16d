"""What the activations of each layer look like while a model learns: their mean, their spread, how many are near zero.

Sources: Howard and others, "Deep Learning from the Foundations" (2019), hooks, and fastai's miniai (2022), ``ActivationStats``: the picture
that shows a dead layer before the loss does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.errors import UsageError
from gradus.nn import Module
from gradus.tensor_hooks import RemovableHandle
from gradus.tensors import Tensor
from gradus.train.callbacks import Callback
from gradus.viz.activations import draw_activation_histograms, draw_activation_stats

if TYPE_CHECKING:
    from gradus.train.learner import Learner


class LayerStats:
    """What was seen of one layer, one entry for each training step.

    Attributes:
        name: dotted name of the layer in the model, with its class.
        means: mean of all outputs.
        deviations: their standard deviation (biased: the mean square distance from the mean).
        histograms: how many absolute values fell into each bin; what lies above the last bin is in none.
        near_zero: share of outputs in the first bin.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.means: list[float] = []
        self.deviations: list[float] = []
        self.histograms: list[np.ndarray] = []
        self.near_zero: list[float] = []

    def add(self, values: np.ndarray, bins: int, high: float) -> None:
        """Note one output of the layer."""
        counts, _ = np.histogram(np.abs(values), bins=bins, range=(0.0, high))
        self.means.append(float(values.mean(dtype=np.float64)))
        self.deviations.append(float(values.std(dtype=np.float64)))
        self.histograms.append(counts)
        self.near_zero.append(float(counts[0] / max(values.size, 1)))


class ActivationStats(Callback):
    """Notes mean, spread and histogram of what layers give out at each training step of a fit; a batch so watched runs eagerly.

    Args:
        layers: the modules to watch; every module without children when not given.
        bins: of the histogram of absolute values.
        high: where the histogram ends; an output below ``high / bins`` counts as near zero.

    Attributes:
        stats: one :class:`LayerStats` for each layer, in the order of the model.

    Example:
        >>> from gradus import nn
        >>> from gradus.train import Learner
        >>> watch = ActivationStats()
        >>> learner = Learner(nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)), "mse", "sgd", progress=False, callbacks=[watch])
        >>> history = learner.fit([[0.0], [1.0]], [[1.0], [3.0]], epochs=3, batch_size=2)
        >>> [(layer.name, len(layer.means)) for layer in watch.stats]
        [('0 (Linear)', 3), ('1 (ReLU)', 3), ('2 (Linear)', 3)]
    """

    order = 65

    def __init__(self, layers: Sequence[Module] | None = None, bins: int = 40, high: float = 10.0) -> None:
        if not isinstance(bins, int) or bins < 1 or not 0 < high < math.inf:
            raise UsageError("ActivationStats needs at least one bin and a positive end", got=f"bins={bins}, high={high}")
        self.layers, self.bins, self.high = layers, bins, high
        self.stats: list[LayerStats] = []
        self.handles: list[RemovableHandle] = []

    def before_fit(self, learner: Learner) -> None:
        self.stats = []
        names = {id(module): name for name, module in learner.model.named_modules()}
        for layer in self.layers or [module for module in learner.model.modules() if not list(module.children())]:
            if id(layer) not in names:
                raise UsageError(f"ActivationStats watches a {type(layer).__name__} that is not in the model")
            seen = LayerStats(f"{names[id(layer)] or 'model'} ({type(layer).__name__})")
            self.stats.append(seen)
            self.handles.append(layer.register_forward_hook(self._watch(learner, seen)))

    def _watch(self, learner: Learner, seen: LayerStats) -> Any:
        def hook(layer: Module, args: tuple[Any, ...], output: Any) -> None:
            if learner.training and isinstance(output, Tensor):
                seen.add(output.detach().numpy(), self.bins, self.high)

        return hook

    def cleanup_fit(self, learner: Learner) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw mean, spread and share near zero of each layer over the steps. Returns the matplotlib figure."""
        return draw_activation_stats([(seen.name, seen.means, seen.deviations, seen.near_zero) for seen in self._seen()], path)

    def plot_histograms(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the histogram of each layer as a column of colour for each step. Returns the matplotlib figure."""
        return draw_activation_histograms([(seen.name, np.stack(seen.histograms)) for seen in self._seen()], self.high, path)

    def _seen(self) -> list[LayerStats]:
        found = [seen for seen in self.stats if seen.means]
        if not found:
            raise UsageError("nothing was watched yet", fix="learner.fit(X, Y, callbacks=[stats]), then stats.plot()")
        return found

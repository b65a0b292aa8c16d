"""Pictures of activations while a model learns: how large they are, and how many are near zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradus.viz.style import LABEL, TICK, Path, new_figure, percent_ticks, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = "viridis"


def draw_activation_stats(
    layers: Sequence[tuple[str, Sequence[float], Sequence[float], Sequence[float]]], path: Path | None = None
) -> Figure:
    """Three panels over the training steps: mean, standard deviation and share near zero, a line for each layer.

    Args:
        layers: name, means, deviations and shares of each layer.
        path: PNG file to write, or None.
    """
    figure = new_figure(11, 3.8)
    from matplotlib import colormaps

    panels = figure.subplots(1, 3)
    shades = colormaps[COLOURS](np.linspace(0, 0.9, len(layers)))
    for k, (panel, title) in enumerate(zip(panels, ("mean", "standard deviation", "share near zero"), strict=True)):
        for (name, *values), shade in zip(layers, shades, strict=True):
            panel.plot(range(1, len(values[k]) + 1), values[k], color=shade, linewidth=1.4, label=name)
        tidy(panel, title, "step")
    panels[2].set_ylim(0, 1)
    percent_ticks(panels[2].yaxis)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=TICK, frameon=False, title="from the input on"
    )
    return save_figure(figure, path)


def draw_activation_histograms(layers: Sequence[tuple[str, np.ndarray]], high: float, path: Path | None = None) -> Figure:
    """One panel for each layer: a column for each step, dark where few absolute values lie and bright where many do (logarithmic).

    Args:
        layers: name, and counts of shape (steps, bins), of each layer.
        high: the upper end of the last bin.
        path: PNG file to write, or None.
    """
    across = min(4, len(layers))
    down = -(-len(layers) // across)
    figure = new_figure(3.2 * across + 0.6, 2.4 * down + 0.4)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, (name, counts) in zip(panels, layers, strict=False):
        panel.imshow(np.log1p(counts.T), origin="lower", aspect="auto", extent=(0.5, len(counts) + 0.5, 0, high), cmap=COLOURS)
        tidy(panel, name, "step")
        panel.grid(False)
    for panel in panels[len(layers) :]:
        panel.set_visible(False)
    figure.supylabel("absolute activation", fontsize=LABEL)
    return save_figure(figure, path)

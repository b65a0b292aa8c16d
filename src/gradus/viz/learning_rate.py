"""The curve of a learning-rate range test, with the suggested rate marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradus.viz.style import BLUE, TICK, VERMILLION, Path, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_learning_rate(rates: Sequence[float], losses: Sequence[float], suggestion: float, path: Path | None = None) -> Figure:
    """Draw the smoothed loss over the learning rate of each step.

    Args:
        rates: learning rates, rising.
        losses: smoothed loss at each rate.
        suggestion: the rate to mark.
        path: PNG file to write, or None.
    """
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    axes.plot(rates, losses, color=BLUE, linewidth=1.8)
    at = min(range(len(rates)), key=lambda i: abs(rates[i] - suggestion))
    axes.plot([suggestion], [losses[at]], "o", color=VERMILLION, markersize=8)
    axes.annotate(
        f"falls most steeply\nat {suggestion:.2g}",
        (suggestion, losses[at]),
        xytext=(-12, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=TICK,
        color=VERMILLION,
    )
    axes.set_xscale("log")
    low, start = min(losses), losses[0]
    axes.set_ylim(low - 0.08 * (start - low), start + 0.5 * (start - low))  # the explosion at the end would flatten what matters
    tidy(axes, "Learning-rate range test", "learning rate", "loss (smoothed)")
    return save_figure(figure, path)

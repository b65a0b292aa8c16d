"""Learning curves: loss and metrics by epoch, training and validation in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gradus.errors import UsageError
from gradus.viz.style import BLUE, LABEL, TICK, VERMILLION, Path, integer_ticks, new_figure, percent_ticks, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOT_DRAWN = {"epoch", "lr", "samples_per_second", "seconds"}
UNITS = {"loss": "mean over the rows of the epoch", "mae": "unit of the target"}
MARKERS_UP_TO = 40  # epochs; beyond that, markers melt into a thick line
STEPS_UP_TO = 3  # epochs; more of them show the way without the noise of steps
LOWEST = "lowest possible with label smoothing"
LOG_FROM = 50.0  # a loss that falls by this factor is told better on a logarithmic axis


def draw_curves(
    history: Mapping[str, Sequence[float]],
    path: Path | None = None,
    title: str = "",
    step_losses: Sequence[float] = (),
    lowest_loss: float = 0.0,
) -> Figure:
    """Draw one panel for the loss and one for each metric.

    Args:
        history: columns of numbers, one per epoch: ``epoch``, ``loss``, ``val_loss``, ``accuracy``, ``val_accuracy``, …
        path: PNG file to write, or None.
        title: heading of the whole picture.
        step_losses: the loss of each step, drawn behind that of the epochs where these are few.
        lowest_loss: what the loss cannot go below with smoothed labels, drawn as a thin line; 0 for none.

    Raises:
        UsageError: no epoch was finished.
        MissingExtraError: matplotlib is not installed.
    """
    if not history or not len(history["epoch"]):
        raise UsageError("there are no curves to draw", got="a history without a complete epoch")
    names = [name for name in history if name not in NOT_DRAWN and not name.startswith("val_")]
    figure = new_figure(5.2 * len(names), 4.2, title)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        draw_panel(panel, history, name, lowest_loss if name == "loss" else 0.0)
    if len(step_losses) and "loss" in names and len(history["epoch"]) <= STEPS_UP_TO:
        draw_steps(panels[names.index("loss")], step_losses, len(history["epoch"]))
    return save_figure(figure, path)


def draw_panel(panel: Axes, history: Mapping[str, Sequence[float]], name: str, lowest: float = 0.0) -> None:
    """Draw one quantity over the epochs: training, validation where it was measured, and the lowest value where that is not 0."""
    epochs = list(history["epoch"])
    marker = "o" if len(epochs) <= MARKERS_UP_TO else None
    size = 8 if len(epochs) == 1 else 4
    curves = [("training", BLUE, "-", name), ("validation", VERMILLION, "--", f"val_{name}")]
    drawn = [(label, colour, style, list(history[column])) for label, colour, style, column in curves if column in history]
    share = name.endswith("accuracy")
    for label, colour, style, values in drawn:
        last = f"{100 * values[-1]:.1f} %" if share else f"{values[-1]:.3g}"
        panel.plot(
            epochs[: len(values)],
            values,
            color=colour,
            linestyle=style,
            marker=marker,
            markersize=size,
            linewidth=1.8,
            label=f"{label} (last: {last})",
        )
    if lowest:
        panel.axhline(lowest, color="0.45", linewidth=0.9, linestyle=(0, (5, 4)), zorder=1, label=f"{LOWEST} ({lowest:.3g})")
    tidy(panel, name.capitalize(), "epoch", "share of right answers" if share else UNITS.get(name, ""))
    integer_ticks(panel)
    if len(epochs) == 1:
        panel.set_xlim(epochs[0] - 1, epochs[0] + 1)
        panel.set_xticks(epochs)
    scale(panel, [value for _, _, _, values in drawn for value in values] + [lowest] * (lowest > 0), share)
    panel.legend(loc="best", fontsize=TICK, frameon=True, framealpha=0.9, edgecolor="none")
    panel.xaxis.label.set_fontsize(LABEL)


def draw_steps(panel: Axes, losses: Sequence[float], epochs: int) -> None:
    """Draw the loss of each step behind the loss of the epochs, which stand where an epoch ends."""
    places = [epochs * (step + 1) / len(losses) for step in range(len(losses))]
    panel.plot(places, losses, color="0.7", linewidth=0.8, zorder=1, label="training, each step")
    panel.set_xlim(0, epochs * 1.05)
    low, high = panel.get_ylim()
    panel.set_ylim(min(low, *losses), max(high, 1.05 * max(losses)))
    panel.legend(loc="best", fontsize=TICK, frameon=True, framealpha=0.9, edgecolor="none")


def scale(panel: Axes, values: Sequence[float], share: bool) -> None:
    """Accuracy up to 100 %, a loss from 0, or logarithmic where it falls by orders of magnitude."""
    low, high = min(values), max(values)
    if share:
        margin = max(0.08 * (1 - low), 0.005)
        panel.set_ylim(max(0.0, low - 2 * margin), 1 + margin / 2)
        percent_ticks(panel.yaxis)
    elif low > 0 and high / low > LOG_FROM:
        panel.set_yscale("log")
    elif low >= 0:
        panel.set_ylim(0, high * 1.08 if high > 0 else 1.0)

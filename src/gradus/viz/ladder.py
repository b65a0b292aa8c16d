"""Pictures of the ladder: times as bars, sizes by depth, losses by epoch, the way of a descent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradus.viz.style import BLUE, GREEN, GREY, LABEL, TICK, VERMILLION, Path, integer_ticks, new_figure, percent_ticks, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", GREY)


def draw_times(seconds: Mapping[str, float], path: Path | None = None, title: str = "") -> Figure:
    """Bars on a logarithmic axis, the slowest on top, each with its time and how many times as fast as the slowest it is."""
    figure = new_figure(8.4, 1.3 + 0.42 * len(seconds), title)
    panel = figure.subplots()
    slowest = max(seconds.values())
    names = sorted(seconds, key=lambda name: -seconds[name])
    for place, name in enumerate(names):
        value = seconds[name]
        panel.barh(place, value, color=BLUE, height=0.62)
        text = f" {readable(value)}" + ("" if value == slowest else f", {times(slowest / value)} ×")
        panel.annotate(text, (value, place), va="center", fontsize=TICK)
    panel.set(xscale="log", yticks=range(len(seconds)), xlim=(min(seconds.values()) / 2, slowest * 8))
    panel.set_yticklabels(names, fontsize=LABEL)
    panel.invert_yaxis()
    tidy(panel, x="seconds a product (logarithmic); ×: times as fast as the slowest")
    panel.grid(False, axis="y")
    return save_figure(figure, path)


def times(ratio: float) -> str:
    """A ratio of times: below ten with a decimal, as 1.4 is not 1.

    >>> times(1.38), times(9.97), times(3353.1)
    ('1.4', '10', '3,353')
    """
    return f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:,.0f}"


def readable(seconds: float) -> str:
    """Three digits and a unit.

    >>> readable(0.00123), readable(2.5e-7)
    ('1.23 ms', '0.25 µs')
    """
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def draw_depths(profiles: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], path: Path | None = None, title: str = "") -> Figure:
    """A panel for each activation, a curve for each law of the weights: spread over depth, logarithmic.

    Args:
        profiles: activation → law → (layer, spread).
    """
    figure = new_figure(5.4 * len(profiles), 4.6, title)
    panels = figure.subplots(1, len(profiles), sharey=True, squeeze=False)[0]
    for panel, (activation, laws) in zip(panels, profiles.items(), strict=True):
        for colour, (law, points) in zip(COLOURS, laws.items(), strict=False):
            panel.plot(
                *zip(*[(layer, spread) for layer, spread in points if spread > 0], strict=True), color=colour, label=law, linewidth=1.8
            )
        panel.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        panel.set_yscale("log")
        panel.set_yticks(powers_of_ten(*panel.get_ylim()))
        panel.minorticks_off()
        tidy(panel, f"activation: {activation}", "layer", "standard deviation (logarithmic)" if panel is panels[0] else "")
        integer_ticks(panel)
    panels[0].legend(fontsize=TICK, frameon=True, framealpha=0.9, edgecolor="none")
    return save_figure(figure, path)


def powers_of_ten(low: float, high: float) -> list[float]:
    """Ticks for a logarithmic axis that spans many powers: 1 is among them, and they are at most eight.

    >>> powers_of_ten(3e-16, 2e35)
    [1e-10, 1.0, 10000000000.0, 1e+20, 1e+30]
    """
    least, most = math.log10(low), math.log10(high)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (most - least) / step < 8 or step == 100)
    return [float(f"1e{power}") for power in range(math.ceil(least / step) * step, math.floor(most) + 1, step)]


def draw_lines(
    curves: Mapping[str, Sequence[float]], path: Path | None = None, title: str = "", y: str = "loss", share: bool = False
) -> Figure:
    """One line for each name over the epochs, counted from 1; a share is told in per cent."""
    figure = new_figure(7.4, 4.4, title)
    panel = figure.subplots()
    for colour, (name, values) in zip(COLOURS, curves.items(), strict=False):
        last = f"{100 * values[-1]:.1f} %" if share else f"{values[-1]:.3g}"
        panel.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.8, label=f"{name} (last: {last})")
    if share:
        percent_ticks(panel.yaxis, 0)
    tidy(panel, "", "epoch", y)
    integer_ticks(panel)
    panel.legend(fontsize=TICK, frameon=True, framealpha=0.9, edgecolor="none")
    return save_figure(figure, path)


def draw_descent(
    curve: Any, points: Any, surface: Any, ways: Mapping[str, Any], valleys: Any, ends: Any, path: Path | None = None, title: str = ""
) -> Figure:
    """On the left the points on a curve, rows (x, y); beside it ways over a surface (x, y, z), drawn as lines of equal height.

    Args:
        valleys: a second surface, on the right.
        ends: name of a valley → the ways that end there; the lowest comes first.
    """
    figure = new_figure(15.6, 4.9, title)
    left, middle, right = figure.subplots(1, 3)
    left.plot(*zip(*curve, strict=True), color=GREY, linewidth=1.4)
    left.plot(*zip(*points, strict=True), color=VERMILLION, marker="o", linewidth=1.2, markersize=5)
    for place, (x, y) in enumerate(points[:4]):
        left.annotate(str(place), (x, y), (6, 4), textcoords="offset points", fontsize=TICK)
    tidy(left, "(x − 2)² + 1 from 5, lr 0.1", "x", "f(x)")
    middle.contour(*surface, levels=14, colors="#B8B8B8", linewidths=0.8)
    for colour, (name, way) in zip(COLOURS, ways.items(), strict=False):
        middle.plot(*zip(*way, strict=True), color=colour, marker=".", linewidth=1.2, label=name)
    tidy(middle, "½ (x² + 10 y²): one rate for two slopes", "x", "y")
    middle.set(xlim=(surface[0][0], surface[0][-1]), ylim=(surface[1][0], surface[1][-1]))
    middle.legend(fontsize=TICK, frameon=True, framealpha=0.9, edgecolor="none", loc="upper left")
    draw_valleys(right, valleys, ends)
    return save_figure(figure, path)


def draw_valleys(panel: Any, surface: Any, ends: Mapping[str, Any]) -> None:
    """Ways over a surface, each in the colour of the valley that it ends in; a dot where it starts, a star where it ends."""
    lowest = surface[2].min()
    panel.contour(*surface, levels=[lowest + 0.02 * 1.6**k for k in range(16)], colors="#B8B8B8", linewidths=0.8, linestyles="solid")
    for colour, (name, ways) in zip(COLOURS, ends.items(), strict=False):
        for place, way in enumerate(ways):
            panel.plot(
                *zip(*way, strict=True),
                color=colour,
                linewidth=1.3,
                label=f"ends in the {name} valley ({len(ways)})" if place == 0 else None,
            )
            panel.plot(*way[0], color=colour, marker="o", markersize=6)
            panel.plot(*way[-1], color=colour, marker="*", markersize=15, markeredgecolor="white")
    tidy(panel, "(x² − 1)² + x/4 + 3/2 (y − x/2)²: two valleys", "x", "y")
    panel.set(xlim=(surface[0][0], surface[0][-1]), ylim=(surface[1][0], surface[1][-1]))
    panel.legend(fontsize=TICK, frameon=False, ncols=len(ends), loc="upper center", bbox_to_anchor=(0.5, -0.13))

"""One look for all pictures: fonts, colours that colour-blind people tell apart, and no global state of matplotlib's."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from gradus.errors import missing_extra
from gradus.io.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008, "Color Universal Design".
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6B6B6B"
TITLE, LABEL, TICK = 13, 11, 10  # font sizes in points
DOTS_PER_INCH = 144

Path = str | os.PathLike[str]


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """An empty figure, in inches, drawn to memory by Agg whatever the screen is.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "plot", "Drawing pictures") from error
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure._repr_png_ = lambda: png(figure)  # type: ignore[attr-defined]  # how a notebook shows what a cell ends with
    if title:
        figure.suptitle(title, fontsize=TITLE, fontweight="bold")
    return figure


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def tidy(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Titles, units and a quiet frame."""
    axes.set_title(title, fontsize=TITLE, loc="left", pad=8)
    axes.set_xlabel(x, fontsize=LABEL)
    axes.set_ylabel(y, fontsize=LABEL)
    axes.tick_params(labelsize=TICK, color=GREY)
    axes.grid(True, color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)


def save_figure(figure: Figure, path: Path | None) -> Figure:
    """Write the figure as PNG (if there is a path), whole or not at all, and hand it back."""
    if path is not None:
        atomic_write(path, png(figure))
    return figure


def integer_ticks(axes: Axes) -> None:
    """Epochs are counted, so no tick stands at 2.5, and by tens rather than by sixes."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1, steps=[1, 2, 5, 10]))


def percent_ticks(axis: Any, decimals: int | None = None) -> None:
    """Shares in 0 … 1 are labelled in per cent."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, decimals=decimals, symbol=" %"))

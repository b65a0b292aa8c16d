"""A pass through a small network as a picture: boxes with values and gradients, arrows with the local derivatives.

`picture_of` decides what is drawn where; `draw_backprop` makes a PNG of it, `gradus.viz.backprop_page` a page that can be walked through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gradus.viz.style import BLUE, GREY, TICK, VERMILLION, Path, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Centres of the boxes, in the units of a page that is wide, and of one that is narrow.
WIDE = {
    "x1": (70, 170), "x2": (70, 390), "w11": (205, 50), "w12": (320, 50), "b1": (435, 50), "w21": (205, 510), "w22": (320, 510),
    "b2": (435, 510), "a1": (320, 170), "a2": (320, 390), "h1": (500, 170), "h2": (500, 390), "v1": (600, 50), "v2": (600, 510),
    "c": (735, 130), "y": (735, 280), "t": (910, 430), "L": (910, 280),
}  # fmt: skip
NARROW = {
    "w11": (40, 40), "x1": (148, 40), "x2": (272, 40), "w22": (380, 40), "w12": (40, 145), "b1": (40, 250), "w21": (380, 145),
    "b2": (380, 250), "a1": (148, 250), "a2": (272, 250), "h1": (148, 355), "h2": (272, 355), "v1": (40, 355), "v2": (380, 355),
    "c": (40, 470), "y": (210, 470), "t": (380, 585), "L": (210, 585),
}  # fmt: skip
OPERATIONS = {"a1": "sum", "a2": "sum", "h1": "ReLU", "h2": "ReLU", "y": "sum", "L": "(y − t)²"}

LEGEND = ("blue: a value", "∂: the derivative of the loss by it", "×: the derivative of the result by what it used")


class Box(NamedTuple):
    """A value: its name, what computes it, the value and its gradient as texts, whether it was given, and when it was first known."""

    name: str
    operation: str
    value: str
    gradient: str
    given: bool
    known: int


class Arrow(NamedTuple):
    """A use: from a value to a result, the local derivative, and the step in which the gradient goes back along it (0: never)."""

    start: str
    end: str
    derivative: str
    step: int


class Picture(NamedTuple):
    """What is to be drawn, wherever it stands."""

    boxes: list[Box]
    arrows: list[Arrow]


def subscripts(text: str) -> str:
    """Digits behind a letter are an index.

    >>> subscripts("w11·x1 + 2·b")
    'w₁₁·x₁ + 2·b'
    """
    lower = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    return re.sub(r"(?<=[A-Za-z])\d+", lambda found: found[0].translate(lower), text)


def short(value: float) -> str:
    """Up to six digits, with a true minus.

    >>> short(-0.125), short(-0.0)
    ('−0.125', '0')
    """
    return f"{value + 0.0:.6g}".replace("-", "−")


def picture_of(given: Mapping[str, float], nodes: Any, steps: Any) -> Picture:
    """Boxes and arrows of a pass, as `gradus.ladder.backprop.step_by_step` records it.

    Steps are counted as the page does: the nodes forward from 1, then the loss's own gradient, then each use backward.
    """
    first_back = len(nodes) + 2
    gradient = {steps[0].at: steps[0].incoming} | {step.to: step.total for step in steps}
    texts = {name: short(g) for name, g in gradient.items()}
    boxes = [Box(name, "", short(value), texts.get(name, ""), True, 0) for name, value in given.items()]
    for place, node in enumerate(nodes, 1):
        boxes.append(Box(node.name, OPERATIONS.get(node.name, ""), short(node.value), texts[node.name], False, place))
    back = {(step.to, step.at): (step.derivative, first_back + place) for place, step in enumerate(steps)}
    arrows = [Arrow(start, end, short(derivative), step) for (start, end), (derivative, step) in back.items()]
    target = [Arrow("t", nodes[-1].name, "", 0)] if "t" in given else []
    return Picture(boxes, arrows + target)


def border(centre: tuple[float, float], other: tuple[float, float], width: float, height: float) -> tuple[float, float]:
    """Where the line from a box's centre to another point leaves the box.

    >>> border((0, 0), (100, 0), 80, 50), border((0, 0), (0, -100), 80, 50)
    ((40.0, 0.0), (0.0, -25.0))
    """
    across, up = other[0] - centre[0], other[1] - centre[1]
    share = min(width / 2 / abs(across) if across else 1.0, height / 2 / abs(up) if up else 1.0)
    return centre[0] + share * across, centre[1] + share * up


def draw_backprop(picture: Picture, path: Path | None = None, title: str = "") -> Figure:
    """The whole pass: values in blue, gradients of the loss in vermillion, local derivatives on the arrows."""
    figure = new_figure(10.4, 6.4, title)  # first of all: without matplotlib it says what to install
    from matplotlib.patches import FancyBboxPatch

    panel = figure.subplots()
    panel.set(xlim=(0, 980), ylim=(590, 0), aspect="equal")
    panel.axis("off")
    width, height = 84, 62
    for arrow in picture.arrows:
        start, end = border(WIDE[arrow.start], WIDE[arrow.end], width, height), border(WIDE[arrow.end], WIDE[arrow.start], width, height)
        panel.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 1})
        if arrow.derivative:
            share = place_of_label(arrow)
            x, y = start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
            style = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none"}
            panel.text(x, y, f"×{arrow.derivative}", ha="center", va="center", fontsize=TICK - 2, color=GREY, bbox=style)
    for box in picture.boxes:
        x, y = WIDE[box.name]
        face = "#F4F4F4" if box.given else "white"
        shape = "round,pad=0,rounding_size=8"
        panel.add_patch(
            FancyBboxPatch((x - width / 2, y - height / 2), width, height, shape, facecolor=face, edgecolor=GREY, linewidth=1.1)
        )
        name = subscripts(box.name) + (f"  {box.operation}" if box.operation else "")
        panel.text(x, y - 17, name, ha="center", va="center", fontsize=TICK - 1, fontweight="bold")
        panel.text(x, y + 2, box.value, ha="center", va="center", fontsize=TICK, color=BLUE)
        panel.text(x, y + 20, f"∂ {box.gradient}" if box.gradient else "", ha="center", va="center", fontsize=TICK, color=VERMILLION)
    for x, text, colour in zip((70, 270, 560), LEGEND, (BLUE, VERMILLION, GREY), strict=True):
        panel.text(x, 578, text, fontsize=TICK, color=colour)
    return save_figure(figure, path)


def place_of_label(arrow: Arrow) -> float:
    """How far along its arrow a label stands: where two arrows cross it would stand on both."""
    return 0.22 if arrow.start[0] == "x" and arrow.start[1:] != arrow.end[1:] else 0.5

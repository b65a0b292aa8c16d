"""The page of a backward pass: a graph, two tables, and a few lines of JavaScript to walk through them; no file but itself.

Without JavaScript, and on paper, the page shows the whole pass. The graph is drawn twice, for wide and for narrow windows; a style sheet
shows one of them.
"""

from __future__ import annotations

import pathlib
import re
from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

from gradus.io.atomic import atomic_write
from gradus.viz.backprop import LEGEND, NARROW, WIDE, Picture, border, picture_of, place_of_label, short, subscripts
from gradus.viz.style import Path

TEMPLATE = pathlib.Path(__file__).with_suffix(".html")  # its style sheet and script; {{names}} stand for what is filled in

# --- The graph ------------------------------------------------------------------------------------------------------------------------


def svg(picture: Picture, places: Mapping[str, tuple[float, float]], size: tuple[int, int], box: tuple[int, int], kind: str) -> str:
    """The graph as a text of SVG; every part says in `data-known` in which step it is first known."""
    label = "The graph: given numbers on the left, the loss on the right. All its numbers stand in the tables below."
    parts = [
        f'<svg class="{kind}" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{label}"><defs>'
        f'<marker id="head-{kind}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="10" markerHeight="10" markerUnits="userSpaceOnUse" '
        f'orient="auto"><path d="M0 .8 8 4 0 7.2z"/></marker></defs>'
    ]
    known = {each.name: each.known for each in picture.boxes}
    for arrow in picture.arrows:
        (x1, y1), (x2, y2) = (border(places[a], places[b], *box) for a, b in ((arrow.start, arrow.end), (arrow.end, arrow.start)))
        parts.append(
            f'<g class="arrow" data-known="{known[arrow.end]}" data-step="{arrow.step}">'
            f'<path d="M{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f}" marker-end="url(#head-{kind})"/>'
        )
        if arrow.derivative:
            share = place_of_label(arrow)
            x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
            parts.append(f'<text data-known="{arrow.step}" x="{x:.1f}" y="{y + 4:.1f}">×{arrow.derivative}</text>')
        parts.append("</g>")
    for each in picture.boxes:
        x, y = places[each.name]
        gradient = f"∂ {each.gradient}" if each.gradient else ""
        parts.append(
            f'<g class="box{" given" if each.given else ""}" data-name="{each.name}">'
            f'<rect x="{x - box[0] / 2}" y="{y - box[1] / 2}" width="{box[0]}" height="{box[1]}" rx="8"/>'
            f'<text class="name" x="{x}" y="{y - 12}">{subscripts(each.name)}<tspan dx="5">{escape(each.operation)}</tspan></text>'
            f'<text class="value" x="{x}" y="{y + 6}" data-known="{each.known}">{each.value}</text>'
            f'<text class="gradient" x="{x}" y="{y + 24}" data-whole="{each.gradient}">{gradient}</text>'
            "</g>"
        )
    return "".join([*parts, "</svg>"])


# --- The tables -----------------------------------------------------------------------------------------------------------------------


def row(step: int, says: str, cells: list[str], **data: Any) -> str:
    """A step as a row of a table; its numbers for the graph are in `data-…`, its sentence in `data-says`."""
    facts = {"says": says} | data
    attributes = " ".join(f'data-{name.replace("_", "-")}="{escape(str(value), quote=True)}"' for name, value in facts.items())
    texts = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr data-step="{step}" {attributes}><th scope="row">{step}</th>{texts}</tr>'


def forward_rows(nodes: Any) -> list[str]:
    """Each value with its formula, and the formula with numbers."""
    rows = []
    for step, node in enumerate(nodes, 1):
        name, formula, value = subscripts(node.name), subscripts(node.formula), short(node.value)
        rows.append(
            row(step, f"Forward: {name} = {formula} = {node.numbers} = {value}", [name, formula, node.numbers, value], name=node.name)
        )
    return rows


def backward_rows(nodes: Any, steps: Any) -> list[str]:
    """The gradient of the loss by itself, then each use: what arrives, the local derivative, the product, and the sum so far."""
    loss, first, uses = nodes[-1].name, len(nodes) + 1, Counter(step.to for step in steps)
    begin = f"Backward: the loss changes as itself, so its own gradient is {short(steps[0].incoming)}"
    own = short(steps[0].incoming)
    rows = [row(first, begin, [loss, "", f"∂{loss}/∂{loss}", "", f"{loss}: {own}"], name=loss, total=own)]
    for place, step in enumerate(steps, first + 1):
        texts = step_texts(step)
        rows.append(row(place, sentence(step, texts, uses[step.to]), list(texts), name=step.to, total=short(step.total)))
    return rows


def sentence(step: Any, texts: tuple[str, ...], uses: int) -> str:
    """A step back in words; `uses` is how often the value that gets the gradient was used."""
    _, incoming, derivative, product, total = texts
    at, to = subscripts(step.at), subscripts(step.to)
    if step.before is not None:
        end = f", added to the {short(step.before)} that was there: {total}"
    else:
        end = f": a part of the gradient of {to}, which was used {uses} times" if uses > 1 else f": the gradient of {to}"
    return f"Backward from {at} to {to}: {incoming} arrives, times the local derivative {derivative}, is {product}{end}"


def step_texts(step: Any) -> tuple[str, str, str, str, str]:
    """A step back as texts: the way, what arrives, the local derivative, the product, and the sum that it is added to.

    >>> from types import SimpleNamespace as Step
    >>> step_texts(Step(at="a1", to="x2", incoming=15.0, formula="w12", derivative=-1.0, product=-15.0, before=20.0, total=5.0))
    ('a₁ → x₂', '15', 'w₁₂ = −1', '−15', 'x₂: 20 + (−15) = 5')
    """
    total = short(step.total) if step.before is None else f"{short(step.before)} + {bracketed(step.product)} = {short(step.total)}"
    to = subscripts(step.to)
    return f"{subscripts(step.at)} → {to}", short(step.incoming), local(step), short(step.product), f"{to}: {total}"


def local(step: Any) -> str:
    """A step's local derivative as formula and number.

    >>> from types import SimpleNamespace as Step
    >>> local(Step(formula="x1", derivative=2.0)), local(Step(formula="0, as a1 ≤ 0", derivative=0.0))
    ('x₁ = 2', '0, as a₁ ≤ 0')
    """
    formula, value = subscripts(step.formula), short(step.derivative)
    return formula if formula.split(",")[0] == value else f"{formula} = {value}"


def bracketed(value: float) -> str:
    """A number to be added: a negative one in brackets.

    >>> bracketed(-1.0), bracketed(2.0)
    ('(−1)', '2')
    """
    return f"({short(value)})" if value < 0 else short(value)


# --- The page -------------------------------------------------------------------------------------------------------------------------


def write_page(found: Any, path: Path, title: str, source: str, remarks: tuple[str, ...] = ()) -> None:
    """Write the page of a pass, as `gradus.ladder.backprop.step_by_step` records it."""
    given = found.given._asdict()
    picture = picture_of(given, found.nodes, found.steps)
    graphs = svg(picture, WIDE, (980, 560), (84, 62), "wide") + svg(picture, NARROW, (420, 630), (74, 62), "narrow")
    parts = {
        "title": escape(title),
        "source": escape(source),
        "graphs": graphs,
        "legend": "".join(f'<span class="{kind}">{text}</span>' for kind, text in zip(("value", "gradient", "local"), LEGEND, strict=True)),
        "steps": str(len(found.nodes) + 1 + len(found.steps)),
        "given": ", ".join(f"<span>{subscripts(name)} = {short(value)}</span>" for name, value in given.items()),
        "forward": "\n".join(forward_rows(found.nodes)),
        "backward": "\n".join(backward_rows(found.nodes, found.steps)),
        "remarks": "".join(f"<li>{escape(remark)}</li>" for remark in remarks),
    }
    page = TEMPLATE.read_text(encoding="utf-8")  # filled at one go: what is filled in is not looked at again
    atomic_write(path, re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], page).encode())

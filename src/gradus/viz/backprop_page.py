"""The page of a backward pass: a graph, two tables, and a few lines of JavaScript to walk through them; no file but itself.

Without JavaScript, and on paper, the page shows the whole pass. The graph is drawn twice, for wide and for narrow windows; a style sheet
shows one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

from gradus.io.atomic import atomic_write
from gradus.viz.backprop import LEGEND, NARROW, WIDE, Picture, border, picture_of, place_of_label, short, subscripts
from gradus.viz.style import Path

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
    page = PAGE
    for name, text in parts.items():
        page = page.replace("{{" + name + "}}", text)
    atomic_write(path, page.encode())


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{title}}</title>
<style>
:root { --paper: #fff; --ink: #1c1c1c; --quiet: #5f5f5f; --line: #8a8a8a; --rule: #ddd; --given: #f3f3f3;
  --blue: #0067a3; --orange: #b84d00; --now: #fff1cc }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #ececec; --quiet: #a9a9a9; --line: #8f8f8f;
  --rule: #3a3d42; --given: #23262a; --blue: #67bdf0; --orange: #ff9a4d; --now: #453a17 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1040px; padding: 1.2rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .2rem }
h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem }
p { margin: .3rem 0 } .quiet { color: var(--quiet) }
svg { display: block; width: 100%; height: auto; font: 15px system-ui, "Segoe UI", "DejaVu Sans", sans-serif }
svg text { text-anchor: middle; fill: var(--ink) } svg tspan { font-weight: normal; fill: var(--quiet); font-size: 12px }
.narrow { display: none; max-width: 460px; margin: auto; font-size: 13.5px }
.arrow path { stroke: var(--line); stroke-width: 1.4; fill: none } marker path { fill: var(--line); fill: context-stroke; stroke: none }
.arrow text { font-size: 12.5px; fill: var(--quiet); paint-order: stroke; stroke: var(--paper); stroke-width: 5px }
.box rect { fill: var(--paper); stroke: var(--line); stroke-width: 1.3 } .given rect { fill: var(--given) }
.name { font-weight: 600 } svg .value, .legend .value { fill: var(--blue); color: var(--blue) }
svg .gradient, .legend .gradient { fill: var(--orange); color: var(--orange) }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.6rem; justify-content: center; font-size: .88rem; margin: .4rem 0 }
.legend .local { color: var(--quiet) }
.later { visibility: hidden }
.now > rect { stroke: var(--orange); stroke-width: 3 } .now.forward > rect { stroke: var(--blue) }
.arrow.now path { stroke: var(--orange); stroke-width: 3 } .arrow.now text { fill: var(--orange); font-weight: 700 }
.arrow.used path { stroke: var(--blue); stroke-width: 2.4 }
#walk { margin: .8rem 0 0; padding: .6rem .8rem; border: 1px solid var(--rule); border-radius: 8px }
#walk div { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center } #walk input { flex: 1 1 9rem; accent-color: var(--orange) }
button { font: inherit; padding: .25rem .8rem; color: inherit; background: var(--given); border: 1px solid var(--line); border-radius: 6px;
  cursor: pointer } button:disabled { opacity: .45; cursor: default }
#says { min-height: 3em; margin-top: .5rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums }
#given span, td { white-space: nowrap }
th, td { text-align: left; padding: .22rem .9rem .22rem .3rem; border-bottom: 1px solid var(--rule) }
thead th { color: var(--quiet); font-weight: 500; vertical-align: bottom } tbody th { color: var(--quiet); font-weight: 400 }
tr.now > * { background: var(--now) } .walking tbody tr { cursor: pointer }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px }
@media screen and (max-width: 640px) { .wide { display: none } .narrow { display: block }
  table { font-size: .8rem } th, td { padding: .25rem .35rem .25rem 0 } td:last-child { white-space: normal } }
@media print { #walk { display: none } body { max-width: none; padding: 0; font-size: 11pt } .later { visibility: visible }
  svg { max-height: 11cm } tr, svg { break-inside: avoid } tr.now > * { background: none }
  body, .box rect, tr > * { print-color-adjust: exact } }
</style>
</head>
<body>
<h1>{{title}}</h1>
<p class="quiet">after {{source}}</p>
{{graphs}}
<p class="legend">{{legend}}</p>
<section id="walk" hidden aria-label="Walk through the pass">
<div><button id="back">← back</button><button id="next">next →</button>
<input id="place" type="range" min="0" max="{{steps}}" value="0" aria-label="Step"><button id="whole">whole pass</button></div>
<p id="says" aria-live="polite"></p>
</section>
<h2>Given</h2>
<p id="given">{{given}}</p>
<h2>Forward: the values, in order</h2>
<div class="scroll"><table>
<thead><tr><th>step</th><th>value</th><th>formula</th><th>in numbers</th><th>result</th></tr></thead>
<tbody>
{{forward}}
</tbody></table></div>
<h2>Backward: how much the loss changes with each</h2>
<p class="quiet">What arrives at a result, times the derivative of the result by what it used, is added to the gradient of what it used.</p>
<div class="scroll"><table>
<thead><tr><th>step</th><th>way</th><th>arrives</th><th>× local derivative</th><th>= product</th><th>gradient so far</th></tr></thead>
<tbody>
{{backward}}
</tbody></table></div>
<h2>What to see</h2>
<ul>{{remarks}}</ul>
<script>
"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const rows = all("tr[data-step]"), place = document.getElementById("place"), says = document.getElementById("says");
let at = 0;
function show(step) {
  at = Math.max(0, Math.min(rows.length, step));
  const current = rows[at - 1], totals = {};
  for (const row of rows) {
    row.classList.toggle("now", row === current);
    row === current ? row.setAttribute("aria-current", "step") : row.removeAttribute("aria-current");
    if (row.dataset.total !== undefined && +row.dataset.step <= at) totals[row.dataset.name] = row.dataset.total;
  }
  for (const part of all("svg [data-known]")) part.classList.toggle("later", at > 0 && +part.dataset.known > at);
  const backward = current && current.dataset.total !== undefined;
  for (const box of all(".box")) {
    const text = box.querySelector(".gradient"), name = box.dataset.name, sum = at ? totals[name] : text.dataset.whole;
    text.textContent = sum ? "∂ " + sum : "";
    box.classList.toggle("now", Boolean(current) && (name === current.dataset.name));
    box.classList.toggle("forward", Boolean(current) && !backward);
  }
  for (const arrow of all(".arrow")) {
    arrow.classList.toggle("now", at > 0 && +arrow.dataset.step === at);
    arrow.classList.toggle("used", at > 0 && !backward && +arrow.dataset.known === at);
  }
  says.textContent = current ? `Step ${at} of ${rows.length}. ${current.dataset.says}.`
    : `The whole pass. Walk through its ${rows.length} steps with the buttons, the arrow keys, or a click on a row.`;
  place.value = at;
  place.setAttribute("aria-valuetext", says.textContent);
  document.getElementById("back").disabled = at === 0;
  document.getElementById("next").disabled = at === rows.length;
}
document.getElementById("walk").hidden = false;
document.body.classList.add("walking");
document.getElementById("back").onclick = () => show(at - 1);
document.getElementById("next").onclick = () => show(at + 1);
document.getElementById("whole").onclick = () => show(0);
place.oninput = () => show(+place.value);
for (const row of rows) row.onclick = () => show(+row.dataset.step);
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target === place) return;
  const move = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 1, End: rows.length, Escape: 0 }[event.key];
  if (move !== undefined) { show(move); event.preventDefault(); }
});
window.addEventListener("beforeprint", () => show(0));
show(Number(location.hash.slice(1)) || 0);
</script>
</body>
</html>
"""

"""The picture and the page of a pass: every number is there, nothing is fetched, and the script finds what it asks for."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gradus.ladder.backprop import Network, step_by_step
from gradus.viz.backprop import NARROW, WIDE, draw_backprop, picture_of, subscripts
from gradus.viz.backprop_page import row as row_of_table
from gradus.viz.backprop_page import write_page

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Tree(HTMLParser):
    """Elements with their attributes and texts; an end tag that closes another element is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[dict] = []
        self.elements: list[dict] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        element = {"tag": tag, "text": "", "inside": [each["tag"] for each in self.open], **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs) -> None:
        self.elements.append({"tag": tag, "text": "", "inside": [each["tag"] for each in self.open], **dict(attrs)})

    def handle_endtag(self, tag) -> None:
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data) -> None:
        for each in self.open:
            each["text"] += data

    def all(self, tag: str, **attributes: str) -> list[dict]:
        return [each for each in self.elements if each["tag"] == tag and all(each.get(k) == v for k, v in attributes.items())]


@pytest.fixture
def page(tmp_path: Path) -> tuple[str, Tree]:
    write_page(step_by_step(0), tmp_path / "page.html", "A <title>", 'somebody & "others"', ("a < b",))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    return text, Tree(text)


def test_texts_are_escaped_and_every_place_is_filled(page) -> None:
    text, tree = page
    assert tree.all("h1")[0]["text"] == "A <title>" and "<title>A &lt;title&gt;</title>" in text
    assert tree.all("p", **{"class": "quiet"})[0]["text"] == 'after somebody & "others"'
    assert [each["text"] for each in tree.all("li")] == ["a < b"]
    assert "{{" not in text


def test_texts_are_texts_and_no_markup(tmp_path: Path) -> None:
    odd = "{{steps}} </ul><script>alert('x') & \""
    write_page(step_by_step(0), tmp_path / "odd.html", odd, odd, (odd,))
    text = (tmp_path / "odd.html").read_text(encoding="utf-8")
    assert text.count("<script>") == 1 and text.count("</ul>") == 1
    assert text.count("{{steps}} &lt;/ul&gt;&lt;script&gt;alert(") == 4  # title, heading, source, remark
    assert row_of_table(1, odd, ["<i>"], name='"') == (
        f'<tr data-step="1" data-says="{escape(odd)}" data-name="&quot;"><th scope="row">1</th><td>&lt;i&gt;</td></tr>'
    )


def test_nothing_is_fetched(page) -> None:
    text, tree = page
    assert not [each for each in tree.elements if {"src", "href", "xlink:href", "action"} & set(each)]
    assert not re.findall(r"https?:|//[a-z]|@import|fetch\(|import\(|url\((?!#)", text)
    assert len(tree.all("script")) == 1


def test_each_step_is_a_row_with_its_numbers(page) -> None:
    tree, found = page[1], step_by_step(0)
    rows = [each for each in tree.all("tr") if "data-step" in each]
    assert [int(row["data-step"]) for row in rows] == list(range(1, 26))  # six forward, the loss's own, eighteen back
    assert [row["data-name"] for row in rows] == [*(n.name for n in found.nodes), "L", *(s.to for s in found.steps)]
    assert ["data-total" in row for row in rows] == [False] * 6 + [True] * 19
    for row, step in zip(rows[7:], found.steps, strict=True):
        assert float(row["data-total"].replace("−", "-")) == step.total
        assert f"{subscripts(step.at)} → {subscripts(step.to)}" in row["text"]
    said = next(row["data-says"] for row in reversed(rows) if row["data-name"] == "x1")
    assert said == "Backward from a₁ to x₁: 15 arrives, times the local derivative w₁₁ = 1.5, is 22.5, added to the 5 that was there: " + (
        "x₁: 5 + 22.5 = 27.5"
    )


def test_both_graphs_show_the_whole_pass_without_a_script(page) -> None:
    tree, found = page[1], step_by_step(0)
    gradients = {step.to: step.total for step in found.steps} | {"L": 1.0}
    boxes = [each for each in tree.all("g") if "data-name" in each]
    assert [each["data-name"] for each in boxes] == [*found.given._fields, *(node.name for node in found.nodes)] * 2
    for each in boxes:
        name = each["data-name"]
        assert ("∂" in each["text"]) == (name != "t")
        if name != "t":
            assert float(each["text"].split("∂")[1].replace("−", "-")) == gradients[name]
    arrows = [each for each in tree.all("g") if each.get("class") == "arrow"]
    assert sorted(int(each["data-step"]) for each in arrows) == sorted([0, *range(8, 26)] * 2)
    assert tree.all("section", id="walk")[0].keys() >= {"hidden"}  # only the script shows what only the script can do


def test_the_script_finds_its_elements(page) -> None:
    text, tree = page
    identifiers = [each["id"] for each in tree.elements if "id" in each]
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r'getElementById\("([a-z]+)"\)', text)) <= set(identifiers)
    assert set(re.findall(r"url\(#([a-z-]+)\)", text)) <= set(identifiers)
    data = {name for each in tree.elements for name in each if name.startswith("data-")}
    assert {f"data-{name}" for name in re.findall(r"dataset\.([a-z]+)", text)} <= data


@pytest.mark.parametrize("places, box", [(WIDE, (84, 62)), (NARROW, (74, 62))])
def test_no_box_lies_on_another(places, box) -> None:
    found = step_by_step(0)
    assert set(places) == {*found.given._fields, *(node.name for node in found.nodes)}
    centres = list(places.values())
    for i, (x, y) in enumerate(centres):
        assert all(abs(x - u) >= box[0] + 10 or abs(y - v) >= box[1] + 10 for u, v in centres[:i])


def test_the_picture_knows_when_a_number_is_known() -> None:
    found = step_by_step(network=Network(1, 2, 1, 1, 0, 1, -1, 0, 2, 5, 0, 4))
    picture = picture_of(found.given._asdict(), found.nodes, found.steps)
    known = {box.name: (box.known, box.value, box.gradient) for box in picture.boxes}
    assert known["x2"] == (0, "2", "8") and known["h2"] == (4, "0", "20") and known["t"] == (0, "4", "")
    (dead,) = [arrow for arrow in picture.arrows if arrow.start == "a2"]
    assert dead == ("a2", "h2", "0", 14)


def test_the_png(tmp_path: Path) -> None:
    found = step_by_step(3)
    figure = draw_backprop(picture_of(found.given._asdict(), found.nodes, found.steps), tmp_path / "pass.png", "A pass")
    assert (tmp_path / "pass.png").read_bytes().startswith(b"\x89PNG")
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"a₁  sum", "L  (y − t)²", "∂ 1"} <= texts

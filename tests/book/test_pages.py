"""The chapters of the book keep their promises: each page runs from top to bottom in a process of its own, asserts what it claims, has
exercises with solutions that are judged, and leads nowhere that does not exist. None of this needs Sphinx.

`python tests/book/test_pages.py docs/book/matmul.md` runs one page by hand.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs" / "book"
PAGES = sorted(BOOK.glob("*.md"))
CHAPTERS = [page for page in PAGES if page.name != "index.md"]
FENCE = re.compile(r"^(?P<ticks>`{3,})\{(?P<name>[\w-]+)\}(?P<argument>.*)\n(?P<body>(?:.*\n)*?)(?P=ticks) *$", re.MULTILINE)
OPTION = re.compile(r":([\w-]+):(?: (.*))?")
HEADER = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n"


class Directive(NamedTuple):
    """A fenced directive: its name and argument, its options, its text, the line on which the text begins, and its place in the page."""

    name: str
    argument: str
    options: dict[str, str]
    text: str
    line: int
    place: int


def directives(page: str) -> list[Directive]:
    """The fenced directives of a page, in order."""
    found = []
    for fence in FENCE.finditer(page):
        lines = fence["body"].splitlines()
        if lines[:1] == ["---"]:  # options as YAML: `tags: [hide-cell]`
            count = lines.index("---", 1) + 1
            options = dict(line.split(":", 1) for line in lines[1 : count - 1] if ":" in line)
        else:
            count = next((k for k, line in enumerate(lines) if not OPTION.fullmatch(line)), len(lines))
            options = dict(OPTION.findall("\n".join(lines[:count])))
        line = page.count("\n", 0, fence.start("body")) + 1 + count
        found.append(Directive(fence["name"], fence["argument"].strip(), options, "\n".join(lines[count:]), line, fence.start()))
    return found


def cells(page: str) -> list[Directive]:
    return [directive for directive in directives(page) if directive.name == "code-cell"]


def run_page(page: Path) -> None:
    """All cells in one namespace, in the folder of the page, as the build does; figures are drawn to memory and closed."""
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")  # a notebook shows what `plt.show()` asks for
    os.chdir(page.parent)
    namespace: dict = {"__name__": "__main__"}
    for cell in cells(page.read_text(encoding="utf-8")):
        exec(compile("\n" * (cell.line - 1) + cell.text, str(page), "exec"), namespace)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")


def asserts(text: str) -> int:
    """How many `assert` statements a cell has."""
    return sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text)))


def judged(text: str) -> bool:
    """Whether a solution can fail: it asserts, raises, or calls one of the ladder's tests."""
    nodes = list(ast.walk(ast.parse(text)))
    calls = {ast.unparse(node.func).rsplit(".", 1)[-1] for node in nodes if isinstance(node, ast.Call)}
    return any(isinstance(node, (ast.Assert, ast.Raise)) for node in nodes) or any(re.match(r"test_|assert_", name) for name in calls)


def exercises(page: str) -> str:
    """The text from the heading of the exercises to the next one."""
    found = re.search(r"^## Exercises\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def defines(source: str, name: str) -> bool:
    """Whether a file defines a class, function or method of this dotted name."""
    body = ast.parse(source).body
    for part in name.split("."):
        found = [node for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == part]
        if not found:
            return False
        body = found[-1].body
    return True


def broken_includes(page: str, folder: Path) -> list[str]:
    """Included files that are not there, and names or texts that are not in them."""
    problems = []
    for directive in directives(page):
        if directive.name not in ("literalinclude", "include"):
            continue
        file = folder / directive.argument
        if not file.is_file():
            problems.append(f"{directive.line}: no file {directive.argument}")
            continue
        source, options = file.read_text(encoding="utf-8"), directive.options
        if "pyobject" in options and not defines(source, options["pyobject"]):
            problems.append(f"{directive.line}: no {options['pyobject']} in {directive.argument}")
        for option in ("start-at", "start-after", "end-at", "end-before"):
            if option in options and options[option] not in source:
                problems.append(f"{directive.line}: no {options[option]!r} in {directive.argument}")
    return problems


def broken_links(page: str, folder: Path) -> list[str]:
    """Relative links, outside of code, to what is not there."""
    prose = re.sub(r"`[^`\n]+`", "", FENCE.sub("", page))
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match(r"[a-z]+:|#", link)]
    return [link for link in links if not (folder / link).exists()]


def name_of(page: Path) -> str:
    return page.stem


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_a_chapter_runs_and_says_nothing_on_stderr(page: Path) -> None:
    pytest.importorskip("matplotlib", reason="chapters draw pictures")
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "ignore:E44"}  # as the build, which may have no Numba
    done = subprocess.run([sys.executable, __file__, str(page)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout[-1000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_a_chapter_is_a_notebook_that_asserts_and_draws(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(HEADER)
    before = text.split("\n## Exercises\n")[0]
    assert sum(asserts(cell.text) for cell in cells(before)) > 0, "the chapter claims, and asserts nothing"
    assert re.search(r"\bdraw_\w+\(|\bnew_figure\(|\bplt\.|\.subplots\(", "".join(cell.text for cell in cells(text))), "no picture"


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_a_chapter_has_exercises_with_solutions_that_can_fail(page: Path) -> None:
    found = [cell for cell in cells(exercises(page.read_text(encoding="utf-8"))) if "hide-cell" in cell.options.get("tags", "")]
    assert found, "no hidden solution among the exercises"
    assert [cell.line for cell in found if not judged(cell.text)] == []


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_code_is_included_from_files_that_have_it(page: Path) -> None:
    assert broken_includes(page.read_text(encoding="utf-8"), BOOK) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page.read_text(encoding="utf-8"), BOOK) == []


def test_the_road_leads_through_every_chapter() -> None:
    listed = [
        line
        for block in directives((BOOK / "index.md").read_text(encoding="utf-8"))
        if block.name == "toctree"
        for line in block.text.split()
    ]
    road = [name for name in listed if "/" not in name]
    assert sorted(road) == sorted(page.stem for page in CHAPTERS)
    for here, there in pairwise(road):
        end = (BOOK / f"{here}.md").read_text(encoding="utf-8").rsplit("\n## ", 1)[-1]
        assert f"({there}.md)" in end, f"{here} does not lead on to {there}"


def test_no_output_lies_beside_the_pages() -> None:
    assert [file.name for file in BOOK.rglob("*") if file.suffix in (".ipynb", ".png", ".html") and "templates" not in file.parts] == []


STORY = (
    HEADER
    + """
# Title with `[code](that/is/no.link)`

```{code-cell}
x = 1
assert x == 1
```

```{literalinclude} ../../src/gradus/ladder/matmul.py
:pyobject: near
:language: python
```

[on](story.md#title), [away](https://example.org)

## Exercises

```{code-cell}
---
tags: [hide-cell]
---
assert x + 1 == 2
```

## Where next
"""
)


def test_a_page_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "story.md").write_text(STORY, encoding="utf-8")
    first, second = cells(STORY)
    assert (first.text, first.line, first.options) == ("x = 1\nassert x == 1", 11, {})
    assert (second.text.strip(), second.options) == ("assert x + 1 == 2", {"tags": " [hide-cell]"})
    assert cells(exercises(STORY)) != [] and broken_links(STORY, tmp_path) == [] and broken_includes(STORY, BOOK) == []


@pytest.mark.parametrize(
    "true, lie, complaint",
    [
        ("assert x == 1\n", "assert x == 2\n", 'story.md", line 12'),
        ("x = 1\n", "import warnings; warnings.warn('late'); x = 1\n", "late"),
    ],
)
def test_a_planted_lie_is_found(true: str, lie: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "story.md").write_text(STORY.replace(true, lie, 1), encoding="utf-8")
    done = subprocess.run([sys.executable, __file__, str(tmp_path / "story.md")], capture_output=True, text=True, check=False)
    assert complaint in done.stderr


def test_planted_gaps_are_found(tmp_path: Path) -> None:
    assert broken_includes(STORY.replace("near", "nearer"), BOOK) == ["18: no nearer in ../../src/gradus/ladder/matmul.py"]
    assert broken_includes(STORY.replace("matmul.py", "matmuls.py"), BOOK) == ["18: no file ../../src/gradus/ladder/matmuls.py"]
    assert broken_links(STORY, tmp_path) == ["story.md"]
    assert not judged("x + 1 == 2") and judged("test_eq(x, 1)") and judged("np.testing.assert_allclose(x, 1)")
    assert defines("class A:\n    def f(self): ...", "A.f") and not defines("class A:\n    def f(self): ...", "f")


if __name__ == "__main__":
    run_page(Path(sys.argv[1]).resolve())

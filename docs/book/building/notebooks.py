"""Each chapter as a notebook beside its page, with a link to it. What only Sphinx understands is written out in plain Markdown."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jupytext
from nbformat.v4 import new_code_cell
from sphinx.application import Sphinx

INCLUDE = re.compile(r"^```\{literalinclude\} (?P<path>\S+)\n(?P<options>(?::.*\n)*)```$", re.MULTILINE)
BOX = re.compile(
    r"^(?P<fence>:{3,})\{(?P<kind>\w+)\} ?(?P<title>.*)\n(?P<options>(?::\w.*\n)*)(?P<body>(?:.*\n)*?)(?P=fence) *$", re.MULTILINE
)
LINK = re.compile(r"\]\((?P<name>[a-z_]+)\.md(?P<anchor>#[\w-]+)?\)")
EXAMPLE = re.compile(r"^sys\.path\.append\(\"(?P<folder>[./]+/examples)\"\)\nfrom (?P<name>\w+) import ", re.MULTILINE)
NEEDS = (
    "This notebook needs Gradus with matplotlib, and Jupyter: `pip install '.[plot]' jupyterlab` in Gradus' repository. "
    "Solutions are folded: do the exercise, then open the cell below it."
)


def definition(file: Path, name: str) -> str:
    """The lines of a class, function or method of a file, its decorators included; the whole file for no name."""
    text = file.read_text(encoding="utf-8")
    body: list[ast.stmt] = ast.parse(text).body
    node: ast.stmt | None = None
    for part in filter(None, name.split(".")):
        named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = [statement for statement in body if isinstance(statement, named) and statement.name == part]
        if not found:
            raise ValueError(f"{file} defines no {name}")
        node, body = found[-1], found[-1].body
    if node is None:
        return text
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    return "\n".join(line[node.col_offset :] for line in lines) + "\n"


def plain(text: str, folder: Path) -> str:
    """Markdown without directives: included code is there, boxes are quotations, answers fold, links lead to notebooks."""

    def included(found: re.Match) -> str:
        name = re.search(r"^:pyobject: (\S+)$", found["options"], re.MULTILINE)
        return f"```python\n{definition(folder / found['path'], name[1] if name else '')}```"

    def box(found: re.Match) -> str:
        if found["kind"] == "dropdown":
            return f"<details><summary>{found['title']}</summary>\n\n{found['body']}\n</details>"
        title = found["title"] or found["kind"].capitalize()
        return "\n".join(f"> {line}".rstrip() for line in (f"**{title}**", "", *found["body"].splitlines()))

    return LINK.sub(r"](\g<name>.ipynb\g<anchor>)", BOX.sub(box, INCLUDE.sub(included, text)))


def carried(cells: list, folder: Path) -> list:
    """The cells, and before one that imports an example a cell that writes it: a notebook is read far from the repository."""
    found = []
    for cell in cells:
        if cell.cell_type == "code" and (example := EXAMPLE.search(cell.source)):
            file = f"{example['name']}.py"
            text = (folder / example["folder"] / file).read_text(encoding="utf-8")
            found.append(new_code_cell(f"%%writefile {file}\n{text}", metadata={"tags": ["hide-input"]}))
        found.append(cell)
    return found


def notebook(page: Path) -> str:
    """The page as the text of a notebook without outputs; what the page folds, it folds."""
    book = jupytext.reads(page.read_text(encoding="utf-8"), fmt="md:myst")
    book.cells = carried(book.cells, page.parent)
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number}"  # by chance otherwise, and another file each time
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, page.parent)
        elif any(tag.startswith("hide-") for tag in cell.metadata.get("tags", ())):
            cell.metadata["jupyter"] = {"source_hidden": True}
    book.cells[0].source += f"\n\n*{NEEDS}*"
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return jupytext.writes(book, fmt="ipynb")


def is_chapter(app: Sphinx, page: str) -> bool:
    return app.env.metadata.get(page, {}).get("file_format") == "mystnb"


def link(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """A line on top of a chapter that hands the notebook out."""
    if doctree is not None and is_chapter(app, page):
        name = page.rsplit("/", 1)[-1]
        context["body"] = f'<p class="notebook"><a href="{name}.ipynb" download>Download as a notebook</a></p>' + context["body"]


def write(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for page in filter(lambda page: is_chapter(app, page), sorted(app.env.found_docs)):
            Path(app.outdir, f"{page}.ipynb").write_text(notebook(Path(app.srcdir, f"{page}.md")), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", link)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

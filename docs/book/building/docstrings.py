"""The docstrings are half Markdown: code in single backticks, formulas with bars and stars. Here they become reStructuredText."""

from __future__ import annotations

import re

from sphinx.application import Sphinx
from sphinx.domains.python import PyObject

# What is left as it is: ``code``, `code`, :role:`text`.
MARKUP = re.compile(r"(``.+?``|(?::[\w:]+:)?`[^`\n]+`)")
TRAILING_UNDERSCORE = re.compile(r"(?<=\w)_(?=\W|$)")
STARS = re.compile(r"(?<![\w*])(\*{1,2})(?=\w)(?!(?:\w|\w[^*\n]*[^\s*])\1(?!\w))")  # *args, but not *a title*


def escaped(line: str) -> str:
    """Bars, trailing underscores and lonely stars mean themselves.

    >>> escaped("|a - b| of `clip_` and clip_ for *args")
    '\\\\|a - b\\\\| of `clip_` and clip\\\\_ for \\\\*args'
    """
    parts = MARKUP.split(line)
    for k in range(0, len(parts), 2):
        text = parts[k].replace("|", r"\|")
        parts[k] = STARS.sub(lambda found: found[1].replace("*", r"\*"), TRAILING_UNDERSCORE.sub(r"\\_", text))
    return "".join(parts)


def process(app: Sphinx, what: str, name: str, object_: object, options: object, lines: list[str]) -> None:
    """Escape prose; dialogues and literal blocks (after a line that ends in ``::``, and `.. math::`) stay."""
    literal: int | None = None  # the indentation of the line that began a literal block
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if literal is not None or line.lstrip().startswith((">>> ", "... ")):
            continue
        if line.lstrip().startswith(".. math::"):
            literal = indent
            continue
        if line.rstrip().endswith("::"):
            literal = indent
        lines[number] = escaped(line)


# Napoleon takes what stands before the first colon of a property's docstring for its type. So colons hide from it, and come back.
HIDDEN = "\N{MODIFIER LETTER RAISED COLON}"


def hide_colon(app: Sphinx, what: str, name: str, object_: object, options: object, lines: list[str]) -> None:
    if what in ("property", "attribute") and lines:
        lines[0] = lines[0].replace(": ", HIDDEN + " ")


def show_colon(app: Sphinx, what: str, name: str, object_: object, options: object, lines: list[str]) -> None:
    lines[:] = [line.replace(HIDDEN, ":") for line in lines]


def setup(app: Sphinx) -> dict:
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-docstring", hide_colon, priority=450)  # Napoleon itself comes at 500
    app.connect("autodoc-process-docstring", show_colon, priority=550)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"  # as the docstrings call them; Sphinx says "Variables"
    return {"parallel_read_safe": True, "parallel_write_safe": True}

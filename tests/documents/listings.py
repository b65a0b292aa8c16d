"""The listings of the source documents, run cell by cell as a notebook runs them, with PyTorch or with Gradus in its place.

They lie in ``excerpts/``, one file a document. ``# %% name`` begins a cell. What the document prints under a cell follows it: ``#>``
exactly, ``#~`` a number that depends on a draw, ``#!`` the last line of an error. The source distribution leaves the folder out.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest

FOLDER = Path(__file__).parent / "excerpts"
if not FOLDER.is_dir():
    reason = f"{FOLDER} is missing: it holds other people's code, which no distribution of Gradus contains; the repository has it"
    pytest.skip(reason, allow_module_level=True)

# The whole difference between code for PyTorch and code for Gradus.
IMPORTS = {
    "import torch": "import gradus as torch",
    "from torch import tensor": "from gradus import tensor",
    "from torch.autograd import Function": "from gradus.autograd import Function",
    "import torch.nn as nn": "import gradus.nn as nn",
    "from torch import nn": "from gradus import nn",
}
MAGIC = re.compile(r"^%time(it -n \d+)? ", re.MULTILINE)  # IPython's: what follows is run, and timed
PRINTED = re.compile(r"^#[>~!] ?")


class Cell(NamedTuple):
    """A cell: its name, its code, what the document prints under it, and how (``>``, ``~``, ``!`` or nothing)."""

    name: str
    source: str
    printed: str
    kind: str


def cells(document: str) -> list[Cell]:
    """The cells of ``excerpts/<document>.ipy`` in their order."""
    text = (FOLDER / f"{document}.ipy").read_text(encoding="utf-8")
    found = []
    for part in re.split(r"^# %% ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        lines = body.rstrip("\n").split("\n")
        printed = [line for line in lines if PRINTED.match(line)]
        source = "\n".join(line for line in lines if not PRINTED.match(line))
        found.append(Cell(name, source, "\n".join(PRINTED.sub("", line) for line in printed), printed[0][1] if printed else ""))
    return found


def with_gradus(source: str) -> str:
    """The same code with PyTorch's import lines replaced, and nothing else."""
    return "\n".join(replaced(line) for line in source.split("\n"))


def replaced(line: str) -> str:
    """An import line of PyTorch's as that of Gradus, its comment kept; any other line as it is."""
    code, hash_, comment = line.partition("  #")
    return IMPORTS.get(code, code) + hash_ + comment


class Notebook:
    """A namespace in which code is run with one of the two libraries.

    Attributes:
        gradus: whether Gradus stands in PyTorch's place.
        names: what the cells have defined.
        said: what the last cell wrote by ``print``.
    """

    def __init__(self, gradus: bool = True) -> None:
        self.gradus = gradus
        self.names: dict[str, Any] = {"__name__": "listing"}
        self.said = ""

    def run(self, source: str) -> Any:
        """Run code. Returns the value of its last line where that is an expression, as a notebook shows it."""
        source = MAGIC.sub("", with_gradus(source) if self.gradus else source)
        tree = ast.parse(source)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(io.StringIO()) as said, warnings.catch_warnings():
            if not self.gradus:
                warnings.simplefilter("ignore")  # PyTorch has deprecated some of what the documents do
            exec(compile(tree, "<listing>", "exec"), self.names)
            value = eval(compile(ast.Expression(last.value), "<listing>", "eval"), self.names) if last is not None else None
        self.said = said.getvalue()
        return value

    def run_all(self, document: str, *names: str) -> None:
        """Run the cells with these names, or all, in their order."""
        for cell in cells(document):
            if not names or cell.name in names:
                self.run(cell.source)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]


def shown(value: Any) -> str:
    """How a notebook shows a value, without the library's name and the indentation of rows, which the documents' texts have lost."""
    return re.sub(r"\s+", " ", re.sub(r"\b(torch|gradus)\.", "", repr(value))).strip()


def shown_in_document(cell: Cell) -> str:
    """What the document prints under a cell, in the same form."""
    return re.sub(r"\s+", " ", re.sub(r"\btorch\.", "", cell.printed)).strip()

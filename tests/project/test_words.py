"""What the tree must not contain: paths of somebody's machine, drawers for everything, functions and files that do not fit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION_LINES, FILE_LINES = 80, 600
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(home|root|tmp|work|Users)/")
DRAWERS = {"utils.py", "util.py", "helpers.py", "helper.py", "misc.py", "common.py"}
TEXT = {".py", ".md", ".toml", ".cfg", ".json", ".yaml", ".yml", ".txt", ".ipynb", ".sh", ""}
FOLDERS = ["src", "tests", "docs", "examples", "benchmarks", "scripts", ".ci"]


def tree_files() -> Iterator[Path]:
    """Files that people write: those in the project's folders and at its root."""
    for folder in FOLDERS:
        yield from (file for file in sorted((ROOT / folder).rglob("*")) if file.is_file() and "__pycache__" not in file.parts)
    yield from (file for file in sorted(ROOT.iterdir()) if file.is_file())


def machine_paths(text: str) -> list[str]:
    """Lines that name a folder of one machine, as ``number: line``."""
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if MACHINE_PATH.search(line)]


def long_functions(source: str, limit: int = FUNCTION_LINES) -> list[str]:
    """Functions of more than ``limit`` lines, docstring included."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    lengths = [(node.name, int(node.end_lineno or 0) - node.lineno + 1) for node in functions]
    return [f"{name}: {length} lines" for name, length in lengths if length > limit]


def test_no_path_of_one_machine() -> None:
    texts = [file for file in tree_files() if file.suffix in TEXT and file != Path(__file__)]
    found = {str(file.relative_to(ROOT)): machine_paths(file.read_text(encoding="utf-8")) for file in texts}
    assert not any(found.values()), {file: lines for file, lines in found.items() if lines}


def holds_names_only(source: str) -> bool:
    """Whether a module only re-exports, as those do that let PyTorch's import lines work."""
    return all(isinstance(node, (ast.Expr, ast.ImportFrom)) or ast.unparse(node).startswith("__all__ =") for node in ast.parse(source).body)


def test_no_drawers() -> None:
    drawers = [file for file in tree_files() if file.name in DRAWERS and not holds_names_only(file.read_text(encoding="utf-8"))]
    assert [str(file.relative_to(ROOT)) for file in drawers] == []


def test_functions_fit_on_a_screen() -> None:
    sources = [file for file in tree_files() if file.suffix == ".py" and (ROOT / "src") in file.parents]
    long = {str(file.relative_to(ROOT)): long_functions(file.read_text(encoding="utf-8")) for file in sources}
    assert not any(long.values()), {file: functions for file, functions in long.items() if functions}


def test_files_are_about_one_thing() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in (ROOT / "src").rglob("*.py")}
    long = {file: length for file, length in lengths.items() if length > FILE_LINES}
    assert not long, long


@pytest.mark.parametrize(
    "line, found",
    [
        ('DATA = "/home/ada/data"', True),
        ("see /tmp/x", True),
        ("cd /root/code", True),
        ("~/code/x and ./tmp/y", False),
        ("https://example.org/home/x", False),
        ("a/tmp/b", False),
    ],
)
def test_a_planted_path_is_found(line: str, found: bool) -> None:
    assert bool(machine_paths(line)) is found


def test_a_planted_long_function_is_found() -> None:
    body = "\n".join("    x = 1" for _ in range(80))
    assert long_functions(f"def short():\n    pass\n\nclass C:\n  def long(self):\n{body.replace('    ', '      ')}") == ["long: 81 lines"]

"""No file of Gradus runs code, and no code is made from text: pickle and its kin, eval and exec are absent from the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "gradus"
MODULES = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
BUILTINS = {"eval", "exec", "compile", "__import__"}


def unsafe(source: str) -> list[str]:
    """What in ``source`` could run code out of a file or a string, as ``line: name``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module)] if str(node.module).split(".")[0] in MODULES else []
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            names = [node.id]
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {f"builtins.{name}" for name in BUILTINS}:
            names = [ast.unparse(node)]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            names = ["allow_pickle"]
        found += [f"{getattr(node, 'lineno', 0)}: {name}" for name in names]
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_package(file: Path) -> None:
    assert unsafe(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source, found",
    [
        ("import pickle", ["1: pickle"]),
        ("import os, marshal", ["1: marshal"]),
        ("from pickle import loads", ["1: pickle"]),
        ("def f():\n    import shelve", ["2: shelve"]),
        ("f = eval", ["1: eval"]),
        ("exec(text)", ["1: exec"]),
        ("import builtins\nbuiltins.compile(text, '', 'exec')", ["2: builtins.compile"]),
        ("np.load(path, allow_pickle=True)", ["1: allow_pickle"]),
        ("np.load(path, allow_pickle=flag)", ["1: allow_pickle"]),
        ("np.load(path, allow_pickle=False)", []),
        ("gradus.compile(step); model.eval(); re.compile('x')", []),
    ],
)
def test_a_planted_violation_is_found(source: str, found: list[str]) -> None:
    assert unsafe(source) == found

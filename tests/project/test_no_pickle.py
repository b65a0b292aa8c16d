"""No file of Gradus runs code, and no code is made from text: pickle and its kin, eval and exec are absent from the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "gradus"
MODULES = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
BUILTINS = {"eval", "exec", "compile", "__import__"}

# The compiler's own texts become functions in this one file; no text from outside ever reaches it.
# The second evaluates the answers that are written in it, so that what is shown and what is run are one.
MAKES_CODE = {"compiler/source_code.py": {"exec", "compile"}, "ladder/tensors_at_work.py": {"eval"}}


def unsafe(source: str) -> list[str]:
    """What in ``source`` could run code out of a file or a string, as ``line: name``."""
    found = []
    tree = ast.parse(source)
    # Parameters, variables and the module's own functions that bear a builtin's name are not the builtin.
    own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module)] if str(node.module).split(".")[0] in MODULES else []
        elif isinstance(node, ast.Name) and node.id in BUILTINS - own:
            names = [node.id]
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {f"builtins.{name}" for name in BUILTINS}:
            names = [ast.unparse(node)]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            names = ["allow_pickle"]
        found += [f"{getattr(node, 'lineno', 0)}: {name}" for name in names]
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_package(file: Path) -> None:
    allowed = MAKES_CODE.get(file.relative_to(PACKAGE).as_posix(), set())
    assert {name.split(": ")[1] for name in unsafe(file.read_text(encoding="utf-8"))} <= allowed


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
        ("def fit(compile):\n    if compile:\n        return 1", []),
    ],
)
def test_a_planted_violation_is_found(source: str, found: list[str]) -> None:
    assert unsafe(source) == found

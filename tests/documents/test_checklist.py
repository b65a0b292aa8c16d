"""Every test that the table of the documents names is there."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "checklist.toml").read_text(encoding="utf-8"))
FILES = sorted({file for row in TABLE.values() for file in row})


@pytest.mark.parametrize("file", FILES)
def test_the_tests_exist(file: str) -> None:
    tree = ast.parse((HERE.parent / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    named = {name for row in TABLE.values() for name in row.get(file, [])}
    assert not {name for name in named if f"test_{name}" not in names}

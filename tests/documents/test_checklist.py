"""Every row of the checklist of the documents has tests, and every test that a row names is there."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "checklist.toml").read_text(encoding="utf-8"))
ROWS = TABLE.pop("rows")
FILES = sorted({file for row in TABLE.values() for file in row})


@pytest.mark.parametrize("part", ROWS)
def test_every_row_has_its_tests(part: str) -> None:
    wanted = {f"{part}-{number:02}" for number in range(1, ROWS[part] + 1)}
    there = {name for name, row in TABLE.items() if name.startswith(f"{part}-") and any(row.values())}
    assert there == wanted


def test_no_row_belongs_nowhere() -> None:
    assert {name.partition("-")[0] for name in TABLE} == set(ROWS)


@pytest.mark.parametrize("file", FILES)
def test_the_tests_exist(file: str) -> None:
    tree = ast.parse((HERE.parent / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    named = {name for row in TABLE.values() for name in row.get(file, [])}
    assert not {name for name in named if f"test_{name}" not in names}

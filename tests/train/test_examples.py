"""Every example runs, as a newcomer would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradus

# What makes an example short enough for a test; those that train on MNIST need its files.
SHORT = {"mnist_cnn.py": ["--short"]}
GENERATES = {"char_gpt.py"}  # text instead of answers: tested in test_char_gpt.py
EXAMPLES = [path for path in sorted((Path(__file__).parents[2] / "examples").glob("*.py")) if path.name not in GENERATES]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_it_runs_and_leaves_pictures(example: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("matplotlib")
    if "mnist" in example.name:
        request.getfixturevalue("gradus_data")
    environment = os.environ | {"PYTHONPATH": str(Path(gradus.__file__).parents[1])}
    command = [sys.executable, "-W", "error", str(example), str(tmp_path / "run"), *SHORT.get(example.name, [])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "run eagerly" not in done.stdout
    assert len(list((tmp_path / "run").glob("*.png"))) >= 3
    assert float(done.stdout.split()[-1].rstrip("%")) > 96


def test_there_are_examples() -> None:
    assert EXAMPLES

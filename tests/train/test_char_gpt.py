"""The example that writes text: it runs, learns, and its step is one function of a batch that can be traced."""

from __future__ import annotations

import copy
import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import gradus
from gradus.testing.tracer import Replay

FILE = Path(__file__).parents[2] / "examples" / "char_gpt.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("char_gpt", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(gradus.__file__).parents[1])}
    command = [sys.executable, "-W", "error", str(FILE), str(folder / "run"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)


def test_it_runs_learns_and_leaves_a_picture_and_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = np.random.default_rng(0).choice(["once ", "upon ", "a ", "time ", "there ", "was.\n"], 3000)
    (tmp_path / "words.txt").write_text("".join(words), encoding="utf-8")
    done = run(tmp_path, "--short", "--text", str(tmp_path / "words.txt"))
    assert done.returncode == 0, done.stderr
    before = float(done.stdout.split("validation loss ")[1].split()[0])
    assert float(done.stdout.split()[-1]) < 0.75 * before
    assert (tmp_path / "run" / "loss.png").stat().st_size > 5000
    written = (tmp_path / "run" / "written.txt").read_text(encoding="utf-8")
    assert len(written) == 101 and set(written) <= set("".join(words))
    again = run(tmp_path, "--short", "--text", str(tmp_path / "words.txt"))
    assert again.stdout.split()[-1] == done.stdout.split()[-1]


def test_a_missing_text_says_where_it_is_to_be_had(tmp_path: Path) -> None:
    done = run(tmp_path, "--text", str(tmp_path / "nothing.txt"))
    assert done.returncode == 1 and "https://" in done.stderr and "Traceback" not in done.stderr


def test_no_character_sees_a_later_one(example) -> None:
    model = example.GPT(7, 2, 8, 2, 10)
    x = np.random.default_rng(0).integers(0, 7, (1, 10))
    changed = x.copy()
    changed[0, 6] = (x[0, 6] + 1) % 7
    difference = (model(gradus.tensor(x)) - model(gradus.tensor(changed))).abs().detach().numpy().max(axis=(0, 2))
    assert not difference[:6].any() and difference[6:].all()


def test_the_step_is_traced_as_it_runs(example) -> None:
    gradus.manual_seed(0)
    eager = example.GPT(7, 1, 8, 2, 6).double()
    traced = copy.deepcopy(eager)
    steps = [example.training_step(model, gradus.optim.SGD(model.parameters(), lr=0.5), 0.1) for model in (eager, traced)]
    data = [np.random.default_rng(k).integers(0, 7, (2, 3, 6)) for k in range(3)]
    replay = Replay(steps[1], list(data[0]))
    for x, y in data:
        loss = steps[0](gradus.tensor(x), gradus.tensor(y))
        np.testing.assert_allclose(replay(x, y), loss.item(), rtol=1e-12)
    for a, b in zip(eager.parameters(), traced.parameters(), strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-10, atol=1e-13)


def test_the_rate_rises_and_falls(example) -> None:
    rates = [example.rate(t, 200, 1.0) for t in range(200)]
    assert rates[0] == 0.1 and max(rates) == rates[9] == rates[10] == 1.0
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert 0.1 < rates[-1] < 0.101

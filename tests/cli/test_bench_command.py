"""`gradus bench`: figures of this machine, and where to find the comparison with other libraries."""

from __future__ import annotations

import re

import pytest

import gradus
from gradus.cli import main
from gradus.cli.speed import make_step, race

pytest.importorskip("typer")


def test_the_command_prints_figures(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--rounds", "2"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert re.search(r"^eager +\d+\.\d µs at best +\d+\.\d µs median$", out, re.MULTILINE)
    assert re.search(r"^compiled ", out, re.MULTILINE)
    assert "make bench" in out


def test_both_ways_train_the_same_network() -> None:
    """The race is one between equals: the steps begin with the same weights and learn."""
    x, y = gradus.ones(64, 784), gradus.zeros(64, dtype=gradus.int64)
    a, b = make_step(), make_step()
    losses = [(float(a(x, y).detach()), float(b(x, y).detach())) for _ in range(5)]
    assert all(one == other for one, other in losses)
    assert losses[-1][0] < losses[0][0]


def test_turns_are_counted() -> None:
    timings = race({"one": make_step(), "two": make_step()}, 3)
    assert {name: len(timing.turns) for name, timing in timings.items()} == {"one": 3, "two": 3}
    assert all(seconds > 0 for timing in timings.values() for seconds in timing.turns)

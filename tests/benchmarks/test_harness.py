"""Figures are told apart from failures: processes that fail, losses that differ, shares of what a machine can do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from chart import draw, newest, told
from engines import ENGINES
from roofline import Limits, Row, roofline
from rounds import Measurement, agreement, summary
from run import duration, save, table
from workloads import WORKLOADS

ROWS = {"numbers": {"1": [2.0], "10": [1.0]}, "imports": 0.1, "peak_megabytes": 50.0, "first": 3.5}


def measured(name: str, engines: list[str]) -> dict:
    return Measurement(name, WORKLOADS[name], 1, engines, lambda text: None).run(2, 0.001, 10)


def test_one_engine_from_start_to_table() -> None:
    result = measured("recurrence", ["gradus"])
    row = result["engines"]["gradus"]
    assert len(row["seconds"]) == 2 and 0 < row["minimum"] <= row["median"]
    assert row["numbers"].keys() == {"1", "10"} and not result["failed"]
    assert "Gradus eager" in table(result, 1)


def test_an_engine_that_fails_is_named_and_keeps_nobody_else_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rounds.reason_left_out", lambda workload, engine: "")
    monkeypatch.setitem(ENGINES, "absent", ENGINES["gradus"])
    result = measured("recurrence", ["absent", "gradus"])
    assert result["engines"].keys() == {"gradus"}
    assert result["failed"] == {"absent": "KeyError: 'absent'"}
    assert "FAILED: KeyError" in table(result, 1)


def test_reasons_are_stated() -> None:
    result = measured("chain", ["jax", "gradus"])
    assert "one kernel" in result["left_out"]["jax"]
    assert "left out: it would" in table(result, 1)


@pytest.mark.parametrize("last, holds", [(1.0, True), (1.0001, True), (1.01, False), (math.nan, False)])
def test_losses_that_differ_are_found(last: float, holds: bool) -> None:
    found = agreement({"torch": {"1": [2.0], "10": [1.0]}, "gradus": {"1": [2.0], "10": [last]}}, 1e-3)
    assert found["holds"] is holds
    assert found["calls"] == 10


def test_ratios_are_of_turns_side_by_side() -> None:
    base = ROWS | {"seconds": [1.0, 2.0, 4.0]}
    told = summary(ROWS | {"seconds": [0.5, 1.0, 2.0], "first_again": 3.25}, base)
    assert told["ratio_of_minima"] == 0.5 and told["median_ratio"] == 0.5
    assert told["compile_cold"] == 0.5 and told["compile_second_start"] == 0.25  # three calls at the median pace take 3 s


@pytest.mark.parametrize("seconds, text", [(7.59e-5, "75.9 µs"), (1.3e-6, "1.30 µs"), (0.0064, "6.40 ms"), (0.9999, "1.00 s")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_results_of_a_day_are_added_to(tmp_path: Path) -> None:
    file = tmp_path / "day.json"
    save(file, 1, {}, {"mlp": {"title": "first"}, "chain": {"title": "kept"}})
    save(file, 1, {}, {"mlp": {"title": "second"}})
    told = json.loads(file.read_text(encoding="utf-8"))
    assert {name: result["title"] for name, result in told["workloads"].items()} == {"mlp": "second", "chain": "kept"}
    assert told["machine"]["python"]


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    engines = {name: {"minimum": s, "ratio_of_minima": s / 2e-3} for name, s in (("torch", 2e-3), ("gradus", 1e-3), ("jax", 9e-2))}
    results = {"machine": {"processor": "P", "packages": {"torch": "1", "jax": "2"}}, "threads": 1, "date": "d"}
    draw(results | {"workloads": {"mlp": {"engines": engines}}}, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"


def test_roofline() -> None:
    limits = Limits("library", 100e9, {"L2": (2**19, 50e9), "memory": (2**28, 10e9)})
    rows = [Row("add", 0, 1e6, 40e-6), Row("gemm", 1e9, 1e6, 20e-3), Row("copy", 0, 1e9, 0.2)]
    copy, gemm, add, total = roofline(rows, limits).splitlines()[1:]
    assert copy.split()[-2:] == ["memory", "50%"]
    assert gemm.split()[-2:] == ["products", "50%"] and "50.0" in gemm
    assert add.split()[-2:] == ["L2", "50%"]
    assert total.split()[-1] == "50%"


def test_the_table_in_the_readme_is_what_was_measured() -> None:
    lines = told(json.loads(newest().read_text(encoding="utf-8")))
    assert "\n".join(lines) in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

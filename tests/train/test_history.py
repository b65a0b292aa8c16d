"""The history: lists per epoch, and lines of JSON that come back."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import nn
from gradus.errors import DataError
from gradus.train import History, Learner

ROWS = [{"epoch": 1, "loss": 0.1 + 0.2, "val_loss": 2.0}, {"epoch": 2, "loss": 1e-30, "val_loss": 1.0}]


def test_it_is_a_mapping_of_lists() -> None:
    history = History(ROWS)
    assert list(history) == ["epoch", "loss", "val_loss"]
    assert history["val_loss"] == [2.0, 1.0]
    assert dict(history)["epoch"] == [1, 2]
    assert "2 epochs" in repr(history)
    with pytest.raises(KeyError, match="loss, val_loss"):
        history["accuracy"]


def test_an_empty_one() -> None:
    assert list(History()) == []
    assert repr(History()) == "History(no complete epoch)"


def test_json_lines_round_trip_exactly(tmp_path: Path) -> None:
    History(ROWS).to_jsonl(tmp_path / "metrics.jsonl")
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert History.from_jsonl(tmp_path / "metrics.jsonl").rows == ROWS


@pytest.mark.parametrize("text", ['{"epoch": 1}\n{"epoch": ', "[1, 2]\n", '{"epoch": "one"}\n'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"metrics\.jsonl is not a history"):
        History.from_jsonl(tmp_path / "metrics.jsonl")


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = History(ROWS).plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len(figure.axes) == 1


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(
    "loss, smoothing",
    [
        (nn.CrossEntropyLoss(label_smoothing=0.2), 0.2),
        (functools.partial(nn.functional.cross_entropy, label_smoothing=0.4), 0.4),
        (nn.CrossEntropyLoss(), 0.0),
        (nn.CrossEntropyLoss(gradus.tensor([1.0, 2.0, 1.0, 1.0]), label_smoothing=0.2), 0.0),  # another one for each class
    ],
)
def test_the_lowest_loss_is_that_of_perfect_answers(loss: Callable[..., Any], smoothing: float, compile: bool) -> None:
    x, labels = gradus.randn(12, 3), gradus.arange(12) % 4
    learner = Learner(nn.Linear(3, 4), loss, compile=compile)
    history = learner.fit(x, labels, epochs=1, batch_size=4)
    target = np.full(4, smoothing / 4) + (1 - smoothing) * np.eye(4)[1]
    perfect = loss(gradus.tensor(np.log(target[None] + 1e-30)), gradus.tensor([1])).item() if smoothing else 0.0
    assert history.lowest_loss == pytest.approx(perfect, abs=1e-6)
    assert history["loss"][0] > history.lowest_loss

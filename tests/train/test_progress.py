"""Progress as it looks in a log file, in a terminal, with rich, and in a notebook."""

from __future__ import annotations

import io
import re
import sys
import types

import numpy as np
import pytest

from gradus import nn
from gradus import terminal as terminal_module
from gradus.train import Learner, progress
from gradus.train.progress import LogFile, Notebook, PlainTerminal, Progress, RichTerminal, choose_display, duration

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch moves the line, however fast the machine is."""
    monkeypatch.setattr(progress, "INTERVAL", 0.0)


def run(stream: io.StringIO | io.TextIOWrapper, **options) -> str:
    learner = Learner(nn.Linear(1, 1), "mse", lr=0.01, metrics=["mae"], progress=False)
    learner.progress = Progress(stream, **options)
    learner.fit(X.astype(np.float64), X, epochs=3, batch_size=8, validation=0.25)
    return stream.getvalue() if isinstance(stream, io.StringIO) else ""


def test_a_log_file_gets_whole_lines_without_control_characters() -> None:
    lines = run(io.StringIO()).splitlines()
    assert lines[0] == "X is float64: cast to float32, the dtype that the model computes in"
    assert lines[1].split() == ["epoch", "loss", "mae", "val_loss", "val_mae", "lr", "samples/s", "time"]
    assert [line.split()[0] for line in lines[2:]] == ["1/3", "2/3", "3/3"]
    assert len({len(line) for line in lines[1:]}) == 1  # the columns line up
    assert all(character.isprintable() for line in lines for character in line)


def screen(written: str) -> list[str]:
    """The lines that a terminal shows after it got ``written``."""
    lines = [""]
    column = 0
    for character in written:
        if character == "\n":
            lines.append("")
            column = 0
        elif character == "\r":
            column = 0
        else:
            lines[-1] = lines[-1][:column].ljust(column) + character + lines[-1][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def test_a_plain_terminal_keeps_one_moving_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_module, "terminal_width", lambda stream: 60)
    stream = Terminal()
    written = run(stream, display=PlainTerminal(stream))
    left = screen(written)
    assert [line.split()[0] for line in left[2:5]] == ["1/3", "2/3", "3/3"]
    assert left[5:] == [""]
    moving = [part.rstrip() for part in re.split(r"[\r\n]", written) if part.startswith("epoch ")]
    assert len(moving) == 3 * (6 + 2)
    assert all(len(line) < 60 for line in moving)  # a wrapped line could not be written over
    assert "1/6  loss" in moving[0]
    assert "validation" in moving[6]


def test_the_moving_line_says_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_module, "terminal_width", lambda stream: 200)
    stream = Terminal()
    written = run(stream, display=PlainTerminal(stream))
    assert re.search(r"epoch 2/3  ━+─+  3/6  loss \d\.\d{4}  mae \d\.\d{4}  [\d.:]+( m?s)? left  [\d,]+ samples/s", written)


def test_the_row_of_a_classifier_fits_in_80_columns() -> None:
    names = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "samples_per_second", "seconds"]
    row = dict.fromkeys(names, 0.123456) | {"epoch": 100, "lr": 3.15e-5, "samples_per_second": 1234567.0, "seconds": 3599.0}
    cells = [f"{progress.cell(name, value, 100):>{progress.width(name)}}" for name, value in row.items()]
    assert len("  ".join(cells)) < 80


def test_rich_shows_the_same_rows() -> None:
    pytest.importorskip("rich")
    stream = Terminal()
    written = run(stream, display=RichTerminal(stream))
    rows = re.findall(r"[123]/3 +\d", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written))
    assert len(rows) >= 3


def test_a_notebook_replaces_one_output(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, bundle: dict[str, str], raw: bool) -> None:
            shown.append(bundle["text/plain"])

    def display(bundle: dict[str, str], raw: bool, display_id: bool) -> Handle:
        return Handle()

    class ZMQInteractiveShell:
        pass

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = ZMQInteractiveShell
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    assert isinstance(choose_display(sys.stdout), Notebook)
    run(io.StringIO(), display=choose_display(sys.stdout))
    assert any("━" in text for text in shown)
    assert [line.split()[0] for line in shown[-1].splitlines()[1:]] == ["epoch", "1/3", "2/3", "3/3"]
    assert "━" not in shown[-1]


def test_the_display_fits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(choose_display(io.StringIO()), LogFile)
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: None)
    assert isinstance(choose_display(Terminal()), PlainTerminal)


def test_silence() -> None:
    learner = Learner(nn.Linear(1, 1), "mse", progress=False)
    learner.fit(X.astype(np.float64), X, epochs=1)
    assert learner.progress is None
    assert len(learner.notices) == 1


@pytest.mark.parametrize(
    "seconds, text", [(0.004, "4 ms"), (9.94, "9.9 s"), (26.2, "26 s"), (59.6, "1:00"), (3599.7, "1:00:00"), (86400, "24:00:00")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_moving_line_tells_accuracy_as_the_table_does() -> None:
    terminal = Terminal()
    learner = Learner(nn.Linear(1, 2), "cross_entropy", lr=0.01, metrics=["accuracy"], progress=False)
    learner.progress = Progress(terminal, display=PlainTerminal(terminal))
    learner.fit(X, (X[:, 0] > 0).astype(np.int64), epochs=1, batch_size=8)
    assert re.search(r"3/8  loss \d\.\d{4}  accuracy \d+\.\d %", terminal.getvalue())
    assert re.search(r"1/1 .* \d+\.\d %", screen(terminal.getvalue())[-2])


@pytest.mark.parametrize("terminal", [True, False])
def test_a_screen_without_the_letters_of_the_bar_does_not_end_a_training(terminal: bool) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii", write_through=True)
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    run(stream)
    assert b"3/3" in written.getvalue() and (b"?" in written.getvalue()) == terminal


def test_a_program_without_a_console_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert len(Learner(nn.Linear(1, 1), "mse", lr=0.01).fit(X, X, epochs=2).rows) == 2

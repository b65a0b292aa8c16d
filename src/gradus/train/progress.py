"""What a person sees while a run goes on: one line that moves in a terminal or a notebook, one line per epoch in a log file."""

from __future__ import annotations

import importlib.util
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from gradus.terminal import PlainTerminal, is_terminal, showable
from gradus.train.callbacks import Callback

if TYPE_CHECKING:
    from gradus.train.learner import Learner

INTERVAL = 0.1  # seconds between two updates of the moving line: smooth to the eye, below 1 % of the time
BAR, BAR_WIDTH = "━─", 14
HEADINGS = {"samples_per_second": "samples/s", "seconds": "time"}


class Display(Protocol):
    """Where progress is shown. ``update`` moves the line, ``write`` leaves a line for good, ``close`` removes the moving line."""

    moving: bool

    def update(self, text: str) -> None: ...
    def write(self, text: str) -> None: ...
    def close(self) -> None: ...


class LogFile:
    """A file or pipe: whole lines only, no control characters."""

    moving = False

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def update(self, text: str) -> None:
        pass

    def write(self, text: str) -> None:
        self.stream.write(showable(text, self.stream) + "\n")
        self.stream.flush()

    def close(self) -> None:
        self.stream.flush()


class RichTerminal:
    """A terminal, drawn by rich: follows resizing, and other prints do not tear the line."""

    moving = True

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self.text = Text
        self.console = Console(file=stream, highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.live.start()

    def update(self, text: str) -> None:
        self.live.update(self.text(text, no_wrap=True, overflow="crop"), refresh=True)

    def write(self, text: str) -> None:
        self.console.print(self.text(text))

    def close(self) -> None:
        self.live.stop()


class Notebook:
    """A notebook cell: one text output that is replaced, and that keeps the finished rows above the moving line."""

    moving = True

    def __init__(self) -> None:
        from IPython.display import display

        self.rows: list[str] = []
        self.handle: Any = display(self._bundle(""), raw=True, display_id=True)

    def _bundle(self, line: str) -> dict[str, str]:
        return {"text/plain": "\n".join([*self.rows, line] if line else self.rows)}

    def update(self, text: str) -> None:
        self.handle.update(self._bundle(text), raw=True)

    def write(self, text: str) -> None:
        self.rows.append(text)
        self.update("")

    def close(self) -> None:
        self.update("")


def in_notebook() -> bool:
    """Whether this code runs in a notebook that can show and replace outputs."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def choose_display(stream: TextIO) -> Display:
    """The display that fits where ``stream`` leads, with what is installed."""
    if stream is sys.stdout and in_notebook():
        return Notebook()
    if not is_terminal(stream):
        return LogFile(stream)
    rich = importlib.util.find_spec("rich") and showable(BAR, stream) == BAR  # rich raises where a character is lacking
    return RichTerminal(stream) if rich else PlainTerminal(stream)


class Progress(Callback):
    """Shows the epoch, a bar, loss, metrics, samples per second and the time left; leaves one table row per epoch.

    Args:
        stream: where to write; standard output at the time of the fit when not given.
        display: how to write; chosen by the stream when not given.
    """

    order = 60

    def __init__(self, stream: TextIO | None = None, display: Display | None = None) -> None:
        self.stream, self.given = stream, display
        self.display: Display | None = None
        self.told = 0

    def before_fit(self, learner: Learner) -> None:
        stream = self.stream or sys.stdout  # None in a program without a console: nobody is shown anything
        self.display = self.given or (None if stream is None else choose_display(stream))
        self.catch_up(learner.notices)
        self.headed = False
        self.steps_before, self.started, self.shown, self.samples = learner.step, time.perf_counter(), 0.0, 0
        self.total = learner.epochs * len(learner.train_loader)

    def catch_up(self, notices: list[str]) -> None:
        """Show the notices that were not shown yet, if a run is on."""
        while self.display is not None and self.told < len(notices):
            self.display.write(notices[self.told])
            self.told += 1

    def after_batch(self, learner: Learner) -> None:
        if learner.training:
            self.samples += len(learner.target)
        now = time.perf_counter()
        if self.display is None or not self.display.moving or now - self.shown < INTERVAL:
            return
        self.shown = now
        self.display.update(self.line(learner, now - self.started))

    def line(self, learner: Learner, seconds: float) -> str:
        """The moving line, ``seconds`` after the start of the run."""
        loader = learner.train_loader if learner.training else learner.valid_loader
        done, of = learner.batch_index + 1, max(len(loader) if loader is not None else 1, 1)
        filled = min(BAR_WIDTH, BAR_WIDTH * done // of)
        steps = max(learner.step - self.steps_before, 1)
        left = seconds / steps * (self.total - steps)
        values = "  ".join(f"{name} {cell(name, value, learner.epochs)}" for name, value in learner.metrics.values().items())
        parts = [
            f"epoch {learner.epoch + 1}/{learner.epochs}",
            BAR[0] * filled + BAR[1] * (BAR_WIDTH - filled),
            f"{done}/{of}" if learner.training else "validation",
            values,
            f"{duration(max(left, 0.1))} left",  # before the speed: what does not fit in the terminal is cut off
            f"{self.samples / max(seconds, 1e-9):,.0f} samples/s",
        ]
        return "  ".join(parts)

    def after_epoch(self, learner: Learner) -> None:
        if self.display is None:
            return
        row = learner.history.rows[-1]
        if not self.headed:
            self.display.write("  ".join(f"{HEADINGS.get(name, name):>{width(name)}}" for name in row))
            self.headed = True
        self.display.write("  ".join(f"{cell(name, value, learner.epochs):>{width(name)}}" for name, value in row.items()))

    def cleanup_fit(self, learner: Learner) -> None:
        if self.display is not None:
            self.display.close()
            self.display = None


def width(name: str) -> int:
    """Columns of a cell: the row of a classifier with validation fits in a terminal of 80."""
    return {"epoch": 7, "seconds": 5}.get(name) or max(len(HEADINGS.get(name, name)), 8)


def cell(name: str, value: float, epochs: int) -> str:
    """One value of the table as text."""
    if name == "epoch":
        return f"{value:.0f}/{epochs}"
    if name == "samples_per_second":
        return f"{value:,.0f}"
    if name == "seconds":
        return duration(value)
    if name.endswith("accuracy"):
        return f"{100 * value:.1f} %"
    return f"{value:.3g}" if name == "lr" else f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.3e}"


def duration(seconds: float) -> str:
    """Seconds in a form that a person reads at once.

    >>> duration(0.042), duration(4.2), duration(75), duration(7384)
    ('42 ms', '4.2 s', '1:15', '2:03:04')
    """
    if seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

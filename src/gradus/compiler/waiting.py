"""What a person sees who waits for kernels that are made for the first time on this machine."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from gradus.terminal import PlainTerminal, is_terminal

PATIENCE = 1.0  # seconds without a word


class Waiting:
    """A line on a terminal's standard error, from the second on in which kernels are compiled; gone when they are there.

    A terminal that goes away in the meantime ends the line, not the work.

    Args:
        count: how many kernels a program asks for at most.
    """

    def __init__(self, count: int) -> None:
        self.count, self.done, self.start = count, 0, time.monotonic()
        self.line = PlainTerminal(sys.stderr) if is_terminal(sys.stderr) else None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._show(None)

    def next(self) -> None:
        """One more kernel is about to be looked up or compiled."""
        seconds = time.monotonic() - self.start
        if seconds > PATIENCE:
            self._show(f"compiling kernels, once on this machine: {self.done} of {self.count}, {seconds:.0f} s")
        self.done += 1

    def _show(self, text: str | None) -> None:
        """The line, or none."""
        if self.line is None:
            return
        try:
            if text is None:
                self.line.close()
            else:
                self.line.update(text)
        except (OSError, ValueError):  # the terminal was closed
            self.line = None

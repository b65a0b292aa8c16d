"""What a person sees who waits for kernels that are made for the first time on this machine."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from gradus.terminal import PlainTerminal

PATIENCE = 1.0  # seconds without a word


class Waiting:
    """A line on a terminal's standard error, from the second on in which kernels are compiled; gone when they are there.

    Args:
        count: how many kernels a program asks for at most.
    """

    def __init__(self, count: int) -> None:
        self.count, self.done, self.start = count, 0, time.monotonic()
        self.line = PlainTerminal(sys.stderr) if sys.stderr.isatty() else None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self.line is not None:
            self.line.close()

    def next(self) -> None:
        """One more kernel is about to be looked up or compiled."""
        seconds = time.monotonic() - self.start
        if self.line is not None and seconds > PATIENCE:
            self.line.update(f"compiling kernels, once on this machine: {self.done} of {self.count}, {seconds:.0f} s")
        self.done += 1

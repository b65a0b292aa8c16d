"""One line of a terminal that is written over itself, for whatever takes long."""

from __future__ import annotations

import os
from typing import Any, TextIO


def is_terminal(stream: Any) -> bool:
    """Whether a person watches: nobody does where the stream is none (no console), or closed, or cannot say.

    >>> is_terminal(None)
    False
    """
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def showable(text: str, stream: Any) -> str:
    """The text with a question mark for each character that the stream's encoding lacks.

    >>> import io
    >>> showable("━━ 5 µs", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    '?? 5 µs'
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


class PlainTerminal:
    """A terminal without further help: the line is written over itself."""

    moving = True

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.shown = stream, 0

    def update(self, text: str) -> None:
        text = text[: terminal_width(self.stream) - 1]  # a longer line would wrap, and \r returns to the last row only
        self.stream.write("\r" + showable(text, self.stream).ljust(self.shown))
        self.stream.flush()
        self.shown = len(text)

    def write(self, text: str) -> None:
        self.close()
        self.stream.write(showable(text, self.stream) + "\n")
        self.stream.flush()

    def close(self) -> None:
        if self.shown:
            self.stream.write("\r" + " " * self.shown + "\r")
            self.stream.flush()
            self.shown = 0


def terminal_width(stream: TextIO) -> int:
    """Columns of the terminal behind ``stream``; 80 where the system does not know."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):
        return 80

"""Ctrl-C while the command ``gradus`` is still being imported: one line, where Python would print how far the import had come.

An entry point cannot catch it, since Python imports the package before the entry point runs. So the package asks, before all other imports,
whether the process is that command, and only then sets the hook for what nothing catches. A program that uses the package is left alone.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

STOPPED = "gradus: stopped by Ctrl-C before all was done"
EXIT_CODE = 130  # what a shell gives a program that Ctrl-C has ended: 128 and the signal's number


def is_the_command() -> bool:
    """Whether this process runs ``gradus`` or ``python -m gradus``."""
    first = (getattr(sys, "argv", None) or [""])[0]
    if first == "-m":  # as long as the package is imported; later it is the path of the module
        return not {"gradus", "-mgradus"}.isdisjoint(sys.orig_argv)
    return os.path.basename(first).removesuffix(".exe") == "gradus"


def told_in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python's hook for what nothing catches: Ctrl-C becomes a sentence and an exit code, all else is Python's."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print(STOPPED, file=sys.stderr)
    raise SystemExit(EXIT_CODE)


if is_the_command():
    sys.excepthook = told_in_one_line

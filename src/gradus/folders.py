"""Where Gradus keeps what it can make or fetch again."""

from __future__ import annotations

import os
import sys


def platform_folder() -> str:
    """``gradus`` in the platform's folder for caches."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~\\AppData\\Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "gradus")


def named_folder(variable: str) -> str:
    """The folder that a variable of the environment names, else the platform's."""
    named = os.environ.get(variable)
    return os.path.abspath(os.path.expanduser(named)) if named else platform_folder()


def cache_folder() -> str:
    """Where compiled kernels and measurements are kept: ``$GRADUS_CACHE``, or the platform's folder."""
    return named_folder("GRADUS_CACHE")

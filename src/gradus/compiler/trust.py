"""Whose machine code may be run."""

from __future__ import annotations

import functools
import os
import warnings

from gradus.errors import UsageWarning


def may_be_trusted(folder: str) -> bool:
    """Whether machine code from a folder may be run: it belongs to this user or to root, and nobody else may write to it.

    So ssh asks of its keys. A folder that is not there yet can be made; where files have no such owners (Windows), the system's own
    rules for the user's folders must do.
    """
    if not hasattr(os, "geteuid"):
        return True
    try:
        found = os.stat(folder)
    except OSError:
        return True
    if found.st_uid in (os.geteuid(), 0) and not found.st_mode & 0o022:
        return True
    _warn_of(folder, found.st_uid, found.st_mode & 0o777)
    return False


@functools.cache
def _warn_of(folder: str, owner: int, mode: int) -> None:
    """Once for each folder."""
    what = f"it belongs to user {owner}" if owner not in (os.geteuid(), 0) else f"others may write to it (mode {mode:o})"
    warnings.warn(
        f"Compiled kernels are neither taken from {folder} nor kept there: {what}, and machine code from it could be anybody's. "
        f"Remove it, or set GRADUS_CACHE to a folder of your own.",
        UsageWarning,
        stacklevel=2,
    )

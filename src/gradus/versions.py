"""When memory was last written: how a backward pass knows that a saved value is no longer what it was.

Nodes and writes draw from one clock. A saved array is stale when its memory was written after the node that saved it was made;
so the forward pass pays nothing, and a write pays one dictionary entry. Views share an entry: it belongs to the array that owns the memory.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

_clock = itertools.count(1)
tick = _clock.__next__

# id of the owning array -> (moment, line of the user's code, weak reference that removes the entry with the array)
_written: dict[int, tuple[int, str, Any]] = {}
LATEST = [0]  # the moment of the latest write of all, so that the usual check is one comparison


def owner(array: Any) -> Any:
    """The array that owns the memory of a view."""
    while type(array.base) is np.ndarray:
        array = array.base
    return array


def count_write(array: np.ndarray, where: str) -> None:
    """Note that the memory of ``array`` was changed just now."""
    root = owner(array)
    key = id(root)
    known = _written.get(key)
    reference = known[2] if known is not None else weakref.ref(root, _forget(key))
    LATEST[0] = moment = tick()
    _written[key] = (moment, where, reference)


def counted(arrays: Iterable[np.ndarray], where: str) -> Callable[[], None]:
    """A function that notes, each time it is called, that the memory of all these arrays was changed."""
    roots = {id(root): root for root in map(owner, arrays)}
    entries = [(key, weakref.ref(root, _forget(key))) for key, root in roots.items()]

    def count() -> None:
        LATEST[0] = moment = tick()
        for key, reference in entries:
            _written[key] = (moment, where, reference)

    return count if entries else _nothing


def _nothing() -> None:
    pass


def _forget(key: int) -> Callable[[Any], None]:
    def forget(dead: Any) -> None:
        _written.pop(key, None)

    return forget


def written_since(array: Any, moment: int) -> str | None:
    """Where the memory of ``array`` was written after ``moment``; None if it was not.

    >>> a = np.zeros(3); before = tick(); count_write(a[1:], "run.py:3")
    >>> written_since(a, before), written_since(a, tick())
    ('run.py:3', None)
    """
    if moment > LATEST[0]:
        return None
    if not isinstance(array, np.ndarray):
        latest = getattr(array, "written", None)  # what stands for memory during a trace keeps it itself
        return latest[1] if latest is not None and latest[0] > moment else None
    entry = _written.get(id(owner(array)))
    return entry[1] if entry is not None and entry[0] > moment else None

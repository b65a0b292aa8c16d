"""Guards: Python values that a program relies on, and whether they are still what they were when it was traced.

Numbers, texts and flags are compared by value, everything else by identity.
:mod:`gradus.compiler.surroundings` finds what there is to guard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LEAVES = (bool, int, float, str, bytes, type(None), np.generic, np.dtype, frozenset)
GONE = (KeyError, IndexError, AttributeError, ValueError)


class Place(NamedTuple):
    """Where a Python value is kept.

    Attributes:
        form: "item" (``owner[key]``), "attribute", "cell" (of a closure), "length" or "members" (of a set).
    """

    form: str
    owner: Any
    key: Any = None

    def read(self) -> Any:
        """The value there now."""
        if self.form == "item":
            return self.owner[self.key]
        if self.form == "attribute":
            return getattr(self.owner, self.key)
        if self.form == "members":
            return frozenset(self.owner)
        return self.owner.cell_contents if self.form == "cell" else len(self.owner)

    def spelled(self, bind: Callable[[Any], str]) -> str:
        """The same as an expression; ``bind`` gives an object a name."""
        owner = bind(self.owner)
        if self.form == "item":
            return f"{owner}[{repr(self.key) if type(self.key) in (str, int) else bind(self.key)}]"
        if self.form == "attribute":
            return f"{owner}.{self.key}"
        if self.form == "members":
            return f"frozenset({owner})"
        return f"{owner}.cell_contents" if self.form == "cell" else f"len({owner})"


class Guard:
    """One thing that must still be so: at a place is the object that was found there, or an equal leaf.

    Attributes:
        text: how a person would name it: ``model.training``, ``layers[2]``.
    """

    __slots__ = ("text", "place", "expected", "leaf")

    def __init__(self, text: str, place: Place, expected: Any) -> None:
        self.text, self.place, self.expected = text, place, expected
        self.leaf = isinstance(expected, LEAVES)

    def read(self) -> Any:
        """What is there now."""
        return self.place.read()

    def holds(self) -> bool:
        """Whether nothing has changed."""
        try:
            found = self.read()
        except GONE:
            return False
        if self.leaf:
            return found is self.expected or same_leaf(found, self.expected)
        return found is self.expected

    def broken_if(self, bind: Callable[[Any], str]) -> str:
        """An expression that is true when it no longer holds."""
        there = self.place.spelled(bind)
        if self.expected is None or type(self.expected) is bool or not self.leaf:
            return f"{there} is not {self.expected if self.leaf else bind(self.expected)}"
        if type(self.expected) in (int, str) and self.place.form == "length":
            return f"{there} != {self.expected}"
        return f"not {bind(self)}.holds()"

    def told(self) -> str:
        """What changed, in words."""
        try:
            now = short(self.read())
        except GONE:
            now = "gone"
        return f"{self.text}: {short(self.expected)} became {now}"


def same_leaf(a: Any, b: Any) -> bool:
    """Whether two values of :data:`LEAVES` are one to every computation: NaN is NaN, and -0.0 is not 0.0.

    >>> same_leaf(float("nan"), float("nan")), same_leaf(1.0, float("nan")), same_leaf(0.0, -0.0), same_leaf(1, True)
    (True, False, False, False)
    """
    if type(a) is not type(b):
        return False
    return repr(a) == repr(b) if isinstance(a, (float, np.inexact)) else bool(a == b)


def short(value: Any) -> str:
    """A value in a few words."""
    name = type(value).__name__
    text = repr(value) if isinstance(value, LEAVES) else f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
    return text if len(text) < 60 else text[:57] + "..."

"""Compiled methods: each instance keeps the programs of its own, which are gone with it."""

from __future__ import annotations

from typing import Any


class Kept:
    """What an instance holds for a compiled method: the function bound to it. A copy of the instance makes its own.

    Attributes:
        method: what the class holds.
        bound: the compiled function of the instance; None in a copy.
    """

    __slots__ = ("method", "bound")

    def __init__(self, method: Any = None, bound: Any = None) -> None:
        self.method, self.bound = method, bound

    def __reduce__(self) -> Any:
        return Kept, ()

    def belongs_to(self, method: Any, instance: Any) -> bool:
        """Whether it was made for this instance: a shallow copy takes over the entries of its original."""
        return self.method is method and self.bound.function.__self__ is instance


def table_of(instance: Any) -> dict[str, Any] | None:
    """Where an instance can keep something; None if it has no place, or is a class."""
    table = getattr(instance, "__dict__", None)
    return table if type(table) is dict else None

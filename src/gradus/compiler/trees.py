"""Nested tuples, lists and dictionaries: how arguments and results hang together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any


def map_tree(f: Callable[[Any], Any], tree: Any) -> Any:
    """``f`` on every leaf of nested tuples, lists and dicts.

    >>> map_tree(lambda x: x + 1, (1, [2, {"a": 3}]))
    (2, [3, {'a': 4}])
    """
    if type(tree) is dict:
        return {key: map_tree(f, item) for key, item in tree.items()}
    if isinstance(tree, dict):
        found = copy.copy(tree)
        found.update({key: map_tree(f, item) for key, item in tree.items()})
        return found
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[map_tree(f, item) for item in tree])
    if type(tree) in (tuple, list):
        return type(tree)([map_tree(f, item) for item in tree])
    return f(tree)


def flatten(args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    """The leaves of the arguments, and their structure as something that compares."""
    leaves: list[Any] = []

    def place(leaf: Any) -> None:
        leaves.append(leaf)

    return leaves, repr(map_tree(place, (args, kwargs)))

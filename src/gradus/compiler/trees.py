"""Nested tuples, lists and dictionaries: how arguments and results hang together."""

from __future__ import annotations

import copy
import types
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from gradus.errors import UsageError
from gradus.nn.tree import Tree
from gradus.tensors import Tensor

# What is not looked into for tensors of a result.
CLOSED = (str, bytes, int, float, type(None), type, types.ModuleType, types.FunctionType, types.MethodType, Tensor, Tree)


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

    try:
        return leaves, repr(map_tree(place, (args, kwargs)))
    except RecursionError:
        raise endless("argument", "takes") from None


def endless(what: str, verb: str) -> UsageError:
    """The error for a tree without an end."""
    article = "an" if what[0] in "aeiou" else "a"
    return UsageError(
        f"{article} {what} of a compiled function has no end",
        got=f"{article} {what} that holds itself, or nests a thousand deep",
        wanted="tensors in tuples, lists and dicts that end",
        why=f"whatever a compiled function {verb} is walked to its tensors",
        fix="x.pop() for what closes the circle, or keep it outside the compiled function",
        code="E42",
    )


def holds(found: Callable[[Any], bool], thing: Any) -> bool:
    """Whether something that ``found`` accepts lies in an object: in its attributes, slots or items, to any depth.

    >>> holds(lambda x: x == 1, {"a": [2, {1}]}), holds(lambda x: x == 3, {"a": [2, {1}]})
    (True, False)
    """
    seen: dict[int, Any] = {}
    waiting = [thing]
    while waiting:
        item = waiting.pop()
        if found(item):
            return True
        if id(item) not in seen and not isinstance(item, CLOSED):
            seen[id(item)] = item
            waiting += _parts(item)
    return False


def _parts(thing: Any) -> list[Any]:
    if isinstance(thing, Mapping):
        return list(thing.values())
    parts = list(thing) if isinstance(thing, (list, tuple, set, frozenset, deque)) else []
    slots = [name for cls in type(thing).__mro__ for name in vars(cls).get("__slots__", ()) if hasattr(thing, name)]
    return [*parts, *getattr(thing, "__dict__", {}).values(), *(getattr(thing, name) for name in slots if type(name) is str)]

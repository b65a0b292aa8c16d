"""Where iterators stand: a trace that takes an item from one would repeat that item for ever, so it is refused.

An iterator does not say where it is, but it has a length hint, parts that it would be copied from, or, if it is a generator, local names.
Asking for these does not move it. A user's own class with ``__next__`` is an object like others: its attributes are guarded.
"""

from __future__ import annotations

import operator
import types
import warnings
from collections.abc import Iterator
from typing import Any

from gradus.compiler.guards import LEAVES

FEW = 100  # items of a tuple that are looked at
DEEP = 9  # iterators inside of iterators
MODULES = ("builtins", "itertools", "_collections", "collections")


def is_iterator(value: Any) -> bool:
    """Whether something is one of Python's own iterators, a generator among them."""
    return isinstance(value, Iterator) and type(value).__module__ in MODULES


def position(iterator: Any, depth: int = DEEP) -> str:
    """Another text once the iterator has moved, as far as it can be told.

    >>> numbers = enumerate([5, 6, 7])
    >>> before = position(numbers)
    >>> before == position(numbers), next(numbers), before == position(numbers)
    (True, (0, 5), False)
    """
    if depth == 0:
        return ""
    if isinstance(iterator, types.GeneratorType):
        return _of_generator(iterator, depth - 1)
    try:
        left = operator.length_hint(iterator, -1)
    except (TypeError, OverflowError):  # itertools.repeat without an end, a range of 10¹⁰⁰ numbers
        left = -1
    return str(left) if left >= 0 else _of_parts(iterator, depth - 1)


def _of_generator(generator: types.GeneratorType[Any, Any, Any], depth: int) -> str:
    """Its place in its code, and its local names: numbers by their values, other objects by what they are."""
    frame = generator.gi_frame
    if frame is None:
        return "at its end"
    known = [_spelled(value, depth) or str(id(value)) for value in (generator.gi_yieldfrom, *frame.f_locals.values())]
    return f"{frame.f_lasti} {' '.join(known)}"


def _of_parts(iterator: Any, depth: int) -> str:
    """What a copy would be made of."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and 3.13 copy those of itertools for the last times
            _, *parts = iterator.__reduce__()
    except TypeError:
        return repr(iterator)  # itertools.count says its number
    return _spelled(tuple(parts), depth)


def _spelled(value: Any, depth: int) -> str:
    """Numbers, and positions of iterators; nothing for anything else."""
    if is_iterator(value):
        return position(value, depth)
    if type(value) is tuple and depth and len(value) <= FEW:
        return " ".join([_spelled(item, depth - 1) for item in value])
    return repr(value) if isinstance(value, LEAVES) else ""

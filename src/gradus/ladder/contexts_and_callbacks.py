"""The rest of the Python that is needed: contexts, decorators and callbacks, with their traps.

Later rungs lean on them: `no_grad` is a context, a training loop talks to callbacks, and a function
may be counted or recorded by a decorator.

Source: "Building the foundations of Deep Learning from scratch", its Python primer, which has them
in a notebook only; their traps are shown here by functions that return what happens.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# --- contexts: something is undone at the end, whatever happens -----------------------------------


class Timer:
    """Seconds spent in a `with` block, also when the block raises: a context as a class.

    Example:
        >>> ticks = iter([10.0, 12.5])
        >>> with Timer(clock=lambda: next(ticks)) as timer:
        ...     pass
        >>> timer.seconds
        2.5
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.seconds = clock, 0.0

    def __enter__(self) -> Timer:
        self.start = self.clock()
        return self  # what stands after `as`

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # A true return value would swallow the error of the block.
        self.seconds = self.clock() - self.start


@contextmanager
def changed(thing: Any, name: str, value: Any) -> Iterator[Any]:
    """`thing.name` is `value` within the block, and after it what it was: a context as a generator.

    The part before `yield` enters, the part after it leaves; without `finally` an error in the
    block would leave the value changed.

    Example:
        >>> from types import SimpleNamespace
        >>> lamp = SimpleNamespace(lit=False)
        >>> with changed(lamp, "lit", True):
        ...     print(lamp)
        namespace(lit=True)
        >>> print(lamp)
        namespace(lit=False)
    """
    before = getattr(thing, name)
    setattr(thing, name, value)
    try:
        yield thing
    finally:
        setattr(thing, name, before)


# --- decorators: a function goes in, a function that does more comes out --------------------------


def counted(function: Callable) -> Any:
    """Counts the calls of a function in its attribute `calls`.

    Example:
        >>> @counted
        ... def double(x):
        ...     "Twice x."
        ...     return 2 * x
        >>> double(2), double(3), double.calls, double.__name__, double.__doc__
        (4, 6, 2, 'double', 'Twice x.')
    """

    @functools.wraps(function)  # or name and docstring of the function would be those of `counting`
    def counting(*args: Any, **kwargs: Any) -> Any:
        counting.calls += 1  # type: ignore[attr-defined]
        return function(*args, **kwargs)

    counting.calls = 0  # type: ignore[attr-defined]
    return counting


def recorded(record: list) -> Callable[[Callable], Callable]:
    """Appends (name, arguments, result) of each call to `record`.

    A decorator with an argument is a function that returns a decorator.

    Example:
        >>> record = []
        >>> recorded(record)(max)(2, 3)
        3
        >>> record
        [('max', (2, 3), 3)]
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def recording(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            record.append((function.__name__, args, result))
            return result

        return recording

    return decorate


# --- callbacks: a function that a loop promises to call -------------------------------------------


def sum_of_squares(n: int, callback: Callable[[int, int], object] | None = None) -> int:
    """0² + 1² + … + (n-1)², telling `callback(i, total)` after each step.

    A callback that returns True ends the loop.

    Example:
        >>> sum_of_squares(5), sum_of_squares(5, lambda i, total: total > 3)
        (30, 5)
    """
    total = 0
    for i in range(n):
        total += i * i
        if callback is not None and callback(i, total) is True:
            break
    return total


def report(into: list, text: str, i: int, total: int) -> None:
    """One line on a step; the loop knows only the last two arguments."""
    into.append(f"{text} {i}: {total}")


def callback_styles(n: int = 3) -> dict[str, list[str]]:
    """The lines that the same callback writes, given to the loop in four ways.

    Example:
        >>> callback_styles(2)["lambda"]
        ['step 0: 0', 'step 1: 1']
    """
    lines: dict[str, list[str]] = {"lambda": [], "closure": [], "partial": [], "object": []}
    sum_of_squares(n, lambda i, total: report(lines["lambda"], "step", i, total))

    def make_callback(text: str) -> Callable[[int, int], None]:
        def inner(i: int, total: int) -> None:
            # `text` is remembered after make_callback has returned
            report(lines["closure"], text, i, total)

        return inner

    sum_of_squares(n, make_callback("step"))
    sum_of_squares(n, functools.partial(report, lines["partial"], "step"))

    class Reporter:
        text = "step"

        def __call__(self, i: int, total: int) -> None:
            report(lines["object"], self.text, i, total)

    sum_of_squares(n, Reporter())
    return lines


def late_binding(n: int = 3) -> dict[str, list[int]]:
    """A trap: a lambda made in a loop looks its variable up when called, and finds the last value.

    `partial` keeps the value.

    Example:
        >>> late_binding(3)
        {'lambda': [2, 2, 2], 'partial': [0, 1, 2]}
    """
    lambdas, partials = [], []
    for i in range(n):
        lambdas.append(lambda: i)  # noqa: B023 (this is the trap)
        partials.append(functools.partial(int, i))
    return {"lambda": [f() for f in lambdas], "partial": [f() for f in partials]}

"""Whether ops are being recorded, on this thread: ``no_grad``, ``enable_grad`` and ``set_grad_enabled``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gradus.tape import MODE


class set_grad_enabled:
    """Record derivatives or not: a context manager, a decorator, and (called alone) a switch for what follows.

    >>> import gradus
    >>> x = gradus.tensor([1.0], requires_grad=True)
    >>> with set_grad_enabled(False):
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.previous = MODE.grad_enabled
        MODE.set(self.mode, MODE.world)

    def __enter__(self) -> None:
        MODE.set(self.mode, MODE.world)

    def __exit__(self, *error: Any) -> None:
        MODE.set(self.previous, MODE.world)


class _Switch:
    """A context manager and decorator that sets the grad mode while it is entered; entering twice nests."""

    mode = False

    def __init__(self) -> None:
        self.previous: list[bool] = []

    def __enter__(self) -> None:
        self.previous.append(MODE.grad_enabled)
        MODE.set(self.mode, MODE.world)

    def __exit__(self, *error: Any) -> None:
        MODE.set(self.previous.pop(), MODE.world)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return switched

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        switch = super().__new__(cls)
        if function is None:
            return switch
        # ``@no_grad`` without parentheses.
        switch.previous = []
        return switch(function)


class no_grad(_Switch):
    """Compute without recording: ``with no_grad():``, ``@no_grad()`` or ``@no_grad``.

    >>> import gradus
    >>> x = gradus.tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     print((x * 2).requires_grad)
    False
    """


class enable_grad(_Switch):
    """Record again inside ``no_grad``."""

    mode = True


def is_grad_enabled() -> bool:
    """Whether ops on this thread are being recorded."""
    return MODE.grad_enabled

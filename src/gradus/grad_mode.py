"""Whether ops are being recorded, on this thread: ``no_grad``, ``enable_grad`` and ``set_grad_enabled``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from gradus.mode import MODE


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

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        MODE.set(self.previous, MODE.world)  # it was a decorator, so nothing was to be switched here
        return _switched(function, self.mode)


def _switched(function: Callable[..., Any], mode: bool) -> Callable[..., Any]:
    """``function`` with recording on or off while it runs; a generator only while it computes its next value, not between values."""

    @functools.wraps(function)
    def switched(*args: Any, **kwargs: Any) -> Any:
        with set_grad_enabled(mode):
            return function(*args, **kwargs)

    @functools.wraps(function)
    def switched_generator(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        step, value = generator.send, None
        while True:
            try:
                with set_grad_enabled(mode):
                    item = step(value)
            except StopIteration as stop:
                return stop.value
            try:
                step, value = generator.send, (yield item)
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:
                step, value = generator.throw, error

    return switched_generator if inspect.isgeneratorfunction(function) else switched


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
        return _switched(function, self.mode)

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


class inference_mode(_Switch):
    """As ``no_grad``; with ``mode=False`` as ``enable_grad``. What PyTorch forbids of tensors that were made in it is allowed here.

    >>> import gradus
    >>> x = gradus.tensor([1.0], requires_grad=True)
    >>> with inference_mode():
    ...     print((x * 2).requires_grad)
    False
    """

    def __new__(cls, mode: Any = True) -> Any:
        if callable(mode):  # ``@inference_mode`` without parentheses
            return super().__new__(cls, mode)
        switch = super().__new__(cls)
        switch.mode = not mode
        return switch

    def __init__(self, mode: bool = True) -> None:
        super().__init__()


def is_grad_enabled() -> bool:
    """Whether ops on this thread are being recorded."""
    return MODE.grad_enabled

"""Forward hooks: functions that a module calls before and after its ``forward``, each removable by the handle it got."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Hooks:
    """The hooks of one module. A module has none until the first is registered, so that calls without hooks stay cheap."""

    def __init__(self) -> None:
        self.before: dict[float, tuple[Callable[..., Any], bool]] = {}
        self.after: dict[float, tuple[Callable[..., Any], bool]] = {}

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Hooks before, ``forward``, hooks after. A hook that returns something other than None replaces the input or output."""
        for hook, with_kwargs in tuple(self.before.values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        y = module.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self.after.values()):
            changed = hook(module, args, kwargs, y) if with_kwargs else hook(module, args, y)
            if changed is not None:
                y = changed
        return y

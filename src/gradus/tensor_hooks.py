"""Hooks on tensors: functions that see a gradient when it is known, and gradients kept by intermediate tensors."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus.errors import GradError
from gradus.mode import MODE
from gradus.tensors import Tensor, wrap
from gradus.versions import tick

RETAIN = math.inf  # the place of retain_grad among the hooks of a node: after all others, whose result it keeps


class RemovableHandle:
    """Enters a hook of a tensor or module into a table of them, and takes it away again; also a context manager that does so on leaving.

    Args:
        hooks: the table, by the key of each hook.
        hook: what is entered.
        key: its key; a fresh one when not given.
        first: whether it stands before the hooks that are there.

    >>> hooks = {}; handle = RemovableHandle(hooks, print); len(hooks); handle.remove(); len(hooks)
    1
    0
    """

    def __init__(self, hooks: dict[float, Any], hook: Any, key: float | None = None, first: bool = False) -> None:
        self.hooks, self.id = hooks, tick() if key is None else key
        later = dict(hooks) if first else {}
        for known in later:
            del hooks[known]
        hooks[self.id] = hook
        hooks.update(later)

    def remove(self) -> None:
        """Forget the hook; a second call does nothing."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


def register_hook(tensor: Tensor, hook: Callable[[Tensor], Tensor | None], key: float | None = None) -> RemovableHandle:
    """Call ``hook(gradient)`` when the gradient of this tensor is known; a returned tensor replaces it. The oldest hook runs first."""
    if not tensor.requires_grad:
        raise GradError(
            "cannot register a hook on a tensor that doesn't require gradient",
            got=f"shape {tuple(tensor.shape)}",
            fix="x.requires_grad_()",
            code="E21",
        )
    if MODE.world is not None:
        MODE.world.touch(tensor)
    holder: Any = tensor.node or tensor
    name = "hooks" if tensor.node is not None else "_hooks"
    if getattr(holder, name) is None:
        setattr(holder, name, {})
    return RemovableHandle(getattr(holder, name), hook, key)


def retain_grad(tensor: Tensor) -> None:
    """Let an intermediate tensor keep its gradient in ``grad``, as leaves do."""
    if tensor.node is None or (tensor.node.hooks and RETAIN in tensor.node.hooks):
        return
    # The node must not hold the tensor that it made: that would be a reference cycle.
    reference = weakref.ref(tensor)

    def keep(g: Tensor) -> None:
        alive = reference()
        if alive is not None:
            known = alive._grad
            alive._grad = (wrap(np.array(g.value)) if g.node is None and type(g.value) is np.ndarray else g) if known is None else known + g

    register_hook(tensor, keep, key=RETAIN)

"""What a thread does with ops at the moment: record them or not, and the world (a tracer's, forward mode's) whose arrays they meet.

A world may stand between library code and the Python numbers that change from step to step (a learning rate, a step count, a random
stream's counter): code reads and writes these by :func:`read_number` and :func:`write_number`, so that a trace can keep them symbolic.
"""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from typing import Any


class World:
    """What stands in for arrays while a function is traced or differentiated forwards; numbers pass through by default."""

    def lift(self, tensor: Any) -> Any:
        """The tensor as this world sees it."""
        raise NotImplementedError

    def read_number(self, owner: MutableMapping[Any, Any], key: Any) -> Any:
        """The number kept at ``owner[key]``."""
        return owner[key]

    def write_number(self, owner: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        """Keep ``value`` at ``owner[key]``."""
        owner[key] = value


class Mode(threading.local):
    """What this thread does with ops. ``plain`` is read first in every op: record the graph, no world above."""

    plain = True
    grad_enabled = True
    world: Any = None

    def set(self, grad_enabled: bool, world: Any) -> None:
        """Change both settings and the flag that sums them up."""
        self.grad_enabled, self.world = grad_enabled, world
        self.plain = grad_enabled and world is None


MODE = Mode()


def read_number(owner: MutableMapping[Any, Any], key: Any) -> Any:
    """``owner[key]``, or what stands for it while a step is traced.

    >>> read_number({"lr": 0.1}, "lr")
    0.1
    """
    return owner[key] if MODE.world is None else MODE.world.read_number(owner, key)


def write_number(owner: MutableMapping[Any, Any], key: Any, value: Any) -> None:
    """``owner[key] = value``, or a note to do so after each step of what is being traced."""
    if MODE.world is None:
        owner[key] = value
    else:
        MODE.world.write_number(owner, key, value)

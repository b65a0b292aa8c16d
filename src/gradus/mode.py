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

    def created(self, tensor: Any) -> None:
        """A tensor was made of a raw array just now: it belongs to the function, not to its surroundings."""

    def array(self, data: Any) -> Any:
        """A NumPy array that is about to be copied into a tensor: what the tensor holds instead, or None for the copy."""
        return None

    def touch(self, tensor: Any) -> None:
        """A tensor is about to change in another way than by an op, or its numbers are asked for."""

    #: Whether arrays of this world stand for memory: tensors that share one see each other's writes.
    has_memory = False

    def write(self, tensor: Any, value: Any) -> None:
        """Let the memory of a tensor hold another value."""
        tensor.value = value

    def past(self, value: Any) -> Any:
        """Memory of its own with what ``value`` holds now."""
        return value

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

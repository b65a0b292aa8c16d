"""Tensors from outside while a function is traced: how they were, and what other threads see of them.

A lifted tensor holds a tracer. Modes belong to a thread, so another one may work eagerly with the same tensor meanwhile. Therefore a lifted
tensor changes its class until the trace ends: whoever asks for its ``value`` or ``grad`` in another thread waits for that end.
"""

from __future__ import annotations

import functools
import threading
from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.graph import Value
from gradus.compiler.tracers import Tracer, elsewhere
from gradus.errors import TraceError
from gradus.tape import Node
from gradus.tensors import Tensor

Holder = Tensor | int  # a tensor from outside, or the position of an argument
PATIENCE = 5.0  # seconds without a newly noted op, after which a trace that is waited for seems to wait for who waits


class State(NamedTuple):
    """A tensor from outside that the function read or wrote, as it was at the start, and the value that stands for its memory."""

    tensor: Tensor
    array: np.ndarray
    grad: Tensor | None
    requires_grad: bool
    value: Value
    cell: Tracer | None
    node: Any
    hooks: tuple[Any, ...]

    def restore(self) -> None:
        """The tensor as it was."""
        held = self.tensor.__dict__
        held["value"], held["_grad"], held["node"], held["requires_grad"] = self.array, self.grad, self.node, self.requires_grad
        if self.tensor._hooks is not None:
            self.tensor._hooks.clear()
            self.tensor._hooks.update(self.hooks)
        put_down(self.tensor)


class Turn:
    """Whose turn it is with the tensors that a trace has lifted: that of its thread, then everybody's.

    Attributes:
        thread: the one that traces.
        over: set when all tensors are as they were.
        noted: the calls noted so far, by which one sees that the trace goes on.
    """

    def __init__(self, noted: list[Any]) -> None:
        self.thread = threading.get_ident()
        self.over = threading.Event()
        self.noted = noted

    def wait(self) -> None:
        """Return when this thread may look. A trace that stands still is waiting itself, probably for this thread: that raises."""
        if threading.get_ident() == self.thread:
            return
        known = -1
        while not self.over.wait(PATIENCE):
            if known == len(self.noted):
                raise elsewhere()
            known = len(self.noted)


class _SeenInTurn:
    """An attribute that the tracing thread reads and sets at once, and others when the trace has ended."""

    def __init__(self, name: str) -> None:
        self.name, self.default = name, getattr(Tensor, name, None)

    def __get__(self, tensor: Any, kind: Any = None) -> Any:
        if tensor is None:
            return self.default
        _wait(tensor)
        return tensor.__dict__.get(self.name, self.default)

    def __set__(self, tensor: Any, value: Any) -> None:
        _wait(tensor)
        tensor.__dict__[self.name] = value


def _wait(tensor: Any) -> None:
    turn = tensor.__dict__.get("_turn")
    if turn is not None:  # else the trace ended a moment ago
        turn.wait()


@functools.cache
def _lifted_class(kind: Any) -> Any:
    """``kind`` for tensors that are lifted. It bears the same name, for messages."""
    body = {name: _SeenInTurn(name) for name in ("value", "_grad", "node", "requires_grad")}
    same = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind.__name__, (kind,), {**body, **same, "_lifted_from": kind})


def lift(tensor: Any, turn: Turn) -> None:
    """Let other threads wait for the end of the trace before they see what a tensor holds."""
    if "_turn" not in tensor.__dict__:
        kind: Any = type(tensor)
        tensor._turn = turn
        tensor.__class__ = _lifted_class(kind)


def put_down(tensor: Any) -> None:
    """The tensor is what it was before it was lifted."""
    kind = vars(type(tensor)).get("_lifted_from")
    if kind is not None:
        tensor.__class__ = kind
    tensor.__dict__.pop("_turn", None)


class PastNode(Node):
    """Stands for the history that a tensor from outside had before the compiled function began."""

    special = True

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__(None, (), (), shape, dtype)

    @property
    def name(self) -> str:
        """What messages call it."""
        return "an op outside the compiled function"

    def pull(self, g: Any, create_graph: bool) -> list[Any]:
        """A backward pass inside cannot leave."""
        raise TraceError(
            "backward inside a compiled function cannot go on into what was computed outside",
            got=f"a tensor of shape {self.shape} that an op outside made",
            wanted="a graph that begins inside the compiled function",
            why="that graph is another one at each call",
            fix="compile the whole step, or pass x.detach()",
            code="E42",
        )

"""Tensors from outside while a function is traced: how they were, and what stands for the history that they had."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.graph import Value
from gradus.compiler.tracers import Tracer
from gradus.errors import TraceError
from gradus.tape import Node
from gradus.tensors import Tensor

Holder = Tensor | int  # a tensor from outside, or the position of an argument


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
        self.tensor.value, self.tensor._grad = self.array, self.grad
        self.tensor.node, self.tensor.requires_grad = self.node, self.requires_grad
        if self.tensor._hooks is not None:
            self.tensor._hooks.clear()
            self.tensor._hooks.update(self.hooks)


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

"""Tracing: the function runs once on abstract arrays, and every op that meets one is noted in a graph.

A tracer is just another array type below :class:`gradus.Tensor`: it stands in ``Tensor.value``, so the tape, ``backward``, clipping and the
optimiser run unchanged, and all that they do ends up in the graph (:mod:`gradus.compiler.world` takes the notes). Whatever happens, every
tensor outside is afterwards as it was: what a run changes is noted in :class:`gradus.compiler.effects.Traced`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from gradus.compiler.effects import Traced, take_stock
from gradus.compiler.graph import INPUT
from gradus.compiler.lifted import State
from gradus.compiler.survivors import refuse_survivors
from gradus.compiler.world import Trace
from gradus.mode import MODE
from gradus.tensors import Tensor


class Around(Protocol):
    """What a trace asks about a function's surroundings.

    Attributes:
        arrays: identities of NumPy arrays, whose content is read at every run.
        tensors: tensors by their identity: an argument that is one of them counts as such, not as an argument.
    """

    arrays: set[int]
    tensors: dict[int, Any]

    def undo(self) -> None:
        """Let everything that the function may have added to be as it was."""


def trace(f: Callable[..., Any], args: Any, kwargs: Any, leaves: Sequence[Any], around: Around) -> Traced:
    """Run ``f`` on tracers in place of its tensor arguments; afterwards every tensor outside is as it was.

    Args:
        f: the function.
        args, kwargs: as ``f`` is called with.
        leaves: the arguments in their tuples, lists and dicts, one after the other.
        around: what ``f`` reaches from outside.
    """
    world = Trace(around.arrays)
    arguments: dict[int, State] = {}  # by position
    saved = MODE.grad_enabled, MODE.world
    try:
        MODE.set(MODE.grad_enabled, world)
        seen: set[int] = set()
        for k, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor) and id(leaf) not in around.tensors and id(leaf) not in seen:
                seen.add(id(leaf))
                arguments[k] = world.adopt(leaf, INPUT)
        world.graph.inputs += [state.value for state in arguments.values()]
        result = f(*args, **kwargs)
        traced = take_stock(world, result, arguments)
    finally:
        MODE.set(*saved)
        world.ended = True
        try:
            _restore(world.lifted)
        finally:
            world.turn.over.set()
        around.undo()
        arguments.clear()
        world.lifted.clear()
        world.cells.clear()
        world.states = {key: state._replace(cell=None) for key, state in world.states.items()}
    del result
    refuse_survivors(world, f)
    return traced


def _restore(states: list[State]) -> None:
    for state in reversed(states):  # a tensor that was lifted twice is as it was at first
        state.restore()

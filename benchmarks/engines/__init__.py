"""How each library runs a workload, one file a library, each with its best documented settings.

An engine's module has a function for each kind of workload (``training``, ``gradient``, ``inference``, ``epoch``). It is given the
workload, where to begin, and whether to compile, and makes a :class:`Unit`. It is imported in a process of its own (``process.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Unit(NamedTuple):
    """One unit of work, ready to be called."""

    call: Callable[..., Any]
    arguments: list[tuple[Any, ...]]  # call(*arguments[0]), call(*arguments[1]), …, and round again
    numbers: Callable[[Any], list[float]]  # what must agree between engines, out of what ``call`` returned
    wait: Callable[[Any], Any]  # until what ``call`` returned has been computed


class Engine(NamedTuple):
    """An engine by its label, the module that has it, the package it needs, and whether it compiles."""

    label: str
    module: str
    package: str
    compiles: bool


ENGINES = {
    "gradus": Engine("Gradus eager", "engines.with_gradus", "gradus", False),
    "gradus_compiled": Engine("Gradus compiled", "engines.with_gradus", "gradus", True),
    "torch": Engine("PyTorch eager", "engines.with_torch", "torch", False),
    "torch_compile": Engine("torch.compile", "engines.with_torch", "torch", True),
    "jax": Engine("JAX jit", "engines.with_jax", "jax", True),
    "autograd": Engine("HIPS/autograd", "engines.with_autograd", "autograd", False),
}
BASE = "torch"  # ratios are taken against it


def at_once(result: Any) -> None:
    """The way to wait for libraries that return when the result is there."""


class NotApplicableError(Exception):
    """The engine cannot run this workload; the message says why."""

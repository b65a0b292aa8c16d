"""Three ways to run one step, side by side: eagerly, as the traced graph on plain NumPy, and as the compiled program."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradus

sys.path.insert(0, str(Path(__file__).parent))  # programs.py, statements.py and fuzzing.py belong to tests of this folder


class Interpreted:
    """In place of a program: the graph as it was traced, one call after the other, on plain NumPy."""

    def __init__(self, specialisation: Any) -> None:
        self.graph = specialisation.traced.graph
        self.written = [(owner, key, getattr(value, "node", value)) for owner, key, value in specialisation.traced.trace.written.values()]

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        known: dict[Any, Any] = {}
        outputs = self.graph.interpret(inputs, known)
        new = [value.evaluate(known) if hasattr(value, "evaluate") else value for _, _, value in self.written]
        for (owner, key, _), value in zip(self.written, new, strict=True):
            owner[key] = value
        return outputs


def interpreted(step: Callable[..., Any]) -> Any:
    """A compiled function whose programs are interpreted."""
    compiled = gradus.compile(step)
    native = compiled._specialise

    def specialise(*call: Any) -> Any:
        new = native(*call)
        if new is not None:
            new.program, new.graph, new.direct_call, compiled.direct_call = Interpreted(new), new.traced.graph, None, None
        return new

    compiled._specialise = specialise
    return compiled


def arrays(tree: Any) -> list[np.ndarray]:
    """Copies of all numbers in nested results."""
    if isinstance(tree, dict):
        return [x for key in sorted(tree, key=str) for x in arrays(tree[key])]
    if isinstance(tree, (tuple, list)):
        return [x for item in tree for x in arrays(item)]
    if isinstance(tree, gradus.Tensor):
        return [tree.detach().numpy().copy()]
    return [] if tree is None else [np.asarray(tree)]


def history(build: Callable[[], Any], calls: int, way: str) -> tuple[list[list[np.ndarray]], Any]:
    """What each call gave and left behind. ``build`` makes (step, arguments of call k, what to watch) anew."""
    gradus.manual_seed(7)
    step, arguments, watched = build()
    run = {"eager": lambda f: f, "interpreted": interpreted, "compiled": gradus.compile}[way](step)
    found = []
    for k in range(calls):
        result = run(*arguments(k))
        found.append(arrays(result) + arrays(watched()))
    return found, run


@pytest.fixture
def same() -> Callable[..., Any]:
    """Check that the interpreter gives exactly what eager mode gives, and the compiled program the same within rounding, in one trace."""

    def check(build: Callable[[], Any], calls: int = 6, rtol: float = 2e-5, atol: float = 2e-6, traces: int = 1) -> Any:
        eager, _ = history(build, calls, "eager")
        plain, _ = history(build, calls, "interpreted")
        native, run = history(build, calls, "compiled")
        for k, (a, b, c) in enumerate(zip(eager, plain, native, strict=True)):
            assert len(a) == len(b) == len(c), f"call {k}"
            for x, y, z in zip(a, b, c, strict=True):
                assert (x.dtype, x.shape) == (y.dtype, y.shape) == (z.dtype, z.shape), f"call {k}"
                np.testing.assert_array_equal(y, x, err_msg=f"call {k}, interpreted")
                np.testing.assert_allclose(z, x, rtol=rtol, atol=atol, err_msg=f"call {k}, compiled")
        assert len(run.specialisations) == traces, [s.broken([], "") for s in run.specialisations]
        return run

    return check

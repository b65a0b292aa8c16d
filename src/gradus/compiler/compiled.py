"""What users hold: a compiled function. It runs the program whose guards hold, or traces anew.

The first call runs eagerly, so that an optimiser makes its buffers and every error of a first run is eager mode's own. The second traces.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus.compiler.graph import Graph, Number, Value
from gradus.compiler.fast_call import fast_call
from gradus.compiler.guards import LEAVES, Surroundings
from gradus.compiler.numpy_program import NumpyProgram, prepared
from gradus.compiler.passes.expand import expand
from gradus.compiler.passes.reductions import split_reductions
from gradus.compiler.passes.sharing import drop_dead, share
from gradus.compiler.passes.simplify import simplify
from gradus.compiler.products import copy_awkward_operands, handmade
from gradus.compiler.program import Program
from gradus.compiler.report import Report, report
from gradus.compiler.tiers import NATIVE, chosen_tier
from gradus.compiler.trace import Output, Traced, map_tree, trace
from gradus.dtypes import get_default_dtype
from gradus.errors import GradError, TraceError, UsageWarning
from gradus.mode import MODE
from gradus.tape import Node
from gradus.tensors import Tensor, wrap

PATIENCE = 4  # programs of one function before a person is told why there are so many
MISS = object()


def optimised(graph: Graph, external: set[int]) -> Graph:
    """All passes, in order."""
    graph = simplify(graph, external)
    graph = expand(graph, lambda call: handmade(call) is not None)
    graph = split_reductions(simplify(graph, external))
    graph = drop_dead(share(graph))
    graph = copy_awkward_operands(graph)
    return drop_dead(share(graph)).verify()


class OutsideNode(Node):
    """The history of a compiled function's result: there is none to go back through."""

    special = True

    def __init__(self) -> None:
        super().__init__(None, (), (), (), None)

    @property
    def name(self) -> str:
        """What messages call it."""
        return "a compiled function"

    def pull(self, g: Any, create_graph: bool) -> list[Any]:
        """Backward from outside cannot enter."""
        raise GradError(
            "backward cannot go into a compiled function from outside",
            got="the output of a compiled function",
            wanted="loss.backward() inside it",
            why="what the derivative would need was not kept",
            fix="compile the whole step: forward, loss.backward(), optimizer.step()",
            code="E22",
        )


class Specialisation:
    """One traced program, and when it may run."""

    def __init__(self, surroundings: Surroundings, traced: Traced, leaves: list[Any], structure: Any, tier: str = NATIVE) -> None:
        self.surroundings, self.traced, self.structure = surroundings, traced, structure
        self.signature = signature(leaves)
        self.grad_enabled, self.default_dtype = MODE.grad_enabled, get_default_dtype()
        written = [(owner, key, _node(value)) for owner, key, value in traced.trace.written.values()]
        native = tier == NATIVE
        self.graph = (optimised if native else prepared)(traced.graph, surroundings.arrays)
        self.program: Program | NumpyProgram = Program(self.graph, written) if native else NumpyProgram(self.graph, written)
        self.states = list(traced.trace.states.values())
        self.number_guards = traced.trace.number_guards
        self.leaf_guards = traced.trace.leaf_guards
        self.position = {value: k for k, value in enumerate(self.graph.outputs)}
        self.outside = OutsideNode()
        self.fast_call: Callable[..., Any] | None = None
        self.results = [value for value in traced.graph.outputs]
        self.taken = _first_of_each(leaves)
        self.flat = structure == repr((tuple([None] * len(leaves)), {})) and self.taken == list(range(len(leaves)))

    def broken(self, leaves: list[Any], structure: Any) -> str:
        """Why this program cannot serve a call, in words; "" if it can."""
        if structure != self.structure or len(leaves) != len(self.signature):
            return "the arguments have another structure"
        for k, (old, new) in enumerate(zip(self.signature, signature(leaves), strict=True)):
            if old != new:
                return f"argument {k}: {_told(old)} became {_told(new)}"
        if self.grad_enabled != MODE.grad_enabled:
            return f"gradients were {'on' if self.grad_enabled else 'off'}"
        if self.default_dtype != get_default_dtype():
            return "the default dtype"
        for state in self.states:
            if state.tensor.value is not state.array:
                return f"a tensor of shape {state.array.shape} got other memory"
            if state.tensor.requires_grad is not state.requires_grad:
                return f"requires_grad of a tensor of shape {state.array.shape}"
            if (state.tensor._grad is None) is not (state.grad is None):
                return f"the grad of a tensor of shape {state.array.shape} was {'None' if state.grad is None else 'there'} at the start of a call"
            if state.grad is not None and id(state.grad) in self.traced.trace.states and state.tensor._grad is not state.grad:
                return f"the grad of a tensor of shape {state.array.shape} is another tensor"
        changed = self.changed_number()
        if changed:
            return changed
        return "" if self.surroundings.hold() else self.surroundings.broken()

    def changed_number(self) -> str:
        """A number or option whose value decided something at the trace and is another one now, in words; "" if there is none."""
        known: dict[Number, Any] = {}
        for number, example in self.number_guards:
            if number.evaluate(known) != example:
                return f"a number that decided something: {example} became {known[number]}"
        for owner, key, value in self.leaf_guards:
            if owner[key] != value:
                return f"{key}: {value!r} became {owner[key]!r}"
        return ""

    def numbers_hold(self) -> bool:
        """Whether all numbers that decided something are as they were."""
        return not self.changed_number()

    def run(self, leaves: list[Any]) -> Any:
        """The result of a call."""
        arrays = self.program.run(*[leaves[k].value for k in self.taken])

        def result(leaf: Any) -> Any:
            if isinstance(leaf, Output):
                tensor = wrap(arrays[self.index(leaf.value)])
                if leaf.requires_grad:
                    tensor.requires_grad, tensor.node = True, self.outside
                return tensor
            return leaf.evaluate({}) if isinstance(leaf, Number) else leaf

        for tensor, value in self.traced.grads:
            tensor._grad = None if value is None else wrap(arrays[self.index(value)])
        return map_tree(result, self.traced.result)

    def fast(self, lock: Any) -> Callable[..., Any] | None:
        """The same check and run as one flat function of positional tensors; None where arguments or results are nested.

        It gives MISS when a guard does not hold, without saying which.
        """
        return fast_call(self, lock, MISS) if self.flat else None

    def index(self, value: Value) -> int:
        """Where among the outputs a value of the traced graph is."""
        return self.results.index(value)


def _node(value: Any) -> Any:
    return getattr(value, "node", value)


def signature(leaves: list[Any]) -> list[Any]:
    """What must be equal for two calls to share a program: types of tensors, values of Python leaves, and which leaves are the same tensor."""
    first: dict[int, int] = {}
    found: list[Any] = []
    for k, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            v = leaf.value
            found.append((v.shape, v.dtype, v.strides, leaf.requires_grad, leaf._grad is None, first.setdefault(id(leaf), k)))
        else:
            found.append((type(leaf), leaf) if isinstance(leaf, LEAVES) else (type(leaf), id(leaf)))
    return found


def _told(entry: Any) -> str:
    if len(entry) == 6:
        return f"{entry[1]}{list(entry[0])}"
    return repr(entry[1])


def _first_of_each(leaves: list[Any]) -> list[int]:
    """Positions of the tensors among the leaves, each tensor once."""
    seen: dict[int, int] = {}
    for k, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            seen.setdefault(id(leaf), k)
    return list(seen.values())


def flatten(args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    """The leaves of the arguments, and their structure as something that compares."""
    leaves: list[Any] = []

    def place(leaf: Any) -> None:
        leaves.append(leaf)

    return leaves, repr(map_tree(place, (args, kwargs)))


class Compiled:
    """A function that is traced, compiled and replayed; made by :func:`gradus.compile`.

    Attributes:
        source: the flat program of the last call as text.
        graph: the graph it was made from.
    """

    def __init__(self, function: Callable[..., Any], tier: str | None = None) -> None:
        self.function, self.tier = function, chosen_tier(tier)
        self.specialisations: list[Specialisation] = []
        self.calls = 0
        self.lock = threading.RLock()
        self.fast: Callable[..., Any] | None = None
        self.warned = False
        self.checks: list[Callable[[Graph, Callable[..., Any]], None]] = []
        functools.update_wrapper(self, function if hasattr(function, "__name__") else type(function))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fast is not None and not kwargs:
            result = self.fast(*args)
            if result is not MISS:
                return result
        return self._general(args, kwargs)

    def _general(self, args: Any, kwargs: Any) -> Any:
        """Look for a program that fits, or make one."""
        if MODE.world is not None:
            return self.function(*args, **kwargs)
        with self.lock:
            leaves, structure = flatten(args, kwargs)
            for k, candidate in enumerate(self.specialisations):
                if not candidate.broken(leaves, structure):
                    if k:
                        self.specialisations.insert(0, self.specialisations.pop(k))
                    self.fast = self.specialisations[0].fast_call
                    return candidate.run(leaves)
            if self.calls == 0:
                self.calls = 1
                return self.function(*args, **kwargs)
            return self._specialise(args, kwargs, leaves, structure).run(leaves)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _specialise(self, args: Any, kwargs: Any, leaves: list[Any], structure: Any) -> Specialisation:
        surroundings = Surroundings(self.function)
        traced = trace(self.function, args, kwargs, surroundings.arrays)
        if not surroundings.hold():
            raise TraceError(
                "a Python value changed while the function was traced",
                got=surroundings.broken(),
                wanted="a function whose only lasting effects are on tensors",
                why="the change would happen once, at the trace, and never again",
                fix="make the change outside the compiled function",
                code="E42",
            )
        new = Specialisation(surroundings, traced, leaves, structure, self.tier)
        for check in self.checks:
            check(new.graph, self.function)
        self.specialisations.insert(0, new)
        new.fast_call = new.fast(self.lock)
        self.fast = new.fast_call
        if len(self.specialisations) > PATIENCE and not self.warned:
            self.warned = True
            reason = self.specialisations[1].broken(leaves, structure)
            warnings.warn(
                f"E43: {getattr(self.function, '__name__', 'a compiled function')} was traced {len(self.specialisations)} times. "
                f"What keeps changing: {reason}. A shape that differs in the last batch alone: drop_last=True in the DataLoader.",
                UsageWarning,
                stacklevel=4,
            )
        return new

    def _last(self) -> Specialisation:
        if not self.specialisations:
            raise TraceError(
                "nothing has been compiled yet",
                got=f"{self.calls} calls",
                wanted="two calls: the first runs eagerly, the second is traced",
                fix="call the function twice, then look",
            )
        return self.specialisations[0]

    @property
    def source(self) -> str:
        """The program of the last call: its kernels, then the flat function that calls them."""
        program = self._last().program
        if isinstance(program, NumpyProgram):
            return program.source
        kernels = list(dict.fromkeys(step.kernel.source for step in program.plan.steps if step.kernel))
        texts = [source.replace("NAME", f"kernel_{k}") for k, source in enumerate(kernels)]
        return "\n\n".join([*texts, program.source])

    @property
    def graph(self) -> Graph:
        """The graph of the last call after all passes."""
        return self._last().graph

    def report(self) -> Report:
        """A table of the kernels of the last program: calls, time, arithmetic, memory traffic; measured now, on made-up inputs."""
        program = self._last().program
        if isinstance(program, NumpyProgram):
            raise TraceError(
                "only native programs are measured kernel by kernel",
                got="a program on NumPy",
                wanted="Numba's kernels",
                fix='pip install "gradus-dl[fast]", or read compiled.source',
                code="E44",
            )
        return report(program)


def compile(function: Callable[..., Any] | None = None, *, tier: str | None = None) -> Any:
    """Trace a function of tensors, compile it, and replay the program at every further call.

    Args:
        function: takes and returns Tensors (in tuples, lists, dicts); may run modules, ``backward`` and an optimiser's ``step``.
        tier: "native" (kernels, made by Numba), "numpy" (NumPy alone), or None for the best there is.

    Returns:
        A function with the same results. ``.graph`` and ``.source`` show what it runs.

    Raises:
        TraceError: the function looks at numbers that a trace does not have.
        UsageError: "native" without Numba.

    Example:
        >>> import gradus
        >>> @gradus.compile
        ... def f(x):
        ...     return (x * 2).sum()
        >>> [f(gradus.ones(3)).item() for _ in range(3)]
        [6.0, 6.0, 6.0]
    """
    if function is None:
        return functools.partial(Compiled, tier=tier)
    return Compiled(function, tier)


__all__ = ["Compiled", "compile", "np"]

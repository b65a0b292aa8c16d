"""What users hold: a compiled function. It runs the program whose guards hold, or traces anew.

The first call runs eagerly, so that an optimiser makes its buffers and every error of a first run is eager mode's own. The second traces.
"""

from __future__ import annotations

import copy
import functools
import inspect
import os
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from gradus.compiler.graph import Graph
from gradus.compiler.methods import Kept, table_of
from gradus.compiler.numpy_program import NumpyProgram, prepared
from gradus.compiler.passes.attention import attend_in_blocks
from gradus.compiler.passes.expand import expand
from gradus.compiler.passes.pooled_convolution import pool_in_convolutions
from gradus.compiler.passes.pooling import pool_first
from gradus.compiler.passes.reductions import split_reductions
from gradus.compiler.passes.sharing import drop_dead, share
from gradus.compiler.passes.simplify import simplify
from gradus.compiler.products import copy_awkward_operands, handmade
from gradus.compiler.report import Report, report
from gradus.compiler.specialisation import MISS, Specialisation
from gradus.compiler.surroundings import Surroundings, refuse_changes, refuse_taken_items
from gradus.compiler.tiers import NATIVE, chosen_tier, kernels_installed
from gradus.compiler.trace import trace
from gradus.compiler.trees import flatten
from gradus.errors import TraceError, UsageError, UsageWarning
from gradus.mode import MODE

Pass = Callable[[Graph], Graph]

PATIENCE = 4  # programs of one function before a person is told why there are so many
LIMIT = 32  # programs of one function that are kept
LIVING: weakref.WeakSet[Compiled] = weakref.WeakSet()  # whose locks a forked process opens
TRACING = threading.RLock()  # one trace at a time: tracers stand in tensors that another function may read too


def _free_locks() -> None:
    """In a forked process nobody is left to open a lock that another thread held."""
    for lock in (TRACING, *(compiled.lock for compiled in LIVING)):
        lock._at_fork_reinit()  # type: ignore[attr-defined]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)


def _refuse_what_does_not_return(function: Any) -> None:
    """E29 for what gives its results piece by piece or later, and for what cannot be called."""
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if callable(function) and not asynchronous and not inspect.isgeneratorfunction(function):
        return
    kind = "a coroutine" if asynchronous else "a generator" if callable(function) else f"a {type(function).__name__}"
    raise UsageError(
        "compile takes a function that returns its results",
        got=kind,
        wanted="a function of tensors, a method, a Module",
        fix="compile the function that computes one step, and loop or wait around its calls" if callable(function) else "",
        code="E29",
    )


def passes_in_order(external: set[int]) -> list[tuple[str, Pass]]:
    """All passes of the native tier with their names, in order. Arrays in ``external`` may change between runs."""
    return [
        ("simplify", lambda graph: simplify(graph, external)),
        ("pool_first", pool_first),
        ("pool_in_convolutions", pool_in_convolutions),
        ("attend_in_blocks", lambda graph: attend_in_blocks(graph, external)),
        ("expand", lambda graph: expand(graph, lambda call: handmade(call) is not None)),
        ("simplify", lambda graph: simplify(graph, external)),
        ("split_reductions", split_reductions),
        ("share", share),
        ("drop_dead", drop_dead),
        ("copy_awkward_operands", copy_awkward_operands),
        ("share", share),
        ("drop_dead", drop_dead),
    ]


def optimised(graph: Graph, external: set[int]) -> Graph:
    """The graph after all passes."""
    for _, step in passes_in_order(external):
        graph = step(graph)
    return graph.verify()


class Compiled:
    """A function that is traced, compiled and replayed; made by :func:`gradus.compile`.

    Attributes:
        specialisations: the programs, that of the last call first.
        direct_call: the first program's check and run as one flat function; None where it has none.
        checks: called with each new graph and the function; they raise where they do not like it.
        source: the flat program of the last call as text.
        graph: the graph it was made from.
    """

    __name__: str  # taken over from the function
    stands_for_function = True  # by which a Module, which imports no compiler, knows it

    def __init__(self, function: Callable[..., Any], tier: str | None = None) -> None:
        _refuse_what_does_not_return(function)
        self.function, self.tier = function, chosen_tier(tier)
        self.specialisations: list[Specialisation] = []
        self.calls = 0
        self.lock = threading.RLock()
        self.direct_call: Callable[..., Any] | None = None
        self.warned = self.warmed = self.dropped = False
        self.checks: list[Callable[[Graph, Callable[..., Any]], None]] = []
        named = hasattr(function, "__name__")  # a Module has no name of its own, and keeps its attributes: see __getattr__
        functools.update_wrapper(self, function if named else type(function), updated=("__dict__",) if named else ())
        LIVING.add(self)

    def __repr__(self) -> str:
        count = len(self.specialisations)
        programs = "no program yet" if not count else f"{count} program{'s' * (count > 1)}"
        return f"<compiled {getattr(self, '__qualname__', 'function')}: {programs}, {self.tier}>"

    def __getattr__(self, name: str) -> Any:
        """What a compiled Module is asked for beside calls: its parameters, ``state_dict``, ``eval``, layers."""
        function = self.__dict__.get("function")
        if function is None or isinstance(function, types.FunctionType) or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(function, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """What a compiled Module has, ``training`` or a layer, is set there: here nobody would read it."""
        function, plain = self.__dict__.get("function"), (types.FunctionType, types.MethodType, type(None))
        own = name in self.__dict__ or name.startswith("__") or isinstance(function, plain) or not hasattr(function, name)
        if own:
            object.__setattr__(self, name, value)
        else:
            setattr(function, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.direct_call is not None and not kwargs:
            result = self.direct_call(*args)
            if result is not MISS:
                return result
        return self._general(args, kwargs)

    def _general(self, args: Any, kwargs: Any) -> Any:
        """Look for a program that fits, or make one."""
        if MODE.world is not None:
            return self.function(*args, **kwargs)
        with self.lock:
            leaves, structure = flatten(args, kwargs)
            known = self._known(leaves, structure)
            if known is None and self.calls:
                with TRACING:  # tracers of another thread may have stood in a tensor a moment ago: look again
                    known = self._known(leaves, structure) or self._specialise(args, kwargs, leaves, structure)
            self.calls = 1
            if known is not None:
                return known.run(leaves)
        return self.function(*args, **kwargs)

    def _known(self, leaves: list[Any], structure: Any) -> Specialisation | None:
        """The program that fits a call, put first; None if there is none."""
        for k, candidate in enumerate(self.specialisations):
            if not candidate.broken(leaves, structure):
                self.specialisations.insert(0, self.specialisations.pop(k))
                self.direct_call = candidate.direct_call
                return candidate
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled:
        """A copy has programs of its own; a method of a copied object belongs to the copy."""
        twin = type(self)(copy.deepcopy(self.function, memo), self.tier)
        twin.calls, twin.checks = min(self.calls, 1), list(self.checks)
        return twin

    def __reduce__(self) -> Any:
        """As functions are: by the name under which it is found; else by that of what it compiles. Programs do not travel."""
        found: Any = sys.modules.get(getattr(self, "__module__", ""))
        for name in getattr(self, "__qualname__", "").split("."):
            found = getattr(found, name, None)
        if found is self:
            return self.__qualname__
        if isinstance(self.function, types.MethodType) and isinstance(found, Compiled):
            return getattr, (self.function.__self__, self.__name__)
        return type(self), (self.function, self.tier)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: a compiled function for each instance, kept by the instance, so that its programs do not outlive it."""
        if instance is None:
            return self
        table = table_of(instance)
        if table is None:
            return functools.partial(self, instance)
        key = f"{self.__name__}, compiled ({id(self):x})"  # as no attribute is named
        kept = table.get(key)
        if kept is None or not kept.belongs_to(self, instance):
            bound = type(self)(types.MethodType(self.function, instance), self.tier)
            bound.checks = self.checks
            table[key] = kept = Kept(self, bound)
        return kept.bound

    def _specialise(self, args: Any, kwargs: Any, leaves: list[Any], structure: Any, attempts: int = 5) -> Specialisation | None:
        """A new program; None if an optimiser has to make its buffers first, in an eager call."""
        surroundings = Surroundings(self.function, leaves)
        try:
            traced = trace(self.function, args, kwargs, leaves, surroundings)
        except Exception as error:
            if isinstance(error, TraceError):  # what an iterator gave may have been kept by it, too: that is not the reason
                refuse_taken_items(surroundings, self.function)
            if not surroundings.grown or self.warmed:
                raise
            self.warmed = True
            return None
        if surroundings.grown and not self.warmed:
            self.warmed = True
            return None
        self.warmed = False
        if surroundings.rolled and attempts > 1 and threading.active_count() > 1:  # it may have been another thread, a loader's say
            return self._specialise(args, kwargs, leaves, structure, attempts - 1)
        refuse_changes(surroundings, self.function)
        passes = optimised if self.tier == NATIVE else prepared
        new = Specialisation(surroundings, traced, leaves, structure, self.tier, passes)
        for check in self.checks:
            check(new.graph, self.function)
        self.specialisations.insert(0, new)
        new.prepare_direct_call(self.lock)
        self.direct_call = new.direct_call
        self._mind_the_number(leaves, structure)
        return new

    def _mind_the_number(self, leaves: list[Any], structure: Any) -> None:
        """Say, once each, that there are many programs, and that there are too many; drop the one that was not used for longest."""
        count, advice = len(self.specialisations), ""
        reason = self.specialisations[1].broken(leaves, structure) if count > PATIENCE else ""
        if count > PATIENCE and not self.warned:
            self.warned = True
            advice = "What changes from call to call may be an argument that is a tensor: gradus.tensor(number)."
            if "] became" in reason:
                advice = "If the last batch alone differs: drop_last=True in the DataLoader; else batches padded to a few sizes."
        if count > LIMIT:
            self.specialisations.pop()
            if not self.dropped:
                self.dropped = True
                advice = f"Only {LIMIT} programs are kept: from now on the one that was not used for longest goes, and may be traced again."
        if advice:
            name = getattr(self.function, "__name__", "a compiled function")
            warnings.warn(f"E43: {name} was traced {count} times. What keeps changing: {reason}. {advice}", UsageWarning, stacklevel=5)

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
                fix='gradus.compile(f, tier="native")' if kernels_installed() else 'pip install "gradus-dl[fast]", or read compiled.source',
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
        UsageError: "native" without Numba, or something that is no function, a generator or a coroutine.

    Example:
        >>> import gradus
        >>> @gradus.compile
        ... def f(x):
        ...     return (x * 2).sum()
        >>> [f(gradus.ones(3)).item() for _ in range(3)]
        [6.0, 6.0, 6.0]
    """
    if function is None:
        return functools.partial(compile, tier=tier)
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(Compiled(function.__func__, tier))
    return Compiled(function, tier)

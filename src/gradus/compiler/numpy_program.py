"""A graph as one flat Python function that needs NumPy alone, for machines without Numba.

One line a call, in the order of eager mode and through the same NumPy functions, so that the numbers are the same; but results are written
into memory that was chosen beforehand (see :mod:`gradus.compiler.numpy_places`), views are made once, and long chains on large arrays run
block by block, while a block is in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradus.compiler.flat import FlatText
from gradus.compiler.graph import CONSTANT, RESULT, STATE, Call, Graph, Number, Value, call_text
from gradus.compiler.numpy_places import (
    ALIGNMENT,
    CAST,
    COPY,
    LATE_VIEW,
    REDUCE,
    SINGLE,
    VIEW,
    Places,
    Step,
    own_way,
    ufunc_of,
)
from gradus.compiler.passes.expand import expand
from gradus.compiler.passes.sharing import drop_dead, share
from gradus.compiler.passes.simplify import simplify
from gradus.tape import evaluate


def prepared(graph: Graph, external: set[int]) -> Graph:
    """All passes for this tier, in order: what has its own way on NumPy stays whole, and no operand is copied for a kernel's sake."""
    graph = simplify(graph, external)
    graph = expand(graph, own_way)
    graph = simplify(graph, external)
    return drop_dead(share(graph)).verify()


class NumpyProgram:
    """A graph that runs on NumPy.

    Args:
        graph: what :func:`prepared` gave.
        numbers_written: (owner, key, number) that a run leaves in dictionaries.

    Attributes:
        source: the flat function as text. Its names are those of the printed graph.
        run: ``run(*input arrays)`` gives the output arrays and writes the states.
        scope: what the text's global names stand for: states, constants, results that lie in one place for ever, views of these.
    """

    def __init__(self, graph: Graph, numbers_written: list[tuple[Any, Any, Any]]) -> None:
        self.graph = graph
        self.places = Places(graph)
        self.arena = np.empty(self.places.size + ALIGNMENT, np.uint8)
        self.start = -self.arena.ctypes.data % ALIGNMENT
        self.arrays: dict[Value, np.ndarray] = {}
        for leaf in graph.leaves():
            if leaf.kind in (STATE, CONSTANT):
                self.arrays[leaf] = leaf.array
        for call in graph.calls:
            self._place(call)
        writer = NumpyText(self, numbers_written)
        self.source, self.scope = writer.text, writer.scope
        self.run = writer.compiled()

    def _place(self, call: Call) -> None:
        """Take the memory of a result that lies where it lies for ever."""
        v, places = call.output, self.places
        if v in places.states:
            self.arrays[v] = places.states[v].array
        elif v in places.arena:
            shape = (places.local[v], *v.shape[1:]) if v in places.local else v.shape
            start = self.start + places.arena[v].start
            count = int(np.prod(shape, dtype=int))
            self.arrays[v] = self.arena[start : start + count * v.dtype.itemsize].view(v.dtype).reshape(shape)
        elif places.how[v] == VIEW:
            self.arrays[v] = np.asarray(evaluate(call.record, [self.arrays[call.inputs[0]], *call.args[1:]], call.params))
            assert np.may_share_memory(self.arrays[v], self.arrays[call.inputs[0]])


class NumpyText(FlatText):
    """Writes the function of a program."""

    def __init__(self, program: NumpyProgram, numbers_written: list[tuple[Any, Any, Any]]) -> None:
        super().__init__({"evaluate": evaluate, "apart": apart, "inf": np.inf, "nan": np.nan})
        self.program, self.places, self.graph = program, program.places, program.graph
        self.called = self.graph.names()
        self.functions: set[str] = set()
        self.extra = 0
        for value, array in program.arrays.items():
            self.bind(self.called[value], array)
        for step in self.places.steps:
            self._step(step)
        results = [self._result(k, v) for k, v in enumerate(self.graph.outputs)]
        self._updates()
        self.write_numbers(numbers_written)
        self.lines.append(f"return ({', '.join(results)}{',' if len(results) == 1 else ''})")
        head = (
            [f"from numpy import {', '.join(sorted(self.functions))}", "", *self._memory(), ""] if self.functions else [*self._memory(), ""]
        )
        body = [f"def program({', '.join(self.called[v] for v in self.graph.inputs)}):", *("    " + line for line in self.lines)]
        self.text = "\n".join([*head, *body]) + "\n"

    def _memory(self) -> Iterator[str]:
        """Comments: what the global names stand for."""
        home: dict[int, str] = {}
        for leaf in self.graph.leaves():
            yield f"# {self.called[leaf]}: {leaf.typed()}, {leaf.kind}"
        for call in self.graph.calls:
            v, name = call.output, self.called[call.output]
            if v in self.places.states:
                yield f"# {name}: {v.typed()}, in the memory of {self.called[self.places.states[v]]}"
            elif v in self.places.arena:
                place = self.places.arena[v]
                known = home.setdefault(id(place), name)
                rows = f"{self.places.local[v]} rows of " if v in self.places.local else ""
                where = f"in the place of {known}" if known != name else f"bytes {place.start}-{place.end} of the arena"
                yield f"# {name}: {rows}{v.typed()}, {where}"
            elif self.places.how[v] == VIEW:
                yield f"# {name}: {v.typed()}, the view {call_text(call, self.called)}"

    # Names and numbers.

    def function(self, name: str) -> str:
        """A function of NumPy."""
        self.functions.add(name)
        return name

    def name_of_number(self, number: Number) -> str:
        """Its name in the graph; parts of expressions have names of their own."""
        if number in self.called:
            return self.called[number]
        self.extra += 1
        return f"n{self.extra - 1}"

    def number(self, number: Any) -> str:
        """The name of a number, or the text of a fixed one."""
        return super().number(number) if isinstance(number, Number) else repr(number)

    def argument(self, arg: Any) -> str:
        """An argument as text."""
        if isinstance(arg, Value):
            return self.called[arg]
        if isinstance(arg, Number):
            return self.number(arg)
        return repr(arg) if arg is None or type(arg) in (int, float, bool, str) else self.name("q", arg)

    # Calls.

    def _step(self, step: Step) -> None:
        if not step.rows:
            (call,) = step.calls
            self.lines.append(self._line(call, {}))
            return
        shape = step.calls[0].output.shape
        for call in step.calls:
            for arg in call.args:
                if isinstance(arg, Number):
                    self.number(arg)
            if call.output in self.places.fresh:
                self.lines.append(f"{self.called[call.output]} = {self._empty(call.output)}")
        values = dict.fromkeys(v for call in step.calls for v in (*call.inputs, call.output))
        sliced = {v: f"{self.called[v]}_" for v in values if v.ndim == len(shape) and v.shape[0] == shape[0]}
        self.lines.append(f"for first in range(0, {shape[0]}, {step.rows}):  # {len(step.calls)} passes over some rows at a time")
        self.lines.append(f"    rows = slice(first, first + {step.rows})")
        for v, name in sliced.items():
            rows = f":{shape[0]} - first" if v in self.places.local else "rows"
            self.lines.append(f"    {name} = {self.called[v]}[{rows}]")
        self.lines += [f"    {self._line(call, sliced)}" for call in step.calls]

    def _line(self, call: Call, sliced: dict[Value, str]) -> str:
        """A call as a line; ``sliced`` names the rows at hand of the values that have them."""
        v, how = call.output, self.places.how[call.output]
        args = [sliced[arg] if isinstance(arg, Value) and arg in sliced else self.argument(arg) for arg in call.args]
        name = sliced.get(v, self.called[v])
        if how in (SINGLE, LATE_VIEW):
            return f"{name} = {self._single(call, args)}  # {call_text(call, self.called)}: {v.typed()}"
        fresh = v in self.places.fresh and not sliced
        comment = f"  # {v.typed()}"
        if how in (CAST, COPY):
            target = f"{name}.reshape({call.inputs[0].shape})" if how == COPY else name
            text = f"{self.function('copyto')}({target}, {args[0]}, casting='unsafe'){comment}"
            return f"{name} = {self._empty(v)}; {text}" if fresh else text
        ufunc = ufunc_of(call)
        assert ufunc is not None
        function = self.function(ufunc.__name__)
        if how == REDUCE:
            function += ".reduce"
            args += [f"{key}={value!r}" for key, value in call.params.items()]
        if not fresh:
            return f"{function}({', '.join([*args, f'out={name}'])}){comment}"
        if not v.shape:
            args.append(f"out={self._empty(v)}")  # else it would be a number, not an array
        return f"{name} = {function}({', '.join(args)}){comment}"

    def _empty(self, v: Value) -> str:
        return f"{self.function('empty')}({v.shape}, {self.function(v.dtype.name) if v.dtype.kind in 'iuf' else repr(v.dtype.name)})"

    def _single(self, call: Call, args: list[str]) -> str:
        """A call through its record."""
        name, v = call.record.name, call.output
        if self.places.how[v] == LATE_VIEW and name == "reshape":
            return f"{args[0]}.reshape({v.shape})"
        if self.places.how[v] == LATE_VIEW and name == "permute_dims":
            return f"{args[0]}.transpose({call.params['axes']})"
        self.bind(f"{name}_op", call.record)
        params = f", {self.name('p', call.params)}" if call.params else ""
        text = f"evaluate({name}_op, ({', '.join(args)},){params})"
        if not v.shape:
            text = f"{self.function('asarray')}({text})"
        if v in self.graph.outputs and self.places.how[v] == SINGLE and call.inputs:
            text = f"apart({text}, {', '.join(dict.fromkeys(self.called[arg] for arg in call.inputs))})"
        return text

    # The end.

    def _result(self, k: int, v: Value) -> str:
        """An output, in memory that no later run writes to and that no other output has."""
        name = self.called[v]
        if v not in self.graph.outputs[:k] and (v in self.places.fresh or (v.kind == RESULT and self.places.how[v] == SINGLE)):
            return name
        self.lines.append(f"{name}_{k} = {name}.copy()")
        return f"{name}_{k}"

    def _updates(self) -> None:
        """States whose new value lies elsewhere are copied at the end; what another copy would overwrite is read first."""
        copied = self.places.copied
        written = {state for state, _ in copied}
        sources = []
        for state, value in copied:
            source = self.called[value]
            if self.places.owners[value] & (written - {state}) or (state in self.places.owners[value] and state is not value):
                source = f"{source}_new"
                self.lines.append(f"{source} = {self.called[value]}.copy()")
            sources.append((self.called[state], source))
        self.lines += [f"{self.function('copyto')}({state}, {source})" for state, source in sources if state != source]


def apart(y: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    """``y`` in memory of its own: a copy if it lies in that of an argument."""
    return y.copy() if any(np.may_share_memory(y, array) for array in arrays) else y

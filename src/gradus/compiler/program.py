"""A plan made runnable: memory is taken, tables are filled, and one flat Python function calls the kernels in order.

What is fixed (addresses of states and of the arena, shapes, leading dimensions) is written into the tables once. A run writes what changes:
the addresses of the inputs and of fresh results, and the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import blas
from gradus.compiler.flat import FlatText
from gradus.compiler.graph import CONSTANT, STATE, Call, Graph, Number, Value
from gradus.compiler.layout import Layout
from gradus.compiler.native import LIBRARY, caller, data_field
from gradus.compiler.plan import ALIGNMENT, Plan, Step, scratch_sizes
from gradus.compiler.products import number_arguments, number_kind, strided_inputs
from gradus.compiler.texts import HANDMADE, RUN, product_text
from gradus.compiler.workers import TEAM
from gradus.tape import evaluate


class Program:
    """A graph that runs natively.

    Args:
        numbers_written: (owner, key, number) that a run leaves in dictionaries.

    Attributes:
        plan: what it runs.
        source: the flat function as text.
        run: ``run(*input arrays)`` gives the output arrays and writes the states.
        objects: inputs and fresh results, whose memory differs from run to run.
        patches: (slot of the table, which object, offset in bytes).
        number_slots, integer_slots: (slot of the table, number) that each run writes.
    """

    def __init__(self, graph: Graph, numbers_written: list[tuple[Any, Any, Any]]) -> None:
        self.graph = graph
        self.plan = Plan(graph)
        self.numbers_written = numbers_written
        self.arena = np.empty(self.plan.arena + ALIGNMENT, np.uint8)
        base = self.arena.ctypes.data
        self.base = -(-base // ALIGNMENT) * ALIGNMENT
        self.shift = self.base - base
        self.objects: list[Value] = [*graph.inputs, *self.plan.fresh]
        self.patches: list[tuple[int, int, int]] = []
        self.tables: list[np.ndarray] = []
        self.number_slots: list[tuple[int, Any]] = []
        self.integer_slots: list[tuple[int, Any]] = []
        self.sources = [self._source_of(step) for step in self.plan.steps]
        self._fill()
        self.source, self.run = self._function()

    # Memory.

    def _place(self, slot: int, root: Value, offset: int) -> int:
        """The address of an element of a value's memory; 0 if it differs at each run, which then is noted in ``patches``."""
        root = self.plan.memory.get(root, root)
        bytes_in = offset * root.dtype.itemsize
        if root in self.objects:
            self.patches.append((slot, self.objects.index(root), bytes_in))
            return 0
        if root.kind in (STATE, CONSTANT):
            assert root.array is not None
            return root.array.__array_interface__["data"][0] + bytes_in
        return self.base + self.plan.offsets[root] + bytes_in

    def view(self, value: Value) -> np.ndarray | None:
        """A value as a NumPy array, where its memory is the same at every run; None for inputs and fresh results."""
        layout = self.plan.places[value]
        root = self.plan.memory.get(layout.root, layout.root)
        if root in self.objects:
            return None
        if root.kind in (STATE, CONSTANT):
            assert root.array is not None
            return strided(root.array, value, layout)
        if value.size == 0:
            return np.empty(value.shape, value.dtype)
        start = self.shift + self.plan.offsets[root]
        return strided(self.arena[start : start + root.nbytes].view(root.dtype), value, layout)

    # Tables.

    def _source_of(self, step: Step) -> str | None:
        if step.kernel is not None:
            return step.kernel.source
        if step.product is not None:
            return product_text(step.product.letter, step.product.way)
        if step.handmade is not None:
            kinds = [number_kind(x) for x in number_arguments(step.calls[0])]
            slots = self._slots(step) - len(kinds)
            arguments = [f"table[{k}]" for k in range(slots)]
            arguments += [f"{'table' if kind is int else 'numbers'}[{slots + k}]" for k, kind in enumerate(kinds)]
            arguments = [
                *(["address"] if step.handmade.by_table else arguments),
                *(x if isinstance(x, str) else repr(x) for x in step.handmade.literals),
            ]
            module, _, name = step.handmade.function.rpartition(".")
            return HANDMADE.format(module=module, name=name, arguments=", ".join(arguments))
        return None

    def _fill(self) -> None:
        """One table for all steps, and the list of (kernel, table) that a run walks."""
        lengths = [self._slots(step) for step in self.plan.steps]
        self.table = np.zeros(max(sum(lengths), 1), np.int64)
        self.reals = self.table.view(np.float64)
        address = self.table.ctypes.data
        native = [source for source in self.sources if source is not None]
        run, *kernels = LIBRARY.load([RUN, *native])
        addresses = iter(kernels)
        pairs: list[int] = []
        start = 0
        for step, source, length in zip(self.plan.steps, self.sources, lengths, strict=True):
            if source is not None:
                pairs += [next(addresses), address + 8 * start]
            if step.kernel is not None:
                self._fill_kernel(step, start)
            elif step.product is not None:
                self._fill_product(step, start)
            elif step.handmade is not None:
                self._fill_handmade(step, start)
            start += length
        self.pairs = np.array(pairs or [0, 0], np.int64)
        self.patch_table = np.array([(address + 8 * slot, k, offset) for slot, k, offset in self.patches] or [(0, 0, 0)], np.int64)
        self.object_ids = np.zeros(max(len(self.objects), 1), np.int64)
        self.header = np.array(
            [
                0,
                len(pairs) // 2,
                self.pairs.ctypes.data,
                self.patch_table.ctypes.data,
                self.object_ids.ctypes.data,
                len(self.patches),
                data_field(),
                0,
            ],
            np.int64,
        )
        self.result = np.zeros(2, np.int64)
        self.call = caller(run)

    def _slots(self, step: Step) -> int:
        if step.kernel is not None:
            return len(step.kernel.arrays) + len(step.kernel.scratch) + 1 + len(step.kernel.numbers)
        if step.handmade is not None:
            steps = sum(v.ndim - 1 for v in strided_inputs(step.calls[0], step.handmade))
            return len(step.reads) + 1 + len(step.handmade.scratch) + len(step.handmade.integers) + steps + step.handmade.numbers
        return 24 if step.product is not None else 0

    def _fill_scratch(self, step: Step, slot: int) -> int:
        start = self.base + self.plan.scratch
        for size in scratch_sizes(step):
            self.table[slot] = start
            start += size
            slot += 1
        return slot

    def _fill_handmade(self, step: Step, slot: int) -> None:
        assert step.handmade is not None
        (call,) = step.calls
        for v in (*call.inputs, call.output):
            layout = self.plan.places[v]
            self.table[slot] = self._place(slot, layout.root, layout.offset)
            slot += 1
        slot = self._fill_scratch(step, slot)
        self.table[slot : slot + len(step.handmade.integers)] = step.handmade.integers
        slot += len(step.handmade.integers)
        for v in strided_inputs(call, step.handmade):
            steps = self.plan.places[v].strides[:-1]
            self.table[slot : slot + len(steps)] = steps
            slot += len(steps)
        for number in number_arguments(call):
            self._fill_number(slot, number)
            slot += 1

    def _fill_number(self, slot: int, number: Any) -> None:
        """Write a number into the table, or note that each run writes it; whole numbers never pass through a float."""
        whole = number_kind(number) is int
        if isinstance(number, Number):
            (self.integer_slots if whole else self.number_slots).append((slot, number))
        elif whole:
            self.table[slot] = number
        else:
            self.reals[slot] = number

    def _fill_kernel(self, step: Step, slot: int) -> None:
        kernel = step.kernel
        assert kernel is not None
        for root, offset in kernel.arrays:
            self.table[slot] = self._place(slot, root, offset)
            slot += 1
        slot = self._fill_scratch(step, slot)
        self.table[slot] = kernel.length
        slot += 1
        for number in kernel.numbers:
            if isinstance(number, Number):
                self.number_slots.append((slot, number))
            else:
                self.reals[slot] = number
            slot += 1

    def _fill_product(self, step: Step, slot: int) -> None:
        p = step.product
        assert p is not None
        (call,) = step.calls
        a, b = call.inputs
        size = call.output.dtype.itemsize
        for k, v in enumerate((a, b, step.writes[0])):
            layout = self.plan.places[v]
            self.table[slot + k] = self._place(slot + k, layout.root, layout.offset)
        (ai, aj), (bi, bj), (ci, cj) = [(i * size, j * size) for i, j in p.steps]
        self.table[slot + 3 : slot + 10] = [*p.counts, *p.transposed, p.m, p.n, p.k]
        alpha = step.descent.alpha if step.descent else 1.0
        if isinstance(alpha, Number):
            self.number_slots.append((slot + 10, alpha))
        else:
            self.reals[slot + 10] = alpha
        self.table[slot + 11 : slot + 17] = [ai, aj, p.leading[0], bi, bj, p.leading[1]]
        self.reals[slot + 17] = 1.0 if p.adds else 0.0
        self.table[slot + 18 : slot + 21] = [ci, cj, p.leading[2]]
        self._fill_scratch(step, slot + 21)
        if p.way != "first":
            self.table[slot + 22] = 0
        self.table[slot + 23] = TEAM.words.ctypes.data if p.shared else 0

    # The function.

    def _function(self) -> tuple[str, Callable[..., Any]]:
        writer = FlatFunction(self)
        return writer.source(), writer.compiled()

    def failed(self, position: int, arrays: list[np.ndarray]) -> None:
        """A kernel refused its input: the op itself, run on the same arrays, says why."""
        native = [step for step, source in zip(self.plan.steps, self.sources, strict=True) if source is not None]
        for call in native[position - 1].calls:
            evaluate(call.record, [self.array_of(arg, arrays) for arg in call.args], call.params)
        raise AssertionError(f"the kernel of {native[position - 1].calls[0].record.name} failed where the op itself does not")

    def array_of(self, arg: Any, arrays: list[np.ndarray]) -> Any:
        """An argument as it is during a run; ``arrays`` are the inputs and fresh results."""
        if isinstance(arg, Number):
            return arg.evaluate({})
        if not isinstance(arg, Value):
            return arg
        fixed = self.view(arg)
        return fixed if fixed is not None else strided(arrays[self.objects.index(self.plan.places[arg].root)], arg, self.plan.places[arg])


def _from(memory: np.ndarray, offset: int) -> np.ndarray:
    """An array that begins ``offset`` elements into the memory of another."""
    return np.lib.stride_tricks.as_strided(memory, (offset + 1,), (memory.dtype.itemsize,))[offset:] if offset else memory


def strided(array: np.ndarray, value: Value, layout: Layout) -> np.ndarray:
    """A value as a view of the array whose memory it lies in."""
    return np.lib.stride_tricks.as_strided(_from(array, layout.offset), value.shape, [s * value.dtype.itemsize for s in layout.strides])


class FlatFunction(FlatText):
    """Writes the function of a program: numbers, addresses, kernels and single calls, results."""

    def __init__(self, program: Program) -> None:
        super().__init__({"id": id, "empty": np.empty, "evaluate": evaluate, "copyto": np.copyto, "array": np.array})
        self.program, self.plan = program, program.plan
        self.leaves_something = bool(program.graph.updates or program.numbers_written)

    def source(self) -> str:
        """The text."""
        graph = self.program.graph
        inputs = [f"x{k}" for k in range(len(graph.inputs))]
        self.bind("objects", self.program.object_ids.data)
        self.bind("numbers", self.program.table.data.cast("B").cast("d"))
        self.bind("integers", self.program.table.data)
        self.bind("header", self.program.header.data)
        self.bind("run", self.program.call)
        self.bind("failed", self.program.failed)
        for k, name in enumerate(inputs):
            self.lines.append(f"objects[{k}] = id({name})")
        for k, v in enumerate(self.plan.fresh):
            self.lines.append(f"f{k} = empty({v.shape}, {self.name('t', v.dtype)})")
            self.lines.append(f"objects[{len(inputs) + k}] = id(f{k})")
        for slot, number in self.program.number_slots:
            self.lines.append(f"numbers[{slot}] = {self.number(number)}")
        for slot, number in self.program.integer_slots:
            self.lines.append(f"integers[{slot}] = {self.number(number)}")
        self.everything = ", ".join([*inputs, *(f"f{k}" for k in range(len(self.plan.fresh)))])
        self._steps()
        results = self._results()
        self._updates()
        self.write_numbers(self.program.numbers_written)
        if self.leaves_something:
            self.lines.append("if stopped: raise stopped")
        self.lines.append(f"return ({', '.join(results)}{',' if len(results) == 1 else ''})")
        self.text = f"def program({', '.join(inputs)}):\n" + "\n".join("    " + line for line in self.lines) + "\n"
        return self.text

    def _steps(self) -> None:
        """Runs of kernels, and single calls between them."""
        first, position = 0, 0
        several = any(source is None for source in self.program.sources)
        if any(step.product is not None and step.product.way != "library" and step.product.shared for step in self.plan.steps):
            self.bind("threads", blas.THREADS.data)
            self.bind("team", TEAM.words.data)
            self.bind("grow", TEAM.grow)
            self.lines.append("if threads[0] > team[1] + 1: grow()")
        address, result = self.program.header.ctypes.data, self.program.result.ctypes.data
        run = [f"run({result}, {result + 8}, {address})", f"if header[7]: failed(header[7], [{self.everything}])"]
        if self.leaves_something:
            # A Ctrl-C that came during the run is heard as it returns, when half of a step is written: it waits for the other half.
            run = [f"try: {run[0]}", "except BaseException as error: stopped = error", "if header[7]:", "    if stopped: raise stopped"]
            run.append(f"    failed(header[7], [{self.everything}])")
            self.lines.append("stopped = None")
        for step, source in zip(self.plan.steps, self.program.sources, strict=True):
            if source is not None:
                position += 1
                continue
            if position > first:
                self.lines += [f"header[0] = {first}; header[1] = {position}", *run]
                first = position
            self._single(step.calls[0])
        if position > first:
            self.lines += ([f"header[0] = {first}; header[1] = {position}"] if several else []) + run

    def _argument(self, arg: Any) -> str:
        if not isinstance(arg, Value):
            return self.number(arg) if isinstance(arg, (Number, float)) else repr(arg)
        fixed = self.program.view(arg)
        if fixed is not None:
            return self.name("m", fixed)
        layout = self.plan.places[arg]
        k = self.program.objects.index(layout.root)
        name = f"x{k}" if k < len(self.program.graph.inputs) else f"f{k - len(self.program.graph.inputs)}"
        if layout.root is arg:
            return name
        self.bind("strided", strided)
        return f"strided({name}, {self.name('v', arg)}, {self.name('l', layout)})"

    def _single(self, call: Call) -> None:
        """A call that no kernel computes runs through its record, into its place."""
        args = ", ".join(self._argument(arg) for arg in call.args)
        where = self._argument(call.output)
        text = f"evaluate({self.name('op', call.record)}, ({args},), {self.name('p', call.params)})"
        self.lines.append(f"copyto({where}, {text})  # {call.record.name}" if call.output.size else f"{text}  # {call.record.name}")

    def _updates(self) -> None:
        """States whose new value lies elsewhere are copied at the end, all read before the first is written."""
        texts = [(state, self._argument(value)) for state, value in self.plan.copied]
        if len(texts) > 1:
            for k, (_, text) in enumerate(texts):
                self.lines.append(f"u{k} = array({text})")
            texts = [(state, f"u{k}") for k, (state, _) in enumerate(texts)]
        for state, text in texts:
            self.lines.append(f"copyto({self.name('s', state.array)}, {text})")

    def _results(self) -> list[str]:
        """Names of the outputs, each an array of its own, copied before any state they may show is overwritten."""
        names: list[str] = []
        for k, value in enumerate(self.program.graph.outputs):
            name = f"f{self.plan.fresh.index(value)}" if value in self.plan.fresh else ""
            if not name or name in names:
                text = name or self._argument(value)
                name = f"r{k}"
                self.lines.append(f"{name} = {text}.copy()")
            names.append(name)
        return names

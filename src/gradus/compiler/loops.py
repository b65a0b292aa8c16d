"""From a group of calls to the source of one kernel: loops over rows, and inside a row one loop for each stage.

A row's reductions cut its work into stages: what needs no reduction is stage 0, what needs the row's maximum stage 1, and so on. Each stage
is one vectorisable loop; an expensive value that a later stage needs is kept in a scratch row, a cheap one is computed again. Rows with
kept values go through their stages in blocks: see :mod:`gradus.compiler.stages`.

Every kernel is a function of one address: a table of 64-bit slots that holds the addresses of its arrays, the length of the outermost
loop, and its numbers. So kernels of one structure are one text, whatever arrays, batch sizes or learning rates they meet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.expressions import EXPENSIVE, EXPRESSIONS, REDUCTIONS
from gradus.compiler.fusion import COLUMN, FULL, ROW, TOTAL, Group
from gradus.compiler.graph import Call, Number, Value
from gradus.compiler.layout import is_view
from gradus.compiler.stages import BLOCK_ROWS, Blocks, Row, Stage, Total, indented

BLOCK = 512  # terms that a sum adds up in its own precision before they go into a float64; fewer would cost time
SHORT = 512  # elements of a row: longer ones leave little time to wait for
BEHIND_ALL = 99  # a stage after all others
SIMPLE = {0, 1, -1, 2, -2, 0.5, -0.5, 3, 4, math.inf, -math.inf}  # numbers that stand in the text itself


class Kernel(NamedTuple):
    """A kernel's text and what its table holds: arrays, scratch rows, the length, numbers.

    Attributes:
        source: ``def NAME(address): …``.
        arrays: (value whose memory it is, offset in elements).
        length: of the outermost loop.
        numbers: Numbers and Python numbers.
        scratch: elements and dtype of each scratch row.
        flops: one for each element and call, for reports.
    """

    source: str
    arrays: list[tuple[Value, int]]
    length: int
    numbers: list[Any]
    scratch: list[tuple[int, np.dtype[Any]]]
    flops: int


def write_kernel(group: Group, outputs: Sequence[Value], memory: Mapping[Value, Value]) -> Kernel:
    """The kernel of a group.

    Args:
        outputs: those values of the group that are needed outside.
        memory: for an output that is written into other memory than its own (a state updated in place) that memory.
    """
    return _Writer(group, outputs, memory).kernel()


class _Writer:
    """Writes the kernel of one group."""

    def __init__(self, group: Group, outputs: Sequence[Value], memory: Mapping[Value, Value]) -> None:
        self.group, self.outputs, self.memory = group, outputs, memory
        self.calls = {call.output: call for call in group.calls}
        self.arrays: list[tuple[Value, int]] = []
        self.numbers: list[tuple[Any, np.dtype[Any]]] = []
        self.before: list[str] = []  # lines in front of all loops
        self.after: list[str] = []
        self.blocks = False
        self.kept_numbers: dict[str, np.dtype[Any]] = {}  # scratch of numbers that a block of rows keeps from stage to stage
        # A single row is a loop of its own, whose length is known at each run: then the text is the same for every length.
        self.lengths = list(group.lengths)
        self.nested = len(self.lengths) > 1
        self.strides = group.strides
        self.level: dict[Value, int] = {}
        for call in group.calls:
            base = max((self.level.get(self._inner(arg), 0) for arg in call.inputs), default=0)
            self.level[call.output] = base + (
                1 if group.extents[call.output] == ROW and call.record.name in REDUCTIONS and self._full_input(call) else 0
            )
        self.stash: dict[Value, str] = {}

    # What is what.

    def _inner(self, arg: Any) -> Any:
        """The value of the group that an argument is a view of, or the argument itself."""
        v = arg
        while isinstance(v, Value) and v not in self.calls and v.call is not None and is_view(v.call):
            v = v.call.inputs[0]
        return v if v in self.calls else arg

    def _full_input(self, call: Call) -> bool:
        return call.inputs[0].size == self.group.size

    def _array(self, value: Value, offset: int) -> str:
        key = (self.memory.get(value, value), offset)
        if key not in self.arrays:
            self.arrays.append(key)
        return f"a{self.arrays.index(key)}"

    def _number(self, number: Any, dtype: np.dtype[Any]) -> str:
        if not isinstance(number, Number):
            if dtype.kind == "b":
                return str(bool(number))
            if number in SIMPLE or dtype.kind in "iu" or number != number:
                text = "nan" if number != number else repr(number)
                return f"{dtype}({text})"
        key = (number, dtype)
        known = [
            k
            for k, (n, d) in enumerate(self.numbers)
            if d == dtype and (n is number or (not isinstance(n, Number) and type(n) is type(number) and n == number))
        ]
        if not known:
            self.numbers.append(key)
            known = [len(self.numbers) - 1]
        return f"n{known[0]}"

    # Index arithmetic.

    def _base(self, strides: Sequence[int]) -> str:
        """The offset of the row in an array."""
        terms = [f"r{k}" if s == 1 else f"r{k} * {s}" for k, s in enumerate(strides[:-1]) if s]
        return " + ".join(terms) or "0"

    def _flat_base(self) -> str:
        return self._base([math.prod(self.lengths[k + 1 :]) for k in range(len(self.lengths))])

    def _row_index(self) -> str:
        return self._base([*(math.prod(self.lengths[k + 1 : -1]) for k in range(len(self.lengths) - 1)), 0])

    # Writing a value: inside a loop over c ("vector") or once a row ("row").

    def _operand(self, call: Call, k: int, env: Stage) -> str:
        arg = call.args[k]
        if not isinstance(arg, Value):
            return self._number(arg, _number_type(call))
        inner = self._inner(arg)
        if inner in self.calls:
            return self._value(inner, env)
        root, offset, _ = self.group.reads[(call, k)]
        strides = self.strides[(call, k)]
        name = self._array(root, offset)
        inner_stride = strides[-1]
        vector = inner_stride != 0
        key = ("load", name, tuple(strides))
        where = env if vector else env.row
        if key not in where.names:
            base = self._base(strides)
            text = f"{name}[{env.at(base, inner_stride) if vector else base}]"
            where.define(key, f"{text} != 0" if root.dtype.kind == "b" else text)
        return where.names[key]

    def _value(self, value: Value, env: Stage) -> str:
        extent = self.group.extents[value]
        if extent == ROW:
            return env.row.names[value]
        if value in env.names:
            return env.names[value]
        if env.level > self.level[value] and value in self.stash:
            kept = self._kept(value, env)
            env.define(value, f"{kept} != 0" if value.dtype.kind == "b" else kept)
            return env.names[value]
        call = self.calls[value]
        env.define(value, self._expression(call, env))
        return env.names[value]

    def _expression(self, call: Call, env: Stage) -> str:
        operands = [self._operand(call, k, env) for k in range(len(call.args))]
        name = call.record.name
        if name == "astype" and call.output.dtype.kind == "b":
            return f"{operands[0]} != 0"
        return EXPRESSIONS[name].format(*operands, t=str(call.output.dtype))

    # Stages.

    def _keep(self) -> None:
        """Which values a later stage takes from a scratch row."""
        for level in range(max(self.level.values(), default=0), 0, -1):
            for value in self._targets(level):
                self._mark(value, level)

    def _mark(self, value: Any, level: int) -> None:
        value = self._inner(value)
        if value not in self.calls or self.group.extents[value] != FULL:
            return
        if self.level[value] < level and (self.calls[value].record.name in EXPENSIVE or self._depth(value) > 6):
            if value not in self.stash:
                self.stash[value] = f"k{len(self.stash)}"
                self._mark_inputs(value, self.level[value])
            return
        self._mark_inputs(value, level)

    def _mark_inputs(self, value: Value, level: int) -> None:
        for arg in self.calls[value].inputs:
            self._mark(arg, level)

    def _depth(self, value: Any) -> int:
        value = self._inner(value)
        if value not in self.calls or self.group.extents[value] != FULL:
            return 0
        return 1 + max((self._depth(arg) for arg in self.calls[value].inputs), default=0)

    def _targets(self, level: int) -> list[Value]:
        """Full values that the loop of a stage must have: what it stores, keeps or sums."""
        found = [v for v in self.outputs if self.group.extents[v] == FULL and self.level[v] == level]
        found += [v for v in self.stash if self.level[v] == level]
        for call in self.group.calls:
            if call.record.name in REDUCTIONS and self._full_input(call):
                v = self._inner(call.inputs[0])
                if (self.level[v] if v in self.calls else 0) == level:
                    found.append(v)
        return found

    def kernel(self) -> Kernel:
        """The text and its table."""
        self._keep()
        levels = max(self.level.values(), default=0) + 1
        # Expensive values make a chain of instructions so long that no other row's work fits beside it. Measured: softmax a fifth faster
        # in blocks, layer norms a tenth slower.
        self.blocks = self.nested and bool(self.stash) and self.lengths[-1] <= SHORT
        row = Row()
        for level in range(levels):
            if self.blocks and level:
                row.parts.append([])
            self._row_arithmetic(level, row)
            self._stage(level, row)
        self._row_stores(row)
        return self._assembled(self._nest(row))

    def _nest(self, row: Row) -> list[str]:
        """The loops over rows."""
        if not self.nested:
            return row.lines
        *outer, last = ["n", *map(str, self.lengths[1:-1])]
        lines = [f"for r{len(outer)} in range({last}):", *indented(row.lines)]
        if self.blocks:
            blocks = Blocks(row, f"r{len(outer)}", last)
            self.kept_numbers = blocks.kept
            lines = blocks.lines()
        for k, n in reversed(list(enumerate(outer))):
            lines = [f"for r{k} in range({n}):", *indented(lines)]
        return lines

    def _assembled(self, body: list[str]) -> Kernel:
        """Number the slots of the table: arrays, scratch rows, the length, numbers."""
        named = {f"a{k}": value.dtype for k, (value, _) in enumerate(self.arrays)}
        scratch = {name: ((self.group.columns or 0) * (BLOCK_ROWS if self.blocks else 1), v.dtype) for v, name in self.stash.items()}
        scratch |= {name: (BLOCK_ROWS, dtype) for name, dtype in self.kept_numbers.items()}
        named |= {name: dtype for name, (_, dtype) in scratch.items()}
        lines = ["table, numbers = array(address, int64), array(address, float64)"]
        lines += [f"{name} = array(table[{slot}], {_stored(dtype)})" for slot, (name, dtype) in enumerate(named.items())]
        lines.append(f"n = table[{len(named)}]")
        lines += [f"n{k} = {dtype}(numbers[{len(named) + 1 + k}])" for k, (_, dtype) in enumerate(self.numbers)]
        text = "\n".join(["def NAME(address):", *indented([*lines, *self.before, *body, *self.after, "return 0"])])
        flops = self.group.size * len(self.group.calls)
        return Kernel(text + "\n", self.arrays, self.lengths[0], [n for n, _ in self.numbers], list(scratch.values()), flops)

    def _row_arithmetic(self, level: int, row: Row) -> None:
        for call in self.group.calls:
            v = call.output
            if self.group.extents[v] == ROW and self.level[v] == level and not (call.record.name in REDUCTIONS and self._full_input(call)):
                row.define(v, self._expression(call, Stage(row, level)))

    def _stage(self, level: int, row: Row) -> None:
        """The loop of one stage."""
        if not self._targets(level):
            return
        loop = Stage(row, level)
        inner = self.lengths[-1] if self.nested else None
        sums = False
        for call in self.group.calls:
            if call.record.name not in REDUCTIONS or not self._full_input(call):
                continue
            v = self._inner(call.inputs[0])
            if (self.level[v] if v in self.calls else 0) == level:
                sums |= self._reduce(call, loop)
        for v in dict.fromkeys([*self.outputs, *self.stash]):
            if self.group.extents[v] == FULL and self.level[v] == level:
                self._store(v, loop)
        row.lines += [*loop.bases, *loop.starts]
        total = "n" if inner is None else str(inner)
        if sums and (inner is None or inner > BLOCK):
            row.lines.append(f"for start in range(0, {total}, {BLOCK}):")
            row.lines += indented(loop.part_starts)
            row.lines.append(f"    for c in range(start, min(start + {BLOCK}, {total})):")
            row.lines += indented(indented(loop.lines))
            row.lines += indented(loop.part_ends)
        else:
            row.lines += [*loop.part_starts, f"for c in range({total}):", *indented(loop.lines), *loop.part_ends]
        row.lines += loop.ends

    def _store(self, v: Value, loop: Stage) -> None:
        """Write a full value to its memory, to its scratch row, or both."""
        text = self._value(v, loop)
        text = f"uint8({text})" if v.dtype.kind == "b" else text
        if v in self.outputs:
            loop.lines.append(f"{self._array(v, 0)}[{loop.at(self._flat_base())}] = {text}")
        if v in self.stash:
            loop.lines.append(f"{self._kept(v, loop)} = {text}")

    def _kept(self, v: Value, loop: Stage) -> str:
        """Where a scratch row keeps a value."""
        return f"{self.stash[v]}[{loop.at(f'i * {self.group.columns}' if self.blocks else '0')}]"

    def _reduce(self, call: Call, loop: Stage) -> bool:
        """Write one reduction into a stage; says whether it is a sum along the row."""
        term = self._operand(call, 0, loop)
        v, t, kind = call.output, str(call.output.dtype), call.record.name
        extent = self.group.extents[v]
        if extent == COLUMN:
            out = self._array(v, 0)
            neutral = {"sum": f"{t}(0)", "max": f"{t}(-inf)", "min": f"{t}(inf)"}[kind]
            self.before += [f"for c in range({self.lengths[-1] if self.nested else 'n'}):", f"    {out}[c] = {neutral}"]
            step = {"sum": "{0} + {1}", "max": "maximum({0}, {1})", "min": "minimum({0}, {1})"}[kind]
            loop.lines.append(f"{out}[c] = {step.format(f'{out}[c]', term)}")
            return False
        name = loop.row.fresh(v)
        if kind != "sum":
            start, step = {"max": (f"{t}(-inf)", "larger"), "min": (f"{t}(inf)", "smaller")}[kind]
            loop.starts += [f"{name} = {start}", f"{name}_nan = False"]
            loop.lines += [f"{name} = {step}({name}, {term})", f"{name}_nan |= {term} != {term}"]
            loop.ends.append(f"{name} = choose({name}_nan, {t}(nan), {name})")
            return False
        part, total = f"{name}_part", Total(name, t)
        loop.part_starts.append(f"{part} = {t}(0)")
        loop.lines.append(f"{part} = sum_with({part}, {term})")
        loop.part_ends.append(total.add(part))
        if extent == TOTAL:
            self.before.append(total.start)
            self.after.append(f"{self._array(v, 0)}[0] = {total.value}")
        else:
            loop.starts.append(total.start)
            loop.ends.append(f"{name} = {total.value}")
        return True

    def _row_stores(self, row: Row) -> None:
        """What is one number a row and needed outside, and totals of such numbers."""
        for call in self.group.calls:
            v, extent = call.output, self.group.extents[call.output]
            if extent == ROW and v in self.outputs:
                text = row.names[v]
                row.lines.append(f"{self._array(v, 0)}[{self._row_index()}] = {f'uint8({text})' if v.dtype.kind == 'b' else text}")
            if extent == TOTAL and not self._full_input(call):
                total = Total(row.fresh(v), str(v.dtype))
                self.before.append(total.start)
                row.lines.append(total.add(self._operand(call, 0, Stage(row, BEHIND_ALL))))
                self.after.append(f"{self._array(v, 0)}[0] = {total.value}")


def _number_type(call: Call) -> np.dtype[Any]:
    """The dtype in which an op takes a Python number."""
    if call.output.dtype.kind == "b" or call.record.name == "where":
        arrays = [v for v in call.inputs if call.record.name != "where" or v is not call.args[0]]
        if call.output.dtype.kind == "b" and arrays:
            return arrays[0].dtype
    return call.output.dtype


def _stored(dtype: np.dtype[Any]) -> str:
    """The name of a dtype as memory holds it: booleans are bytes."""
    return "uint8" if dtype.kind == "b" else str(dtype)

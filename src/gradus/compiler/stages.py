"""The lines of a kernel while it is written: those of a row, stage by stage, and of the loop inside each stage; and rows in blocks.

A stage that begins with a row's sum waits until the last term is in, through dozens of instructions that each wait for another. Where that
hurts, rows go in blocks: all rows of a block through stage 0, then all through stage 1 …: while one row's sum comes together, the processor
works on the next row. What a later stage needs of a row is kept in small arrays, one number for each row of the block.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

BLOCK_ROWS = 4
_NAME = re.compile(r"\b[bw]\d+\b")
_DEFINITION = re.compile(r"([bw]\d+) = ")


def indented(lines: Sequence[str]) -> list[str]:
    """The same, one level in."""
    return ["    " + line for line in lines]


class Row:
    """The lines that run once a row, and the names they define: w0, w1 … for numbers, b0, b1 … for offsets.

    Attributes:
        parts: one list of lines for all stages, or one for each where rows go in blocks.
        names: key of a number (its Value, if it is one) or offset to its name.
    """

    def __init__(self) -> None:
        self.parts: list[list[str]] = [[]]
        self.names: dict[Any, str] = {}

    @property
    def lines(self) -> list[str]:
        """Where new lines go."""
        return self.parts[-1]

    @lines.setter
    def lines(self, lines: list[str]) -> None:
        self.parts[-1] = lines

    def fresh(self, key: Any) -> str:
        """A new name."""
        self.names[key] = f"w{len(self.names)}"
        return self.names[key]

    def define(self, key: Any, text: str) -> None:
        """Name the value of an expression."""
        name = self.fresh(key)
        self.lines.append(f"{name} = {text}")


class Stage:
    """The lines inside one loop over a row, and around it."""

    def __init__(self, row: Row, level: int) -> None:
        self.row, self.level = row, level
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}
        self.bases: list[str] = []
        self.starts: list[str] = []  # in front of the loop
        self.ends: list[str] = []  # behind it
        self.part_starts: list[str] = []  # in front of each part of a long sum
        self.part_ends: list[str] = []

    def at(self, base: str, stride: int = 1) -> str:
        """The index of column c, for the offset of a row, which is computed before the loop."""
        index = "c" if stride == 1 else f"c * {stride}"
        return index if base == "0" else f"{self._base(base)} + {index}"

    def _base(self, text: str) -> str:
        if text.isidentifier():
            return text
        if ("base", text) not in self.row.names:
            name = f"b{len(self.row.names)}"
            self.row.names[("base", text)] = name
            self.bases.append(f"{name} = {text}")
        return self.row.names[("base", text)]

    def define(self, key: Any, text: str) -> None:
        """Name the value of an expression."""
        self.names[key] = f"v{len(self.names)}"
        self.lines.append(f"{self.names[key]} = {text}")


class Total:
    """A sum in float64 of parts. Float64 parts would lose a digit at each step, so what is lost is summed up, too.

    Attributes:
        start: the line in front.
        value: the sum as the type of the parts.
    """

    def __init__(self, name: str, dtype: str) -> None:
        self.sum, self.lost, self.exact = f"{name}_sum", f"{name}_lost", dtype == "float64"
        self.start = f"{self.sum} = {f'{self.lost} = ' if self.exact else ''}float64(0)"
        self.value = f"settle({self.sum}, {self.lost})" if self.exact else f"{dtype}({self.sum})"

    def add(self, part: str) -> str:
        """The line that adds a part."""
        if self.exact:
            return f"{self.sum}, {self.lost} = gather({self.sum}, {self.lost}, {part})"
        return f"{self.sum} += float64({part})"


class Blocks:
    """The parts of a row as loops over blocks of rows.

    Attributes:
        kept: dtypes of the arrays that keep one number for each row of a block, by their names.
    """

    def __init__(self, row: Row, variable: str, count: str) -> None:
        """``variable``: the row's name; ``count``: how many rows there are."""
        self.row, self.variable, self.count = row, variable, count
        self.dtypes = {name: key.dtype for key, name in row.names.items() if hasattr(key, "dtype")}
        self.kept: dict[str, np.dtype[Any]] = {}
        self.places: dict[str, str] = {}  # of names in ``kept``

    def lines(self) -> list[str]:
        """The loops."""
        made: dict[str, str] = {}  # the line that defines a name
        loops: list[list[str]] = []
        for part in self.row.parts:
            needed = dict.fromkeys(name for line in part for name in _NAME.findall(line) if name in made)
            loops.append([*(self._again(name, made[name]) for name in needed), *part])
            made |= {found[1]: line for line in part if (found := _DEFINITION.match(line))}
        for k, part in enumerate(self.row.parts):
            defined = dict.fromkeys(found[1] for line in part if (found := _DEFINITION.match(line)))
            loops[k] += [f"{self.places[name]} = {self._stored(name)}" for name in defined if name in self.places]
        body = [line for loop in loops for line in ("for i in range(rows):", *indented([f"{self.variable} = q + i", *loop]))]
        return [f"for q in range(0, {self.count}, {BLOCK_ROWS}):", *indented([f"rows = min({BLOCK_ROWS}, {self.count} - q)", *body])]

    def _again(self, name: str, line: str) -> str:
        """Have a name of an earlier part in a later one: an offset or what was read is got again, what was computed was kept."""
        dtype = self.dtypes.get(name)
        if dtype is None:
            return line
        if name not in self.places:
            array = f"s{len(self.kept)}"
            self.kept[array], self.places[name] = dtype, f"{array}[i]"
        return f"{name} = {self.places[name]}{' != 0' if dtype.kind == 'b' else ''}"

    def _stored(self, name: str) -> str:
        return f"uint8({name})" if self.dtypes[name].kind == "b" else name

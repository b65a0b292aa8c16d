"""The table that ``Module.summary()`` gives: layers, output shapes, parameter counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradus import dtypes
from gradus.autograd import no_grad
from gradus.tensors import Tensor
from gradus.torch_names import zeros

if TYPE_CHECKING:
    from gradus.nn.module import Module


@dataclass
class Row:
    """One layer: its name, indented and with a blank after it, its class, the shape of its output, the count of its own parameters."""

    name: str
    layer: str
    output: str
    parameters: int


@dataclass
class Summary:
    """Layers and parameter counts of a model; printing it draws the table.

    Attributes:
        rows: one for each module, in the order of ``named_modules``.
        parameters: how many numbers the parameters hold, shared ones counted once.
        trainable: how many of them require a gradient.
        bytes: the memory of parameters and buffers.
    """

    rows: list[Row]
    parameters: int
    trainable: int
    bytes: int

    def __str__(self) -> str:
        body = [(f"{row.name}{row.layer}", row.output, f"{row.parameters:,}" if row.parameters else "") for row in self.rows]
        columns = [
            list(column) for column in zip(("layer", "output", "parameters"), *body, ("total", "", f"{self.parameters:,}"), strict=True)
        ]
        if not any(row.output for row in self.rows):
            del columns[1]
        widths = [max(map(len, column)) for column in columns]
        aligned = [[cell.ljust(width) for cell in column] for column, width in zip(columns[:-1], widths, strict=False)]
        aligned.append([cell.rjust(widths[-1]) for cell in columns[-1]])
        head, *lines, total = ["  ".join(cells).rstrip() for cells in zip(*aligned, strict=True)]
        rule = "-" * len(total)
        foot = f"{self.trainable:,} trainable, {self.parameters - self.trainable:,} frozen, {_size(self.bytes)}"
        return "\n".join([head, rule, *lines, rule, total, foot])

    __repr__ = __str__


def _size(count: int) -> str:
    """Bytes in the unit that reads well.

    >>> _size(155_300)
    '155.3 kB'
    """
    if count < 1000:
        return f"{count} B"
    step = min(int(math.log10(count) // 3), 4)
    return f"{count / 1000**step:.1f} {('B', 'kB', 'MB', 'GB', 'TB')[step]}"


def _shapes(y: Any) -> str:
    """The shape of an output, or of each tensor in a tuple of outputs."""
    if isinstance(y, Tensor):
        return str(tuple(y.shape))
    if isinstance(y, (tuple, list)):
        return ", ".join(_shapes(each) for each in y)
    return type(y).__name__


def output_shapes(module: Module, sample: Any) -> dict[int, str]:
    """Output shape of every submodule in one evaluation pass over ``sample`` (a shape or a Tensor); modes are put back."""
    seen: dict[int, str] = {}
    modules = list(module.modules())
    modes = [(each, each.training) for each in modules]
    if not isinstance(sample, Tensor):
        floating = (p.dtype for p in module.parameters() if dtypes.is_floating(p.dtype))
        sample = zeros(tuple(sample), dtype=next(floating, dtypes.get_default_dtype()))

    def note(each: Module, args: tuple[Any, ...], y: Any) -> None:
        seen[id(each)] = _shapes(y)

    handles = [each.register_forward_hook(note) for each in modules]
    try:
        module.eval()
        with no_grad():
            module(sample)
    finally:
        for handle in handles:
            handle.remove()
        for each, mode in modes:
            each.training = mode
    return seen


def summarise(module: Module, sample: Any = None) -> Summary:
    """Build the table of a model; ``sample`` is an input's shape with the batch axis, or an input."""
    shapes = {} if sample is None else output_shapes(module, sample)
    rows = []
    counted: set[int] = set()
    for path, each in module.named_modules():
        own = [p for _, p in each._own("parameter") if id(p) not in counted]
        counted.update(id(p) for p in own)
        depth = path.count(".") + 1 if path else 0
        name = "  " * depth + f"{path.rpartition('.')[2]} " * bool(path)
        rows.append(Row(name, type(each).__name__, shapes.get(id(each), ""), sum(p.numel() for p in own)))
    parameters = list(module.parameters())
    tensors = [*parameters, *module.buffers()]
    return Summary(
        rows,
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(t.numel() * t.dtype.itemsize for t in tensors),
    )

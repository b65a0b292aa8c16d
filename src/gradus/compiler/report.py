"""What a compiled function spends its time on: kernels, their arithmetic, their memory traffic, measured on this machine."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.graph import STATE, Number, Value
from gradus.compiler.plan import Step
from gradus.compiler.program import Program
from gradus.tape import evaluate


class Row(NamedTuple):
    """Equal steps of a program, taken together.

    Attributes:
        name: what they compute.
        calls: how many there are.
        flops: multiplications and additions of all of them (elementwise functions count as one each).
        bytes: read and written by all of them.
        seconds: the shortest time measured for each, added up.
    """

    name: str
    calls: int
    flops: int
    bytes: int
    seconds: float


class Report:
    """A table of rows, the slowest first.

    Attributes:
        rows: the kernels.
        peak: bytes of memory that a run needs beside inputs, states and results.
    """

    def __init__(self, rows: list[Row], peak: int) -> None:
        self.rows, self.peak = sorted(rows, key=lambda row: -row.seconds), peak

    def __str__(self) -> str:
        total = sum(row.seconds for row in self.rows)
        lines = [f"{'calls':>5} {'µs':>10} {'share':>6} {'GFLOP/s':>8} {'GB/s':>7}  kernel"]
        for row in self.rows:
            speed, traffic = row.flops / row.seconds / 1e9, row.bytes / row.seconds / 1e9
            lines.append(f"{row.calls:>5} {row.seconds * 1e6:>10.1f} {row.seconds / total:>6.1%} {speed:>8.1f} {traffic:>7.1f}  {row.name}")
        lines.append(f"{sum(row.calls for row in self.rows):>5} {total * 1e6:>10.1f} µs in all, {self.peak / 1e6:.2f} MB of its own memory")
        return "\n".join(lines)

    __repr__ = __str__


def report(program: Program, rounds: int = 20) -> Report:
    """Time each step of a program alone, on made-up inputs of the right types; states are put back afterwards."""
    states = {id(v.array): v.array for v in program.graph.leaves() if v.kind == STATE}
    kept = [(array, array.copy()) for array in states.values()]
    inputs = [_made_up(v) for v in program.graph.inputs]
    try:
        with np.errstate(all="ignore"):
            seconds = _times(program, inputs, rounds)
    finally:
        for array, copy in kept:
            np.copyto(array, copy)
    found: dict[str, Row] = {}
    for step, taken in zip(program.plan.steps, seconds, strict=True):
        name = step_name(step)
        old = found.get(name, Row(name, 0, 0, 0, 0.0))
        found[name] = Row(name, old.calls + 1, old.flops + step_flops(step), old.bytes + step_bytes(step), old.seconds + taken)
    return Report(list(found.values()), program.plan.arena)


def _made_up(value: Value) -> np.ndarray:
    if value.dtype.kind == "f":
        return np.random.default_rng(0).standard_normal(value.shape).astype(value.dtype)
    return np.zeros(value.shape, value.dtype)


def _times(program: Program, inputs: list[np.ndarray], rounds: int) -> list[float]:
    arrays = [*inputs, *(np.zeros(v.shape, v.dtype) for v in program.plan.fresh)]
    program.run(*inputs)
    for k, array in enumerate(arrays):
        program.object_ids[k] = id(array)
    whole = program.header[:2].copy()
    place = program.header.ctypes.data
    result = program.result.ctypes.data
    seconds, position = [], 0
    for step, source in zip(program.plan.steps, program.sources, strict=True):
        if source is None:
            (call,) = step.calls
            args = [program.array_of(arg, arrays) if isinstance(arg, (Value, Number)) else arg for arg in call.args]
            seconds.append(_shortest(lambda call=call, args=args: evaluate(call.record, args, call.params), rounds))
            continue
        program.header[:2] = position, position + 1
        seconds.append(_shortest(lambda: program.call(result, result + 8, place), rounds))
        position += 1
    program.header[:2] = whole
    return seconds


def _shortest(f: Any, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - start)
    return best


def step_name(step: Step) -> str:
    """What a step computes, in a few words."""
    call = step.calls[-1]
    if step.product is not None:
        p = step.product
        batches = p.counts[0] * p.counts[1]
        return (
            f"product {p.m}x{p.n}x{p.k}" + (f", {batches} of them" if batches > 1 else "") + (", into the weight" if step.descent else "")
        )
    if step.handmade is not None:
        return f"{call.record.name} {list(call.inputs[0].shape)}"
    if step.kernel is not None:
        names = list(dict.fromkeys(c.record.name for c in step.calls))
        text = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        return f"loop over {max(v.size for c in step.calls for v in [*c.inputs, c.output])}: {text}"
    return f"{call.record.name} {list(call.output.shape)}, by NumPy"


def step_flops(step: Step) -> int:
    """Multiplications and additions."""
    if step.product is not None:
        return step.product.flops
    if step.handmade is not None:
        return step.handmade.flops
    return step.kernel.flops if step.kernel is not None else 0


def step_bytes(step: Step) -> int:
    """Bytes of all arrays that a step reads and writes, each once."""
    if step.kernel is not None:
        return sum(value.nbytes for value in dict.fromkeys(value for value, _ in step.kernel.arrays))
    return sum(v.nbytes for v in dict.fromkeys([*step.reads, *step.writes]))

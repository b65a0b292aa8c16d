"""One flat Python function that checks the guards of a program, runs it and wraps its results: about a microsecond for a small model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gradus import dtypes
from gradus.compiler.effects import Argument, Output
from gradus.compiler.flat import FlatText
from gradus.compiler.graph import Number, Value
from gradus.compiler.source_code import define
from gradus.mode import MODE
from gradus.nn.tree import EPOCH
from gradus.tensors import Tensor


def write_direct_call(specialisation: Any, lock: Any, miss: Any) -> Callable[..., Any] | None:
    """The function; it returns ``miss`` when a guard does not hold. None where the result is more than a tensor or a tuple of them."""
    writer = _Writer(specialisation)
    results = writer.results()
    if results is None:
        return None
    writer.scope |= {"lock": lock, "MISS": miss}
    count = len(specialisation.signature)
    checks = "\n            or ".join(writer.conditions()) or "False"
    names = ", ".join([*(f"x{k}=MISS" for k in range(count)), "*more"])
    values = "\n".join(f"        v{k} = x{k}.value" for k in range(count)) or "        pass"
    text = f"""
def call({names}):
    try:
{values}
        if (
            more
            or {checks}
        ):
            return MISS
    except (AttributeError, KeyError, IndexError, ValueError):
        return MISS
    with lock:
        y = program({", ".join(f"v{k}" for k in range(count))})
        count_writes()
{results}
"""
    return define(text, "call", writer.scope)["call"]


class NumberCheck(FlatText):
    """Writes a function that says whether all numbers and options that decided something at the trace are as they were."""

    def __init__(self, numbers: Iterable[tuple[Number, Any]], options: Iterable[tuple[Any, Any, Any]]) -> None:
        super().__init__({})
        for number, example in numbers:
            self.lines.append(f"if {self.number(number)} != {self.name('e', example)}: return False")
        for owner, key, value in options:
            self.lines.append(f"if {self.name('d', owner)}[{key!r}] != {self.name('e', value)}: return False")
        self.text = "def program():\n" + "\n".join("    " + line for line in [*dict.fromkeys(self.lines), "return True"]) + "\n"


class _Writer:
    """Writes the parts of the function's text, and remembers what their names stand for."""

    def __init__(self, specialisation: Any) -> None:
        self.of = specialisation
        self.scope: dict[str, Any] = {
            "program": specialisation.program.run,
            "count_writes": specialisation.count_writes,
            "new": Tensor.__new__,
            "Tensor": Tensor,
        }
        self.names: dict[int, str] = {}

    def bind(self, thing: Any) -> str:
        """A name for an object."""
        if id(thing) not in self.names:
            self.names[id(thing)] = f"o{len(self.names)}"
            self.scope[self.names[id(thing)]] = thing
        return self.names[id(thing)]

    def conditions(self) -> list[str]:
        """Expressions of which one is true when the program does not fit; what changes most comes first."""
        of = self.of
        found: list[str] = []
        for k, entry in enumerate(of.signature):
            shape, dtype, strides, requires_grad, no_grad, _ = entry
            found += [f"v{k}.shape != {shape}", f"v{k}.dtype is not {self.bind(dtype)}", f"v{k}.strides != {strides}"]
            found += [f"x{k}.requires_grad is not {requires_grad}", f"x{k}._grad is {'not ' if no_grad else ''}None"]
            found += [f"x{k} is x{j}" for j in range(k)]
        mode, ndarray = self.bind(MODE), self.bind(np.ndarray)
        found += [f"type(v{k}) is not {ndarray}" for k in range(len(of.signature))]
        found.append(f"not {mode}.plain" if of.grad_enabled else f"{mode}.grad_enabled or {mode}.world is not None")
        found.append(f"{self.bind(EPOCH)}[0] != {self.bind(of.surroundings)}.epoch")
        found.append(f"{self.bind(dtypes._default)}[0] is not {self.bind(of.default_dtype)}")
        if of.updated.arrays:
            found += [self.meets_updated(f"v{k}") for k in range(len(of.signature))]
        # Where nothing is written, arrays of tensors are asked who they are only: their shapes would cost as much as all else.
        for array in [array for array, _ in of.forms] if of.updated.arrays else of.external:
            found.append(f"{self.bind(array)}.shape != {array.shape}")
        found += [f"not {self.bind(array)}.flags.writeable" for array in of.updated.arrays]
        for state in of.states:
            tensor = self.bind(state.tensor)
            found.append(f"{tensor}.value is not {self.bind(state.array)}")
            found.append(f"{tensor}.requires_grad is not {state.requires_grad}")
            found.append(f"{tensor}._hooks")
            found.append(f"{tensor}._grad is {'not ' if state.grad is None else ''}None")
            if state.grad is not None and id(state.grad) in of.traced.trace.states:
                found.append(f"{tensor}._grad is not {self.bind(state.grad)}")
        found += [guard.broken_if(self.bind) for guard in of.surroundings.guards]
        if of.number_guards or of.leaf_guards:
            self.scope["numbers_hold"] = NumberCheck(of.number_guards, of.leaf_guards).compiled()
            found.append("not numbers_hold()")
        return found

    def meets_updated(self, name: str) -> str:
        """An expression that is true where an argument may lie in memory that a run writes to."""
        updated = self.of.updated
        meets, known = f"{self.bind(updated)}.meets({name})", self.bind(updated.identities)
        if updated.foreign:
            return meets
        base = f"{name}.base"  # an array of its own, or a view of one, needs no look at addresses
        plain = f"id({base}) not in {known} and type({base}) is {self.bind(np.ndarray)} and {base}.flags.owndata"
        return f"id({name}) in {known} or not {name}.flags.owndata and not ({plain}) and {meets}"

    def results(self) -> str | None:
        """The lines that turn arrays into what the function returns."""
        of, lines = self.of, []
        for tensor, value in of.traced.grads:
            if value is None:
                lines.append(f"{self.bind(tensor)}._grad = None")
            else:
                lines += [f"g = new(Tensor); g.value = y[{of.index(value)}]", f"{self.bind(tensor)}._grad = g"]
        result = of.traced.result
        parts = list(result) if type(result) is tuple else [result]
        names = []
        for k, part in enumerate(parts):
            if isinstance(part, Output):
                lines.append(f"t{k} = new(Tensor); t{k}.value = y[{of.index(part.value)}]")
                if part.requires_grad:
                    lines.append(f"t{k}.requires_grad = True; t{k}.node = {self.bind(of.outside)}")
                names.append(f"t{k}")
            elif isinstance(part, (Number, Value, Argument, list, dict, tuple)):
                return None
            else:
                names.append(self.bind(part))
        returned = f"({', '.join(names)},)" if type(result) is tuple else names[0]
        return "\n".join("        " + line for line in [*lines, f"return {returned}"])

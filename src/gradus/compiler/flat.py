"""A flat Python function as text, and what it refers to: objects under short names, and numbers computed once each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradus.compiler.graph import Number
from gradus.compiler.passes.sharing import number_key
from gradus.compiler.source_code import define


class FlatText:
    """Lines of a function in the making.

    Attributes:
        scope: what the text's global names stand for.
        lines: the body.
        text: the whole, once it is written.
    """

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}
        self.known: dict[Any, int] = {}
        self.text = ""

    def compiled(self) -> Callable[..., Any]:
        """The function itself."""
        # A module of the package, whose warnings of NumPy are silent as elsewhere.
        scope = {"__name__": f"{__name__}.program", **self.scope}
        return define(self.text, "program", scope)["program"]

    def bind(self, name: str, thing: Any) -> None:
        """Let a name of the text stand for an object."""
        self.scope[name] = thing

    def name(self, letter: str, thing: Any) -> str:
        """A name for an object that the text cannot spell."""
        key = (letter, id(thing))
        if key not in self.names:
            self.names[key] = f"{letter}{sum(1 for k in self.names if type(k) is tuple and k[0] == letter)}"
            self.scope[self.names[key]] = thing
        return self.names[key]

    def name_of_number(self, number: Number) -> str:
        """A new name for a number."""
        return f"h{sum(1 for k in self.names if type(k) is tuple and k[0] == 'number')}"

    def number(self, number: Any) -> str:
        """The name of a number, computed once."""
        if not isinstance(number, Number):
            return repr(number) if math.isfinite(number) else f"float({str(number)!r})"
        form = number_key(number, self.known)
        key = ("number", form)
        if key not in self.names:
            if number.operation == "[]":
                text = f"{self.number(number.operands[0])}[{number.operands[1]}]"
            elif number.operation:
                a, b = [self.number(x) for x in number.operands]
                text = f"{a} {number.operation} {b}" if not b.startswith("-") else f"{a} {number.operation} ({b})"
                text = f"({a}) {text[len(a) + 1 :]}" if a.startswith("-") else text
            else:
                text = f"{self.name('d', number.owner)}[{number.key!r}]"
            self.names[key] = self.name_of_number(number)
            self.lines.append(f"{self.names[key]} = {text}")
        return self.names[key]

    def write_numbers(self, written: list[tuple[Any, Any, Any]]) -> None:
        """What a step leaves in dictionaries: (owner, key, number or other value)."""
        for owner, key, value in written:
            text = self.number(value) if isinstance(value, Number) else self.name("q", value)
            self.lines.append(f"{self.name('d', owner)}[{key!r}] = {text}")

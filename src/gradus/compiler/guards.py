"""Guards: the Python values that a function reads from outside, and whether they are still what they were when it was traced.

From the function's closure, defaults, globals and ``self``, everything it can name is walked: modules and their settings, lists and
dictionaries, plain objects (their attributes, as far as some reachable code names them), and other functions. Numbers, texts and flags are
compared by value, everything else by identity. Tensors are not looked into: their memory is read at each run.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gradus.nn.tree import EPOCH, Tree
from gradus.optim.optimizer import Optimizer
from gradus.ops.random import Generator
from gradus.tensors import Tensor

LEAVES = (bool, int, float, str, bytes, type(None), np.generic, np.dtype)
MISSING = object()


class Place(NamedTuple):
    """Where a Python value is kept.

    Attributes:
        form: "item" (``owner[key]``), "attribute", "cell" (of a closure) or "length".
    """

    form: str
    owner: Any
    key: Any = None

    def read(self) -> Any:
        """The value there now."""
        if self.form == "item":
            return self.owner[self.key]
        if self.form == "attribute":
            return getattr(self.owner, self.key)
        return self.owner.cell_contents if self.form == "cell" else len(self.owner)

    def spelled(self, bind: Callable[[Any], str]) -> str:
        """The same as an expression; ``bind`` gives an object a name."""
        owner = bind(self.owner)
        if self.form == "item":
            return f"{owner}[{repr(self.key) if type(self.key) in (str, int) else bind(self.key)}]"
        if self.form == "attribute":
            return f"{owner}.{self.key}"
        return f"{owner}.cell_contents" if self.form == "cell" else f"len({owner})"


class Guard:
    """One thing that must still be so: at a place is the object that was found there, or an equal leaf.

    Attributes:
        text: how a person would name it: ``model.training``, ``layers[2]``.
    """

    __slots__ = ("text", "place", "expected", "leaf")

    def __init__(self, text: str, place: Place, expected: Any) -> None:
        self.text, self.place, self.expected = text, place, expected
        self.leaf = isinstance(expected, LEAVES)

    def read(self) -> Any:
        """What is there now."""
        return self.place.read()

    def holds(self) -> bool:
        """Whether nothing has changed."""
        try:
            found = self.read()
        except (KeyError, IndexError, AttributeError, ValueError):
            return False
        if self.leaf:
            return type(found) is type(self.expected) and bool(found == self.expected or found != found)
        return found is self.expected

    def broken_if(self, bind: Callable[[Any], str]) -> str:
        """An expression that is true when it no longer holds."""
        there = self.place.spelled(bind)
        if self.expected is None or type(self.expected) is bool or not self.leaf:
            return f"{there} is not {self.expected if self.leaf else bind(self.expected)}"
        if type(self.expected) in (int, str) and self.place.form == "length":
            return f"{there} != {self.expected}"
        return f"not {bind(self)}.holds()"


class Surroundings:
    """All that a function reads from outside.

    Attributes:
        guards: what to compare at each call.
        module_guards: settings of modules, compared only after some module changed.
        arrays: identities of the NumPy arrays found: their content is read at each run.
        numbers: dictionaries whose numbers are symbols of the trace (options and state of optimisers, random streams).
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.guards: list[Guard] = []
        self.module_guards: list[Guard] = []
        self.arrays: set[int] = set()
        self.names = _names_in(function)
        self.seen: set[int] = set()
        self.kept: list[Any] = []
        self._function("", function)
        self.epoch = EPOCH[0]

    def hold(self) -> bool:
        """Whether everything is as it was."""
        if self.epoch != EPOCH[0]:
            if not all(guard.holds() for guard in self.module_guards):
                return False
            self.epoch = EPOCH[0]
        return all(guard.holds() for guard in self.guards)

    def broken(self) -> str:
        """The first thing that changed, in words."""
        for guard in [*self.guards, *self.module_guards]:
            if not guard.holds():
                try:
                    now = guard.read()
                except (KeyError, IndexError, AttributeError, ValueError):
                    now = "gone"
                return f"{guard.text}: {_short(guard.expected)} became {_short(now)}"
        return ""

    # The walk.

    def _add(self, text: str, place: Place, value: Any, of_module: bool = False) -> None:
        (self.module_guards if of_module else self.guards).append(Guard(text, place, value))
        if not isinstance(value, LEAVES):
            self._visit(text, value)

    def _visit(self, text: str, value: Any) -> None:
        if id(value) in self.seen:
            return
        self.seen.add(id(value))
        self.kept.append(value)
        if isinstance(value, np.ndarray):
            self.arrays.add(id(value))
        elif isinstance(value, (Tensor, Generator, types.ModuleType, type)) or _is_library(value):
            return
        elif isinstance(value, Tree):
            self._module(text, value)
        elif isinstance(value, Optimizer):
            self._optimizer(text, value)
        elif isinstance(value, types.FunctionType | types.MethodType):
            self._function(text, value)
        elif isinstance(value, (list, tuple, dict, set)):
            self._container(text, value)
        else:
            self._object(text, value)

    def _function(self, text: str, function: Any) -> None:
        if isinstance(function, types.MethodType):
            self._visit("self", function.__self__)
            function = function.__func__
        if not isinstance(function, types.FunctionType):
            if not text:
                self._visit(getattr(type(function), "__name__", "function"), function)
            return
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._cell(name, cell)
        for name in _global_names(code):
            if name in function.__globals__:
                table = function.__globals__
                self._add(name, Place("item", table, name), table[name])
        for k, default in enumerate(function.__defaults__ or ()):
            self._visit(f"{text or function.__name__}'s default {k}", default)

    def _cell(self, name: str, cell: Any) -> None:
        try:
            value = cell.cell_contents
        except ValueError:
            return
        self._add(name, Place("cell", cell), value)

    def _module(self, text: str, module: Tree) -> None:
        values = vars(module)
        self.module_guards.append(Guard(f"the attributes of {text}", Place("length", values), len(values)))
        for name, value in values.items():
            if name == "_kinds" or isinstance(value, Tensor):
                continue
            mutable = isinstance(value, (list, dict, set))
            self._add(f"{text}.{name}", Place("item", values, name), value, of_module=not mutable)
        forward = getattr(type(module), "forward", None)
        if isinstance(forward, types.FunctionType) and not _is_library(forward):
            self._visit(f"{text}.forward", forward)

    def _optimizer(self, text: str, optimizer: Optimizer) -> None:
        groups = optimizer.param_groups
        self._add(f"len({text}.param_groups)", Place("length", groups), len(groups))
        for k, group in enumerate(groups):
            params = group["params"]
            self._add(f"len({text}.param_groups[{k}]['params'])", Place("length", params), len(params))

    def _container(self, text: str, value: Any) -> None:
        self.guards.append(Guard(f"len({text})", Place("length", value), len(value)))
        if isinstance(value, set):
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(items):
            self._add(f"{text}[{key!r}]", Place("item", value, key), item)

    def _object(self, text: str, value: Any) -> None:
        """A user's object: the attributes that some reachable code names."""
        for name, item in list(getattr(value, "__dict__", {}).items()):
            if name in self.names:
                self._add(f"{text}.{name}", Place("attribute", value, name), item)
        for function in vars(type(value)).values():
            if isinstance(function, types.FunctionType) and function.__name__ in self.names:
                self._visit(f"{text}.{function.__name__}", function)


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, LEAVES) else f"a {type(value).__name__}"
    return text if len(text) < 60 else text[:57] + "..."


def _is_library(value: Any) -> bool:
    """Whether an object belongs to Gradus, NumPy or Python itself, whose settings a trace reads by other ways."""
    module = getattr(value, "__module__", None) if callable(value) else type(value).__module__
    return isinstance(module, str) and module.split(".")[0] in ("gradus", "numpy", "builtins", "math", "functools") and not isinstance(value, (Tree, Optimizer, list, dict, tuple, set))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _global_names(code: types.CodeType) -> list[str]:
    return list(dict.fromkeys(name for inner in _codes(code) for name in inner.co_names))


def _names_in(function: Any, seen: set[int] | None = None) -> set[str]:
    """Every name that a function, and the Python functions it can reach by name, uses for attributes and globals."""
    seen = set() if seen is None else seen
    function = getattr(function, "__func__", function)
    if id(function) in seen or not isinstance(function, types.FunctionType):
        return set()
    seen.add(id(function))
    names = set(_global_names(function.__code__))
    reachable = [function.__globals__.get(name) for name in names]
    for cell in function.__closure__ or ():
        try:
            reachable.append(cell.cell_contents)
        except ValueError:
            continue
    for value in reachable:
        if isinstance(value, types.FunctionType | types.MethodType) and not _is_library(value):
            names |= _names_in(value, seen)
        elif value is not None and not isinstance(value, (types.ModuleType, type, Tensor)) and not _is_library(value):
            for method in vars(type(value)).values():
                if isinstance(method, types.FunctionType):
                    names |= _names_in(method, seen)
    return names

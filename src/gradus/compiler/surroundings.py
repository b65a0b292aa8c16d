"""What a function reads from outside: everything it can name is walked, and each thing found gets a guard.

From the function's closure, defaults, globals and arguments: modules and their settings, lists and dictionaries, plain objects and classes
(their attributes, as far as some reachable code names them), optimisers, and other functions. Tensors are not looked into: their memory is
read at each run. Generators of random numbers other than Gradus' own, and iterators, are remembered, because a trace that draws from one is
refused.
"""

from __future__ import annotations

import dis
import functools
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradus.compiler.guards import LEAVES, Guard, Place, short
from gradus.compiler.iterators import is_iterator, position
from gradus.errors import TraceError
from gradus.nn.hooks import Hooks
from gradus.nn.tree import EPOCH, Tree
from gradus.ops.random import Generator
from gradus.optim.optimizer import Optimizer
from gradus.tensors import Tensor

DICE = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
LIBRARIES = {"gradus", "numpy", "builtins", *sys.stdlib_module_names} - {"__main__", "types"}

# Methods that Python calls, but not where a step uses an object that exists already.
MAKING = frozenset({"__init__", "__post_init__", "__new__"})
SHOWING = frozenset({"__repr__", "__str__", "__eq__", "__ne__", "__hash__", "__del__", "__getstate__", "__setstate__", "__reduce__"})


class Remembered(NamedTuple):
    """An optimiser's options and state before the trace, whose tensors a trace must neither make nor replace."""

    optimizer: Optimizer
    groups: list[dict[str, Any]]
    state: dict[Tensor, dict[str, Any]]

    def grown(self) -> bool:
        """Whether state was made."""
        return any(p not in self.state or set(state) - set(self.state[p]) for p, state in self.optimizer.state.items() if state)

    def changed_option(self) -> str:
        """An option that is another one now, in words; "" if there is none."""
        for k, (old, new) in enumerate(zip(self.groups, self.optimizer.param_groups, strict=False)):
            for name, value in old.items():
                if new.get(name) is not value:
                    return f"param_groups[{k}][{name!r}]: {value!r} became {new.get(name)!r}"
        return ""

    def undo(self) -> None:
        """Options and state as they were."""
        for old, new in zip(self.groups, self.optimizer.param_groups, strict=False):
            new.update(old)
        for p in [p for p in self.optimizer.state if p not in self.state]:
            del self.optimizer.state[p]
        for p, state in self.state.items():
            for name in [name for name in self.optimizer.state[p] if name not in state]:
                del self.optimizer.state[p][name]


def _faces(generator: Any) -> str:
    """Where a generator of random numbers stands."""
    if isinstance(generator, random.Random):
        return repr(generator.getstate())
    if isinstance(generator, np.random.Generator):
        generator = generator.bit_generator
    if isinstance(generator, np.random.RandomState):
        generator = generator.get_state
    found = generator() if callable(generator) else generator.state
    return "".join(x.tobytes().hex() if isinstance(x, np.ndarray) else repr(x) for x in (found if isinstance(found, tuple) else (found,)))


class Surroundings:
    """All that a function reads from outside.

    Attributes:
        guards: what to compare at each call.
        module_guards: settings of modules, compared only after some module changed.
        arrays: identities of the NumPy arrays found: their content is read at each run.
        tensors: the tensors found, by identity.
        optimizers: the optimisers found, as they were.
        dice: generators of random numbers other than Gradus' own.
        iterators: what each is called, itself, and where it stood.
        methods: class and name of those that have a guard.
        names: all names that reachable code uses.
    """

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any] = ()) -> None:
        self.names: set[str] = set()
        known = -1
        while len(self.names) != known:  # a function found late may name attributes of objects found early
            known = len(self.names)
            self.guards: list[Guard] = []
            self.module_guards: list[Guard] = []
            self.arrays: set[int] = set()
            self.tensors: dict[int, Tensor] = {}
            self.optimizers: list[Remembered] = []
            self.dice: list[Any] = []
            self.iterators: list[tuple[str, Any, str]] = []
            self.methods: set[tuple[type, str]] = set()
            self.seen: dict[int, Any] = {}
            self._visit("", function)
            for k, argument in enumerate(arguments):
                if not isinstance(argument, (Tensor, *LEAVES)):
                    self._visit(f"argument {k}", argument)
        self.epoch = EPOCH[0]
        self.grown, self.changed, self.rolled, self.moved = False, "", False, ""
        self.dice += [random.getstate, np.random.get_state]
        self.dice_before = [_faces(generator) for generator in self.dice]

    def hold(self) -> bool:
        """Whether everything is as it was."""
        if self.epoch != EPOCH[0]:
            if not all(guard.holds() for guard in self.module_guards):
                return False
            self.epoch = EPOCH[0]
        return all(guard.holds() for guard in self.guards)

    def broken(self) -> str:
        """The first thing that changed, in words."""
        return next((guard.told() for guard in [*self.guards, *self.module_guards] if not guard.holds()), "")

    def undo(self) -> None:
        """Optimisers as they were; whether the function made state or changed options is noted in ``grown`` and ``changed``.

        What no undoing helps is noted, too: generators that were ``rolled``, an iterator that ``moved``.
        """
        self.grown = any(remembered.grown() for remembered in self.optimizers)
        self.changed = next((text for text in (remembered.changed_option() for remembered in self.optimizers) if text), "")
        self.rolled = self.rolled or self.dice_before != [_faces(generator) for generator in self.dice]
        self.moved = next((text for text, iterator, before in self.iterators if position(iterator) != before), "")
        for remembered in self.optimizers:
            remembered.undo()

    # The walk.

    def _add(self, text: str, place: Place, value: Any, of_module: bool = False) -> None:
        if not (isinstance(value, types.ModuleType) and _is_library(value)):
            (self.module_guards if of_module else self.guards).append(Guard(text, place, value))
        if not isinstance(value, LEAVES):
            self._visit(text, value)

    def _visit(self, text: str, value: Any) -> None:
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        for kinds, visit in VISITORS:
            if isinstance(value, kinds):
                visit(self, text, value)
                return
        if is_iterator(value):
            self.iterators.append((text, value, position(value)))
        elif not _is_library(value):
            self._object(text, value)
        elif callable(value) and hasattr(value, "__wrapped__"):
            self._visit(text, value.__wrapped__)

    def _tensor(self, text: str, tensor: Tensor) -> None:
        self.tensors[id(tensor)] = tensor
        for hook in (tensor._hooks or {}).values():
            self._visit(f"a hook of {text}", hook)

    def _array(self, text: str, array: np.ndarray) -> None:
        self.arrays.add(id(array))

    def _dice(self, text: str, generator: Any) -> None:
        self.dice.append(generator)

    def _nothing(self, text: str, value: Any) -> None:
        """A generator of Gradus: its counter is a number of the step."""

    def _partial(self, text: str, value: functools.partial[Any]) -> None:
        for part in (value.func, *value.args, *value.keywords.values()):
            if not isinstance(part, LEAVES):
                self._visit(text, part)

    def _method(self, text: str, method: types.MethodType) -> None:
        self._visit("self", method.__self__)
        self._visit(text, method.__func__)

    def _function(self, text: str, function: types.FunctionType) -> None:
        code, own = function.__code__, not _is_library(function)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._cell(name, cell, own)
        if not own:
            return
        self.names.update(name for inner in _codes(code) for name in inner.co_names)
        table = function.__globals__
        for name in _global_names(code):
            if name in table:
                self._add(name, Place("item", table, name), table[name])
        for form in ("__defaults__", "__kwdefaults__"):
            defaults = getattr(function, form)
            if defaults is not None:
                self._add(f"{function.__name__}.{form}", Place("attribute", function, form), defaults)

    def _cell(self, name: str, cell: Any, own: bool) -> None:
        try:
            value = cell.cell_contents
        except ValueError:
            return  # not bound yet
        if own:
            self._add(name, Place("cell", cell), value)
        elif not isinstance(value, LEAVES):
            self._visit(name, value)

    def _module(self, text: str, module: Tree) -> None:
        values = vars(module)
        self.module_guards.append(Guard(f"the attributes of {text or type(module).__name__}", Place("length", values), len(values)))
        for name, value in values.items():
            if name != "_kinds":
                mutable = isinstance(value, (list, dict, set, deque))
                self._add(f"{text or type(module).__name__}.{name}", Place("item", values, name), value, of_module=not mutable)
        self._methods(type(module))

    def _hooks(self, text: str, hooks: Hooks) -> None:
        self._visit(text, hooks.before)
        self._visit(text, hooks.after)
        self._visit(text, hooks.back)

    def _optimizer(self, text: str, optimizer: Optimizer) -> None:
        groups, state = optimizer.param_groups, optimizer.state
        self.optimizers.append(Remembered(optimizer, [dict(group) for group in groups], {p: dict(s) for p, s in state.items()}))
        attributes = vars(optimizer)
        for table in (state, *state.values(), groups, *groups, *(group["params"] for group in groups)):
            self.seen[id(table)] = table  # their numbers are symbols of the step, not values to guard
        self._add(f"{text}.state", Place("item", attributes, "state"), state)
        self._add(f"len({text}.param_groups)", Place("length", groups), len(groups))
        for k, group in enumerate(groups):
            params = group["params"]
            self._add(f"len({text}.param_groups[{k}]['params'])", Place("length", params), len(params))
            for j, p in enumerate(params):
                self._add(f"{text}.param_groups[{k}]['params'][{j}]", Place("item", params, j), p)
        for p, remembered in state.items():
            self.guards.append(Guard(f"{text}.state of a {p.dtype}{list(p.shape)}", Place("item", state, p), remembered))
            for name, value in remembered.items():
                if isinstance(value, Tensor):
                    self._add(f"{text}.state[p][{name!r}]", Place("item", remembered, name), value)
        for name, value in attributes.items():
            if name in self.names and name not in ("state", "param_groups", "defaults"):
                self._add(f"{text}.{name}", Place("item", attributes, name), value)
        self._methods(type(optimizer))

    def _container(self, text: str, value: Any) -> None:
        if isinstance(value, (set, frozenset)):
            self.guards.append(Guard(text, Place("members", value), frozenset(value)))
            return
        if type(value) is tuple:  # whoever holds it is asked whether it is the same one, and then its items are
            for key, item in enumerate(value):
                if not isinstance(item, LEAVES):
                    self._visit(f"{text}[{key}]", item)
            return
        self.guards.append(Guard(f"len({text})", Place("length", value), len(value)))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(items):
            self._add(f"{text}[{short(key)}]", Place("item", value, key), item)

    def _python_module(self, text: str, module: types.ModuleType) -> None:
        if not _is_library(module):
            self._named(text, module, vars(module))

    def _class(self, text: str, cls: type) -> None:
        """A user's class, as a bag of settings and as something that is called."""
        if not _is_library(cls):
            for base in cls.__mro__:
                self._named(text, cls, {} if _is_library(base) else vars(base))
            self._methods(cls, unused=SHOWING)

    def _object(self, text: str, value: Any) -> None:
        """A user's object: the attributes that some reachable code names, of its own or of its class, and its methods."""
        tables = [getattr(value, "__dict__", {}), *(vars(cls) for cls in type(value).__mro__ if not _is_library(cls))]
        known: set[str] = set()
        for table in tables:
            self._named(text or type(value).__name__, value, {name: item for name, item in table.items() if name not in known})
            known |= set(table)
        self._methods(type(value))

    def _named(self, text: str, owner: Any, table: Any) -> None:
        """Those entries of a table of attributes that reachable code names."""
        for name, item in list(table.items()):
            if name not in self.names or isinstance(item, (types.FunctionType, property, staticmethod, classmethod)):
                if name in self.names and isinstance(item, types.FunctionType):
                    self._visit(f"{text}.{name}", item)
                continue
            if hasattr(type(item), "__get__") and hasattr(item, "__wrapped__"):  # a compiled method, which an instance has in its own way
                self._visit(f"{text}.{name}", item.__wrapped__)
                continue
            if isinstance(item, types.MemberDescriptorType):
                if not hasattr(owner, name):
                    continue
                item = getattr(owner, name)
            self._add(f"{text}.{name}", Place("attribute", owner, name), item)

    def _methods(self, cls: type, unused: frozenset[str] = MAKING | SHOWING) -> None:
        """The methods of a user's class that reachable code names, or that Python calls, such as ``__call__``."""
        for base in cls.__mro__:
            for name, kept in () if _is_library(base) else vars(base).items():
                item = kept.fget if isinstance(kept, property) else getattr(kept, "__func__", kept)
                named = name in self.names or (name.startswith("__") and name not in unused) or name == "forward"
                if isinstance(item, types.FunctionType) and named:
                    text = f"{cls.__name__}.{name}"
                    if getattr(cls, name, None) is kept and (cls, name) not in self.methods:
                        self.methods.add((cls, name))
                        self.guards.append(Guard(text, Place("attribute", cls, name), kept))
                    self._visit(text, item)


VISITORS: list[tuple[Any, Callable[[Surroundings, str, Any], None]]] = [
    (Tensor, Surroundings._tensor),
    (np.ndarray, Surroundings._array),
    (DICE, Surroundings._dice),
    (Generator, Surroundings._nothing),
    (Tree, Surroundings._module),
    (Optimizer, Surroundings._optimizer),
    (Hooks, Surroundings._hooks),
    (types.FunctionType, Surroundings._function),
    (types.MethodType, Surroundings._method),
    (functools.partial, Surroundings._partial),
    ((list, tuple, dict, set, frozenset, deque), Surroundings._container),
    (types.ModuleType, Surroundings._python_module),
    (type, Surroundings._class),
]


def _is_library(value: Any) -> bool:
    """Whether something belongs to Gradus, another installed package or Python itself, whose settings a trace reads by other ways."""
    if isinstance(value, types.ModuleType):
        name, file = value.__name__, getattr(value, "__file__", None) or ""
        return name.split(".")[0] in LIBRARIES or "site-packages" in file
    module = value.__module__ if isinstance(value, (type, types.FunctionType)) else type(value).__module__
    return isinstance(module, str) and module.split(".")[0] in LIBRARIES


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _global_names(code: types.CodeType) -> list[str]:
    """The globals, and only these, that a function and those inside it read."""
    instructions = (i for inner in _codes(code) for i in dis.get_instructions(inner))
    return list(dict.fromkeys(i.argval for i in instructions if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")))


def _where(function: Callable[..., Any]) -> str:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno} in {code.co_name}" if code else ""


def refuse_taken_items(surroundings: Surroundings, function: Callable[..., Any]) -> None:
    """Raise if a trace took an item from an iterator that was there before."""
    if surroundings.moved:
        raise TraceError(
            "a compiled function cannot take items from an iterator: the item of the trace would be repeated for ever",
            got=f"{surroundings.moved}, an iterator that moved during the trace",
            wanted="what changes from call to call as an argument",
            fix="for x, y in loader: step(x, y)",
            where=_where(function),
            code="E42",
        )


def refuse_changes(surroundings: Surroundings, function: Callable[..., Any]) -> None:
    """Raise if something other than tensors changed while a function was traced."""
    where = _where(function)
    if surroundings.rolled:
        raise TraceError(
            "a compiled function cannot draw from np.random or random: the numbers of the trace would be repeated for ever",
            got="a generator of NumPy or Python that moved during the trace",
            wanted="Gradus' generator, whose counter is part of the step",
            fix="gradus.rand(shape), gradus.randn(shape) or F.dropout",
            where=where,
            code="E42",
        )
    refuse_taken_items(surroundings, function)
    if surroundings.changed or not surroundings.hold():
        raise TraceError(
            "a Python value changed while the function was traced",
            got=surroundings.changed or surroundings.broken(),
            wanted="a function whose only lasting effects are on tensors",
            why="the change would happen once, at the trace, and never again",
            fix="make the change outside the compiled function",
            where=where,
            code="E42",
        )

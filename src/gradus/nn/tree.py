"""Tree: parameters, buffers and submodules of a module, found by the names of the attributes that hold them.

A module is a plain object: its values live in its ``__dict__`` and are read at the speed of any attribute. Beside them it keeps one
ordered table, ``_kinds``, that says which of the names is a parameter, a buffer or a submodule. Everything else here is a walk over
that table. It is made before ``__init__`` runs, so a subclass need not call ``super().__init__()`` (calling it is fine).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from gradus.errors import UsageError
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor

PARAMETER, BUFFER, TRANSIENT, MODULE = "parameter", "buffer", "transient buffer", "module"
HOLDS = {PARAMETER: "an nn.Parameter", BUFFER: "a Tensor", TRANSIENT: "a Tensor", MODULE: "an nn.Module"}

#: Counts changes to any module's attributes, so that who relies on them (a compiled function) knows when to look again.
EPOCH = [0]


class Tree:
    """What :class:`gradus.nn.Module` is made of before it computes anything: names, and walks over them."""

    _kinds: dict[str, str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        vars(self)["_kinds"] = {}
        return self

    # Registration: by assignment, or by name.

    def __setattr__(self, name: str, value: Any) -> None:
        kind = PARAMETER if isinstance(value, Parameter) else MODULE if isinstance(value, Tree) else ""
        known = self._kinds.get(name, "")
        if kind:
            self._enter(name, kind)
        elif known and value is not None and not (known in (BUFFER, TRANSIENT) and isinstance(value, Tensor)):
            raise UsageError(
                f"{type(self).__name__}.{name} holds {HOLDS[known]}, and this assignment would drop it from the model",
                got=f"a value of type {type(value).__name__}",
                wanted=f"{HOLDS[known]} or None",
                why="an update such as w = w - lr * g makes a new tensor" if known == PARAMETER and isinstance(value, Tensor) else "",
                fix=f"with gradus.no_grad(): module.{name}.copy_(value)" if known == PARAMETER else f"del module.{name} first",
            )
        elif getattr(type(value), "stands_for_function", False):
            self._refuse_hidden(name, value)
        EPOCH[0] += 1
        object.__setattr__(self, name, value)

    def _refuse_hidden(self, name: str, compiled: Any) -> None:
        """Raise for a compiled module whose parameters nobody would find here."""
        inner = compiled.function
        if isinstance(inner, Tree) and not any(module is inner for module in self.modules()):
            raise UsageError(
                f"{type(self).__name__}.{name} would hide the parameters of a compiled {type(inner).__name__}",
                got="a compiled module, which is no nn.Module",
                wanted="modules as parts of a model, compiled as a whole",
                why="parameters() and state_dict() would leave it out, so it would neither be trained nor saved",
                fix=f"self.{name} = {type(inner).__name__}(…), and gradus.compile around the model or its training step",
            )

    def __delattr__(self, name: str) -> None:
        EPOCH[0] += 1
        object.__delattr__(self, name)
        self._kinds.pop(name, None)

    def _register(self, name: str, value: Any, kind: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise UsageError(f"{name!r} cannot name a {kind}", wanted="a non-empty string without a dot")
        if hasattr(self, name) and name not in self._kinds:
            raise UsageError(f"{type(self).__name__} has an attribute {name!r} already", fix="choose another name")
        self._enter(name, kind)
        EPOCH[0] += 1
        object.__setattr__(self, name, value)

    def _enter(self, name: str, kind: str) -> None:
        """Note what a name holds. A name keeps its place in the order unless it changes its kind."""
        if self._kinds.get(name) != kind:
            self._kinds.pop(name, None)
            self._kinds[name] = kind

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under ``name``. None keeps the name for one that is absent, such as the bias of a layer without bias."""
        if param is not None and not isinstance(param, Parameter):
            raise UsageError(
                f"cannot register {name!r} as a parameter",
                got=type(param).__name__,
                wanted="an nn.Parameter or None",
                fix="nn.Parameter(tensor)",
            )
        self._register(name, param, PARAMETER)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the model's state but not trained. ``persistent=False`` keeps it out of ``state_dict``.

        >>> m = Tree()
        >>> m.register_buffer("mean", None)
        >>> list(m.buffers())
        []
        """
        if tensor is not None and not isinstance(tensor, Tensor):
            raise UsageError(
                f"cannot register {name!r} as a buffer", got=type(tensor).__name__, wanted="a Tensor or None", fix="gradus.tensor(value)"
            )
        self._register(name, tensor, BUFFER if persistent else TRANSIENT)

    def add_module(self, name: str, module: Any) -> None:
        """Add a submodule under ``name``, which may be one that Python's dot cannot spell, such as "0"."""
        if module is not None and not isinstance(module, Tree):
            hint = "nn.ReLU() is the module of the function relu" if callable(module) else ""
            if getattr(type(module), "stands_for_function", False):
                hint = "compile the model or its training step as a whole, not its parts"
            raise UsageError(f"cannot add {name!r} as a submodule", got=type(module).__name__, wanted="an nn.Module", why=hint)
        self._register(name, module, MODULE)

    register_module = add_module

    # Walks over the table.

    def _own(self, *kinds: str) -> Iterator[tuple[str, Any]]:
        """This module's own entries of some kinds, in the order of registration; names that hold None are left out."""
        values = vars(self)
        for name, kind in tuple(self._kinds.items()):
            if kind in kinds and values[name] is not None:
                yield name, values[name]

    @property
    def _modules(self) -> dict[str, Any]:
        values = vars(self)
        return {name: values[name] for name, kind in self._kinds.items() if kind == MODULE and values[name] is not None}

    @property
    def _parameters(self) -> dict[str, Parameter]:
        return dict(self._own(PARAMETER))

    @property
    def _buffers(self) -> dict[str, Tensor]:
        return dict(self._own(BUFFER, TRANSIENT))

    def _named(self, kinds: tuple[str, ...], prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else iter([(prefix, self)])
        for path, module in modules:
            for name, value in module._own(*kinds):
                if remove_duplicate and id(value) in seen:
                    continue
                seen.add(id(value))
                yield f"{path}.{name}" if path else name, value

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Pairs of dotted name and parameter; a parameter that several layers share comes once, under its first name."""
        return self._named((PARAMETER,), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once: what an optimiser takes."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Pairs of dotted name and buffer, each buffer once."""
        return self._named((BUFFER, TRANSIENT), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def named_modules(self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        """Pairs of dotted name and module, this one first (as ""), then its descendants, depth first."""
        memo = set() if memo is None else memo
        if remove_duplicate and id(self) in memo:
            return
        memo.add(id(self))
        yield prefix, self
        for name, child in self._own(MODULE):
            yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Any]:
        """This module and all its descendants, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Pairs of name and direct submodule, each submodule once."""
        seen: set[int] = set()
        for name, child in self._own(MODULE):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Any]:
        """The direct submodules, each once."""
        return (child for _, child in self.named_children())

    def get_submodule(self, target: str) -> Any:
        """The descendant at a dotted path; "" is this module itself."""
        module: Any = self
        for name in target.split(".") if target else ():
            child = vars(module).get(name)
            if not isinstance(child, Tree):
                names = list(module._modules)
                raise UsageError(f"{type(module).__name__} has no submodule {name!r}", got=target, wanted=f"one of {names}", code="E34")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path, such as "0.weight"."""
        path, _, name = target.rpartition(".")
        own = self.get_submodule(path)._parameters
        if name not in own:
            raise UsageError(f"no parameter {target!r}", wanted=f"one of {list(own)}", code="E34")
        return own[name]

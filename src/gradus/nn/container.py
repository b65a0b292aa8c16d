"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from gradus.errors import UsageError
from gradus.nn.module import Module, _indent


class _Row(Module):
    """Submodules in a row, named "0", "1", …, with the manners of a list."""

    def _fill(self, layers: Iterable[tuple[str, Module]]) -> None:
        """Replace the whole row."""
        layers = list(layers)
        for name in self._modules:
            delattr(self, name)
        for name, layer in layers:
            self.add_module(name, layer)

    def _name_at(self, index: int) -> str:
        names = list(self._modules)
        if not -len(names) <= index < len(names):
            raise IndexError(f"index {index} is out of range: {type(self).__name__} has {len(names)} modules")
        return names[index]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        """Remove layers; those that remain are numbered anew."""
        layers = list(self)
        del layers[index]
        self._fill((str(i), layer) for i, layer in enumerate(layers))

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before position ``index``; those after it move up."""
        layers = list(self)
        layers.insert(index, module)
        self._fill((str(i), layer) for i, layer in enumerate(layers))
        return self

    def pop(self, index: int = -1) -> Module:
        """Remove a module and return it."""
        name = self._name_at(index)
        module = self._modules[name]
        del self[list(self._modules).index(name)]
        return module

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)


class Sequential(_Row):
    """Layers applied one after another: ``Sequential(f, g, h)(x) = h(g(f(x)))``.

    Args:
        *layers: modules, or one dict of names to modules.

    Example:
        >>> net = Sequential(Module(), Module())
        >>> net[:1]
        Sequential(
          (0): Module()
        )
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            self._fill(layers[0].items())
        else:
            if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
                raise UsageError(
                    "Sequential takes its layers one by one", got=f"one {type(layers[0]).__name__}", fix="nn.Sequential(*layers)"
                )
            self._fill((str(i), layer) for i, layer in enumerate(layers))  # type: ignore[misc]

    def forward(self, x: Any) -> Any:
        """The last layer's output."""
        for layer in self._modules.values():
            x = layer(x)
        return x

    def __getitem__(self, index: int | slice) -> Any:
        """One layer, or for a slice a Sequential of the same layer objects under the same names."""
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        return self._modules[self._name_at(index)]

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *other)


class ModuleList(_Row):
    """A list whose modules are registered, so that their parameters are found. It has no ``forward``: index or iterate.

    Args:
        modules: any iterable of modules.

    Example:
        >>> len(ModuleList(Module() for _ in range(3)))
        3
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())

    def __getitem__(self, index: int | slice) -> Any:
        """One module, or for a slice a ModuleList of the same objects, numbered from 0."""
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._modules[self._name_at(index)]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def _child_lines(self) -> list[str]:
        """Runs of equal modules in one line."""
        lines, start = [], 0
        for text, run in itertools.groupby(repr(module) for module in self):
            count = len(list(run))
            place = f"({start})" if count == 1 else f"({start}-{start + count - 1})"
            lines.append(_indent(f"{place}: {text}" if count == 1 else f"{place}: {count} x {text}"))
            start += count
        return lines


class ModuleDict(Module):
    """A dict whose modules are registered, in the order of insertion.

    Args:
        modules: a mapping, or pairs of name and module.

    Example:
        >>> list(ModuleDict({"enc": Module(), "dec": Module()}))
        ['enc', 'dec']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        self.update(modules or {})

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self._modules:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Pairs of name and module."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace several modules."""
        for name, module in modules.items() if isinstance(modules, Mapping) else modules:
            self[name] = module

    def pop(self, key: str) -> Module:
        """Remove a module and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Remove all modules."""
        for key in list(self):
            del self[key]

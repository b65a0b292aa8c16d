"""Modules: layers that know their parameters, because what is assigned to them is registered.

The tape gives every program a gradient, but its user still names each parameter three times: to
make it, to update it, to clear it. A module keeps the list by itself, by `__setattr__`. First as an
idea in one model (`DummyModule`), then as a base class that needs no `super().__init__()`
(`Module`), then with modules in modules (`ModuleList`, `Sequential`). The gradients are those of
`tape_of_layers`; `training_loop` trains with it all.

What is decided here, since sources and libraries differ:

- `parameters()` looks them up when it is asked, so layers that come later and parameters that are
  frozen later are seen. Eisenschlos' `Sequential` copies the list when it is made.
- A parameter that is reached by two ways is one parameter and is named once. In the same
  `Sequential` it stands twice and is updated twice.

Sources: Jeremy Howard and Sylvain Gugger, Deep Learning for Coders with fastai and PyTorch, 2020,
chapter 17 (`LinearLayer`, `Model` with its loss inside, a `Module` without `super().__init__()`);
Jeremy Howard, Practical Deep Learning for Coders, part 2, 2019 (`DummyModule`); Julian Eisenschlos,
Neural Networks in 100 lines of pure Python, 2019.

Letters: N examples, n_in, n_out widths; x input.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gradus.ladder.tape_of_layers import Parameter, Tensor, linear, mse, relu


def kaiming(rng: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """Weights ~ N(0, 2/n_in) of shape (n_out, n_in).

    >>> kaiming(np.random.default_rng(0), 5, 3).shape
    (3, 5)
    """
    return rng.standard_normal((n_out, n_in)) * math.sqrt(2 / n_in)


class PlainLinear:
    """A layer before there are modules: it lists its parameters by hand."""

    def __init__(self, rng: np.random.Generator, n_in: int, n_out: int) -> None:
        self.weight, self.bias = Parameter(kaiming(rng, n_in, n_out)), Parameter(np.zeros(n_out))

    def __call__(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)

    def parameters(self) -> list[Parameter]:
        """Weight and bias."""
        return [self.weight, self.bias]


class DummyModule:
    """The idea of a module in one model: an attribute that is assigned is also noted down.

    It notes everything, whatever it is; the dictionary must exist before the first assignment; a
    layer assigned twice is listed twice.
    """

    def __init__(self, rng: np.random.Generator, n_in: int, hidden: int, n_out: int) -> None:
        self._modules: dict[str, Any] = {}
        self.l1 = PlainLinear(rng, n_in, hidden)
        self.l2 = PlainLinear(rng, hidden, n_out)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self._modules[name] = value
        super().__setattr__(name, value)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l2(relu(self.l1(x)))

    def parameters(self) -> Iterator[Parameter]:
        """Those of all that was noted."""
        for module in self._modules.values():
            yield from module.parameters()


class Module:
    """The base of all layers and models: parameters and modules among its attributes are noted.

    The registers are made by `__new__`, before any `__init__`, so a subclass need not call
    `super().__init__()` first.

    >>> class Pair(Module):
    ...     def __init__(self):
    ...         self.first = self.second = LinearLayer(2, 1)  # one layer under two names
    ...         self.number = 3
    >>> len(list(Pair().parameters())), len(Pair().children())
    (2, 1)
    """

    _parameters: dict[str, Parameter]
    _children: dict[str, Module]
    training: bool

    def __new__(cls, *args: Any, **options: Any) -> Any:
        module = super().__new__(cls)
        module.__dict__.update(_parameters={}, _children={}, training=True)
        return module

    def __setattr__(self, name: str, value: Any) -> None:
        registers: dict[type, dict[str, Any]]
        registers = {Parameter: self._parameters, Module: self._children}
        for kind, register in registers.items():
            if isinstance(value, kind):
                register[name] = value
            else:
                register.pop(name, None)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._parameters.pop(name, None)
        self._children.pop(name, None)

    def add_module(self, name: str, module: Module) -> None:
        """Register a module under a name that need not be a word: "0"."""
        setattr(self, name, module)

    def children(self) -> list[Module]:
        """The modules right below, each once."""
        return list(dict.fromkeys(self._children.values()))

    def modules(self) -> list[Module]:
        """This module and all below it, each once."""
        found: dict[Module, None] = {}
        stack: list[Module] = [self]
        while stack:
            module = stack.pop()
            if module not in found:
                found[module] = None
                stack += reversed(module.children())
        return list(found)

    def parameters(self) -> Iterator[Parameter]:
        """All parameters at and below this module, each once however many names it has.

        They are looked up now, not when the module was made.
        """
        found = (p for module in self.modules() for p in module._parameters.values())
        yield from dict.fromkeys(found)

    def train(self, mode: bool = True) -> Module:
        """Tell every module whether it is training."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """The opposite of `train()`."""
        return self.train(False)

    def requires_grad_(self, flag: bool = True) -> Module:
        """Freeze or thaw all parameters."""
        for p in self.parameters():
            p.requires_grad = flag
        return self

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}: {child!r}" for name, child in self._children.items())
        return f"{type(self).__name__}({inside})"


class LinearLayer(Module):
    """y = x weightᵀ + bias, weight (n_out, n_in) ~ N(0, 2/n_in), bias zero.

    >>> p1, p2 = LinearLayer(10, 2).parameters()
    >>> p1.value.shape, p2.value.shape
    ((2, 10), (2,))
    """

    def __init__(self, n_in: int, n_out: int, rng: np.random.Generator | None = None) -> None:
        self.weight = Parameter(kaiming(np.random.default_rng(rng), n_in, n_out))
        self.bias = Parameter(np.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_in) -> (N, n_out)."""
        return linear(x, self.weight, self.bias)

    def __repr__(self) -> str:
        return f"LinearLayer({self.weight.value.shape[1]}, {self.weight.value.shape[0]})"


class ReLU(Module):
    """max(x, 0) as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return relu(x)


class Dropout(Module):
    """In training, zero each entry with probability p, divide the rest by 1 - p; else do nothing.

    >>> layer, x = Dropout(0.5, np.random.default_rng(0)), Tensor(np.ones(4))
    >>> layer(x).value, layer.eval()(x) is x
    (array([2., 0., 0., 0.]), True)
    """

    def __init__(self, p: float, rng: np.random.Generator | None = None) -> None:
        self.p, self.rng = p, np.random.default_rng(rng)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        if not self.training:
            return x
        factor = (self.rng.random(x.value.shape) >= self.p) / (1 - self.p)
        return Tensor(x.value * factor, [(x, lambda g: g * factor)])


class ModuleList(Module):
    """Modules by number. A plain list would hide them: `__setattr__` does not look into it.

    >>> layers = ModuleList([LinearLayer(2, 3)])
    >>> layers.append(LinearLayer(3, 1))
    >>> len(layers), len(list(layers.parameters()))
    (2, 4)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add one at the end."""
        self.add_module(str(len(self)), module)

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._children.values())

    def __getitem__(self, i: int) -> Module:
        return list(self._children.values())[i]


class Sequential(ModuleList):
    """Modules one after another; those appended later take part, in model and `parameters()`.

    >>> model = Sequential(LinearLayer(2, 3), ReLU())
    >>> model.append(LinearLayer(3, 1))
    >>> len(list(model.parameters())), model(Tensor(np.ones((5, 2)))).value.shape
    (4, (5, 1))
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Tensor) -> Tensor:
        """Through all modules in order."""
        for module in self:
            x = module(x)
        return x


class Model(Module):
    """A network with its loss inside: `model(x, target)` is a number to be differentiated."""

    def __init__(
        self, n_in: int, hidden: int, n_out: int, rng: np.random.Generator | None = None
    ) -> None:
        rng = np.random.default_rng(rng)
        first, second = LinearLayer(n_in, hidden, rng), LinearLayer(hidden, n_out, rng)
        self.layers = Sequential(first, ReLU(), second)
        self.loss = mse

    def forward(self, x: Tensor, target: np.ndarray) -> Tensor:
        """x (N, n_in), target (N, n_out) -> a number."""
        return self.loss(self.layers(x), target)

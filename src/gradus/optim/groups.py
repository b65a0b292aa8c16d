"""Parameter groups: what an optimiser is given, checked and brought into one form."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from gradus.errors import GradError, UsageError
from gradus.tensors import Tensor

Group = dict[str, Any]


def as_groups(params: Any) -> list[Group]:
    """The argument of an optimiser as a list of groups; what is empty or no collection is refused."""
    if isinstance(params, Tensor) or callable(getattr(params, "parameters", None)):
        is_tensor = isinstance(params, Tensor)
        raise UsageError(
            "an optimiser takes a collection of parameters",
            got=f"one {type(params).__name__}",
            fix="[tensor]" if is_tensor else "model.parameters()",
            code="E28",
        )
    listed = list(params)
    if not listed:
        spent = isinstance(params, types.GeneratorType)
        raise UsageError(
            "the optimiser got no parameters",
            got="a generator that yields nothing" if spent else f"an empty {type(params).__name__}",
            why="a generator can be walked once: it was used up before, or the model has no registered parameters"
            if spent
            else "layers kept in a plain list are not registered",
            fix="model.parameters() anew, or params = list(model.parameters())" if spent else "nn.ModuleList(layers)",
            code="E28",
        )
    return [dict(group) for group in listed] if isinstance(listed[0], Mapping) else [{"params": listed}]


def split_names(params: Any) -> tuple[list[Tensor], list[str]]:
    """Tensors and, when they came as (name, tensor) pairs, their names."""
    if isinstance(params, (set, frozenset)):
        raise UsageError("a set of parameters has another order in every run", fix="a list", code="E28")
    listed = [params] if isinstance(params, Tensor) else list(params)
    pairs = [item for item in listed if isinstance(item, tuple)]
    if not pairs:
        return listed, []
    if len(pairs) != len(listed):
        raise UsageError("some parameters come with a name and some without", fix="model.named_parameters()", code="E28")
    return [p for _, p in pairs], [name for name, _ in pairs]


def check_parameter(p: Any, called: str) -> None:
    """A parameter is a Tensor that was not computed from others."""
    if not isinstance(p, Tensor):
        raise UsageError(f"parameter {called} is not a Tensor", got=type(p).__name__, fix="nn.Parameter(gradus.tensor(values))", code="E28")
    if not p.is_leaf:
        raise GradError(
            f"parameter {called} was computed from other tensors, so updating it would not train them",
            got=f"a non-leaf tensor of shape {tuple(p.shape)}",
            why="w = gradus.randn(3, requires_grad=True) * 0.1 makes a second tensor" if p.requires_grad else "",
            fix="(gradus.randn(3) * 0.1).requires_grad_()",
            code="E28",
        )


def check_not_negative(optimiser: str, options: Group, *names: str) -> None:
    """Refuse options below zero and NaN."""
    for name in names:
        value = options.get(name, 0.0)
        if not value >= 0.0:
            raise UsageError(f"{optimiser} cannot work with {name} = {value}", got=f"{name} = {value}", wanted=f"{name} >= 0", code="E29")

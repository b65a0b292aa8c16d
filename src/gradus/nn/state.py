"""state_dict and its way back: names and values of a model's parameters and buffers, and the report of what fitted."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.errors import CheckpointError
from gradus.inplace import assign
from gradus.tensors import Tensor

if TYPE_CHECKING:
    from gradus.nn.module import Module

SHOWN = 12  # names listed of each sort; the rest are counted


@dataclass
class LoadReport:
    """What loading a state did.

    Attributes:
        loaded: names whose values were copied in.
        missing: names of the model that the state lacks.
        unexpected: names of the state that the model lacks.
        mismatched: names in both whose shapes differ, with (shape in the state, shape in the model).
        closest: for an unexpected name, the missing name that it probably means.

    Example:
        >>> print(LoadReport(loaded=["0.weight"], missing=["0.bias"], unexpected=["0.bais"], closest={"0.bais": "0.bias"}))
        loaded 1, missing 1, unexpected 1, of another shape 0
          missing:    0.bias
          unexpected: 0.bais (0.bias?)
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    closest: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every name and shape fitted."""
        return not (self.missing or self.unexpected or self.mismatched)

    @property
    def missing_keys(self) -> list[str]:
        """PyTorch's name of ``missing``."""
        return self.missing

    @property
    def unexpected_keys(self) -> list[str]:
        """PyTorch's name of ``unexpected``."""
        return self.unexpected

    def __str__(self) -> str:
        if self.complete:
            return f"loaded {len(self.loaded)}: all names and shapes fit"
        guesses = [f"{name} ({self.closest[name]}?)" if name in self.closest else name for name in self.unexpected]
        shapes = [f"{name} {got} in the state, {wanted} in the model" for name, (got, wanted) in self.mismatched.items()]
        rows = [("missing", self.missing), ("unexpected", guesses), ("shape", shapes)]
        head = f"loaded {len(self.loaded)}, missing {len(self.missing)}, unexpected {len(self.unexpected)}, of another shape {len(shapes)}"
        return "\n".join([head, *(f"  {title + ':':<11} {_some(names)}" for title, names in rows if names)])

    __repr__ = __str__


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def closest_names(unexpected: list[str], missing: list[str]) -> dict[str, str]:
    """For each unexpected name the missing one that it probably means: a prefix too many or too few, or a misspelling.

    >>> closest_names(["module.fc.weight", "fc.bais"], ["fc.weight", "fc.bias"])
    {'module.fc.weight': 'fc.weight', 'fc.bais': 'fc.bias'}
    """
    found = {}
    for name in unexpected:
        tails = [other for other in missing if name.endswith("." + other) or other.endswith("." + name)]
        near = tails or difflib.get_close_matches(name, missing, n=1, cutoff=0.7)
        if near:
            found[name] = near[0]
    return found


def state_of(module: Module, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
    """Names and values of parameters and persistent buffers, in PyTorch's order: a module's own, then those of its children."""
    tensors = {}
    for path, each in module.named_modules(remove_duplicate=False):
        start = prefix + (f"{path}." if path else "")
        for kind in ("parameter", "buffer"):
            tensors.update({start + name: value for name, value in each._own(kind)})
    return tensors if keep_vars else {name: value.detach() for name, value in tensors.items()}


def _array(name: str, value: Any) -> Any:
    """The raw array of one entry; what is not numeric is refused by name."""
    array = value.value if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise CheckpointError(
            f"{name!r} does not hold numbers",
            got=f"{type(value).__name__} of dtype {array.dtype}",
            wanted="a Tensor or an array",
            code="E34",
        )
    return array


def load_into(module: Module, state: Mapping[str, Any], strict: bool = True) -> LoadReport:
    """Copy ``state`` into the module's tensors; with ``strict`` either all of it or, with an error, none of it."""
    if not isinstance(state, Mapping):
        raise CheckpointError(
            "load_state_dict takes names and values", got=type(state).__name__, wanted="a dict such as model.state_dict() gives", code="E34"
        )
    targets = state_of(module, keep_vars=True)
    arrays = {name: _array(name, state[name]) for name in targets if name in state}
    shapes = {name: (tuple(arrays[name].shape), tuple(targets[name].shape)) for name in arrays}
    report = LoadReport(
        loaded=[name for name, (got, wanted) in shapes.items() if got == wanted],
        missing=[name for name in targets if name not in state],
        unexpected=[name for name in state if name not in targets],
        mismatched={name: pair for name, pair in shapes.items() if pair[0] != pair[1]},
    )
    report.closest = closest_names(report.unexpected, report.missing)
    if strict and not report.complete:
        raise _refusal(module, report)
    for name in report.loaded:
        assign(targets[name], arrays[name].astype(targets[name].dtype))
    return report


def _refusal(module: Module, report: LoadReport) -> CheckpointError:
    """The error of a strict load, which carries the report."""
    fix = "load_state_dict(state, strict=False) loads what fits"
    prefixes = {name[: -len(near)] for name, near in report.closest.items() if name.endswith("." + near)}
    if len(prefixes) == 1 and len(report.closest) == len(report.unexpected):
        prefix = prefixes.pop()
        fix = f"load_state_dict({{name.removeprefix({prefix!r}): value for name, value in state.items()}})"
    error = CheckpointError(
        f"the state does not fit {type(module).__name__}; nothing was loaded",
        got=str(report),
        wanted="equal names and shapes",
        fix=fix,
        code="E34",
    )
    vars(error)["report"] = report
    return error

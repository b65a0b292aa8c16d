"""The nested state of an optimiser as flat tensors and one text, and back: a safetensors file holds nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gradus.errors import CheckpointError
from gradus.io.atomic import AnyPath

OPTIMIZER = "gradus.optimizer"  # the key of the text in a file's metadata


def is_optimizer_state(state: Mapping[str, Any]) -> bool:
    """Whether this is ``optimizer.state_dict()``: PyTorch's layout has these two keys."""
    return set(state) == {"state", "param_groups"}


def flattened(state: Mapping[str, Any], path: AnyPath) -> tuple[dict[str, Any], str]:
    """Tensors by name, ``state.0.exp_avg``, and the numbers and options as JSON.

    Raises:
        CheckpointError: an option that JSON has no word for, a tensor as learning rate say; names it.
    """
    tensors: dict[str, Any] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for parameter, entries in state["state"].items():
        numbers[str(parameter)] = {name: value for name, value in entries.items() if not hasattr(value, "shape")}
        tensors |= {f"state.{parameter}.{name}": value for name, value in entries.items() if hasattr(value, "shape")}
    try:
        return tensors, json.dumps({"state": numbers, "param_groups": state["param_groups"]})
    except TypeError as error:
        raise CheckpointError(
            f"cannot write {path}: an option of the optimiser is neither number nor text",
            got=str(error),
            wanted="numbers, strings, None, and lists of them",
            code="E33",
        ) from error


def nested(tensors: Mapping[str, Any], text: str, path: AnyPath) -> dict[str, Any]:
    """What :func:`flattened` took apart.

    >>> parts = flattened({"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.1, "params": [0]}]}, "o.safetensors")
    >>> nested(*parts, "o.safetensors")
    {'state': {0: {'step': 3}}, 'param_groups': [{'lr': 0.1, 'params': [0]}]}

    Raises:
        CheckpointError: the file says that it holds an optimiser's state, and does not.
    """
    try:
        whole: dict[str, Any] = json.loads(text)
        state = {int(parameter): dict(entries) for parameter, entries in whole["state"].items()}
        for key, value in tensors.items():
            _, parameter, name = key.split(".", 2)
            state[int(parameter)][name] = value
        return {"state": state, "param_groups": whole["param_groups"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} does not hold the optimiser's state that it names", got=repr(error), code="E33") from error

"""Saves and loads a model's weights, or an optimiser's state: a state dict in a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradus.errors import CheckpointError
from gradus.io.atomic import AnyPath
from gradus.io.optimizer_state import OPTIMIZER, flattened, is_optimizer_state, nested
from gradus.io.safetensors import read_safetensors, write_safetensors
from gradus.tensors import Tensor, wrap


def save(module_or_state_dict: Any, path: AnyPath, metadata: Mapping[str, str] | None = None) -> None:
    """Save a model's weights or an optimiser's state, wholly or not at all: after a crash the file is the old one or the new one.

    Args:
        module_or_state_dict: a Module or Optimizer, or its ``state_dict()``; or any dict name -> Tensor or NumPy array.
        path: the file to make or replace, by custom ``….safetensors``. Every safetensors reader reads it.
        metadata: strings to keep in the file, which ``gradus.io.read_safetensors`` gives back beside the arrays.

    Raises:
        CheckpointError: something other than tensors in the state dict, or the disk refused; the old file is then intact.

    >>> import gradus, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     gradus.save({"weight": gradus.ones(2, 3)}, path)
    ...     gradus.load(path)["weight"].shape
    Size([2, 3])
    """
    source = module_or_state_dict
    state = source.state_dict() if hasattr(source, "state_dict") else source
    if not isinstance(state, Mapping):
        wanted = "a Module, an Optimizer, or a dict from names to tensors"
        raise CheckpointError(f"cannot save a {type(source).__name__} to {path}", wanted=wanted, fix="gradus.save(model, path)", code="E33")
    if is_optimizer_state(state):
        state, text = flattened(state, path)
        metadata = {**(metadata or {}), OPTIMIZER: text}
    write_safetensors(path, {name: _array(value) for name, value in state.items()}, metadata)


def _array(value: Any) -> Any:
    """A tensor's array: of one that requires a gradient too, which NumPy's own conversion refuses."""
    return value.value if isinstance(value, Tensor) else value


def load(path: AnyPath, *, verify: bool = True) -> dict[str, Any]:
    """The tensors of a safetensors file by name, ready for ``model.load_state_dict(gradus.load(path))``.

    Of an optimiser's file, the nested dict that ``optimizer.load_state_dict`` takes.

    Args:
        path: a file that Gradus, PyTorch users' safetensors or any other writer of the format made. No code in it is run.
        verify: compare the checksums that files of Gradus carry.

    Raises:
        CheckpointError: missing, of another kind, damaged or malformed; names the file, the tensor and the reason.
    """
    arrays, metadata = read_safetensors(path, verify=verify)
    tensors = {name: wrap(array) for name, array in arrays.items()}
    return nested(tensors, metadata[OPTIMIZER], path) if OPTIMIZER in metadata else tensors

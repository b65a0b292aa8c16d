"""What a Learner keeps on disk: one safetensors file with the weights and a description from which the rest is rebuilt.

The description is JSON in the file's metadata: the model's recipe, the task, the names of the classes, the normalizer. So a file that is
copied out of its run folder still knows what it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.data import LabelEncoder, Normalizer
from gradus.errors import CheckpointError
from gradus.io.safetensors import read_safetensors, write_safetensors
from gradus.nn import LoadReport
from gradus.train.history import History
from gradus.train.losses import LOSSES

if TYPE_CHECKING:
    from gradus.train.learner import Learner

FORMAT = 1
KEY = "gradus"  # of the metadata entry that holds the description
MODEL_FILE, HISTORY_FILE = "model.safetensors", "metrics.jsonl"


def describe(learner: Learner) -> dict[str, Any]:
    """Everything but the weights, as JSON-able values; floats survive the way there and back exactly."""
    loss = next((name for name, (_, module, _) in LOSSES.items() if type(learner.loss_function) is module), None)
    feed = learner.feed
    return {
        "format": FORMAT,
        "model": getattr(learner.model, "recipe", None),
        "loss": loss,
        "task": learner.task.name,
        "classes": learner.classes,
        "normalizer": None if feed.normalizer is None or not feed.normalizer.fitted else feed.normalizer.to_dict(),
        "input_dtype": None if feed.input_dtype is None else feed.input_dtype.name,
        "steps": learner.step,
    }


def model_file(path: str | os.PathLike[str]) -> Path:
    """The safetensors file of a path that may be its folder."""
    place = Path(path)
    return place if place.suffix == ".safetensors" else place / MODEL_FILE


def save_learner(learner: Learner, path: str | os.PathLike[str]) -> None:
    """Write the model's file; into a folder, the history too."""
    file = model_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(value.detach().numpy()) for name, value in learner.model.state_dict().items()}
    write_safetensors(file, arrays, {KEY: json.dumps(describe(learner), ensure_ascii=False)})
    if file.parent == Path(path) and learner.history.rows:
        learner.history.to_jsonl(file.parent / HISTORY_FILE)


def read_saved(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and description of a saved Learner.

    Raises:
        CheckpointError: no such file, not a safetensors file, corrupt, or without a description.
    """
    file = model_file(path)
    if not file.is_file():
        what = "there is no such folder" if not file.parent.is_dir() else f"the folder has no {file.name}"
        raise CheckpointError(
            f"{os.fspath(path)} is not a finished run: {what}", wanted=f"a folder with {MODEL_FILE}, or such a file", code="E32"
        )
    arrays, metadata = read_safetensors(file)
    try:
        described = json.loads(metadata.get(KEY, ""))
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"{file} holds weights, but no description of a Learner",
            wanted="a file that Learner.save wrote",
            fix="model.load_state_dict(gradus.load(path))",
            code="E32",
        ) from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        got = described.get("format") if isinstance(described, dict) else type(described).__name__
        raise CheckpointError(
            f"{file} was written by another version of Gradus", got=f"format {got}", wanted=f"format {FORMAT}", code="E32"
        )
    return arrays, described


def load_learner(learner: Learner, path: str | os.PathLike[str]) -> LoadReport:
    """Read weights, normalizer, classes and history into a Learner whose model is there."""
    arrays, described = read_saved(path)
    report = learner.model.load_state_dict(arrays)
    take_description(learner, described)
    history = Path(path) / HISTORY_FILE
    if history.is_file():
        learner.history = History.from_jsonl(history)
    return report


def take_description(learner: Learner, described: Mapping[str, Any]) -> None:
    """Give a Learner the classes, the normalizer and the step count that were saved."""
    classes, normalizer = described.get("classes"), described.get("normalizer")
    learner.feed.encoder = LabelEncoder(classes) if classes else None
    # Arrays, because Python floats would be rounded to float32 on the way.
    learner.feed.normalizer = (
        Normalizer.from_dict({name: np.asarray(value, np.float64) for name, value in normalizer.items()}) if normalizer else None
    )
    learner.step = int(described.get("steps", 0))

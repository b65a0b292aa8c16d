"""A finished run in one line: the model, its normalizer and its classes, ready to predict."""

from __future__ import annotations

import os

from gradus.errors import CheckpointError
from gradus.nn import Module
from gradus.train.learner import Learner
from gradus.train.models import build_model
from gradus.train.saved import load_learner, read_saved


def load_run(path: str | os.PathLike[str], model: Module | None = None) -> Learner:
    """The Learner of a run folder or model file, ready to ``predict``, in evaluation mode.

    Args:
        path: a folder that ``gradus train`` or ``Learner.save`` wrote, or its ``model.safetensors``.
        model: a model of the same layers, for runs of your own models; those of ``gradus train`` are rebuilt from their recipe.

    Raises:
        CheckpointError: no such run, a corrupt file, or weights of another model.

    Example:
        >>> import tempfile
        >>> from gradus.train.models import build_model
        >>> learner = Learner(build_model({"kind": "linear", "inputs": [2], "classes": 3}), "cross_entropy")
        >>> folder = tempfile.mkdtemp()
        >>> learner.save(folder)
        >>> load_run(folder).predict([[0.5, 1.0]]).shape
        (1,)
    """
    _, described = read_saved(path)
    if model is None:
        if not described.get("model"):
            raise CheckpointError(
                f"{os.fspath(path)} does not say how its model is built",
                why="it was trained with a model of your own",
                fix="load_run(path, model=the_model)",
                code="E34",
            )
        model = build_model(described["model"])
    loss = described.get("loss") or _stand_in(described.get("task", "regression"))
    learner = Learner(model, loss, task=described.get("task"), input_dtype=described.get("input_dtype"))
    load_learner(learner, path)
    learner.model.eval()
    return learner


def _stand_in(task: str) -> str:
    """A loss for a run whose own loss was a function that no file can hold; it says what the outputs mean."""
    return {"classification": "cross_entropy", "binary": "bce_with_logits"}.get(task, "mse")

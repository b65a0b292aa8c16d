"""Models that a run folder can rebuild: each is made from a recipe, a small dict that goes into the file beside the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradus import nn
from gradus.errors import UsageError

KINDS = ("linear", "mlp")


def linear(inputs: Sequence[int], classes: int) -> nn.Sequential:
    """Softmax regression: one linear layer, its outputs the logits of the classes.

    Args:
        inputs: shape of one input, without the batch axis: ``(28, 28)``.
        classes: number of outputs.

    Shapes: (B, *inputs) -> (B, classes).
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(inputs), classes))


def mlp(inputs: Sequence[int], classes: int, hidden: Sequence[int] = (128,), dropout: float = 0.0) -> nn.Sequential:
    """Multilayer perceptron: hidden layers with ReLU (and dropout, if any), then one linear layer for the logits.

    Args:
        inputs: shape of one input, without the batch axis.
        classes: number of outputs.
        hidden: width of each hidden layer.
        dropout: probability that a hidden value is left out in training.

    Shapes: (B, *inputs) -> (B, classes).
    """
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(inputs)
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = size
    return nn.Sequential(*layers, nn.Linear(width, classes))


def build_model(recipe: dict[str, Any]) -> nn.Sequential:
    """The model of a recipe, which it keeps as ``model.recipe``.

    Args:
        recipe: ``{"kind": "linear" | "mlp", "inputs": [28, 28], "classes": 10}``, an mlp also ``"hidden": [128]`` and ``"dropout": 0.0``.

    Example:
        >>> model = build_model({"kind": "mlp", "inputs": [8, 8], "classes": 10, "hidden": [32]})
        >>> len(model)
        4
    """
    kind = recipe.get("kind")
    if kind not in KINDS:
        raise UsageError(f"there is no model {kind!r}", wanted="one of " + ", ".join(KINDS))
    sizes = [*recipe.get("inputs", ()), recipe.get("classes", 0), *recipe.get("hidden", ())]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise UsageError("every size of a model must be a positive whole number", got=f"inputs, classes, hidden: {sizes}")
    if kind == "linear":
        model = linear(recipe["inputs"], recipe["classes"])
    else:
        model = mlp(recipe["inputs"], recipe["classes"], recipe.get("hidden", (128,)), recipe.get("dropout", 0.0))
    model.recipe = dict(recipe)
    return model

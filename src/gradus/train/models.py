"""Models that a run folder can rebuild: each is made from a recipe, a small dict that goes into the file beside the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradus import nn
from gradus.errors import UsageError

KINDS = ("linear", "mlp", "cnn")


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


def cnn(inputs: Sequence[int], classes: int, hidden: Sequence[int] = (128,), dropout: float = 0.0) -> nn.Sequential:
    """Two convolutions of 32 and 64 channels (3 x 3, ReLU, 2 x 2 max pooling after each), then a multilayer perceptron.

    Args:
        inputs: shape of one image, (H, W) or (C, H, W), at least 4 x 4.
        classes: number of outputs.
        hidden: width of each hidden layer of the perceptron.
        dropout: probability that a hidden value is left out in training.

    Shapes: (B, *inputs) -> (B, classes).

    Example:
        >>> cnn((28, 28), 10).summary((1, 28, 28)).parameters
        421642
    """
    size = tuple(inputs)
    if len(size) not in (2, 3) or min(size[-2:]) < 4:
        raise UsageError("a cnn takes images", got=f"inputs of shape {size}", wanted="(H, W) or (C, H, W), at least 4 x 4")
    channels = 1 if len(size) == 2 else size[0]
    layers: list[nn.Module] = [nn.Unflatten(1, (1, size[0]))] if len(size) == 2 else []
    for width in (32, 64):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, *mlp((channels, size[-2] // 4, size[-1] // 4), classes, hidden, dropout))


def build_model(recipe: dict[str, Any]) -> nn.Sequential:
    """The model of a recipe, which it keeps as ``model.recipe``.

    Args:
        recipe: ``{"kind": "linear" | "mlp" | "cnn", "inputs": [28, 28], "classes": 10}``, an mlp or cnn also ``"hidden": [128]``
            and ``"dropout": 0.0``.

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
        make = cnn if kind == "cnn" else mlp
        model = make(recipe["inputs"], recipe["classes"], recipe.get("hidden", (128,)), recipe.get("dropout", 0.0))
    model.recipe = dict(recipe)
    return model

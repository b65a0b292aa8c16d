"""The confusion matrix: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.errors import LabelError, ShapeError
from gradus.viz.style import LABEL, TICK, Path, new_figure, percent_ticks, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERS_UP_TO = 20  # classes; beyond that, the numbers no longer fit into their cells


def confusion_matrix(truth: Any, predicted: Any, classes: int) -> np.ndarray:
    """Counts: entry ``[i, j]`` is how many rows of class ``i`` were taken for class ``j``.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ShapeError(
            "the confusion matrix compares one label with one answer",
            got=f"truth {truth.shape}, predicted {predicted.shape}",
            wanted="(N,) and (N,)",
        )
    for name, labels in (("truth", truth), ("predicted", predicted)):
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            raise LabelError(
                f"a label of {name} is out of range", got=f"{labels.min()} … {labels.max()}", wanted=f"0 … {classes - 1}", code="E09"
            )
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def draw_confusion(matrix: np.ndarray, names: Sequence[str], path: Path | None = None, title: str = "Confusion matrix") -> Figure:
    """Draw counts, coloured by their share of the true class.

    Args:
        matrix: int (C, C), rows the truth, columns the answers.
        names: C names of the classes.
        path: PNG file to write, or None.
    """
    classes = len(matrix)
    long_names = max(map(len, names), default=1) > 3
    side = float(np.clip(1.9 + 0.52 * classes, 4.2, 12))
    figure = new_figure(side + 1.1, side, "")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    right = np.trace(matrix)
    axes.set_title(f"{title}\n{right:,} of {matrix.sum():,} right", fontsize=12, loc="left", pad=10)
    axes.set_xlabel("predicted class", fontsize=LABEL)
    axes.set_ylabel("true class", fontsize=LABEL)
    shown = range(classes) if classes <= 40 else range(0, classes, 10)
    axes.set_xticks(
        list(shown),
        [names[i] for i in shown],
        fontsize=TICK,
        rotation=45 if long_names else 0,
        ha="right" if long_names else "center",
        rotation_mode="anchor",
    )
    axes.set_yticks(list(shown), [names[i] for i in shown], fontsize=TICK)
    axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if classes <= NUMBERS_UP_TO:
        for i, j in np.argwhere(matrix):
            axes.text(j, i, f"{matrix[i, j]}", ha="center", va="center", fontsize=9, color="white" if share[i, j] > 0.55 else "#222222")
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the true class", fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICK, length=0)
    bar.outline.set_visible(False)
    percent_ticks(bar.ax.yaxis, 0)
    return save_figure(figure, path)

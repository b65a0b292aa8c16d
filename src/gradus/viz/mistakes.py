"""The worst mistakes: the images that a model is most sure about and wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradus.errors import ShapeError
from gradus.viz.style import BLUE, TICK, VERMILLION, Path, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6


def worst_first(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Row numbers of the wrong answers, the surest first; ties in row order.

    >>> worst_first(np.array([0, 1, 1]), np.array([[0.4, 0.6], [0.1, 0.9], [0.8, 0.2]])).tolist()
    [2, 0]
    """
    wrong = np.flatnonzero(probabilities.argmax(1) != truth)
    return wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")]


def draw_mistakes(
    images: np.ndarray,
    truth: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    path: Path | None = None,
    title: str = "",
    most: int = 24,
) -> Figure:
    """Draw the worst mistakes, each with what it is and what it was taken for; with fewer mistakes, the least sure right answers follow.

    Args:
        images: (N, H, W), any scale.
        truth: int (N,).
        probabilities: (N, C).
        names: C names of the classes.
        path: PNG file to write, or None.
        most: how many images at most.
    """
    if images.ndim != 3 or len(images) != len(truth) or probabilities.shape != (len(truth), len(names)):
        raise ShapeError(
            "images, labels and probabilities must belong together",
            got=f"images {images.shape}, truth {truth.shape}, probabilities {probabilities.shape}, {len(names)} names",
            wanted="(N, H, W), (N,), (N, C), C",
        )
    wrong = worst_first(truth, probabilities)
    doubtful = np.setdiff1d(np.argsort(probabilities.max(1), kind="stable"), wrong, assume_unique=True)
    shown = np.concatenate([wrong[:most], doubtful[: max(0, min(most, len(truth)) - len(wrong))]])
    rows = max(1, math.ceil(len(shown) / COLUMNS))
    count = f"{len(wrong):,} of {len(truth):,} test images misread"
    order = (
        "the surest first"
        if len(wrong) >= most
        else "the surest first, then the least sure right answers"
        if len(wrong)
        else "these are the least sure right answers"
    )
    long_names = max(map(len, names)) > 3
    separator = "\n" if long_names else ", "
    figure = new_figure(
        1.6 * COLUMNS, 0.9 + (2.1 if long_names else 1.95) * rows, f"{title}: {count}\n({order})" if title else f"{count}\n({order})"
    )
    for panel, index in zip(
        figure.subplots(rows, COLUMNS, squeeze=False).flat, [*shown, *[None] * (rows * COLUMNS - len(shown))], strict=True
    ):
        panel.set_axis_off()
        if index is None:
            continue
        panel.imshow(images[index], cmap="gray_r", interpolation="nearest")
        answer = int(probabilities[index].argmax())
        right = answer == truth[index]
        verdict = f"{'predicted' if right else 'taken for'} {names[answer]}"
        text = f"true {names[truth[index]]}\n{verdict}{separator}{100 * probabilities[index, answer]:.0f} %"
        panel.set_title(text, fontsize=TICK - 1, color=BLUE if right else VERMILLION, pad=4)
    return save_figure(figure, path)

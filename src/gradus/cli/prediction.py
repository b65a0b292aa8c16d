"""``gradus predict``: what a trained network sees in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradus.cli.pictures import STYLES, prepare, read_picture
from gradus.cli.run_folder import read_config
from gradus.errors import CheckpointError
from gradus.train import load_run

BAR = 30  # characters of a bar of 100 %
EIGHTHS = " ▏▎▍▌▋▊▉"


def predict_images(run: Path, images: Sequence[Path]) -> None:
    """Print, for each picture, how it was prepared and the probability of every class.

    Raises:
        CheckpointError: no run, or a damaged one.
        DataError: a picture that cannot be read, or that shows nothing.
    """
    folder = run.parent if run.suffix == ".safetensors" else run
    dataset = str(read_config(folder)["dataset"])
    if dataset not in STYLES:
        raise CheckpointError(
            f"{folder} was trained on {dataset!r}, for which no pictures can be prepared", wanted="one of " + ", ".join(STYLES), where=""
        )
    learner = load_run(run)
    prepared = [prepare(read_picture(path), STYLES[dataset], str(path)) for path in images]
    probabilities = learner.predict_proba(np.stack([picture for picture, _ in prepared]).astype(np.float32))
    names = learner.classes or [str(i) for i in range(probabilities.shape[1])]
    for path, (_, steps), row in zip(images, prepared, probabilities, strict=True):
        print(f"{path}: {', '.join(steps)}")
        for line in table(names, row):
            print(line)


def table(names: Sequence[str], probabilities: np.ndarray) -> list[str]:
    """One line per class, the most probable first.

    >>> print(*table(["cat", "dog"], np.array([0.25, 0.75])), sep="\\n")
      dog  ██████████████████████▌          75.0 %
      cat  ███████▌                         25.0 %
    """
    width = max(map(len, names))
    lines = []
    for index in np.argsort(-probabilities, kind="stable"):
        whole, part = divmod(round(float(probabilities[index]) * BAR * 8), 8)
        bar = "█" * whole + EIGHTHS[part].strip()
        lines.append(f"  {names[index]:>{width}}  {bar:<{BAR}}  {100 * probabilities[index]:5.1f} %")
    return lines

"""A convolutional network reads handwritten digits: 99 in 100 after two passes over MNIST, in about half a minute.

Run it with ``python examples/mnist_cnn.py [folder] [--short] [--eager]``; it writes to ``runs/mnist-cnn`` when no folder is named. MNIST
(12 MB) is downloaded once, or found in ``$GRADUS_DATA``. ``--short`` takes a quarter of the images. Pictures need matplotlib. Steps are
compiled where Numba is installed; ``--eager`` runs them op by op, which takes minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import gradus
from gradus import nn
from gradus.data import Normalizer, mnist
from gradus.errors import MissingExtraError
from gradus.train import Learner
from gradus.viz import draw_mistakes

DIGITS = [str(digit) for digit in range(10)]


def network() -> nn.Sequential:
    """Twice: convolve, keep what is positive, keep the largest of each 2 x 2 pixels. Then two fully connected layers."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28)),  # (B, 28, 28) -> (B, 1, 28, 28): convolutions want an axis of channels
        nn.Conv2d(1, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (B, 32, 14, 14)
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (B, 64, 7, 7)
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, 10),
    )


def draw_filters(weight: np.ndarray, path: Path) -> None:
    """The 3 x 3 kernels of the first layer, blue where they subtract and red where they add: many have become edges."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.4), layout="constrained", facecolor="white")
    figure.suptitle("What the first layer looks for", fontsize=13, fontweight="bold")
    largest = np.abs(weight).max()
    for kernel, axes in zip(weight[:, 0], figure.subplots(4, 8).flat):
        axes.imshow(kernel, cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set_axis_off()
    figure.savefig(path, dpi=144)


def main(folder: Path, short: bool, compile: bool | None) -> None:
    gradus.manual_seed(0)
    x_train, y_train, x_test, y_test = mnist()
    if short:
        x_train, y_train, x_test, y_test = x_train[:15000], y_train[:15000], x_test[:2000], y_test[:2000]
    model = network()
    print(model.summary((1, 28, 28)))

    learner = Learner(model, nn.CrossEntropyLoss(), "adamw", lr=3e-3, normalizer=Normalizer(), compile=compile)
    history = learner.fit(x_train, y_train, epochs=2, batch_size=64 if short else 128, validation=0.1, schedule="one-cycle")
    learner.save(folder)
    truth, probabilities = y_test.numpy(), learner.predict_proba(x_test)

    try:
        history.plot(folder / "curves.png")
        draw_mistakes(x_test.numpy(), truth, probabilities, DIGITS, folder / "mistakes.png", "MNIST")
        draw_filters(model[1].weight.detach().numpy(), folder / "filters.png")
    except MissingExtraError as error:
        print(error.what)
    print(f"model and pictures in {folder}; test accuracy {(probabilities.argmax(1) == truth).mean():.1%}")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    main(Path(words[0] if words else "runs/mnist-cnn"), "--short" in sys.argv, False if "--eager" in sys.argv else None)

"""``gradus train``: real images, one command, and a folder that tells how it went."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

import gradus
from gradus import data
from gradus.cli.run_folder import open_folder, write_config
from gradus.compiler.tiers import Notice, kernels_installed
from gradus.data import Normalizer
from gradus.errors import MissingExtraError, NonFiniteError, UsageError
from gradus.nn import CrossEntropyLoss
from gradus.random import manual_seed
from gradus.tensors import Tensor
from gradus.train import Callback, Learner, build_model
from gradus.train.history import History
from gradus.train.losses import entropy_of_smoothed
from gradus.train.progress import duration
from gradus.viz import confusion_matrix, draw_confusion, draw_curves, draw_mistakes

INSTALL = 'pip install "gradus-dl[fast]"'
VALIDATION = 0.1  # share of the training rows; the test rows are read once, after the last epoch

DATASETS: dict[str, Callable[[], tuple[Tensor, Tensor, Tensor, Tensor]]] = {
    "digits": data.digits,
    "mnist": data.mnist,
    "fashion": data.fashion,
}
NAMES = {"digits": tuple("0123456789"), "mnist": tuple("0123456789"), "fashion": tuple(data.FASHION_CLASSES)}


class Defaults(NamedTuple):
    """What suits a data set, unless the command line says otherwise."""

    hidden: tuple[int, ...]
    dropout: float
    epochs: int
    batch_size: int
    lr: float  # of Adam and AdamW
    sgd_lr: float = 0.1


# Where a convolutional network wants something else, on any data set.
CNN_DEFAULTS = {"hidden": (128,), "lr": 0.003, "sgd_lr": 0.05}

DEFAULTS = {
    "digits": Defaults(hidden=(128,), dropout=0.4, epochs=40, batch_size=32, lr=0.01),
    "mnist": Defaults(hidden=(256,), dropout=0.2, epochs=10, batch_size=128, lr=0.004),
    "fashion": Defaults(hidden=(256,), dropout=0.2, epochs=10, batch_size=128, lr=0.004),
}


class Options(NamedTuple):
    """Everything that settles a run."""

    dataset: str
    model: str
    hidden: tuple[int, ...]
    dropout: float
    epochs: int
    batch_size: int
    lr: float
    optimizer: str
    schedule: str
    label_smoothing: float
    seed: int
    compile: bool

    @classmethod
    def make(cls, **given: Any) -> Self:
        """Options with the data set's defaults where ``given`` has None.

        Raises:
            UsageError: a learning rate that is not positive.
        """
        if given["model"] == "linear" and not given["hidden"] is given["dropout"] is None:
            raise UsageError(
                "a linear model has no hidden layers", got="--model linear with --hidden or --dropout", fix="--model mlp", where=""
            )
        defaults = DEFAULTS[given["dataset"]]._asdict()
        defaults["compile"] = kernels_installed()
        if given["model"] == "cnn":
            defaults |= CNN_DEFAULTS
        if given["optimizer"] == "sgd":
            defaults["lr"] = defaults["sgd_lr"]
        options = cls(**{name: defaults[name] if given.get(name) is None else given[name] for name in cls._fields})
        if not 0 < options.lr < float("inf"):
            raise UsageError("--lr must be a positive number", got=f"{options.lr}", where="")
        return options._replace(hidden=(), dropout=0.0) if options.model == "linear" else options

    def recipe(self, inputs: tuple[int, ...]) -> dict[str, Any]:
        """What :func:`gradus.train.build_model` makes the model from."""
        recipe: dict[str, Any] = {"kind": self.model, "inputs": list(inputs), "classes": len(NAMES[self.dataset])}
        if self.model != "linear":
            recipe |= {"hidden": list(self.hidden), "dropout": self.dropout}
        return recipe


class KeepHistory(Callback):
    """Writes metrics.jsonl after each epoch, so that a run that is killed leaves what it measured."""

    order = 55

    def __init__(self, path: Path) -> None:
        self.path = path

    def after_epoch(self, learner: Learner) -> None:
        learner.history.to_jsonl(self.path)


def train(options: Options, out: Path | None, overwrite: bool) -> int:
    """Train, report, and fill the run folder. Returns the exit code: 0, or 130 when Ctrl-C ended the run early."""
    started = time.perf_counter()
    x_train, y_train, x_test, y_test = DATASETS[options.dataset]()
    recipe = options.recipe(tuple(x_train.shape[1:]))
    folder = open_folder(out, options.dataset, options.model, overwrite)
    config: dict[str, Any] = {"gradus": gradus.__version__, "dataset": options.dataset, "model": recipe}
    config |= {"options": options._asdict(), "validation": VALIDATION}
    write_config(folder, config)
    manual_seed(options.seed)
    learner = make_learner(options, recipe, folder)
    announce(options, learner, len(x_train), len(x_test))
    schedule = None if options.schedule == "none" else options.schedule
    try:
        history = learner.fit(
            x_train, y_train, epochs=options.epochs, batch_size=options.batch_size, validation=VALIDATION, schedule=schedule
        )
    except NonFiniteError as error:
        reached = min(options.lr, error.lr or options.lr)  # a schedule may have been on its way up
        error.fix = f"--lr {reached / 10:.1g}"  # the callback that Python code would name has no option here
        raise
    learner.save(folder)
    title = f"{options.dataset}, {options.model}, seed {options.seed}"
    if history.interrupted:
        draw(folder, history, title)
        write_config(folder, config | {"results": {"interrupted": True, "steps": learner.step}})
        print(f"run folder  {folder}: the model as it was after {learner.step:,} steps")
        return 130
    probabilities, truth = learner.predict_proba(x_test), y_test.numpy()
    accuracy = float((probabilities.argmax(1) == truth).mean())
    draw(folder, history, title, images=x_test.numpy(), truth=truth, probabilities=probabilities, names=NAMES[options.dataset])
    seconds = time.perf_counter() - started
    results = {"test_accuracy": accuracy, "test_images": len(truth), "validation_accuracy": history["val_accuracy"][-1], "seconds": seconds}
    write_config(folder, config | {"results": results})
    report(folder, history, accuracy, seconds)
    return 0


def make_learner(options: Options, recipe: dict[str, Any], folder: Path) -> Learner:
    """An untrained model with everything that trains it."""
    return Learner(
        build_model(recipe),
        CrossEntropyLoss(label_smoothing=options.label_smoothing),
        options.optimizer,
        lr=options.lr,
        normalizer=Normalizer(),
        classes=NAMES[options.dataset],
        callbacks=[KeepHistory(folder / "metrics.jsonl")],
        compile=options.compile,
    )


def announce(options: Options, learner: Learner, train_images: int, test_images: int) -> None:
    """What is about to be trained on what."""
    weights = sum(parameter.numel() for parameter in learner.model.parameters())
    print(f"{options.dataset}: {train_images:,} training and {test_images:,} test images")
    print(f"{options.model}: {weights:,} weights, seed {options.seed}")
    print(way_of_running(options.compile, kernels_installed()))
    Notice.given = True  # by that line
    if options.label_smoothing:
        lowest = entropy_of_smoothed(options.label_smoothing, len(NAMES[options.dataset]))
        print(f"label smoothing {options.label_smoothing:g}: the loss of perfect answers is {lowest:.2f}, not 0")


def way_of_running(compiled: bool, kernels: bool) -> str:
    """Whether batches are compiled, and what would be faster.

    >>> way_of_running(True, kernels=True)
    'compiled (Numba kernels: the first epoch makes them, and they are kept)'
    """
    if compiled:
        made = "compiled (Numba kernels: the first epoch makes them, and they are kept)"
        return made if kernels else f"compiled (NumPy alone: {INSTALL} makes kernels)"
    return "running eagerly (--compile is faster)" if kernels else f"running eagerly: {INSTALL} makes it about 3 times faster"


def draw(folder: Path, history: History, title: str, **test: Any) -> None:
    """The pictures of a run; without matplotlib, one sentence on what is missing."""
    try:
        if history.rows:
            draw_curves(history, folder / "curves.png", title, history.step_losses, history.lowest_loss)
        if test:
            truth, probabilities, names = test["truth"], test["probabilities"], test["names"]
            matrix = confusion_matrix(truth, probabilities.argmax(1), len(names))
            draw_confusion(matrix, names, folder / "confusion.png", f"{title}: test images")
            draw_mistakes(test["images"], truth, probabilities, names, folder / "mistakes.png", title)
    except MissingExtraError as error:
        print(f"No curves, confusion matrix or mistakes were drawn. {error.what}")


def report(folder: Path, history: History, accuracy: float, seconds: float) -> None:
    """What came out, the test accuracy last."""
    epochs, rate = len(history.rows), float(np.median(history["samples_per_second"]))
    files = ", ".join(sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))
    print()
    print(f"{epochs} epoch{'s' if epochs > 1 else ''} in {duration(sum(history['seconds']))}, {rate:,.0f} samples/s in the median epoch")
    print(f"{duration(seconds)} with data and pictures")
    print(f"run folder  {folder}: {files}")
    print(f"try         gradus predict {shlex.quote(str(folder))} IMAGE.png")
    print(f"validation accuracy {100 * history['val_accuracy'][-1]:.1f} %")
    print(f"test accuracy {100 * accuracy:.1f} %")

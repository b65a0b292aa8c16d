"""The layers at work: a classifier trained, three losses compared, and what the sources print.

Every experiment returns numbers and draws nothing but from the seed it is given. The layers are
those of `layers.py`, the losses also of `classification.py`, the images those of
`labelled_images.py`.

Sources: M. Heinzer, "Creating a Neural Network from scratch - Part I", 2020 (the three losses side
by side, 100 images learnt by heart); "Building the foundations of Deep Learning from scratch"; J.
Howard, S. Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020, chapter 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.classification import (
    MSES,
    CrossEntropy,
    calculate_accuracy,
    index_to_one_hot,
    log_softmax,
    softmax,
)
from gradus.ladder.functions_and_gradients import relu
from gradus.ladder.labelled_images import DataLoader, DataSet, Images
from gradus.ladder.layers import MSE, Linear, Loss, Model, Random, ReLU


class Epoch(NamedTuple):
    """One round of training: mean loss and accuracy on its data, accuracy on the others."""

    loss: float
    accuracy: float
    valid_accuracy: float


def train_classifier(
    data: DataLoader,
    loss: Loss,
    learning_rate: float = 0.1,
    epochs: int = 10,
    rng: Random = None,
    hidden: int = 50,
) -> list[Epoch]:
    """Train pixels -> hidden -> 10; one row an epoch.

    Loss and accuracy are those of each batch before its step, weighted by its size.
    """
    rng = np.random.default_rng(rng)
    pixels = data.x_train.shape[1]
    model = Model([Linear(pixels, hidden, rng), ReLU(), Linear(hidden, 10, rng)], loss)
    training, rows = data.get_training_data(), []
    x_valid, y_valid = data.x_valid, data.y_valid
    for _ in range(epochs):
        total_loss = total_right = 0.0
        for x, t in training:
            y = model(x)
            total_loss += float(loss(y, t)) * len(x)
            total_right += calculate_accuracy(y, t) * len(x)
            model.backward()
            model.update(learning_rate)
        n = len(data.x_train)
        others_right = calculate_accuracy(model(x_valid), y_valid)
        rows.append(Epoch(total_loss / n, total_right / n, others_right))
    return rows


def compare_losses(
    data: Images,
    learning_rate: float = 0.5,
    epochs: int = 50,
    batch_size: int = 100,
    seed: int = 0,
    normalized: bool = False,
) -> dict[str, list[Epoch]]:
    """The same network, data and learning rate under MSE, MSES and CrossEntropy, by name.

    With grey values from 0 to 1 the order is Heinzer's: cross-entropy learns fastest, MSES slowest,
    and MSE, which knows nothing of probabilities, works. With normalized ones a step of 0.5 is too
    long for MSE: it overshoots at once and ends last.
    """
    found = {}
    for loss in (MSE(), MSES(), CrossEntropy()):
        loader = DataLoader(data, batch_size, seed, normalized)
        found[type(loss).__name__] = train_classifier(loader, loss, learning_rate, epochs, seed)
    return found


def overfit(
    data: Images,
    examples: int = 100,
    learning_rate: float = 0.25,
    epochs: int = 30,
    seed: int = 0,
) -> list[Epoch]:
    """Learn `examples` images by heart: the quickest sign that a network can learn at all.

    They come in one batch, with grey values from 0 to 1. Heinzer's learning rate of 0.01 works on a
    gradient summed over the 100 images. On the mean it is 1: there three seeds of eight fail.
    """
    few = Images(data.x_train[:examples], data.y_train[:examples], data.x_valid, data.y_valid)
    loader = DataLoader(few, normalized=False)
    return train_classifier(loader, CrossEntropy(), learning_rate, epochs, seed)


class Shrinkage(NamedTuple):
    """Norms of the gradients by y that MSES and cross-entropy send back for the same outputs.

    That of MSES is scaled up to a sum over classes.
    """

    scale: float
    mses: float
    cross_entropy: float


def gradient_shrinkage(
    scales: Sequence[float] = (0.0, 1.0, 3.0, 10.0, 30.0), n: int = 1000, seed: int = 0
) -> list[Shrinkage]:
    """How much of the gradient softmax lets through as outputs grow.

    MSES fades even where the answer is wrong, cross-entropy does not.
    """
    rng = np.random.default_rng(seed)
    y, t = rng.standard_normal((n, 10)), index_to_one_hot(rng.integers(10, size=n), 10)
    rows, mses, cross_entropy = [], MSES(), CrossEntropy()
    for scale in scales:
        mses(scale * y, t), cross_entropy(scale * y, t)
        faded, kept = np.linalg.norm(10 * mses.gradient()), np.linalg.norm(cross_entropy.gradient())
        rows.append(Shrinkage(scale, float(faded), float(kept)))
    return rows


class TwoNumbers(NamedTuple):
    """What a rung computes and what is true."""

    found: float
    true: float


def layer_used_twice(seed: int = 0) -> TwoNumbers:
    """The limit: one Linear twice in a model; its gradient's norm as it is found, and as it is.

    With `guarded` left on, `backward` raises instead. The true number comes from two layers that
    share the weight: each keeps its own call.
    """
    rng = np.random.default_rng(seed)
    x, t = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
    norms = []
    for twice_the_same in (True, False):
        first = Linear(4, 4, seed, dtype=np.float64)
        second = first if twice_the_same else Linear(4, 4, dtype=np.float64)
        second.weight, second.bias = first.weight, first.bias
        first.guarded = second.guarded = False
        model = Model([first, ReLU(), second])
        model.loss(model(x), t)
        model.backward()
        norms.append(float(np.linalg.norm(np.asarray(first.weight.g))))
    return TwoNumbers(*norms)


class Slip(NamedTuple):
    """Something printed in a source: where, what it gives, what is true."""

    where: str
    printed: Any
    true: Any


def slips(seed: int = 0) -> list[Slip]:
    """What the three documents print, run beside what is true."""
    rng = np.random.default_rng(seed)
    y, g = rng.standard_normal((6, 3)), rng.standard_normal((6, 3))
    t = index_to_one_hot(rng.integers(3, size=6), 3)
    log_s, cross_entropy, squared = log_softmax(y), CrossEntropy(), MSE()
    soft = np.array([[0.9, 0.05, 0.05]])
    cross_entropy(y, t), squared(y, t)
    relu_output, handed_in = relu(y), g.copy()
    handed_in[relu_output == 0] = 0  # the printed backward, on the gradient of whoever called it
    by_examples = float((2 * (y - t) / len(y) / squared.gradient()).mean())
    their_slope = ((softmax(y) - t) / cross_entropy.gradient()).mean()
    whole_batches = len(DataSet(np.zeros(250), np.zeros(250), 100))
    return [
        Slip("bias gradient of the first document: y.g, shape", g.shape, g.sum(0).shape),
        Slip("MSE gradient divided by the examples alone, over the true one", by_examples, 1.0),
        Slip(
            "Heinzer's cross-entropy: the mean of one sum",
            float(np.mean(-np.sum(log_s[t > 0]))),
            float(cross_entropy(y, t)),
        ),
        Slip("its gradient, over the true one", float(their_slope), 1.0),
        Slip(
            "its value for the soft target .9 .05 .05",
            float(-log_s[:1][soft > 0].sum()),
            float(-(soft * log_s[:1]).sum()),
        ),
        Slip(
            "ReLU.backward: entries of the caller's gradient changed",
            int((handed_in != g).sum()),
            0,
        ),
        Slip(
            "index_to_one_hot of [1, 2]: columns from max - min + 1",
            2 + 1 - 1,
            index_to_one_hot([1, 2]).shape[1],
        ),
        Slip("len of 250 examples in batches of 100, rounded down", 250 // 100, whole_batches),
    ]

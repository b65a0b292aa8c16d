"""The real MNIST and Fashion-MNIST, from the folder that $GRADUS_DATA names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gradus
from gradus.data import FASHION_CLASSES, fashion, mnist

# Mean and deviation of the training pixels, first training labels, training images a class.
MNIST_FACTS = (0.1307, 0.3081, [5, 0, 4, 1, 9], [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
FASHION_FACTS = (0.2860, 0.3530, [9, 0, 0, 3, 0], [6000] * 10)


@pytest.mark.parametrize("load, facts", [(mnist, MNIST_FACTS), (fashion, FASHION_FACTS)], ids=["mnist", "fashion"])
def test_real_files(load: Callable, facts: tuple, gradus_data: Path) -> None:
    parts = load(download=False)
    assert [tuple(part.shape) for part in parts] == [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)]
    assert [part.dtype for part in parts] == [gradus.float32, gradus.int64] * 2
    x_train, y_train, x_test, y_test = (part.numpy() for part in parts)
    mean, deviation, first, counts = facts
    assert x_train.mean(dtype="float64") == pytest.approx(mean, abs=5e-5)
    assert x_train.std(dtype="float64") == pytest.approx(deviation, abs=5e-5)
    assert (x_train.min(), x_train.max(), x_test.min(), x_test.max()) == (0, 1, 0, 1)
    assert y_train[:5].tolist() == first
    assert np.bincount(y_train).tolist() == counts
    assert np.bincount(y_test).size == 10


def test_the_folder_can_be_named(gradus_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADUS_DATA")
    assert mnist(gradus_data, download=False)[3][:3].tolist() == [7, 2, 1]


def test_classes_of_fashion() -> None:
    assert len(FASHION_CLASSES) == 10
    assert FASHION_CLASSES[9] == "Ankle boot"

"""Labelled images: read, normalised, and handed out in batches, for training and for validation.

Source: M. Heinzer, "Creating a Neural Network from scratch - Part I", 2020 (`DataSet`,
`DataLoader`, `load_data`). His validation images are normalised by their own numbers, and his
length of a data set leaves the tail out; here neither is so.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradus.ladder.classification import index_to_one_hot
from gradus.ladder.layers import Random


def normalize(x: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """(x - mean) / std, with the numbers of `like`: validation data take the training data's.

    >>> normalize(np.array([1.0, 3.0]), like=np.array([0.0, 2.0]))
    array([0., 2.])
    """
    like = x if like is None else like
    return (x - like.mean()) / like.std()


def normalize_row_wise(x: np.ndarray) -> np.ndarray:
    """Each row minus its mean, divided by its standard deviation; a constant row becomes 0.

    >>> normalize_row_wise(np.array([[1.0, 3.0], [5.0, 5.0]]))
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    deviation = x.std(axis=1, keepdims=True)
    return (x - x.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)


class DataSet:
    """Batches of (x, y), all of them in each round; the last one may be smaller.

    They are shuffled anew every round if `rng` is given.

    >>> data = DataSet(np.arange(5), np.arange(5) * 10, batch_size=2)
    >>> len(data), [x.tolist() for x, y in data]
    (3, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray, batch_size: int | None = None, rng: Random = None
    ) -> None:
        if len(x) != len(y):
            raise ValueError(f"{len(x)} inputs, but {len(y)} targets")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"a batch holds at least one example, not {batch_size}")
        self.x, self.y = x, y
        self.batch_size = max(len(x), 1) if batch_size is None else batch_size
        self.rng = None if rng is None else np.random.default_rng(rng)

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.arange(len(self.x)) if self.rng is None else self.rng.permutation(len(self.x))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self.x[rows], self.y[rows]


class Images(NamedTuple):
    """Flattened images (N, 784) and one-hot labels (N, 10), for training and for validation."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray


class DataLoader:
    """Training and validation sets, `normalized` both with the training images' numbers.

    >>> loader = DataLoader(invented_images(20, 10, rng=0), batch_size=5)
    >>> len(loader.get_training_data()), len(loader.get_validation_data())
    (4, 1)
    """

    def __init__(
        self,
        images: Images,
        batch_size: int | None = None,
        rng: Random = None,
        normalized: bool = True,
    ) -> None:
        self.x_train, self.x_valid = images.x_train, images.x_valid
        if normalized:
            self.x_valid = normalize(images.x_valid, like=images.x_train)
            self.x_train = normalize(images.x_train)
        self.y_train, self.y_valid = images.y_train, images.y_valid
        self.batch_size, self.rng = batch_size, rng

    def get_training_data(self) -> DataSet:
        return DataSet(self.x_train, self.y_train, self.batch_size, self.rng)

    def get_validation_data(self) -> DataSet:
        return DataSet(self.x_valid, self.y_valid)


def load_data(folder: str | Path) -> Images:
    """MNIST (or a set like it) from the four `…-ubyte.gz` files in `folder`; greys from 0 to 1."""

    def read(name: str, header: int) -> np.ndarray:
        packed = (Path(folder) / name).read_bytes()
        return np.frombuffer(gzip.decompress(packed), np.uint8, offset=header)

    def images(name: str) -> np.ndarray:
        return read(name, 16).reshape(-1, 784).astype(np.float32) / 255

    def labels(name: str) -> np.ndarray:
        return index_to_one_hot(read(name, 8), classes=10)

    return Images(
        images("train-images-idx3-ubyte.gz"),
        labels("train-labels-idx1-ubyte.gz"),
        images("t10k-images-idx3-ubyte.gz"),
        labels("t10k-labels-idx1-ubyte.gz"),
    )


def invented_images(train: int, valid: int, rng: Random = None, noise: float = 0.3) -> Images:
    """Ten random patterns with noise on them: what the experiments learn where no MNIST is at hand.

    >>> [part.shape for part in invented_images(20, 10, rng=0)]
    [(20, 784), (20, 10), (10, 784), (10, 10)]
    """
    rng = np.random.default_rng(rng)
    # mostly dark, with the mean square of MNIST
    patterns = rng.random((10, 784), dtype=np.float32) ** 4
    labels = rng.integers(10, size=train + valid)
    x = patterns[labels] + noise * rng.standard_normal((train + valid, 784), dtype=np.float32)
    y = index_to_one_hot(labels, classes=10)
    return Images(x[:train], y[:train], x[train:], y[train:])

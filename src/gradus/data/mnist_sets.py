"""MNIST and Fashion-MNIST: 60,000 training and 10,000 test images each, 28×28 grey values, 10 classes.

MNIST: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
algorithms", arXiv:1708.07747, 2017; MIT licence, copyright Zalando SE.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from gradus.data.idx import read_idx
from gradus.tensors import Tensor, wrap

FASHION_CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

AnyPath = str | os.PathLike[str]
Images = tuple[Tensor, Tensor, Tensor, Tensor]


class RemoteFile(NamedTuple):
    """A file of which every bit is known before it is downloaded."""

    name: str
    size: int
    sha256: str


class Collection(NamedTuple):
    """Files that belong together, in a folder of their own, and the addresses that end in ``/`` and hold them all."""

    folder: str
    title: str
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]


# The files in the order: training images, training labels, test images, test labels.
MNIST = Collection(
    "mnist",
    "MNIST",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    (
        RemoteFile("train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        RemoteFile("train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        RemoteFile("t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        RemoteFile("t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
)
FASHION = Collection(
    "fashion",
    "Fashion-MNIST",
    (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    (
        RemoteFile("train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        RemoteFile("train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        RemoteFile("t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        RemoteFile("t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
)


def mnist(folder: AnyPath | None = None, *, download: bool = True) -> Images:
    """MNIST, handwritten digits: ``x_train, y_train, x_test, y_test``.

    Args:
        folder: where the folder ``mnist`` with the files is, or shall be made: ``$GRADUS_DATA`` if set, otherwise the platform's
            folder for caches.
        download: fetch files that are not there (12 MB in all), from one of several addresses, each checked by its SHA-256.

    Returns:
        Images float32 in 0 … 1 of shape (60000, 28, 28) and (10000, 28, 28), labels int64 of shape (60000,) and (10000,).

    Raises:
        DataError: the files are neither there nor to be had; says which files to put where.
    """
    return _load(MNIST, folder, download)


def fashion(folder: AnyPath | None = None, *, download: bool = True) -> Images:
    """Fashion-MNIST, articles of clothing (:data:`FASHION_CLASSES`): ``x_train, y_train, x_test, y_test``.

    Args, returned shapes and errors are those of :func:`mnist`; the files (31 MB) lie in the folder ``fashion``.
    """
    return _load(FASHION, folder, download)


def _load(collection: Collection, folder: AnyPath | None, download: bool) -> Images:
    # Imported when first needed: HTTP and hashing would be a third of what `import gradus` costs, and most never download.
    store = import_module("gradus.data.download")
    paths = store.obtain(collection, folder, download)
    x_train, y_train, x_test, y_test = (read_idx(path) for path in paths)
    return _scaled(x_train), wrap(y_train.astype(np.int64)), _scaled(x_test), wrap(y_test.astype(np.int64))


def _scaled(pixels: np.ndarray[Any, Any]) -> Tensor:
    """Grey values 0 … 255 as float32 in 0 … 1."""
    return wrap(np.divide(pixels, np.float32(255), dtype=np.float32))

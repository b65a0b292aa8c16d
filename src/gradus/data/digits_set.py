"""The 1,797 handwritten digits that come with Gradus: 8×8 grey values, 10 classes, no download.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998; see ``digits.txt`` for
source and licence. ``scripts/make_digits.py`` made the file: one IDX array of bytes, a row an image.
"""

from __future__ import annotations

import os

import numpy as np

from gradus.data.idx import read_idx
from gradus.tensors import Tensor, wrap

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits.idx.gz")
PIXELS = 64
BLACK = 16  # the largest value of a pixel: the number of inked dots in a 4×4 block of the scanned image


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Small handwritten digits: ``x_train, y_train, x_test, y_test``, always split alike.

    Returns:
        Images float32 in 0 … 1 (1: ink) of shape (1437, 8, 8) and (360, 8, 8), labels int64 of shape (1437,) and (360,). Every
        class has the same share in both parts; writers occur in both.

    Raises:
        DataError: the file in the package is missing or damaged.

    >>> x_train, y_train, x_test, y_test = digits()
    >>> x_train.shape, x_test.shape, y_test[:4].tolist()
    (Size([1437, 8, 8]), Size([360, 8, 8]), [5, 9, 2, 4])
    """
    rows = read_idx(FILE)
    pixels = np.divide(rows[:, :PIXELS].reshape(-1, 8, 8), np.float32(BLACK), dtype=np.float32)
    labels, is_test = rows[:, PIXELS].astype(np.int64), rows[:, PIXELS + 1].astype(bool)
    return wrap(pixels[~is_test]), wrap(labels[~is_test]), wrap(pixels[is_test]), wrap(labels[is_test])

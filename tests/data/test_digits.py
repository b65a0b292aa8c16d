"""The digits in the package: the pixels, labels and split are pinned, so that every figure reported on them compares."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

import gradus
from gradus.data import digits, digits_set, read_idx

# SHA-256 of the columns; the first two are those of scikit-learn's load_digits.
PIXELS = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
LABELS = "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"
SPLIT = "85f47124dcf68fd0fb06013bdb46d2f8007f749036ef536e33cbdf599e761f9d"


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_shapes_dtypes_and_range() -> None:
    x_train, y_train, x_test, y_test = digits()
    assert [tuple(part.shape) for part in (x_train, y_train, x_test, y_test)] == [(1437, 8, 8), (1437,), (360, 8, 8), (360,)]
    assert [part.dtype for part in (x_train, y_train, x_test, y_test)] == [gradus.float32, gradus.int64] * 2
    for x in (x_train, x_test):
        assert (x.numpy().min(), x.numpy().max()) == (0, 1)
        assert (x.numpy() * 16 == np.round(x.numpy() * 16)).all()


def test_content_and_split_are_pinned() -> None:
    rows = read_idx(digits_set.FILE)
    assert rows.shape == (1797, 66)
    assert np.bincount(rows[:, 64]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert rows[0, :64].reshape(8, 8)[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert digest(rows[:, :64]) == PIXELS
    assert digest(rows[:, 64]) == LABELS
    assert digest(rows[:, 65]) == SPLIT


def test_split_is_stratified_and_disjoint() -> None:
    x_train, y_train, x_test, y_test = (part.numpy() for part in digits())
    counts = np.bincount(np.concatenate([y_train, y_test]))
    assert np.bincount(y_test).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert np.abs(np.bincount(y_test) - counts * 360 / 1797).max() < 1
    train = {image.tobytes() for image in x_train}
    assert not any(image.tobytes() in train for image in x_test)


def test_every_call_gives_memory_of_its_own() -> None:
    first = digits()
    first[0].numpy()[:] = 0
    assert digits()[0].numpy().max() == 1


def test_the_file_is_small_and_its_source_is_named() -> None:
    assert Path(digits_set.FILE).stat().st_size < 100_000
    notice = Path(digits_set.FILE).with_name("digits.txt").read_text(encoding="utf-8")
    for text in ("E. Alpaydin, C. Kaynak", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/", "10.24432/C50P49", "Changed:"):
        assert text in notice


def test_the_digits_are_digits() -> None:
    """A nearest class mean tells most of them, so pixels and labels belong together."""
    x_train, y_train, x_test, y_test = (part.numpy() for part in digits())
    means = np.stack([x_train[y_train == digit].mean(axis=0) for digit in range(10)])
    distances = ((x_test[:, None] - means) ** 2).sum(axis=(2, 3))
    assert (distances.argmin(axis=1) == y_test).mean() > 0.85

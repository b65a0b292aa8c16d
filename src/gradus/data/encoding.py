"""Labels as numbers: one-hot rows from class numbers, class numbers from names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from gradus.dtypes import float32
from gradus.errors import DTypeError, LabelError, UsageError
from gradus.fused.labels import check_range, one_hot_rows
from gradus.tensors import Tensor, wrap


def one_hot(labels: Any, classes: int, dtype: Any = float32) -> Tensor:
    """Rows with a single 1: ``y[…, c] = 1 if labels[…] == c else 0``.

    Args:
        labels: integers 0 … classes - 1, any shape.
        classes: the number of classes. It is never guessed from the labels: a batch may lack the last class.
        dtype: of the result.

    Returns:
        Tensor of shape ``(*labels.shape, classes)``.

    Raises:
        LabelError: a label outside 0 … classes - 1; says which, where, and what the labels look like.
        DTypeError: labels that are not integers.

    >>> one_hot([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if isinstance(classes, bool) or not isinstance(classes, (int, np.integer)) or classes < 1:
        raise UsageError("one_hot needs the number of classes", got=f"classes={classes!r}", wanted="a whole number from 1 up")
    numbers = np.asarray(labels.value if isinstance(labels, Tensor) else labels)
    if numbers.size == 0:
        numbers = numbers.astype(np.int64)  # NumPy takes [] for floats
    if numbers.dtype.kind not in "iu":
        text = numbers.dtype.kind in "USO"
        fix = "LabelEncoder().fit(labels).encode(labels)" if text else "labels.astype('int64')"
        raise DTypeError("one_hot takes class numbers", got=f"labels of dtype {numbers.dtype}", wanted="integers", fix=fix, code="E09")
    check_range(numbers, int(classes))
    return wrap(one_hot_rows(numbers, int(classes), dtype))


class LabelEncoder:
    """Numbers classes that have names.

    Args:
        classes: the names in the order of their numbers; without them, :meth:`fit` takes those that occur, sorted.

    Attributes:
        classes: the names, in the order of their numbers.

    Raises:
        UsageError: a class given twice.

    >>> encoder = LabelEncoder().fit(["dog", "cat", "dog"])
    >>> encoder.classes, encoder.encode(["dog", "cat"]).tolist(), encoder.decode([0, 0])
    (['cat', 'dog'], [1, 0], ['cat', 'cat'])
    """

    def __init__(self, classes: Iterable[Hashable] | None = None) -> None:
        self.classes: list[Any] = []
        self._numbers: dict[Any, int] = {}
        if classes is not None:
            self._set(_names(classes))

    def _set(self, classes: list[Any]) -> None:
        self.classes, self._numbers = classes, {name: number for number, name in enumerate(classes)}
        if len(self._numbers) < len(classes):
            twice = next(name for name in classes if classes.count(name) > 1)
            raise UsageError("a class has two numbers", got=f"{twice!r} twice", wanted="each class once")

    def fit(self, labels: Iterable[Hashable]) -> LabelEncoder:
        """Take the names that occur in ``labels``, sorted. Fit on all labels, or on the training rows if the rest must be known to them."""
        names = set(_names(labels))
        if not names:
            raise UsageError("there are no labels to learn classes from", got="no labels", wanted="at least one")
        try:
            self._set(sorted(names))
        except TypeError as error:
            kinds = ", ".join(sorted({type(name).__name__ for name in names}))
            raise UsageError("labels of several types have no order", got=kinds, fix="LabelEncoder(classes=[…])") from error
        return self

    def encode(self, labels: Iterable[Hashable]) -> Tensor:
        """The numbers of ``labels`` (N,) as an int64 Tensor (N,).

        Raises:
            LabelError: a name that is no class; says which, at which row, and which classes there are.
        """
        names = _names(labels)
        try:
            return wrap(np.array([self._numbers[name] for name in names], np.int64))
        except KeyError:
            row = next(row for row, name in enumerate(names) if name not in self._numbers)
        raise LabelError(
            f"label {names[row]!r} at row {row} is no class",
            wanted=f"one of {_listed(self.classes)}" if self.classes else "a fitted encoder",
            fix="" if self.classes else "LabelEncoder().fit(labels)",
            code="E09",
        )

    def decode(self, numbers: Any) -> list[Any]:
        """The names of class ``numbers`` (N,).

        Raises:
            LabelError: a number outside 0 … classes - 1.
        """
        array = np.asarray(numbers.value if isinstance(numbers, Tensor) else numbers, np.int64).reshape(-1)
        check_range(array, len(self.classes))
        return [self.classes[number] for number in array.tolist()]

    def __len__(self) -> int:
        return len(self.classes)

    def __repr__(self) -> str:
        return f"LabelEncoder({self.classes!r})"


def _names(labels: Any) -> list[Any]:
    """Python values: NumPy's own strings and numbers equal them, but JSON and ``repr`` know the difference."""
    if isinstance(labels, str):
        raise UsageError("labels are a sequence of names", got=f"the one string {labels!r}", wanted="a list", fix=f"[{labels!r}]")
    if isinstance(labels, (Tensor, np.ndarray)):
        return labels.reshape(-1).tolist()
    return [label.item() if isinstance(label, np.generic) else label for label in labels]


def _listed(names: Sequence[Any], most: int = 8) -> str:
    return ", ".join(map(repr, names[:most])) + (f", … ({len(names)} in all)" if len(names) > most else "")

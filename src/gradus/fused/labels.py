"""Class labels: which of them are no class, and one-hot rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, LabelError, UsageError


class Outside(NamedTuple):
    """The first label that is no class, and what the labels look like: the parts of an E09 message, whoever words it.

    Attributes:
        label: its value.
        place: "row 3", or for labels of several axes "position [3, 1]".
        low, high: the range of all labels that count.
        from_one: whether they are probably counted from 1.
    """

    label: int
    place: str
    low: int
    high: int
    from_one: bool


def outside(labels: np.ndarray, classes: int, ignore_index: int | None = None) -> Outside | None:
    """The first of some labels that is not one of 0 … classes - 1, nor ``ignore_index``; None when there is none.

    >>> outside(np.array([1, 3, 2]), 3)
    Outside(label=3, place='row 1', low=1, high=3, from_one=True)
    """
    wrong = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if not wrong.any():
        return None
    where = np.argwhere(wrong)[0].tolist()
    counted = labels if ignore_index is None else labels[labels != ignore_index]
    low, high = int(counted.min()), int(counted.max())
    place = f"row {where[0]}" if len(where) == 1 else f"position {where}"
    return Outside(int(labels[tuple(where)]), place, low, high, low >= 1 and high == classes)


def check_range(labels: np.ndarray, classes: int, argument: str = "classes") -> None:
    """E09 for labels that are not all in 0 … classes - 1; ``argument`` is what the caller calls the number of classes."""
    found = outside(labels, classes)
    if found is None:
        return
    why, fix = "", f"{argument}={found.high + 1}"
    if found.from_one:
        why, fix = "labels start at 1", "labels - 1"
    elif found.low < 0:
        why, fix = "a negative label often marks rows without one: leave those rows out", ""
    raise LabelError(
        f"label {found.label} at {found.place} is no class",
        got=f"labels {found.low} to {found.high}",
        wanted=f"0 to {classes - 1}, for there are {classes} classes",
        why=why,
        fix=fix,
        code="E09",
    )


def one_hot_rows(labels: Any, classes: int, dtype: Any) -> Any:
    """``y[…, c] = 1 if labels[…] == c else 0`` in ops, unchecked: arrays, tensors and tracers (…) to (…, classes)."""
    return ops.astype(ops.equal(ops.expand_dims(labels, axis=-1), np.arange(classes)), dtype)


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """Rows of int64 with a single 1, as PyTorch has them; :func:`gradus.data.one_hot` gives float32, and takes lists too.

    Args:
        input: labels 0 … num_classes - 1 of any integer dtype and shape (…).
        num_classes: how many; -1 takes the largest label plus 1, which differs between batches where one lacks the last class.

    Returns:
        Tensor of shape (…, num_classes).

    Raises:
        LabelError: a label outside 0 … num_classes - 1 (E09).
        DTypeError: labels that are not integers.

    >>> from gradus.tensors import Tensor
    >>> one_hot(Tensor([2, 0]), num_classes=3)
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    if input.dtype.kind not in "iu":
        got = f"labels of dtype {input.dtype}"
        raise DTypeError("one_hot takes class numbers", got=got, wanted="integers", fix="labels.long()", code="E09")
    labels = getattr(input, "value", input)
    known = isinstance(labels, np.ndarray)
    if num_classes == -1 and known and labels.size:
        num_classes = max(int(labels.max()) + 1, 1)
    if num_classes < 1:
        raise UsageError("one_hot needs the number of classes", got=f"num_classes={num_classes}", wanted="1 or more", code="E09")
    if known:
        check_range(labels, num_classes, "num_classes")
    return one_hot_rows(input, num_classes, np.int64)

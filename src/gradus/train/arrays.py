"""Arrays as people have them (NumPy, lists, Tensors, data frames) checked and turned into the Tensors that a model takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus.data import LabelEncoder
from gradus.errors import DataError, DTypeError, LabelError, UsageError
from gradus.tensors import Tensor
from gradus.train.losses import Task

Say = Callable[[str], Any]


def to_array(data: Any, name: str) -> np.ndarray:
    """``data`` as an array with rows along its first axis.

    Raises:
        DataError: rows of different lengths, objects instead of numbers, no rows, or no axis at all.
    """
    if isinstance(data, Tensor):
        array = data.detach().numpy()
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ragged(data, name) from error
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.reshape(-1)):
        array = array.astype(str)
    if array.dtype.kind not in "biufcUS":
        raise DataError(f"{name} must hold numbers", got=f"dtype {array.dtype}", wanted="integers, floats or label strings", code="E39")
    if array.ndim == 0:
        raise DataError(
            f"{name} must have rows",
            got=f"the single value {array[()]!r}",
            wanted="an array of shape (rows, …)",
            fix=f"{name}.reshape(1, -1)",
        )
    if len(array) == 0:
        raise DataError(f"{name} has no rows", got=f"shape {array.shape}", wanted="at least one row", code="E12")
    return array


def ragged(data: Any, name: str) -> DataError:
    """The error for rows of several lengths: which row differs from the first."""
    shapes = [np.shape(row) if not isinstance(row, list | tuple) else (len(row),) for row in data]
    odd = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), None)
    got = f"row 0 has shape {shapes[0]}, row {odd} has {shapes[odd]}" if odd is not None else "nested rows of different lengths"
    return DataError(f"the rows of {name} differ in shape", got=got, wanted="rows of one shape", code="E39")


def check_finite(array: np.ndarray, name: str) -> None:
    """Raise a DataError that names the first row and column holding NaN or infinity."""
    if array.dtype.kind not in "fc" or np.isfinite(array.sum(dtype=np.complex128 if array.dtype.kind == "c" else np.float64)):
        return
    bad = ~np.isfinite(array)
    if not bad.any():  # only the sum was too large
        return
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    raise DataError(
        f"{name} holds {array[index]}",
        got=f"first at row {index[0]}"
        + (f", position {list(index[1:])}" if len(index) > 1 else "")
        + f"; {int(bad.sum())} of {array.size} values",
        wanted="finite numbers",
        fix=f"leave those rows out: {name}[np.isfinite({name}).all(axis=1)]"
        if array.ndim == 2
        else "leave those rows out, or fill the gaps",
        code="E17",
    )


def to_inputs(data: Any, name: str, dtype: np.dtype, scaled: bool, say: Say) -> np.ndarray:
    """Inputs in the dtype that the model computes in; ``say`` is told of every change but that of plain Python lists.

    Args:
        scaled: whether a normalizer will bring the values to a sensible range.
    """
    array = to_array(data, name)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name} must hold numbers", got=f"dtype {array.dtype}", wanted=str(dtype), code="E14")
    check_finite(array, name)
    if array.dtype == dtype:
        return array
    if array.dtype.kind == "f" and dtype.kind in "iu":
        raise DTypeError(f"{name} must hold whole numbers for this model", got=f"dtype {array.dtype}", wanted=str(dtype), code="E14")
    if not isinstance(data, list | tuple):
        if array.dtype == np.uint8 and dtype.kind == "f" and not scaled and array.max() > 1:
            say(f"{name} is uint8, {array.min()} to {array.max()}: cast to {dtype}, not scaled; {name} / 255 usually learns better")
        else:
            say(f"{name} is {array.dtype}: cast to {dtype}, the dtype that the model computes in")
    return array.astype(dtype)


def to_targets(data: Any, name: str, task: Task, dtype: np.dtype, encoder: LabelEncoder | None, say: Say) -> np.ndarray:
    """Targets in the dtype that the loss takes: int64 labels for classes, the model's dtype for all other values."""
    array = to_array(data, name)
    if array.dtype.kind in "US":
        if encoder is None:
            raise LabelError(
                f"{name} holds strings, but this is {task.name}",
                got=f"{array.reshape(-1)[0]!r}",
                wanted="numbers",
                fix='loss="cross_entropy"',
            )
        return encoder.encode(array).numpy().reshape(array.shape)
    check_finite(array, name)
    if task.name == "classification" and array.dtype.kind in "biu":
        return array.astype(np.int64)
    if array.dtype == dtype:
        return array
    if not isinstance(data, list | tuple) and task.name == "regression":
        say(f"{name} is {array.dtype}: cast to {dtype}, the dtype that the model computes in")
    return array.astype(dtype)


def check_lengths(x: np.ndarray, y: np.ndarray, names: tuple[str, str]) -> None:
    """Refuse inputs and targets of different numbers of rows; ``names`` are what the message calls them."""
    if len(x) != len(y):
        fix = f"{names[0]}.T" if x.ndim == 2 and x.shape[1] == len(y) else ""
        why = "the rows stand along the second axis" if fix else ""
        raise DataError(
            f"{names[0]} and {names[1]} must have the same number of rows",
            got=f"{names[0]} {x.shape}, {names[1]} {y.shape}: {len(x)} and {len(y)} rows",
            wanted="one target per input row",
            why=why,
            fix=fix,
        )


def split_rows(rows: int, share: float, permutation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and for validation: a random ``share`` of all rows, at least one on either side."""
    if not 0 < share < 1:
        raise UsageError(
            "validation is the share of rows that are held out", got=f"validation={share}", wanted="0 < share < 1, or (X, Y), or None"
        )
    held_out = round(rows * share)
    if held_out == 0 or held_out == rows:
        raise UsageError(
            f"validation={share} of {rows} rows leaves {held_out} for validation and {rows - held_out} for training",
            wanted="at least one row on either side",
            fix="validation=None",
        )
    return permutation[held_out:], permutation[:held_out]

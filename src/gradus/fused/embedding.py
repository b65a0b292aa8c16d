"""Embedding: rows of a table, picked by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, IndexRangeError, ShapeError, UsageError


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """``y[…] = weight[input[…]]``; the gradient of a row is the sum over all places that picked it.

    Args:
        input: row numbers of any integer dtype, shape (…).
        weight: the table, (rows, features).
        padding_idx: a row that gets no gradient; negative numbers count from the end.
        max_norm, norm_type, scale_grad_by_freq, sparse: PyTorch's options, refused unless at their defaults.

    Returns:
        Tensor (…, features) of the dtype of the table.

    Raises:
        IndexRangeError: a number outside 0 … rows - 1 (E41).
        DTypeError: numbers that are not integers (E14).

    >>> from gradus.tensors import Tensor
    >>> embedding(Tensor([1, 0, 1]), Tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.],
            [3., 4.]])
    """
    refuse_options(max_norm, scale_grad_by_freq, sparse)
    if weight.ndim != 2:
        raise ShapeError("'weight' must be 2-D", got=f"weight of shape {tuple(weight.shape)}", wanted="(rows, features)", code="E03")
    if input.dtype.kind not in "iu":
        raise DTypeError(
            "embedding picks rows by whole numbers", got=f"numbers of dtype {input.dtype}", wanted="integers", fix="x.long()", code="E14"
        )
    rows = weight.shape[0]
    _check_range(getattr(input, "value", input), rows)
    y = ops.take(weight, input)
    if padding_idx is None:
        return y
    padding = ops.expand_dims(ops.equal(input, padding_row(padding_idx, rows)), axis=-1)
    return ops.where(padding, ops.stop_gradient(y), y)


def padding_row(padding_idx: int, rows: int) -> int:
    """``padding_idx`` counted from the start.

    >>> padding_row(-1, 10)
    9
    """
    if not -rows <= padding_idx < rows:
        raise UsageError("Padding_idx must be within num_embeddings", got=f"{padding_idx}", wanted=f"-{rows} to {rows - 1}", code="E29")
    return padding_idx % rows


def refuse_options(max_norm: float | None, scale_grad_by_freq: bool, sparse: bool) -> None:
    """E29 for PyTorch's options that Gradus does not have."""
    for name, value in (("max_norm", max_norm), ("scale_grad_by_freq", scale_grad_by_freq), ("sparse", sparse)):
        if value:
            raise UsageError(f"embedding has no {name}", got=f"{name}={value}", wanted="the default", fix=f"leave {name} out", code="E29")


def _check_range(numbers: Any, rows: int) -> None:
    """E41 for a number that names no row. A tracer's numbers are not known yet, and are not checked."""
    if not isinstance(numbers, np.ndarray) or not numbers.size:
        return
    low, high = int(numbers.min()), int(numbers.max())
    if low >= 0 and high < rows:
        return
    place = np.argwhere((numbers < 0) | (numbers >= rows))[0].tolist()
    wrong = int(numbers[tuple(place)])
    raise IndexRangeError(
        f"index out of range in self: there is no row {wrong}",
        got=f"{wrong} at position {place}; numbers from {low} to {high}",
        wanted=f"0 to {rows - 1}, for the table has {rows} rows",
        why="a negative number often marks padding" if low < 0 else "the vocabulary is larger than the table",
        fix=f"nn.Embedding({high + 1}, …)" if low >= 0 else "",
        code="E41",
    )

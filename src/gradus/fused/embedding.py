"""Embedding: rows of a table, picked by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, IndexRangeError, ShapeError, UsageError
from gradus.mode import MODE
from gradus.ops import claims
from gradus.primitive import bind, primitive


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
    numbers = getattr(input, "value", input)
    if MODE.world is not None or not isinstance(numbers, np.ndarray):
        input = checked_rows(input, rows=rows)
    else:
        _check_rows(numbers, rows=rows)
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


def _check_rows(numbers: np.ndarray, *, rows: int) -> np.ndarray:
    """The numbers themselves; E41 for one that names no row."""
    if not numbers.size:
        return numbers
    low, high = int(numbers.min()), int(numbers.max())
    if low >= 0 and high < rows:
        return numbers
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


@primitive(
    "checked_rows",
    lambda xp, input, *, rows: xp.checked_rows(input, rows=rows),
    (None,),
    raw=_check_rows,
    family="check",
    view=True,
    # Row 0, which there is, as the exception: none.
    kernel=lambda inputs, output, params: claims.inside(inputs[0], params["rows"], 0) if params["rows"] else None,
    samples=lambda draw: [((draw.integers(3, 4),), {"rows": 3}), ((draw.integers(5, 2, 3),), {"rows": 5})],
)
def checked_rows(record: Any, input: Any, /, *, rows: int) -> Any:
    """The numbers themselves if each is one of 0 … rows - 1, else E41: at each run of a compiled function."""
    return bind(record, (input,), {"rows": rows})

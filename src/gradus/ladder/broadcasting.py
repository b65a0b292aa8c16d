"""Broadcasting: which shapes fit, and why. The function that explains it is the one that decides.

`tensors` repeats its operands by what is found here. Broadcasting never asks: predictions (N, 1)
less targets (N,) is its most frequent mistake, see `tensors_at_work.loss_trap`.

Source: "A Neural Net from the Foundations", chapter 17 of *Deep Learning for Coders with fastai and
PyTorch* (Jeremy Howard and Sylvain Gugger, 2020): broadcasting and its rules. It calls a scalar "a
1×1 tensor", but it has no axis at all: (1, 1) added to (3,) gives (1, 3), a scalar leaves (3,).
"""

from __future__ import annotations

from typing import NamedTuple


class AxisRow(NamedTuple):
    """One axis of the result: the lengths of both operands there, the result's, and the reason.

    None stands where one has no such axis.
    """

    axis: int
    a: int | None
    b: int | None
    result: int | None
    why: str


class Explanation(NamedTuple):
    """How two shapes meet: a row for each axis, the shape of the result, or the error."""

    rows: list[AxisRow]
    shape: tuple[int, ...] | None
    error: str


def explain_broadcasting(a: tuple[int, ...], b: tuple[int, ...]) -> Explanation:
    """Aligns two shapes at their ends.

    An axis fits if the lengths are equal, or one is 1, or one operand has no such axis.

    Example:
        >>> for row in explain_broadcasting((2, 3), (2, 1, 3)).rows:
        ...     print(row.axis, row.a, row.b, row.result, row.why)
        0 None 2 2 a has no axis here: it counts as 1, repeated 2 times
        1 2 1 2 b is 1, repeated 2 times
        2 3 3 3 equal
        >>> explain_broadcasting((3, 3), (2, 3)).error
        'The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0'
    """
    rank = max(len(a), len(b))
    rows, error = [], ""
    left = (None,) * (rank - len(a)) + tuple(a)
    right = (None,) * (rank - len(b)) + tuple(b)
    for axis, (m, n) in enumerate(zip(left, right)):
        length: int | None
        if m is None or n is None:
            name, length = ("a", n) if m is None else ("b", m)
            why = f"{name} has no axis here: it counts as 1, repeated {length} times"
        elif m == n:
            length, why = m, "equal"
        elif m == 1 or n == 1:
            name, length = ("a", n) if m == 1 else ("b", m)
            why = f"{name} is 1, repeated {length} times"
        else:
            length, why = None, f"{m} is not {n}, and neither is 1"
            # The last axis that does not fit is told, since shapes are compared from the end.
            error = (
                f"The size of tensor a ({m}) must match the size of tensor b ({n})"
                f" at non-singleton dimension {axis}"
            )
        rows.append(AxisRow(axis, m, n, length, why))
    shape = tuple(row.result for row in rows if row.result is not None)
    return Explanation(rows, None if error else shape, error)


def broadcast_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the result; a RuntimeError in PyTorch's words if there is none.

    Example:
        >>> broadcast_shape((64, 3, 256, 256), (3, 1, 1))
        (64, 3, 256, 256)
    """
    explanation = explain_broadcasting(a, b)
    if explanation.shape is None:
        raise RuntimeError(explanation.error)
    return explanation.shape


def alignment(
    a: tuple[int, ...], b: tuple[int, ...], names: tuple[str, str] = ("a", "b")
) -> list[str]:
    """Both shapes and the result, one under the other.

    (1) is an axis that is not there, ? one that cannot be.

    Example:
        >>> for line in alignment((256, 256, 3), (256, 256), ("Image", "Scale")):
        ...     print(line)
        Image  (3d tensor): 256 x 256 x   3
        Scale  (2d tensor): (1) x 256 x 256
        Result (error)    : 256 x 256 x   ?
    """
    rows, shape, _ = explain_broadcasting(a, b)
    heads = ["(error)" if s is None else f"({len(s)}d tensor)" for s in (a, b, shape)]
    shown = lambda length, absent: absent if length is None else str(length)
    columns = [(shown(row.a, "(1)"), shown(row.b, "(1)"), shown(row.result, "?")) for row in rows]
    widths = [max(map(len, column)) for column in columns]
    name_width, head_width = max(map(len, (*names, "Result"))), max(map(len, heads))
    lines = []
    for line, (name, head) in enumerate(zip((*names, "Result"), heads)):
        lengths = " x ".join(f"{column[line]:>{w}}" for column, w in zip(columns, widths))
        lines.append(f"{name:{name_width}} {head:{head_width}}: {lengths}".rstrip())
    return lines

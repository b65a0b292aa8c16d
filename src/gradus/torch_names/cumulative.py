"""Along one axis: running sums, products and extremes; differences and areas."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import DTypeError, UsageError
from gradus.tensors import wrap
from gradus.torch_names.attributes import clone
from gradus.torch_names.elementwise import as_fractions
from gradus.torch_names.joining import cat
from gradus.torch_names.movement import movedim
from gradus.torch_names.reduction import summable
from gradus.torch_names.table import FUNCTIONS, ValuesIndices, axis_of, both, function, tensor_of, with_an_axis


@both
def cumsum(input: Any, dim: int) -> Any:
    """Running sums along ``dim``."""
    return with_an_axis(lambda x: ops.cumulative_sum(x, axis=axis_of(x, dim)), summable(input))


@both
def cumprod(input: Any, dim: int) -> Any:
    """Running products along ``dim``."""
    return with_an_axis(
        lambda x: ops.moveaxis(ops.cumulative_prod(ops.moveaxis(x, axis_of(x, dim), -1)), -1, axis_of(x, dim)), summable(input)
    )


def _behind(x: Any, steps: int, axis: int, first: Any) -> Any:
    """Each element's neighbour so many ``steps`` before it along an axis; ``first`` where there is none."""
    front = (slice(None),) * axis
    rest = ops.getitem(x, key=(*front, slice(0, x.shape[axis] - steps)))
    missing = ops.getitem(first, key=(*front, slice(0, steps)))
    return ops.concat([missing, rest], axis=axis)


def _running_best(name: str, better: Any) -> None:
    def best(input: Any, dim: int) -> Any:
        def found(x: Any) -> Any:
            axis = axis_of(x, dim)
            length = x.shape[axis]
            line = np.arange(length).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
            indices = ops.broadcast_to(tensor_of(line), tuple(x.shape))
            fixed, steps = ops.stop_gradient(x), 1
            while steps < length:  # after each round an index is the best of twice as many (Hillis and Steele 1986)
                before = _behind(indices, steps, axis, indices)
                mine, theirs = [ops.take_along_axis(fixed, i, axis=axis) for i in (indices, before)]
                kept = better(mine, theirs)
                if x.dtype.kind == "f":
                    kept = ops.logical_or(ops.logical_and(kept, ops.logical_not(ops.isnan(theirs))), ops.isnan(mine))
                indices, steps = ops.where(kept, indices, before), 2 * steps
            return ValuesIndices(ops.take_along_axis(x, indices, axis=axis), indices)

        return with_an_axis(found, input)

    best.__name__ = name
    best.__doc__ = (
        f"({'largest' if name == 'cummax' else 'smallest'} so far, where it was) along an axis; of equal ones the last, and NaN once met."
    )
    both(best)


_running_best("cummax", ops.greater_equal)
_running_best("cummin", ops.less_equal)


@both
def logcumsumexp(input: Any, dim: int) -> Any:
    """The logarithm of running sums of exponentials, without overflow.

    >>> import gradus
    >>> gradus.zeros(3).logcumsumexp(0)
    tensor([0.0000, 0.6931, 1.0986])
    """

    def found(x: Any) -> Any:
        axis, steps = axis_of(x, dim), 1
        x = clone(x) if x.shape[axis] < 2 else x
        nothing = wrap(np.full(tuple(x.shape), -np.inf, x.dtype))
        while steps < x.shape[axis]:
            x, steps = ops.logaddexp(x, _behind(x, steps, axis, nothing)), 2 * steps
        return x

    if input.dtype.kind != "f":
        raise DTypeError("logcumsumexp takes floating numbers", got=str(input.dtype), wanted="floats", fix="x.float()", code="E14")
    return with_an_axis(found, input)


@both
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Each element less the one before it along an axis, ``n`` times over, after ``prepend`` and ``append`` were put at its ends.

    >>> import gradus
    >>> gradus.tensor([1, 4, 9]).diff()
    tensor([3, 5])
    """
    axis = axis_of(input, dim)
    if n < 0:
        raise UsageError("diff takes differences n times", got=f"n = {n}", wanted="n >= 0", code="E29")
    if prepend is not None or append is not None:
        input = cat([x for x in (prepend, input, append) if x is not None], axis)
    front = (slice(None),) * axis
    for _ in range(n):
        later, earlier = ops.getitem(input, key=(*front, slice(1, None))), ops.getitem(input, key=(*front, slice(0, -1)))
        input = ops.not_equal(later, earlier) if input.dtype.kind == "b" else later - earlier
    return input


@function
def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The area below points along an axis, joined by straight lines; ``dx`` apart, or at the places ``x``.

    >>> import gradus
    >>> gradus.trapezoid(gradus.tensor([0.0, 1.0, 4.0]))
    tensor(3.)
    """
    y = movedim(as_fractions(y), dim, -1)
    between = (ops.getitem(y, key=(Ellipsis, slice(1, None))) + ops.getitem(y, key=(Ellipsis, slice(0, -1)))) * 0.5
    width = dx if x is None else diff(x if x.ndim == 1 else movedim(x, dim, -1))
    return ops.sum(between * width, axis=-1)


FUNCTIONS["trapz"] = trapezoid

"""Choosing and summing inside loops: what NumPy's ``maximum``, ``sign`` and ``sum`` mean, in forms that LLVM makes vector code of."""

from __future__ import annotations

from typing import Any

from numba.extending import intrinsic

from gradus.kernels.compilation import inlined
from gradus.kernels.instructions import choose


@inlined
def maximum(a, b):
    """The larger of two numbers; NaN if one of them is."""
    return choose((a >= b) | (a != a), a, b)


@inlined
def minimum(a, b):
    """The smaller of two numbers; NaN if one of them is."""
    return choose((a <= b) | (a != a), a, b)


@inlined
def sign(x):
    """-1, 0 or 1; NaN of NaN."""
    kind = type(x)
    return choose(x > 0, kind(1), choose(x < 0, kind(-1), x))


@intrinsic
def sum_with(typing_context, total, term):
    """``total + term`` in a loop whose terms may be added in any order, so that it becomes a vector sum."""

    def emit(context, builder, signature, values):
        return builder.fadd(*values, flags=("reassoc", "nsz"))

    return total(total, term), emit


@inlined
def gather(total, lost, term):
    """``total + term``, and what all additions so far have lost (Knuth's exact sum of two numbers)."""
    new = total + term
    back = new - total
    return new, lost + ((total - (new - back)) + (term - back))


@inlined
def settle(total, lost):
    """The sum of what :func:`gather` was given; an infinite one has lost NaN, and stays infinite."""
    return choose(lost == lost, total + lost, total)


def _extreme(predicate: str) -> Any:
    """One step of a reduction over numbers of which none is NaN: only under that promise LLVM makes it a vector reduction.

    If one is NaN the result is arbitrary; the caller finds that out beside it and answers NaN (``choose`` does not look at the other arm).
    """

    def emit(context, builder, signature, values):
        flags = ("nnan", "nsz")
        return builder.select(builder.fcmp_ordered(predicate, *values, flags=flags), *values, flags=flags)

    return emit


@intrinsic
def larger(typing_context, a, b):
    """The larger of two numbers, neither of them NaN."""
    return a(a, b), _extreme(">")


@intrinsic
def smaller(typing_context, a, b):
    """The smaller of two numbers, neither of them NaN."""
    return a(a, b), _extreme("<")

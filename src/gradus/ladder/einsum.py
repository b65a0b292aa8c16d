"""Einstein summation: by loops that can be read, by NumPy, and on the clock.

The rung below, `tensors`, multiplies first and sums afterwards, through an array of all products.
An equation like ``ik,kj->ij`` says both at once: each letter is a loop, and the product of the
operands at those letters is added to the output at its letters. One rule is enough: a letter that
is not on the right is summed over.

Source: "A Neural Net from the Foundations", chapter 17 of *Deep Learning for Coders with fastai and
PyTorch* (Jeremy Howard and Sylvain Gugger, 2020). What is different here, and why:

- It gives three rules; PyTorch and NumPy keep the first: repeated letters that are not on the right
  are summed. But a letter may stand on the left more than twice, and one that stands there once
  need not be on the right. `rules_at_work` shows all three.
- Its "einsum is often the fastest way" holds where einsum calls the library's matrix product.
  PyTorch's does; NumPy's only with `optimize=True`, which costs some microseconds of thought.
  `einsum_timings` measures where that pays.
"""

from __future__ import annotations

import itertools
import math
import timeit
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np


class Equation(NamedTuple):
    """The letters of each operand, of the output, and those that are summed over."""

    operands: list[str]
    output: str
    summed: str


def parse(equation: str) -> Equation:
    """Reads ``ik,kj->ij``; without an arrow the output has the letters that stand once, sorted.

    Example:
        >>> parse("ik,kj->ij"), parse("ba").output
        (Equation(operands=['ik', 'kj'], output='ij', summed='k'), 'ab')
    """
    left, arrow, output = equation.replace(" ", "").partition("->")
    letters = sorted(set(left) - {","})
    output = output if arrow else "".join(letter for letter in letters if left.count(letter) == 1)
    for letter in output:
        if letter not in letters or output.count(letter) > 1:
            raise ValueError(f"{equation}: {letter} is to be on the left, and once on the right")
    summed = "".join(letter for letter in letters if letter not in output)
    return Equation(left.split(","), output, summed)


def lengths(equation: str, shapes: Iterable[tuple[int, ...]]) -> dict[str, int]:
    """How long the loop of each letter is; operands that share a letter have to agree on it.

    Example:
        >>> lengths("ik,kj->ij", [(2, 3), (3, 4)])
        {'i': 2, 'k': 3, 'j': 4}
    """
    shapes = list(shapes)
    terms = parse(equation).operands
    if len(terms) != len(shapes):
        raise ValueError(f"{equation}: letters for {len(terms)} operands, {len(shapes)} are given")
    found: dict[str, int] = {}
    for term, shape in zip(terms, shapes):
        if len(term) != len(shape):
            named = f"{term} names {len(term)} axes, the operand has shape {tuple(shape)}"
            raise ValueError(f"{equation}: {named}")
        for letter, n in zip(term, shape):
            if found.setdefault(letter, n) != n:
                both = f"{found[letter]} in one place and {n} in another"
                raise ValueError(f"{equation}: {letter} is {both}")
    return found


def explain_einsum(equation: str) -> str:
    """The equation as a sentence of indices.

    Example:
        >>> explain_einsum("bi,ij,bj->b")
        'y[b] = sum over i, j of a[b, i] * b[i, j] * c[b, j]'
        >>> explain_einsum("ij->ji")
        'y[j, i] = a[i, j]'
    """
    terms, output, summed = parse(equation)
    product = " * ".join(f"{name}[{', '.join(term)}]" for name, term in zip("abcdefgh", terms))
    total = f"sum over {', '.join(summed)} of " if summed else ""
    return f"y[{', '.join(output)}] = {total}{product}"


def einsum(equation: str, *operands: Any) -> np.ndarray:
    """`np.einsum` by a loop for each letter.

    Example:
        >>> a, b = np.array([[1, 2], [3, 4]]), np.array([[5], [6]])
        >>> einsum("ik,kj->ij", a, b).tolist()
        [[17], [39]]
        >>> einsum("ij->ji", a).tolist(), einsum("ii->", a).item()
        ([[1, 3], [2, 4]], 5)
    """
    arrays = [np.asarray(x) for x in operands]
    terms, output, summed = parse(equation)
    length = lengths(equation, [x.shape for x in arrays])
    y = np.zeros([length[letter] for letter in output], np.result_type(*arrays))
    letters = output + summed
    for places in itertools.product(*(range(length[letter]) for letter in letters)):
        at = dict(zip(letters, places))
        factors = (x[tuple(at[letter] for letter in term)] for x, term in zip(arrays, terms))
        y[tuple(at[letter] for letter in output)] += math.prod(factors)
    return y


class RuleCase(NamedTuple):
    """A rule of the chapter, an equation, what the rule says of it, and what it gives.

    The operands are a = [[1, 2], [3, 4]] and u = [1, 2].
    """

    rule: int
    equation: str
    says: str
    result: Any


def rules_at_work() -> list[RuleCase]:
    """The chapter's three rules, each with an equation; the second and the third forbid what works.

    Example:
        >>> for case in rules_at_work():
        ...     print(*case)
        1 ik,kj->ij k is repeated and not on the right: summed [[7, 10], [15, 22]]
        1 ij,ij->ij nothing is summed: both letters are on the right [[1, 4], [9, 16]]
        2 i,i,i-> forbidden: i stands three times on the left 9
        3 ij->i forbidden: j stands once on the left and is not on the right [3, 7]
    """
    a, u = [[1, 2], [3, 4]], [1, 2]
    cases = [
        (1, "ik,kj->ij", "k is repeated and not on the right: summed", (a, a)),
        (1, "ij,ij->ij", "nothing is summed: both letters are on the right", (a, a)),
        (2, "i,i,i->", "forbidden: i stands three times on the left", (u, u, u)),
        (3, "ij->i", "forbidden: j stands once on the left and is not on the right", (a,)),
    ]
    return [
        RuleCase(rule, equation, says, einsum(equation, *operands).tolist())
        for rule, equation, says, operands in cases
    ]


# --- on the clock ---------------------------------------------------------------------------------


class EinsumTiming(NamedTuple):
    """An equation, the length of its letters, and seconds a call in three ways.

    einsum as it is, with `optimize`, and written out with `@`.
    """

    equation: str
    size: int
    plain: float
    optimize: float
    library: float


BY_LIBRARY: dict[str, Callable] = {
    "ik,kj->ij": lambda a, b: a @ b,
    "bik,bkj->bij": lambda a, b: a @ b,
    "bi,ij,bj->b": lambda a, b, c: ((a @ b) * c).sum(1),
}


def seconds_per_call(call: Callable[[], object], budget: float = 0.02, repeats: int = 3) -> float:
    """The best of `repeats` means, each over the calls that fit into `budget` seconds."""
    number = max(1, int(budget / max(timeit.timeit(call, number=1), 1e-7)))
    return min(timeit.repeat(call, number=number, repeat=repeats)) / number


def einsum_timings(
    sizes: Iterable[int] = (10, 100, 300),
    equations: Iterable[str] = tuple(BY_LIBRARY),
    seed: int = 0,
) -> list[EinsumTiming]:
    """How fast NumPy's einsum is for letters of each size (batches b of 10), in float32.

    On one core of a server of 2024, sizes 10, 100, 300: plain einsum took 2, 7 and 6 times the
    library's time for the matrix product; with `optimize` it was 9 times slower at 10, and level
    with the library from 100 on.

    Example:
        >>> [(row.equation, row.size) for row in einsum_timings([2])]
        [('ik,kj->ij', 2), ('bik,bkj->bij', 2), ('bi,ij,bj->b', 2)]
    """
    rng = np.random.default_rng(seed)
    rows = []
    for equation, size in itertools.product(equations, sizes):
        terms = parse(equation).operands
        shapes = [[10 if letter == "b" else size for letter in term] for term in terms]
        operands = [rng.standard_normal(shape, np.float32) for shape in shapes]
        plain = seconds_per_call(partial(np.einsum, equation, *operands))
        optimize = seconds_per_call(partial(np.einsum, equation, *operands, optimize=True))
        library = seconds_per_call(partial(BY_LIBRARY[equation], *operands))
        rows.append(EinsumTiming(equation, size, plain, optimize, library))
    return rows

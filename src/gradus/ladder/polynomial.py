"""The Python data model: polynomials that add, print, compare and can be called.

Below this rung there is only Python. A class takes part in the language's syntax (`p + q`, `p[i]`,
`len(p)`, `p(x)`) by methods with reserved names. Every later rung leans on them: a layer is a thing
that can be called, a tensor is a thing that can be added.

Source: "Building the foundations of Deep Learning from scratch", its Python primer. What is
different here, and why:

- There `len(p)` is called the degree, but counts the coefficients, which is one more. Here `len`
  counts and `degree` is the degree.
- There `repr(p)` is ``Polynomial([1, 2, 3])``. Evaluated, that is a polynomial with one
  coefficient, a list, and calling it raises a TypeError. Here `eval(repr(p)) == p`, and a list for
  a coefficient is refused where the mistake is made.
"""

from __future__ import annotations

import functools
from itertools import zip_longest
from numbers import Number
from typing import Any


class Polynomial:
    r"""A polynomial by its coefficients, the constant first: :math:`p(x) = \sum_i c_i x^i`.

    Zeros at the top are dropped, so that equal polynomials have equal coefficients; 0 has none.

    Example:
        >>> p = Polynomial(1, 2, 3)
        >>> str(p), repr(p), p(2), p[1], len(p), p.degree
        ('1x^0 + 2x^1 + 3x^2', 'Polynomial(1, 2, 3)', 17, 2, 3, 2)
        >>> p + Polynomial(0, 0, -3)
        Polynomial(1, 2)
        >>> p(Polynomial(1, 1))  # p(1 + x)
        Polynomial(6, 8, 3)
    """

    # NumPy sees a thing with a length and items as an array, and `np.float64(2) * p` would be an
    # array of products. None tells it to ask the right operand, that is `__rmul__`.
    __array_ufunc__ = None

    def __init__(self, *coefficients: Any) -> None:
        for c in coefficients:
            if not isinstance(c, Number):
                hint = "a sequence c is spread out: Polynomial(*c)"
                raise TypeError(f"a coefficient is a number, not {c!r}; {hint}")
        while coefficients and coefficients[-1] == 0:
            coefficients = coefficients[:-1]
        self.coefficients = coefficients

    # being called, counted, indexed

    def __call__(self, x: Any) -> Any:
        """The value at x: of a number, an array entry by entry, a polynomial (the composition)."""
        return sum(c * x**i for i, c in enumerate(self.coefficients))

    def __len__(self) -> int:
        """The number of coefficients: the degree and one. A polynomial is false when it is zero."""
        return len(self.coefficients)

    @property
    def degree(self) -> float:
        """The highest power; -inf for zero, which keeps deg(p q) = deg p + deg q true."""
        return len(self) - 1 if self.coefficients else float("-inf")

    def __getitem__(self, i: int) -> Any:
        """The coefficient of x**i. Above the degree an IndexError, which ends a `for c in p`."""
        return self.coefficients[i]

    # being printed: `str` for people, `repr` for the one who wants to make it again

    def __str__(self) -> str:
        terms = " + ".join(f"{c}x^{i}" for i, c in enumerate(self.coefficients))
        return terms.replace("+ -", "- ") or "0"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.coefficients))})"

    # being compared. A class that defines `__eq__` loses its `__hash__`, unless it says how equal
    # things get equal hashes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polynomial):
            return NotImplemented
        return self.coefficients == other.coefficients

    def __hash__(self) -> int:
        return hash(self.coefficients)

    # arithmetic. `NotImplemented` lets Python ask the other operand; `__radd__` is the answer when
    # it asks us (and makes `sum` work)

    def __add__(self, other: Any) -> Polynomial:
        if isinstance(other, Number):
            other = Polynomial(other)
        if not isinstance(other, Polynomial):
            return NotImplemented
        pairs = zip_longest(self.coefficients, other.coefficients, fillvalue=0)
        return Polynomial(*(a + b for a, b in pairs))

    __radd__ = __add__

    def __neg__(self) -> Polynomial:
        return Polynomial(*(-c for c in self.coefficients))

    def __sub__(self, other: Any) -> Polynomial:
        return -(-self + other) if isinstance(other, (Number, Polynomial)) else NotImplemented

    def __rsub__(self, other: Any) -> Polynomial:
        return -self + other

    def __mul__(self, other: Any) -> Polynomial:
        if isinstance(other, Number):
            other = Polynomial(other)
        if not isinstance(other, Polynomial):
            return NotImplemented
        products: list[Any] = [0] * (len(self) + len(other))
        for i, a in enumerate(self.coefficients):
            for j, b in enumerate(other.coefficients):
                products[i + j] += a * b
        return Polynomial(*products)

    __rmul__ = __mul__

    def __pow__(self, n: int) -> Polynomial:
        if n < 0:
            raise ValueError(f"the power of a polynomial is 0 or more, not {n}")
        return functools.reduce(Polynomial.__mul__, [self] * n, Polynomial(1))

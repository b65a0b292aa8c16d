"""The Python data model: polynomials that add, print, compare and can be called; contexts, decorators, callbacks.

Below this rung there is only Python. A class takes part in the language's syntax (`p + q`, `p[i]`, `len(p)`, `p(x)`, `with`, `@`) by
methods with reserved names. Every later rung leans on them: a layer is a thing that can be called, a tensor is a thing that can be added,
`no_grad` is a context, a training loop talks to callbacks.

Source: "Building the foundations of Deep Learning from scratch", its Python primer. What is different here, and why:

- There `len(p)` is called the degree, but counts the coefficients, which is one more. Here `len` counts and `degree` is the degree.
- There `repr(p)` is ``Polynomial([1, 2, 3])``. Evaluated, that is a polynomial with one coefficient, a list, and calling it raises a
  TypeError. Here `eval(repr(p)) == p`, and a list for a coefficient is refused where the mistake is made.
- Its contexts, decorators and callbacks are in a notebook only; the traps that come with them are shown here by functions that return
  what happens.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from numbers import Number
from typing import Any

# --- an object that behaves as its mathematics does ---------------------------------------------------------------------------------------


class Polynomial:
    r"""A polynomial by its coefficients, the constant first: :math:`p(x) = \sum_i c_i x^i`.

    Zeros at the top are dropped, so that equal polynomials have equal coefficients; the zero polynomial has none.

    Example:
        >>> p = Polynomial(1, 2, 3)
        >>> str(p), repr(p), p(2), p[1], len(p), p.degree
        ('1x^0 + 2x^1 + 3x^2', 'Polynomial(1, 2, 3)', 17, 2, 3, 2)
        >>> p + Polynomial(0, 0, -3)
        Polynomial(1, 2)
        >>> p(Polynomial(1, 1))  # p(1 + x)
        Polynomial(6, 8, 3)
    """

    # NumPy sees a thing with a length and items as an array, and `np.float64(2) * p` would be an array of products. None tells it to ask
    # the right operand, that is `__rmul__`.
    __array_ufunc__ = None

    def __init__(self, *coefficients: Any) -> None:
        for c in coefficients:
            if not isinstance(c, Number):
                raise TypeError(f"a coefficient is a number, not {c!r}; a sequence c is spread out: Polynomial(*c)")
        while coefficients and coefficients[-1] == 0:
            coefficients = coefficients[:-1]
        self.coefficients = coefficients

    # being called, counted, indexed

    def __call__(self, x: Any) -> Any:
        """The value at x: a number, an array (element by element), or a polynomial (then the composition)."""
        return sum(c * x**i for i, c in enumerate(self.coefficients))

    def __len__(self) -> int:
        """How many coefficients there are: the degree and one. A polynomial is false when it is zero."""
        return len(self.coefficients)

    @property
    def degree(self) -> float:
        """The highest power; -inf for the zero polynomial, which keeps deg(p q) = deg p + deg q true."""
        return len(self) - 1 if self.coefficients else float("-inf")

    def __getitem__(self, i: int) -> Any:
        """The coefficient of x**i. Above the degree there is an IndexError: it is what ends a `for c in p`."""
        return self.coefficients[i]

    # being printed: `str` for people, `repr` for the one who wants to make it again

    def __str__(self) -> str:
        terms = " + ".join(f"{c}x^{i}" for i, c in enumerate(self.coefficients))
        return terms.replace("+ -", "- ") or "0"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.coefficients))})"

    # being compared. A class that defines `__eq__` loses its `__hash__`, unless it says how equal things get equal hashes

    def __eq__(self, other: object) -> bool:
        return self.coefficients == other.coefficients if isinstance(other, Polynomial) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.coefficients)

    # arithmetic. `NotImplemented` lets Python ask the other operand; `__radd__` is the answer when it asks us (and makes `sum` work)

    def __add__(self, other: Any) -> Polynomial:
        if isinstance(other, Number):
            other = Polynomial(other)
        if not isinstance(other, Polynomial):
            return NotImplemented
        return Polynomial(*(a + b for a, b in zip_longest(self.coefficients, other.coefficients, fillvalue=0)))

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


# --- contexts: something is undone at the end, whatever happens ---------------------------------------------------------------------------


class Timer:
    """Seconds spent in a `with` block, also when the block raises: a context as a class.

    Example:
        >>> ticks = iter([10.0, 12.5])
        >>> with Timer(clock=lambda: next(ticks)) as timer:
        ...     pass
        >>> timer.seconds
        2.5
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.seconds = clock, 0.0

    def __enter__(self) -> Timer:
        self.start = self.clock()
        return self  # what stands after `as`

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        # A true return value would swallow the error of the block.
        self.seconds = self.clock() - self.start


@contextmanager
def changed(thing: Any, name: str, value: Any) -> Iterator[Any]:
    """`thing.name` is `value` within the block, and what it was before after it: a context as a generator.

    The part before `yield` enters, the part after it leaves; without `finally` an error in the block would leave the value changed.

    Example:
        >>> p = Polynomial(1, 2)
        >>> with changed(p, "coefficients", (5,)):
        ...     print(p)
        5x^0
        >>> print(p)
        1x^0 + 2x^1
    """
    before = getattr(thing, name)
    setattr(thing, name, value)
    try:
        yield thing
    finally:
        setattr(thing, name, before)


# --- decorators: a function goes in, a function that does more comes out ------------------------------------------------------------------


def counted(function: Callable) -> Any:
    """Counts the calls of a function in its attribute `calls`.

    Example:
        >>> @counted
        ... def double(x):
        ...     "Twice x."
        ...     return 2 * x
        >>> double(2), double(3), double.calls, double.__name__, double.__doc__
        (4, 6, 2, 'double', 'Twice x.')
    """

    @functools.wraps(function)  # or name and docstring of the function would be those of `counting`
    def counting(*args: Any, **kwargs: Any) -> Any:
        counting.calls += 1  # type: ignore[attr-defined]
        return function(*args, **kwargs)

    counting.calls = 0  # type: ignore[attr-defined]
    return counting


def recorded(record: list) -> Callable[[Callable], Callable]:
    """Appends (name, arguments, result) of each call to `record`: a decorator with an argument is a function that returns a decorator.

    Example:
        >>> record = []
        >>> recorded(record)(max)(2, 3)
        3
        >>> record
        [('max', (2, 3), 3)]
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def recording(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            record.append((function.__name__, args, result))
            return result

        return recording

    return decorate


# --- callbacks: a function that a loop promises to call -----------------------------------------------------------------------------------


def sum_of_squares(n: int, callback: Callable[[int, int], object] | None = None) -> int:
    """0² + 1² + … + (n-1)², telling `callback(i, total)` after each step; a callback that returns True ends the loop.

    Example:
        >>> sum_of_squares(5), sum_of_squares(5, lambda i, total: total > 3)
        (30, 5)
    """
    total = 0
    for i in range(n):
        total += i * i
        if callback is not None and callback(i, total) is True:
            break
    return total


def report(into: list, text: str, i: int, total: int) -> None:
    """One line on a step; the loop knows only the last two arguments."""
    into.append(f"{text} {i}: {total}")


def callback_styles(n: int = 3) -> dict[str, list[str]]:
    """The lines that the same callback writes, given to the loop in four ways.

    Example:
        >>> callback_styles(2)["lambda"]
        ['step 0: 0', 'step 1: 1']
    """
    lines: dict[str, list[str]] = {"lambda": [], "closure": [], "partial": [], "object": []}
    sum_of_squares(n, lambda i, total: report(lines["lambda"], "step", i, total))

    def make_callback(text: str) -> Callable[[int, int], None]:
        def inner(i: int, total: int) -> None:
            report(lines["closure"], text, i, total)  # `text` is remembered after make_callback has returned

        return inner

    sum_of_squares(n, make_callback("step"))
    sum_of_squares(n, functools.partial(report, lines["partial"], "step"))

    class Reporter:
        text = "step"

        def __call__(self, i: int, total: int) -> None:
            report(lines["object"], self.text, i, total)

    sum_of_squares(n, Reporter())
    return lines


def late_binding(n: int = 3) -> dict[str, list[int]]:
    """A trap: a lambda made in a loop looks its variable up when it is called, and finds the last value. `partial` keeps the value.

    Example:
        >>> late_binding(3)
        {'lambda': [2, 2, 2], 'partial': [0, 1, 2]}
    """
    lambdas, partials = [], []
    for i in range(n):
        lambdas.append(lambda: i)  # noqa: B023 (this is the trap)
        partials.append(functools.partial(int, i))
    return {"lambda": [f() for f in lambdas], "partial": [f() for f in partials]}

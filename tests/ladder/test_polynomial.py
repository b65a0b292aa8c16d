"""The Python data model. The oracle for polynomials is NumPy's own polynomial functions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.polynomial import polynomial as oracle

from gradus.ladder.contexts_and_callbacks import Timer, callback_styles, changed, counted, late_binding, recorded, sum_of_squares
from gradus.ladder.polynomial import Polynomial

DRAWS = [np.random.default_rng(seed).integers(-9, 10, size=(2, size)) for seed, size in enumerate([1, 2, 3, 6])]


def coefficients(p: Polynomial) -> np.ndarray:
    return np.array(p.coefficients or (0,))


def trimmed(values: np.ndarray) -> np.ndarray:
    return np.trim_zeros(values, "b") if values.any() else np.array([0])


@pytest.mark.parametrize("a, b", DRAWS, ids=str)
def test_values_and_arithmetic_are_those_of_numpy(a: np.ndarray, b: np.ndarray) -> None:
    p, q = Polynomial(*a.tolist()), Polynomial(*b.tolist())
    for x in (-3, 0, 2, 0.5, Fraction(1, 3), 2j):
        assert (
            p(x) == pytest.approx(oracle.polyval(x, a))
            if not isinstance(x, Fraction)
            else p(x) == sum(int(c) * x**i for i, c in enumerate(a))
        )
    assert coefficients(p + q) == pytest.approx(trimmed(oracle.polyadd(a, b)))
    assert coefficients(p - q) == pytest.approx(trimmed(oracle.polysub(a, b)))
    assert coefficients(p * q) == pytest.approx(trimmed(oracle.polymul(a, b)))
    assert coefficients(p**3) == pytest.approx(trimmed(oracle.polypow(a, 3)))
    assert p(q)(2) == p(q(2))


def test_an_array_goes_through_a_polynomial_element_by_element() -> None:
    x = np.linspace(-1, 1, 7).reshape(7, 1)
    np.testing.assert_allclose(Polynomial(5)(x), np.full((7, 1), 5.0))
    np.testing.assert_allclose(Polynomial(1, -2, 3)(x), 1 - 2 * x + 3 * x * x)


def test_it_prints_as_the_document_says() -> None:
    assert str(Polynomial(1, 2, 3)) == "1x^0 + 2x^1 + 3x^2"
    assert str(Polynomial(1, -2, 0, 1.5)) == "1x^0 - 2x^1 + 0x^2 + 1.5x^3"
    assert str(Polynomial()) == str(Polynomial(0)) == "0"


@pytest.mark.parametrize("p", [Polynomial(1, 2, 3), Polynomial(), Polynomial(0, -1.25), Polynomial(1 + 2j, Fraction(1, 3), -7)])
def test_its_repr_makes_it_again(p: Polynomial) -> None:
    again = eval(repr(p), {"Polynomial": Polynomial, "Fraction": Fraction})
    assert again == p
    assert again(2) == p(2)
    assert hash(again) == hash(p)


def test_the_repr_that_the_document_prints_is_refused() -> None:
    with pytest.raises(TypeError, match=r"not \[1, 2, 3\].*Polynomial\(\*c\)"):
        eval("Polynomial([1, 2, 3])")


def test_len_counts_and_degree_is_the_degree() -> None:
    p = Polynomial(1, 2, 3)
    assert (len(p), p.degree) == (3, 2)
    assert (len(Polynomial(4)), Polynomial(4).degree) == (1, 0)
    assert Polynomial(1, 2, 0, 0).degree == 1
    assert (len(Polynomial(0)), Polynomial(0).degree, bool(Polynomial(0))) == (0, float("-inf"), False)
    assert (Polynomial(0) * p).degree == Polynomial(0).degree + p.degree
    assert (p * p).degree == p.degree + p.degree


def test_items_and_iteration() -> None:
    p = Polynomial(1, 2, 3)
    assert (p[0], p[2], p[-1], list(p), 2 in p, list(reversed(p))) == (1, 3, 3, [1, 2, 3], True, [3, 2, 1])
    with pytest.raises(IndexError):
        p[3]


def test_equality_is_of_polynomials() -> None:
    assert Polynomial(1, 2, 0) == Polynomial(1, 2) != Polynomial(1, 3)
    assert Polynomial(1) != 1
    assert len({Polynomial(1, 2), Polynomial(1, 2, 0)}) == 1


def test_numbers_on_either_side() -> None:
    p = Polynomial(1, 2)
    assert 3 + p == p + 3 == Polynomial(4, 2)
    assert (3 - p, p - 3) == (Polynomial(2, -2), Polynomial(-2, 2))
    assert 2 * p == p * 2 == Polynomial(2, 4)
    assert sum([p, p, p]) == 3 * p
    left = np.float64(2) * p
    assert isinstance(left, Polynomial) and left == Polynomial(2, 4)
    with pytest.raises(TypeError):
        p + "1"
    with pytest.raises(TypeError):
        p * [1, 2]
    with pytest.raises(ValueError, match="-1"):
        p**-1


def test_a_context_measures_also_when_its_block_raises() -> None:
    ticks = iter([1.0, 4.0])
    timer = Timer(clock=lambda: next(ticks))
    with pytest.raises(KeyError), timer:
        raise KeyError("kept")
    assert timer.seconds == 3.0
    with Timer() as real:
        sum(range(1000))
    assert real.seconds > 0


def test_a_context_puts_the_old_value_back_also_after_an_error() -> None:
    p = Polynomial(1, 2)
    with changed(p, "coefficients", (7, 8)) as same:
        assert same is p and list(p) == [7, 8]
    assert list(p) == [1, 2]
    with pytest.raises(ZeroDivisionError), changed(p, "coefficients", (7,)):
        1 / 0  # noqa: B018
    assert list(p) == [1, 2]


def test_decorators_add_and_change_nothing() -> None:
    record: list = []

    @counted
    @recorded(record)
    def scaled(x: int, by: int = 2) -> int:
        """x times by."""
        return x * by

    assert (scaled(3), scaled(3, by=5), scaled.calls) == (6, 15, 2)
    assert record == [("scaled", (3,), 6), ("scaled", (3,), 15)]
    assert (scaled.__name__, scaled.__doc__) == ("scaled", "x times by.")


def test_a_callback_hears_every_step_and_may_stop_the_loop() -> None:
    heard: list = []
    assert sum_of_squares(4, lambda i, total: heard.append((i, total))) == 14
    assert heard == [(0, 0), (1, 1), (2, 5), (3, 14)]
    assert sum_of_squares(100, lambda i, total: i == 3) == 14
    assert sum_of_squares(0) == 0


def test_lambda_closure_partial_and_object_are_the_same_callback() -> None:
    lines = callback_styles(3)
    assert set(lines) == {"lambda", "closure", "partial", "object"}
    assert all(written == ["step 0: 0", "step 1: 1", "step 2: 5"] for written in lines.values())


def test_the_trap_of_late_binding() -> None:
    assert late_binding(4) == {"lambda": [3] * 4, "partial": [0, 1, 2, 3]}

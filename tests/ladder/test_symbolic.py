"""Derivatives as formulas, judged by their values against numeric differences and by known forms."""

from __future__ import annotations

import ast
import math
from itertools import pairwise

import pytest

from gradus.ladder import symbolic
from gradus.ladder.symbolic import derivative, gradient, growth, simple

EXPRESSIONS = [
    "x**2",
    "3 * x**3 - 2 * x + 7",
    "-x * (x - y) * (2 * (3 * x))",
    "(x - 2)**2 + 1",
    "x / (1 + x**2)",
    "1 / x - y / x",
    "exp(-x) / (1 + exp(-x))",
    "log(1 + exp(x))",
    "sin(x * cos(x)) + cos(y)",
    "sqrt(x**2 + y**2)",
    "tanh(2 * x)**3",
    "x**y",
    "y**x",
    "x**x",
    "x**0.5",
    "0 - x",
]


def value(expression: str, **names: float) -> float:
    known = {name: getattr(math, name) for name in symbolic.FUNCTIONS}
    return eval(expression, {"__builtins__": {}}, known | names)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("name", ["x", "y"])
def test_the_formula_has_the_value_of_the_derivative(expression, name) -> None:
    formula = derivative(expression, name)
    for x, y in ((0.7, 1.3), (2.1, 0.4), (1.0, 2.0)):
        h, point = 1e-6, {"x": x, "y": y}
        above, below = ({**point, name: point[name] + step} for step in (h, -h))
        numeric = (value(expression, **above) - value(expression, **below)) / (2 * h)
        assert math.isclose(value(formula, **point), numeric, rel_tol=1e-7, abs_tol=1e-8)


def test_the_formulas_of_the_documents() -> None:
    assert derivative("sx**2", "sx") == "2 * sx"
    assert derivative("(x - 2)**2 + 1", "x") == "2 * (x - 2)"
    assert gradient("2*x1 + 3*x2**2*y1 + y2", ["x1", "x2", "y1", "y2"]) == ["2", "6 * x2 * y1", "3 * x2 ** 2", "1"]


def test_second_derivatives_by_asking_again() -> None:
    assert derivative(derivative("x**3", "x"), "x") == "6 * x"
    assert derivative(derivative(derivative("x**2", "x"), "x"), "x") == "0"


@pytest.mark.parametrize("expression", [*EXPRESSIONS, "1 * x + 0", "0 / x", "x**1 / 1", "x**0", "-(-3)", "0 - (x - 0)"])
def test_a_simpler_form_has_the_same_value(expression) -> None:
    short = ast.unparse(simple(ast.parse(expression, mode="eval").body))
    assert len(short) <= len(ast.unparse(ast.parse(expression))) + 1
    for x, y in ((0.7, 1.3), (2.1, 0.4)):
        assert math.isclose(value(short, x=x, y=y), value(expression, x=x, y=y), rel_tol=1e-14)


@pytest.mark.parametrize("expression", ["abs(x)", "x // 2", "x if y else 1", "exp(x, y)", "x @ y", "x.real"])
def test_what_it_has_no_rule_for_it_names(expression) -> None:
    with pytest.raises(ValueError, match="no rule for"):
        derivative(expression, "x")


def test_formulas_outgrow_what_they_differentiate() -> None:
    rows = growth(6)
    ratios = [row.derivative / row.expression for row in rows]
    assert [row.layers for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(later > earlier for earlier, later in pairwise(ratios))
    assert value(derivative("(x * tanh(x))", "x"), x=0.5) == pytest.approx(math.tanh(0.5) + 0.5 * (1 - math.tanh(0.5) ** 2))

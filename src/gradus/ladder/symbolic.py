"""Derivatives as formulas: the rules of school applied to Python's tree of an expression.

Neither a number nor a step h is involved: what goes in is a text such as `x**2`, what comes out is
the text `2 * x`. It shows why networks are not differentiated so: the formula of a composition
repeats its parts, and grows much faster than the composition does (`growth`), while a layer's
`backward` reuses what the forward pass has computed.

Source: J. Howard, S. Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020, chapter 17,
which asks SymPy for diff(sx**2, sx).
"""

from __future__ import annotations

import ast
from math import prod
from typing import NamedTuple

# The derivative of f(u) by u, as a text in u.
FUNCTIONS = {
    "exp": "exp(u)",
    "log": "1 / u",
    "sin": "cos(u)",
    "cos": "-sin(u)",
    "sqrt": "1 / (2 * sqrt(u))",
    "tanh": "1 - tanh(u)**2",
}


def derivative(expression: str, name: str) -> str:
    """∂ expression / ∂ name as a text; + - * / ** and exp, log, sin, cos, sqrt, tanh are known.

    >>> derivative("x**2", "x"), derivative("(x - 2)**2 + 1", "x"), derivative("exp(3 * x)", "x")
    ('2 * x', '2 * (x - 2)', '3 * exp(3 * x)')
    """
    return ast.unparse(simple(_derivative(ast.parse(expression, mode="eval").body, name)))


def gradient(expression: str, names: list[str]) -> list[str]:
    """The derivatives by several names.

    >>> gradient("2*x1 + 3*x2**2*y1 + y2", ["x1", "x2"])
    ['2', '6 * x2 * y1']
    """
    return [derivative(expression, name) for name in names]


class Growth(NamedTuple):
    """Layers of a composition, and the lengths of its text and of its derivative's."""

    layers: int
    expression: int
    derivative: int


def growth(layers: int = 6, layer: str = "(x * tanh(x))") -> list[Growth]:
    """A layer put into itself again and again: the derivative's text outgrows the function's.

    >>> rows = growth(4)
    >>> rows[0].derivative < 3 * rows[0].expression, rows[3].derivative > 5 * rows[3].expression
    (True, True)
    """
    rows, expression = [], "x"
    for count in range(1, layers + 1):
        expression = layer.replace("x", expression) if count > 1 else layer
        rows.append(Growth(count, len(expression), len(derivative(expression, "x"))))
    return rows


def _derivative(tree: ast.expr, name: str) -> ast.expr:
    """The rules: sum, product, quotient, power, chain."""
    match tree:
        case ast.Constant():
            return ast.Constant(0)
        case ast.Name():
            return ast.Constant(int(tree.id == name))
        case ast.UnaryOp(op=ast.USub(), operand=u):
            return ast.UnaryOp(ast.USub(), _derivative(u, name))
        case ast.BinOp(left=u, op=op, right=v):
            du, dv = _derivative(u, name), _derivative(v, name)
            match op:
                case ast.Add() | ast.Sub():
                    return ast.BinOp(du, op, dv)
                case ast.Mult():
                    return _put("du * v + u * dv", u=u, v=v, du=du, dv=dv)
                case ast.Div():
                    return _put("du / v - u * dv / v**2", u=u, v=v, du=du, dv=dv)
                case ast.Pow() if isinstance(v, ast.Constant):
                    less = ast.Constant(v.value - 1)  # type: ignore[operator]
                    return _put("v * u**w * du", u=u, v=v, w=less, du=du)
                case ast.Pow():
                    return _put("u**v * (dv * log(u) + v * du / u)", u=u, v=v, du=du, dv=dv)
        case ast.Call(func=ast.Name(id=function), args=[u]) if function in FUNCTIONS:
            return ast.BinOp(_derivative(u, name), ast.Mult(), _put(FUNCTIONS[function], u=u))
    known = f"+ - * / ** and {', '.join(FUNCTIONS)} are known"
    raise ValueError(f"no rule for {ast.unparse(tree)!r}: {known}")


def _put(template: str, **parts: ast.expr) -> ast.expr:
    """The template's tree with the parts in the places of their names."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return parts.get(node.id, node)

    return Fill().visit(ast.parse(template, mode="eval").body)


def simple(tree: ast.expr) -> ast.expr:
    """The same value with fewer signs: 0 + u, 1 * u, 0 * u, u**1 go, numbers are multiplied.

    >>> ast.unparse(simple(ast.parse("0 * y + 3 * (2 * x**1) + -0", mode="eval").body))
    '6 * x'
    """
    match tree:
        case ast.UnaryOp(operand=operand):
            inner = simple(operand)
            if isinstance(inner, ast.Constant):
                return ast.Constant(-inner.value)  # type: ignore[operator]
            return ast.UnaryOp(tree.op, inner)
        case ast.Call(func=func, args=args):
            return ast.Call(func, [simple(arg) for arg in args], [])
        case ast.BinOp(op=ast.Mult()):
            return _product(_factors(tree))
        case ast.BinOp(left=left, op=op, right=right):
            u, v = simple(left), simple(right)
            match op:
                case ast.Add() | ast.Sub() if _is(v, 0):
                    return u
                case ast.Add() if _is(u, 0):
                    return v
                case ast.Sub() if _is(u, 0):
                    return simple(ast.UnaryOp(ast.USub(), v))
                case ast.Pow() | ast.Div() if _is(v, 1):
                    return u
                case ast.Pow() if _is(v, 0):
                    return ast.Constant(1)
                case ast.Div() if _is(u, 0):
                    return u
            return ast.BinOp(u, op, v)
    return tree


def _is(tree: ast.expr, number: int) -> bool:
    return isinstance(tree, ast.Constant) and tree.value == number


def _factors(tree: ast.expr) -> list[ast.expr]:
    """A product's factors, through all brackets."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult):
        return _factors(tree.left) + _factors(tree.right)
    tree = simple(tree)
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult):
        return _factors(tree)
    return [tree]


def _product(factors: list[ast.expr]) -> ast.expr:
    numbers = [factor.value for factor in factors if isinstance(factor, ast.Constant)]
    number = prod(numbers)  # type: ignore[arg-type]
    rest = [factor for factor in factors if not isinstance(factor, ast.Constant)]
    if number == 0 or not rest:
        return ast.Constant(number)
    if number != 1:
        rest = [ast.Constant(number), *rest]
    tree = rest[0]
    for factor in rest[1:]:
        tree = ast.BinOp(tree, ast.Mult(), factor)
    return tree

"""What a loop writes for each elementary op: its name in the op table to an expression of Python that Numba compiles.

The functions in these expressions (``exp``, ``maximum``, …) are those of :mod:`gradus.kernels.scalar` and of Numba. ``{t}`` is the type of
the result, ``{0}``, ``{1}`` … are the arguments.
"""

from __future__ import annotations

import numpy as np

EXPRESSIONS: dict[str, str] = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "negative": "-{0}",
    "maximum": "maximum({0}, {1})",
    "minimum": "minimum({0}, {1})",
    "zero_safe_mul": "choose({0} == {t}(0), {t}(0), {0} * {1})",
    "abs": "abs({0})",
    "sign": "sign({0})",
    "square": "{0} * {0}",
    "reciprocal": "{t}(1) / {0}",
    "sqrt": "sqrt({0})",
    "exp": "exp({0})",
    "expm1": "expm1({0})",
    "log": "log({0})",
    "log1p": "log1p({0})",
    "sin": "sin({0})",
    "cos": "cos({0})",
    "tanh": "tanh({0})",
    "erf": "erf({0})",
    "floor": "floor({0})",
    "ceil": "ceil({0})",
    "trunc": "trunc({0})",
    "round": "rint({0})",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "logical_and": "({0} != 0) & ({1} != 0)",
    "logical_or": "({0} != 0) | ({1} != 0)",
    "logical_xor": "({0} != 0) ^ ({1} != 0)",
    "logical_not": "({0} == 0)",
    "isnan": "{0} != {0}",
    "isinf": "abs({0}) == inf",
    "isfinite": "abs({0}) < inf",
    "where": "choose({0} != 0, {1}, {2})",
    "astype": "{t}({0})",
    "reshape": "{0}",
    "flip": "{0}",
    "getitem": "{0}",
    "stop_gradient": "{0}",
}

# Expressions that cost more than a few instructions: their results are kept for the next loop over a row, not computed again.
EXPENSIVE = {"divide", "reciprocal", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf"}

_FLOATS = (np.dtype("float32"), np.dtype("float64"))
#: Reductions and the dtypes in which a loop computes them.
REDUCTIONS: dict[str, tuple[np.dtype, ...]] = {
    "sum": _FLOATS,
    "max": _FLOATS,
    "min": _FLOATS,
}

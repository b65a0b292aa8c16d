"""gradcheck: derivatives against finite differences, strict enough to catch an error in the seventh digit.

The reference is the five-point stencil f'(x) = (f(x-2h) - 8f(x-h) + 8f(x+h) - f(x+2h)) / 12h in float64, whose error is about 1e-12;
the full Jacobian is compared for small inputs, projections on random cotangents for large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradus import ops
from gradus.autograd import enable_grad, grad
from gradus.errors import DTypeError, GradError
from gradus.primitive import bind
from gradus.tensors import Tensor, wrap
from gradus.testing.tracer import Trace

TOLERANCE = 1e-7  # of the largest entry of the Jacobian
STEP = 5e-4
SMALL = 64  # inputs up to this many elements get their full Jacobian compared


def stencil(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float = STEP) -> np.ndarray:
    """The Jacobian of ``f`` at ``x`` by five-point differences: shape ``f(x).shape + x.shape``.

    >>> stencil(lambda x: x ** 2, np.array([1.0, 3.0])).round(9).tolist()
    [[2.0, 0.0], [0.0, 6.0]]
    """
    y = f(x)
    jacobian = np.zeros((*y.shape, x.size))
    flat = x.reshape(-1)
    for k in range(x.size):
        h = step * max(1.0, abs(flat[k]))
        values = []
        for shift in (-2, -1, 1, 2):
            moved = flat.copy()
            moved[k] += shift * h
            values.append(f(moved.reshape(x.shape)))
        jacobian[..., k] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    return jacobian.reshape((*y.shape, *x.shape))


def _call(f: Callable[..., Any], arrays: Sequence[np.ndarray], requires: Sequence[bool]) -> tuple[list[Tensor], Tensor]:
    with enable_grad():
        inputs = [wrap(np.array(a)) for a in arrays]
        for x, needed in zip(inputs, requires, strict=True):
            if needed:
                x.requires_grad_()
        y = f(*inputs)
        if not isinstance(y, Tensor):
            parts = [part.reshape(-1) for part in y if part.dtype.kind == "f"]
            y = ops.concat(parts, axis=0)
        return inputs, y


def gradcheck(f: Callable[..., Any], inputs: Any, *, tolerance: float = TOLERANCE, step: float = STEP, seed: int = 0) -> bool:
    """True if the derivatives of ``f`` are right at ``inputs``; else raises GradError naming the input, the element and the op.

    Args:
        f: takes Tensors, returns a Tensor or several; must be smooth within ``2·step`` of the inputs.
        inputs: float64 Tensors or arrays; those of integer dtype are passed along unchecked.
        tolerance: largest error allowed, as a share of the largest entry of the Jacobian.
        step: of the differences, relative to entries above 1.

    >>> gradcheck(lambda x: (x * x).sum(), [np.array([1.0, 2.0])])
    True
    """
    given = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    arrays = [x.detach().numpy().copy() if isinstance(x, Tensor) else np.array(x) for x in given]
    for k, a in enumerate(arrays):
        if a.dtype.kind == "f" and a.dtype != np.float64:
            raise DTypeError(
                f"gradcheck needs float64: input {k} is {a.dtype}",
                why="differences of float32 values hold only three digits",
                fix="x.double()",
            )
    checked = [a.dtype == np.float64 for a in arrays]
    xs, y = _call(f, arrays, checked)
    wrong = _first_error(f, arrays, checked, xs, y, tolerance, step, np.random.default_rng(seed))
    if wrong is None or abs(wrong[2] - wrong[3]) <= _rounding(_largest_met(f, arrays), step):
        return True
    k, element, got, wanted = wrong
    culprit = find_culprit(f, arrays, tolerance, step)
    raise GradError(
        f"the derivative with respect to input {k} is wrong at element {element}" + (f": the rule of op {culprit!r}" if culprit else ""),
        got=f"{got:.10g}",
        wanted=f"{wanted:.10g} by the five-point stencil",
        why=f"the rule of {culprit} does not belong to its forward function"
        if culprit
        else "each op is right by itself: a value is computed outside the graph",
    )


def _first_error(
    f: Callable[..., Any],
    arrays: list[np.ndarray],
    checked: list[bool],
    xs: list[Tensor],
    y: Tensor,
    tolerance: float,
    step: float,
    random: np.random.Generator,
) -> tuple[int, Any, float, float] | None:
    for k, a in enumerate(arrays):
        if not checked[k] or not a.size or not y.value.size:
            continue

        def of_one(v: np.ndarray, k: int = k) -> np.ndarray:
            return _call(f, [v if j == k else b for j, b in enumerate(arrays)], [False] * len(arrays))[1].numpy()

        if a.size <= SMALL and y.value.size <= SMALL:
            wanted = stencil(of_one, a, step)
            rows = [_row(y, xs[k], basis.reshape(y.value.shape)) for basis in np.eye(y.value.size)]
            got = np.stack(rows).reshape(wanted.shape)
        else:
            weights, direction = random.standard_normal(y.value.shape), random.standard_normal(a.shape)

            def along(t: np.ndarray, a: Any = a, d: Any = direction, w: Any = weights, one: Any = of_one) -> np.ndarray:
                return np.asarray((one(a + t * d) * w).sum())

            wanted = stencil(along, np.zeros(()), step)
            got = np.asarray((_row(y, xs[k], weights) * direction).sum())
        error = np.abs(got - wanted)
        limit = tolerance * np.abs(wanted).max() + _rounding(float(np.abs(y.value).max()), step)
        if not np.all(error <= limit):
            worst = np.unravel_index(np.nanargmax(np.where(np.isnan(error), np.inf, error)), error.shape)
            return k, tuple(int(i) for i in worst), float(got[worst]), float(wanted[worst])
    return None


def _rounding(size: float, step: float) -> float:
    """What differences cannot resolve: the rounding of the values of this size that they subtract."""
    return 10 * float(np.finfo(np.float64).eps) * size / step


def _largest_met(f: Callable[..., Any], arrays: list[np.ndarray]) -> float:
    """The largest number that ``f`` meets on its way: near a minimum of 0 its rounding outweighs that of the result."""
    trace = Trace()
    trace.run(f, arrays)
    finite = [np.abs(v.example[np.isfinite(v.example)]) for *_, v in trace.calls if v.dtype.kind == "f"]
    return max((float(v.max(initial=0.0)) for v in finite), default=0.0)


def _row(y: Tensor, x: Tensor, cotangent: np.ndarray) -> np.ndarray:
    if not y.requires_grad:
        return np.zeros(x.value.shape)
    (g,) = grad(y, x, wrap(np.asarray(cotangent, y.value.dtype)), retain_graph=True, allow_unused=True)
    return np.zeros(x.value.shape) if g is None else g.numpy()


def find_culprit(f: Callable[..., Any], arrays: list[np.ndarray], tolerance: float = TOLERANCE, step: float = STEP) -> str | None:
    """The first op that ``f`` calls whose own rule is wrong at the values that it meets there."""
    trace = Trace()
    trace.run(f, arrays)
    for record, args, params, _ in list(trace.calls):
        if not record.differentiable:
            continue
        values = [getattr(arg, "example", arg) for arg in args]
        places = [i for i, v in enumerate(values) if isinstance(v, np.ndarray) and v.dtype == np.float64 and record.rule_of(i) is not None]
        if not places:
            continue

        def call(*xs: Tensor, record: Any = record, values: Any = values, places: Any = places, params: Any = params) -> Any:
            filled = list(values)
            for place, x in zip(places, xs, strict=True):
                filled[place] = x
            return bind(record, tuple(filled), params)

        picked = [values[i] for i in places]
        xs, y = _call(call, picked, [True] * len(picked))
        if (
            y.value.dtype.kind == "f"
            and _first_error(call, picked, [True] * len(picked), xs, y, tolerance, step, np.random.default_rng(0)) is not None
        ):
            return record.name
    return None

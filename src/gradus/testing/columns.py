"""opcheck: runs the record of an op through every interpreter that is derived from it.

Each column of ``COLUMNS`` is one promise. A check returns None when the promise holds, a reason (text) when it does not apply, and
raises when it is broken. The op matrix prints the same columns for all ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import backend, ops, transforms
from gradus.errors import GradError
from gradus.primitive import REGISTRY, Primitive, normalize_axes
from gradus.tensors import Tensor, wrap
from gradus.testing.derivatives import gradcheck
from gradus.testing.samples import Sample, samples_of
from gradus.testing.tracer import Replay

# Ops with floating results and no derivative, each with its reason.
NO_DERIVATIVE = {
    "floor_divide": "piecewise constant",
    "stop_gradient": "a constant by definition",
    "random_uniform": "depends on no data",
    "conv_max_pool2d": "a compiler puts it in after it has differentiated",
    "conv_max_pool2d_weight_gradient": "a compiler puts it in after it has differentiated",
    "conv_max_pool2d_input_gradient": "a compiler puts it in after it has differentiated",
    "attention": "a compiler puts it in after it has differentiated",
    "attention_gradient": "a compiler puts it in after it has differentiated",
}


def _arrays(sample: Sample) -> tuple[list[np.ndarray], Callable[..., Any]]:
    """The floating arrays of a sample, and how to put others in their place (lists of arrays count one by one)."""
    found: list[np.ndarray] = []

    def collect(arg: Any) -> Any:
        if isinstance(arg, np.ndarray) and arg.dtype.kind == "f":
            found.append(arg)
            return lambda rest: next(rest)
        if isinstance(arg, list):
            parts = [collect(a) for a in arg]
            return lambda rest: [part(rest) for part in parts]
        return lambda rest: arg

    makers = [collect(arg) for arg in sample.args]

    def refill(*values: Any) -> tuple[Any, ...]:
        rest = iter(values)
        return tuple([make(rest) for make in makers])

    return found, refill


def _as_function(record: Primitive, sample: Sample) -> tuple[list[np.ndarray], Callable[..., Any]]:
    arrays, refill = _arrays(sample)
    assert record.function is not None
    function = record.function
    return arrays, lambda *values: function(*refill(*values), **sample.params)


def _close(a: Any, b: Any, rtol: float, what: str) -> None:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape, f"{what}: shape {a.shape} is not {b.shape}"
    if not np.allclose(a, b, rtol=rtol, atol=rtol * max(1.0, float(np.abs(b).max(initial=0.0))), equal_nan=True):
        raise AssertionError(f"{what}: differs by {np.abs(a - b).max():.3g}")


def _raw(x: Any) -> np.ndarray:
    return x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)


def check_value(record: Primitive, sample: Sample) -> str | None:
    """A Tensor gives the value that the raw array gives."""
    arrays, f = _as_function(record, sample)
    if not arrays:
        f(*arrays)
        return None
    y = np.asarray(f(*arrays))
    _close(_raw(f(*[wrap(a) for a in arrays])), y, 0.0, "Tensor against raw array")
    if "keepdims" in record.params:
        folded = normalize_axes(sample.params["axis"], arrays[0].ndim)
        kept = [1 if k in folded else n for k, n in enumerate(arrays[0].shape) if k not in folded or sample.params["keepdims"]]
        assert y.shape == tuple(kept), f"axis and keepdims ask for shape {tuple(kept)}, got {y.shape}"
    return None


def check_float32(record: Primitive, sample: Sample) -> str | None:
    """float32 in, float32 out, in value and gradient; and nothing differs from float64 by more than rounding."""
    arrays, f = _as_function(record, sample)
    if not arrays:
        return "takes no arrays of numbers"
    if record.name == "astype":
        return "makes the dtype it is told to"
    singles = [wrap(a.astype(np.float32)) for a in arrays]
    for x in singles:
        x.requires_grad_()
    y = f(*singles)
    if y.dtype.kind != "f":
        return "integer or boolean result"
    assert y.dtype == np.float32, f"float32 in, {y.dtype} out"
    exact = np.asarray(f(*arrays))
    _close(_raw(y), exact, 2e-5 if record.name != "remainder" else 1e-4, "float32 against float64")
    if y.requires_grad and y.value.size:
        y.backward(np.ones(y.value.shape, np.float32))
        for x in singles:
            assert x.grad is None or x.grad.dtype == np.float32, f"the gradient of a float32 input is {x.grad.dtype}"
    return None


def _layouts(a: np.ndarray) -> list[np.ndarray]:
    """The same values in other memory: Fortran order, strided, reversed, read-only."""
    strided = np.zeros((*a.shape[:-1], a.shape[-1] * 2), a.dtype)[..., ::2] if a.ndim else a
    if a.ndim:
        strided[...] = a
    backwards = a[::-1].copy()[::-1] if a.ndim else a
    frozen = a.copy()
    frozen.flags.writeable = False
    return [np.array(a, order="F"), strided, backwards, frozen]


def check_layouts(record: Primitive, sample: Sample) -> str | None:
    """Memory layout changes nothing, and no forward function or rule writes to its inputs."""
    arrays, f = _as_function(record, sample)
    if not arrays:
        return "takes no arrays of numbers"
    expected = np.asarray(f(*arrays))
    for variant in zip(*[_layouts(a) for a in arrays], strict=True):
        _close(f(*variant), expected, 1e-14, "another memory layout")
        tensors = [wrap(v) for v in variant]
        for x in tensors:
            x.requires_grad_()
        before = [v.copy() for v in variant]
        y = f(*tensors)
        if y.requires_grad:
            y.backward(np.ones(y.value.shape))
        for v, b in zip(variant, before, strict=True):
            assert np.array_equal(v, b), "an input was written to"
    return None


def _no_derivative(record: Primitive, sample: Sample) -> str | None:
    if record.differentiable:
        arrays, f = _as_function(record, sample)
        return None if np.asarray(f(*arrays)).dtype.kind == "f" else "integer or boolean result"
    arrays, f = _as_function(record, sample)
    if np.asarray(f(*arrays)).dtype.kind != "f":
        return "integer or boolean result"
    assert record.name in NO_DERIVATIVE, f"op {record.name} has no derivative and no reason for it"
    return NO_DERIVATIVE[record.name]


def check_reverse(record: Primitive, sample: Sample) -> str | None:
    """The rules agree with five-point differences."""
    reason = _no_derivative(record, sample)
    if reason is None:
        arrays, f = _as_function(record, sample)
        gradcheck(f, [wrap(a) for a in arrays])
    return reason


def _directions(arrays: list[np.ndarray], seed: int) -> list[Tensor]:
    random = np.random.default_rng(seed)
    return [wrap(random.standard_normal(a.shape)) for a in arrays]


def check_forward(record: Primitive, sample: Sample) -> str | None:
    """Forward and reverse mode are each other's transpose: w·(Jv) = (Jᵀw)·v."""
    reason = _no_derivative(record, sample)
    if reason is not None:
        return reason
    arrays, f = _as_function(record, sample)
    v = _directions(arrays, 1)
    y, dy = transforms.jvp(f, [wrap(a) for a in arrays], v)
    w = _directions([y.numpy()], 2)[0]
    _, pull = transforms.vjp(f, *[wrap(a) for a in arrays])
    pulled = pull(w)
    left = float((w.numpy() * dy.numpy()).sum())
    right = sum(float((g.numpy() * d.numpy()).sum()) for g, d in zip(pulled, v, strict=True))
    scale = sum(float(np.abs(g.numpy() * d.numpy()).sum()) for g, d in zip(pulled, v, strict=True)) + 1e-300
    if not abs(left - right) <= 1e-12 * scale:
        raise GradError(f"forward mode of {record.name} is not the transpose of reverse mode", got=f"{left!r}", wanted=f"{right!r}")
    return None


def check_second_order(record: Primitive, sample: Sample) -> str | None:
    """Forward over reverse equals reverse over reverse, and both equal differences of the first derivative."""
    reason = _no_derivative(record, sample)
    if reason is not None:
        return reason
    arrays, f = _as_function(record, sample)
    weights = _directions([np.asarray(f(*arrays))], 3)[0]
    which = tuple(range(len(arrays)))

    def scalar(*xs: Any) -> Any:
        return ops.sum(f(*xs) * weights)

    slope = transforms.grad(scalar, which)
    v = _directions(arrays, 4)
    xs = [wrap(a) for a in arrays]
    forward = transforms.jvp(slope, xs, v)[1]
    reverse = transforms.grad(lambda *zs: sum(ops.sum(g * d) for g, d in zip(slope(*zs), v, strict=True)), which)(*xs)
    h = 1e-3
    moved = [slope(*[wrap(a + k * h * d.numpy()) for a, d in zip(arrays, v, strict=True)]) for k in (-2, -1, 1, 2)]
    scale = max([1e-3, *(float(np.abs(g.numpy()).max(initial=0.0)) for g in slope(*xs))])
    for i in which:
        a, b = forward[i].numpy(), reverse[i].numpy()
        c = (moved[0][i].numpy() - 8 * moved[1][i].numpy() + 8 * moved[2][i].numpy() - moved[3][i].numpy()) / (12 * h)
        top = max(scale, float(np.abs(b).max(initial=0.0)))
        assert np.abs(a - b).max(initial=0.0) <= 1e-10 * top, (
            f"forward over reverse differs from reverse over reverse by {np.abs(a - b).max():.3g}"
        )
        assert np.abs(b - c).max(initial=0.0) <= 1e-6 * top, f"the second derivative differs from differences by {np.abs(b - c).max():.3g}"
    return None


def check_trace(record: Primitive, sample: Sample) -> str | None:
    """Value and gradient, traced on one set of data, are right on another."""
    arrays, f = _as_function(record, sample)
    if not arrays:
        return "takes no arrays of numbers"
    differentiable = _no_derivative(record, sample) is None

    def step(*xs: Tensor) -> Tensor:
        if not differentiable:
            return f(*xs)
        for x in xs:
            x.requires_grad = True
        y = f(*xs)
        y.backward(np.ones(tuple(y.shape)))
        return ops.concat([ops.reshape(x.grad, (-1,)) if x.grad is not None else wrap(np.zeros(x.value.size)) for x in xs], axis=0)

    other = [a[::-1].copy() if a.ndim else a for a in arrays]
    expected = step(*[wrap(a) for a in other]).detach().numpy()
    _close(Replay(step, arrays)(*other), expected, 1e-15, "replayed trace")
    return None


def check_names(record: Primitive, sample: Sample) -> str | None:
    """The op is in the namespace of raw arrays and in gradus.ops, where rules look for it."""
    assert hasattr(backend.numpy, record.name), f"the raw namespace lacks {record.name}"
    assert record.family == "fused" or getattr(ops, record.name, None) is not None, f"gradus.ops lacks {record.name}"
    return None


COLUMNS: dict[str, Callable[[Primitive, Sample], str | None]] = {
    "value": check_value,
    "float32": check_float32,
    "layouts": check_layouts,
    "reverse": check_reverse,
    "forward": check_forward,
    "second order": check_second_order,
    "trace": check_trace,
    "names": check_names,
}


def opcheck(op: Any, seed: int = 0) -> dict[str, str]:
    """Run an op through every column; returns "yes" or the reason why a column does not apply. Raises AssertionError where one fails.

    Args:
        op: a record, its public function, or its name.

    >>> opcheck("exp")["reverse"]
    'yes'
    """
    record = op if isinstance(op, Primitive) else REGISTRY[op] if isinstance(op, str) else op.record
    return {column: check_column(record, column, seed) for column in COLUMNS}


def check_column(record: Primitive, column: str, seed: int = 0) -> str:
    """One column of one op, over all its samples: "yes" as soon as it applies to one of them."""
    reasons = []
    for sample in samples_of(record, seed):
        try:
            reason = COLUMNS[column](record, sample)
        except Exception as error:
            raise AssertionError(f"op {record.name}, {column}, sample {sample}: {error}") from error
        reasons.append(reason)
    return "yes" if None in reasons else str(reasons[0])


__all__ = ["COLUMNS", "NO_DERIVATIVE", "check_column", "opcheck"]

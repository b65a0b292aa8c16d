"""Operands of several dtypes: PyTorch's promotion over all pairs of dtypes and of tensor, 0-d tensor and Python number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gradus

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
NUMBERS = [2, 2.5, True]
FORMS = ["tensor", "0-d"]
OPS = {
    "add": lambda T, a, b: a + b,
    "mul": lambda T, a, b: a * b,
    "sub": lambda T, a, b: a - b,
    "div": lambda T, a, b: a / b,
    "pow": lambda T, a, b: a**b,
    "floor_divide": lambda T, a, b: a // b,
    "remainder": lambda T, a, b: a % b,
    "less": lambda T, a, b: a < b,
    "equal": lambda T, a, b: a == b,
    "where": lambda T, a, b: T.where(T.tensor([True, False, True]), a, b),
    "maximum": lambda T, a, b: T.maximum(a, b),
    "atan2": lambda T, a, b: T.atan2(a, b),
    "logical_and": lambda T, a, b: T.logical_and(a, b),
    "stack": lambda T, a, b: T.stack([a + 0 * b, b + 0 * a]),
    "in place": lambda T, a, b: a.clone().add_(b),
    "in place div": lambda T, a, b: a.clone().div_(b),
    "copy_": lambda T, a, b: a.clone().copy_(b),
    "lerp": lambda T, a, b: a.lerp(b, 0.5),
}
TENSOR_ONLY = {"maximum", "atan2", "logical_and", "stack", "copy_", "lerp"}
# bool - bool raises in both; PyTorch raises for tensor - True and for some bool or float16 functions too, where an answer is harmless.
# It also has its own mind about float16 rounding of pow and about lerp, which wants one dtype.
PERMITTED = {"sub", "floor_divide", "remainder", "lerp", "pow", "in place", "copy_"}


def operand(T: Any, dtype: str, form: str) -> Any:
    values = np.array([3, 1, 2]) if form == "tensor" else np.array(2)
    return T.tensor(values.astype(dtype))


@pytest.mark.parametrize("name", OPS)
def test_pairs_of_tensors(name: str, agree: Any) -> None:
    for a in DTYPES:
        for b in DTYPES:
            for fa in FORMS:
                for fb in FORMS:
                    # One deviation: where NumPy makes float32 of a mixture with float16, float32 stays (PyTorch: float16).
                    if (name == "pow" and "bool" in (a, b)) or (a != b and "float16" in (a, b)):
                        continue

                    def call(T: Any, a: str = a, b: str = b, fa: str = fa, fb: str = fb) -> Any:
                        return OPS[name](T, operand(T, a, fa), operand(T, b, fb))

                    agree(
                        lambda call=call: call(gradus), lambda call=call: call(torch), [], f"{name}({a} {fa}, {b} {fb})", name in PERMITTED
                    )


@pytest.mark.parametrize("name", [name for name in OPS if name not in TENSOR_ONLY])
def test_tensors_and_numbers(name: str, agree: Any) -> None:
    for dtype in DTYPES:
        for form in FORMS:
            for number in NUMBERS:
                for swapped in (False, True):
                    if (swapped and name.startswith("in place")) or (name == "pow" and "bool" in (dtype, type(number).__name__)):
                        continue

                    def call(T: Any, dtype: str = dtype, form: str = form, number: Any = number, swapped: bool = swapped) -> Any:
                        x = operand(T, dtype, form)
                        return OPS[name](T, *((number, x) if swapped else (x, number)))

                    agree(
                        lambda call=call: call(gradus),
                        lambda call=call: call(torch),
                        [],
                        f"{name}({dtype} {form}, {number}, {swapped})",
                        name in PERMITTED,
                    )


@pytest.mark.parametrize("a", ["float64", "float32", "int64", "bool"])
@pytest.mark.parametrize("b", ["float64", "float32", "int64", "bool"])
def test_products_take_mixtures(a: str, b: str) -> None:
    """PyTorch refuses float @ double; we promote, and never to float64 unless one of them is."""
    y = gradus.ones(2, 3).to(a) @ gradus.ones(3, 2).to(b)
    assert y.dtype == (gradus.ones(1).to(a) * gradus.ones(1).to(b)).dtype
    np.testing.assert_array_equal(y.numpy(), np.full((2, 2), True if a == b == "bool" else 3))


@pytest.mark.parametrize(
    "number", [np.float64(0.5), np.float32(0.5), np.int64(2), np.sqrt(2.0), np.bool_(True)], ids=lambda n: type(n).__name__
)
def test_numpy_numbers_bring_no_float64(number: Any) -> None:
    x = gradus.ones(3, requires_grad=True)
    for y in (
        x * number,
        number * x,
        x + number,
        number + x,
        x - number,
        number - x,
        x / number,
        number / x,
        x**number,
        x.clamp(min=number),
        x.lerp(x, number),
    ):
        assert isinstance(y, gradus.Tensor)
        assert y.dtype == gradus.float32
        assert y.requires_grad
    y = x * 1
    y *= number
    y += number
    y[0] = number
    assert y.dtype == gradus.float32
    assert (gradus.arange(3) * np.float64(0.5)).dtype == gradus.float32
    assert gradus.full((2,), np.float64(0.5)).dtype in (gradus.float32, gradus.float64)


def test_arrays_and_tensors_meet_in_tensors() -> None:
    array, x = np.ones((2, 3), "float32"), gradus.ones(3, requires_grad=True)
    for y in (
        array * x,
        x * array,
        array + x,
        array - x,
        x - array,
        array / x,
        x / array,
        array**x,
        array @ x,
        x @ array.T,
        array < x,
        x < array,
        array == x,
        array % x,
    ):
        assert isinstance(y, gradus.Tensor), y
        assert y.dtype in (gradus.float32, gradus.bool)
    (array * x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    assert isinstance(np.float64(2) * x, gradus.Tensor)
    with pytest.raises(TypeError):
        np.exp(x)
    with pytest.raises(TypeError):
        array += x
    with pytest.raises(gradus.GradusError, match="requires grad"):
        np.asarray(x)


def test_known_dtypes() -> None:
    assert (gradus.tensor([1]) / gradus.tensor([2])).dtype == gradus.float32
    assert gradus.tensor([True, True]).sum().dtype == gradus.int64
    assert gradus.tensor([1], dtype=gradus.uint8).sum().dtype == gradus.int64
    assert gradus.tensor([1, 2]).float().mean().item() == 1.5
    with pytest.raises(gradus.errors.DTypeError, match="must be a floating point dtype"):
        gradus.tensor([1, 2]).mean()
    assert gradus.float32 == np.float32
    assert gradus.long == gradus.int64


def test_default_dtype_can_be_changed() -> None:
    assert gradus.get_default_dtype() == gradus.float32
    gradus.set_default_dtype(gradus.float64)
    try:
        assert (
            gradus.tensor([1.5]).dtype == gradus.zeros(2).dtype == gradus.rand(2).dtype == (gradus.tensor([1]) / 2).dtype == gradus.float64
        )
    finally:
        gradus.set_default_dtype(gradus.float32)
    with pytest.raises(TypeError):
        gradus.set_default_dtype(gradus.int64)

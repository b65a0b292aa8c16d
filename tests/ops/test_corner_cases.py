"""Calls at the edges of the ops' domains: odd dtypes, infinities, tensors without axes."""

import math

import numpy as np
import pytest

import gradus
from gradus.errors import ShapeError, UsageError


@pytest.mark.parametrize("bounds", [{"min": 0.5}, {"max": 1.5}, {"min": 0, "max": 1.5}, {"min": np.float64(0.5)}])
def test_clamp_of_integers_to_a_fraction_is_float32(bounds):
    assert gradus.tensor([1, 2]).clamp(**bounds).dtype == gradus.float32


def test_clamp_of_integers_to_integers_stays():
    assert gradus.tensor([1, 5]).clamp(2, 4).tolist() == [2, 4]
    assert gradus.tensor([1, 5]).clamp(2, 4).dtype == gradus.int64


def test_clamp_to_a_tensor_propagates_nan():
    clamped = gradus.tensor([math.nan, 1.0, 1.0]).clamp(min=gradus.tensor([1.0, math.nan, 2.0]))
    assert np.array_equal(clamped.numpy(), [math.nan, math.nan, 2.0], equal_nan=True)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_row_with_infinity_is_all_nan(name):
    row = getattr(gradus.tensor([[1.0, math.inf], [0.0, -math.inf]]), name)(1)
    assert row[0].isnan().all() and not row[1].isnan().any()


def test_sigmoid_of_booleans():
    assert gradus.tensor([True, False]).sigmoid().dtype == gradus.float32


@pytest.mark.parametrize("call", [lambda: gradus.tensor(1.0).mT, lambda: gradus.ops.permute_dims(np.zeros((2, 3)), (0, 0))])
def test_permutations_that_are_none_raise(call):
    with pytest.raises(ShapeError):
        call()


@pytest.mark.parametrize("call", [lambda x: x // 0, lambda x: x % 0, lambda x: x // gradus.tensor([1, 0]), lambda x: 1 % (x - 1)])
def test_whole_numbers_divided_by_zero_raise(call):
    with pytest.raises(UsageError, match="cannot be divided by 0"):
        call(gradus.tensor([1, 2]))


def test_floats_divided_by_zero_do_not():
    assert (gradus.tensor([1.0]) // 0).isinf().all()
    assert (gradus.tensor([1.0]) % 0).isnan().all()


@pytest.mark.parametrize("zero, slope", [(0, math.inf), (-0.0, -math.inf)])
def test_division_by_the_number_zero_has_a_backward(zero, slope):
    x = gradus.tensor([1.0], requires_grad=True)
    (x / zero).sum().backward()
    assert x.grad.tolist() == [slope]

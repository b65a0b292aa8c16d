"""The Array API namespace of Tensors: code that knows only the standard gives on Tensors what it gives on NumPy arrays."""

import numpy as np
import pytest

import gradus
from gradus import array_api

X = np.array([[0.5, -1.25, 2.0], [3.0, 0.25, -0.75]])
Y = np.array([[1.5, 0.5, -2.0], [-3.0, 4.0, 0.75]])
FRACTIONS = X / 4
NUMBERS = np.array([[3, 1, 2], [6, 0, 5]])

UNARY = """abs asinh atan ceil cos cosh exp expm1 floor isfinite isinf isnan negative positive round sign sin sinh square tan tanh
trunc""".split()
POSITIVE = "log log10 log1p log2 sqrt reciprocal".split()
UNIT = "acos asin atanh".split()
BINARY = """add atan2 divide equal floor_divide greater greater_equal hypot less less_equal logaddexp maximum minimum multiply not_equal
subtract""".split()
INTEGERS = "bitwise_and bitwise_or bitwise_xor remainder".split()
LOGICAL = ("logical_and", "logical_or", "logical_xor")
REDUCTIONS = "sum prod mean max min all any argmax argmin count_nonzero std var".split()

CALLS = {
    **{name: (lambda xp, name=name: getattr(xp, name)(xp.asarray(X))) for name in UNARY},
    **{name: (lambda xp, name=name: getattr(xp, name)(xp.asarray(X * X + 1))) for name in [*POSITIVE, "acosh"]},
    **{name: (lambda xp, name=name: getattr(xp, name)(xp.asarray(FRACTIONS))) for name in UNIT},
    **{name: (lambda xp, name=name: getattr(xp, name)(xp.asarray(X), xp.asarray(Y))) for name in BINARY},
    **{name: (lambda xp, name=name: getattr(xp, name)(xp.asarray(NUMBERS), xp.asarray(NUMBERS + 2))) for name in INTEGERS},
    **{name: (lambda xp, name=name: getattr(xp, name)(xp.asarray(X > 0), xp.asarray(Y > 0))) for name in LOGICAL},
    **{name: (lambda xp, name=name: getattr(xp, name)(xp.asarray(X), axis=1, keepdims=True)) for name in REDUCTIONS},
    "logical_not": lambda xp: xp.logical_not(xp.asarray(X > 0)),
    "pow": lambda xp: xp.pow(xp.asarray(X * X + 1), xp.asarray(Y)),
    "where": lambda xp: xp.where(xp.asarray(X > 0), xp.asarray(X), xp.asarray(Y)),
    "clip": lambda xp: xp.clip(xp.asarray(X), min=-1.0, max=1.0),
    "clip, one bound": lambda xp: xp.clip(xp.asarray(X), max=1.0),
    "sum, dtype": lambda xp: xp.sum(xp.asarray(NUMBERS), axis=0, dtype=xp.float64),
    "prod, dtype": lambda xp: xp.prod(xp.asarray(NUMBERS), axis=(0, 1), dtype=xp.float64),
    "std, correction": lambda xp: xp.std(xp.asarray(X), axis=0, correction=1.0),
    "cumulative_sum": lambda xp: xp.cumulative_sum(xp.asarray(X), axis=0),
    "cumulative_sum, initial": lambda xp: xp.cumulative_sum(xp.asarray(NUMBERS), axis=-1, include_initial=True),
    "cumulative_prod": lambda xp: xp.cumulative_prod(xp.asarray(X), axis=0),
    "cumulative_prod, initial": lambda xp: xp.cumulative_prod(xp.asarray(X), axis=1, include_initial=True),
    "diff": lambda xp: xp.diff(xp.asarray(X), axis=0),
    "diff, twice": lambda xp: xp.diff(xp.asarray(X), n=2),
    "sort": lambda xp: xp.sort(xp.asarray(X), axis=0),
    "argsort": lambda xp: xp.argsort(xp.asarray(X), axis=-1),
    "take": lambda xp: xp.take(xp.asarray(X), xp.asarray(np.array([2, 0])), axis=1),
    "take_along_axis": lambda xp: xp.take_along_axis(xp.asarray(X), xp.asarray(np.array([[0], [2]])), axis=1),
    "concat": lambda xp: xp.concat([xp.asarray(X), xp.asarray(Y)], axis=1),
    "concat, flat": lambda xp: xp.concat([xp.asarray(X), xp.asarray(Y[0])], axis=None),
    "stack": lambda xp: xp.stack([xp.asarray(X), xp.asarray(Y)], axis=-1),
    "unstack": lambda xp: xp.unstack(xp.asarray(X), axis=1)[2],
    "expand_dims": lambda xp: xp.expand_dims(xp.asarray(X), axis=1),
    "squeeze": lambda xp: xp.squeeze(xp.asarray(X[:1]), axis=0),
    "flip": lambda xp: xp.flip(xp.asarray(X)),
    "roll": lambda xp: xp.roll(xp.asarray(X), 4),
    "reshape": lambda xp: xp.reshape(xp.asarray(X), (3, -1)),
    "permute_dims": lambda xp: xp.permute_dims(xp.asarray(X), (1, 0)),
    "moveaxis": lambda xp: xp.moveaxis(xp.asarray(X), 0, -1),
    "broadcast_to": lambda xp: xp.broadcast_to(xp.asarray(X[0]), (2, 3)),
    "broadcast_arrays": lambda xp: xp.broadcast_arrays(xp.asarray(X), xp.asarray(Y[0]))[1],
    "matmul": lambda xp: xp.matmul(xp.asarray(X), xp.asarray(Y.T)),
    "matrix_transpose": lambda xp: xp.matrix_transpose(xp.asarray(X)),
    "vecdot": lambda xp: xp.vecdot(xp.asarray(X), xp.asarray(Y)),
    "tril": lambda xp: xp.tril(xp.asarray(X), k=-1),
    "triu": lambda xp: xp.triu(xp.asarray(X), k=1),
    "astype": lambda xp: xp.astype(xp.asarray(X), xp.int32),
    "arange": lambda xp: xp.arange(2, stop=8, step=3),
    "linspace": lambda xp: xp.linspace(0.0, 1.0, num=5, dtype=xp.float64),
    "eye": lambda xp: xp.eye(2, 3, k=1, dtype=xp.float64),
    "full": lambda xp: xp.full((2, 1), 7),
    "full_like": lambda xp: xp.full_like(xp.asarray(X), 7.0),
    "zeros": lambda xp: xp.zeros((2, 2), dtype=xp.int8),
    "zeros_like": lambda xp: xp.zeros_like(xp.asarray(X)),
    "ones": lambda xp: xp.ones(3, dtype=xp.float64),
    "ones_like": lambda xp: xp.ones_like(xp.asarray(NUMBERS)),
    "asarray": lambda xp: xp.asarray([[1, 2], [3, 4]]),
}  # fmt: skip
NOT_COMPARED = {"empty", "empty_like", "can_cast", "finfo", "iinfo", "isdtype", "result_type", "bool", "e", "inf", "nan", "newaxis", "pi"}


@pytest.mark.parametrize("name", CALLS)
def test_same_as_numpy(name):
    got, wanted = CALLS[name](array_api), CALLS[name](np)
    assert isinstance(got, gradus.Tensor) and got.dtype == wanted.dtype
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-13, atol=1e-14)


def test_every_function_is_compared():
    compared = {name.split(",")[0] for name in CALLS} | NOT_COMPARED | set(array_api.DTYPES)
    assert set(array_api.__all__) == compared
    assert all(getattr(array_api, name).__doc__ for name in array_api.__all__ if callable(getattr(array_api, name)))


def test_tensors_lead_to_it():
    x = gradus.tensor([1.0])
    assert x.__array_namespace__() is array_api and x.__array_namespace__(api_version="2025.12") is array_api
    with pytest.raises(gradus.GradusError, match="2019"):
        x.__array_namespace__(api_version="2019.01")


def test_code_of_the_standard_is_differentiable():
    def softmax(x):
        xp = x.__array_namespace__()
        e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    x = gradus.tensor(X, requires_grad=True)
    np.testing.assert_allclose(softmax(x).detach().numpy(), softmax(X), rtol=1e-15)
    (softmax(x) * gradus.tensor(Y)).sum().backward()
    got, x.grad = x.grad, None
    (x.softmax(-1) * gradus.tensor(Y)).sum().backward()
    np.testing.assert_allclose(got.numpy(), x.grad.numpy(), atol=1e-15)


def test_creation_is_float32_and_on_the_cpu():
    assert array_api.zeros((2,)).dtype == gradus.float32 and array_api.empty((2, 3), device="cpu").shape == (2, 3)
    with pytest.raises(gradus.GradusError):
        array_api.ones(2, device="cuda")


def test_asarray_shares_memory_unless_told():
    memory = np.zeros(2)
    array_api.asarray(memory)[0] = 1.0
    array_api.asarray(memory, copy=True)[1] = 1.0
    assert memory.tolist() == [1.0, 0.0]
    x = gradus.tensor([1.0])
    assert array_api.asarray(x) is x and array_api.asarray(x, copy=True) is not x
    assert array_api.asarray(x, dtype=gradus.float64).dtype == gradus.float64
    for impossible in ([1.0], np.zeros(1, ">f4")):
        with pytest.raises(ValueError, match="copy"):
            array_api.asarray(impossible, dtype=gradus.float64, copy=False)


def test_dtypes():
    assert array_api.result_type(array_api.float32, array_api.int64) == gradus.float32
    assert array_api.result_type(gradus.ones(1), 1.5) == gradus.float32
    assert array_api.isdtype(gradus.float32, "real floating") and array_api.finfo(gradus.float32).bits == 32
    flags = gradus.tensor([True])
    assert array_api.astype(flags, array_api.bool) is not flags and array_api.astype(flags, array_api.bool, copy=False) is flags


def test_a_running_sum_needs_to_know_its_axis():
    with pytest.raises(ValueError, match="axis"):
        array_api.cumulative_sum(gradus.ones(2, 2))

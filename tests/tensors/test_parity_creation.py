"""Tensors from Python data, arrays, numbers and lists of tensors, beside PyTorch; random ones by shape, dtype and moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradus
from gradus.errors import UsageError

MATRIX = np.arange(6.0).reshape(2, 3)

CREATED: dict[str, Callable[[Any], Any]] = {
    "int": lambda T: T.tensor(3),
    "float": lambda T: T.tensor(3.5),
    "bool": lambda T: T.tensor(True),
    "floats": lambda T: T.tensor([10.0, 6, -4]),
    "ints": lambda T: T.tensor([1, 2]),
    "bools": lambda T: T.tensor([True, False]),
    "bool and int": lambda T: T.tensor([True, 2]),
    "nothing": lambda T: T.tensor([]),
    "nested nothing": lambda T: T.tensor([[], []]),
    "nested": lambda T: T.tensor([[1, 2.5], [3, 4]]),
    "tuple": lambda T: T.tensor((1, 2)),
    "float64 array": lambda T: T.tensor(MATRIX),
    "int32 array": lambda T: T.tensor(MATRIX.astype("int32")),
    "uint8 array": lambda T: T.tensor(MATRIX.astype("uint8")),
    "transposed array": lambda T: T.tensor(MATRIX.T),
    "numpy number": lambda T: T.tensor(np.float64(2.5)),
    "numpy integer": lambda T: T.tensor(np.int32(2)),
    "numpy numbers in a list": lambda T: T.tensor([np.float64(2.5), np.float64(1)]),
    "with dtype": lambda T: T.tensor([1, 2], dtype=T.float64),
    "floats as ints": lambda T: T.tensor([1.7, -2.7], dtype=T.int64),
    "tensors in a list": lambda T: T.tensor([T.tensor(1.0), T.tensor(2.0)]),
    "as_tensor": lambda T: T.as_tensor([1.0, 2.0]),
    "as_tensor of an array": lambda T: T.as_tensor(MATRIX),
    "as_tensor with dtype": lambda T: T.as_tensor(MATRIX, dtype=T.float32),
    "asarray": lambda T: T.asarray(MATRIX),
    "from_numpy": lambda T: T.from_numpy(MATRIX),
    "from_numpy of steps": lambda T: T.from_numpy(MATRIX[:, ::2]),
    "zeros": lambda T: T.zeros(2, 3),
    "zeros tuple": lambda T: T.zeros((2, 3)),
    "zeros list": lambda T: T.zeros([2, 3]),
    "zeros scalar": lambda T: T.zeros(()),
    "zeros size": lambda T: T.zeros(T.ones(2, 3).shape),
    "zeros dtype": lambda T: T.zeros(2, dtype=T.int64),
    "ones": lambda T: T.ones(0, 3),
    "full": lambda T: T.full((2,), 7.0),
    "full int": lambda T: T.full((2,), 7),
    "full bool": lambda T: T.full((2,), True),
    "full dtype": lambda T: T.full((2,), 7, dtype=T.float64),
    "arange": lambda T: T.arange(5),
    "arange range": lambda T: T.arange(2, 8, 3),
    "arange float": lambda T: T.arange(0, 1, 0.25),
    "arange float end": lambda T: T.arange(3.0),
    "arange down": lambda T: T.arange(5, 0, -2),
    "arange dtype": lambda T: T.arange(3, dtype=T.float32),
    "linspace": lambda T: T.linspace(0, 1, 5),
    "linspace steps": lambda T: T.linspace(-2, 2, steps=4),
    "linspace one": lambda T: T.linspace(3, 9, 1),
    "eye": lambda T: T.eye(3),
    "eye wide": lambda T: T.eye(2, 3),
    "zeros_like": lambda T: T.zeros_like(T.tensor([1, 2])),
    "ones_like": lambda T: T.ones_like(T.tensor([1.0, 2])),
    "ones_like dtype": lambda T: T.ones_like(T.tensor([1.0, 2]), dtype=T.int64),
    "full_like": lambda T: T.full_like(T.tensor([1.0, 2]), 3),
    "new_zeros": lambda T: T.tensor([1, 2]).new_zeros(2, 3),
    "new_ones": lambda T: T.tensor([1.0, 2]).new_ones((2,)),
    "new_zeros dtype": lambda T: T.tensor([1.0, 2]).new_zeros((2, 3), dtype=T.int64, requires_grad=False),
    "new_ones requires_grad": lambda T: T.tensor([1.0, 2]).new_ones(2, requires_grad=True),
    "new_full": lambda T: T.tensor([1.0, 2]).new_full((2, 3), 7),
    "new_full dtype": lambda T: T.tensor([1, 2]).new_full((2,), 7.5, dtype=T.float64),
    "new_tensor": lambda T: T.tensor([1.0, 2], dtype=T.float64).new_tensor([[1, 2]]),
    "shape of new_empty": lambda T: T.tensor([1, 2]).new_empty(2, 3).zero_(),
    "is_floating_point": lambda T: [T.is_floating_point(T.ones(1)), T.is_floating_point(T.arange(2))],
    "shape of empty": lambda T: T.empty(2, 3).zero_(),
    "shape of empty_like": lambda T: T.empty_like(T.ones(2, 3)).fill_(1),
    "is_tensor": lambda T: [T.is_tensor(T.ones(1)), T.is_tensor(3)],
    "numel": lambda T: T.numel(T.ones(2, 3)),
    "ragged": lambda T: T.tensor([[1, 2], [3]]),
    "text": lambda T: T.tensor("three"),
    "from_numpy of a list": lambda T: T.from_numpy([1, 2]),
    "integers that require gradients": lambda T: T.tensor([1, 2], requires_grad=True),
    "negative size": lambda T: T.zeros(-2),
}


@pytest.mark.parametrize("name", CREATED)
def test_created(name: str, agree: Any) -> None:
    agree(lambda: CREATED[name](gradus), lambda: CREATED[name](torch), [], name)


A, B, V = np.arange(6.0).reshape(2, 3) / 4, np.arange(6.0, 12.0).reshape(2, 3) / 4, np.array([1.0, -2.0, 0.5])
LISTS: dict[str, tuple[list[np.ndarray], Callable[..., Any]]] = {
    "cat": ([A, B], lambda T, a, b: T.cat([a, b])),
    "cat dim": ([A, B], lambda T, a, b: T.cat((a, b, a), dim=-1)),
    "cat axis": ([A, B], lambda T, a, b: T.cat((a, b), axis=1)),
    "cat one": ([A], lambda T, a: T.cat([a])),
    "cat of several dtypes": ([A, B.astype("int64")], lambda T, a, b: T.cat([a, b])),
    "cat float32": ([A.astype("float32"), B], lambda T, a, b: T.cat([a, b])),
    "cat bool": ([A > 0, B > 2], lambda T, a, b: T.cat([a, b])),
    "cat of nothing": ([], lambda T: T.cat([])),
    "cat that does not fit": ([A, V], lambda T, a, v: T.cat([a, v])),
    "cat of lengths that differ": ([A, B[:, :2]], lambda T, a, b: T.cat([a, b])),
    "concat": ([A, B], lambda T, a, b: T.concat([a, b], 1)),
    "concatenate": ([A, B], lambda T, a, b: T.concatenate([a, b], 0)),
    "stack": ([A, B], lambda T, a, b: T.stack([a, b])),
    "stack dim": ([A, B], lambda T, a, b: T.stack((a, b), dim=-1)),
    "stack middle": ([A, B], lambda T, a, b: T.stack((a, b, b), 1)),
    "stack of numbers": ([V], lambda T, v: T.stack([x * x for x in v])),
    "stack of nothing": ([], lambda T: T.stack([])),
    "stack of shapes that differ": ([A, V], lambda T, a, v: T.stack([a, v])),
    "einsum product": ([A, B], lambda T, a, b: T.einsum("ik,jk->ij", a, b)),
    "einsum transpose": ([A], lambda T, a: T.einsum("ij->ji", a)),
    "einsum bilinear": ([A, A.T @ A, B], lambda T, a, m, b: T.einsum("bi,ij,bj->b", a, m, b)),
    "einsum batch": ([np.stack([A, B]), np.stack([A.T, B.T])], lambda T, a, b: T.einsum("bik,bkj->bij", a, b)),
    "einsum implicit": ([A, B.T.copy()], lambda T, a, b: T.einsum("ij,jk", a, b)),
    "einsum dots": ([np.stack([A, B]), A.T.copy()], lambda T, a, b: T.einsum("...ij,jk->...ik", a, b)),
    "einsum trace": ([A.T @ A], lambda T, m: T.einsum("ii", m)),
    "einsum diagonal": ([A.T @ A], lambda T, m: T.einsum("ii->i", m)),
    "einsum total": ([A], lambda T, a: T.einsum("ij->", a)),
    "einsum outer": ([V, V], lambda T, a, b: T.einsum("i,j->ij", a, b)),
    "einsum list": ([V, V], lambda T, a, b: T.einsum("i,i->", [a, b])),
    "einsum spaces": ([A, B], lambda T, a, b: T.einsum("i k, j k -> i j", a, b)),
    "einsum that does not fit": ([A, B], lambda T, a, b: T.einsum("ij,jk->ik", a, b)),
    "einsum with too few labels": ([A], lambda T, a: T.einsum("i->i", a)),
    "where of numbers": ([V], lambda T, v: T.where(v > 0, v, 0.0)),
    "where of two numbers": ([V], lambda T, v: T.where(v > 0, 1.0, 0.0)),
    "where broadcast": ([A, V], lambda T, a, v: T.where(a > v, a, v)),
    "where alone": ([A], lambda T, a: T.where(a > 0.5)),
    "max of two": ([A, V], lambda T, a, v: T.max(a, v)),
    "sum of a list": ([A, B], lambda T, a, b: sum([a, b])),
    "zip": ([A, B], lambda T, a, b: T.stack([(x * y).sum() for x, y in zip(a, b)])),
    "unpacking": ([A], lambda T, a: (lambda first, second: first * second)(*a)),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_tensors(name: str, agree: Any) -> None:
    arrays, f = LISTS[name]
    agree(lambda *x: f(gradus, *x), lambda *x: f(torch, *x), arrays, name)


@pytest.mark.parametrize(
    "call",
    [
        lambda T: T.rand(500, 20),
        lambda T: T.randn(500, 20),
        lambda T: T.randn((500, 20), dtype=T.float64),
        lambda T: T.randint(3, 9, (500, 20)),
        lambda T: T.randint(9, (10000,)),
        lambda T: T.rand_like(T.zeros(500, 20)),
        lambda T: T.randn_like(T.zeros(500, 20)),
        lambda T: T.randperm(10000),
        lambda T: T.empty(500, 20).uniform_(-1, 3),
        lambda T: T.empty(500, 20).normal_(2, 0.5),
        lambda T: T.empty(500, 20).random_(9),
        lambda T: T.empty(500, 20, dtype=T.long).random_(-2, 3),
        lambda T: T.empty(500, 20, dtype=T.uint8).random_() / 255,
        lambda T: T.empty(500, 20).random_() / 2**24,
        lambda T: T.empty(500, 20, dtype=T.bool).random_(),
    ],
)
def test_random_tensors_have_pytorchs_shape_dtype_and_moments(call: Callable[[Any], Any]) -> None:
    gradus.manual_seed(3)
    mine, again, theirs = call(gradus), call(gradus), call(torch)
    assert tuple(mine.shape) == tuple(theirs.shape)
    assert str(mine.dtype) == str(theirs.dtype).removeprefix("torch.")
    assert not gradus.equal(mine, again)
    for power in (1, 2):
        a, b = mine.double().pow(power).mean().item(), theirs.double().pow(power).mean().item()
        assert a == pytest.approx(b, rel=0.06, abs=0.05)
    gradus.manual_seed(3)
    assert gradus.equal(mine, call(gradus))


def test_random_whole_numbers_need_a_range() -> None:
    for bounds in ((0,), (5, 5)):
        with pytest.raises(RuntimeError):
            torch.empty(3).random_(*bounds)
        with pytest.raises(UsageError, match="expects 'from' to be less than 'to'"):
            gradus.empty(3).random_(*bounds)


@pytest.mark.parametrize(
    "dtype, bounds",
    [
        ("uint8", (-5, 5)),
        ("uint8", (257,)),
        ("int8", (0, 129)),
        ("bool", (3,)),
        ("float32", (2.5,)),
        ("int64", (float("nan"),)),
        ("float32", (0, 2**70)),
        ("float16", (0, 2**20)),
        ("float32", (None,)),
        ("float32", (None, 5)),
        ("float32", (2, 3.5)),
        ("float32", (True,)),
        ("uint8", (300, None)),
        ("uint8", (-5, None)),
        ("float32", (2**24, None)),
    ],
)
def test_random_whole_numbers_never_wrap(dtype: str, bounds: tuple[Any, ...]) -> None:
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        torch.zeros(3, dtype=getattr(torch, dtype)).random_(*bounds)
    with pytest.raises(UsageError, match="random_"):
        gradus.zeros(3, dtype=getattr(gradus, dtype)).random_(*bounds)


FORMS = [
    ((), {}),
    ((9,), {}),
    ((3, 9), {}),
    ((3, None), {}),
    ((), {"to": 9}),
    ((), {"from": 3, "to": 9}),
    ((3,), {"to": 9}),
    ((3,), {"to": None}),
]


@pytest.mark.parametrize("dtype", "float16 float32 float64 uint8 int8 int16 int32 int64".split())
@pytest.mark.filterwarnings("ignore:.*out of bounds.*precision:UserWarning")
@pytest.mark.parametrize("bounds, named", [*FORMS, ((-(2**63), None), {}), ((-(2**63), 2**63 - 1), {}), ((-5, None), {})])
def test_random_whole_numbers_take_pytorchs_forms(dtype: str, bounds: tuple[Any, ...], named: dict[str, Any]) -> None:
    def quarters(library: Any) -> Any:
        try:
            drawn = library.zeros(4000, dtype=getattr(library, dtype)).random_(*bounds, **named).numpy()
        except (RuntimeError, UsageError) as error:
            return type(error)
        return np.quantile(drawn.astype("float64"), [0, 0.25, 0.5, 0.75, 1])

    gradus.manual_seed(4)
    mine, theirs = quarters(gradus), quarters(torch)
    if isinstance(theirs, type):
        assert isinstance(mine, type), "PyTorch raises"
    else:
        assert not isinstance(mine, type)
        np.testing.assert_allclose(mine, theirs, atol=0.05 * np.abs(theirs).max() + (max(theirs) < 10))


def test_random_whole_numbers_of_a_wide_range_use_all_bits() -> None:
    gradus.manual_seed(4)
    drawn = gradus.zeros(4000, dtype=gradus.long).random_().numpy()
    for bit in range(63):
        assert 0.45 < (drawn >> bit & 1).mean() < 0.55, bit
    assert drawn.min() >= 0


def test_random_whole_numbers_of_a_compiled_step() -> None:
    def step(x: gradus.Tensor) -> gradus.Tensor:
        return x + gradus.zeros(4).random_(9) + gradus.randint(3, (4,))

    gradus.manual_seed(4)
    wanted = [step(gradus.zeros(4)).tolist() for _ in range(3)]
    gradus.manual_seed(4)
    compiled = gradus.compile(step)
    assert [compiled(gradus.zeros(4)).tolist() for _ in range(3)] == wanted


def test_random_whole_numbers_reach_both_ends() -> None:
    for dtype, bounds, ends in (
        ("uint8", (256,), (0, 255)),
        ("uint8", (3, None), (3, 255)),
        ("uint8", (255, None), (255, 255)),
        ("int8", (-128, 128), (-128, 127)),
        ("bool", (2,), (0, 1)),
    ):
        drawn = gradus.zeros(20_000, dtype=getattr(gradus, dtype)).random_(*bounds).numpy()
        assert (drawn.min(), drawn.max()) == ends


def test_from_numpy_and_as_tensor_share_memory_and_tensor_copies() -> None:
    array = np.zeros(3, "float32")
    shared, copied, also = gradus.from_numpy(array), gradus.tensor(array), gradus.as_tensor(array)
    array[0] = 5
    shared[1] = 7
    assert copied.tolist() == [0, 0, 0]
    assert also.tolist() == shared.tolist() == [5, 7, 0]
    assert shared.numpy() is array
    assert np.shares_memory(shared.detach().numpy(), array)
    assert shared.data_ptr() == also.data_ptr() != copied.data_ptr()


def test_big_endian_arrays_become_native() -> None:
    assert gradus.from_numpy(np.arange(3, dtype=">f4")).dtype == gradus.float32
    assert gradus.tensor(np.arange(3, dtype=">i8")).tolist() == [0, 1, 2]


def test_read_only_arrays_are_read_only() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    with pytest.raises(gradus.errors.AliasError, match="read-only"):
        gradus.from_numpy(array).add_(1)

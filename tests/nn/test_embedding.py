"""Embedding beside PyTorch's: rows, gradients of rows that are picked often, padding, numbers out of range."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import DTypeError, IndexRangeError, ShapeError, UsageError
from gradus.testing import gradcheck
from gradus.testing.tracer import Replay

F, TF = nn.functional, torch.nn.functional


def numbers(shape, rows: int = 7, dtype=np.int64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, rows, shape).astype(dtype)


@pytest.mark.parametrize("padding", [None, 0, 3, -1])
@pytest.mark.parametrize("width", [1, 5, 0])
@pytest.mark.parametrize("shape", [(), (4,), (0,), (3, 0), (50,), (6, 8), (2, 3, 20)], ids=str)
def test_values_and_gradients(shape, width, padding, dtype, compare) -> None:
    mine = nn.Embedding(7, width, padding_idx=padding).to(dtype)
    theirs = torch.nn.Embedding(7, width, padding_idx=padding).to(getattr(torch, dtype))
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    compare(mine, theirs, [numbers(shape)], dtype, list(zip(mine.parameters(), theirs.parameters(), strict=True)))
    assert repr(mine) == repr(theirs)
    back = torch.nn.Embedding(7, width)
    back.load_state_dict({name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()})


@pytest.mark.parametrize("dtype_", [np.uint8, np.int8, np.int16, np.int32])
def test_numbers_of_any_integer_dtype(dtype_) -> None:
    layer = nn.Embedding(7, 3)
    x = numbers((40,), dtype=dtype_)
    y = layer(gradus.tensor(x))
    assert gradus.equal(y, layer(gradus.tensor(x.astype(np.int64))))
    y.sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), np.bincount(x, minlength=7)[:, None] * np.ones(3))


@pytest.mark.parametrize("numbers_", [np.arange(-300, 300, 7), np.arange(250, dtype=np.uint8)[::5], np.zeros((5, 0), np.int64)])
def test_the_gradient_of_rows_that_are_read_in_any_way(numbers_) -> None:
    table = np.random.default_rng(0).standard_normal((300, 6))
    mine, theirs = gradus.tensor(table).requires_grad_(), torch.tensor(table, requires_grad=True)
    weights = np.random.default_rng(1).standard_normal((*numbers_.shape, 6))
    (mine[numbers_] * gradus.tensor(weights)).sum().backward()
    (theirs[torch.tensor(numbers_.astype(np.int64))] * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)


def test_derivatives() -> None:
    x = gradus.tensor(numbers((30,)))
    assert gradcheck(lambda w: F.embedding(x, w), [np.random.randn(7, 6)])
    weights = gradus.tensor(np.random.randn(30, 6))
    slope = gradus.grad(lambda w: (F.embedding(x, w) ** 3 * weights).sum())
    assert gradcheck(slope, [np.random.randn(7, 6)])


def test_a_trace_replays_with_other_numbers() -> None:
    w = gradus.tensor(np.random.default_rng(0).standard_normal((7, 6))).requires_grad_()

    def step(x):
        (F.embedding(x, w) ** 2).sum().backward()
        return w.grad

    first, second = numbers((20,)), numbers((20,))[::-1].copy() // 2
    replay = Replay(step, [first])
    w.grad = None
    expected = step(gradus.tensor(second)).numpy().copy()
    np.testing.assert_allclose(replay(second), expected)


def test_start() -> None:
    weight = nn.Embedding(400, 300, padding_idx=5).weight.detach().numpy()
    assert abs(weight.std() - 1) < 0.01
    assert not weight[5].any()


def test_from_pretrained() -> None:
    table = gradus.randn(4, 3)
    frozen, free = nn.Embedding.from_pretrained(table), nn.Embedding.from_pretrained(table, freeze=False, padding_idx=1)
    assert not frozen.weight.requires_grad and free.weight.requires_grad and free.padding_idx == 1
    assert gradus.equal(frozen(gradus.tensor([2, 0])), table[[2, 0]])
    assert list(frozen.state_dict()) == ["weight"]
    with pytest.raises(ShapeError, match="2-dimensional"):
        nn.Embedding.from_pretrained(gradus.zeros(3))


@pytest.mark.parametrize("wrong, place", [(7, "[1, 0]"), (-1, "[1, 0]")])
def test_a_number_out_of_range(wrong, place) -> None:
    with pytest.raises(IndexError, match="index out of range in self") as caught:
        nn.Embedding(7, 2)(gradus.tensor([[0, 1], [wrong, 6]]))
    assert isinstance(caught.value, IndexRangeError) and caught.value.code == "E41"
    assert f"there is no row {wrong}" in str(caught.value) and place in str(caught.value) and "0 to 6" in str(caught.value)
    assert caught.value.fix == ("nn.Embedding(8, …)" if wrong > 0 else "")


def test_refused_arguments() -> None:
    with pytest.raises(DTypeError, match="whole numbers"):
        nn.Embedding(7, 2)(gradus.zeros(3))
    with pytest.raises(UsageError, match="Padding_idx"):
        nn.Embedding(7, 2, padding_idx=7)
    for option in ({"max_norm": 1.0}, {"sparse": True}, {"scale_grad_by_freq": True}):
        with pytest.raises(UsageError, match="embedding has no"):
            nn.Embedding(7, 2, **option)
    with pytest.raises(ShapeError, match="2-D"):
        F.embedding(gradus.tensor([0]), gradus.zeros(3))

"""Joining samples: what PyTorch joins is joined alike; what does not fit is named by its number in the dataset."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import gradus
from gradus.data import DataLoader, default_collate
from gradus.errors import DataError


class Pair(NamedTuple):
    x: Any
    y: Any


SAMPLES: list[list[Any]] = [
    [1, 2, 3],
    [True, False],
    ["a", "b"],
    [(1, "a"), (2, "b")],
    [[1, 2], [3, 4], [5, 6]],
    [{"x": 1, "y": (2, 3)}, {"x": 4, "y": (5, 6)}],
    [np.arange(3), np.arange(3)],
    [np.float64(1), np.float64(2)],
    [np.array(1, "int16"), np.array(2, "int16")],
    [np.array([True]), np.array([False])],
    [(np.zeros((2, 2), "float32"), np.int64(3)), (np.ones((2, 2), "float32"), np.int64(4))],
]


def plain(batch: Any) -> Any:
    """A batch as nested Python values and dtype names, tuples taken for lists as PyTorch gives them."""
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [plain(value) for value in batch]
    return batch if isinstance(batch, str) else (str(batch.dtype).removeprefix("torch."), batch.tolist())


@pytest.mark.parametrize("samples", SAMPLES, ids=repr)
def test_equal_to_pytorch(samples: list[Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle (pip install gradus-dl[parity])")
    assert plain(default_collate(samples)) == plain(torch.utils.data.default_collate(samples))


def test_python_floats_take_the_default_dtype() -> None:
    assert default_collate([1.0, 2]).dtype == gradus.float32
    assert default_collate([1, 2.5]).tolist() == [1, 2.5]


def test_tensors_are_stacked_and_keep_their_gradient() -> None:
    a, b = gradus.tensor([1.0, 2.0], requires_grad=True), gradus.tensor([3.0, 4.0])
    batch = default_collate([a, b])
    assert batch.detach().tolist() == [[1, 2], [3, 4]]
    (batch * batch).sum().backward()
    assert a.grad is not None
    assert a.grad.tolist() == [2, 4]


def test_named_tuples_stay_named() -> None:
    batch = default_collate([Pair(1, "a"), Pair(2, "b")])
    assert type(batch) is Pair
    assert batch.x.tolist() == [1, 2]
    assert batch.y == ["a", "b"]


def test_tuples_stay_tuples_and_lists_lists() -> None:
    assert type(default_collate([(1, 2)])) is tuple
    assert type(default_collate([[1, 2]])) is list


def test_the_batch_does_not_share_memory_with_the_samples() -> None:
    sample = np.zeros(2)
    batch = default_collate([sample])
    sample[0] = 1
    assert batch.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    "samples, texts",
    [
        ([(np.zeros((3, 28)), 0), (np.zeros((3, 28)), 1), (np.zeros((3, 30)), 2)], ["sample 4[0] and sample 6[0]", "(3, 28) and (3, 30)"]),
        ([{"x": np.zeros(2)}, {"x": np.zeros(2)}, {"x": np.zeros(3)}], ["sample 4['x'] and sample 6['x']", "(2,) and (3,)"]),
        ([1, None, 2], ["sample 5 is None", "return"]),
        ([(1, 2), (1, None), (1, 2)], ["sample 5[1] is None"]),
        ([(1, 2), (1, 2), (1, 2, 3)], ["sample 4 and sample 6", "tuple of 2 and tuple of 3"]),
        ([{"a": 1}, {"b": 1}, {"a": 1}], ["sample 4 and sample 5", "'a'", "'b'"]),
        ([np.zeros(2), gradus.zeros(2), np.zeros(2)], ["array and Tensor"]),
        ([1, "a", 2], ["number and str"]),
        ([object(), object(), object()], ["sample 4 cannot be put into a batch", "object"]),
        ([1j, 1j, 1j], ["complex"]),
    ],
)
def test_what_does_not_fit_is_named(samples: list[Any], texts: list[str]) -> None:
    data = [None, None, None, None, *samples]
    loader = DataLoader(data, batch_size=3, sampler=[4, 5, 6])
    with pytest.raises(DataError) as caught:
        next(iter(loader))
    assert [text for text in texts if text not in str(caught.value)] == []
    assert caught.value.code == "E39"


def test_no_samples_make_no_batch() -> None:
    with pytest.raises(DataError, match="at least one sample"):
        default_collate([])

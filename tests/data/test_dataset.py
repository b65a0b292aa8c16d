"""Datasets: rows of tensors, parts, random splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradus
from gradus.data import Dataset, Subset, TensorDataset, random_split
from gradus.errors import DataError, UsageError


def test_tensor_dataset_gives_rows() -> None:
    x, y = gradus.arange(12.0).reshape(4, 3), gradus.arange(4)
    data = TensorDataset(x, y)
    assert len(data) == 4
    row, label = data[2]
    assert row.tolist() == [6, 7, 8]
    assert label.item() == 2
    assert [part.tolist() for part in data[1:3]] == [[[3, 4, 5], [6, 7, 8]], [1, 2]]
    assert repr(data) == "TensorDataset((4, 3) float32, (4,) int64)"


def test_take_batch_equals_rows_one_by_one() -> None:
    data = TensorDataset(np.random.default_rng(0).standard_normal((9, 2, 3)), np.arange(9))
    indices = np.array([8, 0, 3, 3])
    for part, batch in enumerate(data.take_batch(indices)):
        assert type(batch) is gradus.Tensor
        assert batch.tolist() == [data[int(i)][part].tolist() for i in indices]


def test_arrays_are_shared_and_lists_become_tensors() -> None:
    array = np.zeros((3, 2), "float32")
    data = TensorDataset(array, [1, 2, 3])
    array[1] = 5
    assert data[1][0].tolist() == [5, 5]
    assert data.tensors[1].dtype == gradus.int64


def test_batches_of_what_requires_a_gradient_keep_it() -> None:
    x = gradus.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    (batch,) = TensorDataset(x).take_batch(np.array([2, 2]))
    batch.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0], [0], [2]]


@pytest.mark.parametrize("tensors", [(), (np.array(1.0),), (np.zeros(3), np.zeros(4)), (np.zeros((2, 3)), np.zeros(3), np.zeros(2))])
def test_tensor_dataset_refuses(tensors: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(DataError) as caught:
        TensorDataset(*tensors)
    assert all(str(tensor.shape) in caught.value.got for tensor in tensors)


def test_an_unfinished_dataset_says_what_it_needs() -> None:
    class Mine(Dataset):
        pass

    with pytest.raises(NotImplementedError, match="Mine needs a __len__"):
        len(Mine())
    with pytest.raises(NotImplementedError, match="Mine needs a __getitem__"):
        Mine()[0]


def test_subset_of_a_subset() -> None:
    inner = Subset(TensorDataset(np.arange(10) * 10), [9, 7, 5, 3])
    outer = Subset(inner, [3, 0])
    assert [sample[0].item() for sample in outer] == [30, 90]
    assert outer.take_batch(np.array([1, 0]))[0].tolist() == [90, 30]
    assert Subset(["a", "b"], [1]).take_batch(np.array([0])) is None


@pytest.mark.parametrize("index", [3, -4])
def test_subset_refuses_what_is_outside(index: int) -> None:
    with pytest.raises(DataError, match="outside") as caught:
        Subset(range(3), [0, index])
    assert str(index) in caught.value.got


def test_negative_indices_count_from_the_end() -> None:
    assert Subset("abc", [-1])[0] == "c"


@given(rows=st.integers(0, 50), seed=st.integers(0, 3), data=st.data())
def test_random_split_covers_everything_once(rows: int, seed: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=3)))
    lengths = [b - a for a, b in zip([0, *cuts], [*cuts, rows])]
    parts = random_split(range(rows), lengths, seed)
    assert [len(part) for part in parts] == lengths
    assert sorted(int(i) for part in parts for i in part.indices) == list(range(rows))


@pytest.mark.parametrize(
    "rows, shares, sizes",
    [
        (10, [0.9, 0.1], [9, 1]),
        (10, [1 / 3] * 3, [4, 3, 3]),
        (11, [0.5, 0.5], [6, 5]),
        (100, [0.71, 0.29], [71, 29]),  # 0.29 * 100 is 28.999999999999996
        (1, [0.5, 0.5], [1, 0]),
        (7, [1.0], [7]),
    ],
)
def test_random_split_by_shares(rows: int, shares: list[float], sizes: list[int]) -> None:
    assert [len(part) for part in random_split(range(rows), shares, 0)] == sizes


def test_random_split_follows_its_generator() -> None:
    def order(generator: object) -> list[int]:
        return random_split(range(100), [100], generator)[0].indices.tolist()  # type: ignore[arg-type]

    assert order(1) == order(1) == order(gradus.Generator(1)) != order(2)
    assert order(1) != list(range(100))
    gradus.manual_seed(5)
    first = order(None)
    assert order(None) != first
    gradus.manual_seed(5)
    assert order(None) == first


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.4], [11, -1], [True, 9], [0.5, 5]])
def test_random_split_refuses(lengths: list[float]) -> None:
    with pytest.raises(UsageError):
        random_split(range(10), lengths)

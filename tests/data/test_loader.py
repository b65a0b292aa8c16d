"""The loader: every sample once an epoch, in an order that the generator decides, with errors that say where the rows went."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradus
from gradus.data import DataLoader, Dataset, TensorDataset, random_split
from gradus.errors import DataError, UsageError


class Counting(Dataset):
    """A dataset of one's own that writes down what it is asked for."""

    def __init__(self, rows: int) -> None:
        self.rows, self.asked = rows, []  # type: ignore[var-annotated]

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: Any) -> Any:
        self.asked.append(index)
        return np.full(2, index, "float32"), index


def labels(loader: DataLoader) -> list[list[int]]:
    return [y.tolist() for _, y in loader]


@given(rows=st.integers(1, 40), batch_size=st.integers(1, 45), drop_last=st.booleans(), shuffle=st.booleans(), own=st.booleans())
def test_every_sample_once_and_len_agrees(rows: int, batch_size: int, drop_last: bool, shuffle: bool, own: bool) -> None:
    data: Any = Counting(rows) if own else TensorDataset(np.arange(rows * 2).reshape(rows, 2), np.arange(rows))
    if drop_last and batch_size > rows:
        with pytest.raises(DataError, match="no batches"):
            DataLoader(data, batch_size, shuffle, drop_last=drop_last)
        return
    loader = DataLoader(data, batch_size, shuffle, drop_last=drop_last, generator=1)
    batches = labels(loader)
    assert len(batches) == len(loader)
    assert all(len(batch) == batch_size for batch in batches[: -1 if not drop_last else None])
    seen = [label for batch in batches for label in batch]
    if drop_last:
        assert len(set(seen)) == len(seen) == rows // batch_size * batch_size
    else:
        assert sorted(seen) == list(range(rows))
    if not shuffle:
        assert seen == list(range(len(seen)))


def test_inputs_and_labels_stay_together() -> None:
    x = np.random.default_rng(0).standard_normal((30, 4))
    for rows, numbers in DataLoader(TensorDataset(x, np.arange(30)), 7, shuffle=True):
        assert (rows.numpy() == x[numbers.numpy()]).all()


def test_both_ways_of_fetching_give_the_same_batches() -> None:
    arrays = np.repeat(np.arange(20, dtype="float32")[:, None], 2, 1), np.arange(20)
    fast = DataLoader(TensorDataset(*arrays), 6, shuffle=True, generator=3)
    slow = DataLoader(Counting(20), 6, shuffle=True, generator=3)
    for (a, b), (c, d) in zip(fast, slow, strict=True):
        assert a.tolist() == c.tolist()
        assert b.tolist() == d.tolist()
        assert (a.dtype, b.dtype) == (c.dtype, d.dtype)


def test_own_datasets_are_asked_with_python_integers() -> None:
    data = Counting(5)
    list(DataLoader(data, 2, shuffle=True))
    assert {type(index) for index in data.asked} == {int}


def test_order_is_a_function_of_the_seed_and_the_epoch() -> None:
    data = TensorDataset(np.zeros(50), np.arange(50))
    loader, again, other = (DataLoader(data, 8, shuffle=True, generator=seed) for seed in (1, 1, 2))
    epochs = [labels(loader) for _ in range(3)]
    assert [labels(again) for _ in range(3)] == epochs
    assert epochs[0] != epochs[1] != epochs[2]
    assert labels(other) != epochs[0]


def test_the_generators_state_repeats_an_epoch() -> None:
    loader = DataLoader(TensorDataset(np.zeros(50), np.arange(50)), 8, shuffle=True, generator=gradus.Generator(4))
    labels(loader)
    assert loader.generator is not None
    state = loader.generator.get_state()
    epoch = labels(loader)
    loader.generator.set_state(state)
    assert labels(loader) == epoch


def test_without_a_generator_the_default_one_decides() -> None:
    loader = DataLoader(TensorDataset(np.zeros(50), np.arange(50)), 8, shuffle=True)
    gradus.manual_seed(3)
    epoch = labels(loader)
    assert labels(loader) != epoch
    gradus.manual_seed(3)
    assert labels(loader) == epoch


def test_drawing_in_between_does_not_change_an_epoch_under_way() -> None:
    loader = DataLoader(TensorDataset(np.zeros(50), np.arange(50)), 8, shuffle=True)
    gradus.manual_seed(3)
    epoch = labels(loader)
    gradus.manual_seed(3)
    iterator = iter(loader)
    gradus.rand(100)  # such as the dropout of the model
    assert [y.tolist() for _, y in iterator] == epoch


def test_two_loops_over_one_loader_are_independent() -> None:
    loader = DataLoader(TensorDataset(np.zeros(10), np.arange(10)), 2, shuffle=True, generator=0)
    first, second = zip(*zip(loader, loader, strict=True), strict=True)
    epochs = [[label for _, y in epoch for label in y.tolist()] for epoch in (first, second)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]


def test_a_sampler_decides_the_order() -> None:
    data = TensorDataset(np.zeros(5), np.arange(5))
    loader = DataLoader(data, 2, sampler=[4, 4, gradus.tensor(1)])  # type: ignore[list-item]
    assert labels(loader) == labels(loader) == [[4, 4], [1]]
    assert len(loader) == 2


def test_tensors_arrays_and_lists_are_datasets_too() -> None:
    x = np.arange(6).reshape(3, 2)
    for data in (x, gradus.Tensor(x), [gradus.Tensor(row) for row in x]):
        assert [batch.tolist() for batch in DataLoader(data, 2)] == [[[0, 1], [2, 3]], [[4, 5]]]
    assert [batch.tolist() for batch in DataLoader(range(3), 2)] == [[0, 1], [2]]


def test_parts_of_a_random_split_are_loaded_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    train, _ = random_split(TensorDataset(np.arange(10.0), np.arange(10)), [7, 3], 0)
    monkeypatch.delattr(TensorDataset, "__getitem__")
    loader = DataLoader(train, 3, shuffle=True)
    assert sorted(label for batch in labels(loader) for label in batch) == sorted(train.indices.tolist())


def test_collate_fn_gets_the_samples_as_they_are() -> None:
    data = TensorDataset(np.arange(4), np.arange(4))
    batches = list(DataLoader(data, 3, collate_fn=list))
    assert [len(batch) for batch in batches] == [3, 1]
    assert [type(sample) for sample in batches[0]] == [tuple] * 3


def test_arguments_of_pytorch_code_are_taken() -> None:
    data = TensorDataset(np.zeros((4, 2)), np.arange(4))
    loader = DataLoader(data, batch_size=2, shuffle=None, num_workers=2, pin_memory=True, drop_last=True)
    assert labels(loader) == [[0, 1], [2, 3]]
    assert loader.dataset.tensors[0].shape == (4, 2)
    assert repr(loader) == "DataLoader(TensorDataset, 2 batches of 2)"


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, 32.0, True, "8", None])
def test_a_bad_batch_size_is_refused(batch_size: Any) -> None:
    with pytest.raises(UsageError) as caught:
        DataLoader(range(10), batch_size)
    assert f"batch_size={batch_size!r}" in caught.value.got


@pytest.mark.parametrize(
    "rows, batch_size, drop_last, text",
    [
        (40, 64, True, "dataset 40, batch 64, drop_last=True -> 0 batches"),
        (0, 1, False, "dataset 0, batch 1, drop_last=False -> 0 batches"),
    ],
)
def test_a_loader_without_batches_says_where_the_rows_went(rows: int, batch_size: int, drop_last: bool, text: str) -> None:
    with pytest.raises(DataError) as caught:
        DataLoader(range(rows), batch_size, drop_last=drop_last)
    assert caught.value.got == text
    assert caught.value.code == "E12"


def test_shuffle_and_sampler_are_refused_together() -> None:
    with pytest.raises(UsageError, match="shuffle and sampler"):
        DataLoader(range(3), shuffle=True, sampler=[1])


@pytest.mark.parametrize("arguments", [{"dataset": iter(range(3))}, {"dataset": range(3), "sampler": iter(range(3))}])
def test_what_has_no_length_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="number of samples"):
        DataLoader(**arguments)


def test_an_error_of_the_dataset_tells_the_sample() -> None:
    class Broken(Counting):
        def __getitem__(self, index: Any) -> Any:
            if index == 3:
                raise ZeroDivisionError("mine")
            return index

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        list(DataLoader(Broken(5), 2))
    assert caught.value.__notes__ == ["while sample 3 of the Broken was fetched"]

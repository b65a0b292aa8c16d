"""Labels: one-hot rows and names, and what is said of labels that are no classes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradus
from gradus.data import LabelEncoder, one_hot
from gradus.errors import DTypeError, LabelError, UsageError


@given(labels=st.lists(st.integers(0, 6)), more=st.integers(0, 3))
def test_one_hot_rows_hold_a_single_one(labels: list[int], more: int) -> None:
    classes = 7 + more
    rows = one_hot(labels, classes).numpy()
    assert rows.shape == (len(labels), classes)
    assert rows.dtype == np.float32
    assert (rows.sum(axis=1) == 1).all()
    assert rows.argmax(axis=1).tolist() == labels if labels else True


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64", ">i2"])
def test_one_hot_of_any_integers_and_shapes(dtype: str) -> None:
    labels = np.array([[0, 2], [1, 1]], dtype)
    expected = [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]]]
    assert one_hot(labels, 3).tolist() == expected
    assert one_hot(gradus.Tensor(labels), np.int64(3), "int64").dtype == gradus.int64  # type: ignore[arg-type]
    assert one_hot(np.array(1), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    "labels, classes, texts",
    [
        ([0, 1, 3], 3, ["label 3 at row 2", "labels 0 to 3", "0 to 2", "classes=4"]),
        ([1, 2, 3], 3, ["label 3 at row 2", "start at 1", "labels - 1"]),
        ([0, -1, 2], 3, ["label -1 at row 1", "leave those rows out"]),
        ([[0, 1], [7, 1]], 3, ["label 7 at position [1, 0]"]),
    ],
)
def test_one_hot_names_the_label_outside(labels: Any, classes: int, texts: list[str]) -> None:
    with pytest.raises(LabelError) as caught:
        one_hot(labels, classes)
    assert [text for text in texts if text not in str(caught.value)] == []
    assert caught.value.code == "E09"


@pytest.mark.parametrize("labels, fix", [([0.0, 1.0], "astype"), (["a"], "LabelEncoder"), ([True], "astype")])
def test_one_hot_refuses_what_is_no_number_of_a_class(labels: Any, fix: str) -> None:
    with pytest.raises(DTypeError) as caught:
        one_hot(labels, 3)
    assert fix in caught.value.fix


@pytest.mark.parametrize("classes", [0, -1, 2.0, None, True])
def test_one_hot_needs_the_number_of_classes(classes: Any) -> None:
    with pytest.raises(UsageError):
        one_hot([0], classes)


@given(names=st.lists(st.text(), min_size=1))
def test_names_there_and_back(names: list[str]) -> None:
    encoder = LabelEncoder().fit(names)
    assert encoder.classes == sorted(set(names))
    numbers = encoder.encode(names)
    assert numbers.dtype == gradus.int64
    assert encoder.decode(numbers) == names
    again = LabelEncoder(json.loads(json.dumps(encoder.classes)))
    assert again.encode(names).tolist() == numbers.tolist()


def test_arrays_of_names() -> None:
    encoder = LabelEncoder().fit(np.array([["dog"], ["cat"]]))
    assert encoder.classes == ["cat", "dog"]
    assert type(encoder.classes[0]) is str
    assert encoder.encode([np.str_("dog")]).tolist() == [1]
    assert len(encoder) == 2
    assert repr(encoder) == "LabelEncoder(['cat', 'dog'])"
    assert LabelEncoder().fit(gradus.tensor([7, 3, 7])).classes == [3, 7]


def test_the_order_of_given_classes_is_kept() -> None:
    encoder = LabelEncoder(["low", "middle", "high"])
    assert encoder.encode(["high", "low"]).tolist() == [2, 0]
    assert encoder.decode(gradus.tensor([1])) == ["middle"]


def test_an_unknown_name_is_told_with_its_row() -> None:
    with pytest.raises(LabelError) as caught:
        LabelEncoder(["cat", "dog"]).encode(["dog", "cow"])
    assert caught.value.what == "label 'cow' at row 1 is no class"
    assert caught.value.wanted == "one of 'cat', 'dog'"
    with pytest.raises(LabelError) as caught:
        LabelEncoder(map(str, range(100))).encode(["x"])
    assert "… (100 in all)" in caught.value.wanted
    with pytest.raises(LabelError) as caught:
        LabelEncoder().encode(["x"])
    assert "fit" in caught.value.fix


def test_a_number_outside_is_told() -> None:
    with pytest.raises(LabelError, match="label 2 at row 1"):
        LabelEncoder(["a", "b"]).decode([0, 2])


@pytest.mark.parametrize(
    "make",
    [
        lambda: LabelEncoder(["a", "a"]),
        lambda: LabelEncoder().fit([]),
        lambda: LabelEncoder().fit(["a", 1]),
        lambda: LabelEncoder("abc"),
    ],
)
def test_refused_classes(make: Any) -> None:
    with pytest.raises(UsageError):
        make()

"""Reading and writing at index tensors: indices count from the front, and every index has a value of its own."""

import pytest

import gradus
from gradus.errors import IndexRangeError, ShapeError

X, BACKWARDS = gradus.tensor([1.0, 2.0, 3.0]), gradus.tensor([0, -1])


@pytest.mark.parametrize(
    "call",
    [
        lambda: X.gather(0, BACKWARDS),
        lambda: X.index_select(0, BACKWARDS),
        lambda: X.take_along_dim(BACKWARDS, 0),
        lambda: X.scatter_add(0, BACKWARDS, gradus.ones(2)),
    ],
)
def test_a_negative_index_raises(call):
    with pytest.raises(IndexRangeError, match="negative"):
        call()


def test_scattered_values_are_not_repeated():
    with pytest.raises(ShapeError, match="a value for each index"):
        gradus.zeros(3).scatter_add(0, gradus.tensor([1, 0, 2]), gradus.ones(1))

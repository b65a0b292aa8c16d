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


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, dim, labels: x.gather(dim, labels),
        lambda x, dim, labels: x.scatter(dim, labels, 1.0),
        lambda x, dim, labels: x.scatter(dim, labels, gradus.ones(2)),
        lambda x, dim, labels: x.scatter_add(dim, labels, gradus.ones(2)),
        lambda x, dim, labels: x.take_along_dim(labels, dim),
    ],
)
def test_labels_without_an_axis_of_their_own_raise(call, dim):
    with pytest.raises(ShapeError, match="same number of dimensions") as caught:
        call(gradus.zeros(2, 3), dim, gradus.tensor([0, 1]))
    assert "index.unsqueeze(dim)" in str(caught.value)


def test_an_empty_index_may_have_any_number_of_axes():
    assert gradus.zeros(2, 3).scatter(0, gradus.zeros(0, dtype=gradus.int64), 1.0).sum().item() == 0.0

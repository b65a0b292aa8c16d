"""Labels: one-hot rows as PyTorch gives them, and which label is named when one is no class."""

import numpy as np
import pytest
import torch

import gradus
from gradus.errors import DTypeError, LabelError, UsageError
from gradus.fused.labels import outside
from gradus.nn import functional as F
from gradus.testing.tracer import Replay


@pytest.mark.parametrize("labels", [[2, 0, 1], [[1, 1], [0, 2]], 1, np.zeros((0, 2), np.int64)])
@pytest.mark.parametrize("classes", [3, 5])
def test_one_hot_is_that_of_pytorch(labels, classes):
    ours, theirs = F.one_hot(gradus.tensor(labels), classes), torch.nn.functional.one_hot(torch.tensor(labels), classes)
    assert ours.dtype == gradus.int64 and ours.tolist() == theirs.tolist() and tuple(ours.shape) == tuple(theirs.shape)


def test_one_hot_counts_the_classes_when_asked():
    assert F.one_hot(gradus.tensor([0, 3])).shape == (2, 4)
    with pytest.raises(UsageError):
        F.one_hot(gradus.zeros(0, dtype=gradus.int64))


def test_one_hot_refuses():
    with pytest.raises(LabelError, match="label 3 at row 1"):
        F.one_hot(gradus.tensor([1, 3]), num_classes=3)
    with pytest.raises(LabelError, match="label -1"):
        F.one_hot(gradus.tensor([1, -1]))
    with pytest.raises(DTypeError, match="integers"):
        F.one_hot(gradus.tensor([1.0]), 3)


def test_one_hot_is_traced():
    replay = Replay(lambda x: F.one_hot(x, 3), [np.array([0, 1])])
    assert replay(np.array([2, 2])).tolist() == [[0, 0, 1]] * 2


def test_ignored_labels_do_not_count():
    assert outside(np.array([0, -100, 2]), 3, ignore_index=-100) is None
    found = outside(np.array([[1, -100], [3, 4]]), 4, ignore_index=-100)
    assert found is not None and found.place == "position [1, 1]" and (found.low, found.high, found.from_one) == (1, 4, True)

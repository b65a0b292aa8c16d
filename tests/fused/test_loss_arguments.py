"""What losses refuse beside targets: weights that would stretch or fall short, shares outside [0, 1]; and the mean of nothing."""

import math

import pytest

import gradus
import gradus.nn.functional as F
from gradus.errors import DTypeError, ShapeError, UsageError

LOGITS, LABELS = gradus.zeros(1, 2, 3), gradus.tensor([[1, 0, 1]])


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 1), ()])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_a_weight_is_one_number_a_class(loss, shape, reduction):
    with pytest.raises(ShapeError, match="one weight a class"):
        loss(LOGITS, LABELS, weight=gradus.ones(shape), reduction=reduction)


@pytest.mark.parametrize("share", [-0.1, 1.2, math.nan])
def test_label_smoothing_is_a_share(share):
    with pytest.raises(UsageError, match=r"between 0\.0 and 1\.0"):
        F.cross_entropy(LOGITS, LABELS, label_smoothing=share)


def test_probabilities_have_no_label_to_ignore():
    with pytest.raises(UsageError, match="cannot ignore"):
        F.cross_entropy(gradus.zeros(2, 3), gradus.ones(2, 3) / 3, ignore_index=0)


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
@pytest.mark.parametrize("shape", [(2,), (3, 1), (1, 4, 1)])
def test_factors_do_not_stretch_the_input(name, shape):
    with pytest.raises(ShapeError, match="would stretch the input"):
        F.binary_cross_entropy_with_logits(gradus.zeros(4, 1), gradus.zeros(4, 1), **{name: gradus.ones(shape)})


def test_the_mean_of_no_rows_of_probabilities_is_nan():
    assert math.isnan(F.cross_entropy(gradus.zeros(0, 3), gradus.zeros(0, 3)).item())


def test_labels_before_the_logits_are_told_apart():
    with pytest.raises(DTypeError, match="in the place of logits") as caught:
        F.cross_entropy(gradus.tensor([1, 2]), gradus.randn(2, 3))
    assert "cross_entropy(logits, target)" in caught.value.fix

"""Metrics: exact whatever the batch sizes, and strict about shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradus.errors import DataError, ShapeError
from gradus.tensors import Tensor
from gradus.train.metrics import METRICS, Accuracy, BinaryAccuracy, FunctionMetric, MeanAbsoluteError, RSquared, make_metric


@given(cuts=st.lists(st.integers(1, 29), max_size=5), name=st.sampled_from(sorted(METRICS)))
def test_batches_do_not_change_the_value(cuts: list[int], name: str) -> None:
    rng = np.random.default_rng(0)
    outputs, target = rng.normal(size=(30, 4)), rng.integers(0, 2, size=(30, 4)).astype(float)
    if name == "accuracy":
        target = rng.integers(0, 4, size=30)
    metric = make_metric(name)
    whole = metric(outputs, target)
    for part in np.split(np.arange(30), sorted(set(cuts))):
        metric.update(Tensor(outputs[part]), Tensor(target[part]))
    assert metric.value() == pytest.approx(whole, rel=1e-12)


def test_accuracy() -> None:
    scores = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 1.0, 0.5]])
    assert Accuracy()(scores, [0, 2, 0]) == pytest.approx(2 / 3)
    assert Accuracy()(scores, [0, -100, 0]) == 0.5  # the ignored row does not count
    assert Accuracy()(scores, np.array([[0.9, 0.1, 0.0], [0.6, 0.2, 0.2], [0.0, 1.0, 0.0]])) == pytest.approx(2 / 3)
    assert Accuracy()(np.zeros((2, 3, 4)), np.zeros((2, 4), int)) == 1.0  # scores of every pixel
    assert BinaryAccuracy()([1.5, -0.5, 0.0], [1, 0, 1]) == pytest.approx(2 / 3)


def test_r_squared() -> None:
    y = np.array([[1.0, 10.0], [2.0, 10.0], [4.0, 10.0]])
    assert RSquared()(y, y) == 1.0
    assert RSquared()(np.broadcast_to(y.mean(0), y.shape) + [0, 1], y) == 0.0
    shifted = 1e6 + np.array([1.0, 2.0, 3.0])
    assert RSquared()(shifted + 0.1, shifted) == pytest.approx(1 - 0.03 / 2, rel=1e-6)  # far from 0, where sums of squares cancel


@pytest.mark.parametrize(
    "metric, outputs, target",
    [
        (Accuracy(), np.zeros((5, 3)), np.zeros((5, 1), int)),
        (Accuracy(), np.zeros(5), np.zeros(5, int)),
        (Accuracy(), np.zeros((5, 3)), np.zeros(4, int)),
        (BinaryAccuracy(), np.zeros((5, 1)), np.zeros(5)),
        (MeanAbsoluteError(), np.zeros((5, 1)), np.zeros(5)),
        (RSquared(), np.zeros((5, 1)), np.zeros(5)),
    ],
)
def test_shapes_that_would_broadcast_are_refused(metric, outputs, target) -> None:
    with pytest.raises(ShapeError, match="E07"):
        metric(outputs, target)


def test_no_rows_have_no_metric() -> None:
    for metric, outputs, target in [(Accuracy(), np.zeros((0, 3)), np.zeros(0, int)), (RSquared(), np.zeros(0), np.zeros(0))]:
        with pytest.raises(DataError, match="no rows"):
            metric(outputs, target)


def test_a_function_is_a_metric() -> None:
    def bias(outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target).mean()

    metric = make_metric(bias)
    assert isinstance(metric, FunctionMetric)
    assert metric.name == "bias"
    metric.update(Tensor([1.0, 1.0, 1.0]), Tensor([0.0, 0.0, 0.0]))
    metric.update(Tensor([5.0]), Tensor([0.0]))
    assert metric.value() == 2.0

"""The Normalizer: training rows alone decide, constants stay finite, the state comes back to the last bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradus
from gradus.data import Normalizer
from gradus.errors import DataError, ShapeError, UsageError

rows = hnp.arrays("float64", hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5), elements=st.floats(-1e6, 1e6))


@given(x=rows, per_feature=st.booleans())
def test_training_rows_get_mean_0_and_deviation_1(x: np.ndarray, per_feature: bool) -> None:
    y = Normalizer(per_feature).fit(x)(x).numpy()
    axes = 0 if per_feature else None
    spread = x.std(axis=axes)
    normal = spread > 1e-6 * (1 + np.abs(x).max())  # elsewhere rounding decides
    assert np.isfinite(y).all()
    assert np.allclose(y.mean(axis=axes)[normal], 0, atol=1e-6)
    assert np.allclose(y.std(axis=axes)[normal], 1, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e30, -7.3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_features_become_0(value: float, dtype: str) -> None:
    x = np.full((1000, 3), value, dtype)
    x[:, 1] = np.arange(1000)
    normalizer = Normalizer(per_feature=True).fit(x)
    assert normalizer.std is not None
    assert normalizer.std[[0, 2]].tolist() == [1, 1]
    assert abs(normalizer(x).numpy()[:, [0, 2]]).max() <= abs(value) * np.finfo(dtype).eps
    scalar = Normalizer().fit(np.full(1000, value, dtype))
    assert scalar.std is not None
    assert scalar.std == 1


def test_statistics_come_from_the_fitted_rows_alone() -> None:
    x = np.random.default_rng(0).standard_normal((100, 3)).astype("float32")
    normalizer = Normalizer().fit(x[:80])
    before = normalizer.to_dict()
    test = normalizer(x[80:] * 100)
    assert normalizer.to_dict() == before
    assert np.allclose(test.numpy(), (x[80:] * 100 - x[:80].mean()) / x[:80].std(), rtol=1e-4)


def test_statistics_are_exact_for_many_float32_rows() -> None:
    """A sum in float32 would lose the mean of values far from 0."""
    x = (np.random.default_rng(0).standard_normal((50_000, 3)) + 10_000).astype("float32")
    for normalizer, axis in ((Normalizer(), None), (Normalizer(per_feature=True), 0)):
        normalizer.fit(x)
        assert normalizer.mean is not None
        assert normalizer.std is not None
        assert np.allclose(normalizer.mean, x.astype("float64").mean(axis), rtol=1e-12)
        assert np.allclose(normalizer.std, x.astype("float64").std(axis), rtol=1e-10)


@pytest.mark.parametrize(
    "x, dtype",
    [
        (np.arange(6, dtype="uint8").reshape(3, 2), "float32"),
        (np.arange(6.0).reshape(3, 2), "float64"),
        (np.arange(6, dtype="float16").reshape(3, 2), "float16"),
        ([[0.0, 1.0], [2.0, 3.0]], "float32"),
        (np.array([[True], [False]]), "float32"),
        (gradus.arange(6.0).reshape(3, 2), "float32"),
    ],
)
def test_dtype_of_the_result(x: Any, dtype: str) -> None:
    y = Normalizer().fit(x)(x)
    assert type(y) is gradus.Tensor
    assert y.dtype == dtype
    assert abs(y.numpy().mean()) < 1e-3


def test_float16_with_a_small_deviation_stays_finite() -> None:
    x = np.array([[1e-7], [3e-7]], "float32")
    assert np.isfinite(Normalizer().fit(x)(x.astype("float16")).numpy()).all()


@given(x=rows, per_feature=st.booleans())
def test_inverse(x: np.ndarray, per_feature: bool) -> None:
    normalizer = Normalizer(per_feature).fit(x)
    assert np.allclose(normalizer.inverse(normalizer(x)).numpy(), x, rtol=1e-9, atol=1e-9)


def test_one_row_and_the_input_stay_as_they_were() -> None:
    x = np.arange(12.0).reshape(4, 3)
    normalizer = Normalizer(per_feature=True).fit(x)
    assert normalizer(x[2]).tolist() == normalizer(x).tolist()[2]
    assert x.tolist() == np.arange(12.0).reshape(4, 3).tolist()


@given(x=rows, per_feature=st.booleans())
def test_the_state_comes_back_exactly(x: np.ndarray, per_feature: bool) -> None:
    normalizer = Normalizer(per_feature).fit(x)
    for again in (
        Normalizer().load_state_dict(normalizer.state_dict()),
        Normalizer.from_dict(json.loads(json.dumps(normalizer.to_dict()))),
    ):
        assert again(x).tolist() == normalizer(x).tolist()
        assert repr(again) == repr(normalizer)
        assert again.per_feature == (per_feature and x.ndim > 1)


def test_the_state_passes_through_a_file(tmp_path: Any) -> None:
    normalizer = Normalizer().fit([[0.1], [0.2]])
    gradus.save(normalizer, tmp_path / "n.safetensors")
    assert Normalizer().load_state_dict(gradus.load(tmp_path / "n.safetensors")).to_dict() == normalizer.to_dict()


def test_unfitted() -> None:
    normalizer = Normalizer()
    assert not normalizer.fitted
    assert normalizer.state_dict() == normalizer.to_dict() == {}
    assert not Normalizer.from_dict({}).fitted
    assert repr(normalizer) == "Normalizer(per_feature=False, not fitted)"
    with pytest.raises(UsageError) as caught:
        normalizer([1.0])
    assert "fit" in caught.value.fix


@pytest.mark.parametrize("bad, text", [(np.nan, "nan at row 2, 1 such values"), (np.inf, "inf at row 2"), (-np.inf, "-inf at row 2")])
@pytest.mark.parametrize("per_feature", [False, True])
def test_what_is_not_finite_is_told(bad: float, text: str, per_feature: bool) -> None:
    x = np.ones((4, 3))
    x[2, 1] = bad
    with pytest.raises(DataError) as caught:
        Normalizer(per_feature).fit(x)
    assert text in caught.value.got


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.float64(1), np.ones((2, 0))])
def test_no_rows_are_refused(x: Any) -> None:
    with pytest.raises(DataError):
        Normalizer().fit(x)


def test_rows_of_another_shape_are_refused() -> None:
    normalizer = Normalizer(per_feature=True).fit(np.ones((4, 3)))
    for shape in ((4, 2), (4, 1), (3, 4), ()):
        with pytest.raises(ShapeError) as caught:
            normalizer(np.ones(shape))
        assert "(3,)" in caught.value.wanted


@pytest.mark.parametrize(
    "state",
    [
        {"mean": 0.0},
        {"mean": [0.0], "std": 1.0},
        {"mean": 0.0, "std": 0.0},
        {"mean": 0.0, "std": -1.0},
        {"mean": np.nan, "std": 1.0},
        {"mean": 0.0, "std": 1.0, "more": 1.0},
    ],
)
def test_damaged_state_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        Normalizer().load_state_dict(state)

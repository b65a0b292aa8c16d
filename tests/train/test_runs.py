"""Runs on disk: what is saved comes back, and what is broken is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradus import nn
from gradus.data import Normalizer, digits
from gradus.errors import CheckpointError
from gradus.io.checkpoint import load, save
from gradus.train import Learner, build_model, load_run

RECIPE = {"kind": "mlp", "inputs": [8, 8], "classes": 10, "hidden": [24], "dropout": 0.2}


@pytest.fixture(scope="module")
def trained() -> Learner:
    x, y, _, _ = digits()
    learner = Learner(
        build_model(RECIPE), "cross_entropy", lr=0.01, normalizer=Normalizer(per_feature=True), classes=list("abcdefghij"), progress=False
    )
    learner.fit(x, np.array(list("abcdefghij"))[y.numpy()], epochs=2)
    return learner


@pytest.mark.parametrize("place", ["run", "run/model.safetensors"])
def test_a_run_reopens_in_one_line(trained: Learner, tmp_path: Path, place: str) -> None:
    trained.save(tmp_path / "run")
    again = load_run(tmp_path / place)
    x = digits()[2]
    np.testing.assert_array_equal(again.predict_proba(x), trained.predict_proba(x))
    np.testing.assert_array_equal(again.predict(x), trained.predict(x))
    assert again.classes == list("abcdefghij")
    assert not again.model.training
    assert again.step == trained.step
    assert again.history.rows == (trained.history.rows if place == "run" else [])


def test_one_file(trained: Learner, tmp_path: Path) -> None:
    trained.save(tmp_path / "best.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]
    assert set(load(tmp_path / "best.safetensors")) == set(trained.model.state_dict())  # plain weights for everyone else
    again = load_run(tmp_path / "best.safetensors")
    np.testing.assert_array_equal(again.predict(digits()[2]), trained.predict(digits()[2]))


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x)

    learner = Learner(Own(), "mse", progress=False)
    learner.fit(np.eye(3), np.ones((3, 1)), epochs=1)
    learner.save(tmp_path)
    with pytest.raises(CheckpointError, match="model of your own"):
        load_run(tmp_path)
    np.testing.assert_array_equal(load_run(tmp_path, model=Own()).predict(np.eye(3)), learner.predict(np.eye(3)))
    other = Learner(Own(), "mse", progress=False)
    assert other.load(tmp_path).missing == []
    np.testing.assert_array_equal(other.predict(np.eye(3)), learner.predict(np.eye(3)))


def test_training_goes_on_after_loading(trained: Learner, tmp_path: Path) -> None:
    trained.save(tmp_path)
    again = load_run(tmp_path)
    again.progress = None
    x, y, x_test, y_test = digits()
    names = np.array(list("abcdefghij"))
    before = again.score(x_test, names[y_test.numpy()])
    again.fit(x, names[y.numpy()], epochs=4)
    assert again.score(x_test, names[y_test.numpy()]) > before - 0.02
    np.testing.assert_array_equal(again.feed.normalizer.mean, trained.feed.normalizer.mean)


def wrong_weights(folder: Path) -> None:
    Learner(build_model({**RECIPE, "hidden": [25]}), "cross_entropy").save(folder)


def flipped(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (folder / "model.safetensors").write_bytes(data)


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"PK\x03\x04" + bytes(100)), "model.safetensors"),
        (flipped, "model.safetensors"),
        (lambda folder: save({"w": np.ones(3, np.float32)}, folder / "model.safetensors"), "no description"),
    ],
)
def test_a_damaged_run_is_refused(trained: Learner, tmp_path: Path, damage, words: str) -> None:
    trained.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        load_run(tmp_path)
    assert words in str(caught.value)


def test_weights_of_another_model_change_nothing(trained: Learner, tmp_path: Path) -> None:
    wrong_weights(tmp_path)
    before = trained.predict_proba(digits()[2])
    with pytest.raises(CheckpointError):
        trained.load(tmp_path)
    np.testing.assert_array_equal(trained.predict_proba(digits()[2]), before)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        load_run(tmp_path / "nowhere")

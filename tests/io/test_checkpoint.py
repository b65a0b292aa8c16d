"""save and load: state dicts and modules, there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradus
from gradus.errors import CheckpointError


class Model:
    """What `save` needs of a module."""

    def __init__(self) -> None:
        weight = gradus.tensor([[1.0, 2.0]], requires_grad=True)
        self.state = {"net.0.weight": weight, "steps": gradus.tensor(3), "mask": np.array([True, False])}

    def state_dict(self) -> dict[str, object]:
        return self.state


def test_round_trip_of_a_module(tmp_path: Path) -> None:
    model = Model()
    gradus.save(model, tmp_path / "m.safetensors", {"epoch": "4"})
    loaded = gradus.load(tmp_path / "m.safetensors")
    assert list(loaded) == list(model.state)
    assert all(type(tensor) is gradus.Tensor and not tensor.requires_grad for tensor in loaded.values())
    assert loaded["net.0.weight"].tolist() == [[1.0, 2.0]]
    assert loaded["net.0.weight"].dtype == gradus.float32
    assert loaded["steps"].item() == 3
    assert tuple(loaded["steps"].shape) == ()
    assert loaded["mask"].tolist() == [True, False]
    assert gradus.io.read_safetensors(tmp_path / "m.safetensors")[1] == {"epoch": "4"}


def test_loaded_tensors_can_be_written_to_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    gradus.save({"w": gradus.ones(3)}, path)
    loaded = gradus.load(path)
    loaded["w"].value[0] = 5
    assert gradus.load(path)["w"].tolist() == [1, 1, 1]
    gradus.save(loaded, path)  # over the file that they came from
    assert gradus.load(path)["w"].tolist() == [5, 1, 1]


def test_transposed_tensors_keep_their_values(tmp_path: Path) -> None:
    gradus.save({"w": gradus.arange(6.0).reshape(2, 3).T}, tmp_path / "m")
    assert gradus.load(tmp_path / "m")["w"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("thing", [[gradus.Tensor([1.0])], gradus.Tensor([1.0]), None])
def test_what_is_no_state_dict_is_refused(thing: object, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=type(thing).__name__):
        gradus.save(thing, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_nested_state_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="'optimizer' is a dict") as caught:
        gradus.save({"w": gradus.ones(1), "optimizer": {"lr": 0.1}}, tmp_path / "m")
    assert "one file for each state dict" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: No such file"):
        gradus.load(tmp_path / "absent.safetensors")

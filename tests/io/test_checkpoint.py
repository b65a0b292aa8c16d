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


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_training_goes_on_from_two_files_as_if_it_had_not_stopped(kind: str, tmp_path: Path) -> None:
    x, y = gradus.randn(16, 4), gradus.randn(16, 2)

    def made() -> tuple[gradus.nn.Module, gradus.optim.Optimizer]:
        model = gradus.nn.Linear(4, 2)
        groups = [{"params": [model.weight], "lr": 0.03}, {"params": [model.bias]}]
        return model, getattr(gradus.optim, kind)(groups, lr=0.1, **({"momentum": 0.9} if kind == "SGD" else {"betas": (0.8, 0.9)}))

    def train(model: gradus.nn.Module, optimizer: gradus.optim.Optimizer) -> list[float]:
        losses = []
        for _ in range(5):
            loss = gradus.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    model, optimizer = made()
    train(model, optimizer)
    gradus.save(model, tmp_path / "model.safetensors")
    gradus.save(optimizer, tmp_path / "optimizer.safetensors", {"epoch": "5"})
    went_on = train(model, optimizer)

    model, optimizer = made()
    optimizer.param_groups[0]["lr"] = 7.0
    model.load_state_dict(gradus.load(tmp_path / "model.safetensors"))
    optimizer.load_state_dict(gradus.load(tmp_path / "optimizer.safetensors"))
    assert train(model, optimizer) == went_on
    assert gradus.io.read_safetensors(tmp_path / "optimizer.safetensors")[1]["epoch"] == "5"


def test_an_optimiser_that_has_not_stepped_has_a_file_too(tmp_path: Path) -> None:
    model = gradus.nn.Linear(2, 1)
    gradus.save(gradus.optim.Adam(model.parameters(), lr=0.25).state_dict(), tmp_path / "o")
    other = gradus.optim.Adam(model.parameters())
    other.load_state_dict(gradus.load(tmp_path / "o"))
    assert other.param_groups[0]["lr"] == 0.25
    assert other.param_groups[0]["betas"] == (0.9, 0.999)


def test_an_option_that_has_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither number nor text"):
        gradus.save({"state": {}, "param_groups": [{"lr": gradus.tensor(0.1), "params": []}]}, tmp_path / "o")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"state": {}}', '{"state": {"0": 3}, "param_groups": []}'])
def test_a_file_that_only_says_it_is_an_optimisers_is_refused(text: str, tmp_path: Path) -> None:
    gradus.io.write_safetensors(tmp_path / "o", {"state.0.exp_avg": np.ones(2)}, {"gradus.optimizer": text})
    with pytest.raises(CheckpointError, match="does not hold"):
        gradus.load(tmp_path / "o")

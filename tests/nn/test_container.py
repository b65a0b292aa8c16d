"""Containers: PyTorch's manners of lists and dicts, numbering and printed forms included."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import UsageError


def edited(nn):
    """One Sequential after every kind of change, as PyTorch and as Gradus do it."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    net.append(nn.Linear(3, 4))
    net.insert(1, nn.Tanh())
    net.extend([nn.Sigmoid(), nn.Linear(4, 2)])
    net[2] = nn.GELU()
    del net[0]
    net.pop(-1)
    net += nn.Sequential(nn.Identity())
    return net


MAKERS = [
    edited,
    lambda nn: nn.Sequential(),
    lambda nn: nn.Sequential(OrderedDict(first=nn.Linear(2, 2), second=nn.ReLU())),
    lambda nn: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))[1:],
    lambda nn: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))[-1],
    lambda nn: nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh()),
    lambda nn: nn.ModuleList([nn.Linear(2, 2) for _ in range(3)] + [nn.ReLU()]),
    lambda nn: nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Tanh()) for _ in range(2)])[:1],
    lambda nn: nn.ModuleList([nn.ReLU()]) + [nn.Tanh()],
    lambda nn: nn.ModuleList(),
    lambda nn: nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ModuleList([nn.ReLU()])}),
    lambda nn: nn.ModuleDict([["a", nn.ReLU()]]),
]


@pytest.mark.parametrize("make", MAKERS)
def test_like_pytorch(make) -> None:
    mine, theirs = make(nn), make(torch.nn)
    assert repr(mine) == repr(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    if hasattr(theirs, "__len__"):
        assert len(mine) == len(theirs)


def test_a_slice_shares_its_layers() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert net[:2][0] is net[0]
    x = gradus.ones(4, 2)
    assert gradus.equal(net[2](net[:2](x)), net(x))


def test_indexing() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    assert isinstance(net[-1], nn.Tanh)
    assert [type(layer).__name__ for layer in net] == ["ReLU", "Tanh"]
    for index in (2, -3):
        with pytest.raises(IndexError, match="out of range"):
            net[index]
    with pytest.raises(UsageError) as caught:
        nn.Sequential([nn.ReLU()])
    assert caught.value.fix == "nn.Sequential(*layers)"


def test_module_list_changes() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.append(nn.ReLU())
    layers.insert(0, nn.Tanh())
    layers += [nn.GELU()]
    assert isinstance(layers.pop(1), nn.Linear)
    assert [type(layer).__name__ for layer in layers] == ["Tanh", "ReLU", "GELU"]
    assert list(layers._modules) == ["0", "1", "2"]
    assert len(list(layers.parameters())) == 0
    with pytest.raises(UsageError, match="no forward"):
        layers(1)


def test_module_dict_changes() -> None:
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Tanh()
    table.update({"a": nn.GELU()})
    assert list(table) == list(table.keys()) == ["a", "b"]
    assert [type(m).__name__ for m in table.values()] == ["GELU", "Tanh"]
    assert ("b" in table, "c" in table, len(table)) == (True, False, 2)
    assert isinstance(table.pop("b"), nn.Tanh)
    assert dict(table.items()) == {"a": table["a"]}
    table.clear()
    assert len(table) == 0
    with pytest.raises(KeyError):
        table["a"]
    with pytest.raises(KeyError):
        del table["a"]
    with pytest.raises(UsageError):
        table["keys"] = nn.ReLU()

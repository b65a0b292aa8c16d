"""Random sequences of attribute changes, made to a Gradus and a PyTorch module alike: names and their order stay the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn as torch_nn
from torch import zeros as torch_zeros

import gradus
from gradus import nn
from gradus.errors import UsageError

NAMES = ["a", "b", "c"]
KINDS = ["parameter", "module", "buffer", "transient", "none", "delete", "tensor", "plain", "register none"]
CHANGES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(KINDS), st.integers(0, 1)), max_size=12)


def change(module, library, zeros, name: str, kind: str, number: int) -> None:
    if kind == "parameter":
        setattr(module, name, library.Parameter(zeros(number + 1)))
    elif kind == "module":
        setattr(module, name, library.Sequential(library.Linear(1, 1), library.ReLU()) if number else library.Linear(1, 1))
    elif kind == "buffer":
        module.register_buffer(name, zeros(1))
    elif kind == "transient":
        module.register_buffer(name, zeros(1), persistent=False)
    elif kind == "none":
        setattr(module, name, None)
    elif kind == "delete":
        delattr(module, name)
    elif kind == "tensor":
        setattr(module, name, zeros(2))
    elif kind == "plain":
        setattr(module, name, number)
    else:
        module.register_parameter(name, None)


def listing(module) -> dict[str, list[str]]:
    walks = ("named_parameters", "named_buffers", "named_modules", "named_children")
    return {walk: [name for name, _ in getattr(module, walk)()] for walk in walks} | {"state": list(module.state_dict())}


@settings(max_examples=150)
@given(CHANGES)
def test_like_pytorch(changes) -> None:
    mine, theirs = nn.Module(), torch_nn.Module()
    for name, kind, number in changes:
        try:
            change(theirs, torch_nn, torch_zeros, name, kind, number)
        except (TypeError, KeyError, AttributeError):
            continue  # what PyTorch refuses may be allowed here
        change(mine, nn, gradus.zeros, name, kind, number)
        assert listing(mine) == listing(theirs)


@settings(max_examples=50)
@given(CHANGES)
def test_whatever_happens_the_table_fits_the_values(changes) -> None:
    module = nn.Module()
    for name, kind, number in changes:
        try:
            change(module, nn, gradus.zeros, name, kind, number)
        except (UsageError, AttributeError):
            continue
        for each, held in module._kinds.items():
            value = getattr(module, each)
            wanted = {"parameter": nn.Parameter, "module": nn.Module}.get(held, gradus.Tensor)
            assert value is None or isinstance(value, wanted)
        assert all(each in module._kinds for each, value in vars(module).items() if isinstance(value, (nn.Parameter, nn.Module)))

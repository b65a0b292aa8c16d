"""The names that the documents' code uses are there, where PyTorch has them."""

from __future__ import annotations

import importlib

import pytest

import gradus

NAMES = {
    "gradus": """tensor zeros ones randn rand arange linspace einsum manual_seed allclose empty long float32 float64 from_numpy matmul
        exp sqrt log tanh cat stack no_grad Size""",
    "gradus.Tensor": """shape t T mean std var sum max all any item pow sqrt exp log abs float long half double view reshape flatten squeeze
        unsqueeze expand_as stride storage clamp_min clamp_max_ clamp argmax logsumexp clone detach numpy requires_grad_ backward grad data
        zero_ uniform_ normal_ random_ lerp_ mul_ add_ sub_ addcmul_ histc cpu register_hook retain_grad numel __getitem__ __matmul__""",
    "gradus.nn": """Module Parameter Linear ReLU Sequential ModuleList Conv2d AdaptiveAvgPool2d Flatten BatchNorm2d LayerNorm InstanceNorm2d
        LSTM LSTMCell Embedding Dropout CrossEntropyLoss MSELoss init functional""",
    "gradus.nn.Module": """parameters named_parameters train eval register_forward_hook register_backward_hook register_full_backward_hook
        register_buffer add_module children modules state_dict load_state_dict requires_grad_ zero_grad""",
    "gradus.nn.init": "kaiming_normal_ kaiming_uniform_ xavier_normal_ xavier_uniform_",
    "gradus.nn.functional": "cross_entropy nll_loss log_softmax mse_loss relu leaky_relu conv2d unfold linear one_hot",
    "gradus.autograd": "Function grad no_grad",
    "gradus.optim": "SGD Adam AdamW Optimizer",
    "gradus.utils.data": "Dataset DataLoader RandomSampler SequentialSampler",
}


@pytest.mark.parametrize("place", NAMES)
def test_names_are_where_pytorch_has_them(place: str) -> None:
    parts = place.split(".")
    last = parts[-1]
    holder = getattr(importlib.import_module(".".join(parts[:-1])), last) if last[0].isupper() else importlib.import_module(place)
    assert [name for name in NAMES[place].split() if not hasattr(holder, name)] == []


def test_a_gradient_of_ones_own_may_be_set_on_any_tensor() -> None:
    x = gradus.zeros(3)
    x.g = gradus.ones(3)
    assert x.g.tolist() == [1, 1, 1] and x.grad is None

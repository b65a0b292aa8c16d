"""The table of a model."""

from __future__ import annotations

import gradus
from gradus import nn


def test_table() -> None:
    net = nn.Sequential(nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))
    net[2].weight.requires_grad_(False)
    summary = net.summary((64, 784))
    assert (summary.parameters, summary.trainable, summary.bytes) == (39_760, 39_260, 159_040)
    assert str(summary) == (
        "layer       output    parameters\n"
        "--------------------------------\n"
        "Sequential  (64, 10)\n"
        "  0 Linear  (64, 50)      39,250\n"
        "  1 ReLU    (64, 50)\n"
        "  2 Linear  (64, 10)         510\n"
        "--------------------------------\n"
        "total                     39,760\n"
        "39,260 trainable, 500 frozen, 159.0 kB"
    )


def test_without_a_shape() -> None:
    text = str(nn.Sequential(nn.Linear(2, 2)).summary())
    assert "output" not in text
    assert "6" in text


def test_modes_hooks_and_random_numbers_are_left_alone() -> None:
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2)).train()
    net[1].eval()
    counter = gradus.random.default_generator().get_state()
    net.summary((1, 2))
    assert gradus.random.default_generator().get_state() == counter
    assert [m.training for m in net.modules()] == [True, True, False]
    assert not net._hooks.after


def test_shared_layers_count_once_and_a_sample_will_do() -> None:
    layer = nn.Linear(3, 3)
    summary = nn.Sequential(layer, layer).summary(gradus.ones(2, 3))
    assert summary.parameters == 12
    assert "(2, 3)" in str(summary)
    assert nn.Linear(3, 3).double().summary((1, 3)).bytes == 96

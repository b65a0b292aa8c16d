"""Convolution and pooling on NumPy arrays mean what their definitions in the vocabulary say, on tensors and while tracing too."""

import numpy as np
import pytest

import gradus
from gradus import backend, ops
from gradus.fused import avg_pool, conv, pool, unfold
from gradus.primitive import REGISTRY
from gradus.tensors import Tensor, wrap
from gradus.testing.samples import samples_of
from gradus.testing.tracer import Replay

assert avg_pool and conv and pool and unfold
RECORDS = [
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "max_pool2d",
    "max_pool2d_gradient",
    "sum_pool2d",
    "sum_pool2d_gradient",
    "unfold2d",
    "fold2d",
]


def calls_of(record, monkeypatch):
    """What the public function hands to ``bind`` for each sample: arrays and tidy parameters."""
    calls = []
    raw = record.raw
    monkeypatch.setattr(record, "raw", lambda *args, **params: (calls.append((args, params)), raw(*args, **params))[1])
    for sample in samples_of(record):
        record.function(*sample.args, **sample.params)
    monkeypatch.setattr(record, "raw", raw)
    return calls


@pytest.mark.parametrize("name", RECORDS)
def test_raw_equals_definition(name, monkeypatch) -> None:
    record = REGISTRY[name]
    calls = calls_of(record, monkeypatch)
    assert len(calls) >= 2
    for args, params in calls:
        expected = record.raw(*args, **params)
        for xp, values in ((backend.numpy, args), (ops, [wrap(a) for a in args])):
            y = record.forward(xp, *values, **params)
            y = y.numpy() if isinstance(y, Tensor) else y
            assert y.dtype == expected.dtype
            np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", RECORDS)
def test_definitions_expand_while_tracing(name, monkeypatch) -> None:
    record = REGISTRY[name]
    for args, params in calls_of(record, monkeypatch):
        replay = Replay(lambda *xs, p=params: record.forward(ops, *xs, **p), list(args))
        other = [a[..., ::-1].copy() for a in args]
        np.testing.assert_allclose(replay(*other), record.raw(*other, **params), rtol=1e-12, atol=1e-12)
        assert not {call[0].name for call in replay.trace.calls} & set(RECORDS)


def test_a_traced_step_of_a_network() -> None:
    nn = gradus.nn
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2, padding=1), nn.Flatten(), nn.Linear(8, 3)
    )
    rate = 0.1

    def step(x):
        model.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss.detach() - rate * sum((p.grad * p.grad).sum() for p in model.parameters())

    first, second = (np.random.standard_normal((2, 1, 4, 4)).astype("float32") for _ in range(2))
    expected = step(gradus.tensor(second)).numpy()
    np.testing.assert_allclose(Replay(step, [first])(second), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["max_pool2d", "conv2d"])
def test_float32_stays(name) -> None:
    x = gradus.randn(1, 2, 4, 4, requires_grad=True)
    y = getattr(gradus.nn.functional, name)(x, 2 if name == "max_pool2d" else gradus.randn(1, 2, 3, 3))
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float32

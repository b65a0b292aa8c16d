"""ReLU behind max pooling: the same numbers, the same gradients, on a quarter of the memory."""

from __future__ import annotations

import numpy as np
import pytest

import gradus
import gradus.nn as nn
import gradus.nn.functional as F


def network(bias: bool) -> nn.Module:
    gradus.manual_seed(1)
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1, bias=bias), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 4, 3, bias=bias), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scale", [1.0, 0.0, -3.0])
def test_values_and_gradients(bias: bool, scale: float) -> None:
    rng = np.random.default_rng(0)
    x = gradus.tensor(np.round(rng.standard_normal((3, 2, 10, 12)), 1).astype(np.float64))
    weight = gradus.tensor(rng.standard_normal((3, 4, 2, 2)))
    found = []
    for wrap in (lambda f: f, gradus.compile):
        model = network(bias).double()
        if bias:
            with gradus.no_grad():
                model[0].bias.mul_(scale)

        def step(x, model=model):
            loss = (model(x) * weight).sum()
            loss.backward()
            return loss

        run = wrap(step)
        for _ in range(3):
            model.zero_grad()
            loss = run(x)
        found.append([loss.detach().numpy(), *(p.grad.numpy().copy() for p in model.parameters())])
    for got, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)


def test_the_full_map_is_neither_rectified_nor_masked() -> None:
    model = network(True)

    def step(x):
        model.zero_grad()
        model(x).sum().backward()

    run = gradus.compile(step, tier="native")
    x = gradus.randn(3, 2, 10, 12)
    for _ in range(3):
        run(x)
    sizes = {call.output.shape for call in run.graph.calls if call.record.name in ("maximum", "greater")}
    assert sizes == {(3, 6, 5, 6), (3, 4, 2, 2)}


def test_a_rectified_map_that_is_used_elsewhere_stays() -> None:
    def f(x):
        y = F.relu(x + 1.0)
        return F.max_pool2d(y, 2), y.sum()

    run = gradus.compile(f)
    x = gradus.randn(1, 2, 4, 6)
    for _ in range(3):
        pooled, total = run(x)
    assert (pooled.numpy() == f(x)[0].numpy()).all()
    np.testing.assert_allclose(total.item(), f(x)[1].item(), rtol=1e-6)

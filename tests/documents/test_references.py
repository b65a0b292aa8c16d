"""What the documents refer their readers to, answered: a small program in the spirit of each reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
import gradus.nn.functional as F
from gradus import nn
from gradus.data import DataLoader, TensorDataset, digits


def test_thinc_a_forward_that_returns_its_backward() -> None:
    """A chain in which each layer hands back its answer and a function of the gradient: what `vjp` makes of any function."""

    def chain(*layers: Callable[..., Any]) -> Callable[[Any], Any]:
        def begin_update(x: Any) -> Any:
            finishes = []
            for layer in layers:
                x, finish = gradus.vjp(layer, x)
                finishes.append(finish)

            def finish_all(g: Any) -> Any:
                for finish in reversed(finishes):
                    (g,) = finish(g)
                return g

            return x, finish_all

        return begin_update

    w = gradus.randn(3, 4, dtype=gradus.float64)
    x = gradus.randn(5, 3, dtype=gradus.float64)
    y, finish = chain(lambda x: x @ w, gradus.tanh)(x)
    np.testing.assert_allclose(y.numpy(), np.tanh(x.numpy() @ w.numpy()), rtol=1e-12)
    slope = 1 - np.tanh(x.numpy() @ w.numpy()) ** 2
    np.testing.assert_allclose(finish(gradus.ones_like(y)).numpy(), slope @ w.numpy().T, rtol=1e-12)


def test_pytorch_s_tutorial_from_arithmetic_to_its_classes() -> None:
    """What is torch.nn really: one linear classifier by hand, and with Module, optimiser, Dataset and DataLoader: the same losses."""
    images, labels, _, _ = digits()
    x, y = images.reshape(-1, 64)[:256], labels[:256]
    start = gradus.randn(64, 10) / 8

    weights, bias = start.clone().requires_grad_(), gradus.zeros(10, requires_grad=True)
    by_hand = []
    for i in range(0, 256, 64):
        scores = x[i : i + 64] @ weights + bias
        log_probabilities = scores - scores.exp().sum(-1).log().unsqueeze(-1)
        loss = -log_probabilities[range(64), y[i : i + 64]].mean()
        loss.backward()
        by_hand.append(loss.item())
        with gradus.no_grad():
            weights -= weights.grad * 0.5
            bias -= bias.grad * 0.5
            weights.grad.zero_()
            bias.grad.zero_()

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(64, 10)

        def forward(self, xb: gradus.Tensor) -> gradus.Tensor:
            return self.lin(xb)

    model = Classifier()
    model.load_state_dict({"lin.weight": start.t(), "lin.bias": gradus.zeros(10)})
    opt = gradus.optim.SGD(model.parameters(), lr=0.5)
    by_classes = []
    for xb, yb in DataLoader(TensorDataset(x, y), batch_size=64):
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        by_classes.append(loss.item())
        opt.step()
        opt.zero_grad()
    np.testing.assert_allclose(by_classes, by_hand, rtol=1e-5)
    assert by_hand[-1] < by_hand[0]


def test_colah_s_graph_both_ways() -> None:
    """e = (a + b)(b + 1) at a = 2, b = 1: forward mode gives one derivative of everything a pass, reverse mode every derivative of one."""

    def f(a: Any, b: Any) -> Any:
        c, d = a + b, b + 1
        return c * d

    a, b = gradus.tensor(2.0, requires_grad=True), gradus.tensor(1.0, requires_grad=True)
    e = f(a, b)
    e.backward()
    assert (e.item(), a.grad.item(), b.grad.item()) == (6, 2, 5)
    value, tangent = gradus.jvp(f, (gradus.tensor(2.0), gradus.tensor(1.0)), (gradus.tensor(0.0), gradus.tensor(1.0)))
    assert (value.item(), tangent.item()) == (6, 5)


def test_hips_autograd_derivatives_of_plain_functions() -> None:
    """grad of a function, of its derivative, and of one with a loop and a branch on values."""

    def tanh(x: Any) -> Any:
        y = gradus.exp(-2.0 * x)
        return (1.0 - y) / (1.0 + y)

    at = gradus.tensor(1.0, dtype=gradus.float64)
    derivatives, f = [], tanh
    for _ in range(4):
        derivatives.append(f(at).item())
        f = gradus.grad(f)
    t = np.tanh(1.0)
    s = 1 - t * t
    np.testing.assert_allclose(derivatives, [t, s, -2 * t * s, s * (6 * t * t - 2)], rtol=1e-12)

    def taylor_sine(x: Any) -> Any:
        total = term = x
        i = 0
        while abs(term.item()) > 1e-12:
            term = -term * x * x / ((2 * i + 3) * (2 * i + 2))
            total = total + term
            i += 1
        return total

    x = gradus.tensor(0.7, dtype=gradus.float64, requires_grad=True)
    taylor_sine(x).backward()
    assert x.grad.item() == pytest.approx(np.cos(0.7), rel=1e-11)


def test_glorot_and_bengio_gradients_keep_their_size() -> None:
    """Glorot and Bengio 2010, figures 6 and 7: in five layers with tanh, activations and gradients shrink under U(±1/√n).

    Under U(±√(6/(in + out))) they keep their size.
    """
    found = {}
    for name in ("narrow", "normalized"):
        gradus.manual_seed(0)
        layers = [nn.Linear(200, 200, bias=False) for _ in range(5)]
        for layer in layers:
            if name == "narrow":
                nn.init.uniform_(layer.weight, -(200**-0.5), 200**-0.5)
            else:
                nn.init.xavier_uniform_(layer.weight)
        x = gradus.randn(300, 200) * 0.5
        between = []
        for layer in layers:
            x = gradus.tanh(layer(x))
            x.retain_grad()
            between.append(x)
        x.backward(gradus.randn(300, 200))
        found[name] = (between[-1].std() / between[0].std(), between[0].grad.std() / between[-1].grad.std())
    forward, backward = (value.item() for value in found["narrow"])
    assert forward < 0.2 and backward < 0.2
    forward, backward = (value.item() for value in found["normalized"])
    assert 0.5 < forward < 1.1 and 0.3 < backward < 1.2

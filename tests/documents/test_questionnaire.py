"""Questions and further research of the chapter "A Neural Net from the Foundations" whose answers are programs, run on its own listings."""

from __future__ import annotations

import contextlib
import itertools
import math

import numpy as np
import pytest
from listings import Notebook

import gradus
import gradus.nn.functional as F
from gradus import nn
from gradus.data import digits
from gradus.tensors import Tensor

BOOK = "net_from_the_foundations"


@pytest.fixture
def book() -> Notebook:
    notebook = Notebook()
    notebook.run_all(BOOK, "imports", "lin", "xavier", "relu", "mse", "mse_grad", "relu_grad", "lin_grad", "data once more", "kaiming")
    return notebook


@pytest.mark.parametrize("rectified", [False, True])
def test_the_two_formulas_of_initialisation(rectified: bool) -> None:
    """1/√n for a linear layer, √(2/n) before a ReLU: after them the outputs have spread 1, or keep their mean square of 1."""
    spreads = []
    for seed in range(5):
        gradus.manual_seed(seed)
        x, w = gradus.randn(400, 300), gradus.randn(300, 300) * (math.sqrt(2 / 300) if rectified else 1 / math.sqrt(300))
        y = x @ w
        if rectified:
            y = y.clamp_min(0.0)
        spreads.append(y.pow(2).mean().sqrt().item())
    assert all(0.97 < spread < 1.03 for spread in spreads), spreads


def test_the_chain_rule_of_mse_of_lin(book: Notebook) -> None:
    """d mse(lin(l2, w2, b2), y): each factor as a Jacobian, multiplied out, is what the book's functions and the tape find."""
    book.run("l2, y = torch.randn(6, 4).double(), torch.randn(6).double()\nw2, b2 = torch.randn(4, 1).double(), torch.randn(1).double()")
    l2, w2, b2, y = (book[name] for name in ("l2", "w2", "b2", "y"))
    outer = gradus.jacobian(lambda out: book["mse"](out, y))(book["lin"](l2, w2, b2)).reshape(1, 6)
    by_chain = {
        "l2": outer @ gradus.jacobian(lambda t: book["lin"](t, w2, b2))(l2).reshape(6, -1),
        "w2": outer @ gradus.jacobian(lambda t: book["lin"](l2, t, b2))(w2).reshape(6, -1),
        "b2": outer @ gradus.jacobian(lambda t: book["lin"](l2, w2, t))(b2).reshape(6, -1),
    }
    book.run("out = lin(l2, w2, b2)\nmse_grad(out, y)\nlin_grad(l2, out, w2, b2)")
    for name, product in by_chain.items():
        np.testing.assert_allclose(product.numpy().ravel(), book[name].g.numpy().ravel(), rtol=1e-10)
        book[name].requires_grad_()
    book.run("mse(lin(l2, w2, b2), y).backward()")
    for name, product in by_chain.items():
        np.testing.assert_allclose(product.numpy().ravel(), book[name].grad.numpy().ravel(), rtol=1e-10)


def test_the_gradients_are_called_from_the_end(book: Notebook) -> None:
    """Of the 24 orders in which the four functions can be called, one finds the gradient of each output before it is needed."""
    calls = ["mse_grad(out, y)", "lin_grad(l2, out, w2, b2)", "relu_grad(l1, l2)", "lin_grad(x, l1, w1, b1)"]
    right = []
    for order in itertools.permutations(calls):
        book.run("l1 = lin(x, w1, b1)\nl2 = relu(l1)\nout = lin(l2, w2, b2)")
        with contextlib.suppress(AttributeError):  # an output that has no g yet
            for call in order:
                book.run(call)
            right.append(list(order))
    assert right == [calls]


class OwnConv2d(nn.Module):
    """A convolution by unfold and a matrix product; parameters as those of nn.Conv2d."""

    def __init__(self, n_in: int, n_out: int, size: int, stride: int = 1, padding: int = 0) -> None:
        weight = gradus.randn(n_out, n_in, size, size) / math.sqrt(n_in * size**2)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(gradus.zeros(n_out))
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        columns = F.unfold(x, self.size, stride=self.stride, padding=self.padding)  # (B, n_in·size², places)
        y = self.weight.flatten(1) @ columns + self.bias[:, None]
        height = (x.shape[2] + 2 * self.padding - self.size) // self.stride + 1
        return y.reshape(x.shape[0], -1, height, y.shape[-1] // height)


def network(conv: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        conv(1, 8, 3, stride=2, padding=1), nn.ReLU(), conv(8, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10)
    )


def test_a_network_of_ones_own_convolution() -> None:
    """Trained on real digits it takes the steps of the library's layer, and learns to read them."""
    x_train, y_train, x_test, y_test = digits()
    own, library = network(OwnConv2d), network(nn.Conv2d)
    library.load_state_dict(own.state_dict())
    losses: list[list[float]] = [[], []]
    for model, found in zip((own, library), losses):
        opt = gradus.optim.Adam(model.parameters(), lr=0.01)
        for epoch in range(4):
            for i in range(0, 1437, 64):
                loss = F.cross_entropy(model(x_train[i : i + 64, None]), y_train[i : i + 64])
                loss.backward()
                if epoch == 0:
                    found.append(loss.item())
                opt.step()
                opt.zero_grad()
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    accuracy = (own(x_test[:, None]).argmax(1) == y_test).float().mean().item()
    assert accuracy > 0.88

"""Modules against PyTorch's, and the registers by what they must and must not see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradus.ladder import tape_of_layers
from gradus.ladder.module import Dropout, DummyModule, LinearLayer, Model, Module, ModuleList, ReLU, Sequential
from gradus.ladder.tape_of_layers import Parameter, Tensor

torch = pytest.importorskip("torch")
F = torch.nn.functional


def count(model: Module) -> int:
    return len(list(model.parameters()))


def test_linear_layer_of_the_book() -> None:
    p1, p2 = LinearLayer(10, 2).parameters()
    assert (p1.value.shape, p2.value.shape) == ((2, 10), (2,))
    theirs = torch.nn.Linear(10, 2)
    assert [tuple(p.shape) for p in theirs.parameters()] == [(2, 10), (2,)]


@pytest.mark.parametrize("seed", range(3))
def test_weights_have_kaimings_spread(seed: int) -> None:
    layer = LinearLayer(400, 300, np.random.default_rng(seed))
    assert layer.weight.value.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert not layer.bias.value.any()


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_model_is_that_of_pytorch(loss: str) -> None:
    rng = np.random.default_rng(0)
    ours = Sequential(LinearLayer(5, 7, rng), ReLU(), LinearLayer(7, 3, rng))
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3)).double()
    with torch.no_grad():
        for p, t in zip(ours.parameters(), theirs.parameters(), strict=True):
            t.copy_(torch.tensor(p.value))
    x = rng.standard_normal((11, 5))
    target = rng.standard_normal((11, 3)) if loss == "mse" else rng.integers(3, size=11)
    value = getattr(tape_of_layers, loss)(ours(Tensor(x)), target)
    value.backward()
    expected = (F.mse_loss if loss == "mse" else F.cross_entropy)(theirs(torch.tensor(x)), torch.tensor(target))
    expected.backward()
    assert float(value.value) == pytest.approx(expected.item(), rel=1e-12)
    for p, t in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_cross_entropy_of_huge_scores() -> None:
    y = Parameter([[1000.0, 0.0], [0.0, -1000.0]])
    loss = tape_of_layers.cross_entropy(y, np.array([1, 0]))
    loss.backward()
    assert float(loss.value) == 500
    np.testing.assert_allclose(y.grad, [[0.5, -0.5], [0, 0]])


def test_gradients_index_by_index_are_the_matrix_products() -> None:
    rng = np.random.default_rng(0)
    x, w, b, g = (rng.standard_normal(shape) for shape in ((4, 3), (2, 3), (2,), (4, 2)))
    leaves = [Parameter(x), Parameter(w), Parameter(b)]
    pulls = [pull for _, pull in tape_of_layers.linear(*leaves).links]
    theirs = [torch.tensor(v, requires_grad=True) for v in (x, w, b)]
    F.linear(*theirs).backward(torch.tensor(g))
    for by_index, pull, leaf in zip(tape_of_layers.linear_gradients(x, w, g), pulls, theirs, strict=True):
        np.testing.assert_allclose(by_index, leaf.grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(pull(g), leaf.grad.numpy(), rtol=1e-12)


def test_the_input_of_the_first_layer_costs_no_product() -> None:
    layer = LinearLayer(3, 2)
    assert [parent for parent, _ in layer(Tensor(np.ones((4, 3)))).links] == [layer.weight, layer.bias]
    layer.requires_grad_(False)
    assert layer(Tensor(np.ones((4, 3)))).links == ()


def test_a_model_with_its_loss_inside() -> None:
    rng = np.random.default_rng(2)
    model, x, target = Model(5, 4, 1, rng), rng.standard_normal((6, 5)), rng.standard_normal((6, 1))
    assert count(model) == 4
    assert [type(m).__name__ for m in model.modules()] == ["Model", "Sequential", "LinearLayer", "ReLU", "LinearLayer"]
    loss = model(Tensor(x), target)
    loss.backward()
    assert float(loss.value) == pytest.approx(np.mean((model.layers(Tensor(x)).value - target) ** 2))
    with pytest.raises(ValueError, match=r"\(6, 1\) cannot be compared with targets of shape \(6,\)"):
        model(Tensor(x), target[:, 0])


def test_the_dummy_notes_everything() -> None:
    model = DummyModule(np.random.default_rng(0), 4, 3, 2)
    assert len(list(model.parameters())) == 4
    model.again = model.l1
    assert len(list(model.parameters())) == 6  # twice
    model.number = 3
    with pytest.raises(AttributeError, match="parameters"):
        list(model.parameters())


def test_no_call_of_the_base_is_needed_here_but_there() -> None:
    class Ours(Module):
        def __init__(self) -> None:
            self.layer = LinearLayer(2, 1)

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            self.layer = torch.nn.Linear(2, 1)

    assert count(Ours()) == 2
    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Theirs()


def test_only_parameters_and_modules_are_registered() -> None:
    net = Module()
    net.weight, net.layer, net.number, net.tensor, net.hidden = Parameter([1.0]), ReLU(), 3, Tensor([1.0]), [LinearLayer(2, 2)]
    assert list(net.parameters()) == [net.weight]
    assert net.children() == [net.layer]
    with pytest.raises(NotImplementedError, match="Module has no forward method"):
        net(1)


@pytest.mark.parametrize("other", [None, 3, Tensor([1.0])])
def test_an_attribute_that_is_no_parameter_any_more_is_forgotten(other: object) -> None:
    net = Module()
    net.a = Parameter([1.0])
    net.a = other
    assert count(net) == 0
    net.a = LinearLayer(2, 1)
    assert count(net) == 2
    net.a = Parameter([1.0])
    assert (count(net), net.children()) == (1, [])
    for last in (Parameter([1.0]), LinearLayer(2, 1)):
        net.a = last
        del net.a
        assert (count(net), net.children()) == (0, [])
        assert not hasattr(net, "a")


def test_parameters_of_modules_in_modules_without_doubles() -> None:
    class Block(Module):
        def __init__(self, shared: LinearLayer) -> None:
            self.shared = shared
            self.own = LinearLayer(3, 3)

    shared = LinearLayer(3, 3)
    net = Sequential(Block(shared), Block(shared), shared)
    net.scale = net.same = Parameter([1.0])
    names = [net.scale, shared.weight, shared.bias]
    found = list(net.parameters())
    assert found[:3] == names
    assert len(found) == len(set(found)) == 3 + 2 + 2
    net[0].up = net  # a ring
    assert list(net.parameters()) == found
    assert net.modules().count(shared) == 1


def test_a_shared_layer_gets_both_gradients() -> None:
    rng = np.random.default_rng(0)
    layer = LinearLayer(3, 3, rng)
    x = rng.standard_normal((4, 3))
    tape_of_layers.mse(layer(ReLU()(layer(Tensor(x)))), np.zeros((4, 3))).backward()
    w, b = (torch.tensor(p.value, requires_grad=True) for p in layer.parameters())
    F.mse_loss(F.linear(F.relu(F.linear(torch.tensor(x), w, b)), w, b), torch.zeros(4, 3)).backward()
    np.testing.assert_allclose(layer.weight.grad, w.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(layer.bias.grad, b.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("kind", [lambda: Sequential(LinearLayer(2, 3)), lambda: ModuleList([LinearLayer(2, 3)])])
def test_layers_that_come_later_and_flags_are_seen(kind: Callable[[], ModuleList]) -> None:
    net = kind()
    before = list(net.parameters())
    net.append(LinearLayer(3, 1))
    assert list(net.parameters())[:2] == before
    assert count(net) == 4
    net[0].requires_grad_(False)
    assert [p.requires_grad for p in net.parameters()] == [False, False, True, True]
    assert repr(net) == f"{type(net).__name__}(0: LinearLayer(2, 3), 1: LinearLayer(3, 1))"


def test_train_and_eval_reach_every_module() -> None:
    inner = Dropout(0.5, np.random.default_rng(0))
    net = Sequential(LinearLayer(2, 4), Sequential(inner))
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    x = Tensor(np.ones((3, 2)))
    np.testing.assert_array_equal(net(x).value, net(x).value)
    net.train()
    assert inner.training
    assert (net(x).value != net(x).value).any()


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_dropout_keeps_the_mean_and_scales_its_gradient(p: float) -> None:
    x = Parameter(np.ones((200, 200)))
    y = Dropout(p, np.random.default_rng(1))(x)
    assert (y.value == 0).mean() == pytest.approx(p, abs=0.01)
    assert y.value.mean() == pytest.approx(1, abs=0.05)
    tape_of_layers.mse(y, np.zeros((200, 200))).backward()
    np.testing.assert_allclose(x.grad, 2 * y.value**2 / y.value.size)  # dy/dx = y, as x is 1


def test_no_grad_stops_the_tape() -> None:
    layer = LinearLayer(2, 2)
    with tape_of_layers.no_grad():
        assert not layer(Tensor(np.ones((1, 2)))).requires_grad
    assert layer(Tensor(np.ones((1, 2)))).requires_grad

"""The backward pass: what is computed, what is not, what is accumulated, and in whose memory."""

import gc
import weakref

import numpy as np
import pytest

import gradus
from gradus import autograd, nn
from gradus.errors import AliasError, GradError
from gradus.primitive import REGISTRY

torch = pytest.importorskip("torch", reason="parity needs PyTorch: make test installs it")


def test_a_training_step_equals_pytorch():
    ours = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy().copy()) for k, v in ours.state_dict().items()})
    x, y = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 2, 1, 1, 0, 2])
    gradus.nn.functional.cross_entropy(ours(gradus.tensor(x)), gradus.tensor(y)).backward()
    torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y)).backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-14)
        assert a.grad.value.flags.c_contiguous and a.grad.value.base is None


def count_calls(monkeypatch, name):
    """Count how often the rules of an op run, by input."""
    calls = []
    record = REGISTRY[name]
    counted = [lambda *args, i=i, original=original: calls.append(i) or original(*args) for i, original in enumerate(record.functions)]
    monkeypatch.setattr(record, "functions", counted)
    return calls


def test_nobody_computes_the_gradient_of_the_data(monkeypatch):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    calls = count_calls(monkeypatch, "linear")
    model(gradus.randn(5, 4)).sum().backward()
    # Second layer: input, weight, bias; first layer: weight and bias only.
    assert sorted(calls) == [0, 1, 1, 2, 2]


def test_grad_computes_only_paths_to_its_inputs(monkeypatch):
    calls = count_calls(monkeypatch, "exp")
    x, z = gradus.tensor([1.0], requires_grad=True), gradus.tensor([2.0], requires_grad=True)
    (dx,) = autograd.grad((x * 3 + z.exp()).sum(), x)
    assert dx.tolist() == [3.0] and calls == [] and z.grad is None


def test_shared_results_accumulate_in_a_diamond():
    # The order that a plain depth-first walk gets wrong: b = a + a, c = b + b, with b used again.
    a = gradus.tensor([1.0], requires_grad=True)
    b = a + a
    c = b + b
    (c * b).sum().backward()
    assert a.grad.tolist() == [16.0]


def test_gradients_of_two_leaves_do_not_share_memory():
    a, b = gradus.ones(3, requires_grad=True), gradus.ones(3, requires_grad=True)
    seed = gradus.ones(3)
    (a + b).backward(seed)
    a.grad.mul_(5)
    assert b.grad.tolist() == [1.0, 1.0, 1.0] and seed.tolist() == [1.0, 1.0, 1.0]


def test_accumulation_keeps_the_gradient_object():
    x = gradus.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first and first.tolist() == [5.0, 5.0]


def test_retain_graph_and_the_error_without_it():
    x = gradus.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 4.0]
    with pytest.raises(GradError, match="second time") as caught:
        y.backward()
    assert caught.value.code == "E22" and "retain_graph=True" in str(caught.value) and "test_backward.py" in caught.value.where


def test_backward_without_a_graph_says_why():
    with pytest.raises(GradError, match="does not require grad") as caught:
        gradus.ones(()).backward()
    assert caught.value.code == "E21" and "requires_grad" in caught.value.fix
    with pytest.raises(GradError, match="scalar outputs") as caught:
        (gradus.ones(2, requires_grad=True) * 2).backward()
    assert "loss.mean()" in caught.value.fix
    with gradus.no_grad(), pytest.raises(GradError) as caught:
        (gradus.ones((), requires_grad=True) * 2).backward()
    assert "no_grad" in caught.value.why
    with pytest.raises(GradError, match="not have been used"):
        autograd.grad((gradus.ones(2, requires_grad=True) * 2).sum(), gradus.ones(2, requires_grad=True))


def test_create_graph_agrees_with_pytorch():
    values = np.array([0.5, -1.0, 2.0])

    def penalty(lib, x):
        y = (lib.sigmoid(x) * x).sum() + lib.logsumexp(x * x, 0)
        (slope,) = lib.autograd.grad(y, x, create_graph=True)
        (slope**2).sum().backward()
        return x.grad

    ours = penalty(gradus, gradus.tensor(values, requires_grad=True))
    theirs = penalty(torch, torch.tensor(values, requires_grad=True))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10)


def test_backward_with_create_graph_fills_differentiable_gradients():
    x = gradus.tensor([2.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    (second,) = autograd.grad(x.grad.sum(), x)
    assert second.tolist() == [12.0]


def test_gradients_take_the_dtype_and_shape_of_their_input():
    x = gradus.ones(3, requires_grad=True)
    w = gradus.ones(2, 3, dtype=gradus.float64, requires_grad=True)
    scale = gradus.tensor(2.0, requires_grad=True)
    (x * w * scale).sum().backward()
    assert (x.grad.dtype, x.grad.shape) == (gradus.float32, (3,))
    assert (w.grad.dtype, w.grad.shape) == (gradus.float64, (2, 3))
    assert (scale.grad.dtype, scale.grad.shape) == (gradus.float32, ()) and scale.grad.item() == 6.0
    assert isinstance(scale.grad.value, np.ndarray)


def test_the_graph_holds_only_what_rules_ask_for():
    x = gradus.ones(1000, requires_grad=True)
    big = x * 2
    kept = weakref.ref(big.value)
    y = (big + 1).sum()
    del big
    assert kept() is None, "addition needs no input, so nothing may keep it alive"
    y.backward()


def test_backward_releases_saved_values():
    x = gradus.ones(1000, requires_grad=True)
    hidden = x.exp()
    kept = weakref.ref(hidden.value)
    loss = (hidden * hidden).sum()
    del hidden
    assert kept() is not None
    loss.backward()
    assert kept() is None


@pytest.mark.parametrize("create_graph", [False, True])
def test_no_reference_cycles(create_graph):
    gc.collect()
    gc.disable()
    try:
        x = gradus.ones(3, requires_grad=True)
        y = ((x.exp() * x.tanh()).softmax(0) * x[1:].sum()).sum()
        node = weakref.ref(y.node)
        autograd.grad(y, x, create_graph=create_graph)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_backward_into_chosen_leaves_only():
    a, b = gradus.ones(2, requires_grad=True), gradus.ones(2, requires_grad=True)
    (a * b).sum().backward(inputs=[a])
    assert a.grad.tolist() == [1.0, 1.0] and b.grad is None


def test_grad_of_an_intermediate():
    x = gradus.tensor([2.0], requires_grad=True)
    h = x * 3
    dh, dx = autograd.grad((h * h).sum(), [h, x])
    assert dh.tolist() == [12.0] and dx.tolist() == [36.0]


def test_a_gradient_that_another_backward_adds_to_is_overwritten_memory():
    x, w = gradus.tensor([1.0, 2.0], requires_grad=True), gradus.tensor([3.0, 4.0], requires_grad=True)
    (x * x).sum().backward()
    y = (x.grad * w).sum()
    (x * x).sum().backward()
    with pytest.raises(AliasError, match="a backward pass that added to it"):
        y.backward()


def test_a_quotient_may_be_written_to():
    a, b = gradus.tensor([1.0, 2.0], requires_grad=True), gradus.tensor([4.0, 5.0], requires_grad=True)
    y = a / b
    y += 1
    y.sum().backward()
    np.testing.assert_allclose(b.grad.numpy(), [-1 / 16, -2 / 25], rtol=1e-6)


def shared_sum(lib):
    a, b = lib.ones(3, requires_grad=True), lib.ones(3, requires_grad=True)
    shared = a + b
    column = shared.reshape(3, 1)
    shared.sum().backward()
    (shared * 2).sum().backward()
    column.sum().backward()
    return a.grad


def test_what_saved_no_values_may_be_passed_twice():
    # A sum of two losses that share an addition: nothing is needed, so nothing is lost.
    assert shared_sum(gradus).tolist() == shared_sum(torch).tolist() == [4.0, 4.0, 4.0]

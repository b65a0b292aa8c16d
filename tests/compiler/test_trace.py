"""Everything that should trace does, and gives what eager mode gives, call after call: results, parameters, buffers, gradients, state."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import nn, optim
from gradus.nn import functional as F

Pair = namedtuple("Pair", "total parts")


def batch(k: int, *shape: int) -> gradus.Tensor:
    """The input of call ``k``."""
    return gradus.from_numpy(np.random.default_rng(k).standard_normal(shape).astype(np.float32))


def labels(k: int, n: int, classes: int = 3) -> gradus.Tensor:
    return gradus.from_numpy(np.random.default_rng(100 + k).integers(0, classes, n))


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def state_of(model: nn.Module, *optimizers: optim.Optimizer) -> Any:
    """Parameters, buffers, gradients and the state of optimisers."""
    numbers = [[dict(state) for state in opt.state.values()] for opt in optimizers]
    return [list(model.parameters()), list(model.buffers()), [p.grad for p in model.parameters()], numbers]


def training(make_optimizer: Callable[[Any], Any], zero: str = "last", model: Callable[[], nn.Module] = network) -> Callable[[], Any]:
    """A classifier's training step with an optimiser."""

    def build() -> Any:
        net = model()
        opt = make_optimizer(net)

        def step(x: Any, y: Any) -> Any:
            if zero == "first":
                opt.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
            if zero == "last":
                opt.zero_grad()
            return loss

        return step, lambda k: (batch(k, 5, 4), labels(k, 5)), lambda: state_of(net, opt)

    return build


OPTIMIZERS = {
    "SGD": lambda net: optim.SGD(net.parameters(), lr=0.1),
    "SGD momentum": lambda net: optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
    "SGD dampening": lambda net: optim.SGD(net.parameters(), lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "SGD nesterov": lambda net: optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD maximize": lambda net: optim.SGD(net.parameters(), lr=0.01, maximize=True),
    "Adam": lambda net: optim.Adam(net.parameters(), lr=0.01),
    "Adam amsgrad": lambda net: optim.Adam(net.parameters(), lr=0.01, amsgrad=True, weight_decay=0.1),
    "Adam maximize": lambda net: optim.Adam(net.parameters(), lr=0.01, maximize=True, betas=(0.8, 0.9)),
    "AdamW": lambda net: optim.AdamW(net.parameters(), lr=0.01),
    "AdamW amsgrad": lambda net: optim.AdamW(net.parameters(), lr=0.01, amsgrad=True, eps=1e-6),
    "groups": lambda net: optim.AdamW(
        [{"params": net[0].parameters(), "lr": 0.05, "weight_decay": 0.0}, {"params": net[2].parameters(), "betas": (0.5, 0.9)}], lr=0.01
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(same, name: str) -> None:
    same(training(OPTIMIZERS[name]), calls=8, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("zero", ["first", "never"])
def test_gradients_that_are_kept(same, zero: str) -> None:
    same(training(OPTIMIZERS["SGD"], zero))


def test_a_gradient_of_an_earlier_call_is_not_overwritten() -> None:
    net = network()
    opt = optim.SGD(net.parameters(), lr=0.1)

    @gradus.compile
    def step(x: Any) -> Any:
        opt.zero_grad()
        net(x).sum().backward()
        opt.step()

    step(batch(0, 5, 4)), step(batch(1, 5, 4)), step(batch(2, 5, 4))
    kept = net[0].weight.grad
    before = kept.numpy().copy()
    step(batch(3, 5, 4))
    assert net[0].weight.grad is not kept
    np.testing.assert_array_equal(kept.numpy(), before)


def test_the_learning_rate_is_read_at_each_call(same) -> None:
    def build() -> Any:
        net = network()
        opt = optim.AdamW(net.parameters(), lr=0.1)
        schedule = optim.lr_scheduler.StepLR(opt, step_size=1, gamma=0.5)

        def step(x: Any) -> Any:
            loss = net(x).square().sum()
            opt.zero_grad()
            loss.backward()
            opt.step()
            return loss

        def arguments(k: int) -> Any:
            if k:
                schedule.step()
            return (batch(k, 5, 4),)

        return step, arguments, lambda: state_of(net, opt)

    same(build, calls=6, rtol=1e-4, atol=1e-5)


def step_of(
    make: Callable[[], Any], f: Callable[..., Any], arguments: Callable[[int], Any], watched: Callable[[Any], Any] = lambda m: []
) -> Callable[[], Any]:
    """``f(what make() made, *arguments)`` as a step."""

    def build() -> Any:
        made = make()
        return lambda *args: f(made, *args), arguments, lambda: watched(made)

    return build


def trained(make: Callable[[], nn.Module], *shape: int, loss: Callable[[Any], Any] = lambda y: y.square().mean()) -> Callable[[], Any]:
    """Forward, backward and a step of SGD for a model of one input."""

    def build() -> Any:
        model = make()
        parameters = list(model.parameters())
        opt = optim.SGD(parameters, lr=0.05) if parameters else None

        def step(x: Any) -> Any:
            y = model(x)
            value = loss(y[0] if isinstance(y, tuple) else y)
            if opt is not None:
                value.backward()
                opt.step()
                opt.zero_grad()
            return value, y

        return step, lambda k: (batch(k, *shape),), lambda: state_of(model)

    return build


LAYERS: dict[str, Any] = {
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 3)), 5, 4),
    "batch norm": (lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), 5, 4),
    "batch norm, plain average": (lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=None)), 5, 4),
    "batch norm of images": (lambda: nn.BatchNorm2d(3), 2, 3, 4, 4),
    "layer norm": (lambda: nn.LayerNorm(4), 5, 4),
    "group norm": (lambda: nn.GroupNorm(2, 4), 2, 4, 3, 3),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)),
        2,
        1,
        4,
        4,
    ),
    "average pool": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.AvgPool2d(2)), 2, 1, 6, 6),
    "lstm": (lambda: nn.LSTM(4, 3, batch_first=True), 2, 3, 4),
    "gru": (lambda: nn.GRU(4, 3, batch_first=True), 2, 3, 4),
    "rnn": (lambda: nn.RNN(4, 3, batch_first=True), 2, 3, 4),
    "gelu": (lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3)), 5, 4),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(same, name: str) -> None:
    make, *shape = LAYERS[name]
    same(trained(make, *shape), rtol=1e-4, atol=1e-5)


def test_twenty_steps_draw_the_random_numbers_of_eager_mode(same) -> None:
    def build() -> Any:
        return (
            lambda x: F.dropout(x, 0.5) + gradus.rand(3, 4) + gradus.randn(3, 4),
            lambda k: (batch(k, 3, 4),),
            lambda: gradus.default_generator().counter,
        )

    same(build, calls=20)


def test_embedding(same) -> None:
    def use(model: Any, indices: Any) -> Any:
        loss = model(indices).square().sum()
        loss.backward()
        return loss

    same(step_of(lambda: nn.Embedding(6, 3), use, lambda k: (labels(k, 5, 6),), state_of))


def test_attention(same) -> None:
    def use(model: Any, x: Any) -> Any:
        y, _ = model(x, x, x, need_weights=False)
        y.square().sum().backward()
        return y

    same(
        step_of(lambda: nn.MultiheadAttention(4, 2, batch_first=True), use, lambda k: (batch(k, 2, 3, 4),), state_of), rtol=1e-4, atol=1e-5
    )


def cube(x: Any) -> Any:
    return (x * x * x).sum()


class Square(gradus.autograd.Function):
    """A derivative by hand."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2.0 * x * g


def by_hand(w: Any, x: Any) -> Any:
    w.grad = None
    y = Square.apply(w * x).sum()
    y.backward()
    return y


def with_hook(w: Any, x: Any) -> Any:
    w.grad = None
    y = w * x
    y.register_hook(lambda g: g * 2.0)
    y.sum().backward()
    return y


def inner_grad(w: Any, x: Any) -> Any:
    (g,) = gradus.autograd.grad((w * x).square().sum(), w, create_graph=True)
    w.grad = None
    g.square().sum().backward()
    return g


def two_backward_calls(w: Any, x: Any) -> Any:
    w.grad = None
    (w * x).sum().backward()
    first = w.grad.clone()
    (w * w * x).sum().backward()
    return first


def two_losses(w: Any, x: Any) -> Any:
    w.grad = None
    y = w * x
    a, b = y.sum(), y.square().sum()
    (a + 0.5 * b).backward()
    return {"a": a, "b": b}


def plain_descent(w: Any, x: Any) -> Any:
    w.grad = None
    (w * x).square().sum().backward()
    with gradus.no_grad():
        w -= 0.1 * w.grad
    return w.detach().clone()


def descent_by_data(w: Any, x: Any) -> Any:
    w.grad = None
    (w * x).square().sum().backward()
    w.data.sub_(0.1 * w.grad.data)
    w.data *= 0.99


def clipped_by_norm(w: Any, x: Any) -> Any:
    w.grad = None
    (w * x).square().sum().backward()
    norm = nn.utils.clip_grad_norm_([w], 0.5)
    w.data.sub_(0.1 * w.grad)
    return norm


def clipped_by_value(w: Any, x: Any) -> Any:
    w.grad = None
    (w * x).square().sum().backward()
    nn.utils.clip_grad_value_([w], 0.5)
    w.data.sub_(0.1 * w.grad)


def inner_no_grad(w: Any, x: Any) -> Any:
    with gradus.no_grad():
        target = w * x
    w.grad = None
    (w * x * target).sum().backward()
    return target


def intermediate_grad(w: Any, x: Any) -> Any:
    y = w * x
    y.retain_grad()
    y.square().sum().backward()
    g = y.grad
    w.grad = None
    return g


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "value and grad": lambda w, x: gradus.value_and_grad(cube)(w.detach() * x),
    "grad": lambda w, x: gradus.grad(lambda v: (v * x).square().sum())(w.detach()),
    "grad of grad": lambda w, x: gradus.grad(lambda v: gradus.grad(cube)(v).square().sum())(w.detach() * x),
    "jvp": lambda w, x: gradus.jvp(cube, (w.detach(),), (x,)),
    "hessian": lambda w, x: gradus.hessian(cube)(w.detach() * x),
    "by hand": by_hand,
    "hook": with_hook,
    "inner grad": inner_grad,
    "two backward calls": two_backward_calls,
    "two losses": two_losses,
    "plain descent": plain_descent,
    "descent by data": descent_by_data,
    "clipped by norm": clipped_by_norm,
    "clipped by value": clipped_by_value,
    "inner no_grad": inner_no_grad,
    "intermediate grad": intermediate_grad,
    "no tensors": lambda w, x: 3.5,
    "none": lambda w, x: None,
    "namedtuple": lambda w, x: Pair(x.sum(), [x * 2.0, {"w": w.detach() + x}]),
    "iteration": lambda w, x: sum((row * row for row in x.reshape(3, 1)), gradus.zeros(1)),
    "shape arithmetic": lambda w, x: x.reshape(-1, x.shape[0] // len(x)) * float(x.numel()),
    "made inside": lambda w, x: gradus.arange(3).float() + gradus.zeros(3).add_(x) + gradus.tensor([1.0, 2.0, 3.0]),
    "masked": lambda w, x: gradus.where(x > 0, x, w.detach()).masked_fill(x > 1.0, 9.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(same, name: str) -> None:
    def build() -> Any:
        w = gradus.tensor([0.5, -1.0, 2.0], requires_grad=True)
        return lambda x: FUNCTIONS[name](w, x), lambda k: (batch(k, 3),), lambda: (w.detach(), w.grad)

    same(build, calls=5)


def test_weights_that_two_layers_share(same) -> None:
    def make() -> nn.Module:
        net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        net[2].weight = net[0].weight
        return net

    same(trained(make, 5, 4))


def test_a_method_and_a_module() -> None:
    class Scaler:
        def __init__(self) -> None:
            self.factor = gradus.tensor(3.0)

        @gradus.compile
        def scaled(self, x: Any) -> Any:
            return x * self.factor

    scaler, layer = Scaler(), nn.Linear(4, 3)
    run = gradus.compile(layer)
    for k in range(4):
        x = batch(k, 5, 4)
        np.testing.assert_allclose(scaler.scaled(x).numpy(), x.numpy() * 3.0)
        np.testing.assert_allclose(run(x).detach().numpy(), layer(x).detach().numpy(), rtol=1e-6)
    assert len(run.specialisations) == 1


def test_arguments_of_every_form(same) -> None:
    def f(pair: Any, options: Any, *, scale: Any, mode: str = "sum") -> Any:
        total = pair[0] * options["w"] + pair[1][0] * scale
        return total.sum() if mode == "sum" else total

    def build() -> Any:
        return (
            lambda x: f((x, [x + 1.0]), {"w": x * 2.0}, scale=0.5, mode="all"),
            lambda k: (batch(k, 3),),
            list,
        )

    same(build)
    compiled = gradus.compile(f)
    for k in range(3):
        x = batch(k, 3)
        got = compiled((x, [x + 1.0]), {"w": x * 2.0}, scale=0.5)
        np.testing.assert_allclose(got.item(), f((x, [x + 1.0]), {"w": x * 2.0}, scale=0.5).item(), rtol=1e-6)
    assert len(compiled.specialisations) == 1


def test_an_argument_is_returned_as_it_is() -> None:
    compiled = gradus.compile(lambda x: (x, x * 2.0))
    for k in range(4):
        x = batch(k, 3)
        first, second = compiled(x)
        assert first is x
        np.testing.assert_array_equal(second.numpy(), x.numpy() * 2)


def test_the_gradient_of_an_argument(same) -> None:
    def f(x: Any) -> Any:
        (x * x).sum().backward()
        return x.grad

    def arguments(k: int) -> Any:
        return (batch(k, 3).requires_grad_(),)

    same(lambda: (f, arguments, list))
    compiled = gradus.compile(f)
    for k in range(3):
        (x,) = arguments(k)
        compiled(x)
        np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy(), rtol=1e-6)


def test_gradients_add_up_in_an_argument() -> None:
    x = batch(0, 3).requires_grad_()

    @gradus.compile
    def f(x: Any) -> None:
        (x * x).sum().backward()

    for k in range(5):
        f(x)
        np.testing.assert_allclose(x.grad.numpy(), 2 * (k + 1) * x.detach().numpy(), rtol=1e-5)


def test_backward_from_outside_says_where_to_put_it() -> None:
    w = gradus.ones(3).requires_grad_()
    f = gradus.compile(lambda: (w * 2.0).sum())
    f()
    with pytest.raises(gradus.errors.GradError, match="from outside"):
        f().backward()


def test_backward_into_what_was_computed_outside_raises() -> None:
    w = gradus.ones(3).requires_grad_()

    @gradus.compile
    def f(h: Any) -> None:
        h.sum().backward()

    f(w * 2.0)
    with pytest.raises(gradus.errors.TraceError, match="computed outside"):
        f(w * 3.0)
    np.testing.assert_array_equal(w.grad.numpy(), [2, 2, 2])


def test_a_write_is_seen_by_the_backward_pass_of_a_graph_outside() -> None:
    w = gradus.ones(3).requires_grad_()

    @gradus.compile
    def step() -> None:
        with gradus.no_grad():
            w.mul_(0.5)

    step()
    step()
    outside = (w * w).sum()
    step()
    with pytest.raises(gradus.errors.AliasError, match="modified by an inplace operation"):
        outside.backward()

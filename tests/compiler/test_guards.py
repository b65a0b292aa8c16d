"""When a compiled function is traced anew, and when not; each program is right for its own case."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import nn, optim
from gradus.errors import UsageWarning
from gradus.nn import functional as F

FACTOR = 2.0
LIMITS = {"high": 1.5}


class Config:
    """A class that is used as a bag of settings."""

    scale = 3.0


@dataclass(slots=True)
class Slotted:
    scale: float = 2.0
    unused: int = 0


class Callable_:
    def __init__(self, scale: float) -> None:
        self.scale, self.calls = scale, 0

    def __call__(self, x: Any) -> Any:
        return self.inner(x)

    def inner(self, x: Any) -> Any:
        return x * self.scale


def ramp(*shape: int) -> gradus.Tensor:
    return gradus.from_numpy(np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8)


def traces(f: Callable[..., Any], change: Callable[[], Any], again: bool = True, x: Any = None) -> int:
    """How many programs there are after three calls, a change, three calls and the way back; results equal eager mode's throughout."""
    compiled = gradus.compile(f)
    x = ramp(2, 3) if x is None else x

    def check() -> None:
        for _ in range(3):
            gradus.manual_seed(3)
            got = compiled(x)
            gradus.manual_seed(3)
            np.testing.assert_allclose(got.detach().numpy(), f(x).detach().numpy(), rtol=1e-6)

    check()
    before = len(compiled.specialisations)
    change()
    check()
    return len(compiled.specialisations) - before


def test_eval_and_train() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    f = gradus.compile(net)
    for mode in (True, True, True, False, False, True, False, True):
        net.train(mode)
        gradus.manual_seed(1)
        got = f(ramp(2, 3))
        gradus.manual_seed(1)
        np.testing.assert_allclose(got.detach().numpy(), net(ramp(2, 3)).detach().numpy(), rtol=1e-6)
    assert len(f.specialisations) == 2
    net.eval(), net.train()
    f(ramp(2, 3))
    assert len(f.specialisations) == 2


def test_dropout_probability() -> None:
    net = nn.Dropout(0.5)
    assert traces(lambda x: net(x), lambda: setattr(net, "p", 0.25)) == 1


def test_a_closure_number() -> None:
    factor = 2.0

    def change() -> None:
        nonlocal factor
        factor = 5.0

    assert traces(lambda x: x * factor, change) == 1


def test_a_global_number(monkeypatch) -> None:
    assert traces(lambda x: x * FACTOR, lambda: monkeypatch.setitem(globals(), "FACTOR", 7.0)) == 1


def test_a_global_dictionary(monkeypatch) -> None:
    assert traces(lambda x: x.clamp(0.0, LIMITS["high"]), lambda: monkeypatch.setitem(LIMITS, "high", 0.25)) == 1


def test_a_function_that_is_called(monkeypatch) -> None:
    monkeypatch.setitem(globals(), "helper", lambda x: x * 2.0)
    assert traces(lambda x: helper(x), lambda: monkeypatch.setitem(globals(), "helper", lambda x: x * 3.0)) == 1  # noqa: F821


def test_a_number_of_a_function_that_is_called(monkeypatch) -> None:
    def inner(x: Any) -> Any:
        return x * FACTOR

    assert traces(lambda x: inner(x), lambda: monkeypatch.setitem(globals(), "FACTOR", 7.0)) == 1


def test_an_attribute_of_a_class(monkeypatch) -> None:
    assert traces(lambda x: x * Config.scale, lambda: monkeypatch.setattr(Config, "scale", 4.0)) == 1


def test_an_attribute_that_an_object_has_from_its_class() -> None:
    config = Config()
    assert traces(lambda x: x * config.scale, lambda: setattr(config, "scale", 4.0)) == 1


def test_a_method_that_its_class_has_anew(monkeypatch) -> None:
    """As when a cell of a notebook mends a class that has instances."""
    object_ = Callable_(2.0)
    assert traces(lambda x: object_(x), lambda: monkeypatch.setattr(Callable_, "inner", lambda self, x: x * 5.0)) == 1

    class Model(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2.0

    class Child(Model):
        @property
        def scale(self) -> float:
            return 2.0

    model = Child()
    assert traces(model, lambda: setattr(Model, "forward", lambda self, x: x * 3.0)) == 1
    assert traces(model, lambda: setattr(Child, "forward", lambda self, x: x * 4.0)) == 1
    assert traces(lambda x: x * model.scale, lambda: setattr(Child, "scale", property(lambda self: 7.0))) == 1


@pytest.mark.parametrize("make", [lambda: types.SimpleNamespace(scale=2.0, unused=0), Slotted, lambda: Callable_(2.0)])
def test_an_attribute_of_a_plain_object(make: Callable[[], Any]) -> None:
    config = make()
    assert traces(lambda x: x * config.scale, lambda: setattr(config, "scale", 4.0)) == 1


def test_an_object_that_is_called() -> None:
    thing = Callable_(2.0)
    assert traces(lambda x: thing(x), lambda: setattr(thing, "scale", 4.0)) == 1


def test_a_nested_object() -> None:
    config = types.SimpleNamespace(model=types.SimpleNamespace(scale=2.0))
    assert traces(lambda x: x * config.model.scale, lambda: setattr(config.model, "scale", 4.0)) == 1


def test_a_partial_and_a_default() -> None:
    options = {"scale": 2.0}

    def f(x: Any, o: Any = options) -> Any:
        return x * o["scale"]

    assert traces(f, lambda: options.update(scale=3.0)) == 1
    assert traces(functools.partial(lambda o, x: x * o["scale"], options), lambda: options.update(scale=4.0)) == 1


def test_a_function_inside_a_transform() -> None:
    scale = {"value": 2.0}
    slope = gradus.grad(lambda x: (x * x * scale["value"]).sum())
    assert traces(lambda x: slope(x), lambda: scale.update(value=5.0)) == 1


def test_a_python_module() -> None:
    settings = types.ModuleType("my_settings")
    settings.scale = 2.0
    assert traces(lambda x: x * settings.scale, lambda: setattr(settings, "scale", 4.0)) == 1


def test_a_set_of_the_same_size() -> None:
    chosen = {1}
    assert traces(lambda x: x * (2.0 if 1 in chosen else 3.0), lambda: (chosen.remove(1), chosen.add(2))) == 1


def test_a_model_given_as_an_argument() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    f = gradus.compile(lambda model, x: model(x))
    for mode in (True, True, True, False, False, True):
        net.train(mode)
        gradus.manual_seed(1)
        got = f(net, ramp(2, 3))
        gradus.manual_seed(1)
        np.testing.assert_allclose(got.detach().numpy(), net(ramp(2, 3)).detach().numpy(), rtol=1e-6)
    assert len(f.specialisations) == 2


def test_a_parameter_that_is_replaced() -> None:
    net = nn.Linear(3, 3)
    assert traces(lambda x: net(x), lambda: setattr(net, "weight", nn.Parameter(gradus.ones(3, 3)))) == 1


def test_a_tensor_that_is_replaced() -> None:
    table = {"w": gradus.ones(3)}
    assert traces(lambda x: x * table["w"], lambda: table.update(w=gradus.ones(3) * 4.0)) == 1


def test_data_rebound() -> None:
    w = gradus.ones(3)
    assert traces(lambda x: x * w, lambda: setattr(w, "data", gradus.ones(3) * 2.0)) == 1


def test_memory_written_by_others_is_read_at_each_call() -> None:
    w = gradus.ones(3)
    assert traces(lambda x: x * w, lambda: w.mul_(3.0)) == 0


def test_requires_grad() -> None:
    w = gradus.ones(3)
    assert traces(lambda x: x * w, lambda: w.requires_grad_()) == 1


def test_no_grad_around_the_call() -> None:
    w = gradus.ones(3).requires_grad_()
    f = gradus.compile(lambda x: x * w)
    for enabled in (True, True, True, False, False, True):
        with gradus.set_grad_enabled(enabled):
            assert f(ramp(3)).requires_grad is enabled
    assert len(f.specialisations) == 2


def test_default_dtype() -> None:
    f = gradus.compile(lambda x: gradus.zeros(3) + 1.0)
    try:
        for dtype in (gradus.float32, gradus.float32, gradus.float32, gradus.float64, gradus.float64):
            gradus.set_default_dtype(dtype)
            assert f(ramp(3)).dtype == dtype
    finally:
        gradus.set_default_dtype(gradus.float32)
    assert len(f.specialisations) == 2


def test_hooks() -> None:
    net, w = nn.Linear(3, 3), gradus.ones(3).requires_grad_()

    def f(x: Any) -> Any:
        w.grad = None
        (net(x) * w).sum().backward()
        return w.grad

    handles: list[Any] = []
    assert traces(f, lambda: handles.append(net.register_forward_hook(lambda m, a, y: y * 2.0))) == 1
    assert traces(f, lambda: handles.append(net.register_forward_hook(lambda m, a, y: y * 2.0))) == 1
    assert traces(f, lambda: handles.append(w.register_hook(lambda g: g * 3.0))) == 1
    assert traces(f, lambda: [handle.remove() for handle in handles]) == 1


def test_arguments() -> None:
    def f(x: Any, factor: Any = 1.0, mode: str = "a", *rest: Any, extra: Any = None) -> Any:
        y = x * factor if mode == "a" else x + factor
        return y if extra is None else y + extra[0]

    compiled = gradus.compile(f)
    x, y = ramp(2, 3), ramp(2, 3) + 1.0
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((x,), {}),
        ((x, 2.0), {}),
        ((x, 2), {}),
        ((x, 2.0, "b"), {}),
        ((x, y), {}),
        ((x, x), {}),
        ((x,), {"extra": [y]}),
        ((x,), {"extra": (y,)}),
        ((x[:1],), {}),
        ((x.double(),), {}),
        ((x.T,), {}),
        ((x, True), {}),
        ((x, -0.0), {}),
        ((x, 0.0), {}),
    ]
    compiled(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsageWarning)
        for _ in range(2):
            for args, kwargs in calls:
                wanted = f(*args, **kwargs).numpy()
                got = compiled(*args, **kwargs).numpy()
                assert got.dtype == wanted.dtype
                np.testing.assert_array_equal(np.copysign(1.0, got), np.copysign(1.0, wanted))
                np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert len(compiled.specialisations) == len(calls)


def training() -> tuple[Any, Any, Any, Any]:
    net = nn.Linear(3, 2)
    opt = optim.SGD(net.parameters(), lr=0.1)
    tracker = types.SimpleNamespace(calls=0, schedule=optim.lr_scheduler.StepLR(opt, 1, 0.9))

    @gradus.compile
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    return net, opt, tracker, step


def test_what_must_not_trace_again() -> None:
    _, opt, tracker, step = training()
    y = gradus.tensor([0, 1])
    for k in range(12):
        tracker.calls += 1
        tracker.schedule.step()
        opt.param_groups[0]["lr"] = 0.1 / (k + 1)
        opt.unrelated = k
        step(ramp(2, 3) + k, y)
    assert len(step.specialisations) == 1


def test_a_group_added() -> None:
    _, opt, _, step = training()
    other = gradus.ones(3).requires_grad_()
    y = gradus.tensor([0, 1])
    for k in range(6):
        if k == 3:
            opt.add_param_group({"params": [other]})
        step(ramp(2, 3), y)
    assert len(step.specialisations) == 2


def test_a_counter_on_an_object_that_is_used_otherwise() -> None:
    config = Slotted()
    f = gradus.compile(lambda x: x * config.scale)
    for k in range(6):
        config.unused = k
        f(ramp(3))
    assert len(f.specialisations) == 1


def test_an_option_of_an_optimizer_that_decides() -> None:
    _, opt, _, step = training()
    y = gradus.tensor([0, 1])
    for k in range(9):
        opt.param_groups[0]["weight_decay"] = (0.0, 0.1, 0.2)[k // 3]
        step(ramp(2, 3), y)
    assert len(step.specialisations) == 2  # none, and some


def test_the_storm_is_named() -> None:
    factor = {"now": 0.0}

    def scaled(x: Any) -> Any:
        return x * factor["now"]

    f = gradus.compile(scaled)

    def storm() -> None:
        for k in range(8):
            factor["now"] = float(k)
            f(ramp(3))

    with pytest.warns(UsageWarning, match=r"E43: scaled was traced 5 times.*factor\['now'\]: 4.0 became 5.0.*gradus.tensor") as caught:
        storm()
    assert len(caught) == 1
    assert caught[0].filename == __file__

"""What a traced step could get wrong without anybody noticing: it equals eager mode, or raises and says where and what to do."""

from __future__ import annotations

import collections
import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import nn, optim
from gradus.errors import AliasError, TraceError

SHARED = np.random.default_rng(5)


def ramp(*shape: int) -> gradus.Tensor:
    return gradus.from_numpy(np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8)


def agree(f: Callable[..., Any], *calls: Any) -> Any:
    """Compiled calls give what eager ones give."""
    compiled = gradus.compile(f)
    for k, x in enumerate(calls):
        np.testing.assert_allclose(compiled(x).detach().numpy(), f(x).detach().numpy(), rtol=1e-6, err_msg=f"call {k}")
    return compiled


def refused(f: Callable[..., Any], *args: Any, match: str, kind: type[Exception] = TraceError) -> Exception:
    """The first call runs eagerly, the second raises; the user's file is named."""
    compiled = gradus.compile(f)
    compiled(*args)
    with pytest.raises(kind, match=match) as caught:
        compiled(*args)
    assert __file__ in str(caught.value), caught.value
    assert caught.value.fix
    assert not any(isinstance(x.value, gradus.compiler.tracers.Tracer) for x in args if isinstance(x, gradus.Tensor))
    return caught.value


# Optimisers.


def test_state_that_an_optimizer_makes_late(same) -> None:
    """A layer that is thawed later gets its buffers in the middle of training."""

    def build() -> Any:
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
        net[0].requires_grad_(False)
        opt = optim.Adam(net.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            loss = net(x).square().sum()
            opt.zero_grad()
            loss.backward()
            opt.step()
            return loss

        def arguments(k: int) -> Any:
            if k == 4:
                net[0].requires_grad_(True)
            return (ramp(2, 3) + k,)

        return step, arguments, lambda: [list(net.parameters()), [dict(s) for s in opt.state.values()]]

    same(build, calls=9, traces=2, rtol=1e-4, atol=1e-5)


def test_momentum_switched_on_later(same) -> None:
    def build() -> Any:
        w = ramp(3).requires_grad_()
        opt = optim.SGD([w], lr=0.1)

        def step(x: Any) -> None:
            opt.zero_grad()
            (w * x).square().sum().backward()
            opt.step()

        def arguments(k: int) -> Any:
            opt.param_groups[0]["momentum"] = 0.9 if k > 3 else 0.0
            return (ramp(3) + k,)

        return step, arguments, lambda: (w.detach(), [dict(s) for s in opt.state.values()])

    same(build, calls=8, traces=2, rtol=1e-4, atol=1e-5)


class Rebinding(optim.Optimizer):
    """An optimiser that makes new tensors in place of its state."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    def step(self, closure: Any = None) -> None:
        with gradus.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["m"] = self.state[p].get("m", gradus.zeros(3)) * 0.9 + p.grad
                    p -= 0.1 * self.state[p]["m"]


def test_state_that_an_optimizer_replaces() -> None:
    w = ramp(3).requires_grad_()
    opt = Rebinding([w])

    def step() -> None:
        opt.zero_grad()
        (w * w).sum().backward()
        opt.step()

    refused(step, match="kept after the call|Python value changed")


def test_state_replaced_between_calls(same) -> None:
    def build() -> Any:
        w = ramp(3).requires_grad_()
        opt = optim.SGD([w], lr=0.1, momentum=0.9)
        fresh = opt.state_dict()

        def step(x: Any) -> None:
            opt.zero_grad()
            (w * x).square().sum().backward()
            opt.step()

        def arguments(k: int) -> Any:
            if k == 3:
                opt.load_state_dict(fresh)
            if k == 6:
                opt.state[w]["momentum_buffer"] = gradus.ones(3)
            return (ramp(3) + k,)

        return step, arguments, lambda: (w.detach(), [dict(s) for s in opt.state.values()])

    same(build, calls=9, traces=3, rtol=1e-4, atol=1e-5)


def test_a_schedule_inside_the_step() -> None:
    w = ramp(3).requires_grad_()
    opt = optim.SGD([w], lr=0.1)
    schedule = optim.lr_scheduler.StepLR(opt, 1, 0.5)

    def step() -> None:
        opt.zero_grad()
        (w * w).sum().backward()
        opt.step()
        schedule.step()

    refused(step, match="Python value changed|cannot")


# Memory.


def written_then_read(x: Any) -> Any:
    y = x * 2.0
    row = y[0]
    y += 1.0
    return row


def view_written(x: Any) -> Any:
    y = x * 2.0
    y[1].mul_(3.0)
    y[:, 0] += 5.0
    return y


def transposed_view_written(x: Any) -> Any:
    y = x + 0.0
    y.T[0].fill_(7.0)
    y.flip(0)[0] += 1.0
    return y


def view_of_view(x: Any) -> Any:
    y = x * 1.5
    part = y[1:].T
    y[2] = 0.0
    part[1] += 4.0
    return y + part.sum()


def read_through_detach(x: Any) -> Any:
    y = x * 2.0
    same = y.detach()
    same.add_(1.0)
    return y


def item_set(x: Any) -> Any:
    y = gradus.zeros(4, 3)
    for k in range(4):
        y[k] = x[k] * k
    y[y > 3.0] = -1.0 if x.shape[0] < 4 else 0.0
    return y


def accumulator(x: Any) -> Any:
    total = gradus.zeros(3)
    for row in x:
        total += row
    return total


MEMORY = [written_then_read, view_written, transposed_view_written, view_of_view, read_through_detach, accumulator]


@pytest.mark.parametrize("f", MEMORY, ids=lambda f: f.__name__)
def test_views_and_writes(f: Callable[..., Any]) -> None:
    with gradus.no_grad():
        compiled = agree(f, *[ramp(4, 3) + k for k in range(4)])
    assert len(compiled.specialisations) == 1


def test_a_reshaped_view_after_a_write_equals_eager_or_raises() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        flat = y.reshape(-1)
        y += 1.0
        return flat

    with gradus.no_grad():
        refused(f, ramp(4, 3), match="cannot tell whether reshape", kind=AliasError)


def test_a_write_between_forward_and_backward_raises_as_in_eager_mode() -> None:
    w = ramp(3).requires_grad_()

    def f(x: Any, damage: Any) -> Any:
        y = w * x
        z = y * y
        if damage.shape[0] == 2:
            with gradus.no_grad():
                y.add_(1.0)
        z.sum().backward()
        return z

    compiled = gradus.compile(f)
    compiled(ramp(3), ramp(1))
    compiled(ramp(3), ramp(1))
    for call in (f, compiled):
        with pytest.raises(AliasError, match="modified by an inplace operation"):
            call(ramp(3), ramp(2))


def test_a_recorded_write_has_the_gradient_of_eager_mode(same) -> None:
    def build() -> Any:
        w = ramp(3).requires_grad_()

        def f(x: Any) -> Any:
            w.grad = None
            y = w * x
            y.mul_(x)
            y += w
            z = gradus.zeros(2, 3)
            z[0] = y
            z[1] = y * w
            z.square().sum().backward()
            return z

        return f, lambda k: (ramp(3) + k,), lambda: w.grad

    same(build)


def test_a_recorded_write_to_a_view_raises() -> None:
    w = ramp(3).requires_grad_()

    def f() -> Any:
        y = gradus.zeros(2, 3)
        y[0].add_(w)
        return y

    refused(f, match="on a view", kind=AliasError)


def test_a_view_taken_outside_of_memory_that_is_written() -> None:
    w = ramp(4, 3)
    row = w[1]

    def f(x: Any) -> Any:
        w.add_(x)
        return row * 2.0

    refused(f, ramp(3), match="also reaches by way of another", kind=AliasError)


def test_two_tensors_of_the_same_memory(same) -> None:
    def build() -> Any:
        w = ramp(3)
        same_memory = w.detach()

        def f(x: Any) -> Any:
            w.add_(x)
            return same_memory * 2.0

        return f, lambda k: (ramp(3) + k,), lambda: w

    same(build)


def test_an_argument_that_shares_memory_with_what_is_written() -> None:
    w = ramp(3)

    def f(x: Any) -> Any:
        w.add_(1.0)
        return x * 2.0

    compiled = gradus.compile(f)
    for _ in range(3):
        compiled(ramp(3))
    with pytest.raises(AliasError, match="also reaches by way of another"):
        compiled(w[:])
    np.testing.assert_allclose(compiled(w).numpy(), 2 * w.numpy())  # the very tensor: one memory, known to be one


def test_an_argument_written_in_place(same) -> None:
    def f(x: Any) -> Any:
        x.mul_(2.0)
        return x.sum()

    kept: list[Any] = []

    def arguments(k: int) -> Any:
        kept[:] = [ramp(4, 3) + k]
        return tuple(kept)

    same(lambda: (f, arguments, lambda: kept))


def test_an_argument_of_the_trace_that_is_a_parameter() -> None:
    w, other = ramp(3), ramp(3) * 100.0
    f = gradus.compile(lambda x: x + w)
    for x in (w, w, w, other, other, w):
        np.testing.assert_allclose(f(x).numpy(), x.numpy() + w.numpy())


@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[:, ::2], lambda x: x.flip(0), lambda x: x[1:], lambda x: x[:1].expand(3, 4)])
def test_input_that_does_not_lie_in_order(view: Callable[..., Any]) -> None:
    def f(x: Any) -> Any:
        return (x * 2.0 + x.sum(0)).tanh() @ x.T

    agree(f, *[view(ramp(3, 4) + k) for k in range(3)], view(ramp(3, 4)).clone(), view(ramp(3, 4)))


def test_equal_gradients_have_memory_of_their_own() -> None:
    a, b = ramp(3).requires_grad_(), ramp(3).requires_grad_()

    @gradus.compile
    def f(x: Any) -> None:
        a.grad = b.grad = None
        ((a + b) * x).sum().backward()

    for _ in range(3):
        f(ramp(3))
        a.grad.zero_()
        np.testing.assert_array_equal(b.grad.numpy(), ramp(3).numpy())


def test_results_of_two_calls_have_memory_of_their_own() -> None:
    f = gradus.compile(lambda x: (x * 2.0, gradus.zeros(3)))
    results = [f(ramp(3) + k) for k in range(4)]
    results[2][1].add_(1.0)
    for k, (y, z) in enumerate(results):
        np.testing.assert_array_equal(y.numpy(), (ramp(3).numpy() + np.float32(k)) * 2)
        assert (z.sum().item() == 0.0) is (k != 2)


# Settings.


def test_requires_grad_switched_off_later(same) -> None:
    def build() -> Any:
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
        opt = optim.SGD(net.parameters(), lr=0.1)

        def step(x: Any) -> None:
            opt.zero_grad()
            net(x).square().sum().backward()
            opt.step()

        def arguments(k: int) -> Any:
            net[0].weight.requires_grad = k < 4
            return (ramp(2, 3) + k,)

        return step, arguments, lambda: (list(net.parameters()), [p.grad for p in net.parameters()])

    # One more for the call that finds a gradient of before the change.
    same(build, calls=8, traces=3, rtol=1e-4, atol=1e-5)


def test_a_module_appended_to_a_list() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            self.plain, self.registered = [nn.Linear(3, 3)], nn.ModuleList([nn.Linear(3, 3)])

        def forward(self, x: Any) -> Any:
            for layer in [*self.plain, *self.registered]:
                x = layer(x)
            return x

    net = Plain()
    f = gradus.compile(net)
    for change in (None, None, lambda: net.plain.append(nn.Linear(3, 3)), lambda: net.registered.append(nn.Linear(3, 3)), net.plain.pop):
        if change:
            change()
        np.testing.assert_allclose(f(ramp(2, 3)).detach().numpy(), net(ramp(2, 3)).detach().numpy(), rtol=1e-5)
    assert len(f.specialisations) == 4


def test_an_array_from_outside_is_read_at_each_call() -> None:
    table = np.ones(3, np.float32)
    agree_direct = gradus.compile(lambda x: x * table)
    agree_copied = gradus.compile(lambda x: x * gradus.tensor(table))
    for k in range(4):
        table[:] = k
        np.testing.assert_array_equal(agree_direct(ramp(3)).numpy(), ramp(3).numpy() * k)
        np.testing.assert_array_equal(agree_copied(ramp(3)).numpy(), ramp(3).numpy() * k)


GENERATORS: dict[str, Callable[[], Any]] = {
    "np.random": lambda: float(np.random.rand()),
    "random": random.random,
    "np.random.Generator": lambda: float(SHARED.standard_normal()),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_random_numbers_that_are_not_gradus(name: str) -> None:
    draw = GENERATORS[name]

    def f(x: Any) -> Any:
        return x * draw()

    refused(f, ramp(3), match="cannot draw")


def test_seeding_again(same) -> None:
    def build() -> Any:
        def arguments(k: int) -> Any:
            if k % 3 == 0:
                gradus.manual_seed(k // 6)
            return (ramp(3),)

        return lambda x: x + gradus.rand(3), arguments, lambda: gradus.default_generator().counter

    same(build, calls=12, traces=2)


# What must not leave.


class Keeper:
    """Somewhere to put things."""

    def __init__(self) -> None:
        self.kept: Any = None
        self.table: dict[str, Any] = {}
        self.items: list[Any] = []


KEEPER = Keeper()


def test_a_tensor_kept_in_an_attribute() -> None:
    def f(x: Any) -> Any:
        KEEPER.kept = x * 2.0
        return KEEPER.kept.sum()

    error = refused(f, ramp(3), match="kept after the call")
    assert "Keeper.kept" in str(error)
    with pytest.raises(TraceError, match="used after the call"):
        KEEPER.kept + 1.0
    KEEPER.kept = None


@pytest.mark.parametrize("keep", [lambda x: KEEPER.items.append(x), lambda x: KEEPER.table.update(y=x)])
def test_a_tensor_kept_in_a_container(keep: Callable[..., Any]) -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        keep(y)
        return y.sum()

    refused(f, ramp(3), match="kept after the call")
    KEEPER.items.clear(), KEEPER.table.clear()


def test_a_list_that_grows() -> None:
    counts: list[int] = []

    def f(x: Any) -> Any:
        counts.append(1)
        return x * 2.0

    refused(f, ramp(3), match="Python value changed")


def test_a_counter_that_moves() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            self.count = 0

        def forward(self, x: Any) -> Any:
            self.count += 1
            return x * self.count

    net = Counted()
    f = gradus.compile(net)
    f(ramp(3))
    with pytest.raises(TraceError, match=r"count: 1 became 2"):
        f(ramp(3))


def test_a_buffer_that_is_replaced() -> None:
    class Running(nn.Module):
        def __init__(self) -> None:
            self.register_buffer("mean", gradus.zeros(3))

        def forward(self, x: Any) -> Any:
            self.mean = self.mean * 0.9 + x * 0.1
            return x - self.mean

    f = gradus.compile(Running())
    f(ramp(3))
    with pytest.raises(TraceError, match="kept after the call"):
        f(ramp(3))


def test_a_hook_registered_inside() -> None:
    w = ramp(3).requires_grad_()

    def f() -> Any:
        w.register_hook(lambda g: g * 2.0)
        return w.sum()

    refused(f, match="hook")


def test_a_constant_that_takes_over_a_history() -> None:
    w, memory = ramp(3).requires_grad_(), gradus.zeros(3)

    def f() -> Any:
        memory.copy_(w * 2.0)
        return memory.sum()

    compiled = gradus.compile(f)
    memory = gradus.zeros(3)
    compiled()
    memory = gradus.zeros(3)
    with pytest.raises(TraceError, match="took over a history"):
        compiled()


# Numbers that are not there.

ASKING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "item": (lambda x: x.sum().item(), r"item\(\) needs numbers"),
    "float": (lambda x: float(x.sum()), r"item\(\) needs numbers"),
    "int": (lambda x: int(x.sum()), r"item\(\) needs numbers"),
    "numpy": (lambda x: (x * 2.0).numpy(), r"numpy\(\) needs numbers"),
    "np.asarray": (lambda x: np.asarray(x), r"numpy\(\) needs numbers"),
    "tolist": (lambda x: x.tolist(), r"tolist\(\) needs numbers"),
    "if": (lambda x: x if x.sum() > 0 else -x, "cannot branch"),
    "and": (lambda x: (x.sum() > 0) and x, "cannot branch"),
    "mask": (lambda x: x[x > 0].sum(), "select by a mask"),
    "format": (lambda x: f"{x.sum():.3f}", r"item\(\) needs numbers"),
    "in": (lambda x: 1.0 in x, "cannot branch"),
}


@pytest.mark.parametrize("name", ASKING)
def test_a_question_about_numbers(name: str) -> None:
    f, match = ASKING[name]
    error = refused(lambda x: f(x), ramp(3), match=match)
    assert error.code == "E42"
    assert error.fix
    assert ("return it" in error.fix) == ("needs numbers" in match)


def test_the_numbers_of_a_tensor_from_outside_are_not_there_either() -> None:
    w = ramp(3)
    f = gradus.compile(lambda x: x * w.tolist()[1])
    f(ramp(3))
    with pytest.raises(TraceError, match=r"tolist\(\) needs numbers"):
        f(ramp(3))


def test_printing_shows_what_there_is(capsys) -> None:
    def f(x: Any) -> Any:
        print(x * 2.0)
        return x.sum()

    compiled = gradus.compile(f)
    compiled(ramp(3)), compiled(ramp(3)), compiled(ramp(3))
    assert capsys.readouterr().out.count("<traced float32[3]>") == 1


# A trace that ends in an error.


def world_of(*objects: Any) -> Any:
    """Everything that could have been left changed."""
    tensors = [(x.value, x.value.copy(), x._grad, x.requires_grad, x.node) for x in objects]
    generator = gradus.default_generator()
    return (
        [t[1].tolist() for t in tensors],
        [t[2] for t in tensors],
        [t[3:] for t in tensors],
        generator.get_state(),
        gradus.mode.MODE.world,
        gradus.is_grad_enabled(),
    )


def failing(kind: str, net: nn.Module, opt: optim.Optimizer) -> Callable[..., Any]:
    def step(x: Any, fail: Any) -> Any:
        opt.zero_grad()
        loss = (net(x) * gradus.rand(2)).sum()
        loss.backward()
        opt.step()
        with gradus.no_grad():
            net[1].running_mean.add_(1.0)
            x.mul_(2.0)
            if fail.shape[0] == 2:
                if kind == "shape":
                    return loss + x @ x
                if kind == "item":
                    return loss.item()
                if kind == "user":
                    raise KeyError("mine")
                return net(x[:, :2])
        return loss

    return step


@pytest.mark.parametrize(
    "kind, raised", [("shape", gradus.errors.ShapeError), ("item", TraceError), ("user", KeyError), ("layer", gradus.errors.ShapeError)]
)
def test_an_aborted_trace_leaves_no_trace(kind: str, raised: type[Exception]) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    opt = optim.Adam(net.parameters())
    step = gradus.compile(failing(kind, net, opt))
    go, stop = ramp(1), ramp(2)
    for _ in range(3):
        step(ramp(5, 3), go)
    x = ramp(5, 3)
    everything = [
        x,
        *net.parameters(),
        *net.buffers(),
        *(t for s in opt.state.values() for t in s.values() if isinstance(t, gradus.Tensor)),
    ]
    before = world_of(*everything), [dict(s) for s in opt.state.values()], gradus.versions.LATEST[0], dict(gradus.versions._written)
    counts = [s["step"] for s in opt.state.values()]
    with pytest.raises(raised) as caught:
        step(x, stop)
    after = world_of(*everything)
    assert after[0] == before[0][0] and after[2:] == before[0][2:]
    assert all(a is b for a, b in zip(after[1], before[0][1], strict=True))
    assert [s["step"] for s in opt.state.values()] == counts
    assert gradus.versions._written.keys() <= before[3].keys()
    assert type(x.value) is np.ndarray
    step(x, go)
    if kind != "item":
        with pytest.raises(raised) as eager:
            step.function(ramp(5, 3), stop)
        assert str(eager.value).replace("'", "") == str(caught.value).replace("'", "")
    else:
        assert isinstance(step.function(ramp(5, 3), stop), float)


def test_a_mask_from_outside_decides_about_shapes() -> None:
    mask = np.array([True, False, True])
    f = gradus.compile(lambda x: x[mask])
    f(ramp(3))
    with pytest.raises(TraceError, match="select by a mask"):
        f(ramp(3))


def test_arguments_that_share_memory_when_one_is_written() -> None:
    def f(x: Any, y: Any) -> Any:
        x.mul_(2.0)
        return x + y

    compiled = gradus.compile(f)
    for _ in range(3):
        np.testing.assert_allclose(compiled(ramp(3), ramp(3)).numpy(), 3 * ramp(3).numpy())
    z = ramp(3)
    with pytest.raises(AliasError, match="also reaches by way of another"):
        compiled(z, z[:])


# Iterators.


def numbers_of_a_generator() -> Any:
    for k in range(1000, 1010):
        yield float(k)


ITERATORS: dict[str, Callable[[], Any]] = {
    "loader": lambda: itertools.chain.from_iterable(gradus.data.DataLoader(gradus.data.TensorDataset(gradus.arange(8.0)), batch_size=2)),
    "generator": numbers_of_a_generator,
    "generator expression": lambda: (float(k) for k in [1, 1, 1, 1]),
    "list": lambda: iter([1.0, 2.0, 3.0, 4.0]),
    "reversed": lambda: reversed([1.0, 2.0, 3.0, 4.0]),
    "map": lambda: map(float, [1, 2, 3, 4]),
    "count": lambda: itertools.count(1.0),
    "cycle": lambda: itertools.cycle([1.0, 2.0]),
    "chain": lambda: itertools.chain([1.0, 2.0], [3.0, 4.0]),
    "deque": lambda: iter(collections.deque([1.0, 2.0, 3.0])),
}


@pytest.mark.parametrize("name", ITERATORS)
def test_the_next_item_of_an_iterator(name: str) -> None:
    """The item of the trace would be used at every later call."""
    items = ITERATORS[name]()
    refused(lambda x: x * next(items), gradus.ones(2), match="cannot take items from an iterator")


def test_an_iterator_that_stays_where_it_is() -> None:
    items = [enumerate(["a"] * 3), itertools.repeat(2.0), iter(range(10**30)), numbers_of_a_generator()]
    next(items[0])
    next(items[3])

    def f(x: Any) -> Any:
        assert len(items) == 4
        return x * next(items[1])

    f = gradus.compile(f)
    assert [f(gradus.ones(1)).item() for _ in range(3)] == [2.0, 2.0, 2.0]
    assert next(items[0]) == (1, "a") and next(items[2]) == 0 and next(items[3]) == 1001.0

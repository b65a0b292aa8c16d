"""A hostile but legal user: compiled code does what eager code does, or refuses in words; it never goes quietly wrong."""

from __future__ import annotations

import collections
import copy
import itertools
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import nn
from gradus.compiler import native
from gradus.errors import PACKAGE_FOLDER

X = gradus.ones(3)


def doubled(x: gradus.Tensor) -> gradus.Tensor:
    return x * 2


compiled_doubled = gradus.compile(doubled)


@gradus.compile
def decorated(x: gradus.Tensor) -> gradus.Tensor:
    return x * 2


def warm(f: Callable[..., Any], *args: Any) -> Any:
    for _ in range(3):
        result = f(*args)
    return result


# Values that compare in odd ways.


@pytest.mark.parametrize("after", [float("nan"), -0.0, np.float64(0.0)])
def test_a_number_outside_that_becomes_an_odd_one(after: Any) -> None:
    factor: Any = 0.0
    f = gradus.compile(lambda x: x * factor)
    warm(f, X)
    factor = after
    np.testing.assert_array_equal(np.signbit(f(X).numpy()), np.signbit(np.ones(3) * after))
    np.testing.assert_array_equal(f(X).numpy(), np.ones(3) * after)


def test_an_argument_that_becomes_minus_zero() -> None:
    f = gradus.compile(lambda x, s: x * s)
    warm(f, X, np.float64(0.0))
    assert np.signbit(f(X, np.float64(-0.0)).numpy()).all()


def test_nan_stays_the_same_number() -> None:
    factor = np.float32("nan")
    f = gradus.compile(lambda x, s: x * s * factor)
    for _ in range(4):
        factor = np.float32("nan")
        f(X, np.float32("nan"))
    assert len(f.specialisations) == 1


def test_equal_slices_share_a_program() -> None:
    f = gradus.compile(lambda x, s, n: x[s] * sum(n))
    for _ in range(4):
        f(X, slice(0, 2), range(3))
    assert len(f.specialisations) == 1
    assert f(X, slice(0, 1), range(3)).shape == (1,)


def test_defaults_that_are_replaced() -> None:
    def scaled(x, factor=2.0, *, shift=1.0):
        return x * factor + shift

    f = gradus.compile(scaled)
    assert (warm(f, X).numpy() == 3).all()
    scaled.__defaults__ = (5.0,)
    assert (f(X).numpy() == 6).all()
    scaled.__kwdefaults__["shift"] = 0.0
    assert (f(X).numpy() == 5).all()


def test_an_item_of_a_mutable_default() -> None:
    def scaled(x, factors=(), more=[2.0]):  # noqa: B006
        return x * more[0]

    f = gradus.compile(scaled)
    warm(f, X)
    scaled.__defaults__[1][0] = 7.0
    assert (f(X).numpy() == 7).all()


# Memory.


@pytest.mark.parametrize("tier", ["numpy", "native"])
def test_a_read_only_array_is_not_written_to(tier: str) -> None:
    memory = np.zeros(3000, np.float32)
    memory.flags.writeable = False
    state = gradus.from_numpy(memory)

    def step(x):
        state.add_(x)
        return x * 2

    f = gradus.compile(step, tier=tier)
    for _ in range(3):
        with pytest.raises(gradus.GradusError, match="read-only"):
            f(gradus.ones(3000))
    assert not memory.any()


@pytest.mark.parametrize("tier", ["numpy", "native"])
def test_a_read_only_argument_is_not_written_to(tier: str) -> None:
    f = gradus.compile(lambda x: x.add_(1) * 2, tier=tier)
    warm(f, gradus.ones(4))
    for memory in (np.ones(4, np.float32), np.broadcast_to(np.float32(1), (4,))):
        memory.flags.writeable = False
        with pytest.raises(gradus.GradusError, match=r"\[E18\]"):
            f(gradus.from_numpy(memory))
        assert (memory == 1).all()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
def test_a_full_disk_is_not_filled_further(monkeypatch, tmp_path) -> None:
    def full(handle: int, mode: str) -> Any:
        os.close(handle)
        return open("/dev/full", mode, buffering=0)

    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path))
    monkeypatch.setattr(native.os, "fdopen", full)
    native._write("kernel_0", "symbol", b"code")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# What is compiled.


def test_copies_of_a_compiled_function() -> None:
    warm(compiled_doubled, X)
    for twin in (copy.deepcopy(compiled_doubled), pickle.loads(pickle.dumps(compiled_doubled)), copy.copy(compiled_doubled)):
        assert (warm(twin, X).numpy() == 2).all()
    warm(decorated, X)
    assert pickle.loads(pickle.dumps(decorated)) is decorated


def test_a_copied_model_takes_its_compiled_method_along() -> None:
    model = nn.Linear(3, 2)
    model.fast = gradus.compile(model.forward)
    warm(model.fast, X)
    twin = copy.deepcopy(model)
    with gradus.no_grad():
        twin.weight.fill_(0)
        twin.bias.fill_(0)
        assert (warm(twin.fast, X).numpy() == 0).all() and (model.fast(X).numpy() != 0).any()


def test_methods_of_all_kinds() -> None:
    class Scale:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        @gradus.compile
        def plain(self, x):
            return x * self.factor

        @gradus.compile
        @staticmethod
        def static(x):
            return x + 1

        @gradus.compile(tier="numpy")
        @classmethod
        def of_class(cls, x):
            return x + 2

    two, three = Scale(2.0), Scale(3.0)
    for _ in range(3):
        assert (two.plain(X).numpy() == 2).all() and (three.plain(X).numpy() == 3).all()
        assert (two.static(X).numpy() == 2).all() and (Scale.of_class(X).numpy() == 3).all()


def coroutine() -> Any:
    async def f(x):
        return x

    return f


def generator() -> Any:
    def f(x):
        yield x

    return f


@pytest.mark.parametrize("wrong", [3, coroutine(), generator()])
def test_what_does_not_return_is_refused(wrong: Any) -> None:
    with pytest.raises(gradus.GradusError, match="returns its results"):
        gradus.compile(wrong)


def test_a_result_that_can_be_read_once_is_refused() -> None:
    f = gradus.compile(lambda x: (y * 2 for y in (x, x)))
    f(X)
    with pytest.raises(gradus.GradusError, match="read once"):
        f(X)


def test_dictionaries_keep_their_type() -> None:
    def f(given):
        assert type(given) is collections.OrderedDict
        return collections.defaultdict(list, {key: x * 2 for key, x in given.items()})

    g = gradus.compile(f)
    for k in range(4):
        found = g(collections.OrderedDict(a=X * k))
        assert type(found) is collections.defaultdict and (found["a"].numpy() == 2 * k).all() and found["b"] == []


def test_recursion() -> None:
    def power(x, n):
        return x if n == 0 else f(x * 2, n - 1)

    f = gradus.compile(power)
    assert (warm(f, X, 5).numpy() == 32).all()


# Threads and processes.


def test_many_threads_take_steps() -> None:
    total = gradus.zeros(500)

    def step(x):
        total.add_(x)
        return total.sum()

    f = gradus.compile(step)
    threads = [threading.Thread(target=lambda: [f(gradus.ones(500)) for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (total.numpy() == 400).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_wait_for_a_thread_that_it_has_not() -> None:
    f = gradus.compile(doubled)
    warm(f, X)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with f.lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if (f(X).numpy() == 2).all() else 1)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0


def tracing() -> bool:
    return gradus.mode.MODE.world is not None


@pytest.mark.parametrize("moment", [0, 20, 40])
def test_ctrl_c_while_tracing_leaves_nothing_behind(moment: int) -> None:
    weight, x, interrupted = nn.Parameter(gradus.ones(3)), gradus.ones(3), []

    def step(x: gradus.Tensor) -> gradus.Tensor:
        y = weight * x
        for k in range(41):
            if k == moment and tracing() and not interrupted:
                interrupted.append(k)
                signal.raise_signal(signal.SIGINT)
            y = gradus.sin(y)
        return y

    f = gradus.compile(step)
    wanted = f(x)
    with pytest.raises(KeyboardInterrupt):
        f(x)
    assert interrupted == [moment]
    assert type(weight.value) is type(x.value) is np.ndarray and not tracing()
    assert (warm(gradus.compile(lambda x: weight * x), x).detach().numpy() == 1).all()
    np.testing.assert_allclose(warm(f, x).detach().numpy(), wanted.detach().numpy(), rtol=1e-6)


class CtrlC:
    """The signal of Ctrl-C at the ``at``-th call of one of the package's functions in a ``with`` block."""

    def __init__(self) -> None:
        self.at = self.calls = 0

    def __enter__(self) -> None:
        self.calls = 0
        sys.setprofile(self.count)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def count(self, frame: Any, event: str, arg: Any) -> None:
        code = frame.f_code
        # Python swallows what is raised while it closes a generator, so that a Ctrl-C there stops nothing.
        if event == "call" and code.co_filename.startswith(PACKAGE_FOLDER) and not code.co_name.startswith("<"):
            self.calls += 1
            if self.calls == self.at:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_any_call_of_a_trace_leaves_nothing_behind() -> None:
    weight, x, ctrl_c = nn.Parameter(gradus.ones(3)), gradus.ones(3), CtrlC()

    def step(x: gradus.Tensor) -> gradus.Tensor:
        if not tracing():
            return x
        with ctrl_c:
            return gradus.cos(weight.detach().mul_(2) * x) + x.add_(1)

    for at in itertools.count(1):
        f = gradus.compile(step)
        ctrl_c.at = 0
        f(x)
        ctrl_c.at = at
        try:
            f(x)
        except KeyboardInterrupt:
            assert ctrl_c.calls == at
            assert type(weight.value) is type(x.value) is np.ndarray and not tracing(), at
            assert weight.tolist() == x.tolist() == [1, 1, 1], at
        else:
            break
    assert at == ctrl_c.calls + 1 > 50, "interrupted at every call"


# A user's elementwise function.


def test_elementwise_reads_a_parameter() -> None:
    w, x = nn.Parameter(gradus.ones(3) * 2), gradus.ones(3).requires_grad_()
    f = gradus.elementwise(lambda a: a * w)
    for k in range(1, 4):
        f(x).sum().backward()
        assert (w.grad.numpy() == k).all() and (x.grad.numpy() == 2 * k).all()


def test_elementwise_number_that_changes_before_backward() -> None:
    factor = 1.0
    f = gradus.elementwise(lambda a: a * factor)
    x = gradus.ones(3).requires_grad_()
    y = f(x)
    factor = 5.0
    with pytest.raises(gradus.GradusError, match="changed before the backward"):
        y.sum().backward()
    f(x).sum().backward()
    assert (x.grad.numpy() == 5).all()


def test_elementwise_arguments() -> None:
    @gradus.elementwise
    def f(a, b=1.0, *, c=0.0):
        return a * 3 + c

    x, unused = gradus.ones(3).requires_grad_(), gradus.ones(3).requires_grad_()
    (f(x, unused) + f(a=x, b=2.0) + f(x, c=1.0)).sum().backward()
    assert (x.grad.numpy() == 9).all() and unused.grad is None
    with pytest.raises(gradus.GradusError, match="not elementwise"):
        gradus.elementwise(lambda a: (a, a))(x)


def test_functions_are_traced_at_the_same_time_over_one_parameter() -> None:
    weight = nn.Parameter(gradus.ones(3))
    wrong: list[Any] = []

    def step(x):
        y = weight * x
        for _ in range(500):
            y = gradus.sin(y)
        return y

    def work(compiled: Callable[..., Any]) -> None:
        try:
            warm(compiled, X)
        except gradus.GradusError as error:
            wrong.append(error)

    functions = [gradus.compile(step, tier="numpy") for _ in range(3)]
    for compiled in functions:
        compiled(X)  # eagerly, as every first call
    threads = [threading.Thread(target=work, args=(compiled,)) for compiled in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and type(weight.value) is np.ndarray
    assert [len(compiled.specialisations) for compiled in functions] == [1, 1, 1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="a signal in the middle of a call needs POSIX's timers")
def test_ctrl_c_in_a_step_leaves_a_whole_step() -> None:
    """The signal is heard when the kernels are done: weights are written then, and what counts the steps must not stay behind."""
    gradus.manual_seed(0)
    layers = [nn.Linear(512, 512), nn.BatchNorm1d(512), nn.Dropout(0.1), nn.Linear(512, 512)]
    net = nn.Sequential(*layers)
    optimizer = gradus.optim.Adam(net.parameters(), lr=1e-3)

    @gradus.compile
    def step(x):
        loss = (net(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def state() -> list[np.ndarray]:
        counts = [np.asarray(float(s["step"])) for s in optimizer.state.values()]
        return [*(t.numpy().copy() for t in net.state_dict().values()), *counts]

    x = gradus.randn(1024, 512)
    for _ in range(3):
        step(x)
    start = time.perf_counter()
    step(x)
    seconds = time.perf_counter() - start
    before, handler = state(), signal.signal(signal.SIGALRM, signal.default_int_handler)

    def interrupted() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds / 2)
        step(x)
        time.sleep(5)

    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    changed = [bool((a != b).any()) for a, b in zip(before, state(), strict=True)]
    assert all(changed) or not any(changed), changed
    assert all(p.grad is None for p in net.parameters())

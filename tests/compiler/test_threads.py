"""Eager work in other threads while a function is traced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import nn, optim
from gradus.compiler import lifted
from gradus.errors import TraceError
from gradus.nn import functional as F


def while_tracing(f: Callable[..., Any], work: Callable[[], Any], *args: Any) -> Any:
    """What ``work`` gives in another thread that begins in the middle of the trace of ``f``."""
    inside = threading.Event()
    results: list[Any] = []

    def outer() -> None:
        inside.wait()
        try:
            results.append(work())
        except Exception as error:
            results.append(error)

    def slow(*args: Any) -> Any:
        y = f(*args)
        if gradus.mode.MODE.world is not None:
            inside.set()
            time.sleep(0.05)
        return f(*args) + 0.0 * y

    thread = threading.Thread(target=outer, daemon=True)
    thread.start()
    compiled = gradus.compile(slow)
    for _ in range(3):
        compiled(*args)
    thread.join()
    assert len(compiled.specialisations) == 1
    return results[0]


WORK: list[Callable[[Any], Any]] = [
    lambda w: (w * 2.0).sum().item(),
    lambda w: w.sum().item(),
    lambda w: w.detach().numpy().sum() * 2.0 - 6.0,
    lambda w: w.data.numpy().sum(),
    lambda w: np.asarray(w.detach()).sum(),
    lambda w: float(w.tolist()[0]),
    lambda w: (F.linear(gradus.ones(1, 3), w.unsqueeze(0))).item(),
]


@pytest.mark.parametrize("k", range(len(WORK)))
def test_a_parameter_read_in_another_thread(k: int) -> None:
    w = nn.Parameter(gradus.tensor([1.0, 2.0, 3.0]))
    wanted = WORK[k](w)
    assert while_tracing(lambda x: x * w, lambda: WORK[k](w), gradus.ones(3)) == pytest.approx(wanted)
    assert type(w) is nn.Parameter


def test_an_argument_read_in_another_thread() -> None:
    x = gradus.tensor([1.0, 2.0, 3.0])
    assert while_tracing(lambda x: x * 2.0, lambda: x.sum().item(), x) == 6.0
    assert type(x) is gradus.Tensor


def test_a_derivative_in_another_thread() -> None:
    w = nn.Parameter(gradus.tensor([1.0, 2.0, 3.0]))

    def work() -> Any:
        return gradus.autograd.grad((w * w).sum(), [w])[0].tolist()

    assert while_tracing(lambda x: x * w, work, gradus.ones(3)) == [2.0, 4.0, 6.0]


def test_an_evaluation_beside_a_training() -> None:
    gradus.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    opt = optim.SGD(net.parameters(), lr=1e-3)
    done = threading.Event()
    errors: list[Exception] = []
    shapes: set[tuple[int, ...]] = set()

    def evaluate() -> None:
        while not done.is_set():
            try:
                with gradus.no_grad():
                    shapes.add(tuple(net(gradus.ones(5, 4)).numpy().shape))
                net(gradus.ones(5, 4)).sum()
            except Exception as error:
                errors.append(error)
                return

    @gradus.compile
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    threads = [threading.Thread(target=evaluate, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for batch in range(2, 6):
            for _ in range(3):
                step(gradus.ones(batch, 4), gradus.zeros(batch).long())
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not errors and shapes == {(5, 2)}


def test_a_function_that_waits_for_a_thread_that_needs_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifted, "PATIENCE", 0.1)
    w = gradus.ones(3)
    with ThreadPoolExecutor(1) as pool:

        def from_outside(x: Any) -> Any:
            return x * w + pool.submit(lambda: w * 2.0).result()

        def from_inside(x: Any) -> Any:
            y = x * w
            return pool.submit(lambda: y * 2.0).result()

        for f in (from_outside, from_inside):
            compiled = gradus.compile(f)
            compiled(gradus.ones(3))
            with pytest.raises(TraceError, match="another thread"):
                compiled(gradus.ones(3))
            assert type(w) is gradus.Tensor and type(w.value) is np.ndarray


def test_random_numbers_that_another_thread_draws() -> None:
    """As a loader in the background does, now and then. What the function itself draws is refused, whoever is there beside it."""
    with ThreadPoolExecutor(1) as pool:
        moments = iter([True])

        def f(x: Any) -> Any:
            if gradus.mode.MODE.world is not None and pool.submit(next, moments, False).result():
                pool.submit(np.random.random).result()
            return x * 2.0

        compiled = gradus.compile(f)
        assert [compiled(gradus.ones(1)).item() for _ in range(3)] == [2.0, 2.0, 2.0]
        assert len(compiled.specialisations) == 1
        drawing = gradus.compile(lambda x: x * np.random.random())
        drawing(gradus.ones(1))
        with pytest.raises(TraceError, match="cannot draw"):
            drawing(gradus.ones(1))

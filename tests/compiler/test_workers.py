"""Threads that help with products: the same numbers whoever computes them, and nobody is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import blas, nn

pytest.importorskip("numba", reason="products by panels need the extra: pip install gradus-dl[fast]")
pytestmark = pytest.mark.skipif(not blas.wide_registers(), reason="products by panels need AVX-512")

from gradus.compiler.workers import TEAM  # noqa: E402, needs the extra

SHAPES = [(256, 300, 200), (64, 784, 50), (50, 64, 784), (128, 784, 512), (333, 401, 65), (1000, 1000, 1000)]


@pytest.fixture
def with_threads() -> Iterator[Callable[[int], None]]:
    before = gradus.get_num_threads()
    yield gradus.set_num_threads
    gradus.set_num_threads(before)


def test_the_numbers_do_not_depend_on_the_threads(with_threads: Callable[[int], None]) -> None:
    rng = np.random.default_rng(0)
    for m, k, n in SHAPES:
        layer, x = nn.Linear(k, n), gradus.tensor(rng.standard_normal((m, k)).astype(np.float32))

        def step(x: Any, layer: nn.Module = layer) -> Any:
            layer.zero_grad()
            y = layer(x)
            (y * y).sum().backward()
            return y, *(p.grad for p in layer.parameters())

        compiled = gradus.compile(step)
        compiled(x)
        found = {}
        for threads in (1, 2, 3):
            with_threads(threads)
            found[threads] = [r.detach().numpy().copy() for r in compiled(x)]
        products = [s.product for s in compiled.specialisations[0].program.plan.steps if s.product]
        assert all(p.way != "library" for p in products) and any(p.shared for p in products), (m, k, n)
        for threads in (2, 3):
            for one, other in zip(found[1], found[threads], strict=True):
                np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(found[1][0], layer(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_many_runs_with_a_worker_that_comes_and_goes(with_threads: Callable[[int], None]) -> None:
    """Jobs of all sizes one behind the other, with pauses in which the worker falls asleep."""
    rng = np.random.default_rng(1)
    cases = []
    for m, k, n in ((64, 300, 100), (200, 128, 128), (128, 784, 50)):
        a, b = (gradus.tensor(rng.standard_normal(shape).astype(np.float32)) for shape in ((m, k), (k, n)))
        compiled = gradus.compile(lambda a, b: (a @ b) @ (a @ b).T)
        with_threads(1)
        wanted = [compiled(a, b), compiled(a, b)][1].numpy().copy()
        cases.append((compiled, a, b, wanted))
    with_threads(2)
    for k in range(600):
        compiled, a, b, wanted = cases[k % 3]
        np.testing.assert_array_equal(compiled(a, b).numpy(), wanted)
        if k % 100 == 99:
            threading.Event().wait(0.02)
    assert len(TEAM.workers) >= 1
    assert not TEAM.lines[:, 0].any()  # no job is left on a line


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted as Linux shows them")
def test_where_no_thread_begins_runs_work_alone(with_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on threads, or on files, or Python shutting down: no reason to stop a training."""
    a = gradus.tensor(np.random.default_rng(2).standard_normal((300, 300)).astype(np.float32))
    compiled = gradus.compile(lambda a: a @ a)
    with_threads(1)
    wanted = [compiled(a), compiled(a)][1].numpy()
    there = len(TEAM.workers)
    with_threads(there + 3)

    def refuse(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    files = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.warns(gradus.errors.UsageWarning, match=f"{there + 3} threads asked for, {there + 1} found: can't"):
            got = compiled(a)
    np.testing.assert_array_equal(got.numpy(), wanted)
    for _ in range(3):  # not tried again, nor said again
        np.testing.assert_array_equal(compiled(a).numpy(), wanted)
    assert len(TEAM.workers) == there and len(os.listdir("/proc/self/fd")) == files
    with_threads(there + 2)
    np.testing.assert_array_equal(compiled(a).numpy(), wanted)
    assert len(TEAM.workers) == there + 1


PROGRAM = """
import os, sys
import numpy as np
import gradus
gradus.set_num_threads(3)
a = gradus.tensor(np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32))
f = gradus.compile(lambda a: (a @ a).sum())
values = [f(a).item() for _ in range(4)]
from gradus.compiler.workers import TEAM
assert len(TEAM.workers) == 2, TEAM.workers
if sys.argv[1] == "fork":
    files = len(os.listdir("/dev/fd"))
    child = os.fork()
    if not child:
        right = not TEAM.workers and f(a).item() == values[-1] and len(TEAM.workers) == 2
        right = right and len(os.listdir("/dev/fd")) == files  # the parent's pipes are not kept beside the child's own
        sys.stdout.flush()
        os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
if sys.argv[1] == "raise":
    raise SystemExit(7)
"""


@pytest.mark.parametrize("end", ["end", "raise", "fork"])
def test_a_process_ends_and_forks_with_workers_awake(end: str) -> None:
    if end == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    for _ in range(3):
        found = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, end], capture_output=True, text=True, timeout=120)
        assert found.returncode == (7 if end == "raise" else 0), found.stderr


def test_one_thread_makes_no_workers() -> None:
    text = PROGRAM.replace("set_num_threads(3)", "set_num_threads(1)").replace("len(TEAM.workers) == 2, TEAM.workers", "not TEAM.workers")
    found = subprocess.run([sys.executable, "-c", text, "end"], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr

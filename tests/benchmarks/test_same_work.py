"""What is compared does the same work: from the same weights on the same data, Gradus and PyTorch go through the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity needs PyTorch: make test installs it")

from engines import with_gradus, with_torch  # noqa: E402
from workloads import WORKLOADS, epoch, full_batch  # noqa: E402

CALLS = 4
SAME = 2e-5  # of the first number; float32, four steps


@pytest.mark.parametrize("name", WORKLOADS)
def test_gradus_and_pytorch_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "ROWS", 64 * 5 + 7)
    monkeypatch.setattr(full_batch, "ROWS", 500)
    workload = WORKLOADS[name]
    start = workload.start(np.random.default_rng(0))
    units = [getattr(engine, workload.KIND)(workload, start, False) for engine in (with_gradus, with_torch)]
    sequences = [[unit.numbers(unit.call(*unit.arguments[i % len(unit.arguments)])) for i in range(CALLS)] for unit in units]
    mine, theirs = map(np.array, sequences)
    assert mine.shape == theirs.shape
    assert np.abs(theirs).min() > 0
    if workload.KIND in ("training", "epoch"):
        assert len(np.unique(theirs)) == CALLS, "nothing is learned"
    assert np.abs(mine - theirs).max() <= SAME * np.abs(theirs[0]).max()
    np.testing.assert_allclose(mine[0], theirs[0], rtol=SAME)


@pytest.mark.parametrize("name", [name for name, workload in WORKLOADS.items() if workload.KIND != "gradient"])
def test_both_have_the_same_parameters(name: str) -> None:
    workload = WORKLOADS[name]
    mine, theirs = (workload.network(lib).state_dict() for lib in (with_gradus.gradus, torch))
    assert [(n, tuple(p.shape)) for n, p in mine.items()] == [(n, tuple(p.shape)) for n, p in theirs.items()]

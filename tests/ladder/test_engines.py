"""The engines against PyTorch, which none of them knows, and the judge against both."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable

import numpy as np
import pytest

import gradus
from gradus.ladder import complex_step as judge
from gradus.ladder import engine_costs, engines
from gradus.ladder.complex_step import Network, make_network

torch = pytest.importorskip("torch")

TIERS = [
    "numpy",
    pytest.param("native", marks=pytest.mark.skipif(not importlib.util.find_spec("numba"), reason="the extra `fast` is absent")),
]
NETWORKS = [{"seed": 0}, {"seed": 1}, {"n": 1, "widths": (3, 2, 1)}, {"n": 50, "widths": (30, 7, 1)}]


def by_pytorch(network: Network) -> tuple[float, list[np.ndarray]]:
    x, y = torch.tensor(network.x), torch.tensor(network.y)
    w1, b1, w2, b2 = leaves = [torch.tensor(p, requires_grad=True) for p in network.parameters]
    loss = torch.nn.functional.mse_loss(torch.relu(x @ w1 + b1) @ w2 + b2, y)
    loss.backward()
    return loss.item(), [leaf.grad.numpy() for leaf in leaves]


@pytest.mark.parametrize("numbers", NETWORKS)
@pytest.mark.parametrize("engine", ["layers", "closures", "tape", "gradus", "gradus compiled", "complex step"])
def test_every_engine_agrees_with_pytorch(engine: str, numbers: dict) -> None:
    network = make_network(**numbers)
    others = {"gradus": lambda n: engines.with_gradus(n, compiled=False), "complex step": lambda n: lambda: judge.complex_step(n)}
    step = (engines.engines("numpy") | others)[engine](network)
    loss, gradients = by_pytorch(network)
    for _ in range(2):  # a second step does not add to the first
        found = step()
        assert found.loss == pytest.approx(loss, rel=1e-12)
        for ours, theirs in zip(found.gradients, gradients, strict=True):
            assert ours.shape == theirs.shape
            assert ours.dtype == np.float64
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * abs(theirs).max())


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("seed", range(2))
def test_the_table(tier: str, seed: int) -> None:
    rows = engines.compare(make_network(seed), tier=tier)
    assert [row.engine for row in rows] == ["complex step", "layers", "closures", "tape", "gradus compiled"]
    loss, _ = by_pytorch(make_network(seed))
    for row in rows:
        assert row.loss == pytest.approx(loss, rel=1e-10)
        assert max(row[2:]) < 1e-10


def test_the_table_shows_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the source has it: a mean over all entries, whose gradient is divided by the number of examples alone.
    monkeypatch.setattr(engines.closure_training, "mse_loss", lambda y, t: (np.square(y - t).mean(), 2 * (y - t) / len(y)))
    rows = {row.engine: row for row in engines.compare(make_network(widths=(20, 16, 3)), tier="numpy")}
    np.testing.assert_allclose(rows["closures"][2:], 2.0)  # 3 outputs: three times as large as it should be
    assert max(rows["layers"][2:]) < 1e-10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(dtype: type) -> None:
    network = make_network(dtype=dtype)
    for name, engine in engines.engines("numpy").items():
        assert {g.dtype for g in engine(network)().gradients} == {np.dtype(dtype)}, name


def test_networks_are_left_alone_and_results_are_their_own() -> None:
    network = make_network()
    before = [v.copy() for v in network]
    for name, engine in engines.engines("numpy").items():
        step = engine(network)
        first = step()
        kept = [g.copy() for g in first.gradients]
        for g in step().gradients:
            g += 1
        assert all(np.array_equal(a, b) for a, b in zip(first.gradients, kept, strict=True)), name
        assert all(np.array_equal(a, b) for a, b in zip(network, before, strict=True)), name


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_compiled_runs_compiled(tier: str) -> None:
    program, x, y, _ = engines.gradus_program(make_network(), compiled=True, tier=tier)
    assert len(program.specialisations) == 1
    program(x, y)
    assert len(program.specialisations) == 1


def calls_of(step: Callable[[], object]) -> int:
    """How many functions, of Python and of C, the interpreter calls during a step."""
    calls = 0

    def note(frame: object, event: str, _: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        step()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("tier", TIERS)
def test_the_compiled_step_spares_the_interpreter(tier: str) -> None:
    compiled, eager = engines.with_gradus(make_network(), tier=tier), engines.with_gradus(make_network(), compiled=False)
    assert calls_of(compiled) * 4 < calls_of(eager)


def test_timings_have_a_row_for_each_engine() -> None:
    times = {row.engine: row for row in engine_costs.timings(make_network(dtype=np.float32), repeats=2, tier="numpy")}
    assert set(times) == {"layers", "closures", "tape", "gradus", "gradus compiled"}
    assert times["gradus"].speed == 1
    for row in times.values():
        assert row.speed == pytest.approx(times["gradus"].microseconds / row.microseconds)


@pytest.mark.parametrize("n, widths", [(100, (784, 50, 10)), (8, (5, 4, 3))])
def test_work_is_what_the_compiled_graph_does(n: int, widths: tuple[int, int, int]) -> None:
    program, *_ = engines.gradus_program(make_network(0, n, widths), compiled=True, tier="numpy")
    products, elsewhere = 0, 0
    for call in program.graph.calls:
        sizes = [math.prod(v.shape) for v in [*call.inputs, call.output]]
        if call.record.name == "matmul":
            products += 2 * math.prod(call.inputs[0].shape) * call.inputs[1].shape[-1]
        elif call.record.name not in ("permute_dims", "astype"):  # these do no arithmetic
            elsewhere += max(sizes) if max(sizes) > 1 else 0
    parameters = widths[0] * widths[1] + widths[1] + widths[1] * widths[2] + widths[2]
    found = engine_costs.work(n, widths)
    assert found.forward_products + found.backward_products == products
    assert found.elsewhere == elsewhere + 2 * parameters
    assert found.share == pytest.approx(products / (products + elsewhere + 2 * parameters))


def test_nearly_all_arithmetic_is_products() -> None:
    assert 0.98 < engine_costs.work().share < 1
    assert engine_costs.work(1, (784, 50, 10)).share < 0.8  # with one example at a time the update weighs as much


def test_nobody_computes_the_gradient_of_the_data() -> None:
    assert engine_costs.matrix_products() == 5
    network = make_network()
    x, w1 = engines.tape.Tensor(network.x), engines.tape.Tensor(network.w1, requires_grad=True)
    assert [parent for parent, _ in (x @ w1).history] == [w1]


def test_make_network_takes_shapes_and_seeds() -> None:
    a, b = make_network(3, n=5, widths=(4, 3, 2)), make_network(3, n=5, widths=(4, 3, 2))
    assert [v.shape for v in a] == [(5, 4), (5, 2), (4, 3), (3,), (3, 2), (2,)]
    assert all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))
    assert not np.array_equal(a.x, make_network(4, n=5, widths=(4, 3, 2)).x)
    assert gradus.tensor(a.x).dtype == gradus.float64

"""Each pass alone: the same function, smaller; NaN, infinities and rounding as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
from gradus import nn, ops
from gradus.compiler.graph import CONSTANT, RESULT, Graph
from gradus.compiler.passes.expand import expand
from gradus.compiler.passes.sharing import drop_dead, share
from gradus.compiler.passes.simplify import simplify
from gradus.nn import functional as F


def graph_of(f: Callable[..., Any], *args: gradus.Tensor) -> Graph:
    """The graph as it was traced, before any pass."""
    compiled = gradus.compile(f)
    compiled(*args), compiled(*args)
    return compiled.specialisations[0].traced.graph


def names(graph: Graph) -> list[str]:
    return [call.record.name for call in graph.calls]


def wild(*shape: int) -> gradus.Tensor:
    """Numbers with NaN, infinities, zeros of both signs and a subnormal among them."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    x.reshape(-1)[:6] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42]
    return gradus.from_numpy(x)


def model_step(x: gradus.Tensor) -> Any:
    return F.log_softmax(F.gelu(F.layer_norm(x, (4,))), 1).var(0) + x.std()


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda x: F.softmax(x, 1),
    "sigmoid": lambda x: x.sigmoid() * 1 / 1,
    "model": model_step,
    "views": lambda x: x.reshape(2, 10).reshape(5, 4).T.T.reshape(20)[::2],
    "var": lambda x: x.var(1) + x.mean(0).sum(),
    "mixed dtypes": lambda x: x.double() + x * 2,
    "integers": lambda x: (x > 0).sum() + x.argmax(1).sum() * 3,
    "length one": lambda x: x.reshape(5, 1, 4).sum(1) + x.reshape(5, 1, 4).max(1)[0],
    "constants": lambda x: x * (gradus.ones(4) * 3.0 + gradus.arange(4).float()),
    "shared": lambda x: (x.exp() + 1.0) * (x.exp() + 1.0) - x.exp(),
}
PASSES: dict[str, Callable[[Graph], Graph]] = {
    "simplify": lambda graph: simplify(graph, set()),
    "expand": expand,
    "share": share,
    "drop_dead": drop_dead,
    "all": lambda graph: drop_dead(share(simplify(expand(simplify(graph, set())), set()))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("which", PASSES)
def test_a_pass_keeps_the_function(name: str, which: str) -> None:
    x = wild(5, 4)
    graph = graph_of(FUNCTIONS[name], x)
    new = PASSES[which](graph).verify()
    with np.errstate(all="ignore"):
        wanted, got = graph.interpret([x.numpy()]), new.interpret([x.numpy()])
    for a, b in zip(wanted, got, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=3e-6, atol=1e-6)
        if which in ("share", "drop_dead"):
            np.testing.assert_array_equal(b, a)


def test_a_composite_is_written_out() -> None:
    graph = expand(graph_of(lambda x: F.softmax(x.sigmoid(), 1), wild(5, 4)))
    assert "softmax" not in names(graph) and "sigmoid" not in names(graph)
    assert {"exp", "sum"} <= set(names(graph))


def test_what_a_kernel_computes_stays_whole() -> None:
    graph = expand(graph_of(lambda x: F.softmax(x, 1), wild(5, 4)), keeps=lambda call: call.record.name == "softmax")
    assert "softmax" in names(graph)


def test_operands_meet_in_one_dtype() -> None:
    x, y = wild(5, 4), gradus.ones(4, dtype=gradus.float64)
    graph = expand(graph_of(lambda a, b: a * b + 1, x, y))
    for call in graph.calls:
        if call.record.family == "elementwise" and call.record.name != "astype":
            assert {v.dtype for v in call.inputs} == {np.dtype("float64")}


def test_constants_are_folded_but_not_what_may_change() -> None:
    table = np.ones(4, np.float32)
    folded = simplify(graph_of(lambda x: x * (gradus.ones(4) * 3.0), wild(5, 4)), set())
    assert names(folded) == ["multiply"] and folded.calls[0].args[1].kind == CONSTANT
    kept = simplify(graph_of(lambda x: x * (gradus.tensor(table) * 3.0), wild(5, 4)), {id(table)})
    assert names(kept) == ["multiply", "multiply"]


def test_log_of_softmax_is_exact_far_out() -> None:
    x = gradus.tensor([[0.0, -200.0]])
    graph = graph_of(lambda x: F.softmax(x, 1).log(), x)
    with np.errstate(divide="ignore"):
        (before,), (after,) = graph.interpret([x.numpy()]), simplify(graph, set()).interpret([x.numpy()])
    assert before[0, 1] == -np.inf and after[0, 1] == -200.0


def test_equal_calls_are_one_and_others_stay_apart() -> None:
    graph = share(graph_of(lambda x: (x.exp() + x.exp()) * (x * 1) + (x * 1.0) + (x * 2), wild(5, 4)))
    assert names(graph).count("exp") == 1
    assert names(graph).count("multiply") == 4
    w = gradus.ones(4).requires_grad_()
    opt = gradus.optim.SGD([{"params": [w], "lr": 0.1}, {"params": [gradus.ones(4).requires_grad_()], "lr": 0.1}])

    def step() -> None:
        for group in opt.param_groups:
            group["params"][0].grad = None
        (w.sum() + opt.param_groups[1]["params"][0].sum()).backward()
        opt.step()

    compiled = gradus.compile(step)
    compiled(), compiled()
    opt.param_groups[1]["lr"] = 10.0
    compiled()
    assert w.tolist() != opt.param_groups[1]["params"][0].tolist()


def test_random_draws_are_not_shared() -> None:
    f = gradus.compile(lambda: gradus.rand(5) - gradus.rand(5))
    assert all(float(f().abs().max()) > 0 for _ in range(4))


def test_dead_code_goes_and_checks_stay() -> None:
    def f(x: Any) -> Any:
        x.exp().sum()
        return x * 2.0

    assert names(drop_dead(graph_of(f, wild(5, 4)))) == ["multiply"]
    loss = nn.CrossEntropyLoss()
    step = gradus.compile(lambda x, y: loss(x, y))
    x = gradus.randn(4, 3)
    for _ in range(3):
        step(x, gradus.tensor([0, 1, 2, 0]))
    with pytest.raises(gradus.errors.LabelError):
        step(x, gradus.tensor([0, 1, 3, 0]))


@pytest.mark.parametrize("f", [lambda x: x * 1, lambda x: x / 1, lambda x: 1.0 * x, lambda x: x.reshape(5, 4), lambda x: x.T.T])
def test_what_changes_nothing_vanishes(f: Callable[..., Any]) -> None:
    graph = drop_dead(simplify(graph_of(f, wild(5, 4)), set()))
    assert not graph.calls and graph.outputs[0] is graph.inputs[0]


@pytest.mark.parametrize("f", [lambda x: x + 0.0, lambda x: x * 0.0, lambda x: x - x, lambda x: ops.divide(x, x)])
def test_what_could_hide_a_nan_stays(f: Callable[..., Any]) -> None:
    graph = drop_dead(share(simplify(expand(graph_of(f, wild(5, 4))), set())))
    assert len(graph.calls) == 1 and graph.outputs[0].kind == RESULT

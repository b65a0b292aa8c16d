"""What a plan promises: how many kernels, which memory, nothing computed that nobody needs."""

from __future__ import annotations

import numpy as np
import pytest

import gradus
import gradus.nn as nn
import gradus.nn.functional as F
from gradus.compiler.compiled import Compiled
from gradus.compiler.native import STATISTICS
from gradus.compiler.plan import APART, Plan


def training(model: nn.Module, optimizer: gradus.optim.Optimizer, loss=F.cross_entropy) -> Compiled:
    def step(x, y):
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        return value

    return gradus.compile(step, tier="native")


def plan_of(compiled: Compiled, *args: gradus.Tensor) -> Plan:
    for _ in range(2):
        compiled(*args)
    return compiled.specialisations[0].program.plan


def kernels(plan: Plan) -> list[list[str]]:
    return [[call.record.name for call in step.calls] for step in plan.steps if step.kernel is not None]


@pytest.fixture
def batch() -> tuple[gradus.Tensor, gradus.Tensor]:
    rng = np.random.default_rng(0)
    return gradus.tensor(rng.standard_normal((16, 20)).astype(np.float32)), gradus.tensor(rng.integers(0, 5, 16))


def mlp() -> nn.Sequential:
    gradus.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 5))


def test_cross_entropy_and_its_gradient_are_one_walk_over_the_rows(batch) -> None:
    model = mlp()
    plan = plan_of(training(model, gradus.optim.SGD(model.parameters(), lr=0.1)), *batch)
    assert sum("exp" in names for names in kernels(plan)) == 1


def test_the_gradient_of_the_input_is_not_computed(batch) -> None:
    model = mlp()
    plan = plan_of(training(model, gradus.optim.SGD(model.parameters(), lr=0.1)), *batch)
    products = [step.product for step in plan.steps if step.product is not None]
    # two forward, the gradient of the hidden values, two weights' gradients: no sixth for the input
    assert len(products) == 5


def test_plain_descent_happens_inside_the_product(batch) -> None:
    model = mlp()
    plan = plan_of(training(model, gradus.optim.SGD(model.parameters(), lr=0.1)), *batch)
    assert sum(step.descent is not None for step in plan.steps) == 2
    assert not any(v.shape == (12, 20) for v in plan.offsets)  # the first weight's gradient is never stored


def test_adam_is_one_kernel_a_parameter_and_updates_in_place(batch) -> None:
    model = mlp()
    plan = plan_of(training(model, gradus.optim.Adam(model.parameters())), *batch)
    assert sum("sqrt" in names for names in kernels(plan)) == 4
    assert len(plan.memory) == 12 and plan.copied == []  # p, m and v of four parameters, each in its own memory


def test_a_norm_of_the_gradients_leaves_the_updates_in_place(batch) -> None:
    model = mlp()
    optimizer = gradus.optim.Adam(model.parameters())

    def step(x, y):
        F.cross_entropy(model(x), y).backward()
        squares = sum((p.grad * p.grad).sum() for p in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
        return squares.sqrt()

    plan = plan_of(gradus.compile(step, tier="native"), *batch)
    assert len(plan.memory) == 12 and plan.copied == []


def test_what_only_the_backward_pass_needs_is_computed_there(batch) -> None:
    model = mlp()
    plan = plan_of(training(model, gradus.optim.SGD(model.parameters(), lr=0.1)), *batch)
    with_mask = [names for names in kernels(plan) if "greater" in names]
    assert len(with_mask) == 1 and "maximum" not in with_mask[0] and "multiply" in with_mask[0]


def test_values_that_never_live_together_share_memory() -> None:
    step = gradus.compile(lambda x, w: [x := (x @ w).tanh() for _ in range(10)][-1], tier="native")
    plan = plan_of(step, gradus.ones(40, 40), gradus.ones(40, 40))
    assert plan.arena <= 2 * (40 * 40 * 4 + APART)  # ten layers of two values each, of which two are alive at a time


def test_equal_layers_compile_once() -> None:
    def norms(depth: int) -> int:
        layers = nn.Sequential(*[nn.Sequential(nn.LayerNorm(48), nn.Linear(48, 48), nn.GELU()) for _ in range(depth)])

        def f(x):
            return layers(x)

        before = STATISTICS.compiled + STATISTICS.from_disk
        plan_of(gradus.compile(f, tier="native"), gradus.randn(7, 48))
        return STATISTICS.compiled + STATISTICS.from_disk - before

    assert norms(3) > 0
    assert norms(12) == 0


def test_another_batch_size_needs_no_new_kernel(batch) -> None:
    model = mlp()
    step = training(model, gradus.optim.Adam(model.parameters()))
    plan_of(step, *batch)
    before = STATISTICS.compiled + STATISTICS.from_disk
    x, y = batch
    step(x[:9], y[:9])
    assert len(step.specialisations) == 2 and STATISTICS.compiled + STATISTICS.from_disk == before


def test_report_counts_what_runs(batch) -> None:
    model = mlp()
    weights = [p.detach().clone() for p in model.parameters()]
    step = training(model, gradus.optim.SGD(model.parameters(), lr=0.0))
    plan = plan_of(step, *batch)
    report = step.report()
    assert sum(row.calls for row in report.rows) == len(plan.steps)
    assert {row.flops for row in report.rows if row.name == "product 16x12x20"} == {2 * 16 * 12 * 20}
    assert all(row.seconds > 0 for row in report.rows) and "GFLOP/s" in str(report)
    for before, now in zip(weights, model.parameters(), strict=True):
        assert (before == now).all()  # measuring changes nothing

"""The pass laid open, judged by central differences, by fractions and by PyTorch."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from gradus.ladder import backprop
from gradus.ladder.backprop import Network, backward, forward, gradients, numeric_gradients, step_by_step


def wild(seed: int) -> Network:
    """Numbers that are no halves."""
    return Network(*np.random.default_rng(seed).standard_normal(12).tolist())


@pytest.mark.parametrize("seed", range(20))
def test_gradients_are_the_slopes_of_the_loss(seed: int) -> None:
    """Central differences of a loss written out here; the units stay on their side of zero."""

    def loss(n: Network) -> float:
        a1, a2 = n.w11 * n.x1 + n.w12 * n.x2 + n.b1, n.w21 * n.x1 + n.w22 * n.x2 + n.b2
        return (n.v1 * max(a1, 0) + n.v2 * max(a2, 0) + n.c - n.t) ** 2

    for network in (backprop.draw_network(seed), wild(seed)):
        found = gradients(step_by_step(network=network).steps)
        for name in Network._fields[:-1]:
            above, below = (loss(network._replace(**{name: getattr(network, name) + h})) for h in (1e-6, -1e-6))
            assert found[name] == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-6)
            assert numeric_gradients(network)[name] == pytest.approx(found[name], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_every_value_and_gradient_is_that_of_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    for network in (backprop.draw_network(seed), wild(seed)):
        p = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in network._asdict().items()}
        p["a1"], p["a2"] = (p[f"w{i}1"] * p["x1"] + p[f"w{i}2"] * p["x2"] + p[f"b{i}"] for i in (1, 2))
        p["h1"], p["h2"] = torch.relu(p["a1"]), torch.relu(p["a2"])
        p["y"] = p["v1"] * p["h1"] + p["v2"] * p["h2"] + p["c"]
        p["L"] = (p["y"] - p["t"]).square()
        for value in p.values():
            value.retain_grad()
        p["L"].backward()
        found = step_by_step(network=network)
        assert {node.name: node.value for node in found.nodes} == pytest.approx({n.name: p[n.name].item() for n in found.nodes}, rel=1e-12)
        wanted = {name: value.grad.item() for name, value in p.items() if name not in "tL"}
        assert gradients(found.steps) == pytest.approx(wanted, rel=1e-12, abs=1e-14)


def test_each_step_multiplies_and_adds() -> None:
    for seed in range(10):
        found = step_by_step(seed)
        sums: dict[str, float] = {}
        arrived = {"L": 1.0}
        for step in found.steps:
            assert step.incoming == arrived[step.at]  # complete, since no later step adds to it
            assert step.product == step.incoming * step.derivative
            assert step.before == sums.get(step.to)
            sums[step.to] = sums.get(step.to, 0.0) + step.product
            assert step.total == sums[step.to]
            arrived[step.to] = step.total
        assert [step.to for step in found.steps].count("x1") == [step.to for step in found.steps].count("x2") == 2
        assert len(found.steps) == 18 and len(sums) == 16


def test_no_gradient_leaves_before_it_is_complete() -> None:
    steps = step_by_step(0).steps
    last_added = {step.to: place for place, step in enumerate(steps)}
    assert all(last_added[step.at] < place for place, step in enumerate(steps) if step.at != "L")


@pytest.mark.parametrize("seed", range(10))
def test_the_numbers_that_are_shown_are_exact(seed: int) -> None:
    """Each formula with its numbers, read back as fractions, is the value: nothing was rounded away."""
    found = step_by_step(seed)
    assert all(float(2 * value).is_integer() for value in found.given)
    for node in found.nodes:
        text = node.numbers.replace("−", "-").replace("·", "*").replace("²", " ** 2")
        text = re.sub(r"(?<!\*\* )\b\d+(\.\d+)?", lambda found: f"Fraction('{found[0]}')", text)
        exact = eval(text, {"Fraction": Fraction})
        assert exact == Fraction(node.value) == Fraction(backprop.number(node.value).replace("−", "-"))
    for step in found.steps:
        assert Fraction(step.product) == Fraction(step.incoming) * Fraction(step.derivative)
        assert float(backprop.number(step.total).replace("−", "-")) == step.total


def test_a_dead_unit_passes_nothing_back() -> None:
    network = Network(1, 2, 1, 1, 0, 1, -1, 0, 2, 5, 0, 4)
    found = gradients(step_by_step(network=network).steps)
    assert [found[name] for name in ("a2", "w21", "w22", "b2")] == [0, 0, 0, 0]
    assert found["h2"] == 20.0  # it ended at the ReLU, not before
    assert found["v2"] == 0.0  # what multiplies a zero does not matter either
    at_the_kink = gradients(step_by_step(network=network._replace(w22=-0.5)).steps)
    assert forward(network._replace(w22=-0.5))[1].value == 0.0 and at_the_kink["a2"] == 0.0


def test_assigning_loses_what_came_first() -> None:
    for seed in range(10):
        found = step_by_step(seed)
        right, assigned = gradients(found.steps), gradients(backward(found.nodes, adding=False))
        assert {name for name in right if right[name] != assigned[name]} <= {"x1", "x2"}
        first = {step.to: step.product for step in reversed(found.steps)}
        for name in ("x1", "x2"):
            assert right[name] == assigned[name] + first[name]


def test_drawn_networks_have_something_to_show() -> None:
    kinds = set()
    for seed in range(30):
        a1, a2, _, _, _, loss = (node.value for node in step_by_step(seed).nodes)
        assert max(a1, a2) > 0 and a1 and a2 and loss
        kinds.add((a1 > 0, a2 > 0))
    assert kinds == {(True, True), (True, False), (False, True)}
    assert min(node.value for node in step_by_step(0).nodes[:2]) > 0  # the first has a true sum
    assert math.isfinite(step_by_step(10**9).nodes[-1].value)

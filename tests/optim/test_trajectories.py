"""Optimisers step for step beside PyTorch's: 60 steps in float64, a few in float32, every option, and the other's state taken over."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import gradus
from gradus import optim
from gradus.optim import adam_update, sgd_update


def options(**choices):
    """All combinations that PyTorch takes as well."""
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        if chosen.get("nesterov") and (not chosen["momentum"] or chosen["dampening"]):
            continue
        if not chosen.get("momentum", 1) and chosen["dampening"]:
            continue
        yield chosen


SGD = options(momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1], nesterov=[False, True], maximize=[False, True])
ADAM = options(betas=[(0.9, 0.999), (0.5, 0.6)], weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True])
CASES = [("SGD", {"lr": 0.01, **o}) for o in SGD] + [(name, {"lr": 0.02, **o}) for o in ADAM for name in ("Adam", "AdamW")]
CASES += [("SGD", {}), ("Adam", {}), ("AdamW", {}), ("Adam", {"eps": 0.1})]


@pytest.mark.parametrize("name, chosen", CASES, ids=lambda x: x if isinstance(x, str) else " ".join(f"{k}={v}" for k, v in x.items()))
def test_trajectory(name, chosen, race) -> None:
    for dtype, steps in (("float64", 60), ("float32", 5)):
        run = race(dtype)
        mine, theirs = getattr(optim, name)(run.mine, **chosen), getattr(torch.optim, name)(run.theirs, **chosen)
        for t in range(steps):
            run.step(t, mine, theirs)
            if t < 5:
                run.assert_equal(t)
        run.assert_equal(steps)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_groups_and_a_changing_rate(name, race) -> None:
    run = race()
    more = {"momentum": 0.9} if name == "SGD" else {}

    def groups(parameters):
        return [{"params": parameters[:1], "lr": 0.05, "weight_decay": 0.2}, {"params": parameters[1]}]

    mine, theirs = getattr(optim, name)(groups(run.mine), lr=0.01, **more), getattr(torch.optim, name)(groups(run.theirs), lr=0.01, **more)
    for t in range(60):
        if t == 20:
            mine.add_param_group({"params": run.mine[2], "lr": 0.1})
            theirs.add_param_group({"params": run.theirs[2], "lr": 0.1})
        for opt in (mine, theirs):
            opt.param_groups[0]["lr"] = 0.05 / (1 + t)
        run.step(t, mine, theirs)
    run.assert_equal()


@pytest.mark.parametrize("name, chosen", [("SGD", {"momentum": 0.9, "dampening": 0.2}), ("Adam", {"amsgrad": True}), ("AdamW", {})])
@pytest.mark.parametrize("direction", ["from PyTorch", "to PyTorch", "to itself"])
def test_state_is_taken_over(name, chosen, direction, race) -> None:
    run = race()
    mine, theirs = getattr(optim, name)(run.mine, lr=0.02, **chosen), getattr(torch.optim, name)(run.theirs, lr=0.02, **chosen)
    for t in range(5):
        run.step(t, mine, theirs)
    if direction == "from PyTorch":
        mine = getattr(optim, name)(run.mine, lr=5.0)
        mine.load_state_dict(theirs.state_dict())
    elif direction == "to itself":
        state = mine.state_dict()
        mine = getattr(optim, name)(run.mine, lr=5.0)
        mine.load_state_dict(state)
    else:
        state = mine.state_dict()
        as_torch = {
            i: {k: torch.tensor(v.numpy()) if isinstance(v, gradus.Tensor) else torch.tensor(float(v)) for k, v in s.items()}
            for i, s in state["state"].items()
        }
        theirs = getattr(torch.optim, name)(run.theirs, lr=5.0)
        theirs.load_state_dict({"state": as_torch, "param_groups": state["param_groups"]})
    assert mine.param_groups[0]["lr"] == theirs.param_groups[0]["lr"] == 0.02
    for t in range(5, 40):
        run.step(t, mine, theirs)
    run.assert_equal()


def test_layout_of_the_state_is_pytorchs(race) -> None:
    run = race()
    for name, chosen in (("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("AdamW", {}), ("SGD", {})):
        mine, theirs = getattr(optim, name)(run.mine, lr=0.1, **chosen), getattr(torch.optim, name)(run.theirs, lr=0.1, **chosen)
        run.step(2, mine, theirs)  # the scalar has no gradient, so no state
        a, b = mine.state_dict(), theirs.state_dict()
        assert {i: set(s) for i, s in a["state"].items()} == {
            i: set(s) for i, s in b["state"].items() if any(v is not None for v in s.values())
        }
        assert set(a["param_groups"][0]) <= set(b["param_groups"][0])
        assert a["param_groups"][0]["params"] == b["param_groups"][0]["params"]


class TestRules:
    """The rules alone, on plain NumPy arrays."""

    def test_adam_is_pure_and_keeps_float32(self) -> None:
        p, g, m, v = (np.full(3, k, np.float32) for k in (1, 2, 0.5, 0.25))
        before = [a.copy() for a in (p, g, m, v)]
        new = adam_update(np, p, g, m, v, 3, 0.1, 0.9, 0.999, 1e-8, 0.01, True, v)
        assert [a.dtype for a in new] == [np.float32] * 4
        for a, b in zip((p, g, m, v), before, strict=True):
            assert np.array_equal(a, b)

    def test_sgd_is_pure_and_keeps_float32(self) -> None:
        p, g, m = (np.full(3, k, np.float32) for k in (1, 2, 0.5))
        new = sgd_update(np, p, g, m, 0.1, 0.9, 0.1, 0.01, True)
        assert [a.dtype for a in new] == [np.float32] * 2
        assert (p[0], g[0], m[0]) == (1, 2, 0.5)

    def test_hyperparameters_may_be_stand_ins(self) -> None:
        """A tracer puts symbolic numbers where lr, betas and the step count are: only + - * / ** may touch them."""

        class Number:
            def __init__(self, value: float) -> None:
                self.value = value

        def operator(name):
            def apply(self, other):
                other = other.value if isinstance(other, Number) else other
                result = getattr(float(self.value), name)(float(other) if isinstance(other, int) else other)
                return result if isinstance(other, np.ndarray) else Number(result)

            return apply

        for name in ("add", "sub", "mul", "truediv", "pow"):
            for form in (f"__{name}__", f"__r{name}__"):
                setattr(Number, form, operator(form))
        Number.__array_ufunc__ = None
        Number.__rmul__ = lambda self, other: other * self.value if isinstance(other, np.ndarray) else Number(other * self.value)
        Number.__mul__ = lambda self, other: (
            self.value * other if isinstance(other, np.ndarray) else Number(self.value * getattr(other, "value", other))
        )
        Number.__ne__ = lambda self, other: self.value != other
        Number.__radd__ = lambda self, other: other + self.value if isinstance(other, np.ndarray) else Number(other + self.value)
        p, g, m, v = (np.full(3, k) for k in (1.0, 2.0, 0.5, 0.25))
        numbers = (3, 0.1, 0.9, 0.999, 1e-8, 0.01)
        for decoupled in (False, True):
            plain = adam_update(np, p, g, m, v, *numbers, decoupled)
            stand_in = adam_update(np, p, g, m, v, *map(Number, numbers), decoupled)
            for a, b in zip(plain[:3], stand_in[:3], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-14)

"""Schedules beside PyTorch's: rates and momenta of every step, state, refusals."""

from __future__ import annotations

import json

import pytest
import torch

import gradus
from gradus import optim
from gradus.errors import CheckpointError, UsageError
from gradus.optim import lr_scheduler, schedule

SCHEDULES = [
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
    ("LambdaLR", {"lr_lambda": [lambda t: 0.9**t, lambda t: 1 / (1 + t)]}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.7, "total_iters": 20}),
    ("CosineAnnealingLR", {"T_max": 30}),
    ("CosineAnnealingLR", {"T_max": 9, "eta_min": 0.004}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40}),
    ("OneCycleLR", {"max_lr": [0.5, 0.1], "epochs": 5, "steps_per_epoch": 9, "pct_start": 0.1, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40, "three_phase": True, "base_momentum": 0.7, "max_momentum": [0.9, 0.8]}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40, "cycle_momentum": False, "div_factor": 10.0, "final_div_factor": 3.0}),
]


def optimisers(name: str):
    options = {"momentum": 0.9} if name == "SGD" else {}
    make = [(gradus, gradus.nn.Parameter(gradus.zeros(1)), gradus.nn.Parameter(gradus.zeros(1)))]
    make.append((torch, torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))))
    return [getattr(lib.optim, name)([{"params": [a], "lr": 0.02}, {"params": [b]}], lr=0.01, **options) for lib, a, b in make]


def rates(opt) -> list[float]:
    return [
        group[key][0] if key == "betas" else group[key] for group in opt.param_groups for key in ("lr", "momentum", "betas") if key in group
    ]


@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
@pytest.mark.parametrize("name, options", SCHEDULES, ids=lambda x: x if isinstance(x, str) else ",".join(x))
def test_every_step(name, options, optimiser) -> None:
    mine, theirs = optimisers(optimiser)
    ours, original = getattr(lr_scheduler, name)(mine, **options), getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for _ in range(40):
        assert rates(mine) == pytest.approx(rates(theirs), rel=1e-10, abs=1e-14)
        assert ours.get_last_lr() == pytest.approx(original.get_last_lr(), rel=1e-10, abs=1e-14)
        assert ours.last_epoch == original.last_epoch
        assert all(type(rate) is float for rate in rates(mine))
        for each in (mine, theirs, ours, original):
            each.step()


@pytest.mark.parametrize("name, options", SCHEDULES, ids=lambda x: x if isinstance(x, str) else ",".join(x))
def test_going_on(name, options) -> None:
    first, _ = optimisers("SGD")
    whole = getattr(schedule, name)(first, **options)
    for _ in range(11):
        whole.step()
    state = json.loads(json.dumps(whole.state_dict()))
    optimiser_state = first.state_dict()
    second, _ = optimisers("SGD")
    again = getattr(schedule, name)(second, **options)
    again.load_state_dict(state)
    second.load_state_dict(optimiser_state)
    assert again.get_last_lr() == whole.get_last_lr()
    for _ in range(10):
        whole.step()
        again.step()
        assert rates(first) == rates(second)
    third, _ = optimisers("SGD")
    third.load_state_dict(optimiser_state)
    resumed = getattr(schedule, name)(third, **options, last_epoch=10)
    assert resumed.last_epoch == 11


def test_the_cycle_ends() -> None:
    opt, _ = optimisers("SGD")
    cycle = schedule.OneCycleLR(opt, 0.1, total_steps=3)
    for _ in range(3):
        cycle.step()
    with pytest.raises(UsageError, match="the cycle is over") as caught:
        cycle.step()
    assert caught.value.code == "E30"


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_short_cycles(steps, share) -> None:
    opt, _ = optimisers("Adam")
    cycle = schedule.OneCycleLR(opt, 0.1, total_steps=steps, pct_start=share)
    for _ in range(steps):
        assert 0 <= cycle.get_last_lr()[0] <= 0.1 * (1 + 1e-12)
        cycle.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda opt: schedule.CosineAnnealingLR(opt, 0),
        lambda opt: schedule.CosineAnnealingLR(opt, 2.5),
        lambda opt: schedule.StepLR(opt, -1),
        lambda opt: schedule.LinearLR(opt, start_factor=0.0),
        lambda opt: schedule.LinearLR(opt, end_factor=1.5),
        lambda opt: schedule.OneCycleLR(opt, 0.1),
        lambda opt: schedule.OneCycleLR(opt, 0.1, total_steps=0),
        lambda opt: schedule.OneCycleLR(opt, 0.1, total_steps=5, pct_start=1.5),
        lambda opt: schedule.OneCycleLR(opt, 0.1, total_steps=5, anneal_strategy="exp"),
        lambda opt: schedule.OneCycleLR(opt, [0.1], total_steps=5),
        lambda opt: schedule.LambdaLR(opt, [abs]),
        lambda opt: schedule.StepLR("opt", 1),
    ],
)
def test_refusals(make) -> None:
    with pytest.raises(UsageError) as caught:
        make(optimisers("SGD")[0])
    assert caught.value.code == "E29"


def test_no_momentum_to_cycle() -> None:
    class Plain(optim.Optimizer):
        pass

    opt = Plain([gradus.nn.Parameter(gradus.zeros(1))], {"lr": 0.1})
    with pytest.raises(UsageError, match="no momentum"):
        schedule.OneCycleLR(opt, 0.1, total_steps=5)
    assert schedule.OneCycleLR(opt, 0.1, total_steps=5, cycle_momentum=False).get_last_lr() == [pytest.approx(0.004)]


def test_going_on_needs_the_initial_rate() -> None:
    with pytest.raises(UsageError, match="initial learning rate"):
        schedule.StepLR(optimisers("SGD")[0], 2, last_epoch=3)


def test_the_state_of_another_schedule() -> None:
    opt, _ = optimisers("SGD")
    with pytest.raises(CheckpointError, match="another schedule"):
        schedule.StepLR(opt, 2).load_state_dict(schedule.CosineAnnealingLR(opt, 2).state_dict())


def test_a_schedule_of_ones_own() -> None:
    class Inverse(schedule.LRScheduler):
        def get_lr(self):
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    opt, _ = optimisers("SGD")
    mine = Inverse(opt)
    mine.step()
    assert mine.get_last_lr() == [0.01, 0.005]
    with pytest.raises(NotImplementedError):
        schedule.LRScheduler(opt)

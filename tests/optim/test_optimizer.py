"""Optimizer: groups, closures, memory, state, and what it refuses."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import gradus
from gradus import nn, optim
from gradus.errors import CheckpointError, GradError, UsageError

MAKERS = [
    lambda p: optim.SGD(p, lr=0.1),
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    lambda p: optim.Adam(p, lr=0.1),
    lambda p: optim.AdamW(p, lr=0.1, amsgrad=True),
]


def trained(make, steps: int = 3):
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    opt = make(net.parameters())
    for _ in range(steps):
        opt.zero_grad()
        net(gradus.ones(2, 3)).sum().backward()
        opt.step()
    return net, opt


@pytest.mark.parametrize("make", MAKERS)
class TestMemory:
    def test_parameters_and_state_stay_where_they_are(self, make) -> None:
        net, opt = trained(make, 1)
        tensors = [*net.parameters(), *(v for s in opt.state.values() for v in s.values() if isinstance(v, gradus.Tensor))]
        memory = [t.value for t in tensors]
        before = [a.copy() for a in memory]
        for _ in range(2):
            net(gradus.ones(2, 3)).sum().backward()
            opt.step()
        assert all(t.value is a for t, a in zip(tensors, memory, strict=True))
        assert not any(np.array_equal(a, b) for a, b in zip(memory, before, strict=True))
        assert all(p.is_leaf and p.requires_grad and p.dtype == gradus.float32 for p in net.parameters())
        assert not any(t.requires_grad for t in tensors[4:])

    def test_gradients_are_left_alone(self, make) -> None:
        net, opt = trained(make)
        gradients = [p.grad.tolist() for p in net.parameters()]
        opt.step()
        assert [p.grad.tolist() for p in net.parameters()] == gradients
        opt.zero_grad(set_to_none=False)
        assert all(not p.grad.numpy().any() for p in net.parameters())
        opt.zero_grad()
        assert all(p.grad is None for p in net.parameters())

    def test_a_step_is_a_write_that_backward_sees(self, make) -> None:
        net, opt = trained(make)
        loss = net(gradus.ones(2, 3)).sum()
        opt.step()
        with pytest.raises(GradError):
            loss.backward()

    def test_saved_and_loaded_mid_way(self, make) -> None:
        net, opt = trained(make)
        twin, other = copy.deepcopy(net), None
        other = make(twin.parameters())
        other.load_state_dict(opt.state_dict())
        for each, o in ((net, opt), (twin, other)):
            for _ in range(3):
                o.zero_grad()
                each(gradus.ones(2, 3)).sum().backward()
                o.step()
        for a, b in zip(net.parameters(), twin.parameters(), strict=True):
            assert gradus.equal(a, b)

    def test_loading_keeps_the_state_tensors(self, make) -> None:
        _, opt = trained(make)
        state = copy.deepcopy(opt.state_dict())
        before = [v for s in opt.state.values() for v in s.values() if isinstance(v, gradus.Tensor)]
        opt.load_state_dict(state)
        after = [v for s in opt.state.values() for v in s.values() if isinstance(v, gradus.Tensor)]
        assert all(a is b for a, b in zip(before, after, strict=True))


def test_numpys_scalars_make_no_float64() -> None:
    w = nn.Parameter(gradus.ones(3))
    for opt in (
        optim.Adam([w], lr=np.float64(0.1), betas=(np.float64(0.9), np.float64(0.99))),
        optim.SGD([w], lr=np.float64(0.1), momentum=np.float64(0.5)),
    ):
        (w * w).sum().backward()
        opt.param_groups[0]["lr"] = np.logspace(-3, -1, 3)[1]
        opt.step()
        assert all(t.dtype == gradus.float32 for t in [w, *(v for v in opt.state[w].values() if isinstance(v, gradus.Tensor))])


def test_closure() -> None:
    w = nn.Parameter(gradus.tensor([2.0]))
    opt = optim.SGD([w], lr=0.1)

    def closure():
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with gradus.no_grad():
        loss = opt.step(closure)
    assert loss.item() == 4.0
    assert w.item() == pytest.approx(1.6)
    assert opt.step() is None


def test_named_parameters() -> None:
    net = nn.Linear(2, 1)
    opt = optim.Adam(net.named_parameters())
    assert opt.param_groups[0]["param_names"] == ["weight", "bias"]
    net(gradus.ones(1, 2)).sum().backward()
    opt.step()
    assert opt.state_dict()["param_groups"][0]["params"] == [0, 1]


def test_parameters_without_gradient_are_left_alone() -> None:
    net = nn.Linear(2, 1)
    net.weight.requires_grad_(False)
    opt = optim.AdamW(net.parameters())
    before = net.weight.tolist()
    net(gradus.ones(1, 2)).sum().backward()
    opt.step()
    assert net.weight.tolist() == before
    assert net.weight not in opt.state


def test_a_rule_of_ones_own() -> None:
    class SignDescent(optim.Optimizer):
        def __init__(self, params, lr: float = 0.1) -> None:
            super().__init__(params, {"lr": lr})

        def update(self, xp, p, g, state, options):
            return p - options["lr"] * xp.sign(g), {}

    w = nn.Parameter(gradus.tensor([1.0, -1.0]))
    opt = SignDescent([w])
    (w * w).sum().backward()
    opt.step()
    np.testing.assert_allclose(w.detach().numpy(), [0.9, -0.9], rtol=1e-6)


def test_pytorch_style_subclass() -> None:
    """A subclass that overrides ``step`` and loops over the groups itself, as PyTorch code does."""

    class Plain(optim.Optimizer):
        def __init__(self, params) -> None:
            super().__init__(params, {"lr": 0.5})

        @gradus.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["seen"] = self.state[p].get("seen", 0) + 1
                    p.add_(p.grad, alpha=-group["lr"])

    w = nn.Parameter(gradus.tensor([1.0]))
    opt = Plain([w])
    (3 * w).sum().backward()
    opt.step()
    assert w.tolist() == [-0.5]
    assert opt.state_dict()["state"] == {0: {"seen": 1}}


def test_a_buffer_that_is_not_there_yet() -> None:
    _, opt = trained(lambda p: optim.SGD(p))
    state = opt.state_dict()
    state["state"] = {0: {"momentum_buffer": None}}
    opt.load_state_dict(state)
    opt.param_groups[0]["momentum"] = 0.9
    opt.step()
    assert all(set(s) == {"momentum_buffer"} for s in opt.state.values())


def test_repr() -> None:
    mine = repr(optim.Adam([nn.Parameter(gradus.zeros(1))], lr=0.5, weight_decay=0.1))
    theirs = repr(torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.5, weight_decay=0.1)).splitlines()
    assert all(line in theirs for line in mine.splitlines())


class TestRefusals:
    def test_no_parameters(self) -> None:
        net = nn.Linear(2, 1)
        spent = net.parameters()
        list(spent)
        with pytest.raises(UsageError, match="no parameters") as caught:
            optim.SGD(spent)
        assert "generator" in caught.value.got
        assert caught.value.code == "E28"
        with pytest.raises(UsageError, match="no parameters") as caught:
            optim.SGD([])
        assert "ModuleList" in caught.value.fix
        assert isinstance(caught.value, ValueError)

    def test_no_collection(self) -> None:
        with pytest.raises(UsageError) as caught:
            optim.SGD(nn.Linear(2, 1))
        assert caught.value.fix == "model.parameters()"
        with pytest.raises(UsageError) as caught:
            optim.SGD(gradus.zeros(2))
        assert caught.value.fix == "[tensor]"
        with pytest.raises(UsageError):
            optim.SGD([{"params": {nn.Parameter(gradus.zeros(2))}}])

    def test_no_leaf(self) -> None:
        w = gradus.zeros(3).requires_grad_() * 0.1
        with pytest.raises(GradError, match="computed from other tensors"):
            optim.SGD([w])
        with pytest.raises(UsageError, match="not a Tensor"):
            optim.SGD([np.zeros(3)])

    def test_twice(self) -> None:
        w = nn.Parameter(gradus.zeros(3))
        with pytest.raises(UsageError, match="parameter number 1 is given to the optimiser twice"):
            optim.SGD([w, w])
        opt = optim.SGD([w])
        with pytest.raises(UsageError, match="'w' is given"):
            opt.add_param_group({"params": [("w", w)]})
        assert len(opt.param_groups) == 1
        with pytest.raises(UsageError, match="with a name"):
            optim.SGD([("w", w), nn.Parameter(gradus.zeros(1))])

    @pytest.mark.parametrize(
        "make",
        [
            lambda p: optim.SGD(p, lr=-0.1),
            lambda p: optim.SGD(p, lr=float("nan")),
            lambda p: optim.SGD(p, momentum=-1),
            lambda p: optim.SGD(p, weight_decay=-1),
            lambda p: optim.SGD(p, nesterov=True),
            lambda p: optim.SGD(p, momentum=0.9, dampening=0.1, nesterov=True),
            lambda p: optim.Adam(p, lr=-1),
            lambda p: optim.Adam(p, betas=(1.0, 0.9)),
            lambda p: optim.Adam(p, betas=(0.9,)),
            lambda p: optim.Adam(p, eps=-1),
            lambda p: optim.AdamW([{"params": p, "lr": -1.0}]),
        ],
    )
    def test_ranges(self, make) -> None:
        with pytest.raises(UsageError) as caught:
            make([nn.Parameter(gradus.zeros(3))])
        assert caught.value.code == "E29"

    def test_a_state_that_does_not_fit(self) -> None:
        net, opt = trained(lambda p: optim.Adam(p))
        before = copy.deepcopy(opt.state_dict())
        state = copy.deepcopy(before)
        state["state"][0]["exp_avg"] = np.zeros((9, 9))
        state["param_groups"][0]["lr"] = 7.0
        bad = [
            (state, "another shape"),
            ({"state": {}}, "not the state of an optimiser"),
            (optim.Adam([nn.Parameter(gradus.zeros(1))]).state_dict(), "another model"),
            (optim.SGD(net.parameters()).state_dict(), "another optimiser"),
        ]
        for wrong, said in bad:
            with pytest.raises(CheckpointError, match=said):
                opt.load_state_dict(wrong)
        assert opt.param_groups[0]["lr"] == before["param_groups"][0]["lr"]
        assert gradus.equal(opt.state_dict()["state"][0]["exp_avg"], before["state"][0]["exp_avg"])

    def test_no_rule(self) -> None:
        w = nn.Parameter(gradus.zeros(3))
        opt = optim.Optimizer([w], {})
        w.grad = gradus.ones(3)
        with pytest.raises(NotImplementedError, match="no update rule"):
            opt.step()

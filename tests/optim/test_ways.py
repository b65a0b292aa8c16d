"""One rule, several ways to run it: in blocks, on a tracer, on memory of any layout. All give the same numbers."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import gradus
from gradus import nn, optim
from gradus.errors import DTypeError
from gradus.optim.optimizer import BLOCK, LARGE
from gradus.testing.tracer import HostNumber, Replay

MAKERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.01),
    "SGD maximize": lambda p: optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.3, maximize=True),
    "Nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("shape", [(LARGE,), (LARGE + 1,), (3, LARGE // 2), (LARGE + BLOCK,)], ids=str)
def test_blocks_change_nothing(make, shape, monkeypatch) -> None:
    start = np.random.standard_normal(shape).astype("float32")
    gradients = [gradus.tensor(np.random.standard_normal(shape).astype("float32")) for _ in range(3)]
    ends = []
    for elementwise in (True, False):
        w = nn.Parameter(gradus.tensor(start))
        opt = make([w])
        monkeypatch.setattr(type(opt), "ELEMENTWISE", elementwise)
        for g in gradients:
            w.grad = g
            opt.step()
        assert w.dtype == gradus.float32
        ends.append([w.detach().numpy(), *(v.numpy() for v in opt.state[w].values() if isinstance(v, gradus.Tensor))])
    for a, b in zip(*ends, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_memory_that_is_not_in_one_piece(make) -> None:
    start = np.random.standard_normal((400, 500))
    gradient = np.random.standard_normal((400, 500))
    ends = []
    for layout in (lambda a: a.copy(), lambda a: a.T.copy().T, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
        for other in (lambda a: a.copy(), lambda a: a.T.copy().T):
            w = nn.Parameter(gradus.from_numpy(layout(start)))
            opt = make([w])
            for _ in range(2):
                w.grad = gradus.from_numpy(other(gradient))
                opt.step()
            ends.append(w.detach().numpy())
    for end in ends[1:]:
        assert np.array_equal(end, ends[0])


def test_a_step_in_blocks_is_a_write_that_backward_sees() -> None:
    w = nn.Parameter(gradus.ones(2 * LARGE))
    opt = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    opt.step()
    with pytest.raises(gradus.GradusError):
        loss.backward()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_traced_step_repeats_the_eager_one(make) -> None:
    """Trained on a tracer and replayed with new data, a changing rate and a growing step count: equal to eager over 20 steps."""
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    batches = [(np.random.standard_normal((4, 5)).astype("float32"), np.random.randint(0, 3, 4)) for _ in range(22)]
    twin = copy.deepcopy(net)

    def training_step(model, opt):
        def step(x, y):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            return loss

        return step

    eager = make(net.parameters())
    losses = []
    for t, (x, y) in enumerate(batches):
        eager.param_groups[0]["lr"] = 0.01 / (1 + t)
        losses.append(training_step(net, eager)(gradus.tensor(x), gradus.tensor(y)).item())

    opt = make(twin.parameters())
    opt.param_groups[0]["lr"] = 0.01
    training_step(twin, opt)(*map(gradus.tensor, batches[0]))  # the eager first call, which makes the state
    rate, count = [0.01], [1]

    def host(trace):
        lr, step = HostNumber(trace, rate[0]), HostNumber(trace, count[0])
        opt.param_groups[0]["lr"] = lr
        for state in opt.state.values():
            if "step" in state:
                state["step"] = step
        return lambda: {lr.slot: rate[0], step.slot: count[0]}

    replay = Replay(training_step(twin, opt), batches[1], host)
    for t in range(1, 22):
        rate[0], count[0] = 0.01 / (1 + t), t
        assert float(replay(*batches[t])) == pytest.approx(losses[t], rel=1e-6)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("make", [MAKERS["Nesterov"], MAKERS["Adam"]])
def test_a_model_converted_after_the_first_step_is_refused(make) -> None:
    net = nn.Linear(2, 1)
    opt = make(net.parameters())
    for convert in (net.float, net.double):
        convert()
        opt.zero_grad()
        net(gradus.ones(1, 2, dtype=net.weight.dtype)).sum().backward()
        if convert == net.float:
            opt.step()
    with pytest.raises(DTypeError, match="began with float32 parameters, and now they are float64"):
        opt.step()

"""The proof that a compiler needs no second autograd: a whole step, traced once, replays with new data as eager execution computes it."""

import numpy as np
import pytest

import gradus
from gradus import nn
from gradus.testing.tracer import HostNumber, Replay, Trace

F = nn.functional
STEPS = 20


def data(seed):
    random = np.random.default_rng(seed)
    return random.standard_normal((STEPS + 1, 16, 6)), random.integers(0, 3, (STEPS + 1, 16))


def network():
    gradus.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3)).double()


OPTIMIZERS = {
    "sgd": lambda p: gradus.optim.SGD(p, lr=0.1),
    "momentum": lambda p: gradus.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: gradus.optim.Adam(p, lr=0.01),
    "adamw": lambda p: gradus.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


def host_steps(optimizer):
    """Let the step counts of an optimiser be host numbers while tracing; at each replay they go on counting."""

    def install(trace: Trace):
        counted = [state for state in optimizer.state.values() if "step" in state]
        numbers = []
        for state in counted:
            number = HostNumber(trace, state["step"])
            numbers.append((number, state, state["step"]))
            state["step"] = number

        def values():
            now = {}
            for k, (number, state, count) in enumerate(numbers):
                now[number.slot] = count
                numbers[k] = (number, state, count + 1)
            return now

        return values

    return install


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_traced_step_equals_eager_steps(name):
    xs, ys = data(0)
    eager, traced = network(), network()
    optimizers = [OPTIMIZERS[name](model.parameters()) for model in (eager, traced)]

    def step(model, optimizer, x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    # The first step makes the optimisers' state.
    for model, optimizer in zip((eager, traced), optimizers, strict=True):
        step(model, optimizer, gradus.tensor(xs[0]), gradus.tensor(ys[0]))
    before = [p.numpy().copy() for p in map(gradus.Tensor.detach, traced.parameters())]
    replay = Replay(lambda x, y: step(traced, optimizers[1], x, y), [xs[0], ys[0]], host=host_steps(optimizers[1]))
    for p, b in zip(traced.parameters(), before, strict=True):
        assert np.array_equal(p.detach().numpy(), b), "tracing itself must change nothing"
    for k in range(1, STEPS + 1):
        expected = step(eager, optimizers[0], gradus.tensor(xs[k]), gradus.tensor(ys[k])).item()
        assert replay(xs[k], ys[k]) == expected, f"loss of step {k}"
    for a, b in zip(eager.parameters(), traced.parameters(), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())


def test_the_trace_is_one_flat_list_of_raw_calls():
    w = gradus.tensor(np.ones((2, 2)), requires_grad=True)
    replay = Replay(lambda x: gradus.autograd.grad((x @ w).tanh().sum(), w)[0], [np.ones((3, 2))])
    names = [record.name for record, *_ in replay.trace.calls]
    assert names[:3] == ["matmul", "tanh", "sum"] and names[-1] == "matmul"
    assert [memory is w.value for _, memory, _ in replay.trace.state] == [True]


def test_replay_sees_new_parameters():
    w = gradus.tensor(np.ones(2), requires_grad=True)
    replay = Replay(lambda x: (x * w).sum(), [np.ones(2)])
    with gradus.no_grad():
        w.mul_(10)
    assert replay(np.array([1.0, 2.0])) == 30.0

"""Recurrent layers and cells beside PyTorch's: outputs, last states, gradients of everything, both directions, several layers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import DTypeError, ShapeError, UsageError, UsageWarning
from gradus.fused import recurrent
from gradus.testing import gradcheck
from gradus.testing.tracer import Replay

LAYERS = [
    (lambda nn: nn.RNN(3, 4), (5, 2, 3)),
    (lambda nn: nn.RNN(3, 4, 2, nonlinearity="relu", bias=False), (5, 2, 3)),
    (lambda nn: nn.RNN(3, 4, bidirectional=True), (5, 2, 3)),
    (lambda nn: nn.RNN(3, 4), (1, 1, 3)),
    (lambda nn: nn.LSTM(3, 4), (5, 2, 3)),
    (lambda nn: nn.LSTM(3, 4, bias=False), (5, 2, 3)),
    (lambda nn: nn.LSTM(3, 4, 2, bidirectional=True), (5, 2, 3)),
    (lambda nn: nn.LSTM(3, 4, batch_first=True), (2, 5, 3)),
    (lambda nn: nn.LSTM(3, 4), (5, 3)),
    (lambda nn: nn.LSTM(3, 4), (5, 0, 3)),
    (lambda nn: nn.LSTM(1, 1), (1, 1, 1)),
    (lambda nn: nn.GRU(3, 4), (5, 2, 3)),
    (lambda nn: nn.GRU(3, 4, bias=False), (5, 2, 3)),
    (lambda nn: nn.GRU(3, 4, 3, batch_first=True, bidirectional=True), (2, 5, 3)),
    (lambda nn: nn.GRU(3, 4, batch_first=True), (5, 3)),
    (lambda nn: nn.GRU(3, 4), (5, 0, 3)),
    (lambda nn: nn.GRU(3, 4, 2, dropout=0.5).eval(), (5, 2, 3)),
]
CELLS = [
    lambda nn: nn.RNNCell(3, 4),
    lambda nn: nn.RNNCell(3, 4, bias=False, nonlinearity="relu"),
    lambda nn: nn.LSTMCell(3, 4),
    lambda nn: nn.LSTMCell(3, 4, bias=False),
    lambda nn: nn.GRUCell(3, 4),
    lambda nn: nn.GRUCell(3, 4, bias=False),
]


def label(case) -> str:
    return f"{case[0](torch.nn)} {case[1]}" if isinstance(case, tuple) else repr(case(torch.nn))


def pair(make, dtype: str):
    mine, theirs = make(nn).to(dtype), make(torch.nn).to(getattr(torch, dtype))
    assert list(mine.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()})
    return mine, theirs, list(zip(mine.parameters(), theirs.parameters(), strict=True))


def flat(result, cat):
    """Outputs and last states as one vector, so that one cotangent reaches all."""
    y, last = result
    return cat([part.reshape(-1) for part in (y, *(last if isinstance(last, tuple) else (last,)))])


def state_arrays(layer, shape, dtype: str) -> list[np.ndarray]:
    """Random first states for an input of a shape."""
    batch = () if len(shape) == 2 else (shape[0] if layer.batch_first else shape[1],)
    lead = layer.num_layers * (2 if layer.bidirectional else 1)
    return [
        np.random.default_rng(k).standard_normal((lead, *batch, layer.hidden_size)).astype(dtype)
        for k in range(2 if isinstance(layer, torch.nn.LSTM) else 1)
    ]


@pytest.mark.parametrize("given", [False, True], ids=["from zero", "from a state"])
@pytest.mark.parametrize("case", LAYERS, ids=label)
def test_values_and_gradients(case, given, dtype, compare) -> None:
    make, shape = case
    mine, theirs, parameters = pair(make, dtype)
    states = state_arrays(theirs, shape, dtype) if given else []

    def run(layer, cat):
        def f(x, *states):
            hx = None if not states else tuple(states) if len(states) > 1 else states[0]
            return flat(layer(x, hx), cat)

        return f

    compare(run(mine, gradus.cat), run(theirs, torch.cat), [np.random.standard_normal(shape).astype(dtype), *states], dtype, parameters)


@pytest.mark.parametrize("case", LAYERS, ids=label)
def test_shapes_and_repr(case) -> None:
    make, shape = case
    mine, theirs = make(nn), make(torch.nn)
    assert repr(mine) == repr(theirs)
    y, last = mine(gradus.zeros(*shape))
    expected, theirs_last = theirs(torch.zeros(*shape))
    assert tuple(y.shape) == tuple(expected.shape)
    ours = [tuple(s.shape) for s in (last if isinstance(last, tuple) else (last,))]
    assert ours == [tuple(s.shape) for s in (theirs_last if isinstance(theirs_last, tuple) else (theirs_last,))]


@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (3,)], ids=str)
@pytest.mark.parametrize("make", CELLS, ids=label)
def test_cells(make, shape, dtype, compare) -> None:
    mine, theirs, parameters = pair(make, dtype)
    assert repr(mine) == repr(theirs)
    count = 2 if isinstance(theirs, torch.nn.LSTMCell) else 1
    arrays = [np.random.default_rng(k).standard_normal((*shape[:-1], 3 if not k else 4)).astype(dtype) for k in range(count + 1)]

    def run(cell, cat):
        def f(x, *states):
            first = cell(x, states if count > 1 else states[0])
            zero = cell(x)
            return cat([part.reshape(-1) for part in (*first, *zero)]) if count > 1 else cat([first.reshape(-1), zero.reshape(-1)])

        return f

    compare(run(mine, gradus.cat), run(theirs, torch.cat), arrays, dtype, parameters)


SEQUENCES = {
    "RNN": (lambda: nn.RNN(2, 3), 1),
    "RNN relu": (lambda: nn.RNN(2, 3, nonlinearity="relu"), 1),
    "LSTM": (lambda: nn.LSTM(2, 3), 2),
    "LSTM without bias": (lambda: nn.LSTM(2, 3, bias=False), 2),
    "GRU": (lambda: nn.GRU(2, 3), 1),
    "GRU without bias": (lambda: nn.GRU(2, 3, bias=False), 1),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_is_its_steps_and_so_are_its_derivatives(name) -> None:
    """The hand-written derivative of a sequence beside that of its steps in ops: first order, second order, forward mode."""
    make, states = SEQUENCES[name]
    layer = make().double()
    random = np.random.default_rng(0)
    arrays = [random.standard_normal((3, 2, 2)), *[random.standard_normal((1, 2, 3)) for _ in range(states)]]
    names = [each for each, _ in layer.named_parameters()]
    values = [p.detach().numpy().copy() for p in layer.parameters()]

    def whole(x, *rest):
        for each, value in zip(names, rest[states:], strict=True):
            vars(layer)[each] = value
        return flat(layer(x, rest[:states] if states > 1 else rest[0]), gradus.cat)

    def steps(x, *rest):
        w, (hidden, *cell) = dict(zip(names, rest[states:], strict=True)), [state[0] for state in rest[:states]]
        outputs = []
        for t in range(3):
            u = x[t] @ w["weight_ih_l0"].T
            if name.startswith("GRU"):
                u = u + w["bias_ih_l0"] if "bias_ih_l0" in w else u
                hidden = recurrent.gru_step(u, hidden, w["weight_hh_l0"], w.get("bias_hh_l0"))
            else:
                u = u + w["bias_ih_l0"] + w["bias_hh_l0"] if "bias_ih_l0" in w else u
                if cell:
                    hidden, cell[0] = recurrent.lstm_step(u, hidden, cell[0], w["weight_hh_l0"])
                else:
                    hidden = recurrent.simple_step("relu" if "relu" in name else "tanh", u, hidden, w["weight_hh_l0"])
            outputs.append(hidden)
        return gradus.cat([part.reshape(-1) for part in (*outputs, hidden, *cell)])

    inputs = [gradus.tensor(a) for a in (*arrays, *values)]
    directions = [gradus.tensor(random.standard_normal(tuple(x.shape))) for x in inputs]
    weights = gradus.tensor(random.standard_normal(tuple(steps(*inputs).shape)))
    which = tuple(range(len(inputs)))
    results = []
    for f in (whole, steps):
        slope = gradus.grad(lambda *z, f=f: (f(*z) * weights).sum(), which)
        curve = gradus.grad(lambda *z, s=slope: sum((g * d).sum() for g, d in zip(s(*z), directions, strict=True)), which)
        results.append([f(*inputs), gradus.jvp(f, inputs, directions)[1], *slope(*inputs), *curve(*inputs)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", [lambda: nn.LSTM(2, 3), lambda: nn.GRU(2, 3), lambda: nn.RNN(2, 3)])
def test_differences(make) -> None:
    layer = make().double().requires_grad_(False)
    assert gradcheck(lambda x: flat(layer(x), gradus.cat), [np.random.default_rng(0).standard_normal((4, 2, 2))])


@pytest.mark.parametrize("make", [lambda: nn.LSTM(2, 3, 2), lambda: nn.GRU(2, 3), lambda: nn.RNN(2, 3, bidirectional=True)])
def test_a_traced_step_replays_with_other_data(make) -> None:
    layer = make().double()

    def step(x):
        for p in layer.parameters():
            p.grad = None
        flat(layer(x), gradus.cat).square().sum().backward()
        return gradus.cat([p.grad.reshape(-1) for p in layer.parameters()])

    first, second = np.random.default_rng(0).standard_normal((2, 4, 2, 2))
    replay = Replay(step, [first])
    np.testing.assert_allclose(replay(second), step(gradus.tensor(second)).numpy(), rtol=1e-12)


def test_only_the_cell_state_is_used(compare) -> None:
    mine, theirs, parameters = pair(lambda nn: nn.LSTM(3, 4), "float64")
    compare(lambda x: mine(x)[1][1], lambda x: theirs(x)[1][1], [np.random.standard_normal((5, 2, 3))], "float64", parameters)


def test_no_gradient_wanted() -> None:
    layer = nn.LSTM(3, 4)
    with gradus.no_grad():
        y, _ = layer(gradus.randn(5, 2, 3))
    assert not y.requires_grad


def test_dropout_acts_between_layers_in_training() -> None:
    layer, x = nn.GRU(3, 4, 2, dropout=0.5), gradus.randn(5, 2, 3)
    assert not gradus.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert gradus.equal(layer(x)[0], layer(x)[0])
    with pytest.warns(UsageWarning, match="no effect with num_layers=1"):
        nn.GRU(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.GRU(3, 4, 2, dropout=0.5)


def test_start() -> None:
    for layer in (nn.LSTM(30, 100), nn.GRUCell(30, 100)):
        for p in layer.parameters():
            values = p.detach().numpy()
            assert np.abs(values).max() <= 0.1 and abs(values.std() - 0.1 / 3**0.5) < 0.005


class Packed:
    """As a packed sequence looks from outside."""

    batch_sizes = (2, 1)


@pytest.mark.parametrize(
    "error, said, call",
    [
        (UsageError, "packed sequence", lambda: nn.LSTM(3, 4)(Packed())),
        (UsageError, "proj_size", lambda: nn.LSTM(3, 4, proj_size=2)),
        (UsageError, "nonlinearity", lambda: nn.RNN(3, 4, nonlinearity="gelu")),
        (UsageError, "nonlinearity", lambda: nn.RNNCell(3, 4, nonlinearity="gelu")),
        (UsageError, "greater than zero", lambda: nn.GRU(3, 0)),
        (UsageError, "probability", lambda: nn.GRU(3, 4, 2, dropout=2.0)),
        (ShapeError, "expects last dim 3, got (5, 2, 4)", lambda: nn.LSTM(3, 4)(gradus.zeros(5, 2, 4))),
        (ShapeError, "larger than 0", lambda: nn.LSTM(3, 4)(gradus.zeros(0, 2, 3))),
        (ShapeError, "Expected hidden size (1, 2, 4)", lambda: nn.GRU(3, 4)(gradus.zeros(5, 2, 3), gradus.zeros(1, 3, 4))),
        (ShapeError, "(h, c)", lambda: nn.LSTM(3, 4)(gradus.zeros(5, 2, 3), [gradus.zeros(1, 2, 4)])),
        (DTypeError, "float64", lambda: nn.LSTM(3, 4)(gradus.zeros(5, 2, 3).double())),
        (ShapeError, "expects last dim 3", lambda: nn.LSTMCell(3, 4)(gradus.zeros(2, 4))),
        (ShapeError, "state of another shape", lambda: nn.GRUCell(3, 4)(gradus.zeros(2, 3), gradus.zeros(3, 4))),
        (DTypeError, "takes a Tensor", lambda: nn.RNNCell(3, 4)([1.0])),
    ],
)
def test_refused(error, said, call) -> None:
    with pytest.raises(error) as caught:
        call()
    assert said in str(caught.value)

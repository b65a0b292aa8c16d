"""One model, four engines: layers, closures, the tape and Gradus compiled find the same gradients.

The last rung. The ways up differ in who remembers what a gradient will need: a layer, a function
that the layer returns, the number itself, or a program that was written down once and is replayed.
What they compute does not differ. `compare` shows it in one table, against a judge that knows no
chain rule, `complex_step`. What a step costs, and of what it is made, is weighed in `engine_costs`.

Sources: those of the rungs below; Jeremy Howard and Sylvain Gugger, Deep Learning for Coders with
fastai and PyTorch, 2020, chapter 17 (the model: linear, ReLU, linear, mean squared error).

Letters: x inputs (N, n_in), y targets (N, n_out); w1 (n_in, hidden), b1 (hidden,), w2 (hidden,
n_out), b2 (n_out,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import gradus
from gradus.ladder import (
    closure_activations,
    closure_training,
    closures,
    functions_and_gradients,
    layers,
    tape,
    tape_at_work,
)
from gradus.ladder.complex_step import Network, Result, complex_step, make_network

NAMES = ("w1", "b1", "w2", "b2")
Step = Callable[[], Result]


# --- The engines: each takes a network and returns the step that computes loss and gradients ------


def with_layers(network: Network) -> Step:
    """Layers remember, and gradients lie in `.g`.

    >>> len(with_layers(make_network())().gradients)
    4
    """
    (n_in, hidden), n_out = network.w1.shape, len(network.b2)
    first, second = layers.Linear(n_in, hidden), layers.Linear(hidden, n_out)
    parameters = [functions_and_gradients.tensor(p) for p in network.parameters]
    first.weight, first.bias, second.weight, second.bias = parameters
    model = layers.Model([first, layers.ReLU(), second])

    def step() -> Result:
        for p in parameters:
            p.g = None
        loss = model.loss(model(network.x), network.y)
        model.backward()
        return Result(float(loss), tuple(np.asarray(p.g) for p in parameters))

    return step


def with_closures(network: Network) -> Step:
    """Each call returns its own way back; gradients lie in the parameters, zeroed for each step.

    >>> len(with_closures(make_network())().gradients)
    4
    """
    (n_in, hidden), n_out = network.w1.shape, len(network.b2)
    model = closures.Sequential(
        closures.Linear(n_in, hidden, input_gradient=False),
        closure_activations.ReLU(),
        closures.Linear(hidden, n_out),
    )
    for parameter, value in zip(model.parameters, network.parameters, strict=True):
        parameter.tensor, parameter.gradient = value.copy(), np.zeros_like(value)

    def step() -> Result:
        for p in model.parameters:
            p.gradient.fill(0)
        output, backward = model.forward(network.x)
        loss, gradient = closure_training.mse_loss(output, network.y)
        backward(gradient)
        return Result(float(loss), tuple(p.gradient.copy() for p in model.parameters))

    return step


def with_tape(network: Network) -> Step:
    """The numbers remember: the model is an expression.

    >>> len(with_tape(make_network())().gradients)
    4
    """
    x = tape.Tensor(network.x)
    parameters = [tape.Tensor(p, requires_grad=True) for p in network.parameters]

    def step() -> Result:
        w1, b1, w2, b2 = parameters
        for p in parameters:
            p.grad = None
        loss = tape_at_work.mse(tape.MyRelu.apply(x @ w1 + b1) @ w2 + b2, network.y)
        loss.backward()
        return Result(float(loss.value), tuple(p.grad for p in parameters))

    return step


def with_gradus(network: Network, compiled: bool = True, tier: str | None = None) -> Step:
    """Gradus' tape and rules; compiled, the step was traced once and is replayed.

    `tier` is that of `gradus.compile`.

    >>> len(with_gradus(make_network(), tier="numpy")().gradients)
    4
    """
    program, x, y, parameters = gradus_program(network, compiled, tier)

    def step() -> Result:
        loss = program(x, y)
        return Result(loss.item(), tuple(p.grad.numpy() for p in parameters))

    return step


def gradus_program(
    network: Network, compiled: bool, tier: str | None = None
) -> tuple[Any, Any, Any, list[Any]]:
    """The function of x and y that returns the loss and fills `.grad`, then x, y, the parameters.

    Compiled, it has been traced.

    >>> program, x, y, parameters = gradus_program(make_network(), compiled=False)
    >>> float(program(x, y)) > 0, [tuple(p.grad.shape) for p in parameters]
    (True, [(20, 16), (16,), (16, 3), (3,)])
    """
    x, y = gradus.tensor(network.x), gradus.tensor(network.y)
    parameters = [gradus.tensor(p, requires_grad=True) for p in network.parameters]

    def program(x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = parameters
        for p in parameters:
            p.grad = None
        loss = gradus.nn.functional.mse_loss((x @ w1 + b1).relu() @ w2 + b2, y)
        loss.backward()
        return loss

    if not compiled:
        return program, x, y, parameters
    replayed = gradus.compile(program, tier=tier)
    for _ in range(2):  # the first call runs eagerly, the second is traced, every later one replays
        replayed(x, y)
    return replayed, x, y, parameters


def engines(tier: str | None = None) -> dict[str, Callable[[Network], Step]]:
    """The four by name.

    >>> list(engines())
    ['layers', 'closures', 'tape', 'gradus compiled']
    """
    return {
        "layers": with_layers,
        "closures": with_closures,
        "tape": with_tape,
        "gradus compiled": lambda network: with_gradus(network, tier=tier),
    }


# --- What they show -------------------------------------------------------------------------------


class Row(NamedTuple):
    """An engine, its loss, and how far each of its gradients is from the judge's.

    That is the largest difference, as a share of the gradient's largest entry.
    """

    engine: str
    loss: float
    w1: float
    b1: float
    w2: float
    b2: float


def compare(network: Network | None = None, tier: str | None = None) -> list[Row]:
    """The table: one row for the judge, one for each engine.

    In float64 all differences are below 1e-10.

    >>> rows = compare(tier="numpy")
    >>> [row.engine for row in rows]
    ['complex step', 'layers', 'closures', 'tape', 'gradus compiled']
    >>> max(max(row[2:]) for row in rows) < 1e-10
    True
    """
    network = make_network() if network is None else network
    judge = complex_step(network)
    rows = [Row("complex step", judge.loss, 0.0, 0.0, 0.0, 0.0)]
    for name, engine in engines(tier).items():
        found = engine(network)()
        pairs = zip(found.gradients, judge.gradients, strict=True)
        differences = [float(abs(mine - true).max() / abs(true).max()) for mine, true in pairs]
        rows.append(Row(name, found.loss, *differences))
    return rows

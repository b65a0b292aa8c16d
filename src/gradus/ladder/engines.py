"""One model, four engines: layers, closures, the tape and Gradus compiled find the same loss and the same gradients.

The last rung. The ways up differ in who remembers what a gradient will need: a layer, a function that the layer returns, the number itself,
or a program that was written down once and is replayed. What they compute does not differ. `compare` shows it in one table, against a judge
that knows no chain rule: the derivative read off the imaginary part of the loss at w + iε, exact to the last digits since nothing is
subtracted (`complex_step`).

`timings` asks what Eisenschlos' text promises: that differentiating in advance, not while running, makes a dramatic difference. `work` and
`matrix_products` weigh the claim that deep learning is products of matrices and reverse-mode differentiation, and nothing but these.

Sources: "Building the foundations of Deep Learning from scratch" (the claim); Julian Eisenschlos, Neural Networks in 100 lines of pure
Python, 2019; Jeremy Howard and Sylvain Gugger, Deep Learning for Coders with fastai and PyTorch, 2020, chapter 17 (the model: linear, ReLU,
linear, mean squared error); William Squire and George Trapp, Using complex variables to estimate derivatives of real functions, 1998.

Letters: N examples; x inputs (N, n_in), y targets (N, n_out); w1 (n_in, hidden), b1 (hidden,), w2 (hidden, n_out), b2 (n_out,).
"""

from __future__ import annotations

import time
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

NAMES = ("w1", "b1", "w2", "b2")


class Network(NamedTuple):
    """Data and parameters of one problem, as plain arrays."""

    x: np.ndarray
    y: np.ndarray
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray

    @property
    def parameters(self) -> tuple[np.ndarray, ...]:
        """w1, b1, w2, b2."""
        return self[2:]


def make_network(seed: int = 0, n: int = 32, widths: tuple[int, int, int] = (20, 16, 3), dtype: Any = np.float64) -> Network:
    """Random data and weights.

    >>> make_network().w1.shape, make_network(widths=(784, 50, 1)).w2.shape
    ((20, 16), (50, 1))
    """
    rng, (n_in, hidden, n_out) = np.random.default_rng(seed), widths
    shapes = ((n, n_in), (n, n_out), (n_in, hidden), (hidden,), (hidden, n_out), (n_out,))
    scales = (1.0, 1.0, np.sqrt(2 / n_in), 0.1, np.sqrt(2 / hidden), 0.1)
    return Network(*[(rng.standard_normal(shape) * scale).astype(dtype) for shape, scale in zip(shapes, scales)])


class Result(NamedTuple):
    """The loss and its gradients by w1, b1, w2, b2."""

    loss: float
    gradients: tuple[np.ndarray, ...]


Step = Callable[[], Result]

# --- The judge ---------------------------------------------------------------------------------------------------------------------


def loss_by_formula(x: Any, y: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    """mean((max(x w1 + b1, 0) w2 + b2 - y)²), also for complex weights: the real part decides what is positive.

    >>> float(loss_by_formula(*[np.array(v) for v in ([[3.0]], [[5.0]], [[1.0]], [0.0], [[2.0]], [0.0])]))
    1.0
    """
    hidden = x @ w1 + b1
    return np.mean((np.where(hidden.real > 0, hidden, 0) @ w2 + b2 - y) ** 2)


def complex_step(network: Network, epsilon: float = 1e-100) -> Result:
    """∂loss/∂w = imaginary part of loss(w + iε) / ε, one weight at a time; the error is of order ε², and nothing cancels.

    >>> tiny = Network(*[np.array(v) for v in ([[3.0]], [[5.0]], [[1.0]], [0.0], [[2.0]], [0.0])])
    >>> complex_step(tiny).loss, complex_step(tiny).gradients[0]
    (1.0, array([[12.]]))
    """
    gradients = []
    for k, p in enumerate(network.parameters):
        gradient = np.zeros(p.shape)
        for index in np.ndindex(p.shape):
            moved = [q.astype(complex) for q in network.parameters]
            moved[k][index] += 1j * epsilon
            gradient[index] = loss_by_formula(network.x, network.y, *moved).imag / epsilon
        gradients.append(gradient)
    return Result(float(loss_by_formula(*network)), tuple(gradients))


# --- The engines: each takes a network and returns the step that computes loss and gradients ----------------------------------------


def with_layers(network: Network) -> Step:
    """Layers remember, and gradients lie in `.g`.

    >>> len(with_layers(make_network())().gradients)
    4
    """
    (n_in, hidden), n_out = network.w1.shape, len(network.b2)
    first, second = layers.Linear(n_in, hidden), layers.Linear(hidden, n_out)
    first.weight, first.bias, second.weight, second.bias = (functions_and_gradients.tensor(p) for p in network.parameters)
    model = layers.Model([first, layers.ReLU(), second])
    parameters = [first.weight, first.bias, second.weight, second.bias]

    def step() -> Result:
        for p in parameters:
            p.g = None
        loss = model.loss(model(network.x), network.y)
        model.backward()
        return Result(float(loss), tuple(np.asarray(p.g) for p in parameters))

    return step


def with_closures(network: Network) -> Step:
    """Each call returns its own way back; gradients lie in the parameters, and are zeroed for the next step.

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
    x, parameters = tape.Tensor(network.x), [tape.Tensor(p, requires_grad=True) for p in network.parameters]

    def step() -> Result:
        w1, b1, w2, b2 = parameters
        for p in parameters:
            p.grad = None
        loss = tape_at_work.mse(tape.MyRelu.apply(x @ w1 + b1) @ w2 + b2, network.y)
        loss.backward()
        return Result(float(loss.value), tuple(p.grad for p in parameters))

    return step


def with_gradus(network: Network, compiled: bool = True, tier: str | None = None) -> Step:
    """Gradus' tape and rules; compiled, the step was traced once and is replayed. `tier` is that of `gradus.compile`.

    >>> len(with_gradus(make_network(), tier="numpy")().gradients)
    4
    """
    program, x, y, parameters = gradus_program(network, compiled, tier)

    def step() -> Result:
        loss = program(x, y)
        return Result(loss.item(), tuple(p.grad.numpy() for p in parameters))

    return step


def gradus_program(network: Network, compiled: bool, tier: str | None = None) -> tuple[Any, Any, Any, list[Any]]:
    """The function of x and y that returns the loss and fills `.grad`, then x, y and the parameters; compiled, it has been traced.

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
    for _ in range(2):  # the first call runs eagerly, the second is traced: every later one is a replay
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


# --- What they show ----------------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """An engine, its loss, and the largest difference of each gradient from the judge's, as a share of that gradient's largest entry."""

    engine: str
    loss: float
    w1: float
    b1: float
    w2: float
    b2: float


def compare(network: Network | None = None, tier: str | None = None) -> list[Row]:
    """The table: one row for the judge, one for each engine. In float64 all differences are below 1e-10.

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
        differences = [float(abs(g - e).max() / abs(e).max()) for g, e in zip(found.gradients, judge.gradients, strict=True)]
        rows.append(Row(name, found.loss, *differences))
    return rows


class Timing(NamedTuple):
    """An engine, the time of its step in microseconds (median), and how many times as fast as Gradus without compilation it is."""

    engine: str
    microseconds: float
    speed: float


def timings(network: Network | None = None, repeats: int = 200, tier: str | None = None) -> list[Timing]:
    """Loss and gradients, timed in turns, so that a busy machine is unfair to all alike; float32, as one trains.

    Compiling pays most where products are small and everything around them weighs: try `make_network(dtype=np.float32)`.

    >>> [row.engine for row in timings(repeats=2, tier="numpy")]
    ['layers', 'closures', 'tape', 'gradus compiled', 'gradus']
    """
    network = make_network(n=64, widths=(784, 50, 10), dtype=np.float32) if network is None else network
    makers = engines(tier)
    makers["gradus"] = lambda network: with_gradus(network, compiled=False)
    steps = {name: make(network) for name, make in makers.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(seconds)) * 1e6 for name, seconds in times.items()}
    return [Timing(name, median, medians["gradus"] / median) for name, median in medians.items()]


class Work(NamedTuple):
    """Operations on numbers (multiply, add, compare) of one training step, by where they are done, and the products' share."""

    forward_products: int
    backward_products: int
    elsewhere: int
    share: float


def work(n: int = 100, widths: tuple[int, int, int] = (784, 50, 10)) -> Work:
    """Of all arithmetic in a step, how much is products of matrices? A product (n, a) by (a, b) takes 2·n·a·b.

    The claim holds for batches; with one example at a time the update, which is neither product nor derivative, does a third of the work.

    For the gradients two more products follow each, but the first layer's input needs none: nobody asks for the gradient of the data.
    Elsewhere are biases, ReLU and loss, each forward and backward, and the update, two operations a parameter.

    >>> work().share > 0.98
    True
    """
    n_in, hidden, n_out = widths
    first, second = 2 * n * n_in * hidden, 2 * n * hidden * n_out
    # A hidden entry: bias, relu, mask, product, bias gradient. An output: bias, difference, square, sum, two factors, bias gradient.
    entrywise = 5 * n * hidden + 7 * n * n_out
    update = 2 * (n_in * hidden + hidden + hidden * n_out + n_out)
    forward, backward = first + second, first + 2 * second
    return Work(forward, backward, entrywise + update, (forward + backward) / (forward + backward + entrywise + update))


def matrix_products(network: Network | None = None) -> int:
    """How many products of matrices the compiled step holds: two forward, three back. The sixth, for the gradient of x, is not there.

    >>> matrix_products()
    5
    """
    program, *_ = gradus_program(make_network() if network is None else network, compiled=True, tier="numpy")
    return sum(call.record.name == "matmul" for call in program.graph.calls)

"""Backpropagation by hand: an example goes through a small network and back, number by number.

The rungs around this one hide the pass in a loop. Here it is laid open: forward, each value with
its formula; then backward, at each use of a value four numbers, namely the gradient that arrives at
the result, the derivative of the result by what it used, their product, and the sum that the
product is added to. The network is (for numbers, not for vectors, so that one can follow with a
pencil)

    a1 = w11·x1 + w12·x2 + b1    h1 = max(a1, 0)
    a2 = w21·x1 + w22·x2 + b2    h2 = max(a2, 0)    y = v1·h1 + v2·h2 + c    L = (y - t)²

Each input is used by both hidden units, so its gradient is a sum of two. A rule that writes
`inp.g = …` instead of adding keeps the last of them alone: `backward(nodes, adding=False)`.

Sources: Jeremy Howard and Sylvain Gugger, Deep Learning for Coders with fastai and PyTorch, 2020,
chapter 17, "Gradients and the Backward Pass" (linear, ReLU, linear, squared error, worked from the
loss back; its functions assign); Julian Eisenschlos, Neural Networks in 100 lines of pure Python,
2019 (variables and functions as the nodes and edges of a graph).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """Everything that is given: an input pair, the weights, and the target."""

    x1: float
    x2: float
    w11: float
    w12: float
    b1: float
    w21: float
    w22: float
    b2: float
    v1: float
    v2: float
    c: float
    t: float


class Use(NamedTuple):
    """One use of a value: whose it is, and the result's derivative by it, as formula and number."""

    value: str
    formula: str
    derivative: float


class Node(NamedTuple):
    """A computed value: name, formula, the formula with its numbers, the value, what it used."""

    name: str
    formula: str
    numbers: str
    value: float
    uses: tuple[Use, ...]


class Step(NamedTuple):
    """One step back: `product` = `incoming` · `derivative` is added to the gradient of `to`.

    `before` is what that gradient was until then (None: nothing yet).
    """

    at: str
    incoming: float
    formula: str
    derivative: float
    product: float
    to: str
    before: float | None
    total: float


class Pass(NamedTuple):
    """A whole pass: what was given, what was computed, and each step back."""

    given: Network
    nodes: list[Node]
    steps: list[Step]


# --- Forward: each operation computes its value and says how it would change with what it used ----


def weighted_sum(
    name: str, pairs: Sequence[tuple[str, str]], bias: str, values: Mapping[str, float]
) -> Node:
    """w₁·x₁ + w₂·x₂ + … + bias; the derivative by a factor is the other factor, by the bias 1.

    >>> node = weighted_sum("y", [("v", "h")], "c", {"v": 2.0, "h": -3.0, "c": 1.0})
    >>> node.formula, node.numbers, node.value, [use.derivative for use in node.uses]
    ('v·h + c', '2·(−3) + 1', -5.0, [-3.0, 2.0, 1.0])
    """
    formula = " + ".join([*(f"{w}·{x}" for w, x in pairs), bias])
    products = [f"{factor(values[w])}·{factor(values[x])}" for w, x in pairs]
    numbers = " + ".join([*products, factor(values[bias])])
    total = sum(values[w] * values[x] for w, x in pairs) + values[bias]
    uses = [use for w, x in pairs for use in (Use(w, x, values[x]), Use(x, w, values[w]))]
    return Node(name, formula, numbers, total, (*uses, Use(bias, "1", 1.0)))


def relu(name: str, a: str, values: Mapping[str, float]) -> Node:
    """max(a, 0); the derivative is 1 where a > 0, else 0, also at 0 itself.

    >>> relu("h", "a", {"a": -2.0}).uses
    (Use(value='a', formula='0, as a ≤ 0', derivative=0.0),)
    """
    use = Use(a, f"1, as {a} > 0", 1.0) if values[a] > 0 else Use(a, f"0, as {a} ≤ 0", 0.0)
    return Node(name, f"max({a}, 0)", f"max({number(values[a])}, 0)", max(values[a], 0.0), (use,))


def squared_error(name: str, y: str, t: str, values: Mapping[str, float]) -> Node:
    """(y - t)²; the derivative by y is 2 (y - t). The target gets no gradient: it does not change.

    >>> squared_error("L", "y", "t", {"y": 3.0, "t": 1.0})[2:]
    ('(3 − 1)²', 4.0, (Use(value='y', formula='2·(y − t)', derivative=4.0),))
    """
    difference = values[y] - values[t]
    numbers = f"({number(values[y])} − {factor(values[t])})²"
    use = Use(y, f"2·({y} − {t})", 2 * difference)
    return Node(name, f"({y} − {t})²", numbers, difference**2, (use,))


def forward(network: Network) -> list[Node]:
    """Six values, each computed from earlier ones.

    >>> [(node.name, node.value) for node in forward(Network(1, 2, 1, 1, 0, 1, -1, 0, 2, 5, 0, 4))]
    [('a1', 3), ('a2', -1), ('h1', 3), ('h2', 0.0), ('y', 6.0), ('L', 4.0)]
    """
    values: dict[str, float] = network._asdict()
    nodes: list[Node] = []

    def keep(node: Node) -> None:
        values[node.name] = node.value
        nodes.append(node)

    keep(weighted_sum("a1", [("w11", "x1"), ("w12", "x2")], "b1", values))
    keep(weighted_sum("a2", [("w21", "x1"), ("w22", "x2")], "b2", values))
    keep(relu("h1", "a1", values))
    keep(relu("h2", "a2", values))
    keep(weighted_sum("y", [("v1", "h1"), ("v2", "h2")], "c", values))
    keep(squared_error("L", "y", "t", values))
    return nodes


# --- Backward -------------------------------------------------------------------------------------


def backward(nodes: Sequence[Node], adding: bool = True) -> list[Step]:
    """The chain rule from the last node to the first.

    The gradient of what was used += the gradient of the result · the local derivative.

    When a node's turn comes, all that used it have had theirs, so its own gradient is complete.
    Without `adding` each contribution replaces the one before: wrong for whatever was used twice.

    >>> steps = backward(forward(Network(1, 2, 1, 1, 0, 1, -1, 0, 2, 5, 0, 4)))
    >>> len(steps), steps[0].to, steps[0].product  # 2·(6 - 4)
    (18, 'y', 4.0)
    """
    gradient = {nodes[-1].name: 1.0}
    steps = []
    for node in reversed(nodes):
        incoming = gradient[node.name]
        for use in node.uses:
            product = incoming * use.derivative
            before = gradient.get(use.value) if adding else None
            after = product if before is None else before + product
            gradient[use.value] = after
            step = (node.name, incoming, use.formula, use.derivative, product)
            steps.append(Step(*step, use.value, before, after))
    return steps


def gradients(steps: Sequence[Step]) -> dict[str, float]:
    """∂L/∂value for every value that was used: where the sums ended.

    >>> found = gradients(step_by_step(0).steps)
    >>> wrong = gradients(backward(step_by_step(0).nodes, adding=False))
    >>> [name for name in found if found[name] != wrong[name]]
    ['x1', 'x2']
    """
    return {step.to: step.total for step in steps}


def numeric_gradients(network: Network, h: float = 1e-6) -> dict[str, float]:
    """The judge: (L(p + h) - L(p - h)) / 2h for every number but the target, two passes each.

    >>> numeric = numeric_gradients(step_by_step(0).given)
    >>> found = gradients(step_by_step(0).steps)
    >>> max(abs(slope - found[name]) for name, slope in numeric.items()) < 1e-6
    True
    """

    def loss(name: str, value: float) -> float:
        return forward(network._replace(**{name: value}))[-1].value

    given = network._asdict()
    return {
        name: (loss(name, p + h) - loss(name, p - h)) / (2 * h)
        for name, p in given.items()
        if name != "t"
    }


# --- A network to look at -------------------------------------------------------------------------


def draw_network(seed: int = 0) -> Network:
    """Small numbers, whole or halves, so that every number of the pass is short and exact.

    At least one unit is alive, none at its kink.

    >>> draw_network(0) == draw_network(0) != draw_network(1)
    True
    """
    rng = np.random.default_rng(seed)
    while True:
        x1, x2, t = rng.choice([-2.0, -1.0, 1.0, 2.0, 3.0], 3).tolist()
        weights = rng.choice([-1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0], 9).tolist()
        network = Network._make([x1, x2, *weights, t])
        a1, a2, _, _, _, loss = (node.value for node in forward(network))
        if max(a1, a2) > 0 and a1 and a2 and loss:
            return network


def step_by_step(seed: int = 0, network: Network | None = None) -> Pass:
    """A pass through a drawn network, or through the given one.

    >>> found = step_by_step(network=Network(1, 2, 1, 1, 0, 1, -1, 0, 2, 5, 0, 4))
    >>> gradients(found.steps)["x1"], gradients(found.steps)["w21"]  # the second unit is dead
    (8.0, 0.0)
    """
    network = draw_network(seed) if network is None else network
    nodes = forward(network)
    return Pass(network, nodes, backward(nodes))


def number(value: float) -> str:
    """As short as it is exact up to eight digits, with a true minus.

    >>> number(-2.5), number(-0.0), number(3)
    ('−2.5', '0', '3')
    """
    return f"{value + 0.0:.8g}".replace("-", "−")


def factor(value: float) -> str:
    """A number as part of a sum or product: a negative one in brackets.

    >>> factor(-2.5), factor(2.0)
    ('(−2.5)', '2')
    """
    return f"({number(value)})" if value < 0 else number(value)

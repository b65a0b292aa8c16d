"""Closures: a call returns its result and the way back, a function that remembers what it saw.

The layers of the rung below kept their last call on themselves, so one layer could not stand in a
model twice. Here a layer keeps nothing. The way back is made inside the call and holds what that
call saw: the same layer may be called as often as one likes, and every gradient is exact.

So the stone to build with is a function x -> (y, backward). One after another (`then`) or side by
side (`both`) two of them make a third, and that is the whole chain rule. A layer is such a function
that owns parameters, a model is a layer, and neither has to know how the gradient is found.

Source: the idea is that of the library Thinc, after which Julian Eisenschlos (eisenjulian) wrote
"Neural Networks in 100 lines of pure Python", 2019; layers and methods bear his names, so that his
experiments run here (`closures_at_work`). Unlike there, parameters are looked up when they are
asked for: a layer that is listed twice is updated once, and one that is appended later is seen.
`closure_activations` has what stands between linear layers, `closure_training` what trains them.

Letters: N examples; x input, y output, g gradient of the loss by the output; w weights, b bias.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

Backward = Callable[[Any], Any]  # ∂loss/∂y -> ∂loss/∂x
Forward = Callable[[Any], tuple[Any, Backward]]  # x -> y and the way back


# --- Functions that know their way back -----------------------------------------------------------


def identity(x: Any) -> tuple[Any, Backward]:
    """y = x: the gradient goes back as it came.

    >>> y, backward = identity(3.0)
    >>> y, backward(5.0)
    (3.0, 5.0)
    """
    return x, lambda g: g


def then(first: Forward, second: Forward) -> Forward:
    """y = second(first(x)), the chain rule: what was done last is gone back through first.

    >>> double = lambda x: (2 * x, lambda g: 2 * g)
    >>> square = lambda x: (x * x, lambda g: 2 * x * g)  # each call remembers its own x
    >>> y, backward = then(double, square)(3.0)
    >>> y, backward(1.0)  # (2x)², and 8x
    (36.0, 24.0)
    """

    def forward(x: Any) -> tuple[Any, Backward]:
        between, through_first = first(x)
        y, through_second = second(between)
        return y, lambda g: through_first(through_second(g))

    return forward


def both(one: Forward, other: Forward) -> Forward:
    """y = one(x) + other(x), a fork and a join: of a value used twice, the two gradients are added.

    >>> y, backward = both(identity, identity)(3.0)
    >>> y, backward(1.0)
    (6.0, 2.0)
    """

    def forward(x: Any) -> tuple[Any, Backward]:
        (left, through_one), (right, through_other) = one(x), other(x)
        return left + right, lambda g: through_one(g) + through_other(g)

    return forward


# --- Functions of a parameter: its gradient is left with it on the way back -----------------------


class Parameter:
    """An array, and the sum of the gradients that were sent to it; a frozen one is not updated.

    >>> Parameter([1, 2]).gradient  # floats, though the numbers were whole
    array([0., 0.])
    """

    def __init__(self, tensor: Any, frozen: bool = False) -> None:
        own_copy = np.array(tensor)
        floating = np.issubdtype(own_copy.dtype, np.floating)
        self.tensor = own_copy if floating else own_copy.astype(np.float64)
        self.gradient = np.zeros_like(self.tensor)
        self.frozen = frozen

    def collect(self, share: Any) -> None:
        """Add what one of the places where it was used sends back."""
        self.gradient += share


def times(w: Parameter, input_gradient: bool = True) -> Forward:
    """y = x w: (N, inputs) -> (N, outputs). Back go xᵀ g to w, and g wᵀ unless nobody asks for it.

    >>> w = Parameter([[2.0], [3.0]])
    >>> y, backward = times(w)(np.array([[1.0, 10.0]]))
    >>> y.tolist(), backward(np.ones((1, 1))).tolist(), w.gradient.tolist()
    ([[32.0]], [[2.0, 3.0]], [[1.0], [10.0]])
    """

    def forward(x: Any) -> tuple[Any, Backward]:
        def backward(g: Any) -> Any:
            w.collect(x.T @ g)
            return g @ w.tensor.T if input_gradient else None

        return x @ w.tensor, backward

    return forward


def plus(b: Parameter) -> Forward:
    """y = x + b in each of N rows, (N, outputs): b was used N times, so N gradients are added.

    >>> b = Parameter([5.0])
    >>> y, backward = plus(b)(np.zeros((3, 1)))
    >>> _ = backward(np.ones((3, 1)))
    >>> y.tolist(), b.gradient.tolist()
    ([[5.0], [5.0], [5.0]], [3.0])
    """

    def forward(x: Any) -> tuple[Any, Backward]:
        def backward(g: Any) -> Any:
            b.collect(g.sum(axis=0))
            return g

        return x + b.tensor, backward

    return forward


# --- Layers: functions that own their parameters --------------------------------------------------


class Layer:
    """Owns parameters, holds other layers, and its forward(x) is (y, backward). This one: y = x.

    >>> Layer().forward(2.0)[0], Layer().parameters
    (2.0, [])
    """

    def __init__(self) -> None:
        self.own: list[Parameter] = []
        self.layers: list[Layer] = []

    def forward(self, x: Any) -> tuple[Any, Backward]:
        return identity(x)

    def build_param(self, tensor: Any) -> Parameter:
        """A parameter that belongs to this layer."""
        parameter = Parameter(tensor)
        self.own.append(parameter)
        return parameter

    @property
    def parameters(self) -> list[Parameter]:
        """Its own and those of the layers it holds, as they are now; none is named twice."""
        inside = [parameter for layer in self.layers for parameter in layer.parameters]
        return list(dict.fromkeys(self.own + inside))

    def update(self, optimizer: Any) -> None:
        """Hand what is not frozen to the optimizer, when every place has sent its gradient."""
        for parameter in self.parameters:
            if not parameter.frozen:
                optimizer.update(parameter)


class Linear(Layer):
    """y = x w + b, (N, inputs) -> (N, outputs), with w ~ N(0, 1/inputs) and b = 0 to begin with.

    In the first layer of a model `input_gradient=False` spares a product: the data do not learn.

    >>> Linear(3, 2, rng=0).forward(np.zeros((5, 3)))[0].shape
    (5, 2)
    """

    def __init__(
        self, inputs: int, outputs: int, rng: Any = None, input_gradient: bool = True
    ) -> None:
        super().__init__()
        normal = np.random.default_rng(rng).standard_normal((inputs, outputs))
        self.weights = self.build_param(normal / np.sqrt(inputs))
        self.bias = self.build_param(np.zeros(outputs))
        self.function = then(times(self.weights, input_gradient), plus(self.bias))

    def forward(self, x: Any) -> tuple[Any, Backward]:
        return self.function(x)


class Sequential(Layer):
    """Layers one after another.

    >>> model = Sequential(Linear(2, 3, rng=0), Linear(3, 1, rng=1))
    >>> y, backward = model.forward(np.ones((4, 2)))
    >>> y.shape, backward(np.ones((4, 1))).shape, len(model.parameters)
    ((4, 1), (4, 2), 4)
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layers.extend(layers)

    def forward(self, x: Any) -> tuple[Any, Backward]:
        steps: list[Forward] = [identity, *(layer.forward for layer in self.layers)]
        return reduce(then, steps)(x)


class Residual(Sequential):
    """y = x + layers(x): what the layers have to find is only the change.

    >>> y, backward = Residual(Layer()).forward(np.ones(1))
    >>> y, backward(np.ones(1))
    (array([2.]), array([2.]))
    """

    def forward(self, x: Any) -> tuple[Any, Backward]:
        return both(identity, super().forward)(x)

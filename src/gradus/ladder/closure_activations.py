"""Activations as closures: functions of each entry by itself, which state their value and slope.

Layers of the rung `closures` in a row are one linear layer, unless something bends between them.
What bends entry by entry has a diagonal Jacobian, so its way back is one product entry by entry,
and a new activation is two formulas: y, and dy/dx from x and y.

Source: Julian Eisenschlos (eisenjulian), "Neural Networks in 100 lines of pure Python", 2019, has
ReLU and sigmoid, and leaves others for later. None of those here overflows, whatever it is given.

Letters: x input, y output, g gradient of the loss by the output.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus.ladder.closures import Backward, Layer


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), written so that nothing overflows.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return np.exp(-np.logaddexp(0, -x))


class Activation(Layer):
    """y = function(x), backward(g) = g · slope(x, y): whoever inherits states the two."""

    def function(self, x: Any) -> Any:
        raise NotImplementedError

    def slope(self, x: Any, y: Any) -> Any:
        raise NotImplementedError

    def forward(self, x: Any) -> tuple[Any, Backward]:
        y = self.function(x)
        return y, lambda g: g * self.slope(x, y)


class ReLU(Activation):
    """The greater of x and 0; at 0, where there is no slope, 0.

    >>> ReLU().forward(np.array([-2.0, 3.0]))[0]
    array([0., 3.])
    """

    function = lambda self, x: np.maximum(x, 0)
    slope = lambda self, x, y: x > 0


class LeakyReLU(Activation):
    """x where it is positive, else x / 100.

    >>> LeakyReLU().forward(np.array([-2.0, 3.0]))[0]
    array([-0.02,  3.  ])
    """

    function = lambda self, x: np.where(x > 0, x, 0.01 * x)
    slope = lambda self, x, y: np.where(x > 0, 1, 0.01)


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), between 0 and 1; slope y (1 - y), never above 1/4.

    >>> y, backward = Sigmoid().forward(np.zeros(1))
    >>> y, backward(np.ones(1))
    (array([0.5]), array([0.25]))
    """

    function = lambda self, x: sigmoid(x)
    slope = lambda self, x, y: y * (1 - y)


class Tanh(Activation):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)), between -1 and 1; slope 1 - y².

    >>> Tanh().forward(np.zeros(1))[1](np.ones(1))
    array([1.])
    """

    function = lambda self, x: np.tanh(x)
    slope = lambda self, x, y: 1 - y * y


class Softplus(Activation):
    """log(1 + exp(x)), a ReLU without a corner; slope sigmoid(x).

    >>> Softplus().forward(np.array([1000.0]))[0]
    array([1000.])
    """

    function = lambda self, x: np.logaddexp(0, x)
    slope = lambda self, x, y: sigmoid(x)


class SiLU(Activation):
    """x s with s = sigmoid(x); slope s + y (1 - s).

    >>> SiLU().forward(np.zeros(1))[1](np.ones(1))
    array([0.5])
    """

    function = lambda self, x: x * sigmoid(x)
    slope = lambda self, x, y: sigmoid(x) + y * (1 - sigmoid(x))

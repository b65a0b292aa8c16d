"""Derivatives where calculus has none: each convention is written down here."""

import math
import subprocess
import sys

import numpy as np
import pytest

import gradus
from gradus import nn

F = nn.functional


def at(f, *values):
    """The gradient of a function of float64 numbers or lists at a point."""
    xs = [gradus.tensor(np.array(v, dtype=np.float64), requires_grad=True) for v in values]
    y = f(*xs)
    y.sum().backward()
    found = [None if x.grad is None else x.grad.tolist() for x in xs]
    return found[0] if len(found) == 1 else tuple(found)


inf = math.inf
CONVENTIONS = {
    # kinks
    "relu at 0": (lambda x: x.relu(), (0.0,), 0.0),
    "sign at 0": (lambda x: x.sign() + 0 * x, (0.0,), 0.0),
    "round": (lambda x: x.round() + 0 * x, (0.5,), 0.0),
    "abs at 0": (lambda x: x.abs(), (0.0,), 0.0),
    "clamp at the lower bound": (lambda x: x.clamp(0.0, 1.0), (0.0,), 1.0),
    "clamp at the upper bound": (lambda x: x.clamp(0.0, 1.0), (1.0,), 1.0),
    "clamp outside": (lambda x: x.clamp(0.0, 1.0), (2.0,), 0.0),
    # ties
    "amax shares a tie": (lambda x: x.amax(), ([1.0, 3.0, 3.0],), [0.0, 0.5, 0.5]),
    "max() shares a tie": (lambda x: x.max(), ([2.0, 2.0],), [0.5, 0.5]),
    "max(dim) takes the first": (lambda x: x.max(0).values, ([3.0, 3.0],), [1.0, 0.0]),
    "maximum shares a tie": (lambda a, b: gradus.maximum(a, b), (1.0, 1.0), (0.5, 0.5)),
    "minimum shares a tie": (lambda a, b: gradus.minimum(a, b), (1.0, 1.0), (0.5, 0.5)),
    "sort keeps the order of ties": (lambda x: x.sort().values * gradus.tensor([1.0, 2.0, 3.0]), ([5.0, 5.0, 1.0],), [2.0, 3.0, 1.0]),
    # poles
    "sqrt at 0": (lambda x: x.sqrt(), (0.0,), inf),
    "x ** 0.5 at 0": (lambda x: x**0.5, (0.0,), inf),
    "log at 0": (lambda x: x.log(), (0.0,), inf),
    "x ** 0 at 0": (lambda x: x**0, (0.0,), 0.0),
    "x ** 0.0 at 0, tensor exponent": (lambda x: x ** gradus.tensor(0.0), (0.0,), 0.0),
    "0 ** b": (lambda b: gradus.tensor(0.0, dtype=gradus.float64) ** b, (2.0,), 0.0),
    "0 ** b at b = 0": (lambda b: gradus.tensor(0.0, dtype=gradus.float64) ** b, (0.0,), 0.0),
    "clamp at a bound that is a tensor": (lambda x, low: x.clamp(min=low), (1.0, 1.0), (1.0, 0.0)),
    "3-norm at 0": (lambda x: x.norm(p=3), ([0.0, 0.0],), [0.0, 0.0]),
    "norm at 0": (lambda x: x.norm(), ([0.0, 0.0],), [0.0, 0.0]),
    # Infinity times 0 by the chain rule, as in PyTorch and JAX; norm() is the way to say it.
    "sqrt of a sum of squares at 0": (lambda x: (x * x).sum().sqrt(), ([0.0, 0.0],), [math.nan, math.nan]),
    "std of a constant": (lambda x: x.std(), ([2.0, 2.0, 2.0],), [0.0, 0.0, 0.0]),
    "var of a constant": (lambda x: x.var(), ([2.0, 2.0],), [0.0, 0.0]),
    "hypot at 0": (lambda a, b: gradus.hypot(a, b), (0.0, 0.0), (0.0, 0.0)),
    "atan2 at 0": (lambda a, b: gradus.atan2(a, b), (0.0, 0.0), (0.0, 0.0)),
    # the branch not taken
    "where avoids sqrt": (lambda x: gradus.where(x > 0, x.sqrt(), x), (0.0,), 1.0),
    "where avoids log": (lambda x: gradus.where(x > 0, x.log(), 2 * x), ([0.0, 2.0],), [2.0, 0.5]),
    "where avoids division": (lambda x: gradus.where(x != 0, 1 / x, x), (0.0,), 1.0),
    "where avoids pow": (lambda x: gradus.where(x > 0, x**-1.5, 3 * x), (0.0,), 3.0),
    "where avoids asin": (lambda x: gradus.where(x < 1, x.asin(), x), (1.0,), 1.0),
    "where avoids norm": (lambda x: gradus.where(x.sum() > 0, x.norm(), x.sum()), ([0.0, 0.0],), [1.0, 1.0]),
    # infinities and zeros inside reductions
    "logsumexp of minus infinities": (lambda x: x.logsumexp(0), ([-inf, -inf],), [0.0, 0.0]),
    "logsumexp with one of them": (lambda x: x.logsumexp(0), ([-inf, 0.0],), [0.0, 1.0]),
    "logsumexp with infinity": (lambda x: x.logsumexp(0), ([1.0, inf],), [0.0, math.nan]),
    "softmax of a masked row": (lambda x: x.softmax(0), ([-inf, -inf],), [0.0, 0.0]),
    "prod with one zero": (lambda x: x.prod(), ([0.0, 2.0, 3.0],), [6.0, 0.0, 0.0]),
    "prod with two zeros": (lambda x: x.prod(), ([0.0, 0.0, 3.0],), [0.0, 0.0, 0.0]),
    "cumprod with a zero": (lambda x: x.cumprod(0), ([2.0, 0.0, 3.0],), [1.0, 8.0, 0.0]),
    # extreme arguments
    "sigmoid far left": (lambda x: x.sigmoid(), (-800.0,), 0.0),
    "sigmoid far right": (lambda x: x.sigmoid(), (800.0,), 0.0),
    "tanh far out": (lambda x: x.tanh(), (800.0,), 0.0),
    "softplus far right": (lambda x: gradus.softplus(x), (800.0,), 1.0),
    "logaddexp of huge": (lambda a, b: gradus.logaddexp(a, b), (1000.0, 0.0), (1.0, 0.0)),
    "relu of minus infinity": (lambda x: x.relu(), (-inf,), 0.0),
    "bce far on the wrong side": (
        lambda x: F.binary_cross_entropy_with_logits(x, gradus.tensor(0.0, dtype=gradus.float64)),
        (1000.0,),
        1.0,
    ),
    "cross-entropy of a sure mistake": (lambda x: F.cross_entropy(x, gradus.tensor([0])), ([[-1000.0, 1000.0]],), [[-1.0, 1.0]]),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_convention(name):
    f, point, expected = CONVENTIONS[name]
    got = at(f, *point)
    np.testing.assert_array_equal(np.array(got, dtype=float), np.array(expected, dtype=float))


def test_a_zero_cotangent_keeps_the_second_derivative():
    # Selecting by the cotangent would lose it: d²/dx² log(x)² at 1 is 2.
    assert float(gradus.grad(gradus.grad(lambda x: x.log() ** 2))(1.0)) == 2.0


def test_second_derivatives_through_products_with_zeros():
    h = gradus.hessian(lambda x: x.prod())(gradus.tensor([0.0, 2.0, 3.0]))
    np.testing.assert_array_equal(h.numpy(), [[0, 3, 2], [3, 0, 0], [2, 0, 0]])


def test_values_at_the_ends():
    x = gradus.tensor([-inf, -1000.0, 1000.0, inf], dtype=gradus.float64)
    np.testing.assert_array_equal(x.sigmoid().numpy(), [0, 0, 1, 1])
    assert x.logsumexp(0).item() == inf
    assert gradus.tensor([-inf, -inf]).softmax(0).tolist() == [0.0, 0.0]
    assert np.isnan(gradus.tensor([math.nan]).relu().item())


SILENT = {
    "var that overflows": lambda: gradus.tensor([3e38, -3e38]).var(),
    "mean that overflows": lambda: gradus.tensor([3e38, 3e38]).mean(),
    "cumsum that overflows": lambda: gradus.tensor([3e38, 3e38]).cumsum(0),
    "cumprod that overflows": lambda: gradus.tensor([3e38, 3e38]).cumprod(0),
    "var of nothing": lambda: gradus.zeros(0).var(),
    "mean of nothing": lambda: gradus.zeros(0).mean(),
    "std of one": lambda: gradus.ones(1).std(),
    "division by zero": lambda: gradus.ones(2) / 0,
    "logarithm of a negative number": lambda: gradus.tensor([-1.0]).log(),
    "matmul that overflows": lambda: gradus.full((2, 2), 3e38) @ gradus.full((2, 2), 3e38),
    "norm that overflows": lambda: gradus.full((2,), 3e38).norm(),
    "linspace to infinity": lambda: gradus.linspace(0, math.inf, 3),
    "exponential that overflows": lambda: gradus.tensor([1000.0]).exp(),
    "float64 to float32": lambda: gradus.tensor([1e300], dtype=gradus.float64).float(),
    "infinity to integer": lambda: gradus.tensor([math.inf]).relu(),
}


@pytest.mark.parametrize("name", SILENT)
def test_infinity_and_nan_come_without_a_warning(name):
    values = SILENT[name]()
    assert not np.isfinite(values.numpy()).all()


def test_the_package_silences_its_own_floating_point_and_nobody_elses():
    code = (
        "import warnings; warnings.simplefilter('error'); import gradus, numpy as np\n"
        "gradus.ones(2) / 0; gradus.tensor([3e38, -3e38]).var(); gradus.tensor([1000.0]).exp(); gradus.full((2,), 3e38).cumsum(0)\n"
        "try: np.ones(2) / np.zeros(2)\n"
        "except RuntimeWarning: print('heard')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "heard\n"


@pytest.mark.parametrize("f", [lambda x: x.std(), lambda x: x.norm(), lambda x: x.norm(p=3)], ids=["std", "norm", "3-norm"])
def test_second_derivatives_at_the_tip_of_a_cone_are_zero(f):
    assert not gradus.hessian(f)(gradus.zeros(3, dtype=gradus.float64)).any()


@pytest.mark.parametrize("name", ["sign", "floor", "ceil", "round", "trunc"])
def test_steps_have_a_zero_derivative(name):
    x = gradus.tensor([0.3, -1.7, 2.0], requires_grad=True)
    getattr(x, name)().sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("loss", [F.huber_loss, F.smooth_l1_loss, F.l1_loss])
def test_an_infinite_error_pulls_with_slope_one(loss):
    x = gradus.tensor([inf, -inf, 0.5, 3.0], requires_grad=True)
    loss(x, gradus.zeros(4), reduction="sum").backward()
    assert x.grad.tolist() == [1.0, -1.0, 1.0 if loss is F.l1_loss else 0.5, 1.0]

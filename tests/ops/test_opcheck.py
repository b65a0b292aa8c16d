"""Every op record keeps every promise, and the judges find broken ones."""

import numpy as np
import pytest

import gradus
from gradus import ops
from gradus.errors import GradError
from gradus.primitive import POSITIVE, REGISTRY, binary, reduction, unary
from gradus.testing import gradcheck, opcheck
from gradus.testing.columns import COLUMNS, NO_DERIVATIVE
from gradus.testing.samples import samples_of

assert ops


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_op_passes_every_column(name):
    cells = opcheck(name)
    assert set(cells) == set(COLUMNS)
    for column, cell in cells.items():
        assert cell, f"{name}, {column}: an empty cell without a reason"


def test_reasons_are_for_ops_that_exist_and_lack_a_derivative():
    for name in NO_DERIVATIVE:
        assert not REGISTRY[name].differentiable


def test_every_op_has_samples_of_several_shapes():
    for name, record in REGISTRY.items():
        assert len(list(samples_of(record))) >= (1 if name == "argsort" or record.family == "fused" else 2), name


@pytest.fixture
def scratch():
    """Ops registered during a test are forgotten after it."""
    before = set(REGISTRY)
    yield
    for name in set(REGISTRY) - before:
        del REGISTRY[name]


WRONG_RULES = {
    "one_thousandth_off": lambda xp, g, y: g * y * 1.001,
    "tiny_error": lambda xp, g, y: g * (y + 3e-7 * y),
    "sign": lambda xp, g, y: -g * y,
    "zero": lambda xp, g, y: g * 0.0,
}


@pytest.mark.parametrize("fault", WRONG_RULES)
def test_a_wrong_rule_is_found_and_named(scratch, fault):
    op = unary(f"faulty_{fault}", WRONG_RULES[fault], lambda xp, x: xp.exp(x))
    with pytest.raises(AssertionError, match=f"faulty_{fault}, reverse"):
        opcheck(op)
    with pytest.raises(GradError, match=f"input 1 is wrong at element .*: the rule of op 'faulty_{fault}'"):
        gradcheck(lambda a, x: (a * op(x).tanh()).sum(), [np.array([1.0, 2.0]), np.array([0.3, -0.2])])


def test_a_rule_that_loses_an_axis_is_found(scratch):
    op = reduction(
        "faulty_sum",
        lambda xp, g, x_shape: xp.broadcast_to(g, x_shape) * 2.0,
        lambda xp, x, *, axis, keepdims: xp.sum(x, axis=axis, keepdims=keepdims),
    )
    with pytest.raises(AssertionError, match="faulty_sum"):
        opcheck(op)


def test_a_reduction_that_ignores_keepdims_is_found(scratch):
    op = reduction(
        "faulty_shape", lambda xp, g, x: g * xp.cos(x), lambda xp, x, *, axis, keepdims: xp.sum(xp.sin(x), axis=axis, keepdims=True)
    )
    with pytest.raises(AssertionError, match="faulty_shape, value"):
        opcheck(op)


def test_a_rule_that_is_right_once_but_not_twice_is_found(scratch):
    # The value of y enters as a bare number, which no second derivative can see.
    def rule(xp, g, x):
        return g * (3.0 * np.asarray(getattr(x, "value", x)) ** 2 if not hasattr(getattr(x, "value", x), "primal") else 3.0 * x * x)

    op = unary("faulty_cube", rule, lambda xp, x: x * x * x)
    with pytest.raises(AssertionError, match="faulty_cube, second order"):
        opcheck(op)


def test_a_forward_that_makes_float64_is_found(scratch):
    op = unary("faulty_double", lambda xp, g: g * 2.0, lambda xp, x: x * np.float64(2.0) + np.zeros(x.shape), dtype_rule="free")
    with pytest.raises(AssertionError, match="faulty_double, float32"):
        opcheck(op)


def test_a_forward_that_writes_to_its_input_is_found(scratch):
    op = unary("faulty_writer", lambda xp, g: g, lambda xp, x: np.add(x, 1.0, out=x) if x.flags.writeable else x + 1.0)
    with pytest.raises(AssertionError, match="faulty_writer"):
        opcheck(op)


def test_a_rule_may_only_ask_for_what_exists(scratch):
    with pytest.raises(TypeError, match="asks for 'z'"):
        unary("faulty_name", lambda xp, g, z: g * z, lambda xp, x: x + 0.0)


def test_an_op_is_registered_once(scratch):
    unary("twice", lambda xp, g: g, lambda xp, x: x + 0.0)
    with pytest.raises(ValueError, match="exists already"):
        unary("twice", lambda xp, g: g, lambda xp, x: x + 0.0)


THREE_OPS = {
    "softsign": lambda: unary(
        "softsign", lambda xp, g, x: g / xp.square(1.0 + xp.abs(x)), lambda xp, x: x / (1.0 + xp.abs(x)), domain=POSITIVE
    ),
    "log_square": lambda: unary("log_square", lambda xp, g, x: g * (2.0 / x), lambda xp, x: xp.log(x * x), domain=POSITIVE),
    "mixed": lambda: binary(
        "mixed", lambda xp, g, b: g * xp.sin(b), lambda xp, g, a, b: g * (a * xp.cos(b)), lambda xp, a, b: a * xp.sin(b)
    ),
}


@pytest.mark.parametrize("name", THREE_OPS)
def test_one_line_makes_an_op_with_everything(scratch, name):
    op = THREE_OPS[name]()
    cells = opcheck(op)
    assert all(cell == "yes" for cell in cells.values()), cells
    x = gradus.tensor([0.5, 1.0, 2.0], dtype=gradus.float64)
    many = len(op.record.inputs)

    def f(x):
        return op(x, x * 0.5).sum() if many == 2 else op(x).sum()

    assert gradcheck(f, [x])
    assert gradcheck(lambda x: gradus.grad(f)(x), [x])
    h = gradus.hessian(f)(x).numpy()
    assert np.allclose(h, h.T) and np.allclose(h, np.diag(np.diag(h)))
    _, slope = gradus.jvp(f, (x,), (x,))
    assert np.isclose(float(slope), float((gradus.grad(f)(x) * x).sum()))
    # As a function of gradus and of gradus.ops, as a method, and broadcasting.
    args = (x[:, None], x[None, :]) if many == 2 else (x[:, None],)
    assert getattr(gradus, name)(*args).shape == getattr(ops, name)(*args).shape == ((3, 3) if many == 2 else (3, 1))
    assert np.array_equal(getattr(args[0], name)(*args[1:]).numpy(), op(*args).numpy())


def test_gradcheck_wants_float64():
    with pytest.raises(gradus.errors.DTypeError, match="float64"):
        gradcheck(lambda x: x * x, [np.ones(2, np.float32)])


def test_gradcheck_finds_a_value_computed_outside_the_graph():
    with pytest.raises(GradError, match="outside the graph"):
        gradcheck(lambda x: x * x.detach(), [np.array([1.0, 2.0])])


def test_gradcheck_is_not_fooled_by_rounding_at_a_minimum():
    def rosenbrock(p):
        return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2

    assert gradcheck(rosenbrock, gradus.tensor([1.0, 1.0]).double())
    with pytest.raises(GradError):
        gradcheck(lambda p: rosenbrock(p) + 1e-6 * (p * p.detach()).sum(), gradus.tensor([1.0, 1.0]).double())

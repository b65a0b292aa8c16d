"""Function transforms agree with PyTorch's, with calculus, and with each other, nested to any order."""

import math

import numpy as np
import pytest

import gradus
from gradus import ops
from gradus.errors import GradError, ShapeError, UsageError
from gradus.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

torch = pytest.importorskip("torch", reason="parity needs PyTorch: make test installs it")


def f64(*values):
    return gradus.tensor(np.array(values, dtype=np.float64))


def network(lib, x, w1, w2):
    h = lib.tanh(x @ w1)
    return lib.logsumexp(lib.sigmoid(h @ w2) * h.sum(), 0) + (h * h).mean()


X, W1, W2 = [np.random.default_rng(k).standard_normal(shape) for k, shape in enumerate([(5,), (5, 4), (4, 3)])]


def ours(x):
    return network(gradus, x, gradus.tensor(W1), gradus.tensor(W2))


def theirs(x):
    return network(torch, x, torch.tensor(W1), torch.tensor(W2))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_first_and_second_order_agree_with_pytorch():
    x, tx = gradus.tensor(X), torch.tensor(X)
    value, slope = value_and_grad(ours)(x)
    np.testing.assert_allclose(value.numpy(), theirs(tx).numpy(), rtol=1e-12)
    np.testing.assert_allclose(slope.numpy(), torch.func.grad(theirs)(tx).numpy(), rtol=1e-10)
    np.testing.assert_allclose(hessian(ours)(x).numpy(), torch.func.hessian(theirs)(tx).numpy(), rtol=1e-10, atol=1e-12)
    v = np.arange(5.0)
    np.testing.assert_allclose(hvp(ours, x, v).numpy(), torch.func.hessian(theirs)(tx).numpy() @ v, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(jvp(ours, (x,), (v,))[1].numpy(), torch.func.jvp(theirs, (tx,), (torch.tensor(v),))[1].numpy(), rtol=1e-10)


@pytest.mark.parametrize("shape", [(2, 3), (6, 2), (1, 4), (0, 3), (3, 0)])
def test_jacobian_wide_tall_and_empty(shape):
    m, n = shape
    w = np.random.default_rng(1).standard_normal((n, m))
    j = jacobian(lambda x: gradus.tensor(w) @ (x * x))(gradus.tensor(np.arange(1.0, m + 1)))
    assert j.shape == (n, m)
    np.testing.assert_allclose(j.numpy(), w * 2 * np.arange(1.0, m + 1))


def test_jacobian_of_a_matrix_has_both_shapes():
    x = gradus.tensor(np.random.default_rng(2).standard_normal((2, 3)))
    j = jacobian(lambda x: x.exp().sum(1))(x)
    expected = torch.func.jacrev(lambda x: x.exp().sum(1))(torch.tensor(x.numpy()))
    np.testing.assert_allclose(j.numpy(), expected.numpy(), rtol=1e-12)


ORDERS = {
    "rrr": lambda f: grad(grad(grad(f))),
    "frr": lambda f: lambda x: jvp(grad(grad(f)), (x,), (1.0,))[1],
    "rfr": lambda f: grad(lambda x: jvp(grad(f), (x,), (1.0,))[1]),
    "rrf": lambda f: grad(grad(lambda x: jvp(f, (x,), (1.0,))[1])),
    "fff": lambda f: lambda x: jvp(lambda x: jvp(lambda x: jvp(f, (x,), (1.0,))[1], (x,), (1.0,))[1], (x,), (1.0,))[1],
    "ffr": lambda f: lambda x: jvp(lambda x: jvp(grad(f), (x,), (1.0,))[1], (x,), (1.0,))[1],
    "frf": lambda f: lambda x: jvp(grad(lambda x: jvp(f, (x,), (1.0,))[1]), (x,), (1.0,))[1],
    "rff": lambda f: grad(lambda x: jvp(lambda x: jvp(f, (x,), (1.0,))[1], (x,), (1.0,))[1]),
}


@pytest.mark.parametrize("order", ORDERS)
def test_third_derivatives_in_every_nesting(order):
    x = gradus.tensor(0.7, dtype=gradus.float64)
    assert float(ORDERS[order](lambda x: x.sin() * x.exp())(x)) == pytest.approx(
        2 * math.exp(0.7) * (math.cos(0.7) - math.sin(0.7)), rel=1e-12
    )
    assert float(ORDERS[order](lambda x: x**5)(x)) == pytest.approx(60 * 0.7**2, rel=1e-12)
    # Ops whose forward mode is their transposed reverse mode, and multilinear ones.
    assert float(ORDERS[order](lambda x: ops.stack([x, x * x, x], axis=0).logsumexp(0))(x)) == pytest.approx(THIRD_LOGSUMEXP, rel=1e-9)
    assert float(ORDERS[order](lambda x: (ops.stack([x, x * x], axis=0) @ ops.stack([x * x, x * x], axis=0)).prod())(x)) == pytest.approx(
        6 + 24 * 0.7, rel=1e-10
    )


def _third_logsumexp():
    x = torch.tensor(0.7, dtype=torch.float64)

    def f(x):
        return torch.logsumexp(torch.stack([x, x * x, x]), 0)

    return float(torch.func.grad(torch.func.grad(torch.func.grad(f)))(x))


THIRD_LOGSUMEXP = _third_logsumexp()


@pytest.mark.parametrize("inner", [lambda f: grad(f)(1.0), lambda f: jvp(f, (1.0,), (1.0,))[1]])
def test_nested_derivatives_do_not_confuse_their_variables(inner):
    assert float(grad(lambda x: x * inner(lambda y: x + y))(1.0)) == 1.0
    assert float(grad(lambda x: x * inner(lambda y: x * y))(3.0)) == 6.0
    assert float(jvp(lambda x: x * inner(lambda y: x * y * y), (3.0,), (1.0,))[1]) == 12.0


def test_derivatives_reach_tensors_of_the_surrounding():
    p = f64(2.0).requires_grad_()
    penalty = (grad(lambda x: (p * x**3).sum())(f64(1.0, 2.0)) ** 2).sum()
    penalty.backward()
    # d/dp sum (3 p x²)² = 18 p sum x⁴
    assert p.grad.tolist() == [18 * 2 * (1 + 16)]


def test_results_carry_no_graph_that_nobody_asked_for():
    value, slope = value_and_grad(lambda x: (x**3).sum())(f64(1.0, 2.0))
    assert not value.requires_grad and not slope.requires_grad
    y, _ = vjp(lambda x: x * 2, f64(1.0))
    assert not y.requires_grad


def test_inputs_are_left_alone():
    x = f64(1.0, 2.0).requires_grad_()
    grad(lambda x: (x * x).sum())(x)
    assert x.grad is None


def test_several_arguments_trees_and_auxiliary_values():
    def loss(model, x, scale=1.0):
        y = (x * model["w"] + model["b"][0]).sum() * scale
        return y, {"y": y.item()}

    slopes, aux = grad(loss, has_aux=True)({"w": f64(1.0, 2.0), "b": [f64(3.0)]}, f64(5.0, 7.0), scale=2.0)
    assert slopes["w"].tolist() == [10.0, 14.0] and slopes["b"][0].tolist() == [4.0]
    assert aux["y"] == 2 * (5 + 14 + 6)
    dx, dy = grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(f64(2.0), f64(3.0))
    assert dx.tolist() == [3.0] and dy.tolist() == [2.0]
    assert grad(lambda x, y: (x * y).sum(), argnums=-1)(f64(2.0), f64(3.0)).tolist() == [2.0]


def test_vjp_pulls_several_times_and_through_tuples():
    (y, z), pull = vjp(lambda a, b: (a * b, a + b), f64(2.0), f64(3.0))
    assert y.tolist() == [6.0] and z.tolist() == [5.0]
    for _ in range(2):
        da, db = pull((f64(1.0), f64(10.0)))
        assert da.tolist() == [13.0] and db.tolist() == [12.0]


def test_unused_inputs_have_zero_derivatives():
    assert grad(lambda x: gradus.tensor(1.0))(f64(1.0, 2.0)).tolist() == [0.0, 0.0]
    assert jvp(lambda x: gradus.tensor(3.0), (f64(1.0),), (f64(1.0),))[1].item() == 0.0
    assert grad(lambda x: x.detach().sum())(f64(1.0)).tolist() == [0.0]
    assert jvp(lambda x: x.detach() * 2, (f64(1.0),), (f64(1.0),))[1].tolist() == [0.0]


def test_forward_mode_through_control_flow_indexing_and_layers():
    layer = gradus.nn.Linear(3, 2).double()

    def f(x):
        y = x
        for k in range(3):
            y = y * x[k] if float(x[k].detach()) > 0 else y - x[k]
        return gradus.nn.functional.cross_entropy(layer(y)[None], gradus.tensor([1])) + y.sort().values[0] + y.max(0).values

    x, v = f64(0.5, -1.0, 2.0), f64(1.0, 2.0, 3.0)
    _, slope = jvp(f, (x,), (v,))
    assert float(slope) == pytest.approx(float((grad(f)(x) * v).sum()), rel=1e-12)


def test_forward_mode_inside_no_grad():
    with gradus.no_grad():
        _, slope = jvp(lambda x: x.std() * x.logsumexp(0), (f64(1.0, 2.0, 4.0),), (f64(1.0, 0.0, 0.0),))
        assert float(slope) == pytest.approx(float(grad(lambda x: x.std() * x.logsumexp(0))(f64(1.0, 2.0, 4.0))[0]), rel=1e-12)


def test_a_world_is_left_when_the_function_raises():
    with pytest.raises(ZeroDivisionError):
        jvp(lambda x: 1 / 0, (1.0,), (1.0,))
    x = f64(2.0).requires_grad_()
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0]


def test_errors_say_what_is_wanted():
    with pytest.raises(GradError, match="one number"):
        grad(lambda x: x * 2)(f64(1.0, 2.0))
    with pytest.raises(GradError, match="floating"):
        grad(lambda x: x.sum())(gradus.tensor([1, 2]))
    with pytest.raises(ShapeError, match="tangent has the shape"):
        jvp(lambda x: x, (f64(1.0, 2.0),), (f64(1.0),))
    with pytest.raises(ShapeError, match="tangent for each primal"):
        jvp(lambda x: x, (f64(1.0),), ())


def test_mistakes_with_arguments_and_results_are_told():
    with pytest.raises(UsageError, match="no argument 5"):
        grad(lambda a, b: a * b, argnums=5)(2.0, 3.0)
    with pytest.raises(GradError, match="results are Tensors"):
        jvp(lambda x: float(x) * 2, (f64(1.0),), (f64(1.0),))
    with pytest.raises(GradError, match="carries a tangent"):
        jvp(lambda x: gradus.tensor(x.numpy() * 2), (f64(1.0),), (f64(1.0),))
    with pytest.raises(UsageError, match="as tuples"):
        jvp(lambda x: x * 2, f64(1.0), f64(1.0))


def test_seventh_derivative():
    f = lambda x: x**9
    for _ in range(7):
        f = grad(f)
    assert float(f(gradus.tensor(2.0, dtype=gradus.float64))) == pytest.approx(math.factorial(9) / 2 * 4)

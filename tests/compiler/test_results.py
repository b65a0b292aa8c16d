"""What a compiled function hands out: arrays of its own, with the content of the right moment."""

from __future__ import annotations

import numpy as np
import pytest

import gradus


def both(f, *args):  # the eager result of the third call, and the compiled one
    compiled = gradus.compile(f)
    for _ in range(3):
        result = compiled(*args)
    return result


@pytest.mark.parametrize("n", [3, 3000])
def test_equal_results_are_different_arrays(n: int) -> None:
    x = gradus.ones(n)
    a, b = both(lambda x: (x * 2, x * 2), x)
    assert (a.value is not b.value) and not np.shares_memory(a.value, b.value)
    a += 1
    assert (b.numpy() == 2).all()


@pytest.mark.parametrize("n", [3, 3000])
def test_old_content_of_a_state_is_handed_out_before_the_update(n: int) -> None:
    total = gradus.zeros(n)

    def count(x: gradus.Tensor) -> gradus.Tensor:
        before = total * 1.0
        seen = total[1:]
        seen = seen.clone()
        total.add_(x)
        return before, seen

    compiled = gradus.compile(count)
    for k in range(5):
        before, seen = compiled(gradus.ones(n))
        assert (before.numpy() == k).all() and (seen.numpy() == k).all() and (total.numpy() == k + 1).all()


@pytest.mark.parametrize("n", [3, 3000])
def test_results_are_not_overwritten_by_the_next_call(n: int) -> None:
    double = gradus.compile(lambda x: x * 2)
    double(gradus.ones(n))
    first = double(gradus.ones(n))
    second = double(gradus.ones(n) * 5)
    assert (first.numpy() == 2).all() and (second.numpy() == 10).all()


@pytest.mark.parametrize("turn", [lambda x: x.T, lambda x: x[::2, ::-1], lambda x: x[:1].expand(6, 4)])
def test_inputs_may_lie_in_any_way(turn) -> None:
    x = turn(gradus.arange(24.0).reshape(6, 4))
    result = both(lambda x: (x * 2 + 1, x.sum(0), x @ x.T), x)
    for got, wanted in zip(result, (x * 2 + 1, x.sum(0), x @ x.T), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-6)


def test_a_users_elementwise_function() -> None:
    @gradus.elementwise
    def swish(x, beta):
        return x * gradus.sigmoid(beta * x)

    def plain(x, beta):
        return x * gradus.sigmoid(beta * x)

    rng = np.random.default_rng(0)
    for shape_x, shape_b in [((5,), ()), ((4, 3), (3,)), ((2, 1, 3), (4, 1))]:
        values = rng.standard_normal(shape_x), rng.standard_normal(shape_b)
        grads = []
        for f in (swish, plain):
            x, b = (gradus.tensor(v, dtype=gradus.float64).requires_grad_() for v in values)
            y = f(x, b)
            (gx,) = gradus.autograd.grad(y.sum(), x, create_graph=True)
            gx.sum().backward()
            grads.append((y.detach(), gx.detach(), x.grad, b.grad))
        for got, wanted in zip(*grads, strict=True):
            np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-12, atol=1e-14)

    @gradus.elementwise
    def wrong(x):
        return x.cumsum(0)

    with pytest.raises(gradus.GradusError, match="not elementwise"):
        wrong(gradus.ones(3))

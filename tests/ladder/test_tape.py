"""The tape against PyTorch, differences and hand-made results."""

from __future__ import annotations

import ast
import gc
import math
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gradus.ladder import tape, tape_at_work
from gradus.ladder.tape import Function, MyRelu, Tensor, no_grad

torch = pytest.importorskip("torch")

CORE = {"no_grad", "unbroadcast", "record", "operation", "spread", "scatter", "Tensor", "topological", "Context", "Function"}

# The same text runs on the tape and on PyTorch.
PROGRAMS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("a + b", [(3, 4), (4,)]),
    ("a - b", [(3, 1), (1, 4)]),
    ("a * b", [(2, 3, 4), (3, 1)]),
    ("a / b", [(3, 4), ()]),
    ("a @ b", [(3, 4), (4, 2)]),
    ("a @ b", [(5, 3, 4), (4, 2)]),
    ("a @ b", [(2, 1, 3, 4), (5, 4, 2)]),
    ("2 + a * 3 - 1", [(3,)]),
    ("1 - a", [(3,)]),
    ("2 / a", [(3,)]),
    ("-a", [(3,)]),
    ("a ** 3 + a ** 2 + a ** 0", [(4,)]),
    ("a ** -0.5", [(4,)]),
    ("a[1]", [(3, 4)]),
    ("a[[0, 2, 2, 0, 2]]", [(3, 4)]),
    ("a[:, 1:3] * b", [(3, 4), (3, 1)]),
    ("a.sum(0) * b", [(3, 4), (4,)]),
    ("a.sum(1) * b.sum((0, 2))", [(4, 3), (2, 4, 5)]),
    ("a / a.sum(1, keepdims=True)", [(3, 4)]),
    ("a.sum() * a", [(3, 4)]),
    ("a.mean() * b + a.mean(0)", [(3, 4), (4,)]),
    ("(a - a.mean(-1, keepdims=True)) ** 2", [(3, 4)]),
    ("a.exp() * b.log()", [(3, 4), (3, 4)]),
    ("a.reshape((2, 6)).T @ b", [(3, 4), (2, 2)]),
    ("a * a + a", [(3,)]),
    ("(a + b) * (a - b) * a", [(3,), (3,)]),
    ("a * b", [(0, 3), (1, 3)]),
    ("a @ b", [(0, 3), (3, 2)]),
]


def evaluate(text: str, values: list, weigh: Callable) -> tuple:
    """The value of a program and, by backward of its sum weighed by 1, 2, 3, …, the gradients."""
    y = eval(text, dict(zip("ab", values)))
    (y * weigh(math.prod(y.shape)).reshape(tuple(y.shape))).sum().backward()
    return y, [x.grad for x in values]


@pytest.mark.parametrize("text, shapes", PROGRAMS)
def test_operations_agree_with_pytorch(text: str, shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(3)
    arrays = [rng.uniform(0.5, 2.0, shape) for shape in shapes]
    ours, gradients = evaluate(text, [Tensor(x, requires_grad=True) for x in arrays], lambda n: np.arange(1.0, n + 1))
    theirs, expected = evaluate(
        text, [torch.tensor(x, requires_grad=True) for x in arrays], lambda n: torch.arange(1, n + 1, dtype=torch.float64)
    )
    np.testing.assert_allclose(ours.value, theirs.detach().numpy(), rtol=1e-12)
    for g, e, x in zip(gradients, expected, arrays, strict=True):
        assert np.shape(g) == x.shape
        np.testing.assert_allclose(g, e.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("text", ["a + b", "b + a", "a - b", "b - a", "a * b", "b * a", "a / b", "b / a", "a @ b", "b @ a"])
def test_a_plain_array_on_either_side(text: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, (3, 3)), rng.uniform(1, 2, (3, 3))
    x = Tensor(a, requires_grad=True)
    y = eval(text, {"a": x, "b": b})
    y.backward(np.ones((3, 3)))
    t = torch.tensor(a, requires_grad=True)
    eval(text, {"a": t, "b": torch.tensor(b)}).sum().backward()
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-12)


def test_a_tensor_used_twice_gets_both_contributions() -> None:
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    branch = x * x
    (branch + branch * x + x).sum().backward()  # x² + x³ + x
    np.testing.assert_allclose(x.grad, 2 * x.value + 3 * x.value**2 + 1)


def test_gradients_of_several_passes_add_up_and_do_not_alias() -> None:
    a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)
    loss = (a + b).sum()
    loss.backward()
    a.grad[0] = 100.0  # somebody writes into it
    np.testing.assert_array_equal(b.grad, [1, 1])
    loss.backward()
    np.testing.assert_array_equal(b.grad, [2, 2])
    np.testing.assert_array_equal(a.grad, [101, 2])


def test_the_given_gradient_is_not_written() -> None:
    x, g = Tensor([1.0, 2.0], requires_grad=True), np.array([1.0, 10.0])
    x.backward(g)
    x.grad *= 0
    np.testing.assert_array_equal(g, [1, 10])


@pytest.mark.parametrize("length", [1, 100_000])
def test_a_long_chain_needs_no_recursion(length: int) -> None:
    assert length == 1 or sys.getrecursionlimit() < length
    gradient = tape_at_work.long_chain(length)
    assert gradient == pytest.approx((1 + 1 / length) ** length, rel=1e-9)


def test_every_tensor_is_visited_after_all_that_use_it() -> None:
    rng = np.random.default_rng(1)
    made = [Tensor(1.0, requires_grad=True) for _ in range(3)]
    for _ in range(60):
        i, j = rng.integers(len(made), size=2)
        made.append(made[i] * 0.5 + made[j])
    order = tape.topological(made[-1])
    place = {x: k for k, x in enumerate(order)}
    assert len(place) == len(order)
    assert order[0] is made[-1]
    assert all(place[parent] > place[x] for x in order for parent, _ in x.history)


def test_orders_of_visiting() -> None:
    found = tape_at_work.visiting_orders()
    assert found.topological == found.truth == 4
    assert found.recursion == 8


def test_constants_get_no_gradient_and_cost_none() -> None:
    calls: list[str] = []
    a, b = Tensor(np.ones((2, 2))), Tensor(np.ones((2, 2)), requires_grad=True)
    product = tape.operation(np.matmul, lambda g, y, a, b: calls.append("a"), lambda g, y, a, b: calls.append("b") or a.T @ g)
    y = product(a, b)
    y.sum().backward()
    assert calls == ["b"]
    assert a.grad is None
    assert [parent for parent, _ in y.history] == [b]
    assert not (a * 2).requires_grad


def test_no_grad_remembers_nothing_and_ends() -> None:
    x = Tensor([1.0], requires_grad=True)
    with no_grad():
        assert not (x * x).requires_grad
        with no_grad():
            pass
        assert (x * x).history == ()  # still off after the inner one
    with pytest.raises(ValueError, match="no history"), no_grad():
        (x * x).backward()
    assert (x * x).requires_grad


def test_freed_without_the_collector() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = (x.exp() * x).sum()
    y.backward()
    alive = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Tensor([1.0]).backward(), "no history"),
        (lambda: Tensor([1.0, 2.0], requires_grad=True).backward(), r"shape \(2,\)"),
        (lambda: tape_at_work.mse(Tensor(np.ones((5, 1))), np.ones(5)), r"\(5, 1\) cannot be compared with targets of shape \(5,\)"),
    ],
)
def test_refusals_say_why(make: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_cast_keeps_the_way_back() -> None:
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = x.astype(np.float32)
    assert y is not x
    (y * y).sum().backward()
    assert x.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_single_precision_stays() -> None:
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    y = ((2 * x + 1) / 3 - 0.5).mean() * 2.0
    y.backward()
    assert y.value.dtype == x.grad.dtype == np.float32


class TheirRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, i):
        ctx.save_for_backward(i)
        return i.clamp_min(0.0)

    @staticmethod
    def backward(ctx, g):
        (i,) = ctx.saved_tensors
        return g * (i > 0).double()


def test_my_relu_is_that_of_pytorch() -> None:
    values = np.array([[-2.0, -0.0, 0.0, 1e-30, 3.0]])
    x, t = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    (MyRelu.apply(x) * np.arange(1.0, 6)).sum().backward()
    (TheirRelu.apply(t) * torch.arange(1.0, 6)).sum().backward()
    np.testing.assert_array_equal(MyRelu.apply(x).value, torch.relu(t).detach().numpy())
    np.testing.assert_array_equal(x.grad, t.grad.numpy())


def test_my_relu_at_infinities_and_nan() -> None:
    x = Tensor([-np.inf, np.nan, np.inf], requires_grad=True)
    y = MyRelu.apply(x)
    g = np.array([np.inf, 1.0, 1.0])
    y.backward(g)
    np.testing.assert_array_equal(y.value, [0, np.nan, np.inf])
    np.testing.assert_array_equal(x.grad, [0, 0, 1])
    np.testing.assert_array_equal(g, [np.inf, 1, 1])  # nobody writes into the caller's array


def test_whole_numbers_become_floats_that_can_be_trained() -> None:
    x = Tensor([1, 2], requires_grad=True)
    (x * 0.5).sum().backward()
    x.value -= 0.1 * x.grad
    np.testing.assert_allclose(x.value, [0.95, 1.95])


class Product(Function):
    """x·yⁿ with one backward for both tensors; n has no gradient."""

    calls: list[tuple[bool, ...]] = []

    @staticmethod
    def forward(ctx, x, y, n):
        ctx.save_for_backward(x, y)
        ctx.n = n
        return x * y**n

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        Product.calls.append(ctx.needs_input_grad)
        return g * y**ctx.n, g * x * ctx.n * y ** (ctx.n - 1), None


def test_a_function_of_several_inputs() -> None:
    Product.calls.clear()
    x, y = Tensor(np.full((2, 1), 3.0), requires_grad=True), Tensor([1.0, 2.0, 4.0], requires_grad=True)
    Product.apply(x, y, 2).sum().backward()
    np.testing.assert_allclose(x.grad, [[21], [21]])  # 1 + 4 + 16
    np.testing.assert_allclose(y.grad, [12, 24, 48])  # 2 rows of 2·3·y
    assert Product.calls == [(True, True, False)]
    Product.apply(x, Tensor([1.0]), Tensor(2.0)).sum().backward()
    assert Product.calls[1:] == [(True, False, False)]
    with no_grad():
        assert not Product.apply(x, y, 2).requires_grad


def test_a_function_of_functions_used_twice() -> None:
    x = Tensor([2.0], requires_grad=True)
    y = Product.apply(x, x, 2)  # x³
    Product.apply(y, y, 1).sum().backward()  # x⁶
    np.testing.assert_allclose(x.grad, [6 * 2.0**5])


def test_a_function_goes_back_as_often_as_asked() -> None:
    x = Tensor([2.0, 3.0], requires_grad=True)
    y = MyRelu.apply(x)
    y.backward(np.array([1.0, 10.0]))
    y.backward(np.array([5.0, 0.0]))
    np.testing.assert_array_equal(x.grad, [6, 10])


def test_the_power_zero_is_flat_everywhere() -> None:
    x = Tensor([0.0, 2.0], requires_grad=True)
    (x**0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0])


def test_a_function_must_answer_for_each_input() -> None:
    class Forgetful(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(ValueError, match=r"Forgetful.backward returned 1 gradients for 2 inputs"):
        Forgetful.apply(Tensor([1.0], requires_grad=True), Tensor([1.0])).sum().backward()


@pytest.mark.parametrize("seed", range(4))
def test_training_with_the_function_learns_what_a_line_cannot(seed: int) -> None:
    losses = tape_at_work.train(seed=seed).losses
    assert losses[0] > 0.35
    assert losses[-1] < 0.15
    assert 0.8 < tape_at_work.train(lambda x: x, seed=seed).losses[-1] < 1.5  # the variance of x₁x₂ is 1


def test_training_is_that_of_pytorch() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1000, 2))
    y = torch.tensor(x[:, :1] * x[:, 1:])
    w1, w2 = rng.standard_normal((2, 16)), rng.standard_normal((16, 1)) * np.sqrt(2 / 16)
    parameters = [torch.tensor(p, requires_grad=True) for p in (w1, np.zeros(16), w2, np.zeros(1))]
    optimizer = torch.optim.SGD(parameters, lr=0.05)
    losses = []
    for _ in range(2):
        for rows in rng.permutation(1000).reshape(20, 50):
            weight1, bias1, weight2, bias2 = parameters
            loss = torch.nn.functional.mse_loss(TheirRelu.apply(torch.tensor(x[rows]) @ weight1 + bias1) @ weight2 + bias2, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    found = tape_at_work.train(seed=5, epochs=2)
    np.testing.assert_allclose(found.losses, np.reshape(losses, (2, 20)).mean(1), rtol=1e-10)
    for ours, theirs in zip(found.parameters, parameters, strict=True):
        np.testing.assert_allclose(ours.value, theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("value", [0.25, 2.0, 9.0, 1e6])
def test_a_loop_that_depends_on_values_has_a_gradient(value: float) -> None:
    a = Tensor(value, requires_grad=True)
    root = tape_at_work.square_root(a)
    root.backward()
    assert root.value == pytest.approx(math.sqrt(value), rel=1e-10)
    assert a.grad == pytest.approx(1 / (2 * math.sqrt(value)), rel=1e-5)


def test_branches_follow_what_was_computed() -> None:
    def f(x):
        return x * x if x.value > 0 else x * -3 + x.exp()

    for value, derivative in ((2.0, 4.0), (-1.0, -3 + math.exp(-1))):
        x = Tensor(value, requires_grad=True)
        f(x).backward()
        assert x.grad == pytest.approx(derivative)


def code_lines(source: str, names: set[str]) -> dict[str, int]:
    """Lines of code of the named definitions: no docstrings, comments or blank lines."""
    lines, counts = source.splitlines(), {}
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
            inside = [d for d in ast.walk(node) if isinstance(d, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(d)]
            texts = {k for d in inside for k in range(d.body[0].lineno, int(d.body[0].end_lineno or 0) + 1)}
            first = min([node.lineno, *[d.lineno for d in node.decorator_list]])
            span = [lines[k - 1].strip() for k in range(first, int(node.end_lineno or 0) + 1) if k not in texts]
            counts[node.name] = sum(bool(line) and not line.startswith("#") for line in span)
    return counts


def test_the_tape_has_fewer_than_a_hundred_lines() -> None:
    counts = code_lines(Path(tape.__file__).read_text(encoding="utf-8"), CORE)
    assert set(counts) == CORE
    assert 60 < sum(counts.values()) < 100

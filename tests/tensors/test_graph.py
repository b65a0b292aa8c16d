"""The graph behind tensors: user-defined functions, hooks, switches, and what keeps memory alive."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import gradus
from gradus.autograd import Function
from gradus.errors import AliasError, GradError, ShapeError

START = np.array([[0.5, -1.5, 2.0], [1.0, 3.0, -0.5]])


def functions(T: Any) -> dict[str, Callable[..., Any]]:
    """The same user-defined functions over one library's base class."""
    base = T.autograd.Function

    class Square(base):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    class SavedOutput(base):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    class TwoOutputs(base):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.scale = scale
            up, down = x * scale, x.exp()
            ctx.save_for_backward(x, down)
            return up, down

        @staticmethod
        def backward(ctx, g_up, g_down):
            _, down = ctx.saved_tensors
            return g_up * ctx.scale + g_down * down, None

    class WithIndices(base):
        @staticmethod
        def forward(ctx, x):
            values, indices = x.sort(dim=1)
            ctx.mark_non_differentiable(indices)
            ctx.save_for_backward(indices)
            return values, indices

        @staticmethod
        def backward(ctx, g, _):
            (indices,) = ctx.saved_tensors
            return T.zeros_like(g).scatter_add(1, indices, g)

    class Identity(base):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return -g

    class OneOfTwo(base):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            assert ctx.needs_input_grad == (True, False)
            return a * b

        @staticmethod
        def backward(ctx, g):
            _, b = ctx.saved_tensors
            return g * b, None

    class Lazy(base):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            assert b is None
            return a * 2

    class Clamp(base):
        @staticmethod
        def forward(ctx, i):
            ctx.save_for_backward(i)
            return i.clamp_min(0.0)

        @staticmethod
        def backward(ctx, grad_output):
            (i,) = ctx.saved_tensors
            return grad_output * (i > 0).to(grad_output.dtype)

    def squared_twice(x: Any) -> Any:
        return Square.apply(Square.apply(x))

    def unequal(x: Any) -> Any:
        up, down = TwoOutputs.apply(x, 3.0)
        return up * 2 + down * up

    def one_dropped(x: Any) -> Any:
        return TwoOutputs.apply(x, 3.0)[1]

    def with_indices(x: Any) -> Any:
        values, indices = WithIndices.apply(x)
        assert not indices.requires_grad
        return values * T.arange(3)

    def written_output(x: Any) -> Any:
        y = Square.apply(x)
        y = y * 1
        y += 1
        return y * y

    return {
        "square": Square.apply,
        "nested": squared_twice,
        "saved output": SavedOutput.apply,
        "two outputs": unequal,
        "one output dropped": one_dropped,
        "not differentiable": with_indices,
        "identity": Identity.apply,
        "one of two": lambda x: OneOfTwo.apply(x, T.full((3,), 2.0, dtype=T.float64)),
        "unmaterialised": lambda x: Lazy.apply(x)[0],
        "relu of the book": Clamp.apply,
        "written": written_output,
        "used twice": lambda x: Square.apply(x) * Square.apply(x),
        "broadcast": lambda x: x[0] * Square.apply(x),
    }


@pytest.mark.parametrize("name", functions(gradus))
def test_user_defined_functions(name: str, agree: Any) -> None:
    agree(functions(gradus)[name], functions(torch)[name], [START], name)


@pytest.mark.parametrize(
    "name", ["square", "nested", "saved output", "two outputs", "one output dropped", "relu of the book", "used twice"]
)
def test_user_defined_functions_twice(name: str) -> None:
    results = []
    for T in (gradus, torch):
        x = T.tensor(START, requires_grad=True)
        (g,) = T.autograd.grad((functions(T)[name](x) ** 2).sum(), x, create_graph=True)
        (h,) = T.autograd.grad((g * g).sum(), x)
        results.append((g.detach().numpy(), h.numpy()))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-10)


class Wrong(Function):
    returned: Any = None

    @staticmethod
    def forward(ctx: Any, x: Any, factor: float = 1.0) -> Any:
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return Wrong.returned


@pytest.mark.parametrize(
    "returned, error",
    [
        (gradus.ones(2, 3), None),
        ((gradus.ones(2, 3), None, None), None),
        (gradus.ones(4, 2, 3), None),
        (gradus.ones(3), ShapeError),
        (gradus.ones(2, 1), ShapeError),
        (gradus.ones(3, 2), ShapeError),
        ((), GradError),
        ((gradus.ones(2, 3), gradus.ones(2, 3)), GradError),
    ],
)
def test_gradients_that_do_not_fit(returned: Any, error: type[Exception] | None) -> None:
    Wrong.returned = returned
    x = gradus.ones(2, 3, requires_grad=True)
    y = Wrong.apply(x)
    if error is None:
        y.sum().backward()
        assert x.grad.shape == (2, 3)
    else:
        with pytest.raises(error, match="WrongBackward"):
            y.sum().backward()


def test_a_saved_tensor_that_was_overwritten_raises() -> None:
    x = gradus.tensor(START, requires_grad=True)
    y = x * 1
    z = functions(gradus)["square"](y)
    y += 1
    with pytest.raises(AliasError, match="SquareBackward"):
        z.sum().backward()


def test_functions_without_gradients_record_nothing() -> None:
    square = functions(gradus)["square"]
    assert not square(gradus.ones(3)).requires_grad
    with gradus.no_grad():
        assert not square(gradus.ones(3, requires_grad=True)).requires_grad


def test_forward_records_nothing_and_its_outputs_are_apart() -> None:
    class Reversal(Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            return -g

    x = gradus.tensor(START, requires_grad=True)
    y = Reversal.apply(x)
    assert y.grad_fn.name == "ReversalBackward"
    y.mul_(2)
    np.testing.assert_array_equal(x.detach().numpy(), START)


# Hooks.


def hooked(T: Any, kind: str) -> list[Any]:
    x = T.tensor(START, requires_grad=True)
    y = x * 2
    z = (y * y).sum()
    seen: list[Any] = []
    if kind == "leaf":
        x.register_hook(lambda g: seen.append(g.tolist()))
    elif kind == "intermediate":
        y.register_hook(lambda g: seen.append(g.tolist()))
    elif kind == "replace":
        y.register_hook(lambda g: g * 3)
    elif kind == "leaf replace":
        x.register_hook(lambda g: g * 3)
    elif kind == "two":
        y.register_hook(lambda g: g * 3)
        y.register_hook(lambda g: g + 1)
    elif kind == "removed":
        y.register_hook(lambda g: g * 3).remove()
    elif kind == "retain":
        y.retain_grad()
    elif kind == "retain and hook":
        y.retain_grad()
        y.register_hook(lambda g: g * 3)
    elif kind == "retain twice":
        y.retain_grad()
        y.retain_grad()
    elif kind == "retain leaf":
        x.retain_grad()
    elif kind == "twice":
        y.retain_grad()
        z.backward(retain_graph=True)
    z.backward()
    return [x.grad.tolist(), seen, y.grad.tolist() if kind.startswith(("retain", "twice")) and kind != "retain leaf" else None]


@pytest.mark.parametrize(
    "kind",
    [
        "leaf",
        "intermediate",
        "replace",
        "leaf replace",
        "two",
        "removed",
        "retain",
        "retain and hook",
        "retain twice",
        "retain leaf",
        "twice",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_hooks(kind: str) -> None:
    assert hooked(gradus, kind) == hooked(torch, kind)


def test_hooks_need_a_graph() -> None:
    with pytest.raises(GradError):
        gradus.ones(2).register_hook(print)


def accumulated(T: Any) -> list[Any]:
    x = T.tensor(START, requires_grad=True)
    steps = []
    (x * 2).sum().backward()
    steps.append(x.grad.tolist())
    (x * x).sum().backward()
    steps.append(x.grad.tolist())
    x.grad.zero_()
    x.sum().backward()
    steps.append(x.grad.tolist())
    x.grad = None
    (x[0] * 5).sum().backward()
    steps.append(x.grad.tolist())
    y = x * 2
    (g,) = T.autograd.grad(y.sum(), x)
    steps.append(g.tolist())
    steps.append(T.autograd.grad((x * x).sum(), [x, y], allow_unused=True)[1] is None)
    steps.append([x.is_leaf, y.is_leaf, y.requires_grad, y.detach().requires_grad, x.grad.requires_grad, y.detach().is_leaf])
    return steps


def test_accumulation_and_grad() -> None:
    assert accumulated(gradus) == accumulated(torch)


def test_a_gradient_is_nobody_elses_memory() -> None:
    a, b = gradus.ones(3, requires_grad=True), gradus.ones(3, requires_grad=True)
    cotangent = gradus.ones(3)
    (a + b).backward(cotangent)
    a.grad += 1
    assert b.grad.tolist() == cotangent.tolist() == [1, 1, 1]


# Switches.


def test_no_grad_in_every_form() -> None:
    x = gradus.ones(3, requires_grad=True)

    @gradus.no_grad()
    def with_parentheses() -> Any:
        return x * 2

    @gradus.no_grad
    def without() -> Any:
        return x * 2

    @gradus.enable_grad()
    def on() -> Any:
        return x * 2

    assert not with_parentheses().requires_grad
    assert not without().requires_grad
    with gradus.no_grad():
        assert on().requires_grad
        assert not (x * 2).requires_grad
        with gradus.enable_grad():
            assert (x * 2).requires_grad
            with gradus.no_grad():
                assert not gradus.is_grad_enabled()
        with gradus.set_grad_enabled(True):
            assert gradus.is_grad_enabled()
        assert not gradus.is_grad_enabled()
    assert (x * 2).requires_grad
    gradus.set_grad_enabled(False)
    try:
        assert not (x * 2).requires_grad
    finally:
        gradus.set_grad_enabled(True)
    switch = gradus.no_grad()
    with switch, switch:
        assert not gradus.is_grad_enabled()
    assert gradus.is_grad_enabled()

    @gradus.set_grad_enabled(False)
    def off() -> Any:
        return x * 2

    assert gradus.is_grad_enabled()
    assert not off().requires_grad
    with pytest.raises(ZeroDivisionError), gradus.no_grad():
        raise ZeroDivisionError
    assert gradus.is_grad_enabled()


def test_no_grad_on_generators() -> None:
    """The mode holds inside the generator, not in the loop around it."""

    @gradus.no_grad()
    def numbers() -> Iterator[Any]:
        received = None
        for _ in range(3):
            received = yield (gradus.is_grad_enabled(), received)

    generator = numbers()
    assert next(generator) == (False, None)
    assert gradus.is_grad_enabled()
    assert generator.send(5) == (False, 5)
    assert gradus.is_grad_enabled()
    assert list(generator) == [(False, None)]
    assert gradus.is_grad_enabled()


def test_threads_do_not_disturb_each_other() -> None:
    failures: list[str] = []

    def work(number: int) -> None:
        x = gradus.tensor(START * number, requires_grad=True)
        for step in range(300):
            x.grad = None
            y = (x * number).tanh()
            with gradus.no_grad():
                if (x * 2).requires_grad or gradus.is_grad_enabled():
                    failures.append("recorded under no_grad")
                y.detach()
            (y * y).sum().backward()
            wanted = 2 * np.tanh(START * number**2) * (1 - np.tanh(START * number**2) ** 2) * number
            if not gradus.is_grad_enabled() or not np.allclose(x.grad.numpy(), wanted, rtol=1e-12):
                failures.append(f"wrong gradient in step {step}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]


# Memory.


def graphs() -> dict[str, Callable[[Any], Any]]:
    square = functions(gradus)["square"]
    two = functions(gradus)["one output dropped"]
    output = functions(gradus)["saved output"]

    def in_place(x: Any) -> Any:
        y = x * 2
        y[0] *= 3
        y.t()[1].add_(x[0, 0])
        return y

    def hooked_graph(x: Any) -> Any:
        y = x * 2
        y.register_hook(lambda g: g * 2)
        y.retain_grad()
        return y.exp()

    return {
        "ops": lambda x: (x.exp() * x.tanh() + x.sum()).sigmoid(),
        "function": square,
        "two outputs": two,
        "saved output": output,
        "in place": in_place,
        "hooks": hooked_graph,
        "views": lambda x: x[0].reshape(3, 1).expand(3, 2).t(),
        "softmax": lambda x: gradus.softmax(x, -1),
        "sort": lambda x: x.sort()[0],
    }


@pytest.mark.parametrize("name", graphs())
@pytest.mark.parametrize("end", ["forward", "backward", "create_graph", "double"])
def test_a_graph_dies_with_its_last_name(name: str, end: str) -> None:
    gc.collect()
    gc.disable()
    try:
        x = gradus.tensor(START, requires_grad=True)
        y = (graphs()[name](x) ** 2).sum()
        tensor, node = weakref.ref(y), weakref.ref(y.node)
        if end == "backward":
            y.backward()
        elif end != "forward":
            (g,) = gradus.autograd.grad(y, x, create_graph=True)
            if end == "double":
                (g * g).sum().backward()
            del g
        del y
        assert tensor() is None
        assert node() is None
    finally:
        gc.enable()


def chain(length: int) -> None:
    x = gradus.ones(2, requires_grad=True)
    y = x
    for _ in range(length // 2):
        y = y * 1.0
        y = y + x
    y.sum().backward()
    assert x.grad.tolist() == [length // 2 + 1] * 2
    node = weakref.ref(y.node)
    del y
    assert node() is None


def test_a_chain_of_a_hundred_thousand_ops() -> None:
    chain(100_000)


def test_a_chain_dropped_without_backward() -> None:
    y = gradus.ones(2, requires_grad=True)
    first = None
    for _ in range(100_000):
        y = y + 1
        first = first or weakref.ref(y.node)
    del y
    assert first() is None, "the whole chain is freed, without recursion"


def test_a_function_lets_go_of_what_it_saved() -> None:
    square = functions(gradus)["square"]
    x = gradus.ones(3, requires_grad=True)
    hidden = x * 3
    kept = weakref.ref(hidden.value)
    y = square(hidden).sum()
    del hidden
    y.backward()
    assert kept() is None and x.grad.tolist() == [18.0, 18.0, 18.0]
    with pytest.raises(GradError, match="second time"):
        y.backward()


@pytest.mark.slow
def test_a_chain_of_a_million_ops() -> None:
    chain(1_000_000)

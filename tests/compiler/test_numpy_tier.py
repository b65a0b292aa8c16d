"""The compiler's NumPy tier: the same numbers as eager mode, states written safely in place, results that no later call overwrites."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradus
import gradus.nn.functional as F
from gradus import nn, optim
from gradus.compiler import numpy_places
from gradus.compiler.numpy_program import NumpyProgram
from gradus.errors import LabelError, UsageError, UsageWarning
from gradus.primitive import REGISTRY
from gradus.tensors import wrap
from gradus.testing.samples import samples_of

STEPS = 20


class Flattened(nn.Module):
    """Channels and positions as one axis."""

    def forward(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)


class Words(nn.Module):
    """Integer tokens to classes, by way of attention."""

    def __init__(self) -> None:
        self.table = nn.Embedding(11, 8)
        self.norm = nn.LayerNorm(8)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, tokens: Any) -> Any:
        x = self.norm(self.table(tokens))
        y = F.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x), is_causal=True)
        return self.head((x + y).mean(1))


def mlp() -> Any:
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5))


MODELS: dict[str, Callable[[], Any]] = {
    "mlp": mlp,
    "dropout": lambda: nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 5)),
    "batch norm": lambda: nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Linear(16, 5)),
    "layer norm": lambda: nn.Sequential(nn.Linear(12, 16), nn.LayerNorm(16), nn.SiLU(), nn.Linear(16, 5)),
    "words": Words,
    "conv": lambda: nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Flattened(), nn.Linear(12, 5)),
}
SHAPES = {"conv": (7, 1, 4, 4), "words": (7, 6)}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
}


def batches(name: str) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(3)
    shape = SHAPES.get(name, (7, 12))
    make = (lambda: rng.integers(0, 11, shape)) if name == "words" else (lambda: rng.standard_normal(shape, np.float32))
    return [(gradus.tensor(make()), gradus.tensor(rng.integers(0, 5, 7))) for _ in range(STEPS)]


def trained(name: str, optimizer: str, wrap: Callable[[Any], Any], zero_first: bool = True) -> tuple[list[np.ndarray], Any]:
    """Losses, parameters, buffers and optimiser state after some steps; and the step."""
    gradus.manual_seed(5)
    model = MODELS[name]()
    opt = OPTIMIZERS[optimizer](model.parameters())

    def step(x: Any, target: Any) -> Any:
        if zero_first:
            opt.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        opt.step()
        if not zero_first:
            opt.zero_grad()
        return loss

    run = wrap(step)
    losses = []
    for k, (x, target) in enumerate(batches(name)):
        if k == STEPS // 2:
            for group in opt.param_groups:
                group["lr"] *= 0.5
        losses.append(run(x, target).detach().numpy().copy())
    states = [value.numpy() for state in opt.state.values() for value in state.values() if isinstance(value, gradus.Tensor)]
    return [*losses, *(value.numpy() for value in model.state_dict().values()), *states], run


def on_numpy(f: Any) -> Any:
    return gradus.compile(f, tier="numpy")


def same(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float = 0.0) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        largest = max(1.0, float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))) if np.asarray(b).dtype.kind == "f" else 1.0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance / 10 * largest)  # sums cancel: rounding is that of their terms


@pytest.mark.parametrize("zero_first", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_training_equals_eager(model: str, optimizer: str, zero_first: bool) -> None:
    expected, _ = trained(model, optimizer, lambda f: f, zero_first)
    found, step = trained(model, optimizer, on_numpy, zero_first)
    assert len(step.specialisations) == 1
    assert isinstance(step.specialisations[0].program, NumpyProgram)
    same(found, expected, 1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_mlp_is_bit_identical(optimizer: str) -> None:
    expected, _ = trained("mlp", optimizer, lambda f: f)
    found, _ = trained("mlp", optimizer, on_numpy)
    same(found, expected)


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "adamw"])
def test_block_by_block_is_bit_identical(monkeypatch: pytest.MonkeyPatch, optimizer: str) -> None:
    expected, _ = trained("mlp", optimizer, lambda f: f)
    monkeypatch.setattr(numpy_places, "LARGE", 20)
    monkeypatch.setattr(numpy_places, "BLOCK", 36)  # three rows of 12, two of 16: the last block is a shorter one
    found, step = trained("mlp", optimizer, on_numpy)
    assert "for first in range(0, 16, 3)" in step.source
    same(found, expected)


def test_large_arrays_run_block_by_block() -> None:
    def step(x: Any, y: Any) -> Any:
        z = (x * y + x) / (y * y + 1.0)
        return z.sum(0), x - z * z

    f = on_numpy(step)
    rng = np.random.default_rng(0)
    x, y = (gradus.tensor(rng.standard_normal((700, 300), np.float32)) for _ in range(2))
    for _ in range(3):
        same([a.numpy() for a in f(x, y)], [a.numpy() for a in step(x, y)])
    assert "for first in range(0, 700, 54)" in f.source


# Every op.


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_op_equals_eager(name: str) -> None:
    record = REGISTRY[name]
    assert record.function is not None
    for sample in samples_of(record):
        if name == "getitem" and any(array.dtype == bool for array in _arrays_in(sample.args)):
            continue  # a mask: no trace knows how many elements it selects
        arrays = [arg.astype(np.float32) if arg.dtype.kind == "f" else arg for arg in _arrays_in(sample.args)]

        def f(*tensors: Any, sample: Any = sample) -> Any:
            rest = iter(tensors)
            gradus.manual_seed(0)
            y = record.function(*[_filled(arg, rest) for arg in sample.args], **sample.params)  # type: ignore[misc]
            return y if isinstance(y, gradus.Tensor) else wrap(y)

        compiled, tensors = on_numpy(f), [wrap(array) for array in arrays]
        wanted = f(*tensors).numpy()
        for _ in range(3):
            same([compiled(*tensors).numpy()], [wanted], 1e-6)


def _arrays_in(args: Any) -> list[np.ndarray]:
    return [a for arg in args for a in (_arrays_in(arg) if isinstance(arg, list) else [arg]) if isinstance(a, np.ndarray)]


def _filled(arg: Any, rest: Any) -> Any:
    if isinstance(arg, list):
        return [_filled(a, rest) for a in arg]
    return next(rest) if isinstance(arg, np.ndarray) else arg


# States.


def states(*values: Any) -> list[Any]:
    return [gradus.tensor(np.array(value, np.float32)) for value in values]


def after(f: Callable[..., Callable[..., Any]], wrap: Callable[[Any], Any], *values: Any) -> list[np.ndarray]:
    """What a step on states leaves in them, and returns at each call."""
    tensors = states(*values)
    run = wrap(f(*tensors))
    results = []
    for k in range(5):
        y = run(gradus.tensor(np.array([1.0, 2.0, 4.0], np.float32) * (k + 1)))
        results += [t.numpy().copy() for t in (y if isinstance(y, tuple) else (y,))]
    return [*results, *(t.numpy() for t in tensors)]


def reads_another(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            a.copy_(a + b * x)
            b.copy_(b * 0.5 + a)
        return (a * b).sum()

    return step


def swaps(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            old = a * 1.0 + 0.0
            a.copy_(b)
            b.copy_(old)
        return old + x

    return step


def swaps_without_arithmetic(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            old = a.clone()
            a.copy_(b)
            b.copy_(old)
        return x * 2

    return step


def reads_its_old_self_late(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            old = a.clone()
            a.copy_(a * 2 + x)
            b.copy_(b + old)
        return old * b

    return step


def returns_what_it_wrote(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            new = a * 0.5 + x
            a.copy_(new)
            b.copy_(new)
        return new, new.reshape(3, 1)

    return step


def returns_old_and_new(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            old = a.clone()
            a.add_(x)
            b.mul_(2.0)
        return old, a.clone(), b[1:].clone()

    return step


def reads_itself_turned(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            a.copy_(a + a.flip(0) * x)
            b.copy_(b - a[0])
        return a.sum()

    return step


def chains(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            a.copy_(a * 0.9 + x * x * 0.1)
            b.copy_((b * 0.9 + a) * 0.5 + (b - x))
        return a / b

    return step


def twice(a: Any, b: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        with gradus.no_grad():
            a.add_(x)
            a.mul_(0.5)
            b.copy_(a + b)
            a.sub_(b)
        return a * 1.0

    return step


HAZARDS = [
    reads_another,
    swaps,
    swaps_without_arithmetic,
    reads_its_old_self_late,
    returns_what_it_wrote,
    returns_old_and_new,
    reads_itself_turned,
    chains,
    twice,
]


@pytest.mark.parametrize("f", HAZARDS, ids=lambda f: f.__name__)
def test_states_are_written_when_nobody_needs_the_old_content(f: Any) -> None:
    values = [[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]]
    same(after(f, on_numpy, *values), after(f, lambda step: step, *values))


@pytest.mark.parametrize("f", HAZARDS, ids=lambda f: f.__name__)
def test_states_block_by_block(monkeypatch: pytest.MonkeyPatch, f: Any) -> None:
    monkeypatch.setattr(numpy_places, "LARGE", 1)
    monkeypatch.setattr(numpy_places, "BLOCK", 2)
    values = [[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]]
    same(after(f, on_numpy, *values), after(f, lambda step: step, *values))


def test_a_square_state_that_meets_its_transpose() -> None:
    def build(wrap: Callable[[Any], Any]) -> list[np.ndarray]:
        w = gradus.tensor(np.arange(200 * 200, dtype=np.float32).reshape(200, 200) / 4e4)

        def step(x: Any) -> Any:
            with gradus.no_grad():
                half = w * 0.5
                w.copy_(half + w.T * x + half * half)
            return (w.T * 1.0)[3]

        run = wrap(step)
        return [*(run(gradus.tensor(0.25)).numpy().copy() for _ in range(4)), w.numpy()]

    same(build(on_numpy), build(lambda f: f))


def test_blocks_outlast_an_operand_that_is_also_read_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_places, "LARGE", 1)
    monkeypatch.setattr(numpy_places, "BLOCK", 8)

    def step(x: Any) -> Any:
        u = x @ x
        return (u * (u.T * x)) @ x

    f, x = on_numpy(step), gradus.tensor(np.arange(16, dtype=np.float32).reshape(4, 4))
    for _ in range(3):
        same([f(x).numpy()], [step(x).numpy()])
    assert "for first in range(0, 4, 2)" in f.source


# Results.


def test_results_keep_their_numbers_through_later_calls() -> None:
    weight = gradus.tensor(np.ones((4, 3), np.float32))

    def step(x: Any) -> Any:
        y = x @ weight
        z = gradus.where(y > 0, y, 0.0)
        with gradus.no_grad():
            weight.add_(1.0)
        return y, y.T, y.reshape(-1), z, z.T, x.T, x[0], weight.T, y.sum(), y.max(1).values, x

    f = on_numpy(step)
    rng = np.random.default_rng(1)
    kept = []
    for _ in range(5):
        results = f(gradus.tensor(rng.standard_normal((2, 4), np.float32)))
        kept.append((results[:-1], [y.numpy().copy() for y in results[:-1]]))
    for results, copies in kept[2:]:
        same([y.numpy() for y in results], copies)
    program = f.specialisations[0].program
    last = kept[-1][0]
    for k, y in enumerate(last):
        assert not np.may_share_memory(y.value, program.arena)
        assert not np.may_share_memory(y.value, weight.value)
        assert not any(np.shares_memory(y.value, other.value) for other in last[:k])


def test_gradients_stay_until_the_next_backward() -> None:
    model = mlp()

    def step(x: Any, target: Any) -> Any:
        model.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        return loss

    f = on_numpy(step)
    for x, target in batches("mlp"):
        f(x, target)
        found = [p.grad.numpy().copy() for p in model.parameters()]
        step(x, target)
        same(found, [p.grad.numpy() for p in model.parameters()])


@pytest.mark.parametrize("turn", ["T", "every second", "flipped"])
def test_inputs_that_do_not_lie_in_order(turn: str) -> None:
    def step(x: Any) -> Any:
        return x.reshape(-1) * 2, (x @ x.T), x.sum(0)

    rng = np.random.default_rng(1)
    whole = rng.standard_normal((6, 8), np.float32)
    array = {"T": whole.T, "every second": whole[:, ::2], "flipped": whole[::-1]}[turn]
    f = on_numpy(step)
    for _ in range(3):
        x = gradus.tensor(whole)
        x.value = array
        same([y.numpy() for y in f(x)], [y.numpy() for y in step(x)])


@pytest.mark.parametrize("n", [0, 1])
def test_batches_of_none_and_one(n: int) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))

    def step(x: Any) -> Any:
        model.zero_grad()
        y = model(x)
        (y * y).sum().backward()
        return y

    f = on_numpy(step)
    for _ in range(3):
        x = gradus.tensor(np.ones((n, 4), np.float32))
        found = [f(x).detach().numpy(), *(p.grad.numpy() for p in model.parameters())]
        same(found, [step(x).detach().numpy(), *(p.grad.numpy() for p in model.parameters())])


def test_errors_are_those_of_eager_mode() -> None:
    model = mlp()
    f = on_numpy(lambda x, target: F.cross_entropy(model(x), target))
    x = gradus.tensor(np.ones((2, 12), np.float32))
    for _ in range(2):
        f(x, gradus.tensor(np.array([0, 4])))
    with pytest.raises(LabelError):
        f(x, gradus.tensor(np.array([0, 5])))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("+-*/mste"), st.integers(0, 9), st.integers(0, 9), st.sampled_from("nsou")), min_size=1, max_size=14)
)
def test_any_program_equals_eager(lines: list[tuple[str, int, int, str]]) -> None:
    """Chains of ops on an input and two states, in which any value may become a state or an output."""

    def build(wrap: Callable[[Any], Any]) -> list[np.ndarray]:
        a, b = (gradus.tensor(np.linspace(k, k + 1, 9, dtype=np.float32).reshape(3, 3)) for k in (0, 1))

        def step(x: Any) -> Any:
            values, results = [x, a, b], []
            with gradus.no_grad():
                for op, i, j, fate in lines:
                    p, q = values[i % len(values)], values[j % len(values)]
                    ops = {"+": lambda p, q: p + q, "-": lambda p, q: p - q, "*": lambda p, q: p * q, "/": lambda p, q: p / (q * q + 1)}
                    ops |= {
                        "m": lambda p, q: p @ q,
                        "s": lambda p, q: p.sum(0) + q * 0.1,
                        "t": lambda p, q: p.T.clone(),
                        "e": lambda p, q: p.reshape(-1)[1:7].sum() + q,
                    }
                    y = ops[op](p, q)
                    y = gradus.tanh(y)
                    values.append(y)
                    if fate in "su":
                        (a if fate == "s" else b).copy_(y)
                    elif fate == "o":
                        results.append(y)
            return (values[-1].sum(), *results)

        run = wrap(step)
        x = gradus.tensor(np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3))
        found = [y.numpy().copy() for _ in range(4) for y in run(x)]
        return [*found, a.numpy(), b.numpy()]

    expected = build(lambda f: f)
    same(build(on_numpy), expected, 1e-4)
    with mock.patch.multiple(numpy_places, LARGE=1, BLOCK=4):
        same(build(on_numpy), expected, 1e-4)


# The choice.


def test_the_text_runs_by_itself() -> None:
    _, step = trained("mlp", "sgd", on_numpy)
    program = step.specialisations[0].program
    assert program.source == step.source
    scope = dict(program.scope)
    exec(compile(step.source, "<pasted>", "exec"), scope)
    x, target = batches("mlp")[0]
    memory = [leaf.array for leaf in program.graph.leaves() if leaf.kind == "state"]
    before = [array.copy() for array in memory]
    first = scope["program"](x.value, target.value)
    for array, old in zip(memory, before, strict=True):
        array[...] = old
    same(list(first), list(program.run(x.value, target.value)))
    for name in ("out=v", "float32[7, 16]", "matmul(", "in the memory of s"):
        assert name in step.source


def test_unknown_tiers_are_refused() -> None:
    with pytest.raises(UsageError, match="does not know the tier"):
        gradus.compile(lambda x: x, tier="fast")


def test_the_tier_of_a_decorator() -> None:
    @gradus.compile(tier="numpy")
    def double(x: Any) -> Any:
        return x * 2

    assert [double(gradus.ones(2)).sum().item() for _ in range(3)] == [4.0] * 3
    assert "multiply(x0, 2)" in double.source


WITHOUT_NUMBA = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numba", "llvmlite", "scipy_openblas32"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
import warnings
import gradus
import gradus.nn.functional as F
from gradus import nn, optim

def losses(wrap):
    gradus.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    opt = optim.Adam(model.parameters(), lr=0.01)
    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss
    step = wrap(step)
    return [step(gradus.rand(5, 8), gradus.randint(0, 3, (5,))).item() for _ in range(20)]

expected = losses(lambda f: f)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    assert losses(gradus.compile) == expected
    assert losses(gradus.compile) == expected
print([str(warning.message) for warning in told])
print(sorted(name for name in sys.modules if name.startswith(("numba", "llvmlite", "gradus.kernels"))))
try:
    gradus.compile(lambda x: x, tier="native")
except gradus.errors.UsageError as error:
    print(error.code)
"""


def test_without_numba() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, modules, code = done.stdout.splitlines()
    assert told.count("E44") == 1
    assert 'pip install "gradus-dl[fast]"' in told
    assert (modules, code) == ("[]", "E44")
    assert issubclass(UsageWarning, UserWarning)

"""Functions of the table that take lists of tensors, shapes or dtypes, beside PyTorch's; and that compositions compile as they compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradus
from gradus.errors import AliasError, GradusError, UsageError

Arrays = list[np.ndarray]


def arrays_of(*shapes: tuple[int, ...], dtype: str = "float64") -> Arrays:
    rng = np.random.default_rng(5)
    return [rng.uniform(-3, 3, shape).astype(dtype) for shape in shapes]


LISTS: dict[str, tuple[Callable[..., Any], list[Arrays]]] = {
    **{
        name: (lambda T, *xs, name=name: getattr(T, name)(xs), [arrays_of(*shapes) for shapes in several])
        for name, several in {
            "hstack": [[(3,), (2,)], [(2, 3), (2, 1)], [()], [(2, 1, 2), (2, 2, 2)], [(2, 3), (3, 3)]],
            "vstack": [[(3,), (3,)], [(2, 3), (1, 3)], [(), ()], [(2, 3), (2, 2)]],
            "row_stack": [[(3,), (3,)]],
            "dstack": [[(3,), (3,)], [(2, 3), (2, 3)], [(2, 3, 1), (2, 3, 2)], [()]],
            "column_stack": [[(3,), (3,)], [(3,), (3, 2)], [(), ()], [(2,), (3,)]],
            "atleast_1d": [[()], [(2,), ()], [(2, 3)]],
            "atleast_2d": [[()], [(2,), ()], [(2, 3)]],
            "atleast_3d": [[()], [(2,), ()], [(2, 3)], [(1, 2, 3, 4)]],
            "broadcast_tensors": [],
        }.items()
    },
    "one tensor": (lambda T, x: [T.atleast_1d(x), T.atleast_2d(x), T.atleast_3d(x)], [arrays_of(()), arrays_of((2,)), arrays_of((2, 3))]),
    "broadcast_tensors": (lambda T, *xs: T.broadcast_tensors(*xs), [arrays_of((3,), (2, 1)), arrays_of((), (2,)), arrays_of((3,), (2,))]),
    "block_diag": (lambda T, *xs: T.block_diag(*xs), [arrays_of((2, 3), (1, 2), ()), arrays_of((3,)), arrays_of((2, 2, 2))]),
    "meshgrid": (
        lambda T, *xs: T.meshgrid(*xs, indexing="ij"),
        [arrays_of((2,), (3,)), arrays_of((2,)), arrays_of((2,), (3,), ()), arrays_of((2, 2))],
    ),
    "meshgrid xy": (lambda T, *xs: T.meshgrid(*xs, indexing="xy"), [arrays_of((2,), (3,), (4,)), arrays_of((2,))]),
    "meshgrid no": (lambda T, x: T.meshgrid(x, indexing="ab"), [arrays_of((2,))]),
    "cartesian_prod": (lambda T, *xs: T.cartesian_prod(*xs), [arrays_of((2,), (3,)), arrays_of((2,)), arrays_of((2,), (1,), (2,))]),
    "index_copy": (lambda T, x, y: x.index_copy(0, T.tensor([2, 0]), y), [arrays_of((3, 2), (2, 2))]),
    "index_copy_": (lambda T, x, y: (x * 1).index_copy_(-1, T.tensor([1]), y), [arrays_of((3, 2), (3, 1))]),
    "index_add_": (
        lambda T, x, y: (x * 1).index_add_(0, T.tensor([0, 0, 2]), y, alpha=2),
        [arrays_of((3, 2), (3, 2)), arrays_of((3, 2), (2, 2))],
    ),
    "index_add": (lambda T, x, y: T.index_add(x, 0, T.tensor([0, 0, 2]), y), [arrays_of((3, 2), (3, 2)), arrays_of((3,), (3,))]),
    "scatter_": (lambda T, x, y: (x * 1).scatter_(0, T.tensor([[2, 0]]), y), [arrays_of((3, 2), (1, 2))]),
    "index_put_": (lambda T, x, y: (x * 1).index_put_((T.tensor([0, 0, 2]),), y, accumulate=True), [arrays_of((3, 2), (3, 2))]),
    "unfold": (
        lambda T, x: [1 * x.unfold(0, 2, 1), 1 * x.unfold(-1, 3, 2), 1 * x.unfold(0, 0, 1)],
        [arrays_of((7,)), arrays_of((4, 5)), arrays_of((3, 2, 3))],
    ),
    "unfold too wide": (lambda T, x: x.unfold(0, 9, 1), [arrays_of((7,))]),
    "diagonal of three axes": (lambda T, x: [1 * x.diagonal(1, 0, 2), 1 * x.diagonal(-1, -1, 0)], [arrays_of((2, 3, 4))]),
    "diagonal of a part": (lambda T, x: 1 * x[:, 1:].diagonal(), [arrays_of((3, 4))]),
    "diagonal of a transpose": (lambda T, x: x.T.diagonal(1), [arrays_of((3, 4))]),
    "sgn": (lambda T, x: x.detach().sgn(), [arrays_of((2, 3))]),
    "heaviside": (lambda T, x: T.heaviside(x.detach(), T.ones(3, dtype=T.float64) / 2), [arrays_of((2, 3)), [np.array([0.0, -0.0, 1.0])]]),
    "odd numbers": (
        lambda T, y: [
            T.nan_to_num(x := y.detach()),
            T.isposinf(x),
            T.isneginf(x),
            T.signbit(x[:4]),
            T.nansum(x[1:3]),
            T.nanmean(x[1:]),
            T.median(x),
            T.fmax(x, 1 / x),
            T.fmin(x, -x),
            T.median(x, 0).indices,
            T.quantile(x, 0.5),
            T.kthvalue(x, 2).values,
            T.xlogy(x * 0, x),
            T.copysign(x[:4] * 0 + 1, x[:4]),
        ],
        [[np.array([0.0, -0.0, 3.0, np.inf, -np.inf, np.nan, 2.0])]],
    ),
}


@pytest.mark.parametrize("name", [name for name in LISTS if LISTS[name][1]])
def test_agrees_with_pytorch(name: str, agree: Any) -> None:
    call, several = LISTS[name]
    for arrays in several:
        agree(lambda *xs: call(gradus, *xs), lambda *xs: call(torch, *xs), arrays, f"{name} {[x.shape for x in arrays]}")


VALUES: dict[str, Callable[[Any], Any]] = {
    "tril_indices": lambda T: [T.tril_indices(3, 4), T.tril_indices(4, 2, -1), T.tril_indices(2, 2, offset=1, dtype=T.int32)],
    "triu_indices": lambda T: [T.triu_indices(3, 4), T.triu_indices(4, 2, -1), T.triu_indices(0, 2)],
    "broadcast_shapes": lambda T: tuple(T.broadcast_shapes((3, 1), (2,), ())),
    "unravel_index": lambda T: T.unravel_index(T.tensor([[5, 11], [0, 7]]), (3, 4)),
    "isin": lambda T: [
        T.isin(T.tensor([[1, 2], [3, 4]]), T.tensor([2, 4, 9])),
        T.isin(T.tensor([1, 2]), 2),
        T.isin(T.tensor([1.0]), T.tensor([1.0]), invert=True),
    ],
    "searchsorted": lambda T: [
        T.searchsorted(T.tensor([1.0, 2, 2, 3]), T.tensor([[2.0, 0], [9, 1.5]]), right=right) for right in (False, True)
    ],
    "bucketize": lambda T: [T.bucketize(T.tensor([[2.0, 0], [9, 1.5]]), T.tensor([1.0, 2, 3]), right=right) for right in (False, True)],
    "logspace": lambda T: [T.logspace(-2, 2, 5), T.logspace(0, 3, 4, base=2, dtype=T.float64), T.logspace(0, 1, 1), T.logspace(0, 1, 0)],
    "unique_consecutive": lambda T: [
        T.unique_consecutive(T.tensor([1.0, 1, 2, 2, 1])),
        *T.unique_consecutive(T.tensor([[1, 1], [2, 2], [1, 1]]), return_inverse=True, return_counts=True),
        *T.unique_consecutive(T.zeros(0), return_counts=True),
    ],
    "running extremes": lambda T: [
        part
        for x in (T.tensor([1.0, 3, float("nan"), 5, 0]), T.tensor([2, 2, 1, 1, 2]), T.tensor([float("-inf"), float("inf"), 1.0]))
        for scan in (T.cummax, T.cummin)
        for part in scan(x, 0)
    ],
    "logcumsumexp": lambda T: [
        T.tensor([-1000.0, 0, 1000, 1000, -5]).logcumsumexp(0),
        T.tensor([float("-inf"), float("-inf"), 1.0, float("nan"), 2]).logcumsumexp(0),
        T.tensor([1.0, float("inf"), 2]).logcumsumexp(0),
    ],
    "nanmedian": lambda T: [
        T.tensor([3.0, float("nan"), 1, 2]).nanmedian(),
        *T.tensor([[3.0, float("nan"), 1], [float("nan")] * 3]).nanmedian(-1, True),
    ],
    "result_type": lambda T: tuple(
        str(T.result_type(a, b)).split(".")[-1]
        for a in (T.ones(2), T.ones(2, dtype=T.int64), T.tensor(1.0, dtype=T.float64), T.ones(0, dtype=T.uint8), 3)
        for b in (T.ones(2), T.tensor(2), T.ones(3, dtype=T.float64), 1.5)
    ),
    "promote_types": lambda T: str(T.promote_types(T.int64, T.float32)).split(".")[-1],
    "vander of whole numbers": lambda T: (
        [T.vander(T.tensor([200, 3], dtype=dtype)) for dtype in (T.uint8, T.int32)] + [T.vander(T.tensor([True, False]))]
    ),
    "numbers beside half precision": lambda T: [f(T.tensor([-1.5, 0.0, 2.5], dtype=T.float16), 2.0) for f in (T.fmod, T.xlogy, T.copysign)],
    "repeat_interleave": lambda T: [T.repeat_interleave(T.tensor([1, 0, 2])), T.repeat_interleave(T.tensor([3, 4]), T.tensor([2]))],
    "combinations": lambda T: [T.combinations(T.tensor([1, 2, 3]), r) for r in (0, 1, 2, 3, 4)],
    "nothing": lambda T: [T.nanmedian(T.zeros(0)), T.nanmedian(T.zeros(2, 0)), T.median(T.zeros(0))],
    "a number of its own": lambda T: [
        T.scatter(T.tensor(1.0), 0, T.tensor(0), 2.0),
        T.scatter(T.tensor(1.0), 0, T.tensor([0]), T.tensor([3.0])),
        T.index_fill(T.tensor(1.0), 0, T.tensor(0), 2.0),
    ],
    "masked_scatter": lambda T: [
        T.masked_scatter(T.zeros(3, 1), T.tensor([True, False]), T.arange(6.0)),
        T.masked_scatter(T.zeros(2), T.tensor([False, False]), T.zeros(0)),
    ],
    "index_put": lambda T: [T.index_put(T.zeros(3), (T.tensor([0, 0]),), T.ones(2), True)],
    "sizes by keyword": lambda T: [
        T.zeros(size=(2, 3)),
        T.ones(size=[2]),
        T.ones(2).new_zeros(size=(1, 2)),
        T.arange(end=3),
        T.arange(6).reshape(shape=(2, 3)),
        T.arange(6).view(size=(3, 2)),
        T.arange(2).expand(size=(2, 2)),
        T.arange(2).repeat(repeats=(2, 1)),
        T.tile(T.arange(2), dims=(2,)),
        T.flip(T.arange(4).reshape(2, 2), dims=(0,)),
        T.arange(6).reshape(2, 3).permute(dims=(1, 0)),
    ],
    "finfo": lambda T: [
        getattr(T.finfo(dtype), field)
        for dtype in (T.float16, T.float32, T.float64)
        for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "dtype")
    ],
    "iinfo": lambda T: [
        getattr(T.iinfo(dtype), field) for dtype in (T.uint8, T.int32, T.int64) for field in ("bits", "max", "min", "dtype")
    ],
    "vander": lambda T: [
        T.vander(T.tensor([1.0, 2, 3])),
        T.vander(T.tensor([1, 2]), 4),
        T.vander(T.tensor([1.0, 2]), 3, True),
        T.vander(T.tensor([2.0]), 0),
    ],
}


@pytest.mark.parametrize("name", VALUES)
def test_values_are_pytorchs(name: str, assert_same: Any) -> None:
    mine, theirs = VALUES[name](gradus), VALUES[name](torch)
    if isinstance(theirs, (str, tuple)) and not isinstance(theirs[0], torch.Tensor):
        assert mine == theirs
    elif not isinstance(theirs[0], torch.Tensor):
        assert list(map(str, mine)) == list(map(str, theirs)) and [type(x) for x in mine] == [type(x) for x in theirs]
    else:
        assert_same(mine, theirs, name)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "scatter of another dtype": lambda T: T.zeros(3).scatter(0, T.tensor([0]), T.tensor([1])),
    "index_copy of another dtype": lambda T: T.zeros(3).index_copy(0, T.tensor([0]), T.tensor([1])),
    "index_copy of another length": lambda T: T.zeros(3, 2).index_copy(0, T.tensor([0, 1]), T.ones(1, 2)),
    "index_copy of fewer axes": lambda T: T.zeros(3, 2).index_copy(0, T.tensor([0, 1]), T.ones(2)),
    "masked_scatter of too few": lambda T: T.zeros(3).masked_scatter(T.tensor([True, True, False]), T.ones(1)),
    "repeats below zero": lambda T: T.ones(3).repeat_interleave(-1),
    "repeats for other slices": lambda T: T.ones(2, 3).repeat_interleave(T.tensor([1, 2]), 1),
    "less than no element": lambda T: T.combinations(T.ones(3), -1),
    "less than no difference": lambda T: T.ones(3).diff(-1),
    "shapes that never meet": lambda T: T.broadcast_shapes((2,), (3,)),
    "nothing side by side": lambda T: T.hstack([]),
    "a plane of one axis": lambda T: T.ones(3).rot90(),
    "an axis of a number": lambda T: T.tensor(1.0).select(0, 0),
    "pieces of a number": lambda T: T.tensor(1.0).tensor_split(2),
    "an axis too far": lambda T: T.ones(3).cummax(1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorch_refuses_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises((RuntimeError, IndexError)):
        REFUSED[name](torch)
    with pytest.raises(GradusError, match="got:"):
        REFUSED[name](gradus)


COMPOSITIONS: dict[str, Callable[[Any], Any]] = {
    "diagonal": lambda x: x.diagonal(1) * 2,
    "diagonal of a part": lambda x: x[:, 1:].diagonal() * 2,
    "trace": lambda x: x.trace(),
    "diag_embed": lambda x: x.diag_embed(-1),
    "rot90": lambda x: x.rot90(3),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "block_diag": lambda x: gradus.block_diag(x, x),
    "meshgrid": lambda x: gradus.meshgrid(x[0], x[1])[1] * 1,
    "scatter": lambda x: x.scatter(1, gradus.tensor([[0, 2], [1, 0]]), x),
    "index_add": lambda x: x.index_add(0, gradus.tensor([1, 1]), x[:2]),
    "unfold": lambda x: x.unfold(1, 2, 1) * 1,
    "fmod": lambda x: x.fmod(0.7),
    "xlogy": lambda x: gradus.xlogy(x, x * x),
    "sinc": lambda x: x.sinc(),
    "nan_to_num": lambda x: (1 / (x - x)).nan_to_num(),
    "addmm": lambda x: gradus.addmm(x, x, x, beta=2),
    "kron": lambda x: x.kron(x),
    "cross": lambda x: x.cross(x.flip(0)),
    "cdist": lambda x: gradus.cdist(x, x + 1),
    "median": lambda x: x.median(1).values,
    "quantile": lambda x: x.quantile(0.3, 1),
    "cummax": lambda x: x.cummax(1).values,
    "logcumsumexp": lambda x: x.logcumsumexp(0),
    "masked_scatter": lambda x: x.masked_scatter(x > 0, x.flip(0) * 2),
    "cov": lambda x: x.cov(),
    "matrix_power": lambda x: x.matrix_power(3),
    "trapezoid": lambda x: gradus.trapezoid(x),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions_compile_as_they_compute(name: str) -> None:
    x = gradus.tensor(arrays_of((3, 3))[0], requires_grad=True)

    def weighed(x: gradus.Tensor) -> gradus.Tensor:
        y = COMPOSITIONS[name](x)
        return (y * gradus.linspace(1, 2, y.numel()).double().reshape(y.shape)).sum()

    eager, compiled = gradus.value_and_grad(weighed), gradus.compile(gradus.value_and_grad(weighed))
    for step in range(3):
        given = x.detach() * (step + 1)
        (value, gradient), (wanted, slope) = compiled(given), eager(given)
        np.testing.assert_allclose(value.numpy(), wanted.numpy(), rtol=1e-9)
        np.testing.assert_allclose(gradient.numpy(), slope.numpy(), rtol=1e-9, atol=1e-9)


def test_too_few_elements_are_refused_in_a_compiled_step_too() -> None:
    compiled = gradus.compile(lambda x, mask, source: x.masked_scatter(mask, source) * 1)
    source = gradus.tensor([5.0, 6.0])
    for mask in ([True, False, False], [False, True, True], [False, False, False]):
        held = gradus.tensor(mask)
        assert compiled(gradus.zeros(3), held, source).tolist() == gradus.zeros(3).masked_scatter(held, source).tolist()
    with pytest.raises(GradusError):
        compiled(gradus.zeros(3), gradus.tensor([True] * 3), source)


def test_a_copy_where_pytorch_has_a_view_is_not_written_to() -> None:
    x = gradus.zeros(3, 4)
    x.diagonal().fill_(1)
    x.T.diagonal(-1).fill_(2)
    assert x.diagonal().tolist() == [1, 1, 1] and x.diagonal(1).tolist() == [2, 2, 2]
    for write in (lambda: x[:, :3].diagonal().fill_(7), lambda: x.unfold(0, 2, 1).add_(1)):
        with pytest.raises(AliasError, match="read-only"):
            write()


def test_random_choices_have_their_probabilities() -> None:
    gradus.manual_seed(1)
    weights = gradus.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 4.0]])
    drawn = weights.multinomial(20_000, replacement=True)
    assert drawn.shape == (2, 20_000) and drawn.dtype == gradus.int64
    for row, wanted in zip(drawn, [[0.25, 0, 0.75], [0.25, 0.25, 0.5]], strict=True):
        np.testing.assert_allclose(gradus.bincount(row, minlength=3).numpy() / 20_000, wanted, atol=0.02)
    firsts = gradus.ones(20_000, 1) @ gradus.tensor([[1.0, 0.0, 3.0]])
    pairs = firsts.multinomial(2).numpy()
    assert set(map(tuple, pairs)) == {(0, 2), (2, 0)} and abs((pairs[:, 0] == 2).mean() - 0.75) < 0.02
    assert gradus.full((20_000,), 0.3).bernoulli().mean().item() == pytest.approx(0.3, abs=0.02)
    assert gradus.zeros(20_000).bernoulli(0.3).mean().item() == pytest.approx(0.3, abs=0.02)
    assert set(gradus.zeros(50, dtype=gradus.int64).bernoulli_(0.5).tolist()) == {0, 1}
    waits = gradus.zeros(20_000).exponential_(2.0)
    assert waits.mean().item() == pytest.approx(0.5, abs=0.02) and waits.std().item() == pytest.approx(0.5, abs=0.02)
    normal = gradus.normal(gradus.tensor([0.0, 5.0]).expand(20_000, 2), gradus.tensor([1.0, 2.0]))
    np.testing.assert_allclose(normal.mean(0).numpy(), [0, 5], atol=0.06)
    np.testing.assert_allclose(normal.std(0).numpy(), [1, 2], atol=0.06)
    assert gradus.normal(2.0, 3.0, (20_000,)).std().item() == pytest.approx(3, abs=0.1)
    whole = gradus.randint_like(gradus.zeros(500), 2, 5)
    assert whole.dtype == gradus.float32 and set(whole.tolist()) == {2, 3, 4}


@pytest.mark.parametrize(
    "weights, count, replacement",
    [([1.0], 2, False), ([0.0, 0.0], 1, True), ([-1.0, 2.0], 1, True), ([float("nan")], 1, True), ([1.0], 0, True)],
)
def test_impossible_choices_are_refused(weights: list[float], count: int, replacement: bool) -> None:
    with pytest.raises(RuntimeError):
        torch.multinomial(torch.tensor(weights), count, replacement)
    with pytest.raises(UsageError, match="multinomial"):
        gradus.multinomial(gradus.tensor(weights), count, replacement)


def test_the_state_of_the_default_generator() -> None:
    gradus.manual_seed(4)
    state, first = gradus.get_rng_state(), gradus.rand(3)
    assert gradus.initial_seed() == 4 and gradus.rand(3).tolist() != first.tolist()
    gradus.set_rng_state(state)
    assert gradus.rand(3).tolist() == first.tolist()
    assert gradus.seed() == gradus.initial_seed() != gradus.seed()


def test_inference_mode_is_no_grad() -> None:
    def facts(T: Any) -> list[bool]:
        x, found = T.ones(2, requires_grad=True), []

        @T.inference_mode()
        def called(x: Any) -> Any:
            return x * 2

        @T.inference_mode
        def plainly(x: Any) -> Any:
            return x * 2

        found += [called(x).requires_grad, plainly(x).requires_grad]
        with T.inference_mode():
            found.append((x * 2).requires_grad)
            with T.inference_mode(False):
                found.append((x * 2).requires_grad)
        with T.no_grad(), T.inference_mode(mode=False):
            found.append((x * 2).requires_grad)
        return [*found, (x * 2).requires_grad]

    assert facts(gradus) == facts(torch)


def test_a_class_without_weight_is_never_drawn() -> None:
    with pytest.raises(UsageError, match="multinomial"):  # PyTorch draws it
        gradus.tensor([1.0, 0.0]).multinomial(2)


def test_a_compiled_step_draws_anew_each_time() -> None:
    probabilities = gradus.ones(3, 50)
    compiled = gradus.compile(lambda p: (p.multinomial(4, True), p.multinomial(4), (p * 0.5).bernoulli(), p.new_zeros(5).exponential_()))
    seen = [[part.tolist() for part in compiled(probabilities)] for _ in range(4)]
    assert all(a != b for k, first in enumerate(seen) for second in seen[k + 1 :] for a, b in zip(first, second, strict=True))

"""Programs that random testing found to go wrong once: compiled, they must do what eager mode does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus
from gradus.errors import IndexRangeError

Made = tuple[Callable[..., Any], list[Any], Callable[[int], list[Any]]]


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def a_copy_of_a_state_that_is_then_updated() -> Made:
    """The copy at the end read what the update in place had written."""
    p, q = gradus.tensor(drawn(4)), gradus.tensor(drawn(4, seed=1))

    def step(x: Any) -> Any:
        q.copy_(p)
        p.add_(p.mean() + x)
        return x * 2

    return step, [p, q], lambda call: [gradus.tensor(drawn(4, seed=2 + call))]


def a_derivative_that_begins_with_a_scalar() -> Made:
    """What flows back into the einsum is a scalar of NumPy, not an array."""
    p = gradus.tensor(drawn(3), requires_grad=True)

    def step(x: Any) -> Any:
        p.grad = None
        loss = (gradus.einsum("i,i->", p, x) * 0.5).sum()
        loss.backward()
        return loss

    return step, [p], lambda call: [gradus.tensor(drawn(3, seed=2 + call))]


def two_matrices_that_each_descend_along_the_other() -> Made:
    """The second product, run among the updates, read the first matrix after its step."""
    p, q = gradus.tensor(drawn(8, 3), requires_grad=True), gradus.tensor(drawn(3, 4), requires_grad=True)

    def step(x: Any) -> Any:
        loss = (p @ q * x).sum()
        loss.backward()
        with gradus.no_grad():
            for t in (p, q):
                t.sub_(t.grad * 0.125)
                t.grad = None
        return loss

    return step, [p, q], lambda call: [gradus.tensor(drawn(8, 4, seed=2 + call))]


PROGRAMS = [two_matrices_that_each_descend_along_the_other, a_copy_of_a_state_that_is_then_updated, a_derivative_that_begins_with_a_scalar]


def history(program: Callable[[], Made], wrap: Callable[[Any], Any]) -> list[np.ndarray]:
    """What three calls give, and leave in the states."""
    step, states, arguments = program()
    run, found = wrap(step), []
    for call in range(3):
        result = run(*arguments(call))
        results = result if isinstance(result, (list, tuple)) else [result]
        grads = [t.grad for t in states if t.grad is not None]
        found += [np.array(t.detach().numpy()) for t in (*results, *states, *grads)]
    return found


@pytest.mark.parametrize("tier", ["numpy", "native"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_as_eager_mode(program: Callable[[], Made], tier: str) -> None:
    wanted = history(program, lambda step: step)
    found = history(program, lambda step: gradus.compile(step, tier=tier))
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("tier", ["numpy", "native"])
def test_an_index_out_of_range_leaves_states_written_earlier(tier: str) -> None:
    """On NumPy the state was updated in place before the lookup raised."""
    table, state = gradus.tensor(drawn(4, 3)), gradus.tensor(drawn(5))

    def step(rows: Any) -> Any:
        state.copy_(state * -1.0)
        return table[rows] * 2

    run = gradus.compile(step, tier=tier)
    for _ in range(3):
        run(gradus.tensor([0, 3]))
    before = state.numpy().copy()
    with pytest.raises(IndexRangeError):
        run(gradus.tensor([0, 4]))
    np.testing.assert_array_equal(state.numpy(), before)


def test_a_derivative_rule_s_ones_lie_alike_when_traced(same: Callable[..., Any]) -> None:
    """Eager mode's lay like the transposed input, those of the trace in C order, and then NumPy summed in another order."""

    def build() -> Made:
        x = gradus.tensor(drawn(8, 8, 8), requires_grad=True)

        def step() -> Any:
            x.grad = None
            loss = gradus.cumprod(x.transpose(1, 2), 0).sum()
            loss.backward()
            return loss

        return step, lambda call: (), lambda: [x.grad]

    same(build)


@pytest.mark.parametrize("tier", ["numpy", "native"])
@pytest.mark.parametrize("dtype", [bool, np.int32, np.int64, np.float32])
def test_copies_keep_their_dtype(tier: str, dtype: Any) -> None:
    """A copy was a product with 1 in a trace, and so that of a bool tensor was int64."""
    run = gradus.compile(lambda x: [x.clone(), x.transpose(0, 1).contiguous()], tier=tier)
    x = gradus.tensor((drawn(3, 4) > 0).astype(dtype))
    for _ in range(3):
        copy, turned = run(x)
    assert copy.dtype == turned.dtype == x.dtype
    np.testing.assert_array_equal(copy.numpy(), x.numpy())
    np.testing.assert_array_equal(turned.numpy(), x.numpy().T)

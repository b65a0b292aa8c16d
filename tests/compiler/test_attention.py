"""Attention in blocks of queries: the numbers of eager mode and of float64, where the pass may put it in, and nowhere else."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba", reason="hand-made kernels need the extra: pip install gradus-dl[fast]")

import gradus
from gradus import blas, nn
from gradus.compiler.native import function_of
from gradus.fused import attention_kernels
from gradus.fused.blocked_attention import attention, attention_gradient
from gradus.primitive import REGISTRY

F = nn.functional
FENCE = 777
DTYPES = ("float32", "float64")


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch):
    """Every size counts as large enough."""
    for name in ("KEYS", "CAUSAL_KEYS", "INSIDE_KEYS", "NARROW_KEYS", "QUERIES"):
        monkeypatch.setattr(attention_kernels, name, 1)


def normal(*shape, dtype="float32", seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def by_kernel(name, arrays, scale, params):
    """What the kernel that an op claims writes, between fences, with scratch memory that is full of NaN."""
    wanted = REGISTRY[name].raw(*arrays, scale, **params)
    claim = REGISTRY[name].kernel([*arrays, scale], SimpleNamespace(shape=wanted.shape, dtype=wanted.dtype), params)
    whole = np.full(wanted.size + 64, FENCE, wanted.dtype)
    scratch = [np.full(count + 32, np.nan, dtype) for count, dtype in claim.scratch]
    for room in scratch:
        room[-32:] = FENCE
    addresses = [a.ctypes.data for a in (*arrays, whole[32:], *scratch)]
    steps = [stride // wanted.itemsize for k in claim.strided for stride in arrays[k].strides[:3]]
    assert function_of(claim.function, [*addresses, *claim.integers, *steps, scale])() == 0
    assert all((part == FENCE).all() for part in (whole[:32], whole[-32:], *(room[-32:] for room in scratch)))
    return whole[32:-32].reshape(wanted.shape)


def close(got, wanted, dtype):
    np.testing.assert_allclose(got, wanted, rtol=0, atol={"float32": 3e-6, "float64": 1e-13}[dtype] * max(1e-6, np.abs(wanted).max()))


def strided(x):
    """The same numbers as part of a larger array, heads inside of rows."""
    batch, heads, rows, width = x.shape
    larger = np.full((batch, rows, heads, width + 3), np.nan, x.dtype)
    larger[..., 2:-1] = x.transpose(0, 2, 1, 3)
    return larger[..., 2:-1].transpose(0, 2, 1, 3)


# batch, heads, queries, keys, width, width of values; what the mask has of (batch, heads, queries, keys)
SIZES = [
    ((2, 3, 64, 64, 32, 32), (0, 0, 0, 0)),
    ((1, 1, 1, 1, 1, 1), (1, 1, 1, 1)),
    ((2, 2, 5, 7, 3, 9), (1, 0, 0, 1)),
    ((1, 2, 70, 33, 20, 40), (0, 0, 1, 1)),
    ((2, 1, 33, 300, 8, 17), (1, 1, 1, 1)),
    ((1, 2, 130, 130, 48, 16), (0, 1, 0, 1)),
    ((1, 1, 9, 2, 17, 5), (0, 0, 1, 0)),
    ((1, 3, 4, 1, 2, 1), (0, 0, 0, 0)),
    ((1, 1, 600, 600, 2, 2), (0, 0, 0, 0)),
]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes, masked", SIZES)
def test_kernels_beside_the_definition(sizes, masked, causal, dtype, wide, monkeypatch) -> None:
    if not wide:  # the tiles of processors with smaller registers, and blocks of one tile
        monkeypatch.setattr(blas, "wide_registers", lambda: False)
        monkeypatch.setattr(attention_kernels, "SCORES", 0)
    elif not blas.wide_registers():
        pytest.skip("this processor has no registers of 64 bytes")
    batch, heads, long, short, width, across = sizes
    q, k, v, g = (
        normal(batch, heads, rows, columns, dtype=dtype, seed=seed)
        for seed, (rows, columns) in enumerate([(long, width), (short, width), (short, across), (long, across)])
    )
    q *= 0.5 / math.sqrt(width)  # scores of the size that they have in use
    mask = normal(*(n if has else 1 for n, has in zip((batch, heads, long, short), masked, strict=True)), dtype=dtype)
    if mask.shape[-1] > 2:
        mask[..., 1] = -np.inf
    for inside in (False, True):
        if inside:
            q, k, v, g = map(strided, (q, k, v, g))
        params = {"causal": causal, "inside": inside}
        exact = [a.astype(np.float64) for a in (g, q, k, v, mask)]
        close(by_kernel("attention", (q, k, v, mask), 2, params), attention(*exact[1:], 2, **params), dtype)
        close(by_kernel("attention_gradient", (g, q, k, v, mask), 2, params), attention_gradient(*exact, 2, **params), dtype)


@pytest.mark.parametrize("where", ["q", "k", "v", "g", "mask"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spreads_as_in_the_definition(where, number) -> None:
    arrays = {name: normal(1, 2, 40, 16, seed=seed) for seed, name in enumerate("gqkv")} | {"mask": normal(1, 1, 1, 40)}
    arrays[where][0, 0, 0 if where == "mask" else 30, 3] = number
    for causal in (False, True):
        params = {"causal": causal, "inside": False}
        for name, given in (("attention", list(arrays.values())[1:]), ("attention_gradient", list(arrays.values()))):
            with np.errstate(all="ignore"):
                wanted, got = REGISTRY[name].raw(*given, 1, **params), by_kernel(name, given, 1, params)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
            kept = np.isfinite(wanted)
            np.testing.assert_allclose(got[kept], wanted[kept], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("one, other", [("q", "k"), ("g", "v")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_that_overflows_behind_the_diagonal_spreads_as_in_the_definition(one, other, dtype) -> None:
    """The sum of plus and minus infinity is NaN, and so is infinity times a weight of 0, though all factors are finite."""
    arrays = {name: normal(1, 2, 40, 16, dtype=dtype, seed=seed) for seed, name in enumerate("gqkv")} | {
        "mask": normal(1, 1, 1, 1, dtype=dtype)
    }
    large = np.sqrt(np.finfo(dtype).max) * 8
    arrays[one][0, 0, 3, 5] = arrays[other][0, 0, 30, 5] = large
    for scale in (1, 0.01):
        params = {"causal": True, "inside": False}
        for name, given in (("attention", list(arrays.values())[1:]), ("attention_gradient", list(arrays.values()))):
            with np.errstate(all="ignore"):
                wanted, got = REGISTRY[name].raw(*given, scale, **params), by_kernel(name, given, scale, params)
            assert np.isnan(wanted).any() == (scale == 1 if one == "q" else name == "attention_gradient")
            np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))


def test_products_overflow_where_they_do_in_the_definition() -> None:
    """The scale comes before the product: half of 1.75 times 3e38 is finite, half of their product is not."""
    array = normal(1, 1, 8, 4)
    array[0, 0, 5, 1], array[0, 0, 3, 1] = 3e38, 1.75
    array[0, 0, :6, 0], array[0, 0, 6, 0] = -1, np.inf  # with an infinity among them, keys are hidden by adding minus infinity
    x = gradus.tensor(array)
    attend = gradus.compile(lambda x: nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True))
    with np.errstate(all="ignore"):
        wanted = attend(x).numpy()[0, 0, :5, 1:]
        got = attend(x).numpy()[0, 0, :5, 1:]
    assert [call.record.name for call in attend.graph.calls] == ["attention"]
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_a_query_that_may_see_nothing_gives_zeros() -> None:
    q, k, v, g = (normal(1, 1, 10, 4, seed=seed) for seed in range(4))
    mask = np.zeros((1, 1, 10, 10), np.float32)
    mask[0, 0, [0, 7]] = -np.inf
    for causal in (False, True):
        params = {"causal": causal, "inside": False}
        y = by_kernel("attention", (q, k, v, mask), 1, params)
        assert (y[0, 0, [0, 7]] == 0).all() and (y[0, 0, [1, 6]] != 0).all()
        dq = by_kernel("attention_gradient", (g, q, k, v, mask), 1, params)[: q.size].reshape(q.shape)
        assert (dq[0, 0, [0, 7]] == 0).all() and (dq[0, 0, [2, 6]] != 0).all()


# The pass.


def gradients(f, arrays, wrap, calls=3):
    def step(*xs):
        y = f(*xs)
        (y * y * 0.5).sum().backward()
        return y

    run = wrap(step)
    tensors = [gradus.tensor(a.copy()).requires_grad_() for a in arrays]
    for _ in range(calls):
        for t in tensors:
            t.grad = None
        y = run(*tensors)
    return run, [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


def ops_of(compiled) -> list[str]:
    return [call.record.name for call in compiled.graph.calls]


def native(f):
    return gradus.compile(f, tier="native")


def padding(batch, keys):
    """Which keys are there, for each sequence: one less each time, and of the last sequence none."""
    return np.arange(keys)[None, :] < np.append(keys - np.arange(batch - 1), 0)[:, None]


B, H, L, S, E, V = 3, 2, 21, 27, 10, 6
RNG = np.random.default_rng(5)
MASKS = {
    "none": None,
    "bool (L, S)": RNG.random((L, S)) < 0.7,
    "float (L, S)": RNG.standard_normal((L, S)).astype(np.float32),
    "float (1, S)": RNG.standard_normal((1, S)).astype(np.float32),
    "bool (B, 1, 1, S)": padding(B, S)[:, None, None],
    "bool (H, L, S)": RNG.random((H, L, S)) < 0.5,
    "bool (B, H, L, S)": RNG.random((B, H, L, S)) < 0.5,
    "float (B, H, 1, S)": RNG.standard_normal((B, H, 1, S)).astype(np.float32),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_values_and_gradients(mask, causal, dtype) -> None:
    given = None if MASKS[mask] is None else gradus.tensor(MASKS[mask])
    arrays = [normal(B, H, L, E, dtype=dtype), normal(B, H, S, E, dtype=dtype, seed=1), normal(B, H, S, V, dtype=dtype, seed=2)]

    def f(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=given, is_causal=causal)

    run, got = gradients(f, arrays, native)
    assert ops_of(run).count("attention") == ops_of(run).count("attention_gradient") == 1
    assert not {"exp", "matmul"} & set(ops_of(run))
    tight, loose = {"float32": (1e-5, 2e-5), "float64": (1e-13, 1e-6)}[dtype]  # a mask in float32 is what it is
    for a, eager in zip(got, gradients(f, arrays, lambda f: f, 1)[1], strict=True):
        np.testing.assert_allclose(a, eager, rtol=0, atol=tight * np.abs(eager).max())
    exact = gradients(f, [a.astype(np.float64) for a in arrays], lambda f: f, 1)[1]
    for a, wide in zip(got, exact, strict=True):
        np.testing.assert_allclose(a, wide, rtol=0, atol=loose * np.abs(wide).max())
    causal_calls = [call.params["causal"] for call in run.graph.calls if "causal" in call.params]
    assert causal_calls == [causal, causal]


@pytest.mark.parametrize("lead", [(), (3,), (2, 2, 3)])
@pytest.mark.parametrize("scale", [None, 1.0, 0.3])
def test_axes_in_front(lead, scale) -> None:
    arrays = [normal(*lead, 9, 4), normal(*lead, 12, 4, seed=1), normal(*lead, 12, 5, seed=2)]

    def f(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)

    run, got = gradients(f, arrays, native)
    assert {"attention", "attention_gradient"} <= set(ops_of(run))
    for a, b in zip(got, gradients(f, arrays, lambda f: f, 1)[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


class SelfAttention(nn.Module):
    """As language models have it: queries, keys and values are parts of one product."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x):
        batch, long, width = x.shape
        q, k, v = (part.reshape(batch, long, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, long, width))


def test_nothing_is_copied_in_a_transformer() -> None:
    gradus.manual_seed(0)
    model = SelfAttention(24, 3)
    run, got = gradients(model, [normal(2, 40, 24)], native)
    grads = [p.grad.numpy().copy() for p in model.parameters()]
    names = ops_of(run)
    assert names.count("attention") == names.count("attention_gradient") == 1 and "stop_gradient" not in names
    model.zero_grad()
    _, wanted = gradients(model, [normal(2, 40, 24)], lambda f: f, 3)
    for a, b in zip([*got, *grads], [*wanted, *(p.grad.numpy() for p in model.parameters())], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_no_matrix_of_all_pairs_in_memory() -> None:
    long, heads = 512, 4
    arrays = [normal(2, heads, long, 16, seed=seed) for seed in range(3)]
    run, _ = gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), arrays, native)
    assert run.report().peak < 2 * heads * long * long * 4 / 2
    assert max(call.output.size for call in run.graph.calls) <= 3 * arrays[0].size

    def by_hand(q, k, v):  # the same with weights that are needed
        weights = gradus.softmax(q @ k.transpose(-1, -2) * 0.25, -1)
        return weights @ v + weights.sum(-1, keepdim=True)

    assert gradients(by_hand, arrays, native)[0].report().peak > 2 * heads * long * long * 4


def test_attention_written_by_hand_is_found() -> None:
    arrays = [normal(2, 3, 20, 8, seed=seed) for seed in range(3)]
    triangle = np.triu(np.full((20, 20), -np.inf, np.float32), 1)

    def f(q, k, v):
        return gradus.softmax(q @ k.mT + gradus.tensor(triangle), -1) @ v

    run, got = gradients(f, arrays, native)
    assert {"attention", "attention_gradient"} <= set(ops_of(run))
    for a, b in zip(got, gradients(f, arrays, lambda f: f, 1)[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_a_mask_that_changes_is_no_triangle() -> None:
    mask = gradus.tensor(np.triu(np.full((6, 6), -np.inf, np.float32), 1))
    q, k, v = (gradus.tensor(normal(1, 1, 6, 4, seed=seed)) for seed in range(3))
    f = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    run = native(f)
    for _ in range(3):
        run(q, k, v)
    assert [call.params["causal"] for call in run.graph.calls if call.record.name == "attention"] == [False]
    mask.copy_(gradus.zeros(6, 6))
    np.testing.assert_allclose(run(q, k, v).numpy(), f(q, k, v).numpy(), rtol=1e-5)


def weights_of(q, k, mask=None):
    scores = q * 0.5 @ k.transpose(-1, -2)
    return gradus.softmax(scores if mask is None else scores + mask, -1)


def returned(q, k, v):
    weights = weights_of(q, k)
    return gradus.cat([weights @ v, weights[..., :4]], -1)


def scores_used(q, k, v):
    scores = q @ k.transpose(-1, -2)
    return gradus.softmax(scores, -1) @ v + scores.mean()


CASES = {
    "as it should be": (lambda q, k, v: weights_of(q, k) @ v, True),
    "the same tensor three times": (lambda q, k, v: weights_of(q, q) @ q + k * v, True),
    "shared heads": (lambda q, k, v: F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True), True),
    "dropout": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.5) * 0.0, False),
    "weights are returned": (returned, False),
    "weights are squared": (lambda q, k, v: weights_of(q, k) ** 2 @ v, False),
    "weights twice": (lambda q, k, v: weights_of(q, k) @ v + weights_of(q, k) @ (v * 2.0), False),
    "scores are used": (scores_used, False),
    "along another axis": (lambda q, k, v: gradus.softmax(q @ k.transpose(-1, -2), -2) @ v, False),
    "a mask that learns": (lambda q, k, v: weights_of(q, k, v[..., :1, :1]) @ v, False),
    "keys for all heads": (lambda q, k, v: weights_of(q, k[:1, :1]) @ v, False),
}


@pytest.mark.parametrize("case", CASES)
def test_where_the_pass_fires(case) -> None:
    f, fires = CASES[case]
    arrays = [normal(2, 2, 8, 4, seed=seed) for seed in range(3)]
    run, got = gradients(f, arrays, native)
    assert any("attention" in name for name in ops_of(run)) == fires, case
    for a, b in zip(got, gradients(f, arrays, lambda f: f, 1)[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_second_derivatives_are_left_alone() -> None:
    q, k, v = (gradus.tensor(normal(1, 2, 5, 3, seed=seed)) for seed in range(3))

    def f(q, k, v):
        loss = lambda q: F.scaled_dot_product_attention(q, k, v, is_causal=True).square().sum()
        return gradus.grad(lambda q: gradus.grad(loss)(q).square().sum())(q)

    run = native(f)
    for _ in range(3):
        got = run(q, k, v)
    assert "attention_gradient" not in ops_of(run)
    np.testing.assert_allclose(got.numpy(), f(q, k, v).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("frozen", [(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_what_needs_no_gradient(frozen) -> None:
    arrays = [normal(2, 2, 8, 4, seed=seed) for seed in range(3)]
    found = []
    for wrap in (native, lambda f: f):
        tensors = [gradus.tensor(a.copy()).requires_grad_(n not in frozen) for n, a in enumerate(arrays)]

        def step(q, k, v):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            if y.requires_grad:
                (y * y).sum().backward()
            return y

        run = wrap(step)
        for _ in range(3):
            for t in tensors:
                t.grad = None
            y = run(*tensors)
        found.append([y.detach().numpy(), *(t.grad.numpy() for t in tensors if t.requires_grad)])
        if wrap is native:  # for values alone, two products are fewer than five
            assert ("attention" in ops_of(run)) == (frozen != (0, 1))
            assert ("attention_gradient" in ops_of(run)) == (frozen not in ((0, 1), (0, 1, 2)))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("sizes", [(0, 5, 3, 3), (5, 0, 3, 3), (5, 4, 0, 3), (5, 4, 3, 0)])
def test_nothing_at_all(sizes) -> None:
    long, short, width, across = sizes
    arrays = [normal(2, 2, long, width), normal(2, 2, short, width), normal(2, 2, short, across)]
    f = lambda q, k, v: F.scaled_dot_product_attention(q, k, v)
    run, got = gradients(f, arrays, native)
    assert "attention" not in ops_of(run)
    for a, b in zip(got, gradients(f, arrays, lambda f: f, 1)[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_graph_means_the_same_on_numpy() -> None:
    arrays = [normal(B, H, L, E), normal(B, H, S, E, seed=1), normal(B, H, S, V, seed=2)]
    mask = gradus.tensor(MASKS["bool (B, 1, 1, S)"])
    f = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=True)
    run, got = gradients(f, arrays, native)
    for result in got:
        assert any(r.shape == result.shape and np.allclose(r, result, atol=1e-4) for r in run.graph.interpret(arrays))


def test_the_same_bits_for_any_number_of_threads() -> None:
    arrays = [normal(2, 2, 200, 16, seed=seed) for seed in range(3)]
    before, found = gradus.get_num_threads(), []
    try:
        for threads in (1, 2):
            gradus.set_num_threads(threads)
            found.append(gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), arrays, native)[1])
    finally:
        gradus.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        assert (a == b).all()


def test_small_sizes_keep_their_products(monkeypatch) -> None:
    monkeypatch.undo()
    shape, ways = attention_kernels.Shape(1, 1, 64, 64, 2, 3, "float32"), ((True, True), (True, False), (False, True))

    def found(n, **sizes):
        return [attention_kernels.pays(shape._replace(short=n, **sizes), *way) for way in ways]

    monkeypatch.setattr(blas, "wide_registers", lambda: True)
    assert [found(n) for n in (63, 64, 128, 256)] == [[False] * 3, [True, False, False], [True, True, False], [True] * 3]
    assert not found(64, wide=33)[0] and not any(found(2000, long=63))
    monkeypatch.setattr(blas, "wide_registers", lambda: False)
    assert [found(n) for n in (1023, 1024)] == [[False] * 3, [True] * 3]
    run, _ = gradients(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v), [normal(1, 2, 20, 4, seed=seed) for seed in range(3)], native
    )
    assert "attention" not in ops_of(run)


def test_numbers_in_the_report() -> None:
    shape = attention_kernels.Shape(1, 1, 4, 6, 2, 3, "float32")
    assert shape.pairs(False) == 24 and shape.pairs(True) == 1 + 2 + 3 + 4
    assert shape._replace(long=6, short=4).pairs(True) == 1 + 2 + 3 + 4 + 4 + 4
    assert math.gcd(shape._replace(short=1024).leading * 4, 4096) == 64

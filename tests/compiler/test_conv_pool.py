"""Convolution with its pooling in one op: the numbers of eager mode, where the pass may put it in, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba", reason="hand-made kernels need the extra: pip install gradus-dl[fast]")

import gradus
from gradus import nn
from gradus.compiler.native import function_of
from gradus.fused import conv_pool_kernels
from gradus.fused.conv_pool import conv_max_pool2d, conv_max_pool2d_input_gradient, conv_max_pool2d_weight_gradient
from gradus.primitive import REGISTRY

F = nn.functional
FENCE = np.float32(777)


def single(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def by_kernel(name, *arrays):
    """What the kernel that an op claims writes, between fences, with scratch memory that is full of NaN."""
    shape = REGISTRY[name].raw(*arrays).shape
    claim = REGISTRY[name].kernel(arrays, SimpleNamespace(shape=shape, dtype=np.dtype("float32")), {})
    size = int(np.prod(shape))
    whole = np.full(size + 64, FENCE)
    scratch = [np.full(count + 32, np.nan, dtype) for count, dtype in claim.scratch]
    for room in scratch:
        room[-32:] = FENCE
    addresses = [a.ctypes.data for a in (*arrays, whole[32:], *scratch)]
    assert function_of(claim.function, [*addresses, *claim.integers])() == 0
    assert all((part == FENCE).all() for part in (whole[:32], whole[-32:], *(room[-32:] for room in scratch)))
    return whole[32:-32].reshape(shape)


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=3e-6 * max(1e-6, np.abs(wanted).max()))


SIZES = [(3, 1, 28, 28, 5), (2, 3, 6, 10, 7), (1, 4, 2, 2, 1), (2, 17, 8, 6, 19), (5, 9, 2, 2, 8), (2, 8, 4, 70, 9), (7, 16, 14, 14, 16)]


@pytest.mark.parametrize("tiles", [None, 1])
@pytest.mark.parametrize("batch, channels, height, width, outputs", SIZES)
def test_kernels_beside_the_definition(batch, channels, height, width, outputs, tiles, monkeypatch) -> None:
    if tiles is not None:  # one row of tiles at a time
        monkeypatch.setattr(conv_pool_kernels, "LEAST_TILES", tiles)
        monkeypatch.setattr(conv_pool_kernels, "TILES", tiles)
    x, w, b = single(batch, channels, height, width), single(outputs, channels, 3, 3, seed=1), single(outputs, 1, 1, seed=4)
    wanted = conv_max_pool2d(x, w, b)
    got = by_kernel("conv_max_pool2d", x, w, b)
    close(got[0], wanted[0])
    assert (got[1] == wanted[1]).all()
    h, place = single(*wanted[0].shape, seed=2), wanted[1].copy()
    close(by_kernel("conv_max_pool2d_weight_gradient", x, h, place), conv_max_pool2d_weight_gradient(x, h, place))
    if channels > conv_pool_kernels.FEW:
        close(by_kernel("conv_max_pool2d_input_gradient", h, place, w), conv_max_pool2d_input_gradient(h, place, w))


@pytest.mark.parametrize("channels", [2, 16])
@pytest.mark.parametrize("kind", ["equal", "negative", "whole numbers"])
def test_the_first_of_equals_has_the_maximum(channels, kind) -> None:
    x, w = single(2, channels, 8, 12), np.zeros((9, channels, 3, 3), np.float32)
    w[:, 0, 1, 1] = 1  # the convolution copies a channel; sums of zeros and small whole numbers are exact in any order
    x = np.full_like(x, -2) if kind == "equal" else -np.abs(np.round(x)) - 1 if kind == "negative" else np.round(x)
    b = np.ones((9, 1, 1), np.float32)
    wanted, got = conv_max_pool2d(x, w, b), by_kernel("conv_max_pool2d", x, w, b)
    assert (got == wanted).all()
    assert kind != "equal" or (got[1] == 0).all()
    pooled = F.max_pool2d(gradus.tensor(x[:, :1] + 1), 2).numpy()
    assert (got[0] == pooled).all()


@pytest.mark.parametrize("channels", [1, 16])
def test_nan_and_infinity(channels) -> None:
    x, w = single(2, channels, 12, 12), single(8, channels, 3, 3, seed=1)
    x[0, 0, 5, 5], x[1, 0, 2, 7] = np.nan, np.inf
    b = np.zeros((8, 1, 1), np.float32)
    wanted, got = conv_max_pool2d(x, w, b), by_kernel("conv_max_pool2d", x, w, b)
    bad = np.zeros((2, 1, 6, 6), bool)
    bad[0, :, 2:4, 2:4] = bad[1, :, 0:2, 3:5] = True  # the tiles that the two pixels are in
    assert np.isnan(got[0][0][:, 2:4, 2:4]).all() or channels == 1
    assert (np.isnan(got[0]) >= np.isnan(wanted[0])).all(), "a NaN is hidden"
    good = np.broadcast_to(~bad, got[0].shape)
    np.testing.assert_allclose(got[0][good], wanted[0][good], rtol=1e-4, atol=1e-4)
    assert np.isin(got[1], [0, 1, 2, 3]).all()
    if channels == 1:  # summed by the definition: the same places, the last NaN of a window
        assert (got[1] == wanted[1]).all() and set(wanted[1][0][:, 2:4, 2:4].flat) == {0, 1, 2, 3}


def network() -> nn.Module:
    gradus.manual_seed(3)
    return nn.Sequential(
        *(nn.Conv2d(1, 9, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(9, 17, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(17 * 3 * 5, 10)),
    )


def ops_of(compiled) -> list[str]:
    return [call.record.name for call in compiled.graph.calls]


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_training_as_in_eager_mode(seed: int) -> None:
    """On draws in which no two entries of a window are so nearly equal that rounding decides which is the larger."""
    rng = np.random.default_rng(seed)
    x = gradus.tensor(rng.standard_normal((10, 12, 1, 12, 20)).astype(np.float32))
    y = gradus.tensor(rng.integers(0, 10, (10, 12)))
    found = []
    for wrap in (lambda f: f, gradus.compile):
        model, loss_of = network(), nn.CrossEntropyLoss()
        optimizer = gradus.optim.Adam(model.parameters(), lr=1e-3)

        def step(x, y, model=model, loss_of=loss_of, optimizer=optimizer):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        losses = [float(run(x[k], y[k]).detach().numpy()) for k in range(10)]
        found.append([losses, *(p.grad.numpy().copy() for p in model.parameters())])
    for got, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
    names = ops_of(run)
    assert names.count("conv_max_pool2d") == names.count("conv_max_pool2d_weight_gradient") == 2
    assert names.count("conv_max_pool2d_input_gradient") == 1
    assert not {"conv2d", "max_pool2d", "max_pool2d_gradient", "conv2d_weight_gradient", "conv2d_input_gradient"} & set(names)


def gradients(f, arrays, wrap):
    def step(*xs):
        y = f(*xs)
        (y * y).sum().backward()
        return y

    run = wrap(step)
    tensors = [gradus.tensor(a.copy()).requires_grad_() for a in arrays]
    for _ in range(3):
        for t in tensors:
            t.grad = None
        y = run(*tensors)
    return run, [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


def pooled(x, w):
    return F.max_pool2d(F.conv2d(x, w, padding=1), 2)


X, W = (2, 16, 8, 12), (17, 16, 3, 3)
CASES = {
    "as it should be": (pooled, X, W, True),
    "a bias that is a number": (lambda x, w: F.max_pool2d(F.relu(F.conv2d(x, w, padding=1) + 0.5), 2), X, W, False),
    "the map is used elsewhere": (lambda x, w: pooled(x, w).sum() + F.conv2d(x, w, padding=1).sum(), X, W, False),
    "no zeros around": (lambda x, w: F.max_pool2d(F.conv2d(x, w), 2), X, W, False),
    "odd height": (pooled, (2, 16, 7, 12), W, False),
    "odd width": (pooled, (2, 16, 8, 11), W, False),
    "windows that overlap": (lambda x, w: F.max_pool2d(F.conv2d(x, w, padding=1), 3, 2, 1), X, W, False),
    "larger windows": (lambda x, w: F.max_pool2d(F.conv2d(x, w, padding=1), 4), X, W, False),
    "larger kernels": (lambda x, w: F.max_pool2d(F.conv2d(x, w, padding=2), 2), X, (17, 16, 5, 5), False),
    "steps of 2": (lambda x, w: F.max_pool2d(F.conv2d(x, w, padding=1, stride=2), 2), X, W, False),
    "groups": (lambda x, w: F.max_pool2d(F.conv2d(x, w, padding=1, groups=2), 2), X, (18, 8, 3, 3), False),
    "few channels that need a gradient": (pooled, (2, 3, 8, 12), (17, 3, 3, 3), False),
    "neither few channels nor many": (pooled, (2, 6, 8, 12), (17, 6, 3, 3), False),
}


@pytest.mark.parametrize("case", CASES)
def test_where_the_pass_fires(case) -> None:
    f, x, w, fires = CASES[case]
    arrays = [single(*x), single(*w, seed=1)]
    run, got = gradients(f, arrays, lambda f: gradus.compile(f, tier="native"))
    assert any("conv_max_pool2d" in name for name in ops_of(run)) == fires, case
    for a, b in zip(got, gradients(f, arrays, lambda f: f)[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_other_ways_to_need_the_map() -> None:
    x, w = gradus.tensor(single(*X)), gradus.tensor(single(*W, seed=1))
    wide = gradus.compile(lambda x, w: pooled(x.double(), w.double()), tier="native")
    returned = gradus.compile(lambda x, w: (lambda z: (z, F.max_pool2d(z, 2)))(F.conv2d(x, w, padding=1)), tier="native")
    numpy = gradus.compile(pooled, tier="numpy")
    plain = gradus.compile(pooled, tier="native")
    for _ in range(3):
        results = [run(x, w) for run in (wide, numpy, plain)]
        _, last = returned(x, w)
    for run in (wide, returned, numpy):
        assert "conv_max_pool2d" not in ops_of(run)
    assert "conv_max_pool2d" in ops_of(plain)
    for y in (*results, last):
        np.testing.assert_allclose(y.numpy(), pooled(x, w).numpy(), rtol=0, atol=1e-4)


def test_the_graph_means_the_same_on_numpy() -> None:
    run, (y, *_) = gradients(pooled, [single(*X), single(*W, seed=1)], lambda f: gradus.compile(f, tier="native"))
    arrays = [single(*X), single(*W, seed=1)]
    results = run.graph.interpret(arrays)
    assert any(r.shape == y.shape and np.allclose(r, y, atol=1e-3) for r in results)

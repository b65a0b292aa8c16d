"""Compiled convolution and pooling: the same values and gradients as eager ones, whichever way a shape is computed."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba", reason="hand-made kernels need the extra: pip install gradus-dl[fast]")

import gradus
from gradus import nn
from gradus.compiler.native import function_of
from gradus.fused import conv_kernels

F = nn.functional
TOLERANCE = {"float64": 1e-11, "float32": 3e-5}
VALUE = {"float64": 777.0, "float32": np.float32(777)}


def step_of(f):
    """Value and gradients of Σ f(…)³ in one function of tensors."""

    def step(*xs):
        y = f(*xs)
        (y * y * y).sum().backward()
        return y

    return step


def results(step, arrays, calls):
    tensors = [gradus.tensor(a.copy()).requires_grad_() for a in arrays]
    for _ in range(calls):
        for t in tensors:
            t.grad = None
        y = step(*tensors)
    return [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


def compare(f, arrays, tolerance=None):
    """Eager and compiled results, relative to the largest of each."""
    dtype = str(arrays[0].dtype)
    mine, theirs = results(gradus.compile(step_of(f)), arrays, 3), results(step_of(f), arrays, 1)
    for k, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        assert a.shape == b.shape and a.dtype == b.dtype == dtype
        scale = np.abs(b).max(initial=1)
        assert np.abs(a - b).max(initial=0) <= (TOLERANCE[dtype] if tolerance is None else tolerance) * scale, f"result {k}"


GRID = list(itertools.product([1, 2, 3], [0, 1, 2], [1, 2], [1, 2], [(3, 3), (2, 1)]))


@pytest.mark.parametrize("stride, padding, dilation, groups, kernel", GRID)
def test_the_grid(stride, padding, dilation, groups, kernel) -> None:
    given = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    for dtype in TOLERANCE:
        shapes = [(2, 4, 7, 6), (6, 4 // groups, *kernel), (6,)]
        compare(lambda *a: F.conv2d(*a, **given), [np.random.standard_normal(shape).astype(dtype) for shape in shapes])


SHAPES = [
    ((3, 16, 7, 9), (17, 16, 3, 3), {"padding": 1}),
    ((2, 16, 6, 35), (16, 16, 3, 3), {"padding": "same"}),
    ((2, 17, 5, 40), (16, 17, 3, 3), {}),
    ((1, 16, 3, 3), (20, 16, 3, 3), {"padding": 2}),
    ((5, 16, 4, 4), (16, 16, 3, 3), {"padding": (0, 1)}),
    ((2, 6, 9, 40), (9, 6, 5, 5), {"padding": 3}),
    ((2, 3, 8, 70), (16, 3, 2, 4), {"padding": "same"}),
    ((2, 16, 6, 6), (16, 1, 3, 3), {"padding": 1, "groups": 16}),
    ((2, 6, 6, 6), (18, 1, 3, 3), {"padding": 2, "groups": 6, "dilation": 2}),
    ((3, 32, 5, 6), (40, 32, 1, 1), {}),
    ((3, 32, 5, 6), (8, 16, 1, 1), {"groups": 2}),
    ((3, 32, 5, 6), (8, 32, 1, 1), {"stride": 2}),
    ((3, 40, 7, 40), (8, 40, 3, 3), {"stride": 2, "padding": 1}),
    ((3, 40, 1, 33), (8, 40, 1, 5), {"stride": (1, 3), "padding": (0, 4)}),
    ((0, 16, 4, 4), (16, 16, 3, 3), {"padding": 1}),
]


@pytest.mark.parametrize("block", [None, 3000])
@pytest.mark.parametrize("x, w, given", SHAPES)
def test_shapes_of_each_way(x, w, given, block, monkeypatch) -> None:
    if block is not None:  # several blocks, the last of them smaller
        monkeypatch.setattr(conv_kernels, "COLUMNS", block)
        monkeypatch.setattr(conv_kernels, "LEAST_TILES", 1)
        monkeypatch.setattr(conv_kernels, "TILES", block * 64)
    for dtype in TOLERANCE:
        compare(lambda *a: F.conv2d(*a, **given), [np.random.standard_normal(shape).astype(dtype) for shape in (x, w)])


def claim(name, x, w, dtype="float32", **given):
    """The kernel that is chosen for images and kernels of these shapes."""
    x, w = gradus.ones(*x).to(dtype), gradus.ones(*w).to(dtype)
    params = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1} | given
    stride, padding, dilation = [
        params[key] if key != "padding" else tuple(p[0] for p in params[key]) for key in ("stride", "padding", "dilation")
    ]
    y = F.conv2d(x, w, None, stride, padding, dilation, params["groups"])
    inputs, output = {"conv2d": ((x, w), y), "input_gradient": ((y, w), x), "weight_gradient": ((x, y), w)}[name]
    described = [SimpleNamespace(shape=tuple(t.shape), dtype=np.dtype(dtype)) for t in (*inputs, output)]
    return getattr(conv_kernels, name)(described[:2], described[2], params)


ONE = ((1, 1), (1, 1))


@pytest.mark.parametrize(
    "name, x, w, given, function",
    [
        ("conv2d", (2, 32, 14, 14), (64, 32, 3, 3), {"padding": ONE}, "winograd.forward"),
        ("input_gradient", (2, 32, 14, 14), (64, 32, 3, 3), {"padding": ONE}, "winograd.forward"),
        ("weight_gradient", (2, 32, 14, 14), (64, 32, 3, 3), {"padding": ONE}, "winograd.weight_gradient"),
        ("conv2d", (2, 32, 14, 14), (64, 32, 3, 3), {"dtype": "float64"}, "conv_by_columns.forward_float64"),
        ("conv2d", (2, 1, 28, 28), (32, 1, 3, 3), {"padding": ONE}, "direct.forward_float32"),
        ("conv2d", (2, 32, 14, 14), (32, 1, 3, 3), {"groups": 32}, "direct.forward_float32"),
        ("input_gradient", (2, 32, 14, 14), (32, 1, 3, 3), {"groups": 32}, "direct.forward_float32"),
        ("conv2d", (2, 32, 14, 14), (64, 32, 3, 3), {"stride": (2, 2)}, "conv_by_columns.forward_float32"),
        ("conv2d", (2, 32, 14, 14), (64, 32, 1, 1), {}, "conv_by_columns.forward_float32"),
        ("input_gradient", (2, 32, 14, 14), (64, 32, 5, 5), {}, "conv_by_columns.input_gradient_float32"),
        ("weight_gradient", (2, 32, 14, 14), (64, 32, 5, 5), {}, "conv_by_columns.weight_gradient_float32"),
    ],
)
def test_the_way_that_is_chosen(name, x, w, given, function) -> None:
    assert claim(name, x, w, **given).function == function


def test_other_numbers_have_no_kernel() -> None:
    assert claim("conv2d", (1, 1, 3, 3), (1, 1, 2, 2), "int64") is None


@pytest.mark.parametrize("channels, outputs, size", [(16, 16, 12), (64, 32, 14), (128, 128, 6)])
def test_tiles_are_nearly_as_exact_as_the_definition(channels, outputs, size) -> None:
    """Mean square errors against float64."""
    shapes = [(4, channels, size, size), (outputs, channels, 3, 3)]
    arrays = [np.random.standard_normal(shape) for shape in shapes]
    step = step_of(lambda x, w: F.conv2d(x, w, padding=1) / (9 * channels) ** 0.5)
    exact = results(step, [a.astype("float32").astype("float64") for a in arrays], 1)
    singles = [a.astype("float32") for a in arrays]
    for best, mine, theirs in zip(exact, results(gradus.compile(step), singles, 3), results(step, singles, 1), strict=True):
        assert np.square(mine - best).mean() ** 0.5 <= 4 * np.square(theirs - best).mean() ** 0.5


POOLS = [
    case
    for case in itertools.product([1, 2, 3], [None, 1, 2, 3], [0, 1], [1, 2], [False, True])
    if case[2] <= case[0] // 2 and not (case[0] == 1 and case[3] == 2)
]


@pytest.mark.parametrize("kernel, stride, padding, dilation, ceil_mode", POOLS)
def test_pooling(kernel, stride, padding, dilation, ceil_mode) -> None:
    for dtype, size in (("float64", (7, 8)), ("float32", (5, 9))):
        x = np.random.randint(-3, 4, (2, 2, *size)).astype(dtype)  # with ties
        compare(lambda x: F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode), [x], 0)
        if dilation == 1:
            compare(lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode), [x])


@pytest.mark.parametrize("size", [(2, 2), (28, 28), (6, 33), (5, 66), (9, 7)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_windows_side_by_side(size, dtype) -> None:
    x = np.random.randint(-3, 4, (3, 2, *size)).astype(dtype)
    compare(lambda x: F.max_pool2d(x, 2), [x], 0)
    compare(lambda x: F.avg_pool2d(x, 2), [x])


@pytest.mark.parametrize("given", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 3}], ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("tier", ["numpy", "native"])
@pytest.mark.parametrize("rectified", [False, True])
def test_nan_and_infinities_go_where_they_go_eagerly(given, dtype, tier, rectified) -> None:
    x = np.random.randint(-2, 3, (4, 3, 8, 70)).astype(dtype)
    x[np.random.random(x.shape) < 0.3] = np.nan
    x[np.random.random(x.shape) < 0.1] = -np.inf
    x[np.random.random(x.shape) < 0.1] = np.inf
    x[:, 2, :4] = -np.inf

    def step(x, g):
        y = F.max_pool2d(F.relu(x) if rectified else x, **given)
        return gradus.autograd.grad(y, [x], g)[0], y

    y = F.max_pool2d(gradus.tensor(x), **given)
    g = np.random.randint(-3, 4, y.shape).astype(dtype)  # the order of sums does not show
    if not rectified:
        g[np.random.random(g.shape) < 0.2] = np.inf
        g[np.random.random(g.shape) < 0.2] = np.nan
    compiled = gradus.compile(step, tier=tier)
    for _ in range(3):
        mine = compiled(gradus.tensor(x).requires_grad_(), gradus.tensor(g))
    for a, b in zip(mine, step(gradus.tensor(x).requires_grad_(), gradus.tensor(g)), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


class Fenced:
    """An array between two fences, which no kernel may write to."""

    def __init__(self, size, dtype) -> None:
        self.whole = np.full(size + 64, VALUE[dtype], dtype)
        self.inner = self.whole[32:-32]
        self.address = self.inner.ctypes.data

    def hold(self) -> bool:
        """Whether the fences stand."""
        return bool((self.whole[:32] == 777).all() and (self.whole[-32:] == 777).all())


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_written_outside(seed) -> None:
    rng = np.random.default_rng(seed)
    dtype = str(rng.choice(list(TOLERANCE)))
    groups = int(rng.choice([1, 2, 3]))
    channels, outputs = groups * int(rng.choice([1, 2, 5])), groups * int(rng.choice([1, 8, 9]))
    kernel, stride, dilation = [tuple(rng.integers(1, 4, 2).tolist()) for _ in range(3)]
    stride = stride if seed % 2 else (1, 1)
    before = tuple(rng.integers(0, 3, 2).tolist())
    batch, height, width = int(rng.integers(1, 4)), int(rng.integers(7, 10)), int(rng.choice([7, 16, 17, 40]))
    down, across = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip((height, width), before, dilation, kernel, stride, strict=True)
    ]
    images = int(rng.integers(1, 3))
    rows = down if images > 1 else int(rng.integers(1, down + 1))
    length = images * rows * across
    depth = channels * kernel[0] * kernel[1]
    x, w, y = (Fenced(n, dtype) for n in (batch * channels * height * width, outputs * depth // groups, batch * outputs * down * across))
    columns, products = Fenced(depth * length, dtype), Fenced(outputs * length, dtype)
    sizes = (batch, channels, height, width, outputs, down, across, groups)
    rest = (columns.address, products.address, *sizes, images, rows, 0, *kernel, *stride, *dilation, *before)
    everything = [x, w, y, columns, products]
    for name, addresses in (("forward", (x, w, y)), ("input_gradient", (y, w, x)), ("weight_gradient", (x, y, w))):
        assert function_of(f"conv_by_columns.{name}_{dtype}", [*(a.address for a in addresses), *rest])() == 0
        assert all(array.hold() for array in everything), name
    if stride == (1, 1):
        sums = Fenced(w.inner.size * 64 // w.inner.itemsize, dtype)
        padded = Fenced(channels // groups * (down + dilation[0] * (kernel[0] - 1)) * (across + dilation[1] * (kernel[1] - 1)) + 64, dtype)
        integers = (*sizes, *kernel, *dilation, *before, 0)
        assert function_of(f"direct.forward_{dtype}", [*(a.address for a in (x, w, y, padded)), *integers])() == 0
        integers = (*sizes, rows, *kernel, *dilation, *before)
        assert function_of(f"direct.weight_gradient_{dtype}", [*(a.address for a in (x, y, w, padded, sums)), *integers])() == 0
        assert all(array.hold() for array in [*everything, sums, padded])


@pytest.mark.parametrize("height, width, rows", [(4, 4, 1), (5, 31, 2), (9, 33, 3), (3, 66, 1)])
def test_tiles_and_pools_stay_inside(height, width, rows) -> None:
    channels, outputs, batch = 5, 18, 2
    x, y, w = (
        Fenced(batch * channels * height * width, "float32"),
        Fenced(batch * outputs * height * width, "float32"),
        Fenced(outputs * channels * 9, "float32"),
    )
    tiles = rows * ((width + 1) // 2)
    sizes = [(outputs, channels), (channels, tiles), (outputs, tiles)]
    u, v, m = [Fenced(16 * (a * b + 16) + 64, "float32") for a, b in sizes]
    turned = Fenced(channels * tiles + 64, "float32")
    shape = (batch, channels, height, width, outputs, height, width, 1, 1, rows)
    assert function_of("winograd.forward", [*(a.address for a in (x, w, y, u, v, m)), *shape, 0])() == 0
    assert function_of("winograd.weight_gradient", [*(a.address for a in (x, y, w, u, v, turned, m)), *shape])() == 0
    assert all(array.hold() for array in (x, y, w, u, v, m, turned))
    g = Fenced(batch * channels * (height // 2) * (width // 2), "float32")
    for name, arrays in (("largest_of", (x, g)), ("gradient_to", (g, x, x)), ("sum_of", (x, g)), ("spread_to", (g, x))):
        assert function_of(f"pool.{name}_four_float32", [*(a.address for a in arrays), batch * channels, height, width])() == 0
    assert x.hold() and g.hold()

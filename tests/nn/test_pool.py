"""Pooling, Unfold and Fold beside PyTorch's: values, gradients, indices, printed forms, refused inputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import DTypeError, ShapeError, UsageError

F, TF = nn.functional, torch.nn.functional

LAYERS = [
    (lambda nn: nn.MaxPool2d(2), (2, 3, 6, 4)),
    (lambda nn: nn.MaxPool2d(2), (3, 7, 5)),
    (lambda nn: nn.MaxPool2d(2), (0, 3, 6, 4)),
    (lambda nn: nn.MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2)), (2, 3, 6, 7)),
    (lambda nn: nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 3, 6, 8)),
    (lambda nn: nn.MaxPool1d(3), (2, 3, 10)),
    (lambda nn: nn.MaxPool1d(3, stride=2, padding=1, ceil_mode=True), (3, 8)),
    (lambda nn: nn.AvgPool2d(2), (2, 3, 6, 4)),
    (lambda nn: nn.AvgPool2d(3, stride=2, padding=1), (2, 3, 6, 7)),
    (lambda nn: nn.AvgPool2d((3, 2), (2, 1), (1, 1), ceil_mode=True, count_include_pad=False), (3, 6, 7)),
    (lambda nn: nn.AvgPool2d(2, divisor_override=3), (2, 3, 5, 4)),
    (lambda nn: nn.AvgPool1d(2), (2, 3, 7)),
    (lambda nn: nn.AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=False), (3, 8)),
    (lambda nn: nn.AdaptiveAvgPool2d(1), (2, 3, 5, 4)),
    (lambda nn: nn.AdaptiveAvgPool2d((3, 2)), (2, 3, 6, 4)),
    (lambda nn: nn.AdaptiveAvgPool2d((4, None)), (2, 3, 7, 5)),
    (lambda nn: nn.AdaptiveAvgPool2d((7, 5)), (3, 4, 3)),
    (lambda nn: nn.AdaptiveAvgPool1d(3), (2, 3, 8)),
    (lambda nn: nn.AdaptiveAvgPool1d(1), (3, 8)),
    (lambda nn: nn.Unfold(2), (2, 3, 4, 5)),
    (lambda nn: nn.Unfold((3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1)), (2, 3, 5, 6)),
    (lambda nn: nn.Unfold(2), (3, 4, 5)),
    (lambda nn: nn.Fold((4, 5), 2), (2, 12, 12)),
    (lambda nn: nn.Fold((5, 6), (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1)), (2, 18, 12)),
    (lambda nn: nn.Fold((4, 5), 2), (12, 12)),
    (lambda nn: nn.Unflatten(1, (3, -1)), (2, 6, 4)),
]


def label(value) -> str:
    return " ".join(repr(value(torch.nn)).split()) if callable(value) else str(value)


@pytest.mark.parametrize("make, shape", LAYERS, ids=label)
def test_a_layer(make, shape, dtype, compare) -> None:
    mine, theirs = make(nn), make(torch.nn)
    assert repr(mine) == repr(theirs)
    compare(mine, theirs, [np.random.standard_normal(shape).astype(dtype)], dtype)


GRID = [
    case
    for case in itertools.product([1, 2, 3], [None, 1, 2, 3], [0, 1], [1, 2], [False, True])
    if case[2] <= case[0] // 2 and not (case[0] == 1 and case[3] == 2)
]
SIZES = [(6, 6), (7, 5)]


@pytest.mark.parametrize("kernel, stride, padding, dilation, ceil_mode", GRID)
def test_max_pool_grid(kernel, stride, padding, dilation, ceil_mode, compare) -> None:
    given = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    for size in SIZES:
        # Few values, so that many windows have several largest: the first receives the gradient.
        x = np.random.randint(0, 4, (2, 2, *size)) * 1.0
        compare(lambda x: F.max_pool2d(x, **given), lambda x: TF.max_pool2d(x, **given), [x], "float64")
        y, indices = F.max_pool2d(gradus.tensor(x), **given, return_indices=True)
        z, expected = TF.max_pool2d(torch.tensor(x), **given, return_indices=True)
        assert indices.dtype == np.int64 and np.array_equal(indices.numpy(), expected.numpy()) and np.array_equal(y.numpy(), z.numpy())


@pytest.mark.parametrize("kernel, stride, padding, dilation, ceil_mode", [case for case in GRID if case[3] == 1])
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool_grid(kernel, stride, padding, dilation, ceil_mode, count_include_pad, compare) -> None:
    given = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    for size in SIZES:
        x = np.random.standard_normal((2, 2, *size))
        compare(lambda x: F.avg_pool2d(x, **given), lambda x: TF.avg_pool2d(x, **given), [x], "float64")


def test_indices_of_layers() -> None:
    x = np.random.standard_normal((2, 3, 7, 8))
    for name, array in (("MaxPool2d", x), ("MaxPool1d", x[0])):
        mine, theirs = getattr(nn, name)(2, return_indices=True), getattr(torch.nn, name)(2, return_indices=True)
        for a, b in zip(mine(gradus.tensor(array)), theirs(torch.tensor(array)), strict=True):
            assert np.array_equal(a.numpy(), b.numpy())


def test_what_is_padded_is_never_the_largest() -> None:
    for x in (np.full((1, 1, 2, 2), -np.inf), np.full((1, 1, 3, 3), -5.0)):
        y, indices = F.max_pool2d(gradus.tensor(x), 2, padding=1, return_indices=True)
        z, expected = TF.max_pool2d(torch.tensor(x), 2, padding=1, return_indices=True)
        assert np.array_equal(y.numpy(), z.numpy()) and np.array_equal(indices.numpy(), expected.numpy())


def test_nan_reaches_the_output_and_has_the_gradient() -> None:
    x = gradus.tensor([[[1.0, float("nan"), 3.0, 2.0]]], requires_grad=True)
    y = F.max_pool1d(x, 2)
    y.backward(gradus.ones(1, 1, 2))
    assert np.isnan(y.detach().numpy()).tolist() == [[[True, False]]]
    assert x.grad.numpy().tolist() == [[[0.0, 1.0, 1.0, 0.0]]]


ODD = [1.0, 2.0, -0.0, 0.0, float("nan"), float("inf"), float("-inf")]
ODD_GRID = [
    ((2, 2), None, 0, 1),
    ((3, 3), 2, 1, 1),
    ((3, 3), 2, 0, 1),
    ((2, 3), (1, 2), (1, 0), (2, 1)),
    ((1, 1), 1, 0, 1),
    ((1, 4), 3, 0, 1),
]


@pytest.mark.parametrize("kernel, stride, padding, dilation", ODD_GRID)
@pytest.mark.parametrize("odd_gradients", [False, True])
def test_windows_with_nan_and_infinity(kernel, stride, padding, dilation, odd_gradients, dtype) -> None:
    rng = np.random.default_rng(5)
    for size in ((28, 28), (9, 7), (6, 70)):
        array = rng.choice(ODD, (3, 5, *size), p=[0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2]).astype(dtype)
        g: np.ndarray | None = None
        found = []
        for library in (torch, gradus):
            pool = library.nn.functional.max_pool2d
            x = library.tensor(array, requires_grad=True)
            y, indices = pool(x, kernel, stride, padding, dilation, return_indices=True)
            if g is None:
                g = rng.choice(ODD, tuple(y.shape)).astype(dtype) if odd_gradients else rng.standard_normal(tuple(y.shape)).astype(dtype)
            y.backward(library.tensor(g))
            found.append([y.detach().numpy(), indices.numpy(), x.grad.numpy()])
        (y, indices, gradient), (mine, my_indices, my_gradient) = found
        np.testing.assert_array_equal(mine, y)
        np.testing.assert_array_equal(my_indices, indices)
        np.testing.assert_allclose(my_gradient, gradient, rtol=1e-6, atol=1e-6)  # windows that overlap are summed in another order


def test_each_window_of_four_odd_values() -> None:
    array = np.array(list(itertools.product(ODD, repeat=4))).reshape(-1, 1, 2, 2)
    gradients = []
    for library in (torch, gradus):
        x = library.tensor(array, requires_grad=True)
        library.nn.functional.max_pool2d(x, 2).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_array_equal(*gradients)


def test_whole_numbers_have_a_largest_but_no_mean() -> None:
    x = gradus.arange(9).reshape(1, 3, 3)
    assert F.max_pool2d(x, 2, padding=1).tolist() == [[[0, 2], [6, 8]]]
    with pytest.raises(DTypeError) as caught:
        F.avg_pool2d(x, 2)
    assert caught.value.code == "E14"


def test_infinity_stays_in_its_window() -> None:
    x = np.array([[[1.0, np.inf, 2.0, 3.0, 4.0]]])
    assert np.array_equal(F.adaptive_avg_pool1d(gradus.tensor(x), 3).numpy(), TF.adaptive_avg_pool1d(torch.tensor(x), 3).numpy())


def second(library, pool, x):
    """The gradient of a squared gradient, with the library's own names."""
    x = library.tensor(x, requires_grad=True)
    (first,) = library.autograd.grad((pool(x) ** 3).sum(), [x], create_graph=True)
    (twice,) = library.autograd.grad((first * first).sum(), [x])
    return first.detach().numpy(), twice.numpy()


@pytest.mark.parametrize("name, given", [("max_pool2d", (3, 2, 1)), ("max_pool2d", (2,)), ("avg_pool2d", (3, 1, 1)), ("avg_pool2d", (2,))])
def test_backward_twice(name, given) -> None:
    x = np.random.standard_normal((2, 2, 6, 7))
    mine = second(gradus, lambda x: getattr(F, name)(x, *given), x)
    theirs = second(torch, lambda x: getattr(TF, name)(x, *given), x)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_fold_is_the_adjoint_of_unfold() -> None:
    given = {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1, "dilation": (1, 2)}
    x = gradus.tensor(np.random.standard_normal((2, 3, 6, 5)))
    columns = F.unfold(x, **given)
    g = gradus.tensor(np.random.standard_normal(tuple(columns.shape)))
    assert abs(((columns * g).sum() - (x * F.fold(g, (6, 5), **given)).sum()).item()) < 1e-10


def test_windows_times_weights_are_a_convolution() -> None:
    x, w = gradus.randn(2, 3, 6, 5), gradus.randn(4, 3, 3, 2)
    y = (w.reshape(4, -1) @ F.unfold(x, (3, 2), padding=1)).reshape(2, 4, 6, 6)
    np.testing.assert_allclose(y.numpy(), F.conv2d(x, w, padding=1).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "call, error, code, said",
    [
        (lambda: F.max_pool2d(gradus.zeros(4, 4), 2), ShapeError, "E05", "x[None, None]"),
        (lambda: F.avg_pool1d(gradus.zeros(4), 2), ShapeError, "E05", "x[None]"),
        (lambda: F.max_pool2d(gradus.zeros(1, 1, 2, 2), 3), ShapeError, "E06", "padding=1"),
        (lambda: F.avg_pool2d(gradus.zeros(1, 1, 2, 2), 3), ShapeError, "E06", "(3 x 3)"),
        (lambda: F.unfold(gradus.zeros(1, 1, 2, 2), 3), ShapeError, "E06", "(2 x 2)"),
        (lambda: F.max_pool2d(gradus.zeros(1, 1, 4, 4), 2, padding=2), UsageError, "E29", "at most half"),
        (lambda: F.max_pool2d(gradus.zeros(1, 1, 4, 4), 0), UsageError, "E29", "kernel_size"),
        (lambda: F.max_pool2d(gradus.zeros(1, 1, 4, 4), 2, stride=0), UsageError, "E29", "stride"),
        (lambda: F.avg_pool2d(gradus.zeros(1, 1, 4, 4), 2, divisor_override=0), UsageError, "E29", "divisor"),
        (lambda: F.adaptive_avg_pool2d(gradus.zeros(1, 1, 4, 4), (1, 2, 3)), UsageError, "E29", "output_size"),
        (lambda: F.fold(gradus.zeros(1, 5, 9), (4, 4), 2), ShapeError, "E03", "4 · C"),
        (lambda: F.fold(gradus.zeros(1, 8, 8), (4, 4), 2), ShapeError, "E03", "3 x 3 windows"),
    ],
)
def test_refused(call, error, code, said) -> None:
    with pytest.raises(error) as caught:
        call()
    assert caught.value.code == code and said in str(caught.value), str(caught.value)

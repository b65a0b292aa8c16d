"""Convolution layers and functions beside PyTorch's: values, gradients, printed forms, state, odd shapes, refused inputs."""

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
    (lambda nn: nn.Conv2d(2, 3, 3), (2, 2, 5, 6)),
    (lambda nn: nn.Conv2d(2, 3, 3), (2, 5, 6)),
    (lambda nn: nn.Conv2d(2, 3, 3), (0, 2, 5, 6)),
    (lambda nn: nn.Conv2d(1, 4, (1, 3), stride=(2, 1), padding=(0, 1), bias=False), (3, 1, 4, 5)),
    (lambda nn: nn.Conv2d(4, 6, 2, dilation=(1, 2), groups=2), (2, 4, 5, 5)),
    (lambda nn: nn.Conv2d(4, 8, 3, padding=1, groups=4), (2, 4, 3, 3)),
    (lambda nn: nn.Conv2d(3, 5, 1), (2, 3, 4, 2)),
    (lambda nn: nn.Conv2d(3, 5, 1, stride=2), (2, 3, 5, 4)),
    (lambda nn: nn.Conv2d(2, 3, (2, 4), padding="same", dilation=(1, 2)), (2, 2, 5, 6)),
    (lambda nn: nn.Conv2d(2, 3, 2, padding="valid"), (2, 2, 5, 6)),
    (lambda nn: nn.Conv2d(2, 3, 3, padding=(2, 1), padding_mode="reflect"), (2, 2, 5, 6)),
    (lambda nn: nn.Conv2d(2, 3, 3, padding=2, padding_mode="replicate"), (2, 2, 3, 3)),
    (lambda nn: nn.Conv2d(2, 3, 4, padding="same", padding_mode="circular"), (2, 2, 5, 6)),
    (lambda nn: nn.Conv1d(2, 3, 3), (2, 2, 7)),
    (lambda nn: nn.Conv1d(2, 3, 3), (2, 7)),
    (lambda nn: nn.Conv1d(2, 4, 4, stride=3, padding=2, dilation=2, groups=2), (3, 2, 9)),
    (lambda nn: nn.Conv1d(2, 3, 4, padding="same"), (2, 2, 7)),
    (lambda nn: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular", bias=False), (2, 2, 7)),
]


def label(value) -> str:
    return " ".join(repr(value(torch.nn)).split()) if callable(value) else str(value)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # PyTorch's, about a copy
@pytest.mark.parametrize("make, shape", LAYERS, ids=label)
def test_a_layer(make, shape, dtype, compare) -> None:
    mine, theirs = make(nn).to(dtype), make(torch.nn).to(getattr(torch, dtype))
    assert repr(mine) == repr(theirs)
    assert {k: tuple(v.shape) for k, v in mine.state_dict().items()} == {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()})
    parameters = list(zip(mine.parameters(), theirs.parameters(), strict=True))
    compare(mine, lambda x: theirs(x * 1), [np.random.standard_normal(shape).astype(dtype)], dtype, parameters)


GRID = list(itertools.product([1, 2, 3], [0, 1, 2], [1, 2], [1, 2], [(3, 3), (2, 1)]))


@pytest.mark.parametrize("stride, padding, dilation, groups, kernel", GRID)
def test_the_grid(stride, padding, dilation, groups, kernel, compare) -> None:
    shapes = [(2, 4, 7, 6), (6, 4 // groups, *kernel), (6,)]
    arrays = [np.random.standard_normal(shape) for shape in shapes]
    given = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    compare(lambda *a: F.conv2d(*a, **given), lambda *a: TF.conv2d(*a, **given), arrays, "float64")


@pytest.mark.parametrize("groups, kernel, stride", [(1, 3, 1), (1, 3, 2), (4, 3, 1), (1, 1, 1), (1, 1, 2)])
def test_more_images_than_a_block_holds(groups, kernel, stride, compare, monkeypatch) -> None:
    monkeypatch.setattr("gradus.fused.conv.COLUMN_BYTES", 20_000)
    arrays = [np.random.standard_normal((7, 4, 8, 9)), np.random.standard_normal((8, 4 // groups, kernel, kernel))]
    given = {"stride": stride, "padding": kernel // 2, "groups": groups}
    compare(lambda *a: F.conv2d(*a, **given), lambda *a: TF.conv2d(*a, **given), arrays, "float64")


@pytest.mark.parametrize(
    "view", [lambda x: x.transpose(2, 3), lambda x: x[:, :, ::2], lambda x: x[:1].expand(3, -1, -1, -1), lambda x: x.transpose(0, 1)]
)
def test_other_memory(view, compare) -> None:
    arrays = [np.random.standard_normal((3, 3, 6, 6)), np.random.standard_normal((2, 3, 2, 3))]
    compare(lambda x, w: F.conv2d(view(x), w, padding=1), lambda x, w: TF.conv2d(view(x), w, padding=1), arrays, "float64")


def second_gradients(library, conv, arrays):
    """Gradients of the squared gradients, with the library's own names."""
    xs = [library.tensor(a, requires_grad=True) for a in arrays]
    y = conv(*xs)
    first = library.autograd.grad((y * y * y).sum(), xs, create_graph=True)
    second = library.autograd.grad(sum((g * g).sum() for g in first), xs)
    return [g.detach().numpy() for g in (*first, *second)]


@pytest.mark.parametrize("given", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "groups": 2}], ids=str)
def test_backward_twice(given) -> None:
    arrays = [np.random.standard_normal((2, 4, 5, 6)), np.random.standard_normal((2, 4 // given.get("groups", 1), 3, 2))]
    mine = second_gradients(gradus, lambda x, w: F.conv2d(x, w, **given), arrays)
    theirs = second_gradients(torch, lambda x, w: TF.conv2d(x, w, **given), arrays)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-8)


def test_functions_are_there_under_both_names() -> None:
    x, w, b = gradus.randn(1, 2, 4, 4), gradus.randn(3, 2, 3, 3), gradus.randn(3)
    assert gradus.equal(gradus.conv2d(x, w, b, 1, 1), F.conv2d(input=x, weight=w, bias=b, padding=(1, 1)))


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(16, 300, 5), lambda: nn.Conv1d(100, 300, 4), lambda: nn.Conv2d(64, 400, 5, groups=4)])
def test_starts_as_pytorch_does(make) -> None:
    layer = make()
    assert np.abs(layer.weight.detach().numpy()).max() <= 0.05
    assert abs(layer.weight.detach().numpy().std() - 0.05 / 3**0.5) < 0.002
    assert 0.04 < np.abs(layer.bias.detach().numpy()).max() <= 0.05


def test_no_gradient_for_images_that_want_none(monkeypatch) -> None:
    monkeypatch.setattr(gradus.backend.numpy, "conv2d_input_gradient", None)
    layer, x = nn.Conv2d(1, 2, 3), gradus.ones(2, 1, 5, 5)
    layer(x).sum().backward()
    assert x.grad is None and layer.weight.grad is not None


CONV, CONV1 = nn.Conv2d(3, 8, 3), nn.Conv1d(3, 8, 3)


@pytest.mark.parametrize(
    "layer, shape, code, said",
    [
        (CONV, (2, 5, 9, 9), "E04", ["to have 3 channels, but got 5", "(2, 5, 9, 9)", "nn.Conv2d(5, 8"]),
        (CONV, (2, 9, 9, 3), "E04", ["channels are last", "x.permute(0, 3, 1, 2)"]),
        (CONV, (9, 9, 3), "E04", ["channels are last", "x.permute(2, 0, 1)"]),
        (nn.Conv2d(1, 8, 3), (64, 28, 28), "E04", ["without an axis of channels", "x.unsqueeze(1)", "Conv2d 1 -> 8"]),
        (CONV, (28, 28), "E05", ["Expected 3D (unbatched) or 4D (batched)", "x[None, None]"]),
        (CONV, (2, 2, 3, 9, 9), "E05", ["x.flatten(0, 1)"]),
        (CONV, (2, 3, 2, 9), "E06", ["(2 x 9)", "(3 x 3)", "padding=1"]),
        (CONV1, (2, 5, 9), "E04", ["to have 3 channels, but got 5", "nn.Conv1d(5, 8"]),
        (CONV1, (2, 9, 3), "E04", ["x.permute(0, 2, 1)"]),
        (CONV1, (9,), "E05", ["Expected 2D (unbatched) or 3D (batched)", "x[None]"]),
        (CONV1, (2, 3, 2), "E06", ["padding=1"]),
        (nn.Conv2d(3, 8, 3, padding=3, padding_mode="reflect"), (2, 3, 3, 3), "E06", ["'reflect'", "at most 2"]),
    ],
)
def test_a_wrong_shape(layer, shape, code, said) -> None:
    with pytest.raises(ShapeError) as caught:
        nn.Sequential(layer)(gradus.zeros(*shape))
    text = str(caught.value)
    assert caught.value.code == code
    assert all(words in text for words in [*said, "test_conv.py", "layer:"]), text


def test_the_mends_mend() -> None:
    x = gradus.zeros(2, 9, 9, 3)
    assert CONV(x.permute(0, 3, 1, 2)).shape == (2, 8, 7, 7)
    assert nn.Conv2d(1, 8, 3)(gradus.zeros(64, 28, 28).unsqueeze(1)).shape == (64, 8, 26, 26)
    assert nn.Conv2d(3, 8, 3, padding=1)(gradus.zeros(2, 3, 2, 9)).shape == (2, 8, 2, 9)


@pytest.mark.parametrize("dtype, said", [("float64", "x.float()"), ("uint8", "255"), ("int64", "x.float()")])
def test_a_wrong_dtype(dtype, said) -> None:
    with pytest.raises(DTypeError) as caught:
        CONV(gradus.tensor(np.ones((1, 3, 5, 5), dtype)))
    assert said in str(caught.value) and "Conv2d 3 -> 8" in str(caught.value)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), "stride"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), "padding"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "'full'"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "strided"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "out_channels must be divisible by groups"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode"),
        (lambda: nn.Conv1d(3, 4, 2.5), "kernel_size"),
    ],
)
def test_refused_options(make, said) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.code == "E29" and said in str(caught.value)


@pytest.mark.parametrize("weight, groups", [((3, 3), 1), ((3, 2, 3, 3), 2)])
def test_weights_that_are_none(weight, groups) -> None:
    with pytest.raises(ShapeError) as caught:
        F.conv2d(gradus.zeros(1, 4, 5, 5), gradus.zeros(*weight), groups=groups)
    assert caught.value.code == "E04"

"""Every layer beside PyTorch's: outputs, gradients, printed forms, odd shapes, refused inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import DTypeError, ShapeError, UsageError

LAYERS = [
    lambda nn: nn.Linear(3, 4),
    lambda nn: nn.Linear(3, 4, bias=False),
    lambda nn: nn.Identity(),
    lambda nn: nn.Flatten(0, -1),
    lambda nn: nn.ReLU(),
    lambda nn: nn.ReLU(inplace=True),
    lambda nn: nn.Sigmoid(),
    lambda nn: nn.Tanh(),
    lambda nn: nn.GELU(),
    lambda nn: nn.GELU(approximate="tanh"),
    lambda nn: nn.SiLU(),
    lambda nn: nn.LeakyReLU(),
    lambda nn: nn.LeakyReLU(0.3),
    lambda nn: nn.ELU(),
    lambda nn: nn.ELU(0.5),
    lambda nn: nn.Softplus(),
    lambda nn: nn.Softplus(2.0, 1.0),
    lambda nn: nn.Softmax(dim=-1),
    lambda nn: nn.LogSoftmax(dim=0),
    lambda nn: nn.Dropout(0.0),
    lambda nn: nn.Dropout(0.4).eval(),
    lambda nn: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Sequential(nn.Linear(5, 2), nn.Softmax(dim=-1))),
]
SHAPES = [(5, 3), (0, 3), (1, 3), (3,), (2, 4, 3), (2, 0, 1, 3)]


def label(make) -> str:
    return " ".join(repr(make(torch.nn)).split())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("make", LAYERS, ids=label)
def test_values_and_gradients(make, shape, dtype, compare) -> None:
    mine, theirs = make(nn).to(dtype), make(torch.nn).to(getattr(torch, dtype))
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    parameters = list(zip(mine.parameters(), theirs.parameters(), strict=True))
    compare(mine, lambda x: theirs(x * 1), [np.random.standard_normal(shape).astype(dtype) * 2], dtype, parameters)


@pytest.mark.parametrize("make", LAYERS, ids=label)
def test_repr(make) -> None:
    assert repr(make(nn)) == repr(make(torch.nn))


@pytest.mark.parametrize("make", LAYERS, ids=label)
def test_a_transposed_input_gives_the_same(make, compare) -> None:
    mine, theirs = make(nn).double(), make(torch.nn).double()
    mine.load_state_dict(theirs.state_dict())
    parameters = list(zip(mine.parameters(), theirs.parameters(), strict=True))
    compare(
        lambda x: mine(x.transpose(0, 1)),
        lambda x: theirs(x.transpose(0, 1) * 1),
        [np.random.standard_normal((3, 5))],
        "float64",
        parameters,
    )


def test_softmax_without_dim_takes_the_last_axis_of_up_to_two() -> None:
    x = gradus.tensor(np.random.standard_normal((2, 3)))
    assert gradus.equal(nn.Softmax()(x), nn.Softmax(1)(x))
    with pytest.raises(UsageError, match="needs to know the axis"):
        nn.Softmax()(x[None])


def test_flatten_default_keeps_the_batch() -> None:
    assert nn.Flatten()(gradus.zeros(5, 2, 3)).shape == (5, 6)


@pytest.mark.parametrize("layer", [nn.Flatten(), nn.Unflatten(1, (2, 3))])
def test_an_array_is_no_tensor_for_the_layers_of_shapes_either(layer) -> None:
    with pytest.raises(DTypeError, match="takes a Tensor") as caught:
        layer(np.zeros((5, 6), np.float32))
    assert "gradus.tensor(x).float()" in str(caught.value)


class TestDropout:
    def test_it_zeroes_a_share_and_scales_the_rest(self) -> None:
        y = nn.Dropout(0.25)(gradus.ones(100_000)).numpy()
        assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
        assert abs((y == 0).mean() - 0.25) < 0.01

    def test_gradient_is_the_mask(self) -> None:
        x = gradus.ones(1000).requires_grad_()
        y = nn.Dropout(0.5)(x)
        y.sum().backward()
        assert gradus.equal(x.grad, y.detach())

    def test_the_seed_decides(self) -> None:
        layer, x = nn.Dropout(0.5), gradus.ones(50)
        draws = []
        for seed in (3, 3, 4):
            gradus.manual_seed(seed)
            draws.append(layer(x).tolist())
        assert draws[0] == draws[1] != draws[2]

    def test_all_dropped(self) -> None:
        assert nn.Dropout(1.0)(gradus.ones(4)).tolist() == [0.0] * 4

    @pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
    def test_probability(self, p: float) -> None:
        with pytest.raises(UsageError, match="probability"):
            raise_again(lambda: nn.Dropout(p))


def raise_again(f) -> None:
    """Raise f's error with its whole text as the message, for ``match``."""
    try:
        f()
    except Exception as error:
        raise type(error)(str(error)) from error


class TestLinear:
    def test_starts_as_pytorch_does(self) -> None:
        layer = nn.Linear(400, 300)
        for tensor in (layer.weight, layer.bias):
            values = tensor.detach().numpy()
            assert np.abs(values).max() <= 0.05
            assert abs(values.std() - 0.05 / 3**0.5) < 0.002

    def test_the_seed_decides(self) -> None:
        first = nn.Linear(3, 2).weight.tolist()
        assert nn.Linear(3, 2).weight.tolist() != first
        gradus.manual_seed(0)
        assert nn.Linear(3, 2).weight.tolist() == first

    def test_without_inputs(self) -> None:
        assert nn.Linear(0, 2)(gradus.zeros(3, 0)).tolist() == [[0.0, 0.0]] * 3

    def test_no_gradient_for_an_input_that_wants_none(self) -> None:
        layer, x = nn.Linear(3, 2), gradus.ones(4, 3)
        layer(x).sum().backward()
        assert x.grad is None
        assert layer.weight.grad is not None

    @pytest.mark.parametrize(
        "shape, said",
        [
            ((64, 28, 28), ["got (64, 28, 28)", "expects last dim 784", "28x28 = 784", "x.flatten(1)"]),
            ((64, 1, 28, 28), ["got (64, 1, 28, 28)", "28x28 = 784", "x.flatten(1)"]),
            ((28, 28), ["28x28 = 784", "in a batch", "x.flatten()[None]"]),
            ((784, 64), ["transposed", "x.transpose(-1, -2)"]),
            ((64, 100), ["expects last dim 784, got (64, 100)", "nn.Linear(100, 10)"]),
            ((), ["got ()"]),
        ],
    )
    def test_a_wrong_shape(self, shape, said) -> None:
        with pytest.raises(ShapeError) as caught:
            nn.Linear(784, 10)(gradus.zeros(*shape))
        text = str(caught.value)
        assert all(words in text for words in [*said, "E01", "Linear 784 -> 10", "test_layers.py"]), text

    def test_the_path_of_the_layer(self) -> None:
        class Net(nn.Module):
            def __init__(self) -> None:
                self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(5, 2))

            def forward(self, x):
                return self.body(x)

        model = Net()
        with pytest.raises(ShapeError) as caught:
            model(gradus.zeros(7, 4))
        assert caught.value.module_path == "model.body.2 (Linear 5 -> 2)"
        with pytest.raises(ShapeError) as caught:
            Net()(gradus.zeros(7, 4))
        assert caught.value.module_path == "Net.body.2 (Linear 5 -> 2)"

        def apply(f, x):
            return (lambda self: self[0](x))([f])

        with pytest.raises(ShapeError) as caught:
            apply(model, gradus.zeros(7, 4))
        assert caught.value.module_path == "f.body.2 (Linear 5 -> 2)"

    @pytest.mark.parametrize(
        "array, said",
        [
            (np.ones((2, 3)), ["input is float64, the weight float32", "np.random", "x.float()", "E14"]),
            (np.ones((2, 3), np.uint8), ["images are uint8 0..255; convert with .float() / 255", "x.float() / 255", "E15"]),
            (np.ones((2, 3), np.int64), ["input is int64", "x.float()"]),
            (np.ones((2, 3), bool), ["input is bool", "x.float()"]),
            (np.ones((2, 3), np.float16), ["input is float16", "x.float()"]),
        ],
    )
    def test_a_wrong_dtype(self, array, said) -> None:
        net = nn.Sequential(nn.Linear(3, 2))
        with pytest.raises(DTypeError) as caught:
            net(gradus.tensor(array))
        text = str(caught.value)
        assert all(words in text for words in [*said, "net.0 (Linear 3 -> 2)"]), text

    @pytest.mark.parametrize("x, got", [(np.ones((2, 3)), "ndarray of dtype float64"), ([[1.0, 2.0, 3.0]], "list")])
    def test_no_tensor(self, x, got) -> None:
        with pytest.raises(DTypeError, match="takes a Tensor") as caught:
            nn.Linear(3, 2)(x)
        assert caught.value.got == got

    def test_a_wrong_dtype_of_a_double_layer(self) -> None:
        with pytest.raises(DTypeError, match=r"input is float32, the weight float64") as caught:
            nn.Linear(3, 2).double()(gradus.ones(2, 3))
        assert caught.value.fix == "x.double()"


@pytest.mark.parametrize("make", [lambda: nn.GELU("erf"), lambda: nn.MSELoss("max"), lambda: nn.CrossEntropyLoss(label_smoothing=2)])
def test_refused_options(make) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.code == "E29"

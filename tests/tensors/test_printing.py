"""The text of tensors is PyTorch's, letter by letter, but for the library's name and the names of ops."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
import torch

import gradus

RNG = np.random.default_rng(5)
ARRAYS: dict[str, Any] = {
    "0-d": np.float32(1.5),
    "0-d whole": np.float32(3),
    "0-d int": np.int64(7),
    "0-d bool": np.bool_(True),
    "0-d float64": np.float64(0.1),
    "floats": np.array([1.0, 2.5, -3.25], "f4"),
    "whole": np.array([1.0, 2.0, -3.0], "f4"),
    "whole and large": np.array([1.0, 20.0, 300.0], "f4"),
    "matrix": np.array([[1.0, 2.5], [0.0, -1.0]], "f4"),
    "cube": RNG.standard_normal((2, 3, 4)).astype("f4"),
    "four axes": RNG.standard_normal((2, 2, 2, 2)).astype("f4"),
    "small": np.array([1e-5, 1.0], "f4"),
    "all small": np.array([1e-5, 2e-5], "f4"),
    "large": np.array([1e9, 1.0], "f4"),
    "ratio": np.array([1.0, 2000.5], "f4"),
    "ratio of whole": np.array([1.0, 2000.0], "f4"),
    "ratio 1000": np.array([1.0, 1000.0], "f4"),
    "huge whole": np.array([1e9, 2e9], "f4"),
    "zeros": np.zeros(3, "f4"),
    "minus zero": np.array([-0.0, 0.0, 1.0], "f4"),
    "minus zero and half": np.array([-0.0, 0.5], "f4"),
    "nan": np.array([np.nan, 1.0, 2.5], "f4"),
    "inf": np.array([np.inf, -np.inf, 1.0], "f4"),
    "only nan": np.array([np.nan, np.nan], "f4"),
    "inf and fractions": np.array([np.inf, 0.1234567, -np.inf], "f4"),
    "nan and zeros": np.array([np.nan, 0.0], "f4"),
    "nan and large": np.array([np.nan, 1e10, 0.5], "f4"),
    "float64": np.array([1.0, 2.5]),
    "float16": np.array([1.0, 2.5], "f2"),
    "ints": np.array([1, 20, -300]),
    "int32": np.array([1, 2], "i4"),
    "uint8": np.array([1, 200], "u1"),
    "int matrix": np.arange(6).reshape(2, 3) - 2,
    "bools": np.array([[True, False], [False, False]]),
    "bool vector": np.array([True, True]),
    "empty": np.zeros(0, "f4"),
    "empty ints": np.zeros(0, "i8"),
    "empty matrix": np.zeros((0, 3), "f4"),
    "empty matrix of ints": np.zeros((2, 0), "i8"),
    "empty float64": np.zeros((2, 0, 3)),
    "one": np.array([1.0], "f4"),
    "one in three axes": np.array([[[1.5]]], "f4"),
    "long": np.linspace(-1, 1, 50).astype("f4"),
    "long ints": np.arange(200),
    "long bools": np.arange(60) % 3 == 0,
    "long rows": RNG.standard_normal((3, 30)).astype("f4"),
    "summarised vector": np.arange(2000.0).astype("f4"),
    "summarised ints": np.arange(1001),
    "at the threshold": np.arange(1000),
    "summarised matrix": RNG.standard_normal((50, 40)).astype("f4"),
    "summarised cube": RNG.standard_normal((20, 3, 40)).astype("f4"),
    "summarised thin": RNG.standard_normal((500, 3)).astype("f4"),
    "summarised wide": RNG.standard_normal((3, 500)),
    "summarised bools": RNG.random((40, 40)) > 0.5,
    "summarised with large middle": np.where(np.arange(2000) == 1000, 1e12, 1.5).astype("f4"),
    "summarised four axes": RNG.standard_normal((10, 2, 10, 10)).astype("f4"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_text(name: str) -> None:
    mine, theirs = gradus.tensor(ARRAYS[name]), torch.tensor(ARRAYS[name])
    assert repr(mine).replace("gradus.", "torch.") == repr(theirs)
    assert str(mine) == repr(mine)


@pytest.mark.parametrize("name", [name for name, array in ARRAYS.items() if array.dtype.kind == "f"])
def test_text_in_a_graph(name: str) -> None:
    mine, theirs = gradus.tensor(ARRAYS[name], requires_grad=True), torch.tensor(ARRAYS[name], requires_grad=True)
    assert repr(mine).replace("gradus.", "torch.") == repr(theirs)
    # The names of ops differ in length, so that a line may break elsewhere.
    texts = [" ".join(re.sub("grad_fn=<[^>]*>", "grad_fn=<>", repr(x * 1)).replace("gradus.", "torch.").split()) for x in (mine, theirs)]
    assert texts[0] == texts[1]


def test_parameters_sizes_and_devices() -> None:
    assert repr(gradus.nn.Parameter(gradus.zeros(2))) == repr(torch.nn.Parameter(torch.zeros(2)))
    assert repr(gradus.ones(2, 3).shape) == "Size([2, 3])"
    assert repr(gradus.ones(1).device) == repr(torch.ones(1).device)
    assert "gradus" not in str(gradus.ones(1).dtype)


@pytest.mark.parametrize("spec", ["", ".3f", "8.2f", ">10", ".2e", "+.1f", ".0%"])
def test_formats(spec: str) -> None:
    for data in (3.14159, -2.0):
        assert format(gradus.tensor(data), spec) == format(torch.tensor(data), spec)
        assert format(gradus.tensor(data, requires_grad=True) * 1, spec) == format(torch.tensor(data), spec)
    assert f"{gradus.tensor(3):4d}" == f"{torch.tensor(3):4d}"
    assert f"{gradus.tensor([1.0, 2.0])}" == f"{torch.tensor([1.0, 2.0])}"
    assert f"loss {gradus.tensor([2.5]).mean():.2f}" == "loss 2.50"


def test_a_format_of_many_numbers_raises() -> None:
    with pytest.raises(TypeError, match="format"):
        f"{gradus.ones(3):.3f}"


def test_storage_and_strides() -> None:
    """What chapter after chapter prints: an expanded vector takes the memory of the vector."""
    c, m = gradus.tensor([10.0, 20, 30]), gradus.ones(3, 3)
    t = c.expand_as(m)
    assert t.shape == (3, 3)
    assert t.stride() == torch.tensor([10.0, 20, 30]).expand(3, 3).stride() == (0, 1)
    assert c.unsqueeze(1).expand_as(m).stride() == (1, 0)
    assert repr(t.storage()) == " 10.0\n 20.0\n 30.0\n[gradus.FloatStorage of size 3]"
    assert len(t.storage()) == t.storage().size() == 3
    assert list(t.storage()) == [10, 20, 30]
    assert gradus.arange(4).storage().__repr__().endswith("[gradus.LongStorage of size 4]")
    assert (t + m)[2].tolist() == [11, 21, 31]
    assert gradus.ones(2, 3).t().stride() == (1, 3)
    assert gradus.ones(2, 3)[:, ::2].stride() == (3, 2)


def test_python_numbers() -> None:
    x, i = gradus.tensor(2.5), gradus.tensor(7)
    assert (float(x), int(x), bool(x), int(i), hex(i), round(float(x))) == (2.5, 2, True, 7, "0x7", 2)
    assert gradus.tensor([[3.5]]).item() == 3.5
    assert isinstance(gradus.tensor(True).item(), bool)
    assert isinstance(i.item(), int)
    assert complex(float(x)) == 2.5
    for call in (float, int, bool, lambda t: t.item()):
        with pytest.raises(gradus.GradusError) as caught:
            call(gradus.ones(3))
        assert caught.value.code == "E45"
    assert not bool(gradus.tensor([0]))
    with pytest.raises(gradus.GradusError, match="no values"):
        bool(gradus.ones(0))


def test_containers() -> None:
    x = gradus.arange(6).reshape(2, 3)
    assert [row.tolist() for row in x] == [[0, 1, 2], [3, 4, 5]]
    assert len(x) == 2
    assert 4 in x
    assert 9 not in x
    _, second = x
    assert second.tolist() == [3, 4, 5]
    assert sum([a * b for a, b in zip(x[0], x[1])]).item() == 14
    assert sum(x).tolist() == [3, 5, 7]
    assert max(x[0]).item() == 2
    assert sorted(gradus.tensor([3.0, 1.0, 2.0]))[0].item() == 1
    assert {x: 1}[x] == 1
    assert next(reversed(gradus.arange(3))).item() == 2
    for call in (len, iter):
        with pytest.raises(TypeError):
            call(gradus.tensor(1))


def test_copies() -> None:
    x = gradus.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    deep, shallow = copy.deepcopy(x), copy.copy(x)
    assert deep.requires_grad
    assert deep.grad.tolist() == [2, 4]
    assert not np.shares_memory(deep.value, x.value)
    assert shallow.tolist() == [1, 2]
    twice = copy.deepcopy([x, x])
    assert twice[0] is twice[1]
    with pytest.raises(gradus.GradusError, match="leaf"):
        copy.deepcopy(x * 2)


def test_attributes_may_be_set() -> None:
    x = gradus.ones(2)
    x.g = gradus.zeros(2)
    assert x.g.tolist() == [0, 0]
    with pytest.raises(AttributeError):
        x.nonsense  # noqa: B018


def test_matplotlib_draws_tensors() -> None:
    plt = pytest.importorskip("matplotlib.pyplot", reason="the plot extra is not installed")
    x = gradus.linspace(-3, 3, 20)
    figure, axes = plt.subplots()
    axes.plot(x, x.tanh())
    axes.scatter(x, x * x)
    axes.imshow(gradus.rand(4, 4))
    axes.hist(x)
    assert axes.lines[0].get_ydata().dtype == np.float32
    figure.canvas.draw()
    plt.close(figure)


def test_numpy_reads_tensors_outside_the_graph() -> None:
    x = gradus.tensor([1.0, 2.0])
    assert np.asarray(x) is x.value
    assert np.array(x).tolist() == [1, 2]
    assert np.array(x, dtype="float64").dtype == np.float64
    assert np.allclose(x, [1, 2])
    assert np.asarray(x, dtype=np.float32) is x.value
    with pytest.raises(gradus.GradusError, match="detach"):
        x.requires_grad_().numpy()

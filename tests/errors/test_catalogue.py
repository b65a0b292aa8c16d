"""The errors that people meet most: typed, in six parts, at the user's line, with a fix that mends it."""

import numpy as np
import pytest

import gradus
from gradus import nn
from gradus.errors import AliasError, DTypeError, GradError, GradusError, LabelError, ShapeError, missing_extra

F = nn.functional


class Net(nn.Module):
    def __init__(self):
        self.fc1 = nn.Linear(784, 100)

    def forward(self, x):
        return self.fc1(x)


def linear_input():
    net = Net()
    net(gradus.zeros(64, 28, 28))


def loss_shapes():
    F.mse_loss(gradus.zeros(5), gradus.zeros(5, 1))


def float_labels():
    F.cross_entropy(gradus.zeros(4, 3), gradus.tensor([0.0, 1.0, 2.0, 1.0]))


def one_hot_labels():
    F.cross_entropy(gradus.zeros(2, 3), gradus.tensor([[0, 1, 0], [1, 0, 0]]))


def column_of_labels():
    F.cross_entropy(gradus.zeros(2, 3), gradus.tensor([[0], [1]]))


def label_too_high():
    F.cross_entropy(gradus.zeros(20, 3), gradus.tensor([1, 2] * 8 + [1, 3, 1, 2]))


def float64_input():
    nn.Linear(3, 2)(gradus.tensor(np.ones((1, 3))))


def overwritten():
    x = gradus.ones(3, requires_grad=True)
    y = x.exp()
    y += 1
    y.sum().backward()


def not_scalar():
    (gradus.ones(3, requires_grad=True) * 2).backward()


def no_graph():
    gradus.ones(3).sum().backward()


def backward_twice():
    loss = (gradus.ones(3, requires_grad=True) ** 2).sum()
    loss.backward()
    loss.backward()


CATALOGUE = {
    linear_input: ("E01", ShapeError, ["fc1", "784", "(64, 28, 28)", "28x28", "x.flatten(1)"]),
    loss_shapes: ("E07", ShapeError, ["(5,)", "(5, 1)", "(5, 5)", "squeeze"]),
    float_labels: ("E08", DTypeError, ["float", "target.long()"]),
    one_hot_labels: ("E08", DTypeError, ["one-hot", "target.argmax(1)"]),
    column_of_labels: ("E08", ShapeError, ["(2, 1)", "target.squeeze(-1)"]),
    label_too_high: ("E09", LabelError, ["label 3 at row 17", "labels seen are 1 to 3", "labels 0 to 2", "start at 1", "target - 1"]),
    float64_input: ("E14", DTypeError, ["float64", "float32", ".float()"]),
    overwritten: ("E18", AliasError, ["y += 1", "y = y + 1", "exp"]),
    not_scalar: ("E21", GradError, ["(3,)", "loss.mean()"]),
    no_graph: ("E21", GradError, ["requires_grad", "no_grad", ".detach()"]),
    backward_twice: ("E22", GradError, ["second time", "retain_graph=True"]),
}


@pytest.mark.parametrize("situation", CATALOGUE, ids=lambda f: f.__name__)
def test_the_message_has_six_parts(situation):
    code, kind, contents = CATALOGUE[situation]
    with pytest.raises(kind) as caught:
        situation()
    error = caught.value
    assert error.code == code
    for part in ("what", "got", "wanted", "where", "why", "fix"):
        assert getattr(error, part), f"{code} says nothing of {part}"
    text = str(error)
    for content in contents:
        assert content in text, f"{content!r} is not in:\n{text}"
    first = situation.__code__.co_firstlineno
    line = int(error.where.split(":")[-1].split()[0])
    assert "test_catalogue.py" in error.where and situation.__name__ in error.where or "forward" in error.where
    assert first <= line <= first + 5 or "forward" in error.where


def test_an_overwritten_value_names_both_lines():
    with pytest.raises(AliasError) as caught:
        overwritten()
    first = overwritten.__code__.co_firstlineno
    assert f"test_catalogue.py:{first + 2}" in str(caught.value), "the line that saved"
    assert f"test_catalogue.py:{first + 3}" in str(caught.value), "the line that wrote"


def test_types_are_those_that_numpy_and_pytorch_users_catch():
    assert issubclass(ShapeError, ValueError) and issubclass(ShapeError, RuntimeError)
    assert issubclass(LabelError, IndexError) and issubclass(DTypeError, TypeError) and issubclass(GradError, RuntimeError)
    assert all(issubclass(kind, GradusError) for kind in (ShapeError, LabelError, DTypeError, GradError, AliasError))


def test_a_missing_extra_is_one_sentence():
    error = missing_extra("typer", "cli", "The command line")
    assert str(error) == 'The command line needs typer: pip install "gradus-dl[cli]"' and isinstance(error, ImportError)

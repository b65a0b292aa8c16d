"""Every loss beside PyTorch's: values and gradients with all its options."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import GradusError, LabelError, ShapeError

REDUCTIONS = ["mean", "sum", "none"]


def arrays(shape, dtype, count=2):
    return [np.random.standard_normal(shape).astype(dtype) * 2 for _ in range(count)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4), ()], ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda nn, r: nn.MSELoss(reduction=r),
        lambda nn, r: nn.L1Loss(reduction=r),
        lambda nn, r: nn.HuberLoss(reduction=r),
        lambda nn, r: nn.HuberLoss(r, 0.4),
        lambda nn, r: nn.SmoothL1Loss(reduction=r),
        lambda nn, r: nn.SmoothL1Loss(reduction=r, beta=0.4),
    ],
    ids=lambda make: str(make(torch.nn, "mean")),
)
def test_regression(make, shape, reduction, dtype, compare) -> None:
    compare(make(nn, reduction), make(torch.nn, reduction), arrays(shape, dtype), dtype)


CLASSES = 4
WEIGHT = np.array([0.5, 1.0, 2.0, 0.1])


def class_options():
    for weight in (None, WEIGHT):
        for ignore in (-100, 2):
            for smoothing in (0.0, 0.2):
                yield pytest.param(weight, ignore, smoothing, id=f"weight={weight is not None} ignore={ignore} smoothing={smoothing}")


def make_loss(kind, library, weight, dtype, **options):
    if weight is not None:
        weight = library.tensor(weight.astype(dtype))
    return getattr(library.nn, kind)(weight=weight, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight, ignore, smoothing", list(class_options()))
@pytest.mark.parametrize("shape", [(6, CLASSES), (CLASSES,), (3, CLASSES, 5), (2, CLASSES, 3, 2)], ids=str)
def test_cross_entropy_of_labels(shape, weight, ignore, smoothing, reduction, dtype, compare) -> None:
    x = np.random.standard_normal(shape).astype(dtype) * 3
    labels = np.random.randint(0, CLASSES, (*shape[:1], *shape[2:]) if len(shape) > 1 else ())
    if len(shape) == 1 and int(labels) == ignore:
        labels = np.array(0)
    losses = [
        make_loss("CrossEntropyLoss", lib, weight, dtype, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing)
        for lib in (gradus, torch)
    ]
    compare(lambda x: losses[0](x, gradus.tensor(labels)), lambda x: losses[1](x, torch.tensor(labels)), [x], dtype)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(6, CLASSES), (3, CLASSES, 5)], ids=str)
def test_cross_entropy_of_probabilities(shape, smoothing, weight, reduction, dtype, compare) -> None:
    x, target = arrays(shape, dtype)
    target = np.exp(target) / np.exp(target).sum(1, keepdims=True)
    losses = [make_loss("CrossEntropyLoss", lib, weight, dtype, reduction=reduction, label_smoothing=smoothing) for lib in (gradus, torch)]
    compare(losses[0], losses[1], [x, target], dtype)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("ignore", [-100, 1])
@pytest.mark.parametrize("shape", [(6, CLASSES), (3, CLASSES, 5)], ids=str)
def test_nll(shape, ignore, weight, reduction, dtype, compare) -> None:
    x = np.random.standard_normal(shape).astype(dtype)
    labels = np.random.randint(0, CLASSES, (*shape[:1], *shape[2:]))
    losses = [make_loss("NLLLoss", lib, weight, dtype, ignore_index=ignore, reduction=reduction) for lib in (gradus, torch)]
    compare(
        lambda x: losses[0](gradus.log_softmax(x, dim=1), gradus.tensor(labels)),
        lambda x: losses[1](torch.log_softmax(x, dim=1), torch.tensor(labels)),
        [x],
        dtype,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("pos_weight", [False, True])
def test_bce_with_logits(pos_weight, weight, reduction, dtype, compare) -> None:
    x = np.random.standard_normal((5, 3)).astype(dtype) * 4
    target = np.random.uniform(size=(5, 3)).astype(dtype)
    factors = {}
    if weight:
        factors["weight"] = np.random.uniform(size=(5, 1)).astype(dtype)
    if pos_weight:
        factors["pos_weight"] = np.random.uniform(size=3).astype(dtype) + 1
    losses = [lib.nn.BCEWithLogitsLoss(reduction=reduction, **{k: lib.tensor(v) for k, v in factors.items()}) for lib in (gradus, torch)]
    compare(losses[0], losses[1], [x, target], dtype)


def test_extreme_logits_stay_finite() -> None:
    x = gradus.tensor([[-1000.0, 0.0, 1000.0]]).requires_grad_()
    loss = nn.CrossEntropyLoss()(x, gradus.tensor([0]))
    loss.backward()
    assert loss.item() == 2000.0
    assert x.grad.tolist() == [[-1.0, 0.0, 1.0]]
    y = gradus.tensor([-1000.0, 1000.0]).requires_grad_()
    loss = nn.BCEWithLogitsLoss()(y, gradus.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == 1000.0
    assert y.grad.tolist() == [-0.5, 0.5]


def test_weights_are_buffers() -> None:
    loss = nn.CrossEntropyLoss(weight=gradus.ones(3))
    assert list(loss.state_dict()) == ["weight"]
    assert list(loss.parameters()) == []
    assert list(nn.BCEWithLogitsLoss().state_dict()) == []


@pytest.mark.parametrize(
    "loss",
    [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss(), nn.CrossEntropyLoss(), nn.NLLLoss(), nn.BCEWithLogitsLoss()],
    ids=repr,
)
def test_repr(loss) -> None:
    assert repr(loss) == repr(getattr(torch.nn, type(loss).__name__)())


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss(), nn.BCEWithLogitsLoss()], ids=repr)
def test_a_column_against_a_vector_is_refused(loss) -> None:
    with pytest.raises(ShapeError) as caught:
        loss(gradus.zeros(4, 1), gradus.zeros(4))
    assert caught.value.code == "E07"
    assert caught.value.module_path == f"loss ({type(loss).__name__})"


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.NLLLoss()], ids=repr)
def test_labels_are_checked(loss) -> None:
    with pytest.raises(LabelError) as caught:
        loss(gradus.zeros(3, 3), gradus.tensor([1, 2, 3]))
    assert caught.value.code == "E09"
    with pytest.raises(GradusError) as caught:
        loss(gradus.zeros(3, 3), gradus.tensor([1.0, 2.0, 0.0]))
    assert caught.value.code == "E08"


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "int64"])
def test_labels_of_any_integer_dtype(kind) -> None:
    x, labels = gradus.tensor(np.random.standard_normal((4, 3))), np.array([0, 2, 1, 1])
    for loss in (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(ignore_index=1), nn.CrossEntropyLoss(label_smoothing=0.1), nn.NLLLoss()):
        assert loss(x, gradus.tensor(labels.astype(kind))).item() == loss(x, gradus.tensor(labels)).item()


def test_yes_or_no_targets_of_any_dtype() -> None:
    x, loss = gradus.tensor([0.5, -1.0, 2.0]), nn.BCEWithLogitsLoss()
    for target in (gradus.tensor([1, 0, 1]), gradus.tensor([True, False, True])):
        assert loss(x, target).item() == loss(x, target.float()).item()


def test_one_row_of_probabilities(compare) -> None:
    x, target = arrays((CLASSES,), "float64")
    target = np.exp(target) / np.exp(target).sum()
    compare(nn.CrossEntropyLoss(label_smoothing=0.1), torch.nn.CrossEntropyLoss(label_smoothing=0.1), [x, target], "float64")


@pytest.mark.parametrize(
    "loss", [nn.MSELoss(reduction="sum"), nn.CrossEntropyLoss(reduction="sum"), nn.BCEWithLogitsLoss(reduction="none")], ids=repr
)
def test_no_rows(loss) -> None:
    x = gradus.zeros(0, 3).requires_grad_()
    target = gradus.zeros(0, dtype=gradus.int64) if isinstance(loss, nn.CrossEntropyLoss) else gradus.zeros(0, 3)
    loss(x, target).sum().backward()
    assert x.grad.shape == (0, 3)

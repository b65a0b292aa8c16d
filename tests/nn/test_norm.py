"""Normalisation beside PyTorch's: values, gradients through the statistics, running statistics, refused inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import DTypeError, ShapeError, UsageError
from gradus.testing import gradcheck
from gradus.testing.tracer import Replay

F, TF = nn.functional, torch.nn.functional

LAYERS = [
    (lambda nn: nn.BatchNorm1d(3), (5, 3)),
    (lambda nn: nn.BatchNorm1d(3), (2, 3, 4)),
    (lambda nn: nn.BatchNorm1d(3), (0, 3)),
    (lambda nn: nn.BatchNorm1d(3), (1, 3, 2)),
    (lambda nn: nn.BatchNorm1d(3, affine=False), (5, 3)),
    (lambda nn: nn.BatchNorm1d(3, track_running_stats=False), (5, 3)),
    (lambda nn: nn.BatchNorm1d(3, eps=0.1, momentum=None), (5, 3)),
    (lambda nn: nn.BatchNorm2d(3, momentum=0.3), (4, 3, 5, 2)),
    (lambda nn: nn.BatchNorm2d(3), (1, 3, 2, 1)),
    (lambda nn: nn.BatchNorm2d(3), (0, 3, 2, 2)),
    (lambda nn: nn.LayerNorm(3), (5, 3)),
    (lambda nn: nn.LayerNorm(3), (3,)),
    (lambda nn: nn.LayerNorm(3), (0, 3)),
    (lambda nn: nn.LayerNorm(1, eps=0.5), (4, 1)),
    (lambda nn: nn.LayerNorm((2, 3), eps=0.1), (4, 2, 3)),
    (lambda nn: nn.LayerNorm(3, bias=False), (2, 4, 3)),
    (lambda nn: nn.LayerNorm(3, elementwise_affine=False), (2, 4, 3)),
    (lambda nn: nn.RMSNorm(3), (5, 3)),
    (lambda nn: nn.RMSNorm((2, 3), eps=0.1, elementwise_affine=False), (4, 2, 3)),
    (lambda nn: nn.GroupNorm(2, 4), (3, 4)),
    (lambda nn: nn.GroupNorm(2, 4, eps=0.1), (3, 4, 5, 2)),
    (lambda nn: nn.GroupNorm(4, 4, affine=False), (3, 4, 5)),
    (lambda nn: nn.GroupNorm(1, 4, bias=False), (0, 4, 5)),
    (lambda nn: nn.InstanceNorm1d(3), (4, 3, 5)),
    (lambda nn: nn.InstanceNorm1d(3), (3, 5)),
    (lambda nn: nn.InstanceNorm1d(3, affine=True, track_running_stats=True, momentum=0.3), (4, 3, 5)),
    (lambda nn: nn.InstanceNorm2d(3, affine=True, bias=False, eps=0.1), (2, 3, 4, 5)),
    (lambda nn: nn.InstanceNorm2d(3, track_running_stats=True, momentum=None), (2, 3, 4, 1)),
    (lambda nn: nn.InstanceNorm2d(3), (0, 3, 2, 2)),
]


def label(case) -> str:
    return f"{case[0](torch.nn)} {case[1]}"


def pair(make, dtype: str):
    """A layer in both libraries with the same random parameters."""
    mine, theirs = make(nn).to(dtype), make(torch.nn).to(getattr(torch, dtype))
    with torch.no_grad():
        for p in theirs.parameters():
            p.normal_()
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return mine, theirs, list(zip(mine.parameters(), theirs.parameters(), strict=True))


def assert_same_state(mine, theirs, dtype: str) -> None:
    ours, other = mine.state_dict(), theirs.state_dict()
    assert list(ours) == list(other)
    for name, value in other.items():
        assert str(ours[name].dtype) == str(value.dtype).removeprefix("torch."), name
        np.testing.assert_allclose(ours[name].numpy(), value.numpy(), rtol=1e-10 if dtype == "float64" else 1.3e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("case", LAYERS, ids=label)
def test_values_gradients_and_state_over_three_steps(case, dtype, compare) -> None:
    make, shape = case
    mine, theirs, parameters = pair(make, dtype)
    for step in range(3):
        x = (np.random.default_rng(step).standard_normal(shape) * 2 + step).astype(dtype)
        mine.zero_grad()
        theirs.zero_grad()
        compare(mine, theirs, [x], dtype, parameters)
        assert_same_state(mine, theirs, dtype)


@pytest.mark.parametrize("case", LAYERS, ids=label)
def test_evaluation_uses_what_training_left(case, dtype, compare) -> None:
    make, shape = case
    mine, theirs, parameters = pair(make, dtype)
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype) + 1
    mine(gradus.tensor(x)), theirs(torch.tensor(x))
    compare(mine.eval(), theirs.eval(), [x * 3], dtype, parameters)
    assert_same_state(mine, theirs, dtype)
    back = make(torch.nn).to(getattr(torch, dtype))
    back.load_state_dict({name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()})


@pytest.mark.parametrize("case", LAYERS, ids=label)
def test_repr(case) -> None:
    assert repr(case[0](nn)) == repr(case[0](torch.nn))


def test_a_strided_input_gives_the_same(compare) -> None:
    for make in (lambda nn: nn.BatchNorm2d(3), lambda nn: nn.LayerNorm(4), lambda nn: nn.GroupNorm(3, 3)):
        mine, theirs, parameters = pair(make, "float64")
        x = np.random.default_rng(0).standard_normal((4, 5, 3, 2))
        compare(lambda x, f=mine: f(x.permute(3, 2, 1, 0)), lambda x, f=theirs: f(x.permute(3, 2, 1, 0)), [x], "float64", parameters)


SECOND = {
    "batch": lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    "layer": lambda x, w, b: F.layer_norm(x, (3,), w, b),
    "rms": lambda x, w, b: F.rms_norm(x, (3,), w) + b,
    "group": lambda x, w, b: F.group_norm(x, 1, w, b),
}


@pytest.mark.parametrize("name", SECOND)
def test_first_and_second_derivatives(name) -> None:
    f, random = SECOND[name], np.random.default_rng(0)
    inputs = [random.standard_normal(shape) for shape in ((4, 3), 3, 3)]
    cotangent = gradus.tensor(random.standard_normal((4, 3)))
    assert gradcheck(f, inputs)
    assert gradcheck(gradus.grad(lambda *xs: (f(*xs) * cotangent).sum(), (0, 1)), inputs)


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_a_mean_far_from_zero(mean: float, compare) -> None:
    x = (np.random.default_rng(0).standard_normal((64, 3)) + mean).astype("float32")
    mine, exact = F.batch_norm(gradus.tensor(x), None, None, training=True), torch.tensor(x).double()
    np.testing.assert_allclose(mine.numpy(), TF.batch_norm(exact, None, None, training=True).numpy(), atol=2e-6 * (1 + mean / 10))


def test_a_constant_row_is_zero_and_has_a_finite_gradient() -> None:
    x = gradus.full((2, 4), 7.0).requires_grad_()
    y = F.layer_norm(x, (4,))
    (y * gradus.arange(4)).sum().backward()
    assert not y.detach().numpy().any()
    assert np.isfinite(x.grad.numpy()).all()


class TestBatchNorm:
    def test_one_value_a_channel(self) -> None:
        for layer, shape in ((nn.BatchNorm1d(3), (1, 3)), (nn.BatchNorm1d(3), (1, 3, 1)), (nn.BatchNorm2d(3), (1, 3, 1, 1))):
            with pytest.raises(ValueError, match="Expected more than 1 value per channel when training") as caught:
                layer(gradus.zeros(*shape))
            assert isinstance(caught.value, ShapeError) and "drop_last" in caught.value.fix
            assert layer.eval()(gradus.zeros(*shape)).shape == shape

    @pytest.mark.parametrize(
        "layer, shape, said",
        [
            (nn.BatchNorm1d(3), (2, 3, 4, 4), "expected 2D or 3D input (got 4D input)"),
            (nn.BatchNorm2d(3), (2, 3), "expected 4D input (got 2D input)"),
            (nn.BatchNorm2d(3), (2, 4, 5, 5), "4 channels instead of 3"),
        ],
    )
    def test_a_wrong_shape(self, layer, shape, said) -> None:
        with pytest.raises(ShapeError) as caught:
            layer(gradus.zeros(*shape))
        assert said in str(caught.value)

    def test_a_wrong_dtype(self) -> None:
        for layer in (nn.BatchNorm1d(3), nn.LayerNorm(3), nn.BatchNorm1d(3, affine=False)):
            for x in (gradus.zeros(2, 3).double(), gradus.zeros(2, 3).long(), np.zeros((2, 3))):
                with pytest.raises(DTypeError):
                    layer(x)

    def test_statistics_keep_their_memory(self) -> None:
        layer = nn.BatchNorm1d(2)
        before = layer.state_dict()
        layer(gradus.tensor([[1.0, 2.0], [3.0, 6.0]]))
        assert before["running_mean"].tolist() == pytest.approx([0.2, 0.4])
        assert before["running_var"].tolist() == pytest.approx([1.1, 1.7])
        assert before["num_batches_tracked"].tolist() == 1

    def test_reset(self) -> None:
        layer = nn.BatchNorm1d(2)
        layer(gradus.randn(4, 2))
        layer.reset_running_stats()
        assert [b.tolist() for b in layer.buffers()] == [[0.0, 0.0], [1.0, 1.0], 0]

    def test_without_running_statistics_evaluation_needs_them(self) -> None:
        with pytest.raises(UsageError, match="running_mean and running_var"):
            F.batch_norm(gradus.zeros(2, 3), None, None)

    @pytest.mark.parametrize("momentum", [0.1, None])
    def test_a_traced_step_moves_the_statistics(self, momentum) -> None:
        """Three replays of one trace leave what three eager calls leave."""
        data = [np.random.default_rng(k).standard_normal((5, 3)) for k in range(3)]
        eager, traced = nn.BatchNorm1d(3, momentum=momentum).double(), nn.BatchNorm1d(3, momentum=momentum).double()
        step = Replay(lambda x: traced(x).sum(), [data[0]])
        assert traced.num_batches_tracked.item() == 0
        for x in data:
            eager(gradus.tensor(x))
            step(x)
        for name, value in eager.state_dict().items():
            np.testing.assert_allclose(traced.state_dict()[name].numpy(), value.numpy(), rtol=1e-14, err_msg=name)

    def test_forward_mode_leaves_numbers_in_the_buffers(self) -> None:
        layer, twin = nn.BatchNorm1d(3).double(), nn.BatchNorm1d(3).double()
        x, v = (gradus.tensor(np.random.default_rng(k).standard_normal((5, 3))) for k in range(2))
        memory = layer.running_mean.value
        _, dy = gradus.jvp(layer, (x,), (v,))
        (pulled,) = gradus.vjp(twin, x)[1](dy)
        assert layer.running_mean.value is memory
        assert [b.tolist() for b in layer.buffers()] == [b.tolist() for b in twin.buffers()]
        np.testing.assert_allclose((pulled * v).sum().item(), (dy * dy).sum().item())


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: nn.LayerNorm(3)(gradus.zeros(2, 4)), "expected input with shape ['*', 3]"),
        (lambda: F.layer_norm(gradus.zeros(2, 3), (3,), gradus.ones(2)), "weight"),
        (lambda: nn.GroupNorm(2, 4)(gradus.zeros(2, 3)), "divisible by num_groups"),
        (lambda: nn.GroupNorm(2, 4)(gradus.zeros(4)), "at least 2 dimensions"),
        (lambda: nn.InstanceNorm2d(3)(gradus.zeros(2, 3, 1, 1)), "Expected more than 1 spatial element when training"),
        (lambda: nn.InstanceNorm2d(3)(gradus.zeros(3, 3)), "expected 4D input (got 2D input)"),
        (lambda: nn.InstanceNorm1d(3, affine=True)(gradus.zeros(2, 4, 5)), "got 4 channels instead of 3"),
        (lambda: F.batch_norm(gradus.zeros(2, 3), gradus.zeros(4), gradus.zeros(4)), "should contain 3 elements, not 4"),
        (lambda: F.batch_norm(gradus.zeros(2), None, None, training=True), "channel axis"),
    ],
)
def test_refused_shapes(call, said) -> None:
    with pytest.raises(ShapeError) as caught:
        call()
    assert said in str(caught.value)


def test_a_traced_instance_norm_moves_its_buffers() -> None:
    layer, twin = (nn.InstanceNorm1d(3, affine=True, track_running_stats=True) for _ in range(2))
    compiled = gradus.compile(layer)
    for step in range(3):
        x = gradus.randn(4, 3, 5) + step
        assert gradus.allclose(compiled(x), twin(x), atol=1e-5)
    assert gradus.allclose(layer.running_var, twin.running_var, atol=1e-6) and twin.running_mean.abs().max() > 0.1


@pytest.mark.parametrize(
    "layer, of",
    [
        (nn.InstanceNorm1d(3), ""),
        (nn.BatchNorm1d(3, affine=False, track_running_stats=False), ""),
        (nn.LayerNorm(4, elementwise_affine=False), ""),
        (nn.InstanceNorm1d(3, affine=True), "weight"),
        (nn.InstanceNorm1d(3, track_running_stats=True), "running statistics"),
    ],
)
def test_whole_numbers_are_refused_in_terms_of_what_the_layer_has(layer: nn.Module, of: str) -> None:
    with pytest.raises(DTypeError) as caught:
        layer(gradus.zeros(2, 3, 4, dtype=gradus.int64))
    error = caught.value
    assert all([error.what, error.got, error.wanted, error.where, error.why, error.fix]) and __file__ in error.where
    assert error.got == f"x int64, {of} float32" if of else error.got == "x int64" and "weight" not in error.what
    assert layer(eval(error.fix, {"x": gradus.zeros(2, 3, 4, dtype=gradus.int64)})).shape == (2, 3, 4)


def test_refused_options() -> None:
    with pytest.raises(UsageError, match="divisible"):
        nn.GroupNorm(3, 4)
    with pytest.raises(UsageError, match="normalise"):
        F.layer_norm(gradus.zeros(2), ())

"""Attention beside PyTorch's: masks of all kinds, shared heads, the layer's weight layouts, fully masked rows."""

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
RANDOM = np.random.default_rng(0)

ALLOWED = RANDOM.random((4, 5)) > 0.4
ALLOWED[2] = False  # this query sees nothing
SUMMANDS = np.where(RANDOM.random((2, 1, 4, 5)) > 0.3, RANDOM.standard_normal((2, 1, 4, 5)), -np.inf)
SUMMANDS[1, 0, 3] = -np.inf

CASES = [
    ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7), {}),
    ((4, 6), (5, 6), (5, 2), {}),
    ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 6), {"scale": 0.3}),
    ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 6), {"is_causal": True}),
    ((2, 3, 5, 6), (2, 3, 2, 6), (2, 3, 2, 6), {"is_causal": True}),
    ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 6), {"attn_mask": ALLOWED}),
    ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 6), {"attn_mask": ALLOWED, "is_causal": True}),
    ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 6), {"attn_mask": SUMMANDS}),
    ((2, 8, 4, 6), (2, 2, 5, 6), (2, 2, 5, 6), {"enable_gqa": True}),
    ((2, 8, 4, 6), (2, 1, 5, 6), (2, 1, 5, 6), {"enable_gqa": True, "attn_mask": SUMMANDS}),
    ((1, 3, 4, 6), (1, 3, 1, 6), (1, 3, 1, 6), {}),
    ((0, 3, 4, 6), (0, 3, 5, 6), (0, 3, 5, 6), {}),
    ((2, 3, 0, 6), (2, 3, 5, 6), (2, 3, 5, 6), {}),
    ((2, 3, 4, 6), (2, 3, 0, 6), (2, 3, 0, 6), {}),
]


@pytest.mark.parametrize("q, k, v, options", CASES, ids=lambda x: str(x) if isinstance(x, tuple) else ",".join(x))
def test_values_and_gradients(q, k, v, options, dtype, compare) -> None:
    arrays = [np.random.default_rng(i).standard_normal(shape).astype(dtype) for i, shape in enumerate((q, k, v))]
    mask = options.get("attn_mask")
    mask = mask if mask is None or mask.dtype == bool else mask.astype(dtype)
    mine = options if mask is None else {**options, "attn_mask": gradus.tensor(mask)}
    theirs = options if mask is None else {**options, "attn_mask": torch.tensor(mask)}
    compare(
        lambda *x: F.scaled_dot_product_attention(*x, **mine),
        lambda *x: TF.scaled_dot_product_attention(*[each * 1 for each in x], **theirs),
        arrays,
        dtype,
    )


def test_a_learnt_mask_gets_a_gradient(compare) -> None:
    arrays = [RANDOM.standard_normal(shape) for shape in ((2, 4, 6), (2, 5, 6), (2, 5, 3), (4, 5))]
    compare(F.scaled_dot_product_attention, lambda q, k, v, m: TF.scaled_dot_product_attention(q, k, v, m), arrays, "float64")


def test_derivatives_of_both_orders() -> None:
    mask = gradus.tensor(ALLOWED)
    arrays = [RANDOM.standard_normal(shape) for shape in ((4, 2), (5, 2), (5, 3))]
    weights = gradus.tensor(RANDOM.standard_normal((4, 3)))

    def f(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, mask)

    assert gradcheck(f, arrays)
    assert gradcheck(gradus.grad(lambda *x: (f(*x) * weights).sum(), (0, 1, 2)), arrays)


def test_a_trace_replays_with_other_data() -> None:
    def step(x):
        return F.scaled_dot_product_attention(x, x, x, is_causal=True)

    first, second = RANDOM.standard_normal((2, 2, 3, 4))
    np.testing.assert_allclose(Replay(step, [first])(second), step(gradus.tensor(second)).numpy())


def test_dropout_keeps_the_mean() -> None:
    q, v = gradus.zeros(1, 200), gradus.ones(100, 1)
    drawn = [F.scaled_dot_product_attention(q, gradus.zeros(100, 200), v, dropout_p=0.5).item() for _ in range(200)]
    assert abs(np.mean(drawn) - 1) < 0.05 and np.std(drawn) > 0.05


@pytest.mark.parametrize(
    "error, call",
    [
        (ShapeError, lambda: F.scaled_dot_product_attention(gradus.zeros(3, 4), gradus.zeros(3, 5), gradus.zeros(3, 5))),
        (ShapeError, lambda: F.scaled_dot_product_attention(gradus.zeros(3, 4), gradus.zeros(3, 4), gradus.zeros(2, 4))),
        (ShapeError, lambda: F.scaled_dot_product_attention(gradus.zeros(4), gradus.zeros(3, 4), gradus.zeros(3, 4))),
        (ShapeError, lambda: F.scaled_dot_product_attention(*[gradus.zeros(3, 4)] * 3, gradus.ones(2, 3).bool())),
        (ShapeError, lambda: F.scaled_dot_product_attention(*[gradus.zeros(3, 4)] * 3, gradus.ones(9, 3, 3).bool())),
        (DTypeError, lambda: F.scaled_dot_product_attention(*[gradus.zeros(3, 4)] * 3, gradus.ones(3, 3).long())),
        (
            ShapeError,
            lambda: F.scaled_dot_product_attention(gradus.zeros(3, 2, 4), *[gradus.zeros(2, 2, 4)] * 2, enable_gqa=True),
        ),
    ],
)
def test_refused(error, call) -> None:
    with pytest.raises(error):
        call()


# The layer.


def both_layers(dtype: str, **options):
    mine, theirs = nn.MultiheadAttention(**options).to(dtype), torch.nn.MultiheadAttention(**options).to(getattr(torch, dtype))
    with torch.no_grad():
        for p in theirs.parameters():
            p.normal_().mul_(0.4)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()})
    return mine, theirs, list(zip(mine.parameters(), theirs.parameters(), strict=True))


PADDING = np.array([[False, False, True, False, True], [False, False, False, False, True]])
CAUSAL = ~np.tril(np.ones((4, 5), bool))
EACH = RANDOM.standard_normal((6, 4, 5))

LAYERS = [
    ({}, {}),
    ({"bias": False}, {}),
    ({"batch_first": True}, {}),
    ({"kdim": 5, "vdim": 7}, {}),
    ({"kdim": 5, "bias": False}, {}),
    ({}, {"attn_mask": CAUSAL}),
    ({}, {"attn_mask": CAUSAL, "is_causal": True}),
    ({}, {"attn_mask": EACH}),
    ({"batch_first": True}, {"attn_mask": CAUSAL, "key_padding_mask": PADDING}),
    ({}, {"key_padding_mask": PADDING}),
    ({}, {"key_padding_mask": PADDING * -2.5, "average_attn_weights": False}),
]


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("options, call", LAYERS, ids=lambda x: ",".join(x) or "plain")
def test_layer_values_and_gradients(options, call, need_weights, dtype, compare) -> None:
    mine, theirs, parameters = both_layers(dtype, embed_dim=6, num_heads=3, **options)
    shapes = [(4, 2, 6), (5, 2, mine.kdim), (5, 2, mine.vdim)]
    shapes = [(b, t, e) for t, b, e in shapes] if mine.batch_first else shapes
    arrays = [np.random.default_rng(i).standard_normal(shape).astype(dtype) for i, shape in enumerate(shapes)]
    masks = {name: value.astype(dtype) if getattr(value, "dtype", None) == np.float64 else value for name, value in call.items()}

    def run(layer, tensor):
        given = {name: tensor(value) if isinstance(value, np.ndarray) else value for name, value in masks.items()}

        def f(*x):
            y, weights = layer(*[each * 1 for each in x], need_weights=need_weights, **given)
            assert (weights is None) == (not need_weights)
            flat = [part.reshape(-1) for part in (y, weights) if part is not None]
            return gradus.cat(flat) if isinstance(y, gradus.Tensor) else torch.cat(flat)

        return f

    compare(run(mine, gradus.tensor), run(theirs, torch.tensor), arrays, dtype, parameters)


@pytest.mark.parametrize("shape", [(4, 2, 6), (4, 6), (1, 1, 6)], ids=str)
def test_attention_of_a_sequence_to_itself(shape, compare) -> None:
    mine, theirs, parameters = both_layers("float64", embed_dim=6, num_heads=2)
    compare(lambda x: mine(x, x, x)[0], lambda x: theirs(x, x, x)[0], [RANDOM.standard_normal(shape)], "float64", parameters)
    x = RANDOM.standard_normal(shape)
    a, b = mine(*[gradus.tensor(x)] * 3)[1], theirs(*[torch.tensor(x)] * 3)[1]
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10)


def test_keys_that_are_the_values(compare) -> None:
    mine, theirs, parameters = both_layers("float64", embed_dim=6, num_heads=2)
    arrays = [RANDOM.standard_normal(shape) for shape in ((4, 2, 6), (5, 2, 6))]
    compare(lambda q, k: mine(q, k, k)[0], lambda q, k: theirs(q, k, k)[0], arrays, "float64", parameters)


def test_layer_starts_as_pytorch_does() -> None:
    layer = nn.MultiheadAttention(96, 4)
    bound = (6 / (4 * 96)) ** 0.5
    assert np.abs(layer.in_proj_weight.detach().numpy()).max() <= bound
    assert abs(layer.in_proj_weight.detach().numpy().std() - bound / 3**0.5) < 0.002
    assert not layer.in_proj_bias.detach().numpy().any() and not layer.out_proj.bias.detach().numpy().any()


def test_a_row_that_sees_nothing_is_zero() -> None:
    layer, x = nn.MultiheadAttention(4, 2), gradus.randn(3, 1, 4).requires_grad_()
    y, weights = layer(x, x, x, attn_mask=gradus.ones(3, 3).bool())
    assert not weights.detach().numpy().any()
    y.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_dropout_acts_in_training_only() -> None:
    layer, x = nn.MultiheadAttention(4, 2, dropout=0.5), gradus.randn(9, 1, 4)
    assert not gradus.equal(layer(x, x, x)[0], layer(x, x, x)[0])
    layer.eval()
    assert gradus.equal(layer(x, x, x)[0], layer(x, x, x)[0])


@pytest.mark.parametrize(
    "error, call",
    [
        (UsageError, lambda m, x: nn.MultiheadAttention(5, 2)),
        (UsageError, lambda m, x: nn.MultiheadAttention(4, 2, add_bias_kv=True)),
        (UsageError, lambda m, x: m(x, x, x, is_causal=True)),
        (ShapeError, lambda m, x: m(x[..., :3], x, x)),
        (ShapeError, lambda m, x: m(x[:, 0], x, x)),
        (ShapeError, lambda m, x: m(x, x[:2], x)),
        (ShapeError, lambda m, x: m(x, x[:, :1], x[:, :1])),
        (ShapeError, lambda m, x: m(x, x, x, attn_mask=gradus.ones(2, 3).bool())),
        (ShapeError, lambda m, x: m(x, x, x, key_padding_mask=gradus.ones(3, 2).bool())),
        (DTypeError, lambda m, x: m(x.double(), x, x)),
        (DTypeError, lambda m, x: m(x, x, x, attn_mask=gradus.ones(3, 3).long())),
    ],
)
def test_layer_refuses(error, call) -> None:
    with pytest.raises(error):
        call(nn.MultiheadAttention(4, 2), gradus.zeros(3, 2, 4))

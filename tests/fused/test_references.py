"""Every fused record means its reference: values, first and second derivatives."""

import numpy as np
import pytest

import gradus
from gradus import ops
from gradus.fused import activation, linear, loss, norm, softmax
from gradus.transforms import grad, hessian

R = np.random.default_rng(0)
LABELS = np.array([0, 2, 1, 1])

PAIRS = {
    "softmax": (lambda x: softmax.softmax(x, 1), lambda x: softmax.softmax_reference(x, 1)),
    "softmax over rows": (lambda x: softmax.softmax(x, 0), lambda x: softmax.softmax_reference(x, 0)),
    "log_softmax": (lambda x: softmax.log_softmax(x, 1), lambda x: softmax.log_softmax_reference(x, 1)),
    "cross_entropy": (lambda x: loss.softmax_cross_entropy(x, LABELS), lambda x: loss.softmax_cross_entropy_reference(x, LABELS)),
    "gelu": (activation.gelu, activation.gelu_reference),
    "gelu by tanh": (lambda x: activation.gelu(x, "tanh"), lambda x: activation.gelu_reference(x, "tanh")),
    "silu": (activation.silu, activation.silu_reference),
    "normalize": (lambda x: norm.normalize(x, axis=1, eps=0.1), lambda x: norm.normalize_reference(x, 1, 0.1)),
    "normalize columns": (lambda x: norm.normalize(x, axis=0, eps=1e-5), lambda x: norm.normalize_reference(x, 0, 1e-5)),
    "rms_normalize": (lambda x: norm.rms_normalize(x, axis=1, eps=0.1), lambda x: norm.rms_normalize_reference(x, 1, 0.1)),
    "linear, input": (
        lambda x: linear.linear(x, gradus.tensor(W), gradus.tensor(B)),
        lambda x: linear.linear_reference(x, gradus.tensor(W), gradus.tensor(B)),
    ),
    "linear, weight": (lambda w: linear.linear(gradus.tensor(W), w), lambda w: linear.linear_reference(gradus.tensor(W), w)),
}
W, B = R.standard_normal((2, 3)), R.standard_normal(2)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_record_equals_reference(name, scale):
    fused, reference = PAIRS[name]
    x = gradus.tensor(R.standard_normal((4, 3)) * scale)
    weights = gradus.tensor(R.standard_normal(tuple(reference(x).shape)))
    for f in (lambda g: g, lambda g: grad(lambda x: (g(x) * weights).sum()), lambda g: hessian(lambda x: (g(x) * weights).sum())):
        expected = f(reference)(x).numpy()
        np.testing.assert_allclose(f(fused)(x).numpy(), expected, rtol=1e-9, atol=1e-12 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("f", [softmax.softmax, softmax.log_softmax])
def test_no_overflow_and_no_nan(f):
    x = gradus.tensor([[1e4, 0.0, -1e4], [3e38, -3e38, 0.0]], requires_grad=True)
    y = f(x, 1)
    y[:, 0].sum().backward()
    assert np.isfinite(y.detach().numpy()[:, 0]).all() and np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), ()])
def test_empty_and_scalar(shape):
    x = gradus.zeros(shape)
    assert softmax.softmax(x, -1).shape == shape and softmax.log_softmax(x, -1).shape == shape


def test_linear_weight_gradient_is_contiguous():
    w = gradus.randn(5, 3, requires_grad=True)
    linear.linear(gradus.randn(7, 3), w).sum().backward()
    assert w.grad.value.flags.c_contiguous


def test_references_are_compositions():
    # A reference that called the fused op would judge itself.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(softmax, "_softmax_op", None)
        patch.setattr(softmax, "_log_softmax_op", None)
        assert ops.sum(softmax.softmax_reference(np.ones((2, 2)), 1)) == 2.0

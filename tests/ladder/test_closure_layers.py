"""Convolution, pooling, normalisation and attention as closures, judged by numeric differences in float64 and by PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from central_differences import numeric_gradient

from gradus.ladder.closure_activations import ReLU
from gradus.ladder.closure_layers import Attention, AvgPooling2D, BatchNormalize, Conv2D, Flatten, MaxPooling2D, Softmax
from gradus.ladder.closure_training import Learner, MomentumOptimizer, ce_loss
from gradus.ladder.closures import Linear, Sequential


def in_use(layer: BatchNormalize) -> BatchNormalize:
    layer.mean, layer.variance, layer.training = np.array([0.5, -1.0]), np.array([2.0, 0.3]), False
    return layer


LAYERS = {
    "flatten": (Flatten, (2, 3, 2)),
    "softmax": (Softmax, (3, 4)),
    "conv": (lambda: Conv2D(2, 3, size=2, rng=0), (2, 2, 4, 3)),
    "conv, stride and padding": (lambda: Conv2D(2, 2, size=3, stride=2, padding=1, rng=0), (2, 2, 5, 4)),
    "conv, stride that leaves an edge": (lambda: Conv2D(1, 2, size=2, stride=2, rng=0), (1, 1, 5, 5)),
    "max": (lambda: MaxPooling2D(2), (2, 2, 4, 6)),
    "max, edges left out": (lambda: MaxPooling2D(2), (1, 2, 5, 3)),
    "avg": (lambda: AvgPooling2D(3), (2, 1, 6, 7)),
    "batch norm": (lambda: BatchNormalize(2), (5, 2)),
    "batch norm of images": (lambda: BatchNormalize(2), (2, 2, 3, 2)),
    "batch norm in use": (lambda: in_use(BatchNormalize(2)), (3, 2)),
    "attention": (lambda: Attention(3, rng=0), (2, 4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_gradient(name) -> None:
    make, shape = LAYERS[name]
    rng = np.random.default_rng(4)
    layer, X = make(), rng.standard_normal(shape)
    for p in layer.parameters:
        p.tensor += 0.3 * rng.standard_normal(p.tensor.shape)
    Y, backward = layer.forward(X)
    weights = rng.standard_normal(Y.shape)
    found = [backward(weights.copy()), *(p.gradient for p in layer.parameters)]
    for array, ours in zip((X, *(p.tensor for p in layer.parameters)), found):
        numeric = numeric_gradient(lambda: (layer.forward(X)[0] * weights).sum(), array)
        np.testing.assert_allclose(ours, numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("size, stride, padding", [(3, 1, 0), (3, 2, 1), (2, 3, 2), (1, 1, 0)])
def test_convolution_agrees_with_pytorch(size, stride, padding) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    rng = np.random.default_rng(1)
    layer, X = Conv2D(3, 4, size, stride, padding, rng), rng.standard_normal((2, 3, 7, 6))
    layer.bias.tensor[:] = rng.standard_normal(4)
    inp, w, b = (torch.tensor(a, requires_grad=True) for a in (X, layer.weights.tensor, layer.bias.tensor))
    out = torch.nn.functional.conv2d(inp, w, b, stride=stride, padding=padding)
    Y, backward = layer.forward(X)
    D = rng.standard_normal(Y.shape)
    out.backward(torch.tensor(D))
    np.testing.assert_allclose(Y, out.detach().numpy(), rtol=1e-10, atol=1e-12)
    for ours, theirs in ((backward(D), inp), (layer.weights.gradient, w), (layer.bias.gradient, b)):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind, name", [(MaxPooling2D, "max_pool2d"), (AvgPooling2D, "avg_pool2d")])
@pytest.mark.parametrize("size", [2, 3])
def test_pooling_agrees_with_pytorch(kind, name, size) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    X = np.random.default_rng(1).integers(0, 4, (2, 3, 7, 8)).astype(float)  # with ties
    inp = torch.tensor(X, requires_grad=True)
    out = getattr(torch.nn.functional, name)(inp, size)
    Y, backward = kind(size).forward(X)
    D = np.random.default_rng(2).standard_normal(Y.shape)
    out.backward(torch.tensor(D))
    np.testing.assert_allclose(Y, out.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(backward(D), inp.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 4, 5)])
def test_batch_normalisation_agrees_with_pytorch(shape) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    rng = np.random.default_rng(1)
    ours, theirs = BatchNormalize(3), (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(3, dtype=torch.float64)
    for step in range(4):
        ours.training = step < 3
        theirs.train(step < 3)
        X, D = 2 + 3 * rng.standard_normal(shape), rng.standard_normal(shape)
        inp = torch.tensor(X, requires_grad=True)
        out = theirs(inp)
        Y, backward = ours.forward(X)
        out.backward(torch.tensor(D))
        np.testing.assert_allclose(Y, out.detach().numpy(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(backward(D), inp.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.mean, theirs.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.variance, theirs.running_var.numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.gamma.gradient, theirs.weight.grad.numpy(), rtol=1e-10)


def test_attention_agrees_with_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    layer, X = Attention(4, rng=0), np.random.default_rng(1).standard_normal((2, 5, 4))
    q, k, v = (torch.tensor(X @ p.tensor) for p in layer.projections)
    np.testing.assert_allclose(layer.forward(X)[0], torch.nn.functional.scaled_dot_product_attention(q, k, v).numpy(), rtol=1e-10)


def test_softmax_survives_large_inputs() -> None:
    assert Softmax().forward(np.array([[1000.0, 0.0]]))[0].tolist() == [[1.0, 0.0]]


def test_a_convolutional_network_learns_by_the_learner_of_the_rung() -> None:
    """Is the bar upright or lying? The mean of all pixels cannot tell, a convolution can."""
    rng = np.random.default_rng(0)
    X, upright = 0.3 * rng.standard_normal((120, 1, 8, 8)), rng.random(120) < 0.5
    for image, up in zip(X, upright):
        at = rng.integers(8)
        image[0, :, at] += up
        image[0, at, :] += not up
    Y = np.stack([upright, ~upright], axis=1).astype(float)
    model = Sequential(Conv2D(1, 4, 3, rng=rng), BatchNormalize(4), ReLU(), MaxPooling2D(2), Flatten(), Linear(36, 2, rng))
    Learner(model, ce_loss, MomentumOptimizer(0.02), rng).fit(X, Y, epochs=12, bs=20)
    model.layers[1].training = False
    assert (model.forward(X)[0].argmax(1) == Y.argmax(1)).mean() > 0.95

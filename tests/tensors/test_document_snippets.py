"""What the chapter "a neural net from the foundations" lets a person type, from element-wise arithmetic to einsum, with its results."""

from __future__ import annotations

import numpy as np
import pytest

import gradus as torch
from gradus import tensor

M = tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
C = tensor([10.0, 20, 30])


def test_elementwise_arithmetic() -> None:
    a, b = tensor([10.0, 6, -4]), tensor([2.0, 8, 7])
    assert repr(a + b) == "tensor([12., 14.,  3.])"
    assert repr(a < b) == "tensor([False,  True,  True])"
    assert [(a - b).tolist(), (a * b).tolist(), (a > b).tolist(), (a == b).tolist()] == [
        [8, -2, -11],
        [20, 48, -28],
        [True, False, False],
        [False] * 3,
    ]
    assert repr((a < b).all()) == "tensor(False)"
    assert repr((a == b).all()) == "tensor(False)"
    assert (a + b).mean().item() == 9.666666984558105


def test_one_neuron_in_plain_python() -> None:
    inputs, weights, bias = tensor([1.0, 2.0]), tensor([3.0, 4.0]), tensor(0.5)
    output = sum([x * w for x, w in zip(inputs, weights)]) + bias
    assert output.item() == 11.5
    x, w, b = torch.randn(4, 3), torch.randn(2, 3), torch.randn(2)
    y = torch.zeros(4, 2)
    for i in range(4):
        for j in range(2):
            y[i, j] = sum([p * q for p, q in zip(x[i, :], w[j, :])]) + b[j]
    assert torch.allclose(y, x @ w.t() + b, atol=1e-5)


def matmuls():
    def three_loops(a, b):
        (ar, ac), (br, bc) = a.shape, b.shape
        assert ac == br
        c = torch.zeros(ar, bc)
        for i in range(ar):
            for j in range(bc):
                for k in range(ac):
                    c[i, j] += a[i, k] * b[k, j]
        return c

    def two_loops(a, b):
        c = torch.zeros(a.shape[0], b.shape[1])
        for i in range(a.shape[0]):
            for j in range(b.shape[1]):
                c[i, j] = (a[i] * b[:, j]).sum()
        return c

    def one_loop(a, b):
        c = torch.zeros(a.shape[0], b.shape[1])
        for i in range(a.shape[0]):
            c[i] = (a[i].unsqueeze(-1) * b).sum(dim=0)
        return c

    return [three_loops, two_loops, one_loop, lambda a, b: torch.einsum("ik,kj->ij", a, b), lambda a, b: a @ b]


def test_matmul_five_ways() -> None:
    a, b = torch.randn(5, 28), torch.randn(28, 4)
    for way in matmuls():
        assert torch.allclose(way(a, b), a @ b, rtol=1e-3, atol=1e-5)


def test_shapes_that_do_not_match() -> None:
    with pytest.raises(
        RuntimeError, match=r"The size of tensor a \(3\) must match the size of tensor b \(2\) at non-singleton dimension 0"
    ):
        tensor([1.0, 2, 3]) + tensor([1.0, 2])
    with pytest.raises(
        RuntimeError, match=r"The size of tensor a \(2\) must match the size of tensor b \(3\) at non-singleton dimension 1"
    ):
        tensor([1.0, 2]) + tensor([[1.0, 2, 3], [4, 5, 6]])


def test_broadcasting_with_a_number() -> None:
    assert (tensor([10.0, 6, -4]) > 0).tolist() == [True, True, False]
    wanted = "tensor([[-1.4652, -1.0989, -0.7326],\n        [-0.3663,  0.0000,  0.3663],\n        [ 0.7326,  1.0989,  1.4652]])"
    assert repr((M - 5) / 2.73) == wanted


def test_broadcasting_a_vector_to_a_matrix() -> None:
    assert (M + C).tolist() == (C + M).tolist() == [[11, 22, 33], [14, 25, 36], [17, 28, 39]]
    t = C.expand_as(M)
    assert repr(t) == "tensor([[10., 20., 30.],\n        [10., 20., 30.],\n        [10., 20., 30.]])"
    assert repr(t.storage()) == " 10.0\n 20.0\n 30.0\n[gradus.FloatStorage of size 3]"
    assert (t.stride(), t.shape) == ((0, 1), (3, 3))
    assert C.unsqueeze(1).expand_as(M).stride() == (1, 0)
    assert (C.unsqueeze(1) + M).tolist() == [[11, 12, 13], [24, 25, 26], [37, 38, 39]]
    assert (tensor([1.0, 2, 3]) + tensor([[1.0, 2, 3], [4, 5, 6]])).shape == (2, 3)


def test_unsqueeze_and_none() -> None:
    assert C.shape == (3,)
    assert C.unsqueeze(0).shape == C[None, :].shape == C[None].shape == (1, 3)
    assert C.unsqueeze(1).shape == C[:, None].shape == C[..., None].shape == (3, 1)


def test_normalising_a_batch_of_images() -> None:
    images = torch.rand(4, 3, 8, 8)
    mean, std = images.mean(dim=(0, 2, 3)), images.std((0, 2, 3))
    normal = (images - mean[None, :, None, None]) / std[None, :, None, None]
    assert normal.mean((0, 2, 3)).abs().max().item() < 1e-5
    image, scale = torch.rand(256, 256, 3), tensor([1.0, 2, 3])
    assert (image * scale).shape == (256, 256, 3)
    with pytest.raises(RuntimeError):
        image * torch.rand(256, 256)


def test_einsum() -> None:
    assert torch.einsum("ij->ji", M).tolist() == M.t().tolist()
    b, w = torch.randn(2, 3), torch.randn(3, 4)
    c = torch.randn(2, 4)
    assert torch.allclose(torch.einsum("bi,ij,bj->b", b, w, c), ((b @ w) * c).sum(-1), atol=1e-5)
    x, y = torch.randn(5, 2, 3), torch.randn(5, 3, 4)
    assert torch.allclose(torch.einsum("bik,bkj->bij", x, y), x @ y, atol=1e-5)


def test_initialisation_explodes_and_vanishes() -> None:
    x = torch.randn(200, 100)
    for scale, test in (
        (1.0, lambda t: t.isnan().all()),
        (0.01, lambda t: (t == 0).all()),
        (0.1, lambda t: (t.std() > 0.3) & (t.std() < 2)),
    ):
        y = x
        for _ in range(50):
            y = y @ (torch.randn(100, 100) * scale)
        assert test(y)


def test_a_layer_with_hand_written_gradients_against_autograd() -> None:
    x, y = torch.randn(200, 100), torch.randn(200)
    w1, b1, w2, b2 = torch.randn(100, 50) / np.sqrt(100), torch.zeros(50), torch.randn(50, 1) / np.sqrt(50), torch.zeros(1)

    def lin(inp, w, b):
        return inp @ w + b

    def relu(inp):
        return inp.clamp_min(0.0)

    def mse(output, targ):
        return (output.squeeze(-1) - targ).pow(2).mean()

    l1 = lin(x, w1, b1)
    l2 = relu(l1)
    out = lin(l2, w2, b2)
    assert (l1.shape, out.shape) == ((200, 50), (200, 1))

    out.g = 2.0 * (out.squeeze() - y).unsqueeze(-1) / y.shape[0]
    l2.g, w2.g, b2.g = out.g @ w2.t(), l2.t() @ out.g, out.g.sum(0)
    l1.g = (l1 > 0).float() * l2.g
    x.g, w1.g, b1.g = l1.g @ w1.t(), x.t() @ l1.g, l1.g.sum(0)

    copies = [t.clone().requires_grad_(True) for t in (x, w1, b1, w2, b2)]
    mse(lin(relu(lin(*copies[:3])), *copies[3:]), y).backward()
    for by_hand, by_autograd in zip((x, w1, b1, w2, b2), copies):
        assert torch.allclose(by_hand.g, by_autograd.grad, rtol=1e-3, atol=1e-5)


def test_the_two_programs_of_the_questionnaire() -> None:
    assert (tensor([1, 2]) + tensor([1])).tolist() == [2, 3]
    with pytest.raises(RuntimeError):
        tensor([1, 2]) + tensor([1, 2, 3])

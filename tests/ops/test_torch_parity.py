"""Every op record agrees with PyTorch, in value and gradient, on the record's own samples."""

import numpy as np
import pytest

from gradus import ops
from gradus.backend import fill_key
from gradus.primitive import REGISTRY
from gradus.tensors import Tensor, wrap
from gradus.testing.columns import _as_function
from gradus.testing.samples import samples_of
from gradus.torch_names.elementwise import ALIASES

torch = pytest.importorskip("torch", reason="parity needs PyTorch: make test installs it")
F = torch.nn.functional
assert ops

# What PyTorch calls an op, where our name (or alias) with the same arguments does not say it.


def _reduce(f):
    return lambda x, axis, keepdims, **more: f(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims, **more)


def _fold(f):
    """A reduction that PyTorch offers over one axis at a time."""

    def folded(x, axis, keepdims):
        if axis is None:
            y = f(x.reshape(-1), 0, False)
            return y.reshape((1,) * x.ndim) if keepdims else y
        return f(x, axis, keepdims)

    return folded


def _prod(x, axis, keepdims):
    for a in sorted([axis] if isinstance(axis, int) else axis, reverse=True):
        x = torch.prod(x, a, keepdims)
    return x


def _key(key, indices):
    return fill_key(key, tuple(indices))


def _scatter_add(x, *indices, shape, key):
    out = torch.zeros(shape, dtype=x.dtype)
    return out.index_put(indices, x, accumulate=True) if indices else out.index_put(_positions(shape, key), x, accumulate=True)


def _positions(shape, key):
    return tuple(
        torch.tensor(p) for p in np.meshgrid(*[np.arange(n)[k] for n, k in zip(shape, (*key, slice(None)), strict=False)], indexing="ij")
    )


def _index_update(x, values, *indices, key):
    y = x.clone()
    y[_key(key, indices)] = values
    return y


def _rms_normalize(x, axis, eps):
    return x * torch.rsqrt((x * x).mean(axis, keepdim=True) + eps)


def _unpadded(x, padding):
    (top, bottom), (left, right) = padding
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def _surrounded(x, padding):
    return F.pad(x, [n for pair in reversed(padding) for n in pair])


def _conv2d(x, w, padding=0, **given):
    uneven = isinstance(padding, tuple) and isinstance(padding[0], tuple)
    return F.conv2d(_surrounded(x, padding) if uneven else x, w, padding=0 if uneven else padding, **given)


def _conv2d_input_gradient(g, w, x_shape, stride, padding, dilation, groups):
    """A transposed convolution, of which the rows that no window reached are missing at the end."""
    y = F.conv_transpose2d(g, w, stride=stride, dilation=dilation, groups=groups)
    size = [n + sum(pad) for n, pad in zip(x_shape[2:], padding, strict=True)]
    return _unpadded(F.pad(y, [0, size[1] - y.shape[3], 0, size[0] - y.shape[2]]), padding)


def _conv2d_weight_gradient(x, g, w_shape, stride, padding, dilation, groups):
    return torch.nn.grad.conv2d_weight(_surrounded(x, padding), w_shape, g, stride, 0, dilation, groups)


def _max_pool2d_gradient(g, x, kernel, stride, padding, dilation):
    padded = F.pad(x, [n for pair in reversed(padding) for n in pair], value=-torch.inf)
    _, places = F.max_pool2d(padded, kernel, stride, 0, dilation, return_indices=True)
    y = torch.zeros_like(padded).flatten(2).scatter_add(2, places.flatten(2), g.flatten(2))
    return _unpadded(y.reshape(padded.shape), padding)


def _sum_pool2d(x, kernel, stride, padding):
    return F.avg_pool2d(_surrounded(x, padding), kernel, stride, divisor_override=1)


def _sum_pool2d_gradient(g, size, kernel, stride, padding):
    """Each cotangent spread by a transposed convolution with ones."""
    ones = torch.ones((g.shape[1], 1, *kernel), dtype=g.dtype)
    return _conv2d_input_gradient(g, ones, (*g.shape[:2], *size), stride, padding, (1, 1), g.shape[1])


def _unfold2d(x, kernel, stride, padding, dilation):
    columns = F.unfold(_surrounded(x, padding), kernel, dilation, 0, stride)
    size = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(x.shape[2:], padding, dilation, kernel, stride, strict=True)]
    return columns.reshape(*x.shape[:2], -1, *size)


def _fold2d(x, size, kernel, stride, padding, dilation):
    padded = [n + sum(pad) for n, pad in zip(size, padding, strict=True)]
    return _unpadded(F.fold(x.flatten(3).flatten(1, 2), padded, kernel, dilation, 0, stride), padding)


PARITY = {
    "zero_safe_mul": torch.mul,
    "checked_squares": lambda *xs: sum(x.square().sum() for x in xs),
    "stop_gradient": lambda x: x.detach(),
    "relu": torch.relu,
    "clip": lambda x, low=None, high=None: torch.clamp(x, low, high),
    "astype": lambda x, dtype: x.to(getattr(torch, dtype)),
    "where": torch.where,
    "softplus": F.softplus,
    "sum": _reduce(torch.sum),
    "mean": _reduce(torch.mean),
    "max": _reduce(torch.amax),
    "min": _reduce(torch.amin),
    "logsumexp": _reduce(torch.logsumexp),
    "var": lambda x, axis, keepdims, correction=0.0: torch.var(x, dim=axis, keepdim=keepdims, correction=correction),
    "std": lambda x, axis, keepdims, correction=0.0: torch.std(x, dim=axis, keepdim=keepdims, correction=correction),
    "norm": lambda x, axis, keepdims: torch.linalg.vector_norm(x, dim=axis, keepdim=keepdims),
    "prod": lambda x, axis, keepdims: _fold(_prod)(x, axis, keepdims) if axis is None else _prod(x, axis, keepdims),
    "all": lambda x, axis, keepdims: torch.all(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims),
    "any": lambda x, axis, keepdims: torch.any(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims),
    "count_nonzero": lambda x, axis, keepdims: torch.sum(x != 0, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims),
    "argmax": _fold(torch.argmax),
    "argmin": _fold(torch.argmin),
    "cumulative_sum": lambda x, axis: torch.cumsum(x, axis),
    "cumulative_prod": lambda x: torch.cumprod(x, -1),
    "reshape": lambda x, shape: x.reshape(shape),
    "permute_dims": lambda x, axes: x.permute(axes),
    "broadcast_to": lambda x, shape: x.broadcast_to(shape),
    "flip": lambda x, axis: torch.flip(x, [axis] if isinstance(axis, int) else axis),
    "roll": lambda x, shift, axis: torch.roll(x, shift, axis),
    "concat": lambda xs, axis: torch.cat(xs, axis),
    "stack": lambda xs, axis: torch.stack(xs, axis),
    "tril": lambda x, k: torch.tril(x, k),
    "triu": lambda x, k: torch.triu(x, k),
    "pad": lambda x, width: F.pad(x, [n for pair in reversed(width) for n in pair]),
    "getitem": lambda x, *indices, key: x[_key(key, indices)],
    "scatter_add": _scatter_add,
    "index_update": _index_update,
    "argsort": lambda x, axis: torch.argsort(x, dim=axis, stable=True),
    "matmul": torch.matmul,
    "einsum": torch.einsum,
    "softmax": lambda x, axis: torch.softmax(x, axis),
    "log_softmax": lambda x, axis: torch.log_softmax(x, axis),
    "linear": F.linear,
    "normalize": lambda x, axis, eps: _rms_normalize(x - x.mean(axis, keepdim=True), axis, eps),
    "gelu": F.gelu,
    "silu": F.silu,
    "rms_normalize": lambda x, axis, eps: _rms_normalize(x, axis, eps),
    "conv2d": _conv2d,
    "conv2d_input_gradient": _conv2d_input_gradient,
    "conv2d_weight_gradient": _conv2d_weight_gradient,
    "max_pool2d": F.max_pool2d,
    "max_pool2d_gradient": _max_pool2d_gradient,
    "sum_pool2d": _sum_pool2d,
    "sum_pool2d_gradient": _sum_pool2d_gradient,
    "unfold2d": _unfold2d,
    "fold2d": _fold2d,
    "softmax_cross_entropy": lambda x, target: F.cross_entropy(x, target, reduction="none"),
}
NO_TWIN = {
    "random_uniform": "another generator",
    "checked_labels": "its input again, or an error",
    "checked_rows": "its input again, or an error",
    "conv_max_pool2d": "conv2d and max_pool2d, which have twins",
    "conv_max_pool2d_weight_gradient": "gradients of conv2d and max_pool2d, which have twins",
    "conv_max_pool2d_input_gradient": "gradients of conv2d and max_pool2d, which have twins",
    "attention": "matmul and softmax, which have twins",
    "attention_gradient": "gradients of matmul and softmax, which have twins",
}


def twin(name):
    if name in PARITY:
        return PARITY[name]
    for alias in (*ALIASES.get(name, ()), name):
        if hasattr(torch, alias):
            return getattr(torch, alias)
    return None


def test_every_op_has_a_twin_or_a_reason():
    assert [name for name in REGISTRY if twin(name) is None and name not in NO_TWIN] == []


def to_torch(arg, dtype):
    if isinstance(arg, list):
        return [to_torch(a, dtype) for a in arg]
    if not isinstance(arg, np.ndarray):
        return arg
    x = torch.tensor(arg)
    return x.to(dtype).requires_grad_() if x.is_floating_point() else x


def leaves(args):
    return [x for arg in args for x in (arg if isinstance(arg, list) else [arg]) if isinstance(x, torch.Tensor) and x.is_floating_point()]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted(set(REGISTRY) - set(NO_TWIN)))
def test_value_and_gradient_agree_with_pytorch(name, dtype):
    record = REGISTRY[name]
    rtol, atol = (1e-10, 1e-10) if dtype == "float64" else (1.3e-6, 1e-5)
    for sample in samples_of(record):
        args = [to_torch(arg, getattr(torch, dtype)) for arg in sample.args]
        expected = twin(name)(*args, **sample.params)
        arrays, f = _as_function(record, sample)
        xs = [wrap(a.astype(dtype)) for a in arrays]
        for x in xs:
            x.requires_grad_()
        y = f(*xs)
        assert tuple(y.shape) == tuple(expected.shape), sample
        if expected.dtype == torch.float64 or expected.dtype == torch.float32:
            assert str(y.dtype) == str(expected.dtype).removeprefix("torch."), sample
        value = y.detach().numpy() if isinstance(y, Tensor) else y
        np.testing.assert_allclose(value, expected.detach().numpy(), rtol=rtol, atol=atol, err_msg=f"{name} {sample}")
        if not record.differentiable:
            assert not getattr(y, "requires_grad", False)
            continue
        if not expected.requires_grad:
            continue
        g = np.random.default_rng(5).standard_normal(y.shape).astype(dtype)
        y.backward(g)
        inputs = leaves(args)
        gradients = torch.autograd.grad(expected, inputs, torch.tensor(g), allow_unused=True)
        for x, wanted in zip(xs, gradients, strict=True):
            wanted = np.zeros(x.shape) if wanted is None else wanted.numpy()
            np.testing.assert_allclose(
                np.zeros(x.shape) if x.grad is None else x.grad.numpy(),
                wanted,
                rtol=rtol,
                atol=atol,
                err_msg=f"gradient of {name} {sample}",
            )

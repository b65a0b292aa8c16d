"""Normalisation: values less their mean, over their standard deviation. Which values share the two is all that tells the kinds apart.

=============  ==========================================================
batch norm     each channel, over the batch and all positions
layer norm     each row, over its last axes
group norm     each image, over a group of its channels and all positions
RMS norm       as layer norm, with the root mean square and no mean
=============  ==========================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import ShapeError, UsageError
from gradus.ops.reduction import count
from gradus.primitive import bind, normalize_axes, primitive


def normalize_reference(x: Any, axis: Any, eps: float) -> Any:
    """The definition, in ops: (x - mean) / sqrt(var + eps), with the variance that divides by n."""
    centred = x - ops.mean(x, axis=axis, keepdims=True)
    return centred / ops.sqrt(ops.mean(ops.square(centred), axis=axis, keepdims=True) + eps)


def rms_normalize_reference(x: Any, axis: Any, eps: float) -> Any:
    """The definition, in ops: x / sqrt(mean(x²) + eps)."""
    return x / ops.sqrt(ops.mean(ops.square(x), axis=axis, keepdims=True) + eps)


def _normalize(xp: Any, x: Any, *, axis: Any, eps: float) -> Any:
    centred = x - xp.mean(x, axis=axis, keepdims=True)
    return centred * xp.rsqrt(xp.mean(centred * centred, axis=axis, keepdims=True) + eps)


def _normalize_rule(xp: Any, g: Any, x: Any, y: Any, axis: Any, eps: float) -> Any:
    # What the mean and the scale take away: the parts of g along the constant and along y.
    scale = xp.rsqrt(xp.var(x, axis=axis, keepdims=True, correction=0.0) + eps)
    return (g - xp.mean(g, axis=axis, keepdims=True) - y * xp.mean(g * y, axis=axis, keepdims=True)) * scale


def _rms_normalize(xp: Any, x: Any, *, axis: Any, eps: float) -> Any:
    return x * xp.rsqrt(xp.mean(x * x, axis=axis, keepdims=True) + eps)


def _rms_normalize_rule(xp: Any, g: Any, x: Any, y: Any, axis: Any, eps: float) -> Any:
    scale = xp.rsqrt(xp.mean(x * x, axis=axis, keepdims=True) + eps)
    return (g - y * xp.mean(g * y, axis=axis, keepdims=True)) * scale


def _mean_square(x: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    """The mean of squares over some axes, kept: one pass without a copy of x."""
    letters = "abcdefghijklmnop"[: x.ndim]
    left = "".join(c for k, c in enumerate(letters) if k not in axis)
    total = np.einsum(f"{letters},{letters}->{left}", x, x).reshape([1 if k in axis else n for k, n in enumerate(x.shape)])
    return total * (1.0 / max(count(x.shape, axis), 1))


def _normalize_raw(x: np.ndarray, *, axis: tuple[int, ...], eps: float) -> np.ndarray:
    y = x - np.add.reduce(x, axis=axis, keepdims=True) * (1.0 / max(count(x.shape, axis), 1))
    y *= 1.0 / np.sqrt(_mean_square(y, axis) + eps)
    return y


def _rms_normalize_raw(x: np.ndarray, *, axis: tuple[int, ...], eps: float) -> np.ndarray:
    return x * (1.0 / np.sqrt(_mean_square(x, axis) + eps))


SAMPLES: Any = lambda draw: [
    ((draw(3, 4),), {"axis": -1, "eps": 1e-5}),
    ((draw(4, 3),), {"axis": 0, "eps": 0.1}),
    ((draw(2, 3, 2, 2),), {"axis": (0, 2, 3), "eps": 1e-5}),
    ((draw(0, 3),), {"axis": 1, "eps": 1e-5}),
]


@primitive(
    "normalize",
    _normalize,
    (_normalize_rule,),
    family="fused",
    dtype_rule="floating",
    samples=SAMPLES,
    raw=_normalize_raw,
)
def normalize(record: Any, x: Any, /, axis: Any, eps: float) -> Any:
    """(x - mean) / sqrt(var + eps) over some axes, with the variance that divides by n."""
    return bind(record, (x,), {"axis": normalize_axes(axis, x.ndim), "eps": eps})


@primitive(
    "rms_normalize",
    _rms_normalize,
    (_rms_normalize_rule,),
    family="fused",
    dtype_rule="floating",
    samples=SAMPLES,
    raw=_rms_normalize_raw,
)
def rms_normalize(record: Any, x: Any, /, axis: Any, eps: float) -> Any:
    """x / sqrt(mean(x²) + eps) over some axes."""
    return bind(record, (x,), {"axis": normalize_axes(axis, x.ndim), "eps": eps})


def _affine(y: Any, weight: Any, bias: Any) -> Any:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _last_axes(name: str, x: Any, normalized_shape: Sequence[int], weight: Any, bias: Any) -> tuple[int, ...]:
    """The axes that ``normalized_shape`` names from the end; E03 if they, or a parameter, have other lengths."""
    shape = tuple(normalized_shape)
    if not shape:
        raise UsageError(f"{name} needs an axis to normalise", got="normalized_shape=()", wanted="one length or more", code="E29")
    if tuple(x.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"Given normalized_shape={list(shape)}, expected input with shape {['*', *shape]}, but got input of size {list(x.shape)}",
            got=f"x of shape {tuple(x.shape)}",
            wanted=f"the last axes {shape}",
            fix=f"nn.LayerNorm({x.shape[-1]})" if len(shape) == 1 and x.ndim else "",
            code="E03",
        )
    for part, value in (("weight", weight), ("bias", bias)):
        if value is not None and tuple(value.shape) != shape:
            got = f"{part} of shape {tuple(value.shape)}"
            raise ShapeError(f"{name} needs a {part} of the normalised shape", got=got, wanted=str(shape), code="E03")
    return tuple(range(x.ndim - len(shape), x.ndim))


def layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    r""":math:`(x - \mu) / \sqrt{\sigma^2 + \epsilon} \cdot w + b`, with mean and variance over the last axes (Ba, Kiros, Hinton 2016).

    Args:
        input: (…, \*normalized_shape), floating.
        normalized_shape: the lengths of the axes that share a mean.
        weight: factors, of that shape.
        bias: summands, of that shape.
        eps: keeps the root away from 0.

    Raises:
        ShapeError: the last axes, a weight or a bias of another shape (E03).

    >>> from gradus.tensors import Tensor
    >>> layer_norm(Tensor([[1.0, 2.0, 3.0]]), (3,))
    tensor([[-1.2247,  0.0000,  1.2247]])
    """
    return _affine(normalize(input, axis=_last_axes("layer_norm", input, normalized_shape, weight, bias), eps=eps), weight, bias)


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    r""":math:`x / \sqrt{mean(x^2) + \epsilon} \cdot w` over the last axes (Zhang, Sennrich 2019).

    Args:
        input: (…, \*normalized_shape), floating.
        normalized_shape: the lengths of the axes that share a root mean square.
        weight: factors, of that shape.
        eps: added to the mean of squares; None: the distance from 1 to the next number of the dtype.

    >>> from gradus.tensors import Tensor
    >>> rms_norm(Tensor([[3.0, 4.0]]), (2,))
    tensor([[0.8485, 1.1314]])
    """
    axis = _last_axes("rms_norm", input, normalized_shape, weight, None)
    return _affine(rms_normalize(input, axis=axis, eps=float(np.finfo(input.dtype).eps) if eps is None else eps), weight, None)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Mean and variance over each group of channels of each image, with all its positions (Wu, He 2018).

    Args:
        input: (B, C, …), floating.
        num_groups: how many groups the C channels are parted into.
        weight: (C,), a factor a channel.
        bias: (C,), a summand a channel.
        eps: keeps the root away from 0.

    Raises:
        ShapeError: no channel axis, or a number of channels that the groups do not divide (E03).

    >>> from gradus.tensors import Tensor
    >>> group_norm(Tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    if input.ndim < 2:
        raise ShapeError(
            "Expected at least 2 dimensions for input tensor", got=f"shape {tuple(input.shape)}", wanted="(B, C, …)", code="E03"
        )
    batch, channels = input.shape[:2]
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(input.shape)} "
            f"and num_groups={num_groups}",
            wanted="a divisor of the number of channels",
            code="E03",
        )
    _check_channels("group_norm", channels, weight=weight, bias=bias)
    size = channels // num_groups * math.prod(input.shape[2:])
    y = ops.reshape(normalize(ops.reshape(input, (batch, num_groups, size)), axis=2, eps=eps), tuple(input.shape))
    return _affine(y, _along_channels(weight, input.ndim), _along_channels(bias, input.ndim))


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Mean and variance of each channel, over the batch and all positions (Ioffe, Szegedy 2015).

    Args:
        input: (B, C) or (B, C, …), floating.
        running_mean: (C,), moved towards the batch's mean in training, used as the mean otherwise; or None.
        running_var: (C,), likewise with the variance that divides by n - 1.
        weight: (C,), a factor a channel.
        bias: (C,), a summand a channel.
        training: whether the batch's own statistics normalise.
        momentum: share of the batch in what the running statistics become; a number or a tensor that holds one.
        eps: keeps the root away from 0.

    Raises:
        ShapeError: one value a channel while training, for which there is no variance; parameters of another length (E03).

    >>> from gradus.tensors import Tensor
    >>> batch_norm(Tensor([[1.0, 4.0], [3.0, 8.0]]), None, None, training=True)
    tensor([[-1.0000, -1.0000],
            [ 1.0000,  1.0000]])
    """
    if input.ndim < 2:
        raise ShapeError("batch_norm needs a channel axis", got=f"shape {tuple(input.shape)}", wanted="(B, C) or (B, C, …)", code="E03")
    _check_channels("batch_norm", input.shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    ndim = input.ndim
    if training:
        axis = (0, *range(2, ndim))
        if count(input.shape, axis) == 1:
            raise _one_value(input)
        if 0 not in input.shape:
            _move_statistics(ops.stop_gradient(input), axis, running_mean, running_var, momentum)
        return _affine(normalize(input, axis=axis, eps=eps), _along_channels(weight, ndim), _along_channels(bias, ndim))
    if running_mean is None or running_var is None:
        raise UsageError("Expected running_mean and running_var to be defined when training=False", fix="training=True", code="E29")
    # One factor and one summand a channel: two passes over the input instead of four.
    factor = ops.rsqrt(running_var + eps)
    factor = factor if weight is None else factor * weight
    summand = -running_mean * factor
    summand = summand if bias is None else summand + bias
    return input * _along_channels(factor, ndim) + _along_channels(summand, ndim)


def _along_channels(value: Any, ndim: int) -> Any:
    """(C,) as it broadcasts to (B, C, …)."""
    return value if value is None or ndim == 2 else ops.reshape(value, (-1,) + (1,) * (ndim - 2))


def _move_statistics(x: Any, axis: tuple[int, ...], running_mean: Any, running_var: Any, momentum: Any) -> None:
    """In place: running = (1 - momentum) · running + momentum · batch."""
    statistics = [(running_mean, ops.mean(x, axis=axis)), (running_var, ops.var(x, axis=axis, correction=1.0))]
    for running, batch in statistics:
        if running is not None:
            running.mul_(1.0 - momentum).add_(batch * momentum)


def _check_channels(name: str, channels: int, **parts: Any) -> None:
    for part, value in parts.items():
        if value is not None and tuple(value.shape) != (channels,):
            raise ShapeError(
                f"{name}: {part} should contain {channels} elements, not {math.prod(value.shape)}",
                got=f"{part} of shape {tuple(value.shape)}, {channels} channels",
                wanted=f"shape ({channels},)",
                code="E03",
            )


def _one_value(x: Any) -> ShapeError:
    return ShapeError(
        f"Expected more than 1 value per channel when training, got input size {list(x.shape)}",
        got=f"x of shape {tuple(x.shape)}",
        wanted="two rows or more: one value has no variance",
        why="the last batch of an epoch holds what the others left",
        fix="DataLoader(…, drop_last=True), or model.eval()",
        code="E03",
    )

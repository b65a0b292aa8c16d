"""LayerNorm, GroupNorm and RMSNorm: normalisation that looks at one example at a time, the same in training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradus.errors import UsageError
from gradus.fused.norm import group_norm, layer_norm, rms_norm
from gradus.nn import init
from gradus.nn.linear import dtype_error
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor
from gradus.torch_names import empty


def _lengths(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class _Norm(Module):
    """What the three share: a weight of ones and a bias of zeros, which may be absent."""

    weight: Parameter | None
    bias: Parameter | None

    def _make(self, shape: Sequence[int], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        self.register_parameter("weight", Parameter(empty(*shape, device=device, dtype=dtype)) if weight else None)
        self.register_parameter("bias", Parameter(empty(*shape, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check(self, x: Any) -> None:
        if not isinstance(x, Tensor) or x.dtype.kind != "f" or (self.weight is not None and x.dtype != self.weight.dtype):
            known = self.weight
            raise dtype_error(self, x, np.dtype(np.float32) if known is None else known.dtype, "" if known is None else "weight")


class LayerNorm(_Norm):
    r""":math:`y = (x - \mu) / \sqrt{\sigma^2 + \epsilon} \cdot w + b`, with mean and variance over the last axes (Ba et al. 2016).

    Args:
        normalized_shape: the length of the last axis, or the lengths of several.
        eps: added to the variance.
        elementwise_affine: whether there is a weight.
        bias: whether there is a bias beside it.
        device: "cpu" or None.
        dtype: of weight and bias; float32 when not given.

    Shape:
        ``x`` (…, \*normalized_shape); output the same.

    Raises:
        ShapeError: the last axes have other lengths (E03).

    Example:
        >>> import gradus
        >>> LayerNorm(3)(gradus.tensor([[1.0, 2.0, 3.0]])).detach()
        tensor([[-1.2247,  0.0000,  1.2247]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.normalized_shape, self.eps, self.elementwise_affine = _lengths(normalized_shape), eps, elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` normalised over its last axes."""
        self._check(x)
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The lengths and options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"


class RMSNorm(_Norm):
    r""":math:`y = x / \sqrt{mean(x^2) + \epsilon} \cdot w` over the last axes (Zhang, Sennrich 2019).

    Args:
        normalized_shape: the length of the last axis, or the lengths of several.
        eps: added to the mean of squares; None: the distance from 1 to the next number of the input's dtype.
        elementwise_affine: whether there is a weight.
        device: "cpu" or None.
        dtype: of the weight; float32 when not given.

    Shape:
        ``x`` (…, \*normalized_shape); output the same.

    Example:
        >>> import gradus
        >>> RMSNorm(2)(gradus.tensor([[3.0, 4.0]])).detach()
        tensor([[0.8485, 1.1314]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.normalized_shape, self.eps, self.elementwise_affine = _lengths(normalized_shape), eps, elementwise_affine
        self.register_parameter(
            "weight", Parameter(empty(*self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` over its root mean square."""
        self._check(x)
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The lengths and options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Norm):
    """Mean and variance over each group of channels of each image, with all its positions (Wu, He 2018).

    Args:
        num_groups: how many groups the channels are parted into.
        num_channels: number of channels C; a multiple of ``num_groups``.
        eps: added to the variance.
        affine: whether there are weight and bias, one a channel.
        device: "cpu" or None.
        dtype: of weight and bias; float32 when not given.
        bias: whether there is a bias beside the weight.

    Shape:
        ``x`` (B, C, …); output the same.

    Example:
        >>> import gradus
        >>> GroupNorm(2, 4)(gradus.tensor([[1.0, 3.0, 10.0, 30.0]])).detach()
        tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise UsageError(
                "num_channels must be divisible by num_groups",
                got=f"num_channels={num_channels}, num_groups={num_groups}",
                wanted="groups of equal size",
                code="E29",
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make((num_channels,), affine, affine and bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` normalised group by group."""
        self._check(x)
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Groups, channels and options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"

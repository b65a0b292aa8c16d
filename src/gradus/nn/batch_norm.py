"""BatchNorm1d and BatchNorm2d: each channel to mean 0 and variance 1 over the batch, with running statistics for evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus.errors import ShapeError
from gradus.fused.norm import batch_norm
from gradus.nn import init
from gradus.nn.linear import dtype_error
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor, wrap
from gradus.torch_names import empty


class _BatchNorm(Module):
    r"""What both share: parameters, running statistics, the call."""

    weight: Parameter | None  # (num_features,)
    bias: Parameter | None  # (num_features,)
    running_mean: Tensor | None  # (num_features,)
    running_var: Tensor | None  # (num_features,)
    num_batches_tracked: Tensor | None  # (), int64

    AXES: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(empty(num_features, device=device, dtype=dtype)) if wanted else None)
        self.register_buffer("running_mean", empty(num_features, dtype=dtype) if track_running_stats else None)
        self.register_buffer("running_var", empty(num_features, dtype=dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", wrap(np.zeros((), np.int64)) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, running statistics as at the start."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, ...) -> (B, C, ...)
        """Normalised by the batch's statistics in training, or where none are kept; else by the running ones."""
        self._check(x)
        momentum: Any = self.momentum
        if self.training and self.num_batches_tracked is not None and self.running_mean is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1.0 / self.num_batches_tracked.to(self.running_mean.dtype)
        kept = not self.training or self.track_running_stats
        return batch_norm(
            x,
            self.running_mean if kept else None,
            self.running_var if kept else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def _check(self, x: Tensor) -> None:
        known = self.weight if self.weight is not None else self.running_mean
        if not isinstance(x, Tensor) or x.dtype.kind != "f" or (known is not None and x.dtype != known.dtype):
            of = "" if known is None else "running statistics" if known is self.running_mean else "weight"
            raise dtype_error(self, x, np.dtype(np.float32) if known is None else known.dtype, of)
        if x.ndim not in self.AXES or x.shape[1] != self.num_features:
            wanted = " or ".join(f"{n}D" for n in self.AXES)
            shape = tuple(x.shape)
            raise ShapeError(
                f"expected {wanted} input (got {x.ndim}D input)"
                if x.ndim not in self.AXES
                else f"{self.caption()} got {shape[1]} channels instead of {self.num_features}",
                got=f"x of shape {shape}",
                wanted=f"{wanted} with {self.num_features} channels on axis 1",
                fix=f"nn.{type(self).__name__}({shape[1]})" if x.ndim in self.AXES else "",
                code="E03",
            )

    def extra_repr(self) -> str:
        """Channels and options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    r""":math:`y = (x - \mu_c) / \sqrt{\sigma_c^2 + \epsilon} \cdot w_c + b_c` for each channel c (Ioffe, Szegedy 2015).

    In training, mean and variance are those of the batch (the variance divides by n), and the running statistics move towards them (there
    it divides by n - 1). In evaluation the running statistics take their place.

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: share of the new batch in the running statistics; None: the plain average of all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether running statistics are kept; without them the batch's own serve in evaluation too.
        device: "cpu" or None.
        dtype: of parameters and statistics; float32 when not given.
        bias: whether there is a bias beside the weight.

    Shape:
        ``x`` (B, C) or (B, C, T); output the same.

    Attributes:
        weight: (C,), 1 at the start; bias: (C,), 0 at the start.
        running_mean, running_var: (C,), 0 and 1 at the start.
        num_batches_tracked: how many batches were seen, int64.

    Raises:
        ShapeError: another number of channels or axes; one value a channel in training (E03).

    Example:
        >>> import gradus
        >>> BatchNorm1d(2)(gradus.tensor([[1.0, 4.0], [3.0, 8.0]])).detach()
        tensor([[-1.0000, -1.0000],
                [ 1.0000,  1.0000]])
    """

    AXES = (2, 3)


class BatchNorm2d(_BatchNorm):
    """:class:`BatchNorm1d` for images: mean and variance over the batch and all pixels of a channel.

    Shape:
        ``x`` (B, C, H, W); output the same.

    Example:
        >>> import gradus
        >>> BatchNorm2d(3)(gradus.randn(4, 3, 5, 5)).shape
        Size([4, 3, 5, 5])
    """

    AXES = (4,)

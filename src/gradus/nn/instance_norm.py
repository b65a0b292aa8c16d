"""InstanceNorm1d and InstanceNorm2d: each channel of each image to mean 0 and variance 1 over its own positions."""

from __future__ import annotations

from typing import Any

from gradus import ops
from gradus.errors import ShapeError
from gradus.fused.norm import batch_norm, group_norm
from gradus.nn.batch_norm import _BatchNorm
from gradus.tensors import Tensor


class _InstanceNorm(_BatchNorm):
    """What both share. State and options are those of batch normalisation; by default there is none of either."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, ...) -> (B, C, ...)
        """Normalised by each image's own statistics, or in evaluation by the running ones where they are kept."""
        if isinstance(x, Tensor) and x.ndim == self.AXES[0] - 1:
            return self.forward(x.unsqueeze(0)).squeeze(0)
        self._check(x)
        if not self.training and self.running_mean is not None:
            return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        axis = tuple(range(2, x.ndim))
        if all(x.shape[k] == 1 for k in axis):
            raise ShapeError(
                f"Expected more than 1 spatial element when training, got input size {list(x.shape)}",
                got=f"x of shape {tuple(x.shape)}",
                wanted="two positions or more in a channel: one value has no variance",
                fix=f"nn.BatchNorm{len(axis)}d({self.num_features})",
                code="E03",
            )
        if self.training and self.running_mean is not None and 0 not in x.shape:
            self._move_statistics(ops.stop_gradient(x), axis)
        return group_norm(x, self.num_features, self.weight, self.bias, self.eps)

    def _move_statistics(self, x: Tensor, axis: tuple[int, ...]) -> None:
        share = 0.0 if self.momentum is None else self.momentum
        found = ((self.running_mean, ops.mean(x, axis=axis)), (self.running_var, ops.var(x, axis=axis, correction=1.0)))
        for running, each in found:
            if running is not None:
                running.mul_(1.0 - share).add_(ops.mean(each, axis=0) * share)


class InstanceNorm1d(_InstanceNorm):
    r""":math:`y = (x - \mu_{bc}) / \sqrt{\sigma_{bc}^2 + \epsilon} \cdot w_c + b_c` for channel c of example b (Ulyanov and others 2016).

    Training and evaluation are alike, unless running statistics are kept. A :class:`~gradus.nn.GroupNorm` of as many groups as channels.

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: share of the new batch in the running statistics; None: they stay as they are.
        affine: whether there are weight and bias.
        track_running_stats: whether running statistics are kept, for evaluation.
        device: "cpu" or None.
        dtype: of parameters and statistics; float32 when not given.
        bias: whether there is a bias beside the weight.

    Shape:
        ``x`` (B, C, T) or (C, T); output the same.

    Raises:
        ShapeError: another number of channels or axes; one position alone (E03).
        DTypeError: integers, or another dtype than that of weight or running statistics (E14).

    Example:
        >>> import gradus
        >>> InstanceNorm1d(2)(gradus.tensor([[[1.0, 3.0], [4.0, 8.0]]]))
        tensor([[[-1.0000,  1.0000],
                 [-1.0000,  1.0000]]])
    """

    AXES = (3,)


class InstanceNorm2d(_InstanceNorm):
    """:class:`InstanceNorm1d` for images: mean and variance over the pixels of one channel of one image.

    Shape:
        ``x`` (B, C, H, W) or (C, H, W); output the same.

    Example:
        >>> import gradus
        >>> InstanceNorm2d(3)(gradus.randn(4, 3, 5, 5)).shape
        Size([4, 3, 5, 5])
    """

    AXES = (4,)

"""Conv1d and Conv2d: one small linear layer, slid over sequences or images."""

from __future__ import annotations

import math
from typing import Any

from gradus.errors import ShapeError, UsageError
from gradus.fused.conv import conv1d, conv2d, pad_borders, paddings
from gradus.fused.unfold import ints
from gradus.nn import init
from gradus.nn.linear import dtype_error
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor
from gradus.torch_names import empty

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What convolutions of any number of axes share."""

    axes = 0
    convolve: Any = None
    weight: Parameter  # (out_channels, in_channels / groups, *kernel_size)
    bias: Parameter | None  # (out_channels,)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.in_channels, self.out_channels, self.groups, self.padding_mode = in_channels, out_channels, groups, padding_mode
        self.kernel_size = ints(kernel_size, self.axes, "kernel_size")
        self.stride, self.dilation = ints(stride, self.axes, "stride"), ints(dilation, self.axes, "dilation")
        self._around = paddings(padding, self.kernel_size, self.stride, self.dilation)  # refuses what is no padding
        self.padding = padding if isinstance(padding, str) else ints(padding, self.axes, "padding", least=0)
        ints(groups, 1, "groups")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                what, wanted = f"{name} must be divisible by groups", f"a multiple of {groups}"
                raise UsageError(what, got=f"{name}={channels}, groups={groups}", wanted=wanted, code="E29")
        if padding_mode not in PADDING_MODES:
            raise UsageError(f"there is no padding_mode {padding_mode!r}", wanted="one of " + ", ".join(PADDING_MODES), code="E29")
        self.weight = Parameter(empty(out_channels, in_channels // groups, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, from U(-k, k) with k = 1/sqrt(in_channels / groups · places in a kernel), as Linear does."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:  # (B, in_channels, ...) -> (B, out_channels, ...)
        """The windows of ``x`` times ``weight``, plus ``bias``."""
        w = self.weight
        if not isinstance(x, Tensor) or x.dtype != w.dtype:
            raise dtype_error(self, x)
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            x, padding = pad_borders(x, self._around, self.padding_mode), 0
        try:
            return type(self).convolve(x, w, self.bias, self.stride, padding, self.dilation, self.groups)
        except ShapeError as error:
            if error.code == "E04":
                error.what = f"{self.caption()}: {error.what}"
            raise

    def extra_repr(self) -> str:
        """Channels, sizes, and what differs from the defaults."""
        ones, zeros = (1,) * self.axes, (0,) * self.axes
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        parts += [f"padding={self.padding}"] * (self.padding != zeros)
        parts += [f"dilation={self.dilation}"] * (self.dilation != ones)
        parts += [f"groups={self.groups}"] * (self.groups != 1)
        parts += ["bias=False"] * (self.bias is None)
        parts += [f"padding_mode={self.padding_mode}"] * (self.padding_mode != "zeros")
        return ", ".join(parts)

    def caption(self) -> str:
        """``Conv2d 1 -> 32``."""
        return f"{type(self).__name__} {self.in_channels} -> {self.out_channels}"


class Conv1d(_Conv):
    r"""Convolution of sequences: :math:`y_{b,o,t} = b_o + \sum_{c,k} w_{o,c,k} \, x_{b,c,t \cdot stride + k \cdot dilation - padding}`.

    Args:
        in_channels, out_channels: lengths of axis 1 of ``x`` and ``y``.
        kernel_size: places in a window.
        stride: step between windows.
        padding: values added on both sides; or "valid" (none), "same" (``y`` as long as ``x``).
        dilation: step between the places in a window.
        groups: parts into which the channels fall, each of which sees its own inputs alone.
        bias: whether there is one.
        padding_mode: what is added: "zeros", "reflect", "replicate" (the outermost value), or "circular".
        device: "cpu" or None.
        dtype: of weight and bias; float32 when not given.

    Shape:
        ``x`` (B, in_channels, L) or (in_channels, L); ``y`` (B, out_channels, windows) with
        windows = ⌊(L + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel_size), drawn from U(-k, k) with k = 1/sqrt(in_channels / groups · kernel_size).
        bias: (out_channels,), drawn likewise, or None.

    Example:
        >>> import gradus
        >>> Conv1d(3, 8, 5, padding=2)(gradus.ones(2, 3, 100)).shape
        Size([2, 8, 100])
    """

    axes = 1
    convolve = staticmethod(conv1d)


class Conv2d(_Conv):
    r"""Convolution of images: each output channel is the sum over input channels of images cross-correlated with a small kernel.

    .. math:: y_{b,o,i,j} = b_o + \sum_{c,k,l} w_{o,c,k,l} \, x_{b,c,\, i \cdot s + k \cdot d - p,\, j \cdot s + l \cdot d - p}

    with stride s, dilation d, padding p (LeCun et al. 1989).

    Args:
        in_channels, out_channels: lengths of axis 1 of ``x`` and ``y``.
        kernel_size, stride, padding, dilation: one number, or (h, w); ``padding`` also "valid" (none) or "same" (``y`` as large as ``x``).
        groups: parts into which the channels fall, each of which sees its own inputs alone.
        bias: whether there is one.
        padding_mode: what is added around: "zeros", "reflect", "replicate" (the outermost value), or "circular".
        device: "cpu" or None.
        dtype: of weight and bias; float32 when not given.

    Shape:
        ``x`` (B, in_channels, H, W) or (in_channels, H, W); ``y`` (B, out_channels, H', W') with
        H' = ⌊(H + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1, and W' likewise.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel h, kernel w), drawn from U(-k, k) with
            k = 1/sqrt(in_channels / groups · kernel h · kernel w), as in PyTorch.
        bias: (out_channels,), drawn likewise, or None.

    Example:
        >>> import gradus
        >>> Conv2d(1, 32, 3, padding=1)(gradus.ones(5, 1, 28, 28)).shape
        Size([5, 32, 28, 28])
    """

    axes = 2
    convolve = staticmethod(conv2d)

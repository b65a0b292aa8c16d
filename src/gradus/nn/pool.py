"""Pooling layers: each window of a sequence or an image becomes one value."""

from __future__ import annotations

from typing import Any

from gradus.fused.avg_pool import adaptive_avg_pool1d, adaptive_avg_pool2d, avg_pool1d, avg_pool2d
from gradus.fused.pool import max_pool1d, max_pool2d
from gradus.fused.unfold import ints
from gradus.nn.module import Module
from gradus.tensors import Tensor


class MaxPool2d(Module):
    """The largest value of each window.

    Args:
        kernel_size: of a window, as ``stride``, ``padding`` and ``dilation`` one number or (h, w).
        stride: step between windows; ``kernel_size`` when not given.
        padding: on both sides, at most half a window; what is padded is never the largest.
        dilation: step between the places in a window.
        return_indices: give also where the largest values are, counted row by row in each image.
        ceil_mode: whether a last window that hangs over the edge counts.

    Shape:
        ``x`` (B, C, H, W) or (C, H, W); ``y`` (B, C, H', W') with H' = ⌊(H + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1.

    Example:
        >>> import gradus
        >>> MaxPool2d(2)(gradus.ones(5, 32, 28, 28)).shape
        Size([5, 32, 14, 14])
    """

    pool: Any = staticmethod(max_pool2d)

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, x: Tensor) -> Any:
        """The largest values; with ``return_indices`` a pair."""
        return type(self).pool(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(MaxPool2d):
    """The largest value of each window of a sequence: :class:`MaxPool2d` for (B, C, L) or (C, L).

    Example:
        >>> import gradus
        >>> MaxPool1d(2)(gradus.tensor([[1.0, 5.0, 2.0, 3.0]]))
        tensor([[5., 3.]])
    """

    pool = staticmethod(max_pool1d)


class AvgPool2d(Module):
    """The mean of each window.

    Args:
        kernel_size, stride, padding, ceil_mode: as of :class:`MaxPool2d`; what is padded is 0.
        count_include_pad: whether padded zeros count where the sum is divided by the number of values.
        divisor_override: divide by this instead.

    Shape:
        ``x`` (B, C, H, W) or (C, H, W); ``y`` (B, C, H', W') with H' = ⌊(H + 2·padding - kernel_size) / stride⌋ + 1.

    Example:
        >>> import gradus
        >>> AvgPool2d(2)(gradus.tensor([[[1.0, 2.0], [3.0, 6.0]]]))
        tensor([[[3.]]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        """The means."""
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(Module):
    """The mean of each window of a sequence: :class:`AvgPool2d` for (B, C, L) or (C, L).

    Example:
        >>> import gradus
        >>> AvgPool1d(2)(gradus.tensor([[1.0, 5.0, 2.0, 3.0]]))
        tensor([[3.0000, 2.5000]])
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True
    ) -> None:
        self.kernel_size = ints(kernel_size, 1, "kernel_size")
        self.stride = self.kernel_size if stride is None else ints(stride, 1, "stride")
        self.padding = ints(padding, 1, "padding", least=0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """The means."""
        return avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean of windows chosen so that the output has a given size, whatever the input's; 1 is the mean of each image.

    Args:
        output_size: one number or (h, w); None stands for the input's own length.

    Example:
        >>> import gradus
        >>> AdaptiveAvgPool2d((7, None))(gradus.ones(5, 8, 30, 20)).shape
        Size([5, 8, 7, 20])
    """

    pool: Any = staticmethod(adaptive_avg_pool2d)

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """The means."""
        return type(self).pool(x, self.output_size)

    def extra_repr(self) -> str:
        """The size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptiveAvgPool2d):
    """:class:`AdaptiveAvgPool2d` for sequences, (B, C, L) or (C, L).

    Example:
        >>> import gradus
        >>> AdaptiveAvgPool1d(1)(gradus.ones(5, 8, 30)).shape
        Size([5, 8, 1])
    """

    pool = staticmethod(adaptive_avg_pool1d)

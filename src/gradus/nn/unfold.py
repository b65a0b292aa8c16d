"""Unfold and Fold: the windows of images as columns, and columns put back."""

from __future__ import annotations

from typing import Any

from gradus.fused.unfold import fold, unfold
from gradus.nn.module import Module
from gradus.tensors import Tensor


class Unfold(Module):
    """The windows of images as columns: what a convolution multiplies its kernels with.

    Args:
        kernel_size, dilation, padding, stride: of the windows; one number or (h, w).

    Shape:
        ``x`` (B, C, H, W) or (C, H, W); ``y`` (B, C · kernel h · kernel w, windows) or without B.

    Example:
        >>> import gradus
        >>> Unfold(3)(gradus.ones(5, 2, 8, 8)).shape
        Size([5, 18, 36])
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Tensor) -> Tensor:
        """The columns."""
        return unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Columns put back where :class:`Unfold` reads them, overlaps added.

    Args:
        output_size: height and width of the images.
        kernel_size, dilation, padding, stride: of the windows; one number or (h, w).

    Shape:
        ``x`` (B, C · kernel h · kernel w, windows) or without B; ``y`` (B, C, *output_size) or without B.

    Example:
        >>> import gradus
        >>> Fold(8, 3)(gradus.ones(5, 18, 36)).shape
        Size([5, 2, 8, 8])
    """

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        self.output_size = output_size
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Tensor) -> Tensor:
        """The images."""
        return fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )

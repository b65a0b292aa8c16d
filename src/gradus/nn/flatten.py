"""Flatten and Unflatten: images to vectors, and an axis to several."""

from __future__ import annotations

from gradus.nn.linear import dtype_error
from gradus.nn.module import Module
from gradus.tensors import Tensor


class Flatten(Module):
    """Makes one axis of the axes ``start_dim`` … ``end_dim``; by default of all but the first, which is the batch.

    Args:
        start_dim: first axis.
        end_dim: last axis, included.

    Shape:
        (B, C, H, W) to (B, C * H * W) by default.

    Example:
        >>> import gradus
        >>> Flatten()(gradus.ones(5, 28, 28)).shape
        Size([5, 784])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """``x.flatten(start_dim, end_dim)``."""
        if not isinstance(x, Tensor):
            raise dtype_error(self, x)
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The two axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Makes several axes of one: the inverse of :class:`Flatten`.

    Args:
        dim: the axis.
        unflattened_size: the lengths of the axes that take its place; one may be -1.

    Example:
        >>> import gradus
        >>> Unflatten(1, (1, 28))(gradus.ones(5, 28, 28)).shape
        Size([5, 1, 28, 28])
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, x: Tensor) -> Tensor:
        """``x.unflatten(dim, unflattened_size)``."""
        if not isinstance(x, Tensor):
            raise dtype_error(self, x)
        return x.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The axis and the lengths."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"

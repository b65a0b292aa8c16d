"""Dropout: noise that keeps a network from leaning on single activations."""

from __future__ import annotations

from gradus.errors import UsageError
from gradus.fused.dropout import dropout
from gradus.nn.module import Module
from gradus.tensors import Tensor


class Dropout(Module):
    """In training, zeroes each element with probability ``p`` and scales the others by 1/(1 - p); else passes ``x`` through.

    So the expected value is the same in both modes (Srivastava et al. 2014). Random bits come from Gradus' default generator.

    Args:
        p: probability of zeroing, in [0, 1].
        inplace: accepted for PyTorch's sake; a new tensor is made all the same.

    Example:
        >>> import gradus
        >>> Dropout(0.5).eval()(gradus.ones(3))
        tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0.0 <= p <= 1.0:
            raise UsageError(f"dropout cannot have p = {p}", got=f"p = {p}", wanted="a probability in [0, 1]", code="E29")
        self.p, self.inplace = p, inplace

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with noise in training mode."""
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"

"""Embedding: a table whose rows stand for words, characters or other numbered things."""

from __future__ import annotations

from typing import Any, Self

from gradus.autograd import no_grad
from gradus.errors import ShapeError
from gradus.fused.embedding import embedding, padding_row, refuse_options
from gradus.nn import init
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor
from gradus.torch_names import empty, tensor


class Embedding(Module):
    """``y[…] = weight[x[…]]``: the number of a thing becomes a vector that is learnt.

    Args:
        num_embeddings: number of rows.
        embedding_dim: length of a row.
        padding_idx: a row that starts at zero and gets no gradient; negative numbers count from the end.
        max_norm, norm_type, scale_grad_by_freq, sparse: PyTorch's options, refused unless at their defaults.
        device: "cpu" or None.
        dtype: of the table; float32 when not given.

    Shape:
        ``x`` (…) of an integer dtype; output (…, embedding_dim).

    Attributes:
        weight: (num_embeddings, embedding_dim), drawn from N(0, 1).

    Raises:
        IndexRangeError: a number outside 0 … num_embeddings - 1 (E41).

    Example:
        >>> import gradus
        >>> Embedding(10, 3)(gradus.tensor([[1, 2, 4, 5]])).shape
        Size([1, 4, 3])
    """

    weight: Parameter  # (num_embeddings, embedding_dim)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        refuse_options(max_norm, scale_grad_by_freq, sparse)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_row(padding_idx, num_embeddings)
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, x: Tensor) -> Tensor:  # (...) -> (..., embedding_dim)
        """The rows that ``x`` names."""
        return embedding(x if isinstance(x, Tensor) else tensor(x), self.weight, self.padding_idx)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any) -> Self:
        """A layer around a table that exists; with ``freeze`` it is not trained.

        Example:
            >>> import gradus
            >>> Embedding.from_pretrained(gradus.tensor([[1.0, 2.0], [3.0, 4.0]]))(gradus.tensor([1]))
            tensor([[3., 4.]])
        """
        if embeddings.ndim != 2:
            got = f"shape {tuple(embeddings.shape)}"
            raise ShapeError("Embeddings parameter is expected to be 2-dimensional", got=got, wanted="(rows, features)", code="E03")
        rows, width = embeddings.shape
        layer = cls(rows, width, padding_idx=padding_idx, dtype=embeddings.dtype, **options)
        layer.weight = Parameter(embeddings.detach(), requires_grad=not freeze)
        return layer

    def extra_repr(self) -> str:
        """Rows, their length, the padding row."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"

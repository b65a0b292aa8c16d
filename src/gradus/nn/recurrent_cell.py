"""RNNCell, LSTMCell and GRUCell: one time step, for loops of one's own."""

from __future__ import annotations

import math
from typing import Any

from gradus import ops
from gradus.errors import ShapeError, UsageError
from gradus.fused import recurrent
from gradus.fused.linear import linear
from gradus.nn import init
from gradus.nn.linear import dtype_error
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor
from gradus.torch_names import empty, zeros


class _Cell(Module):
    """What the three share: weights and shapes."""

    KIND = ""
    weight_ih: Parameter  # (gates * H, input_size)
    weight_hh: Parameter  # (gates * H, H)
    bias_ih: Parameter | None  # (gates * H,)
    bias_hh: Parameter | None  # (gates * H,)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = recurrent.GATES[self._kind()] * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _kind(self) -> str:
        return self.KIND

    def reset_parameters(self) -> None:
        """Draw all from U(-k, k), k = 1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _rows(self, x: Any, states: Any, parts: int) -> tuple[Tensor, list[Tensor]]:
        """Input and states with a batch axis; E01 or E03 where a shape does not fit."""
        if not isinstance(x, Tensor) or x.dtype != self.weight_ih.dtype:
            raise dtype_error(self, x, self.weight_ih.dtype)
        shape = tuple(x.shape)
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.caption()} expects last dim {self.input_size}, got {shape}",
                got=f"x of shape {shape}",
                wanted=f"(B, {self.input_size}) or ({self.input_size},)",
                code="E01",
            )
        wanted = (*shape[:-1], self.hidden_size)
        given = [zeros(*wanted, dtype=x.dtype)] * parts if states is None else list(states)
        if len(given) != parts or any(tuple(state.shape) != wanted for state in given):
            got = ", ".join(str(tuple(state.shape)) for state in given)
            raise ShapeError(f"{self.caption()} got a state of another shape", got=got, wanted=f"{parts} of {wanted}", code="E03")
        if len(shape) == 2:
            return x, given
        return ops.expand_dims(x, axis=0), [ops.expand_dims(state, axis=0) for state in given]

    def _input(self, x: Tensor) -> Tensor:
        """What the input adds to the gates, with both biases."""
        return linear(x, self.weight_ih, None if self.bias_ih is None or self.bias_hh is None else self.bias_ih + self.bias_hh)

    def extra_repr(self) -> str:
        """Sizes, and a bias that is absent."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu: one step of :class:`RNN`.

    Args:
        input_size: length of x.
        hidden_size: length H of h.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
        device: "cpu" or None.
        dtype: of the weights; float32 when not given.

    Shape:
        x (B, input_size), h (B, H), or both without B; h is zeros when not given.

    Example:
        >>> import gradus
        >>> RNNCell(4, 3)(gradus.randn(5, 4)).shape
        Size([5, 3])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None, dtype: Any = None
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise UsageError(f"Unknown nonlinearity '{nonlinearity}'", wanted="'tanh' or 'relu'", code="E29")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def _kind(self) -> str:
        return self.nonlinearity

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state."""
        rows, (h,) = self._rows(x, None if hx is None else [hx], 1)
        h = recurrent.simple_step(self.nonlinearity, self._input(rows), h, self.weight_hh)
        return h if x.ndim == 2 else ops.squeeze(h, axis=0)

    def extra_repr(self) -> str:
        """Sizes and the nonlinearity."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(_Cell):
    """One step of :class:`LSTM`: (h', c') from x and (h, c).

    Args are those of :class:`RNNCell`, without ``nonlinearity``; weights have 4H rows for the gates i, f, g, o.

    Example:
        >>> import gradus
        >>> h, c = LSTMCell(4, 3)(gradus.randn(5, 4))
        >>> h.shape, c.shape
        (Size([5, 3]), Size([5, 3]))
    """

    KIND = "lstm"

    def forward(self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next output and cell state."""
        rows, (h, c) = self._rows(x, hx, 2)
        h, c = recurrent.lstm_step(self._input(rows), h, c, self.weight_hh)
        return (h, c) if x.ndim == 2 else (ops.squeeze(h, axis=0), ops.squeeze(c, axis=0))


class GRUCell(_Cell):
    """One step of :class:`GRU`.

    Args are those of :class:`RNNCell`, without ``nonlinearity``; weights have 3H rows for r, z, n.

    Example:
        >>> import gradus
        >>> GRUCell(4, 3)(gradus.randn(5, 4)).shape
        Size([5, 3])
    """

    KIND = "gru"

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state."""
        rows, (h,) = self._rows(x, None if hx is None else [hx], 1)
        h = recurrent.gru_step(linear(rows, self.weight_ih, self.bias_ih), h, self.weight_hh, self.bias_hh)
        return h if x.ndim == 2 else ops.squeeze(h, axis=0)

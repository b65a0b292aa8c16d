"""RNN, LSTM and GRU over whole sequences: layers above each other, in one direction or both.

For each layer the inputs of all time steps go through one product; the loop over time, and its derivative, are in
:mod:`gradus.fused.recurrent`. Weights bear PyTorch's names: ``weight_ih_l0`` reads the input of layer 0, ``weight_hh_l0_reverse`` its
state in the backward direction.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from gradus import ops
from gradus.autograd import is_grad_enabled
from gradus.errors import ShapeError, UsageError, UsageWarning
from gradus.function import Function
from gradus.fused import recurrent
from gradus.fused.dropout import dropout
from gradus.fused.linear import linear
from gradus.nn import init
from gradus.nn.linear import dtype_error
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor, wrap
from gradus.torch_names import empty, zeros


def _bare(f: Any, *args: Any) -> Any:
    """``f`` on the arrays beneath the tensors where no derivative is recorded: an op on them costs a third."""
    if is_grad_enabled():
        return f(*args)
    y = f(*[arg.value if isinstance(arg, Tensor) else arg for arg in args])
    return tuple([None if part is None else wrap(part) for part in y]) if isinstance(y, tuple) else wrap(y)


class _SimpleSequence(Function):
    """States of a plain recurrence, differentiated as a whole."""

    @staticmethod
    def forward(ctx: Any, kind: str, u: Tensor, h: Tensor, w: Tensor) -> Tensor:
        y = _bare(recurrent.simple_sequence, kind, u, h, w)
        ctx.kind = kind
        ctx.save_for_backward(y, h, w)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return None, *_bare(recurrent.simple_derivative, ctx.kind, g, *ctx.saved_tensors)


class _LSTMSequence(Function):
    """Outputs and cell states of an LSTM, differentiated as a whole."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, h: Tensor, c: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        y, cells = _bare(recurrent.lstm_sequence, u, h, c, w)
        ctx.save_for_backward(y, cells, u, h, c, w)
        ctx.set_materialize_grads(False)
        return y, cells

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, gc: Tensor | None) -> Any:
        return _bare(recurrent.lstm_derivative, g, gc, *ctx.saved_tensors)


class _GRUSequence(Function):
    """States of a GRU, differentiated as a whole."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, h: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        y = _bare(recurrent.gru_sequence, u, h, w, b)
        ctx.save_for_backward(y, u, h, w, b)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return _bare(recurrent.gru_derivative, g, *ctx.saved_tensors)


class _Recurrent(Module):
    """What the three share: weights by layer and direction, shapes, the walk through the layers."""

    KIND = ""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if hidden_size <= 0 or num_layers <= 0:
            got = f"hidden_size={hidden_size}, num_layers={num_layers}"
            raise UsageError("hidden_size and num_layers must be greater than zero", got=got, wanted="1 or more", code="E29")
        if not 0.0 <= dropout <= 1.0:
            raise UsageError("dropout should be a probability", got=f"dropout={dropout}", wanted="a number in [0, 1]", code="E29")
        if dropout and num_layers == 1:
            text = f"dropout={dropout} has no effect with num_layers=1: it acts between layers"
            warnings.warn(text, UsageWarning, stacklevel=3)
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        rows = recurrent.GATES[self._kind()] * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * self._directions
            for end in self._ends(layer):
                shapes: dict[str, tuple[int, ...]] = {f"weight_ih{end}": (rows, width), f"weight_hh{end}": (rows, hidden_size)}
                shapes |= {f"bias_ih{end}": (rows,), f"bias_hh{end}": (rows,)} if bias else {}
                for name, shape in shapes.items():
                    self.register_parameter(name, Parameter(empty(*shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def _kind(self) -> str:
        return self.KIND

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _ends(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    def reset_parameters(self) -> None:
        """Draw all from U(-k, k), k = 1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """PyTorch's call to gather the weights in one block of a GPU's memory; nothing is to be done here."""

    def forward(self, x: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """All outputs of the last layer, and the last state of every layer."""
        self._check(x)
        batched = x.ndim == 3
        if not batched:
            x = ops.expand_dims(x, axis=1)
        elif self.batch_first:
            x = ops.permute_dims(x, (1, 0, 2))
        states = self._states(hx, x, batched)
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = dropout(x, self.dropout)
            outputs = []
            for direction, end in enumerate(self._ends(layer)):
                place = layer * self._directions + direction
                y, ends = self._run(ops.flip(x, axis=0) if direction else x, end, [state[place] for state in states])
                outputs.append(ops.flip(y, axis=0) if direction else y)
                last.append(ends)
            x = ops.concat(outputs, axis=2) if len(outputs) > 1 else outputs[0]
        final = tuple(ops.stack(parts, axis=0) for parts in zip(*last, strict=True))
        if not batched:
            x, final = ops.squeeze(x, axis=1), tuple(ops.squeeze(state, axis=1) for state in final)
        elif self.batch_first:
            x = ops.permute_dims(x, (1, 0, 2))
        return x, final if len(final) > 1 else final[0]

    def _run(self, x: Tensor, end: str, state: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer in one direction: all outputs, and the last state."""
        raise NotImplementedError

    def _weights(self, end: str) -> tuple[Any, Any, Any, Any]:
        names = [f"{name}{end}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        w_input, w_state, b_input, b_state = [vars(self).get(name) for name in names]
        return w_input, w_state, b_input, b_state

    def _states(self, hx: Any, x: Tensor, batched: bool) -> list[Tensor]:
        """The states to begin with, each (layers · directions, B, H)."""
        count, size = self.num_layers * self._directions, self.hidden_size
        parts = 2 if self.KIND == "lstm" else 1
        if hx is None:
            return [zeros(count, x.shape[1], size, dtype=x.dtype)] * parts
        given = list(hx) if parts > 1 else [hx]
        wanted = (count, x.shape[1], size) if batched else (count, size)
        if len(given) != parts or any(tuple(state.shape) != wanted for state in given):
            raise ShapeError(
                f"Expected hidden size {wanted}, got {[list(state.shape) for state in given]}",
                got=", ".join(str(tuple(state.shape)) for state in given),
                wanted="(h, c), each " * (parts > 1) + f"{wanted}: layers times directions, batch, hidden size",
                code="E03",
            )
        return given if batched else [ops.expand_dims(state, axis=1) for state in given]

    def _check(self, x: Any) -> None:
        if hasattr(x, "batch_sizes"):
            raise UsageError(f"{self.caption()} takes no packed sequence", wanted="a padded Tensor (T, B, input_size)", code="E29")
        weight = self.get_parameter("weight_ih_l0")
        if not isinstance(x, Tensor) or x.dtype != weight.dtype:
            raise dtype_error(self, x, weight.dtype)
        shape = tuple(x.shape)
        order = "(B, T, {0})" if self.batch_first else "(T, B, {0})"
        if len(shape) not in (2, 3) or shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.caption()} expects last dim {self.input_size}, got {shape}",
                got=f"x of shape {shape}",
                wanted=f"{order.format(self.input_size)}, or without B",
                code="E01",
            )
        if not shape[1 if self.batch_first and len(shape) == 3 else 0]:
            raise ShapeError(
                "Expected sequence length to be larger than 0 in RNN", got=f"x of shape {shape}", wanted="one step or more", code="E03"
            )

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        changed = [f", {name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return f"{self.input_size}, {self.hidden_size}" + "".join(changed)


class RNN(_Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) (Elman 1990).

    Args:
        input_size: length of each x_t.
        hidden_size: length H of the state.
        num_layers: layers above each other; each reads the outputs of the one below.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether the batch is axis 0 instead of axis 1, for input and output (not for states).
        dropout: probability of dropping between layers, in training.
        bidirectional: whether each layer also runs from the end to the start.
        device: "cpu" or None.
        dtype: of the weights; float32 when not given.

    Shape:
        x (T, B, input_size), or without B; h_0 (layers · directions, B, H), zeros when not given.
        output (T, B, H · directions); h_n as h_0.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 and so on for layers and ``_reverse``: from U(-k, k), k = 1/sqrt(H).

    Raises:
        ShapeError: an input or a state of another shape (E01, E03).

    Example:
        >>> import gradus
        >>> y, h = RNN(4, 3, num_layers=2)(gradus.randn(7, 5, 4))
        >>> y.shape, h.shape
        (Size([7, 5, 3]), Size([2, 5, 3]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise UsageError(f"Unknown nonlinearity '{nonlinearity}'", wanted="'tanh' or 'relu'", code="E29")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def _kind(self) -> str:
        return self.nonlinearity

    def _run(self, x: Tensor, end: str, state: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        w_input, w_state, b_input, b_state = self._weights(end)
        u = linear(x, w_input, None if b_input is None else b_input + b_state)
        y = _SimpleSequence.apply(self.nonlinearity, u, state[0], w_state)
        return y, (y[-1],)


class LSTM(_Recurrent):
    """Long short-term memory: a cell state that gates write to, forget and read (Hochreiter, Schmidhuber 1997).

    .. math::
        i, f, o = \\sigma(W x_t + b + U h_{t-1} + d) \\qquad g = \\tanh(W_g x_t + b_g + U_g h_{t-1} + d_g)

        c_t = f c_{t-1} + i g \\qquad h_t = o \\tanh(c_t)

    Args:
        input_size: length of each x_t.
        hidden_size: length H of the states.
        num_layers: layers above each other.
        bias: whether there are biases.
        batch_first: whether the batch is axis 0 instead of axis 1, for input and output (not for states).
        dropout: probability of dropping between layers, in training.
        bidirectional: whether each layer also runs from the end to the start.
        proj_size: PyTorch's option, refused unless 0.
        device: "cpu" or None.
        dtype: of the weights; float32 when not given.

    Shape:
        x (T, B, input_size), or without B; h_0 and c_0 (layers · directions, B, H), zeros when not given.
        output (T, B, H · directions); (h_n, c_n) as (h_0, c_0).

    Attributes:
        weight_ih_l0 (4H, input_size), weight_hh_l0 (4H, H), bias_ih_l0 and bias_hh_l0 (4H,), for the gates i, f, g, o one below the other;
            and so on for layers and ``_reverse``: from U(-k, k), k = 1/sqrt(H).

    Example:
        >>> import gradus
        >>> y, (h, c) = LSTM(4, 3, bidirectional=True)(gradus.randn(7, 5, 4))
        >>> y.shape, h.shape, c.shape
        (Size([7, 5, 6]), Size([2, 5, 3]), Size([2, 5, 3]))
    """

    KIND = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if proj_size:
            raise UsageError("LSTM has no proj_size", got=f"proj_size={proj_size}", fix="nn.Linear after the LSTM", code="E29")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def _run(self, x: Tensor, end: str, state: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        w_input, w_state, b_input, b_state = self._weights(end)
        u = linear(x, w_input, None if b_input is None else b_input + b_state)
        y, cells = _LSTMSequence.apply(u, state[0], state[1], w_state)
        return y, (y[-1], cells[-1])


class GRU(_Recurrent):
    """Gated recurrent unit: the state moves towards a new one by as much as a gate lets it (Cho et al. 2014).

    .. math::
        r, z = \\sigma(W x_t + b + U h_{t-1} + d) \\qquad n = \\tanh(W_n x_t + b_n + r (U_n h_{t-1} + d_n)) \\qquad
        h_t = (1 - z) n + z h_{t-1}

    Args, shapes and weights are those of :class:`RNN` (without ``nonlinearity``), with 3H rows for r, z, n one below the other.

    Example:
        >>> import gradus
        >>> y, h = GRU(4, 3, batch_first=True)(gradus.randn(5, 7, 4))
        >>> y.shape, h.shape
        (Size([5, 7, 3]), Size([1, 5, 3]))
    """

    KIND = "gru"

    def _run(self, x: Tensor, end: str, state: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        w_input, w_state, b_input, b_state = self._weights(end)
        y = _GRUSequence.apply(linear(x, w_input, b_input), state[0], w_state, b_state)
        return y, (y[-1],)

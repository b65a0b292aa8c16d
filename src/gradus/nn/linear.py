"""Linear: the fully connected layer."""

from __future__ import annotations

import math
from typing import Any

from gradus import dtypes
from gradus.errors import DTypeError, ShapeError
from gradus.fused.linear import linear
from gradus.nn import init
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.tensors import Tensor
from gradus.torch_names import empty


class Linear(Module):
    r"""Matrix product plus bias: :math:`y = x W^T + b`.

    Args:
        in_features: length of the last axis of ``x``.
        out_features: length of the last axis of ``y``.
        bias: whether there is a ``b``.
        device: "cpu" or None.
        dtype: of weight and bias; float32 when not given.

    Shape:
        ``x`` (…, in_features), ``y`` (…, out_features), with the same leading axes.

    Attributes:
        weight: (out_features, in_features), drawn from U(-k, k) with k = 1/sqrt(in_features), as in PyTorch.
        bias: (out_features,), drawn likewise, or None.

    Example:
        >>> import gradus
        >>> Linear(3, 2)(gradus.ones(5, 3)).shape
        Size([5, 2])
    """

    weight: Parameter  # (out_features, in_features)
    bias: Parameter | None  # (out_features,)

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew. With a = sqrt(5) Kaiming's bound, sqrt(6 / ((1 + a^2) fan_in)), is 1/sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:  # (..., in_features) -> (..., out_features)
        """``x @ weight.T + bias``."""
        w = self.weight
        if not isinstance(x, Tensor) or (x.value.dtype is not w.value.dtype and x.dtype != w.dtype):
            raise dtype_error(self, x)
        try:
            return linear(x, w, self.bias)
        except ShapeError as error:
            if tuple(x.shape[-1:]) == (w.shape[1],):
                raise
            raise shape_error(self, x) from error

    def extra_repr(self) -> str:
        """The two lengths, and whether there is a bias."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def caption(self) -> str:
        """``Linear 784 -> 100``."""
        return f"{type(self).__name__} {self.in_features} -> {self.out_features}"


def shape_error(layer: Linear, x: Tensor) -> ShapeError:
    """Why an input does not fit, with the likeliest of four mends."""
    shape, wanted = tuple(x.shape), layer.weight.shape[1]
    why, fix = "", f"nn.Linear({shape[-1] if shape else 1}, {layer.out_features})"
    fitting = [axis for axis in range(len(shape) - 1) if math.prod(shape[axis:]) == wanted]
    if fitting:
        # Axis 0 is the batch where another one will do.
        axis = next((axis for axis in fitting if axis), 0)
        product = "x".join(str(n) for n in shape[axis:] if n != 1)
        why, fix = f"{product} = {wanted}: the images are not flattened", f"x.flatten({axis})"
        if not axis:  # the model may begin with Flatten, which leaves axis 0 alone
            why, fix = f"{product} = {wanted}: one image, neither flattened nor in a batch", "x.flatten()[None]"
    elif len(shape) > 1 and shape[-2] == wanted:
        why, fix = "the axis before the last has that length: the input may be transposed", "x.transpose(-1, -2)"
    elif not shape:
        why, fix = "a tensor without axes holds one number", "x.reshape(1, 1)"
    return ShapeError(
        f"{layer.caption()} expects last dim {wanted}, got {shape}",
        got=f"x of shape {shape}",
        wanted=f"x of shape (..., {wanted})",
        why=why,
        fix=fix,
        code="E01",
    )


def dtype_error(layer: Any, x: Any, dtype: Any = None, of: str = "weight") -> DTypeError:
    """Why an input's dtype is refused: integers are no activations, and mixing floats would change the precision silently.

    ``dtype`` is what the layer computes in: that of its weight when not given. ``of`` names what has it; "" for a layer that keeps no
    numbers, and takes any floats.
    """
    if not isinstance(x, Tensor):
        got = f"{type(x).__name__} of dtype {x.dtype}" if hasattr(x, "dtype") else type(x).__name__
        return DTypeError(f"{layer.caption()} takes a Tensor", got=got, wanted="a Tensor", fix="gradus.tensor(x).float()", code="E14")
    mine, theirs = layer.weight.dtype if dtype is None else dtype, x.dtype
    code, fix = "E14", {"float32": "x.float()", "float64": "x.double()"}.get(mine.name, f"x.to(gradus.{mine.name})")
    if theirs == dtypes.uint8:
        code, why, fix = "E15", "images are uint8 0..255; convert with .float() / 255", f"{fix} / 255"
    elif not dtypes.is_floating(theirs):
        why = "whole numbers come from labels, indices or files; a layer multiplies by fractions"
    elif theirs == dtypes.float64:
        why = "NumPy makes float64 by itself: np.random, np.linspace, np.array([1.5]), values read from text or JSON"
    else:
        why = f"the layer was converted to {mine}, its input was not"
    return DTypeError(
        f"{layer.caption()} mixes dtypes: the input is {theirs}, the {of} {mine}"
        if of
        else f"{layer.caption()} takes floats, not {theirs}",
        got=f"x {theirs}, {of} {mine}" if of else f"x {theirs}",
        wanted=f"x {mine}" if of else "x of a floating dtype",
        why=why,
        fix=fix,
        code=code,
    )

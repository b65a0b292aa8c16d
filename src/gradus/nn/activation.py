"""Activations as layers. Each calls the function of the same name; ``inplace`` is accepted for PyTorch's sake and changes nothing."""

from __future__ import annotations

from gradus.errors import UsageError
from gradus.fused import activation, softmax
from gradus.nn.module import Module
from gradus.tensors import Tensor


class _Activation(Module):
    """An elementwise function without options but PyTorch's ``inplace``."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def extra_repr(self) -> str:
        """``inplace=True``, if so."""
        return "inplace=True" if self.inplace else ""


class ReLU(_Activation):
    """max(x, 0).

    Example:
        >>> import gradus
        >>> ReLU()(gradus.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return activation.relu(x)


class SiLU(_Activation):
    """x * sigmoid(x), also called swish (Elfwing et al. 2017).

    Example:
        >>> import gradus
        >>> SiLU()(gradus.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """

    def forward(self, x: Tensor) -> Tensor:
        """x * sigmoid(x)."""
        return activation.silu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    Example:
        >>> import gradus
        >>> Sigmoid()(gradus.tensor([0.0]))
        tensor([0.5000])
    """

    def forward(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(-x))."""
        return activation.sigmoid(x)


class Tanh(Module):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Example:
        >>> import gradus
        >>> Tanh()(gradus.tensor([-1.0, 2.0]))
        tensor([-0.7616,  0.9640])
    """

    def forward(self, x: Tensor) -> Tensor:
        """tanh(x)."""
        return activation.tanh(x)


class GELU(Module):
    """x * P(Z <= x) for a standard normal Z (Hendrycks, Gimpel 2016).

    Args:
        approximate: "none" for the error function, "tanh" for the paper's approximation by tanh.

    Example:
        >>> import gradus
        >>> GELU()(gradus.tensor([1.0])), GELU("tanh")(gradus.tensor([1.0]))
        (tensor([0.8413]), tensor([0.8412]))
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise UsageError(f"GELU has no approximation {approximate!r}", wanted="'none' or 'tanh'", code="E29")
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """One of the two forms."""
        return activation.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The form."""
        return f"approximate={self.approximate!r}"


class LeakyReLU(Module):
    """x where x > 0, else ``negative_slope * x``.

    Args:
        negative_slope: the slope below zero.
        inplace: accepted, without effect.

    Example:
        >>> import gradus
        >>> LeakyReLU()(gradus.tensor([-1.0, 2.0]))
        tensor([-0.0100,  2.0000])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, x: Tensor) -> Tensor:
        """x or negative_slope * x."""
        return activation.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """x where x > 0, else ``alpha * (exp(x) - 1)`` (Clevert et al. 2015).

    Args:
        alpha: minus the limit at minus infinity.
        inplace: accepted, without effect.

    Example:
        >>> import gradus
        >>> ELU()(gradus.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, x: Tensor) -> Tensor:
        """x or alpha * (exp(x) - 1)."""
        return activation.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """The scale."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta, a smooth ReLU; x itself where ``beta * x > threshold``.

    Args:
        beta: sharpness.
        threshold: from where on it is linear.

    Example:
        >>> import gradus
        >>> Softplus()(gradus.tensor([-1.0, 2.0]))
        tensor([0.3133, 2.1269])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Tensor) -> Tensor:
        """log(1 + exp(beta * x)) / beta."""
        return activation.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Sharpness and threshold."""
        return f"beta={self.beta}, threshold={self.threshold}"


class _AlongAxis(Module):
    """A function along one axis, which must be said where it is not plain."""

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def axis(self, x: Tensor) -> int:
        """The axis; without one, the last of a vector or a batch of vectors, as in PyTorch."""
        if self.dim is not None:
            return self.dim
        if x.ndim not in (1, 2):
            raise UsageError(
                f"{type(self).__name__} needs to know the axis",
                got=f"x of shape {tuple(x.shape)} and dim=None",
                fix=f"nn.{type(self).__name__}(dim=-1)",
                code="E29",
            )
        return -1

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Softmax(_AlongAxis):
    """exp(x) / sum(exp(x)) along ``dim``: positive numbers that sum to 1. Not before ``CrossEntropyLoss``, which takes logits.

    Args:
        dim: the axis of the classes.

    Example:
        >>> import gradus
        >>> Softmax(dim=1)(gradus.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """exp(x) / sum(exp(x))."""
        return softmax.softmax(x, dim=self.axis(x))


class LogSoftmax(_AlongAxis):
    """x - log(sum(exp(x))) along ``dim``: what ``NLLLoss`` takes.

    Args:
        dim: the axis of the classes.

    Example:
        >>> import gradus
        >>> LogSoftmax(dim=1)(gradus.zeros(1, 2))
        tensor([[-0.6931, -0.6931]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """x - log(sum(exp(x)))."""
        return softmax.log_softmax(x, dim=self.axis(x))

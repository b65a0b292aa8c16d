"""Losses as modules: a prediction and a target to one number (or, with ``reduction="none"``, one an element).

Each calls the function of :mod:`gradus.nn.functional` that bears its name; formulas and errors are there.
"""

from __future__ import annotations

from gradus.errors import UsageError
from gradus.fused import loss
from gradus.nn.module import Module
from gradus.tensors import Tensor


class _Loss(Module):
    """A loss with PyTorch's ``reduction``: "mean", "sum" or "none"."""

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise UsageError(f"a loss has no reduction {reduction!r}", wanted="'mean', 'sum' or 'none'", code="E29")
        self.reduction = reduction


class MSELoss(_Loss):
    """Mean of (input - target)².

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> import gradus
        >>> MSELoss()(gradus.tensor([1.0, 2.0]), gradus.tensor([1.0, 4.0]))
        tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean of abs(input - target).

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> import gradus
        >>> L1Loss()(gradus.tensor([0.0, 3.0]), gradus.tensor([0.5, 0.0]))
        tensor(1.7500)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.l1_loss(input, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """A parabola for errors below ``delta``, a straight line of slope ``delta`` beyond (Huber 1964).

    Args:
        reduction: "mean", "sum" or "none".
        delta: where one becomes the other, in units of the error.

    Example:
        >>> import gradus
        >>> HuberLoss(reduction="none")(gradus.tensor([0.0, 3.0]), gradus.tensor([0.5, 0.0]))
        tensor([0.1250, 2.5000])
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(_Loss):
    """Huber's loss divided by ``beta``, so that the straight line has slope 1 (Girshick 2015).

    Args:
        reduction: "mean", "sum" or "none".
        beta: where the parabola ends, in units of the error.

    Example:
        >>> import gradus
        >>> SmoothL1Loss(reduction="none", beta=2.0)(gradus.tensor([0.0, 3.0]), gradus.tensor([0.5, 0.0]))
        tensor([0.0625, 2.0000])
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class CrossEntropyLoss(_Loss):
    """Mean of -log softmax(input)[target]. Give it logits: it applies the softmax itself.

    Args:
        weight: (C,), one factor a class.
        ignore_index: the label of rows that do not count.
        reduction: "mean" (weighted, over the rows that count), "sum" or "none".
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1] (Szegedy et al. 2016).

    Shape:
        input (B, C) or (B, C, …) or (C,); target: labels (B, …) of any integer dtype, or probabilities of the input's shape.

    Example:
        >>> import gradus
        >>> CrossEntropyLoss()(gradus.zeros(2, 4), gradus.tensor([0, 3]))
        tensor(1.3863)
    """

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise UsageError(f"cross-entropy cannot have label_smoothing = {label_smoothing}", wanted="a share in [0, 1]", code="E29")
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """Mean of -input[target], for inputs that are log-probabilities already.

    Args:
        weight: (C,), one factor a class.
        ignore_index: the label of rows that do not count.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import gradus
        >>> NLLLoss()(gradus.zeros(2, 4).log_softmax(dim=1), gradus.tensor([0, 3]))
        tensor(1.3863)
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Mean of -t log s(x) - (1 - t) log(1 - s(x)), s the sigmoid: yes-or-no targets, from logits.

    Args:
        weight: a factor for each element, broadcast to the target.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor for the positive part, one a class: above 1 it favours recall.

    Example:
        >>> import gradus
        >>> BCEWithLogitsLoss()(gradus.zeros(2), gradus.tensor([0.0, 1.0]))
        tensor(0.6931)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )

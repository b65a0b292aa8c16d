"""AdamW: Adam whose weight decay shrinks the weights directly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from gradus.optim.adam import Adam


class AdamW(Adam):
    """Adam with decoupled weight decay: ``p`` shrinks by ``lr * weight_decay`` of itself in each step (Loshchilov, Hutter 2019).

    Args:
        params: tensors or groups of them.
        lr: step length.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the root of the second.
        weight_decay: share of ``p`` taken off in each step, times ``lr``.
        amsgrad: divide by the largest second mean so far.
        maximize: climb instead of descend.

    Example:
        >>> import gradus
        >>> w = gradus.tensor([1.0]).requires_grad_()
        >>> opt = AdamW([w], lr=0.1, weight_decay=0.5)
        >>> (3 * w).sum().backward(); opt.step(); w
        tensor([0.8500], requires_grad=True)
    """

    DECOUPLED: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

"""SGD: stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from gradus import ops
from gradus.errors import UsageError
from gradus.optim.groups import Group, check_not_negative
from gradus.optim.optimizer import Optimizer, State
from gradus.tensors import Tensor, wrap


def sgd_update(
    xp: Any, p: Any, g: Any, m: Any, lr: Any, momentum: Any, dampening: Any, weight_decay: Any, nesterov: bool
) -> tuple[Any, Any]:
    r"""One step of gradient descent, along a decaying sum of gradients (Polyak 1964) or one look ahead of it (Nesterov 1983).

    .. math::
        g &\leftarrow g + \lambda p \\
        m &\leftarrow \mu m + (1 - \tau)\, g \\
        p &\leftarrow p - \eta\, (g + \mu m) \text{ if Nesterov, else } p - \eta\, m

    Args:
        xp: array namespace.
        p: parameter.
        g: gradient, of the parameter's shape.
        m: decaying sum of gradients, of the parameter's shape; None for plain descent along ``g``.
        lr: step length, eta.
        momentum: how much of the sum survives a step, mu.
        dampening: tau.
        weight_decay: lambda.
        nesterov: take the look ahead.

    Returns:
        The new ``p`` and ``m``.

    Example:
        >>> import numpy as np
        >>> sgd_update(np, np.ones(2), np.ones(2), None, lr=0.5, momentum=0, dampening=0, weight_decay=0, nesterov=False)
        (array([0.5, 0.5]), None)
    """
    if weight_decay != 0:
        g = g + weight_decay * p
    if m is not None:
        m = momentum * m + (1 - dampening) * g
        g = g + momentum * m if nesterov else m
    return p - lr * g, m


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum when asked.

    Args:
        params: tensors or groups of them.
        lr: step length.
        momentum: share of the previous direction that is kept; 0 for none.
        dampening: share of the gradient that does not enter the direction.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        nesterov: look one step ahead (Sutskever et al. 2013).
        maximize: climb instead of descend.

    Example:
        >>> import gradus
        >>> w = gradus.tensor([1.0]).requires_grad_()
        >>> opt = SGD([w], lr=0.1)
        >>> (3 * w).sum().backward(); opt.step(); w
        tensor([0.7000], requires_grad=True)
    """

    SAME_SHAPE: ClassVar[tuple[str, ...]] = ("momentum_buffer",)
    ELEMENTWISE: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def validate(self, options: Group) -> None:
        """Ranges of the options; Nesterov's form needs momentum without dampening."""
        check_not_negative(type(self).__name__, options, "lr", "momentum", "weight_decay")
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise UsageError(
                "Nesterov momentum needs a momentum and zero dampening",
                got=f"momentum = {options['momentum']}, dampening = {options['dampening']}",
                fix="SGD(params, lr, momentum=0.9, nesterov=True)",
                code="E29",
            )

    def prepare(self, p: Tensor, state: State, options: Group) -> Group:
        """Make the buffer at the first step with momentum, which is not dampened."""
        if options["momentum"] == 0 or state.get("momentum_buffer") is not None:
            return options
        state["momentum_buffer"] = wrap(ops.zeros_like(p.value))
        return {**options, "dampening": 0.0}

    def update(self, xp: Any, p: Any, g: Any, state: State, options: Group) -> tuple[Any, dict[str, Any]]:
        """Apply :func:`sgd_update`."""
        m = None if options["momentum"] == 0 else state["momentum_buffer"]
        chosen = [options[name] for name in ("lr", "momentum", "dampening", "weight_decay", "nesterov")]
        new, m = sgd_update(xp, p, g, m, *chosen)
        return new, {} if m is None else {"momentum_buffer": m}

"""Adam: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from gradus import ops
from gradus.errors import UsageError
from gradus.mode import read_number, write_number
from gradus.optim.groups import Group, check_not_negative
from gradus.optim.optimizer import Optimizer, State
from gradus.tensors import Tensor, wrap


def adam_update(
    xp: Any,
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    step: Any,
    lr: Any,
    beta1: Any,
    beta2: Any,
    eps: Any,
    weight_decay: Any,
    decoupled: bool = False,
    v_max: Any = None,
) -> tuple[Any, Any, Any, Any]:
    r"""One step of Adam (Kingma, Ba 2015), or of AdamW with decoupled weight decay (Loshchilov, Hutter 2019).

    .. math::
        g &\leftarrow g + \lambda p \quad \text{(Adam)}, \qquad p \leftarrow p - \eta \lambda p \quad \text{(AdamW)} \\
        m &\leftarrow \beta_1 m + (1 - \beta_1)\, g \\
        v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2 \\
        p &\leftarrow p - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
        xp: array namespace.
        p: parameter.
        g: gradient, of the parameter's shape.
        m: running mean of the gradient, of the parameter's shape.
        v: running mean of its square, of the parameter's shape.
        step: how many steps with this one, t >= 1.
        lr: step length, eta.
        beta1: decay of ``m``.
        beta2: decay of ``v``.
        eps: keeps the quotient finite where no gradient ever came.
        weight_decay: lambda.
        decoupled: decay the parameter itself, not through the gradient.
        v_max: largest ``v`` so far; when given it takes the place of ``v`` in the quotient (AMSGrad, Reddi et al. 2018).

    Returns:
        The new ``p``, ``m``, ``v`` and ``v_max``.

    Example:
        >>> import numpy as np
        >>> p, m, v, _ = adam_update(np, np.ones(1), np.full(1, 7.0), np.zeros(1), np.zeros(1), 1, 0.1, 0.9, 0.999, 1e-8, 0.0)
        >>> p.round(6)
        array([0.9])
    """
    if weight_decay != 0:
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
    m = m + (1 - beta1) * (g - m)
    v = beta2 * v + (1 - beta2) * (g * g)
    if v_max is not None:
        v_max = xp.maximum(v_max, v)
    size = xp.sqrt(v if v_max is None else v_max) * (1 / (1 - beta2**step) ** 0.5) + eps
    return p - (lr / (1 - beta1**step)) * (m / size), m, v, v_max


class Adam(Optimizer):
    """Adam. Weight decay is added to the gradient; for decay of the weights themselves take AdamW.

    Args:
        params: tensors or groups of them.
        lr: step length: about how far a parameter moves in one step.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the root of the second.
        weight_decay: adds ``weight_decay * p`` to the gradient.
        amsgrad: divide by the largest second mean so far.
        maximize: climb instead of descend.

    Example:
        >>> import gradus
        >>> w = gradus.tensor([1.0]).requires_grad_()
        >>> opt = Adam([w], lr=0.1)
        >>> (3 * w).sum().backward(); opt.step(); w
        tensor([0.9000], requires_grad=True)
    """

    # exp_avg: m;  exp_avg_sq: v;  max_exp_avg_sq: v_max, with amsgrad. Beside them step: int.
    SAME_SHAPE: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    ELEMENTWISE: ClassVar[bool] = True
    DECOUPLED: ClassVar[bool] = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize}
        )

    def validate(self, options: Group) -> None:
        """Ranges of the options."""
        check_not_negative(type(self).__name__, options, "lr", "eps", "weight_decay")
        options["betas"] = tuple(float(beta) for beta in options["betas"])
        if len(options["betas"]) != 2 or not all(0.0 <= beta < 1.0 for beta in options["betas"]):
            raise UsageError(
                f"{type(self).__name__} cannot work with betas = {options['betas']}",
                wanted="two numbers, each in [0, 1)",
                fix="betas=(0.9, 0.999)",
                code="E29",
            )

    def _names(self, options: Group) -> tuple[str, ...]:
        return self.SAME_SHAPE if options["amsgrad"] else self.SAME_SHAPE[:2]

    def prepare(self, p: Tensor, state: State, options: Group) -> Group:
        """Make zeros of the parameter's shape where they lack, and count the step."""
        for name in self._names(options):
            if state.get(name) is None:
                state[name] = wrap(ops.zeros_like(p.value))
        write_number(state, "step", read_number(state, "step") + 1 if "step" in state else 1)
        return options

    def update(self, xp: Any, p: Any, g: Any, state: State, options: Group) -> tuple[Any, dict[str, Any]]:
        """Apply :func:`adam_update`."""
        names = self._names(options)
        m, v, *v_max = [state[name] for name in names]
        chosen = [state["step"], options["lr"], *options["betas"], options["eps"], options["weight_decay"], self.DECOUPLED]
        new, *remembered = adam_update(xp, p, g, m, v, *chosen, *v_max)
        return new, dict(zip(names, remembered, strict=False))

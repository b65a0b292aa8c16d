"""Clipping: gradients cut down before the step, so that one bad batch cannot throw the weights far away."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gradus.autograd import no_grad
from gradus.errors import NonFiniteError
from gradus.tensors import Tensor
from gradus.torch_names import stack, tensor


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in listed if p.grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all tensors taken as one long vector: the norm of their norms.

    Example:
        >>> import gradus
        >>> get_total_norm([gradus.tensor([3.0]), gradus.tensor([4.0])])
        tensor(5.)
    """
    norms = [t.norm(norm_type) for t in tensors]
    return stack(norms).norm(norm_type) if norms else tensor(0.0)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    r"""Scale all gradients by one factor, in place, so that their common norm is at most ``max_norm`` (Pascanu et al. 2013).

    .. math:: g \leftarrow g \cdot \min\left(1, \frac{max\_norm}{\lVert g \rVert + 10^{-6}}\right)

    Args:
        parameters: tensors whose ``grad`` is changed; those without one are passed over.
        max_norm: the largest norm that is left alone.
        norm_type: p of the norm; ``float("inf")`` for the largest element.
        error_if_nonfinite: raise when the norm is NaN or infinite, before anything is changed.

    Returns:
        The norm before clipping.

    Example:
        >>> import gradus
        >>> w = gradus.zeros(2).requires_grad_()
        >>> (w * gradus.tensor([3.0, 4.0])).sum().backward()
        >>> clip_grad_norm_([w], max_norm=1.0), w.grad
        (tensor(5.), tensor([0.6000, 0.8000]))
    """
    with no_grad():
        gradients = _gradients(parameters)
        total = get_total_norm(gradients, float(norm_type))
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise NonFiniteError(
                "the norm of the gradients is not finite; nothing was clipped",
                got=f"norm {total.item()}",
                wanted="a finite number",
                code="E16",
            )
        factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
        for g in gradients:
            g.mul_(factor)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cut every element of the gradients to [-clip_value, clip_value], in place.

    Args:
        parameters: tensors whose ``grad`` is changed.
        clip_value: the largest size of an element.

    Example:
        >>> import gradus
        >>> w = gradus.zeros(2).requires_grad_()
        >>> (w * gradus.tensor([3.0, -0.5])).sum().backward()
        >>> clip_grad_value_(w, 1.0); w.grad
        tensor([ 1.0000, -0.5000])
    """
    with no_grad():
        for g in _gradients(parameters):
            g.clamp_(-float(clip_value), float(clip_value))

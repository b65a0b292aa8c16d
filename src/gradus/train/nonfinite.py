"""NaN and infinity found before they reach the weights, and traced to the layer where they began."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.autograd import no_grad
from gradus.errors import NonFiniteError, ShapeError
from gradus.tensors import Tensor

if TYPE_CHECKING:
    from gradus.nn import Module
    from gradus.train.learner import Learner


def check_one_number(loss: Tensor) -> Tensor:
    """The loss itself if it is one number."""
    if loss.numel() != 1:
        raise ShapeError(
            "the loss of a batch must be one number",
            got=f"a loss of shape {tuple(loss.shape)}",
            wanted="shape ()",
            why="the loss function keeps one value per row (reduction='none')",
            fix="loss.mean()",
            code="E21",
        )
    return loss


def check_loss(learner: Learner) -> None:
    """Raise unless the loss of this batch is one finite number."""
    value = check_one_number(learner.loss).item()
    if math.isfinite(value):
        return
    place = first_nonfinite_layer(learner.model, learner.inputs)
    raise nonfinite(learner, f"the loss is {value} at step {learner.step + 1}", place)


def check_gradients(learner: Learner) -> None:
    """Raise when a gradient of this batch is not finite; keeps the joint L2 norm for the message of a later failure."""
    squares = 0.0
    for parameter in learner.model.parameters():
        if parameter.grad is not None:
            flat = parameter.grad.detach().numpy().reshape(-1)
            squares += float(np.dot(flat, flat))
    if math.isfinite(squares):
        learner.gradient_norm = math.sqrt(squares)
        return
    for name, parameter in learner.model.named_parameters():
        if parameter.grad is None:
            continue
        finite = np.isfinite(parameter.grad.detach().numpy())
        if not finite.all():
            index = tuple(int(i) for i in np.argwhere(~finite)[0])
            place = f"the gradient of {name} at {list(index)}, {(~finite).sum()} of {finite.size} values"
            raise nonfinite(
                learner, f"a gradient is not finite at step {learner.step + 1}, although the loss is {learner.loss.item():.6g}", place
            )


def first_nonfinite_layer(model: Module, inputs: Sequence[Tensor]) -> str:
    """The first layer whose output is not finite although its inputs are, found by running the batch once more in evaluation mode."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(layer: Module, args: tuple[Any, ...], output: Any) -> None:
            tensors = [value for value in args if isinstance(value, Tensor)]
            if not found and isinstance(output, Tensor) and not is_finite(output) and all(is_finite(value) for value in tensors):
                found.append(f"{name or 'the model'} ({type(layer).__name__}), whose input runs from {extent(tensors)}")

        return hook

    if not all(is_finite(value) for value in inputs):
        return "the batch itself"
    training = model.training
    handles = [layer.register_forward_hook(watch(name)) for name, layer in model.named_modules()]
    try:
        model.eval()
        with no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        model.train(training)
    return found[0] if found else "the loss function; the model's outputs are finite"


def is_finite(value: Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    array = value.detach().numpy()
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def extent(tensors: list[Tensor]) -> str:
    """The range of all elements, in words."""
    arrays = [value.detach().numpy() for value in tensors if value.numel()]
    return f"{min(a.min() for a in arrays):.4g} to {max(a.max() for a in arrays):.4g}" if arrays else "nothing"


def nonfinite(learner: Learner, what: str, place: str) -> NonFiniteError:
    """The error: what is not finite, where it began, and the likeliest cause."""
    rates = [group["lr"] for group in learner.optimizer.param_groups]
    norm = f"; last gradient norm {learner.gradient_norm:.4g}" if learner.gradient_norm is not None else ""
    large = learner.gradient_norm is not None and learner.gradient_norm > 100
    error = NonFiniteError(
        f"{what} (epoch {learner.epoch + 1}, batch {learner.batch_index + 1}); the weights were not updated",
        got=f"first not finite: {place}; lr {', '.join(f'{rate:.4g}' for rate in rates)}{norm}",
        wanted="finite numbers",
        why="NaN in the data"
        if place == "the batch itself"
        else "the learning rate is too high"
        if large or not norm
        else "the learning rate is too high, or log(0) or a division by 0",
        fix="a learning rate ten times smaller, or callbacks=[ClipGradients(1.0)]",
        code="E16",
    )
    error.lr = max(rates)
    return error

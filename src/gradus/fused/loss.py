"""Losses: a prediction and a target become one number. Shapes that do not match raise; they never broadcast.

``reduction`` is "mean", "sum" or "none" everywhere, as in PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import backend, ops
from gradus.errors import DTypeError, LabelError, ShapeError, UsageError
from gradus.fused.labels import Outside, outside
from gradus.fused.softmax import log_softmax
from gradus.mode import MODE
from gradus.ops import claims
from gradus.ops.reduction import finite
from gradus.primitive import bind, primitive


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return ops.mean(loss)
    if reduction == "sum":
        return ops.sum(loss)
    if reduction == "none":
        return loss
    raise UsageError(f"{reduction} is not a valid value for reduction", wanted="'mean', 'sum' or 'none'", code="E29")


def _check_shapes(name: str, prediction: Any, target: Any) -> None:
    """E07: a loss between (N,) and (N, 1) would compare every row with every other one."""
    if prediction.shape == target.shape:
        return
    p, t = tuple(prediction.shape), tuple(target.shape)
    fix, why = "", "prediction and target describe different things"
    if p == (*t, 1):
        fix, why = (
            "prediction.squeeze(-1), or target.unsqueeze(-1)",
            f"they would broadcast to {(*t, *t[-1:])} and compare every row with every other one",
        )
    elif t == (*p, 1):
        fix, why = "target.squeeze(-1)", f"they would broadcast to {(*p, *p[-1:])} and compare every row with every other one"
    raise ShapeError(
        f"{name} needs a target of the same shape as the prediction",
        got=f"prediction {p}, target {t}",
        wanted="equal shapes",
        why=why,
        fix=fix,
        code="E07",
    )


def _stretches_to(shape: tuple[int, ...], wide: tuple[int, ...]) -> bool:
    """Whether an array of ``shape`` broadcasts to ``wide`` and no further."""
    return len(shape) <= len(wide) and all(n in (1, m) for n, m in zip(shape[::-1], wide[::-1], strict=False))


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Mean of (input - target)².

    >>> from gradus.tensors import Tensor
    >>> mse_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    tensor(2.)
    """
    _check_shapes("mse_loss", input, target)
    return _reduced(ops.square(input - target), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Mean of |input - target|."""
    _check_shapes("l1_loss", input, target)
    return _reduced(ops.abs(input - target), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """½d² for errors |d| ≤ delta, delta·(|d| - ½delta) beyond (Huber 1964)."""
    if delta <= 0:
        raise UsageError(f"huber_loss does not support non-positive values for delta, got {delta}", wanted="delta > 0", code="E29")
    _check_shapes("huber_loss", input, target)
    size = ops.abs(input - target)
    # A parabola up to delta and a line from there: with the first part clipped, an infinite error has the slope delta, not NaN.
    inner = ops.clip(size, high=delta)
    return _reduced(0.5 * ops.square(inner) + delta * (size - inner), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Huber's loss divided by ``beta``, so that the straight part has slope 1 (Girshick 2015)."""
    if beta < 0:
        raise UsageError(f"smooth_l1_loss does not support negative values for beta, got {beta}", wanted="beta >= 0", code="E29")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return huber_loss(input, target, reduction, delta=beta) / beta


def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> Any:
    """-(t·log σ(x) + (1 - t)·log(1 - σ(x))), computed as (1 - t)·x + softplus(-x): finite for every finite x.

    Args:
        input: logits x, any shape.
        target: probabilities t of the same shape; integers and booleans are cast.
        weight: factors that broadcast to the input.
        pos_weight: factors of the positive term, one a class.
    """
    _check_shapes("binary_cross_entropy_with_logits", input, target)
    for name, factors in (("weight", weight), ("pos_weight", pos_weight)):
        if factors is not None and not _stretches_to(tuple(factors.shape), tuple(input.shape)):
            raise ShapeError(
                f"{name} would stretch the input",
                got=f"{name} of shape {tuple(factors.shape)}, input of shape {tuple(input.shape)}",
                wanted="a shape that broadcasts to the input's",
                code="E07",
            )
    target = ops.astype(target, input.dtype) if target.dtype.kind != "f" else target
    tail = ops.softplus(-input)
    loss = (1 - target) * input + (tail if pos_weight is None else (1 + (pos_weight - 1) * target) * tail)
    return _reduced(loss if weight is None else loss * weight, reduction)


# Classes.


def _hot(xp: Any, x: Any, target: Any) -> Any:
    """Where each row's label is, as booleans (N, C)."""
    return xp.equal(target[:, None], xp.arange(x.shape[1])[None, :])


def _softmax_cross_entropy(xp: Any, x: Any, target: Any) -> Any:
    picked = xp.sum(xp.where(_hot(xp, x, target), x, 0.0), axis=1, keepdims=False)
    return xp.logsumexp(x, axis=1, keepdims=False) - picked


def _softmax_cross_entropy_by_index(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    return backend.numpy.logsumexp(x, axis=1, keepdims=False) - x[np.arange(x.shape[0]), target]


def _softmax_cross_entropy_rule(xp: Any, g: Any, x: Any, target: Any) -> Any:
    # softmax - one-hot, each row weighted by its cotangent; shifted as logsumexp is, so that a compiler finds the exponentials there.
    e = xp.exp(x - finite(xp, xp.max(x, axis=1, keepdims=True)))
    return (e / xp.sum(e, axis=1, keepdims=True) - xp.astype(_hot(xp, x, target), g.dtype)) * g[:, None]


@primitive(
    "softmax_cross_entropy",
    _softmax_cross_entropy,
    (_softmax_cross_entropy_rule, None),
    raw=_softmax_cross_entropy_by_index,
    family="fused",
    dtype_rule="free",
    samples=lambda draw: [((draw(4, 3), draw.integers(3, 4)), {})],
)
def softmax_cross_entropy(record: Any, x: Any, target: Any, /) -> Any:
    """-log softmax(x)[target] a row: logits (N, C) and labels (N,) to (N,)."""
    return bind(record, (x, target))


def softmax_cross_entropy_reference(x: Any, target: Any) -> Any:
    """The definition, in ops."""
    return -ops.reshape(ops.take_along_axis(log_softmax(x, 1), ops.reshape(target, (-1, 1)), axis=1), (-1,))


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Mean of -log softmax(input)[target] over the rows that count.

    Args:
        input: logits, (C,), (B, C) or (B, C, …).
        target: labels of any integer dtype, (), (B,) or (B, …); or class probabilities of the input's shape.
        weight: (C,), one factor a class; the mean divides by the weights of the rows that count.
        ignore_index: rows with this label do not count.
        label_smoothing: share of the target spread evenly over all classes (Szegedy et al. 2016).

    >>> from gradus.tensors import Tensor
    >>> cross_entropy(Tensor([[0.0, 0.0]]), Tensor([1]))
    tensor(0.6931)
    """
    _check_target(input, target)
    _check_options(input, weight, label_smoothing)
    if target.dtype.kind == "f":
        if ignore_index >= 0:
            got = f"ignore_index={ignore_index}"
            raise UsageError("cross_entropy cannot ignore a label where targets are probabilities", got=got, code="E29")
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    if input.ndim == 2 and weight is None and not label_smoothing:
        target, counts = _counted(target, ignore_index, input.shape[1])
        if counts is None:
            return _reduced(softmax_cross_entropy(input, target), reduction)
        return _over_counted(softmax_cross_entropy(input, ops.where(counts, target, 0)), counts, reduction)
    return nll_loss(log_softmax(input, _class_axis(input)), target, weight, ignore_index, reduction, label_smoothing=label_smoothing)


def _class_axis(x: Any) -> int:
    return 0 if x.ndim == 1 else 1


def _check_target(logits: Any, target: Any) -> None:
    """The target holds labels, or probabilities; else E08."""
    shape = tuple(logits.shape)
    if not shape:
        raise ShapeError("cross_entropy needs a class axis", got="logits of shape ()", wanted="(C,), (B, C) or (B, C, …)", code="E08")
    kind = target.dtype.kind
    fits = tuple(target.shape) == (shape if kind == "f" else (shape[:1] + shape[2:] if len(shape) > 1 else ()))
    if not fits or kind == "b":
        raise _target_error(logits, target)


def _check_options(logits: Any, weight: Any, label_smoothing: float) -> None:
    if not 0.0 <= label_smoothing <= 1.0:
        wanted = "0 <= label_smoothing <= 1"
        raise UsageError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}", wanted=wanted, code="E29")
    classes = logits.shape[_class_axis(logits)]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ShapeError(
            "cross_entropy needs one weight a class",
            got=f"weight of shape {tuple(weight.shape)}, logits of shape {tuple(logits.shape)}",
            wanted=f"weight of shape ({classes},)",
            code="E03",
        )


def _target_error(logits: Any, target: Any) -> ShapeError | DTypeError:
    """What is wrong with a target that is neither labels nor probabilities, and how to mend it."""
    axis = _class_axis(logits)
    labels = tuple(n for k, n in enumerate(logits.shape) if k != axis)
    shape, floating = tuple(target.shape), target.dtype.kind == "f"
    facts = {
        "got": f"logits {tuple(logits.shape)} {logits.dtype}, target {shape} {target.dtype}",
        "wanted": f"labels {labels} of an integer dtype, or probabilities {tuple(logits.shape)} of a floating one",
        "code": "E08",
    }
    if floating and logits.dtype.kind != "f":
        facts["wanted"] = "logits first, of a floating dtype, then the labels"
        return DTypeError(
            "cross_entropy got labels in the place of logits", why="they are swapped", fix="cross_entropy(logits, target)", **facts
        )
    if shape == labels and floating:
        why = "class labels were loaded or computed as floats"
        return DTypeError("cross_entropy got labels of a floating dtype", why=why, fix="target.long()", **facts)
    if shape == labels:
        return DTypeError("cross_entropy cannot take boolean labels", fix="target.long()", **facts)
    if shape == tuple(logits.shape):
        why = f"the target has a column for each of {logits.shape[axis]} classes"
        fix = f"target.argmax({axis}), or target.float() as probabilities"
        return DTypeError("cross_entropy got a one-hot target of an integer dtype", why=why, fix=fix, **facts)
    if shape == (*labels, 1):
        fix = "target.squeeze(-1)" + (".long()" if floating else "")
        return ShapeError("cross_entropy got a column of labels", why="each label sits in a row of its own", fix=fix, **facts)
    return ShapeError("cross_entropy cannot pair this target with these logits", **facts)


def _over_counted(losses: Any, counts: Any, reduction: str) -> Any:
    """The losses of the rows that count, 0 for others; the mean is over the rows that count."""
    losses = ops.where(counts, losses, 0.0)
    if reduction != "mean":
        return _reduced(losses, reduction)
    return ops.sum(losses) * ops.reciprocal(ops.sum(ops.astype(counts, losses.dtype)))


def _counted(target: Any, ignore_index: int, classes: int) -> tuple[Any, Any]:
    """The labels, checked (E09), and which of them count, None if all do.

    In a trace no label is known yet: they are checked at each run, and which of them count is computed then.
    """
    labels = getattr(target, "value", target)
    if 0 in target.shape:
        return target, None
    if MODE.world is not None or not isinstance(labels, np.ndarray):
        target = checked_labels(target, classes=classes, ignore_index=ignore_index)
        return target, ops.not_equal(target, ignore_index)
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and high < classes and not low <= ignore_index <= high:
        return target, None
    counts = labels != ignore_index
    _check_labels(labels, classes=classes, ignore_index=ignore_index)
    return target, None if counts.all() else counts


def _check_labels(labels: np.ndarray, *, classes: int, ignore_index: int) -> np.ndarray:
    found = outside(labels, classes, ignore_index) if labels.size else None
    if found is not None:
        raise _label_error(found, classes)
    return labels


@primitive(
    "checked_labels",
    lambda xp, target, *, classes, ignore_index: xp.checked_labels(target, classes=classes, ignore_index=ignore_index),
    (None,),
    raw=_check_labels,
    family="check",
    view=True,
    kernel=lambda inputs, output, params: claims.inside(inputs[0], params["classes"], params["ignore_index"]),
    samples=lambda draw: [
        ((draw.integers(3, 4),), {"classes": 3, "ignore_index": -100}),
        ((np.array([[2, -1], [0, 1]]),), {"classes": 3, "ignore_index": -1}),
    ],
)
def checked_labels(record: Any, target: Any, /, *, classes: int, ignore_index: int) -> Any:
    """The labels themselves if each is one of 0 … classes - 1 or ``ignore_index``, else E09: at each run of a compiled function."""
    return bind(record, (target,), {"classes": classes, "ignore_index": ignore_index})


def _label_error(found: Outside, classes: int) -> LabelError:
    if found.from_one:
        why, fix = "labels start at 1", "target - 1"
    elif found.low < 0:
        why, fix = "a label marks missing values", f"cross_entropy(…, ignore_index={found.low})"
    else:
        why = f"the last layer has fewer outputs than there are classes ({found.high + 1} or more)"
        fix = f"nn.Linear(…, {found.high + 1}) as the last layer"
    return LabelError(
        f"Target {found.label} is out of bounds.",
        got=f"label {found.label} at {found.place}; labels seen are {found.low} to {found.high}",
        wanted=f"labels 0 to {classes - 1}, because the model has {classes} classes",
        why=why,
        fix=fix,
        code="E09",
    )


def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", *, label_smoothing: float = 0.0
) -> Any:
    """Mean of -input[target] over the rows that count; ``input`` holds log-probabilities.

    Args:
        input: (C,), (B, C) or (B, C, …).
        target: labels of any integer dtype, (), (B,) or (B, …).
    """
    _check_target(input, target)
    if target.dtype.kind == "f":
        raise DTypeError(
            "nll_loss takes labels, not probabilities",
            got=f"target of dtype {target.dtype}",
            wanted="an integer dtype",
            fix="cross_entropy(logits, probabilities)",
            code="E08",
        )
    _check_options(input, weight, label_smoothing)
    axis = _class_axis(input)
    classes = input.shape[axis]
    target, counts = _counted(target, ignore_index, classes)
    if counts is not None:
        target = ops.where(counts, target, 0)
    picked = -ops.squeeze(ops.take_along_axis(input, ops.expand_dims(target, axis=axis), axis=axis), axis=axis)
    factor = None if weight is None else ops.take(weight, target)
    if counts is not None:
        kept = ops.astype(counts, input.dtype)
        factor = kept if factor is None else factor * kept
    # where, not a product: an ignored row may hold minus infinity.
    loss = picked if factor is None else ops.where(factor != 0, picked, 0.0) * factor
    if label_smoothing:
        spread = -input if weight is None else -input * _along(weight, axis, input.ndim)
        smooth = ops.sum(spread, axis=axis)
        smooth = smooth if counts is None else ops.where(counts, smooth, 0.0)
    if reduction == "mean":
        total = ops.sum(factor) if factor is not None else max(int(np.prod(target.shape)), 1)
        loss = ops.sum(loss) / total if factor is not None else ops.mean(loss)
        return loss if not label_smoothing else (1 - label_smoothing) * loss + label_smoothing / classes * (ops.sum(smooth) / total)
    return _reduced(loss if not label_smoothing else (1 - label_smoothing) * loss + label_smoothing / classes * smooth, reduction)


def _along(weight: Any, axis: int, ndim: int) -> Any:
    return ops.reshape(weight, tuple([-1 if k == axis else 1 for k in range(ndim)]))


def _soft_cross_entropy(x: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    axis = _class_axis(x)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / x.shape[axis]
    terms = -log_softmax(x, axis) * target
    loss = ops.sum(terms if weight is None else terms * _along(weight, axis, x.ndim), axis=axis)
    return _reduced(loss, reduction)

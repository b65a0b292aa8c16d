"""Tensors at work: what broadcasting is good for, what it hides, and a chapter's questions.

Source: "A Neural Net from the Foundations", chapter 17 of *Deep Learning for Coders with fastai and
PyTorch* (Jeremy Howard and Sylvain Gugger, 2020): images normalized by channel, and the
questionnaire. `loss_trap` is the most frequent mistake that broadcasting hides.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradus.ladder.tensors import tensor


def normalize(images: Any, mean: Any, std: Any) -> Any:
    """(N, C, H, W) less a mean and over a standard deviation for each of the C channels.

    The vectors (C,) become (1, C, 1, 1).

    Works on whatever can be indexed with None.

    Example:
        >>> images = tensor(np.ones((2, 3, 4, 4), np.float32))
        >>> normalize(images, tensor([1.0, 0.0, -1.0]), tensor([1.0, 1.0, 4.0]))[0, :, 0, 0]
        tensor([0.0, 1.0, 0.5])
    """
    return (images - mean[None, :, None, None]) / std[None, :, None, None]


class LossTrap(NamedTuple):
    """The shape of predictions less targets, the mean of its squares, and the loss as meant."""

    shape: tuple[int, ...]
    value: float
    meant: float


def loss_trap(n: int = 50, seed: int = 0) -> LossTrap:
    """Perfect predictions (n, 1) and targets (n,): the difference is (n, n), and the loss not 0.

    It is twice the variance of the targets.

    Example:
        >>> loss_trap().shape, loss_trap().meant
        ((50, 50), 0.0)
    """
    targets = tensor(np.random.default_rng(seed).standard_normal(n).astype(np.float32))
    predictions = targets.unsqueeze(1)
    wrong, right = predictions - targets, predictions.squeeze(1) - targets
    return LossTrap(wrong.shape, (wrong * wrong).mean().item(), (right * right).mean().item())


class Answer(NamedTuple):
    """A question's number in the chapter, code that answers it, and what the code gives."""

    question: int
    code: str
    result: str


QUESTIONNAIRE = (
    (6, "m.t().stride()"),
    (11, "(a > b).all()"),
    (12, "(a + b).mean().item()"),
    (13, "tensor([1, 2]) + tensor([1])"),
    (14, "tensor([1, 2]) + tensor([1, 2, 3])"),
    (17, "(m + c == m + c.expand_as(m)).all()"),
    (18, "m + c.unsqueeze(1)"),
    (19, "c[None, :].shape, c[:, None].shape, c[None].shape, c[..., None].shape"),
    (20, "c.expand_as(m).storage()"),
    (21, "(m + c)[1]"),
    (22, "c.expand(1000, 3).storage().nbytes, (c.expand(1000, 3) + 0).storage().nbytes"),
    (32, "tensor([[1.0]]).squeeze().shape, tensor([[1.0]]).squeeze(1).shape"),
)


def questionnaire() -> list[Answer]:
    """The chapter's questions that a line of code answers."""
    a, b, c = tensor([10.0, 6, -4]), tensor([2.0, 8, 7]), tensor([10.0, 20, 30])
    m = tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    names = {"tensor": tensor, "a": a, "b": b, "c": c, "m": m}
    answers = []
    for number, code in QUESTIONNAIRE:
        try:
            result = repr(eval(code, dict(names)))
        except RuntimeError as error:
            result = f"RuntimeError: {error}"
        answers.append(Answer(number, code, result))
    return answers

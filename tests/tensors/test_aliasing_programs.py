"""Random programs of views, writes and uses, run in both libraries: equal values and gradients, or a typed refusal by Gradus."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradus
from gradus.errors import AliasError, GradError

START = np.array([[0.5, -1.5, 2.0], [1.0, 3.0, -0.5]])
Program = list[tuple[str, float, float, float]]


def constant(T: Any) -> Any:
    return T.ones(2, 3, dtype=T.float64)


def same_shape(a: Any, b: Any) -> Any:
    """``b``, copied unless it is ``a`` itself (what PyTorch reads from memory that it is writing is undefined), or a number."""
    return (b if b is a else b * 1) if tuple(a.shape) == tuple(b.shape) else b.sum() * 0.1


def masked(T: Any, a: Any) -> None:
    a.masked_fill_(T.tensor(True) if a.dim() == 0 else a.detach() > 0, 0.7)


def under_no_grad(T: Any, a: Any) -> None:
    with T.no_grad():
        a.mul_(1.1)


# Each takes the library, two tensors of the pool and a number in [0, 1); what it returns joins the pool.
MAKERS: dict[str, Callable[..., Any]] = {
    "product": lambda T, a, b, r: a * (b.sum() * 0.1),
    "sin": lambda T, a, b, r: a.sin(),
    "exp": lambda T, a, b, r: (a * 0.1).exp(),
    "row": lambda T, a, b, r: a[int(r * a.shape[0])],
    "columns": lambda T, a, b, r: a[..., int(r * a.shape[-1]) :],
    "transposed": lambda T, a, b, r: a.t(),
    "flat": lambda T, a, b, r: a.view(-1),
    "constant": lambda T, a, b, r: constant(T),
    "view of a constant": lambda T, a, b, r: constant(T)[1],
    "copy outside the graph": lambda T, a, b, r: a.detach().contiguous().clone(),
    "expanded": lambda T, a, b, r: a.unsqueeze(0).expand(2, *a.shape),
    "selected": lambda T, a, b, r: a[a.detach() > 0.2],
}
WRITERS: dict[str, Callable[..., Any]] = {
    "multiply": lambda T, a, b, r: a.mul_(b.sum() * 0.1 + 0.5),
    "add": lambda T, a, b, r: a.add_(same_shape(a, b)),
    "sin in place": lambda T, a, b, r: a.sin_(),
    "set a column": lambda T, a, b, r: a.__setitem__((..., 0), b.sum() * 0.1),
    "set a row": lambda T, a, b, r: a.__setitem__(0, same_shape(a[0], b[0] if b.dim() else b)),
    "copy": lambda T, a, b, r: a.copy_(b.sum() * r),
    "zero": lambda T, a, b, r: a.zero_(),
    "mask": lambda T, a, b, r: masked(T, a),
    "no_grad": lambda T, a, b, r: under_no_grad(T, a),
}
NEEDS_AXES = {"row", "columns", "selected", "set a column", "set a row"}


def written(seed: int) -> Program:
    rng = random.Random(seed)
    names = [*MAKERS, *WRITERS]
    return [(rng.choice(names), rng.random(), rng.random(), rng.random()) for _ in range(rng.randint(2, 9))]


def run(T: Any, program: Program) -> tuple[float, np.ndarray]:
    """The value of a program and its derivative with respect to the leaf it starts from."""
    x = T.tensor(START, requires_grad=True)
    pool = [x * 1]
    for name, first, second, r in program:
        a, b = pool[int(first * len(pool))], pool[int(second * len(pool))]
        applies = a.dim() == 2 if name == "transposed" else a.is_contiguous() if name == "flat" else a.dim() > 0 or name not in NEEDS_AXES
        if applies and name in MAKERS:
            pool.append(MAKERS[name](T, a, b, r))
        elif applies:
            WRITERS[name](T, a, b, r)
    loss = sum((p * p * 0.3 + p).sum() * (k + 1) for k, p in enumerate(pool))
    if loss.requires_grad:
        loss.backward()
    return loss.item(), np.zeros_like(START) if x.grad is None else np.array(x.grad.numpy())


def compare(seeds: range) -> dict[str, int]:
    counts = {"equal": 0, "refused by PyTorch": 0, "refused by Gradus": 0}
    for seed in seeds:
        program = written(seed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value, gradient = run(torch, program)
        except (RuntimeError, IndexError):
            counts["refused by PyTorch"] += 1
            continue
        try:
            my_value, my_gradient = run(gradus, program)
        except (AliasError, GradError):
            counts["refused by Gradus"] += 1
            continue
        steps = [name for name, *_ in program]
        np.testing.assert_allclose(my_value, value, rtol=1e-9, err_msg=f"{seed}: {steps}")
        np.testing.assert_allclose(my_gradient, gradient, rtol=1e-8, atol=1e-8, err_msg=f"{seed}: {steps}")
        counts["equal"] += 1
    return counts


def test_random_programs() -> None:
    counts = compare(range(1000))
    # Refusals are of writes to expanded memory.
    assert counts["refused by Gradus"] < 20, counts
    assert counts["equal"] > 600, counts


@pytest.mark.slow
def test_many_random_programs() -> None:
    counts = compare(range(1000, 30_000))
    assert counts["refused by Gradus"] < 600, counts

"""Random tensors and choices, and the state of the generator that draws them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from gradus import dtypes, ops, random
from gradus.errors import DTypeError, UsageError
from gradus.tensors import Tensor, wrap
from gradus.torch_names.table import FUNCTIONS, both, check_ranks, common_shape, function, sizes_of


@function
def randint(low: int, high: Any = None, size: Any = None, *, dtype: Any = None, generator: Any = None) -> Tensor:
    """Integers in [low, high), or in [0, low) when called as ``randint(high, size)``."""
    if size is None:
        low, high, size = 0, low, high
    return wrap(ops.astype(random.integers(low, high, sizes_of((size,)), generator), np.dtype(dtype or dtypes.int64)))


@function
def randperm(n: int, *, generator: Any = None) -> Tensor:
    """The integers 0 … n - 1 in random order."""
    return wrap(random.permutation(n, generator))


FUNCTIONS["manual_seed"] = random.manual_seed


@function
def randint_like(input: Any, low: int, high: Any = None, *, dtype: Any = None) -> Tensor:
    """Integers in [low, high), or in [0, low), in the shape and dtype of another tensor."""
    low, high = (0, low) if high is None else (low, high)
    return wrap(ops.astype(random.integers(low, high, tuple(input.shape)), np.dtype(dtype or input.dtype)))


@function
def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None) -> Any:
    """Random numbers of the normal distribution, with a mean and deviation for each element, or one for all of a ``size``."""
    shape = sizes_of((size,)) if size is not None else common_shape(*[tuple(getattr(x, "shape", ())) for x in (mean, std)])
    dtype = next((x.dtype for x in (mean, std) if isinstance(x, Tensor)), None)
    return mean + std * wrap(random.normal(tuple(shape), dtype, generator))


@both
def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Any:
    """1 with the probability that each element says (or ``p``), else 0."""
    if input.dtype.kind != "f" and p is None:
        raise DTypeError("bernoulli takes probabilities", got=str(input.dtype), wanted="floats", fix="x.float()", code="E14")
    drawn = wrap(random.uniform(tuple(input.shape), None, generator))
    return ops.astype(ops.less(drawn, ops.stop_gradient(input) if p is None else p), input.dtype)


@both
def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """Numbers of classes, drawn with probabilities in proportion to the last axis; without ``replacement`` each one once at most.

    Raises:
        UsageError: weights that are negative, NaN or infinite, or fewer of them above 0 than are to be drawn (E29).
    """
    check_ranks("multinomial", 1, input, most=2)
    weights = ops.astype(ops.stop_gradient(input), np.float64)
    classes = input.shape[-1]
    _check_weights(weights, num_samples, replacement)
    if replacement:
        ends = ops.cumulative_sum(weights, axis=-1)
        total = ops.getitem(ends, key=(Ellipsis, slice(classes - 1, classes)))
        u = wrap(random.uniform((*input.shape[:-1], num_samples), np.float64, generator)) * total
        below = ops.less_equal(ops.expand_dims(ends, axis=-2), ops.expand_dims(u, axis=-1))
        return ops.sum(ops.astype(below, np.int64), axis=-1)
    # The earliest of exponential waiting times, each class at the rate of its weight (Efraimidis and Spirakis 2006).
    waits = -ops.log(1.0 - wrap(random.uniform(tuple(input.shape), np.float64, generator))) / weights
    return ops.getitem(ops.argsort(waits, axis=-1), key=(Ellipsis, slice(0, num_samples)))


def _check_weights(weights: Any, count: int, replacement: bool) -> None:
    found = weights.value if isinstance(weights, Tensor) else weights
    if not isinstance(found, np.ndarray):
        return  # a trace has no numbers
    usable = np.isfinite(found).all() and (found >= 0).all() and (found.sum(-1) > 0).all()
    if not usable or count < 1 or (not replacement and count > (found > 0).sum(-1).min(initial=found.shape[-1])):
        raise UsageError(
            "multinomial cannot draw so many classes from these weights",
            got=f"{count} draws {'with' if replacement else 'without'} replacement, weights of shape {found.shape}",
            wanted="finite weights from 0 up, at least one (without replacement: as many as are drawn) above 0",
            fix="x.softmax(-1).multinomial(1)",
            code="E29",
        )


# The default generator.


@function
def get_rng_state() -> dict[str, int]:
    """What :func:`set_rng_state` needs, so that the default generator goes on with the same numbers."""
    return random.default_generator().get_state()


@function
def set_rng_state(new_state: dict[str, int]) -> None:
    """Let the default generator go on where :func:`get_rng_state` was called."""
    random.default_generator().set_state(new_state)


@function
def initial_seed() -> int:
    """The seed of the default generator."""
    return random.default_generator().initial_seed()


@function
def seed() -> int:
    """Seed the default generator with a number that nobody chose, and return that."""
    return random.manual_seed(int.from_bytes(os.urandom(8), "little")).initial_seed()

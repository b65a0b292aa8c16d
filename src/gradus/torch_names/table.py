"""The table of PyTorch's names, and what its parts need to fill it.

:func:`both` makes a definition a function of ``gradus`` and a method of Tensor, :func:`method` and :func:`function` one of them.
``dim``/``axis`` and ``keepdim``/``keepdims`` are both accepted.
"""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import ops
from gradus.errors import IndexRangeError, ShapeError
from gradus.primitive import normalize_axes
from gradus.tensors import Tensor, as_array, wrap
from gradus.tensors import device as device_type

FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Any] = {}
SPELLINGS = {"axis": "dim", "keepdims": "keepdim"}


def torch_keywords(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``axis`` and ``keepdims`` stand for ``dim`` and ``keepdim``."""

    @functools.wraps(f)
    def accepting(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for numpy_name, torch_name in SPELLINGS.items():
                if numpy_name in kwargs:
                    kwargs[torch_name] = kwargs.pop(numpy_name)
        return f(*args, **kwargs)

    return accepting


def function(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is a function of ``gradus`` only; a device that it takes is checked here."""
    entry = _device_checked(f) if "device" in f.__code__.co_varnames[: f.__code__.co_argcount + f.__code__.co_kwonlyargcount] else f
    FUNCTIONS[f.__name__] = entry
    return entry


def _device_checked(f: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(f)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("device") is not None:
            device_type(kwargs["device"])  # raises for all but the CPU
        return f(*args, **kwargs)

    return checked


def function_named(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An entry that is a function only and takes other arguments than the method of the same name."""

    def enter(f: Callable[..., Any]) -> Callable[..., Any]:
        f.__name__ = f.__qualname__ = name
        return function(f)

    return enter


def method(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is a method of Tensor only."""
    METHODS[f.__name__] = f
    return f


def both(f: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that is both; it takes NumPy's keywords too."""
    accepting = (
        torch_keywords(f)
        if {"dim", "keepdim"} & set(f.__code__.co_varnames[: f.__code__.co_argcount + f.__code__.co_kwonlyargcount])
        else f
    )
    FUNCTIONS[f.__name__] = METHODS[f.__name__] = accepting
    return accepting


def as_method(op: Callable[..., Any]) -> Callable[..., Any]:
    """A function of this package, or NumPy's, as one that binds to its object."""

    def bound(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return op(self, *args, **kwargs)

    bound.__doc__ = op.__doc__
    return bound


def sizes_of(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    for n in shape:
        if n.__class__ is not int:
            break
    else:
        return shape
    if len(shape) == 1 and not isinstance(shape[0], (int, np.integer, Tensor)):
        shape = tuple(shape[0])
    return tuple([int(n) for n in shape])


def tensor_of(x: Any) -> Any:
    """``x`` itself, or a Tensor of it."""
    return x if isinstance(x, Tensor) else wrap(as_array(x))


# Axes.

ValuesIndices = namedtuple("ValuesIndices", ["values", "indices"])


def axis_of(input: Any, dim: int) -> int:
    """One axis of a tensor that has axes, counted from the front."""
    axes = normalize_axes(dim, input.ndim)
    if not axes:
        raise IndexRangeError("a 0-d tensor has no axis", got=f"dim {dim}", wanted="1 axis or more", fix="x.reshape(1)", code="E41")
    return axes[0]


def check_ranks(name: str, least: int, *tensors: Any, most: int | None = None, fix: str = "") -> None:
    """Raise unless every tensor has between ``least`` and ``most`` axes."""
    for x in tensors:
        if x.ndim < least or (most is not None and x.ndim > most):
            wanted = f"{least} axes" if most == least else f"{least} axes or more" if most is None else f"{least} to {most} axes"
            raise ShapeError(
                f"{name} takes tensors of {wanted}",
                got=", ".join(str(tuple(x.shape)) for x in tensors),
                wanted=wanted,
                fix=fix,
                code="E03",
            )


def common_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which tensors of these shapes meet."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            "shapes cannot be broadcast to one",
            got=" and ".join(str(tuple(shape)) for shape in shapes),
            wanted="lengths that are equal or 1, counted from the last axis",
            code="E03",
        ) from None


def with_an_axis(f: Callable[[Any], Any], input: Any) -> Any:
    """``f`` of a tensor that has an axis; a 0-d tensor gets one for the time of the call."""
    if input.ndim:
        return f(input)
    result = f(ops.reshape(input, (1,)))
    return ValuesIndices(*[ops.reshape(part, ()) for part in result]) if isinstance(result, tuple) else ops.reshape(result, ())


def plane_of(input: Any, dim1: int, dim2: int) -> tuple[int, int]:
    """Two different axes, counted from the front, between which a diagonal lies."""
    first, second = axis_of(input, dim1), axis_of(input, dim2)
    if first == second:
        raise ShapeError(
            "a diagonal lies between two different axes",
            got=f"dim1={dim1} and dim2={dim2} of shape {tuple(input.shape)}",
            wanted="two axes",
            fix="x.diagonal(0, -2, -1)",
            code="E03",
        )
    return first, second

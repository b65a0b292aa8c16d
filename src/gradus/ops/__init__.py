"""The vocabulary of Gradus in Array API spelling: every function takes raw arrays, tensors and tracers alike.

This module is itself a namespace ``xp``: derivative rules run on it when their result is to be differentiated again or traced.
Its names are those of the registry, so an op that is added in its file is here too, then the composites below, which need no record.
"""

from typing import Any

from gradus.ops import contraction, elementwise, indexing, movement, random, reduction
from gradus.ops.creation import arange, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like
from gradus.ops.elementwise import pow
from gradus.ops.indexing import argsort, index, scatter_add_along_axis, sort, take, take_along_axis
from gradus.ops.movement import expand_dims, matrix_transpose, moveaxis, squeeze
from gradus.primitive import REGISTRY

for _record in REGISTRY.values():
    globals().setdefault(_record.name, _record.function)


def __getattr__(name: str) -> Any:
    """Ops registered later, by a user's own file, are found here too."""
    if name in REGISTRY:
        return REGISTRY[name].function
    raise AttributeError(f"gradus.ops has no op {name!r}")

"""Numbers that must be finite, checked at each run of a compiled function too."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus.errors import NonFiniteError, UsageError
from gradus.primitive import Handmade, bind, primitive


def _checked_squares(*xs: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        total = sum([np.vdot(x, x).astype(np.float64) for x in xs])
        if not np.isfinite(total):
            for k, x in enumerate(xs):
                if not np.isfinite(x).all():
                    raise NonFiniteError(
                        "NaN or infinity where all numbers must be finite",
                        got=f"array {k}: {np.count_nonzero(~np.isfinite(x))} of {x.size} elements",
                        wanted="finite numbers",
                        code="E16",
                    )
            total = sum([np.square(x, dtype=np.float64).sum() for x in xs])  # it was only float32 that overflowed
        return np.asarray(total, np.result_type(*xs))


def _kernel(inputs: Any, output: Any, params: Any) -> Handmade | None:
    kinds = {x.dtype for x in inputs}
    if kinds != {output.dtype} or output.dtype.name not in ("float32", "float64"):
        return None
    sizes = tuple([x.size for x in inputs])
    return Handmade("finite.squares", sizes, (len(inputs), output.dtype.name), by_table=True, flops=2 * sum(sizes))


@primitive(
    "checked_squares",
    lambda xp, *xs: xp.checked_squares(*xs),
    lambda xp, g, xs, i: 2 * g * xs[i],
    raw=_checked_squares,
    family="check",
    dtype_rule="promote",
    kernel=_kernel,
    samples=lambda draw: [((draw(4, 3), draw(2)), {}), ((draw(),), {}), ((draw(0), draw(3)), {})],
)
def checked_squares(record: Any, *xs: Any) -> Any:
    """The sum of the squares of all elements of floating arrays, of any shapes, as one number.

    Raises:
        NonFiniteError: an element is NaN or infinite (E16). In a compiled function this happens before any tensor outside is written to.

    >>> from gradus.tensors import Tensor
    >>> checked_squares(Tensor([3.0, 0.0]), Tensor(4.0))
    tensor(25.)
    """
    if not xs:
        raise UsageError("checked_squares needs at least one array", got="none")
    return bind(record, xs)

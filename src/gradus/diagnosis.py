"""From NumPy's terse error to a message that a person can act on. Runs only after something failed."""

from __future__ import annotations

import itertools
from typing import Any

from gradus.errors import DTypeError, GradusError, IndexRangeError, ShapeError
from gradus.primitive import Primitive


def describe(value: Any) -> str:
    """Shape and dtype of an array, or the number itself.

    >>> import numpy as np
    >>> describe(np.zeros((2, 3), "float32")), describe(2)
    ('(2, 3) float32', '2')
    """
    if hasattr(value, "shape"):
        return f"{tuple(value.shape)} {value.dtype}"
    return repr(value)


def explain(record: Primitive, values: Any, params: Any, error: Exception) -> Exception:
    """The typed error for a forward function that raised."""
    if isinstance(error, GradusError):
        return error
    strays = [value for value in values if hasattr(type(value), "strayed")]
    if strays:
        return strays[0].strayed()
    names = itertools.chain((name.lstrip("*") for name in record.inputs), itertools.repeat(record.inputs[-1].lstrip("*")))
    got = ", ".join(f"{name} {describe(value)}" for name, value in zip(names, values, strict=False))
    shapes = [tuple(v.shape) for v in values if hasattr(v, "shape")]
    if record.family == "elementwise" and len(shapes) >= 2:
        clash = broadcast_clash(shapes[-2], shapes[-1])
        if clash is not None:
            return _broadcast_error(record, shapes[-2], shapes[-1], clash, got)
    if isinstance(error, IndexError):
        return IndexRangeError(f"{record.name}: {error}", got=got, wanted="indices inside the axis", code="E41")
    if isinstance(error, OverflowError):
        return DTypeError(
            f"{record.name}: {error}",
            got=got,
            wanted="a number that the dtype holds",
            why="integers of this dtype end before it",
            fix="x.long(), or x.float()",
            code="E14",
        )
    if isinstance(error, TypeError):
        booleans = any(hasattr(value, "dtype") and value.dtype.kind == "b" for value in values)
        fix = "x.float() first; for masks a & b, a | b, a ^ b and ~a" if booleans else ""
        return DTypeError(f"{record.name}: {error}", got=got, wanted="a dtype that the operation is defined for", fix=fix, code="E14")
    letters = letter_clash(params["subscripts"], shapes) if record.name == "einsum" else ""
    if letters:
        return ShapeError(f"einsum: {letters}", got=f"{got}; {params['subscripts']!r}", wanted=RULES["einsum"], code="E03")
    call = ", ".join(f"{name}={value!r}" for name, value in params.items())
    wanted = RULES.get(record.name, "shapes that fit each other, see the documentation of " + record.name)
    return ShapeError(f"{record.name}: {error}", got=f"{got}; {call}" if call else got, wanted=wanted, code="E03")


RULES = {
    "broadcast_to": "for each axis, counted from the right, the same length or 1 in x",
    "einsum": "one length for each letter, in all inputs that have it",
    "index_update": "a value that broadcasts to x[key]",
    "scatter_add": "values that broadcast to the places they are added to",
}


def letter_clash(subscripts: str, shapes: list[tuple[int, ...]]) -> str:
    """The first letter of an einsum that stands for two lengths; nothing where none does, or "..." hides which axis is whose.

    >>> letter_clash("ij,jk->ik", [(2, 3), (2, 3)])
    "the letter 'j' is 3 in input 0 and 2 in input 1"
    """
    seen: dict[str, tuple[int, int]] = {}
    for place, (letters, shape) in enumerate(zip(subscripts.split("->")[0].split(","), shapes, strict=False)):
        for letter, length in zip(letters, shape, strict=False) if "." not in letters else ():
            known, where = seen.setdefault(letter, (length, place))
            if known != length and 1 in (known, length):
                seen[letter] = (max(known, length), where if known > length else place)  # 1 goes with any length
            elif known != length:
                return f"the letter {letter!r} is {known} in input {where} and {length} in input {place}"
    return ""


def broadcast_clash(a: tuple[int, ...], b: tuple[int, ...]) -> int | None:
    """The last axis, counted from the front of the longer shape, on which two shapes do not broadcast; None when they do.

    >>> broadcast_clash((2, 3), (2,)), broadcast_clash((2, 3), (3,))
    (1, None)
    """
    ndim = max(len(a), len(b))
    for k in range(1, min(len(a), len(b)) + 1):
        if a[-k] != b[-k] and 1 not in (a[-k], b[-k]):
            return ndim - k
    return None


def _broadcast_error(record: Primitive, a: tuple[int, ...], b: tuple[int, ...], axis: int, got: str) -> ShapeError:
    ndim = max(len(a), len(b))
    n, m = a[axis - ndim], b[axis - ndim]
    fix = ""
    if len(b) < len(a) and b and b[-1] in a[:-1] and len(b) == 1:
        fix = "b[" + ", ".join([":"] + ["None"] * (len(a) - 1 - a.index(b[-1]))) + "] lines b up with axis " + str(a.index(b[-1]))
    return ShapeError(
        f"The size of tensor a ({n}) must match the size of tensor b ({m}) at non-singleton dimension {axis}",
        got=got,
        wanted="shapes that are equal, or 1, on every axis counted from the right",
        why=f"{record.name} lines shapes up from the right: {a} against {b}",
        fix=fix,
        code="E03",
    )

"""How tensors print: to PyTorch's rules, so that what is read in its tutorials is read here too.

>>> import gradus
>>> gradus.tensor([[1.0, 2.5], [0.0, -1.0]], requires_grad=True)
tensor([[ 1.0000,  2.5000],
        [ 0.0000, -1.0000]], requires_grad=True)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import dtypes

EDGE_ITEMS, THRESHOLD, LINE_WIDTH, PRECISION = 3, 1000, 80, 4


def number_format(array: np.ndarray) -> Callable[[Any], str]:
    """How each number of an array is written, all of one width: ``1.``, ``1.2346`` or ``1.2346e+08`` by the largest and smallest of them.

    >>> text = number_format(np.array([1.0, 1234567.5])); text(np.float64(1.0))
    '1.0000e+00'
    """
    if array.dtype.kind != "f":
        width = max((len(str(x)) for x in array.ravel().tolist()), default=1)
        return lambda x: str(x).rjust(width)
    shown = array[np.isfinite(array) & (array != 0)].astype(np.float64)
    sizes = np.abs(shown)
    whole = bool(np.all(shown == np.ceil(shown)))
    wide = shown.size > 0 and bool(sizes.max() / sizes.min() > 1000.0 or sizes.max() > 1.0e8 or (not whole and sizes.min() < 1.0e-4))

    def plain(x: Any) -> str:
        if wide:
            return f"{x:.{PRECISION}e}"
        if not whole:
            return f"{x:.{PRECISION}f}"
        return f"{x:.0f}." if np.isfinite(x) else f"{x:.0f}"

    # Zeros, infinities and NaN do not count for the width.
    width = max((len(plain(x)) for x in shown.tolist()), default=1)
    return lambda x: plain(x).rjust(width)


def edges(array: np.ndarray) -> np.ndarray:
    """What is shown of a large array: the first and last items along each axis."""
    for axis, n in enumerate(array.shape):
        if n > 2 * EDGE_ITEMS:
            array = np.take(array, [*range(EDGE_ITEMS), *range(n - EDGE_ITEMS, n)], axis=axis)
    return array


def value_text(array: np.ndarray, indent: int = 0) -> str:
    """The numbers of an array in nested brackets, of which ``indent`` columns stand to the left.

    >>> value_text(np.array([[1, 20], [-3, 4]]), indent=7)
    '[[ 1, 20],\\n        [-3,  4]]'
    """
    if not array.size:
        return "[]"
    shortened = array.size > THRESHOLD
    return _nested(array, indent, shortened, number_format(edges(array) if shortened else array))


def _nested(array: np.ndarray, indent: int, shortened: bool, text: Callable[[Any], str]) -> str:
    if array.ndim == 0:
        return text(array.item())
    n = len(array)
    cut = shortened and n > 2 * EDGE_ITEMS
    rows = [*range(EDGE_ITEMS), *range(n - EDGE_ITEMS, n)] if cut else range(n)
    if array.ndim == 1:
        items = [text(array[i].item()) for i in rows]
        a_line = max(1, (LINE_WIDTH - indent) // (len(text(0)) + 2))
        if cut:
            items.insert(EDGE_ITEMS, " ...")
        lines = [", ".join(items[k : k + a_line]) for k in range(0, len(items), a_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = [_nested(array[i], indent + 1, shortened, text) for i in rows]
    if cut:
        parts.insert(EDGE_ITEMS, "...")
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _notes(tensor: Any) -> list[str]:
    """What follows the numbers: the size of an empty tensor, an unusual dtype, the place in the graph."""
    value, notes = tensor.value, []
    usual = (dtypes.get_default_dtype().name, "int64", "bool")
    empty = 0 in value.shape
    if empty and len(value.shape) != 1:
        notes.append(f"size={tuple(value.shape)}")
    if value.dtype.name not in (usual[:1] if empty else usual):
        notes.append(f"dtype=gradus.{value.dtype.name}")
    if tensor.node is not None:
        notes.append(f"grad_fn={tensor.node}")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return notes


def tensor_text(tensor: Any) -> str:
    """``tensor(…)`` with the dtype where it is not the usual one, and the node or ``requires_grad``."""
    text = head = "tensor("
    text += value_text(tensor.value, len(head)) if isinstance(tensor.value, np.ndarray) else repr(tensor.value)
    column = len(text) - text.rfind("\n") + 1
    for note in _notes(tensor):
        if column + len(note) + 2 > LINE_WIDTH:
            text, column = text + ",\n" + " " * len(head) + note, len(head) + len(note)
        else:
            text, column = text + ", " + note, column + len(note) + 2
    return ("Parameter containing:\n" if type(tensor).__name__ == "Parameter" else "") + text + ")"

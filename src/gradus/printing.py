"""How tensors print: PyTorch's four decimals, and what takes part in derivatives says so.

>>> import numpy as np
>>> from gradus.tensors import wrap
>>> wrap(np.array([[1.0, 2.5]], "float32"))
tensor([[1.0000, 2.5000]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

EDGE_ITEMS, THRESHOLD, LINE_WIDTH, PRECISION = 3, 1000, 80, 4


def _number_format(array: np.ndarray) -> dict[str, Any]:
    """PyTorch's choice between ``1.``, ``1.2346`` and ``1.2346e+08``."""
    finite = array[np.isfinite(array)]
    size = np.abs(finite[finite != 0]).astype(np.float64)
    if not size.size:
        return {"float": _padded("{:.0f}.".format, array)}
    wide = size.max() / size.min() > 1000.0 or size.max() > 1.0e8 or size.min() < 1.0e-4
    if np.all(finite == np.ceil(finite)):
        return {"float": _padded(f"{{:.{PRECISION}e}}".format if size.max() > 1.0e8 else "{:.0f}.".format, array)}
    return {"float": _padded(f"{{:.{PRECISION}e}}".format if wide else f"{{:.{PRECISION}f}}".format, array)}


def _padded(plain: Any, array: np.ndarray) -> Any:
    """Numbers right-aligned to the widest one shown."""

    def text(x: Any) -> str:
        return plain(x) if np.isfinite(x) else str(float(x))

    shown = array.ravel()
    if shown.size > THRESHOLD:
        shown = np.concatenate([shown[:EDGE_ITEMS], shown[-EDGE_ITEMS:]])
    width = max((len(text(x)) for x in shown), default=0)
    return lambda x: text(x).rjust(width)


def value_text(array: np.ndarray, prefix: str = "") -> str:
    """The numbers of an array in nested brackets, long axes shortened."""
    formatter = _number_format(array) if array.dtype.kind == "f" else None
    if array.ndim == 0:
        return formatter["float"](array[()]) if formatter else str(array[()])
    return np.array2string(
        array, separator=", ", prefix=prefix, formatter=formatter, threshold=THRESHOLD, edgeitems=EDGE_ITEMS, max_line_width=LINE_WIDTH  # type: ignore[arg-type]
    )


def tensor_text(tensor: Any) -> str:
    """``tensor(…)`` with the dtype where it is not the usual one, and the node or ``requires_grad``."""
    value = tensor.value
    head = "Parameter containing:\ntensor(" if type(tensor).__name__ == "Parameter" else "tensor("
    body = value_text(value, prefix=" " * 7) if isinstance(value, np.ndarray) else repr(value)
    notes = []
    if getattr(value, "size", 1) == 0 and len(value.shape) > 1:
        notes.append(f"size={tuple(value.shape)}")
    if value.dtype.name not in ("float32", "int64", "bool") or getattr(value, "size", 1) == 0 and value.dtype.name != "float32":
        notes.append(f"dtype=gradus.{value.dtype.name}")
    if tensor.node is not None:
        notes.append(f"grad_fn={tensor.node}")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return head + ", ".join([body, *notes]) + ")"

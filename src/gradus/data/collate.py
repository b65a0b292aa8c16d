"""Joins samples into a batch: arrays are stacked along a new first axis, through tuples, lists and dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradus.dtypes import get_default_dtype
from gradus.errors import DataError
from gradus.ops import stack
from gradus.tensors import Tensor, wrap

_FIX = "DataLoader(…, collate_fn=list) hands the samples on as they are"


def default_collate(samples: Sequence[Any]) -> Any:
    """Join samples of one form into a batch of the same form.

    Tensors, arrays and numbers become Tensors with a new first axis, of the samples' dtype (Python floats: the default dtype,
    where PyTorch takes float64); strings become a list; tuples, named tuples, lists and dicts are joined entry by entry.

    Args:
        samples: at least one sample.

    Raises:
        DataError: samples that differ in form or shape, or are None; says which two and how.

    >>> x, y = default_collate([(np.zeros(3), 1), (np.ones(3), 0)])
    >>> tuple(x.shape), y.tolist()
    ((2, 3), [1, 0])
    """
    return collate(samples, range(len(samples)))


def collate(samples: Sequence[Any], numbers: Sequence[int], place: str = "") -> Any:
    """:func:`default_collate` for samples that bear ``numbers`` in their dataset, at ``place`` (such as ``[0]['x']``) within each."""
    if not samples:
        raise DataError("a batch needs at least one sample", got="no samples", code="E12")
    first = samples[0]
    _check_form(samples, numbers, place)
    if isinstance(first, Tensor):
        return _stack(samples, numbers, place)
    if isinstance(first, (np.ndarray, np.generic)):
        arrays = [np.asarray(sample) for sample in samples]
        return arrays if arrays[0].dtype.kind in "US" else _stack([Tensor(array) for array in arrays], numbers, place)
    if isinstance(first, (bool, int, float)):
        dtype = np.bool_ if all(isinstance(sample, bool) for sample in samples) else np.int64
        return wrap(np.array(samples, get_default_dtype() if any(isinstance(sample, float) for sample in samples) else dtype))
    if isinstance(first, (str, bytes)):
        return list(samples)
    if isinstance(first, Mapping):
        return {key: collate([sample[key] for sample in samples], numbers, f"{place}[{key!r}]") for key in first}
    if isinstance(first, (tuple, list)):
        parts = [collate(column, numbers, f"{place}[{position}]") for position, column in enumerate(zip(*samples, strict=True))]
        if hasattr(first, "_fields"):
            return type(first)(*parts)
        return tuple(parts) if isinstance(first, tuple) else parts
    raise DataError(
        f"{_at(numbers[0], place)} cannot be put into a batch",
        got=type(first).__name__,
        wanted="a Tensor, array, number or string, or a tuple, list or dict of such",
        fix=_FIX,
        code="E39",
    )


def _at(number: int, place: str) -> str:
    return f"sample {number}{place}"


_NUMBERS = (bool, int, float)


def _form(sample: Any) -> Any:
    """What samples must have in common to be joined."""
    if isinstance(sample, Mapping):
        return "dict with the keys", sorted(map(repr, sample))
    if isinstance(sample, (tuple, list)):
        return type(sample).__name__, len(sample)
    if isinstance(sample, Tensor):
        return "Tensor"
    if isinstance(sample, (np.ndarray, np.generic)):
        return "array"
    return "number" if isinstance(sample, _NUMBERS) else type(sample).__name__


def _check_form(samples: Sequence[Any], numbers: Sequence[int], place: str) -> None:
    for sample, number in zip(samples, numbers):
        if sample is None:
            why = "a __getitem__ without `return`, or a failed read that returns None"
            raise DataError(f"{_at(number, place)} is None", wanted="the sample", why=why, code="E39")
    forms = [_form(sample) for sample in samples]
    for form, number in zip(forms, numbers):
        if form != forms[0]:
            raise DataError(
                f"{_at(numbers[0], place)} and {_at(number, place)} differ in form",
                got=f"{_text(forms[0])} and {_text(form)}",
                wanted="samples of one form",
                fix=_FIX,
                code="E39",
            )


def _text(form: Any) -> str:
    return form if isinstance(form, str) else f"{form[0]} {form[1]}" if isinstance(form[1], list) else f"{form[0]} of {form[1]}"


def _stack(tensors: Sequence[Any], numbers: Sequence[int], place: str) -> Tensor:
    shape = tensors[0].shape
    for tensor, number in zip(tensors, numbers):
        if tensor.shape != shape:
            raise DataError(
                f"{_at(numbers[0], place)} and {_at(number, place)} differ in shape",
                got=f"{tuple(shape)} and {tuple(tensor.shape)}",
                wanted="one shape, for a batch is one array",
                why="ragged data has to be padded or cut to one length",
                fix=_FIX,
                code="E39",
            )
    if any(tensor.requires_grad for tensor in tensors):
        return stack(tensors)
    return wrap(np.stack([tensor.value for tensor in tensors]))

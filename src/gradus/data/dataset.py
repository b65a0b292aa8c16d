"""Sets of samples: one's own, tensors row by row, parts of another set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradus.errors import DataError, UsageError
from gradus.memory import aligned
from gradus.random import Generator, permutation
from gradus.tensors import Tensor, wrap

Indices = np.ndarray[Any, Any]


class Dataset:
    """A numbered set of samples. Derive from it and define ``__len__`` and ``__getitem__``.

    A sample is a Tensor, array, number or string, or a tuple, list or dict of such; all samples of a set have the same form.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> Squares()[3]
    (3, 9)
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} needs a __len__ that returns the number of samples")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a __getitem__ that returns sample number `index`")

    def take_batch(self, indices: Indices) -> Any:
        """The samples at ``indices`` as one finished batch, or None: then a loader fetches them one by one.

        Define it where many samples come at the price of one, as rows of an array do.
        """
        return None


class TensorDataset(Dataset):
    """Rows of tensors that belong together: sample i is ``(tensors[0][i], tensors[1][i], …)``.

    Args:
        *tensors: Tensors or arrays with equally many rows (their first axis). Memory is shared, not copied.

    Raises:
        DataError: no tensor, a tensor without rows, or different numbers of rows.

    >>> data = TensorDataset(np.zeros((5, 2), "float32"), np.arange(5))
    >>> len(data), [tuple(part.shape) for part in data.take_batch(np.array([4, 0, 1]))]
    (5, [(3, 2), (3,)])
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(_as_tensor(tensor) for tensor in tensors)
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in self.tensors)
        if not self.tensors or any(tensor.ndim == 0 for tensor in self.tensors):
            raise DataError("a TensorDataset holds rows of tensors", got=shapes or "no tensor", wanted="tensors with at least one axis")
        if len({tensor.shape[0] for tensor in self.tensors}) > 1:
            wanted = "the same length of the first axis: one target per input"
            raise DataError("the tensors of a TensorDataset have different numbers of rows", got=shapes, wanted=wanted)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def take_batch(self, indices: Indices) -> tuple[Tensor, ...]:
        """All rows in one indexing per tensor."""
        return tuple(take_rows(tensor, indices) for tensor in self.tensors)

    def __repr__(self) -> str:
        return f"TensorDataset({', '.join(f'{tuple(t.shape)} {t.dtype}' for t in self.tensors)})"


def _as_tensor(data: Any) -> Tensor:
    if isinstance(data, Tensor):
        return data
    return wrap(data) if isinstance(data, np.ndarray) and data.dtype.kind in "fiub" else Tensor(data)


def take_rows(tensor: Tensor, indices: Indices) -> Tensor:
    """``tensor[indices]`` along the first axis; of plain data without the detour through the graph, which no one asked for."""
    if tensor.requires_grad or type(tensor.value) is not np.ndarray:
        return tensor[indices]
    rows = tensor.value
    if not indices.size or indices.min() < 0 or indices.max() >= len(rows):
        return wrap(rows.take(indices, axis=0))
    batch = aligned((len(indices), *rows.shape[1:]), rows.dtype)
    return wrap(rows.take(indices, axis=0, out=batch, mode="clip"))  # without "clip" NumPy would write to a buffer first


class Subset(Dataset):
    """Some samples of another set, in a given order.

    Args:
        dataset: anything with ``__len__`` and ``__getitem__``.
        indices: numbers of samples in ``dataset``.

    Raises:
        DataError: an index outside the set.

    >>> Subset(["a", "b", "c"], [2, 0])[0]
    'c'
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | Indices) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        size = len(dataset)
        outside = self.indices[(self.indices < -size) | (self.indices >= size)]
        if outside.size:
            raise DataError("a Subset reaches outside its dataset", got=f"index {outside[0]}", wanted=f"less than {size}, its length")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def take_batch(self, indices: Indices) -> Any:
        """As the set itself takes them."""
        return self.dataset.take_batch(self.indices[indices]) if isinstance(self.dataset, Dataset) else None


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Generator | int | None = None) -> list[Subset]:
    """Cut a set at random into parts that share no sample.

    Args:
        dataset: anything with ``__len__`` and ``__getitem__``.
        lengths: the sizes of the parts, adding up to the size of the set; or shares, adding up to 1. What rounding down leaves
            over goes to the parts in turn.
        generator: where the random order comes from: a Generator, a seed, or None for the default generator.

    Raises:
        UsageError: lengths that do not add up, or negative ones.

    >>> train, test = random_split(range(10), [0.75, 0.25], generator=0)
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    """
    sizes = _sizes(len(dataset), list(lengths))
    order = permutation(len(dataset), as_generator(generator))
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends)]


def _sizes(rows: int, lengths: list[int | float]) -> list[int]:
    """Whole numbers that add up to ``rows``."""
    if any(length < 0 or isinstance(length, bool) for length in lengths):
        raise UsageError("random_split takes sizes or shares", got=f"{lengths}", wanted="numbers from 0 up")
    if all(float(length).is_integer() for length in lengths) and sum(lengths) == rows:
        return [int(length) for length in lengths]
    if not math.isclose(sum(lengths), 1, abs_tol=1e-6):
        wanted = f"sizes adding up to {rows}, or shares adding up to 1"
        raise UsageError("the parts of random_split do not add up", got=f"{lengths}, sum {sum(lengths)}", wanted=wanted)
    sizes = [math.floor(rows * length + 1e-9) for length in lengths]  # 0.29 * 100 is 28.999999999999996
    for part in range(rows - sum(sizes)):
        sizes[part % len(sizes)] += 1
    return sizes


def as_generator(generator: Generator | int | None) -> Generator | None:
    """A seed stands for a fresh generator."""
    return Generator(generator) if isinstance(generator, (int, np.integer)) else generator

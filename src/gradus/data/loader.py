"""Batches of a dataset, epoch after epoch, in an order that its generator alone decides."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gradus.data.collate import collate
from gradus.data.dataset import Dataset, Indices, as_generator, take_rows
from gradus.errors import DataError, UsageError
from gradus.random import Generator, permutation
from gradus.tensors import Tensor, wrap


class DataLoader:
    """Iterates over a dataset in batches; each ``for`` loop over it is one epoch.

    Args:
        dataset: a Dataset, a Tensor or array (its rows), a list: anything with ``__len__`` and ``__getitem__``.
        batch_size: samples a batch; the last one may be smaller.
        shuffle: a new random order in every epoch, otherwise the order of the dataset.
        sampler: the numbers of the samples in the order wanted, iterated anew in every epoch; instead of ``shuffle``.
        num_workers, pin_memory: taken so that PyTorch code runs, and without effect: samples are fetched in this process, and the
            order never depended on them.
        collate_fn: makes a batch out of a list of samples; :func:`default_collate` otherwise.
        drop_last: leave out a last batch that is smaller than the others.
        generator: where the random orders come from: a Generator, a seed, or None for the default generator. Its state before an
            epoch is all that is needed to repeat that epoch.

    Raises:
        UsageError: ``batch_size`` below 1, ``shuffle`` together with ``sampler``.
        DataError: there is not a single batch; and while iterating, samples that do not fit together.

    >>> from gradus.data import TensorDataset
    >>> data = TensorDataset(np.arange(10).reshape(5, 2), np.arange(5))
    >>> [y.tolist() for x, y in DataLoader(data, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool | None = False,
        sampler: Iterable[int] | None = None,
        *,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        generator: Generator | int | None = None,
    ) -> None:
        self.dataset, self.batch_size = dataset, _checked_batch_size(batch_size)
        self.shuffle, self.sampler = bool(shuffle), sampler
        self.collate_fn, self.drop_last, self.generator = collate_fn, bool(drop_last), as_generator(generator)
        self.num_workers, self.pin_memory = num_workers, pin_memory
        if self.shuffle and sampler is not None:
            raise UsageError("shuffle and sampler both decide the order", wanted="one of the two", fix="DataLoader(…, sampler=sampler)")
        for sized in (dataset, sampler):
            if sized is not None and not hasattr(sized, "__len__"):
                raise DataError("a DataLoader needs to know the number of samples", got=type(sized).__name__, wanted="a __len__")
        if len(self) == 0:
            rows = self._rows()
            raise DataError(
                "the DataLoader has no batches",
                got=f"dataset {rows}, batch {self.batch_size}, drop_last={self.drop_last} -> 0 batches",
                wanted="at least one batch",
                why="all rows are in the one batch that drop_last drops" if rows else "the dataset is empty",
                fix="drop_last=False, or a smaller batch_size" if rows else "",
                code="E12",
            )

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        rows = self._rows()
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def _rows(self) -> int:
        """The number of samples of an epoch, before any is dropped."""
        numbered: Any = self.dataset if self.sampler is None else self.sampler
        return len(numbered)

    def __iter__(self) -> Iterator[Any]:
        return self._batches(self._order())  # the order is drawn here, now, and not when the first batch is asked for

    def _order(self) -> Indices:
        if self.sampler is not None:
            return np.fromiter((operator.index(number) for number in self.sampler), np.int64)
        if self.shuffle:
            return permutation(len(self.dataset), self.generator)
        return np.arange(len(self.dataset))

    def _batches(self, order: Indices) -> Iterator[Any]:
        end = len(order) - len(order) % self.batch_size if self.drop_last else len(order)
        for start in range(0, end, self.batch_size):
            yield self._batch(order[start : start + self.batch_size])

    def _batch(self, indices: Indices) -> Any:
        """The samples with these numbers: at one stroke where the dataset can, else one by one."""
        if self.collate_fn is None:
            batch = self._take(indices)
            if batch is not None:
                return batch
        numbers = indices.tolist()
        samples = [self._sample(number) for number in numbers]
        return collate(samples, numbers) if self.collate_fn is None else self.collate_fn(samples)

    def _take(self, indices: Indices) -> Any:
        if isinstance(self.dataset, Dataset):
            return self.dataset.take_batch(indices)
        if isinstance(self.dataset, Tensor):
            return take_rows(self.dataset, indices)
        return wrap(self.dataset.take(indices, axis=0)) if isinstance(self.dataset, np.ndarray) else None

    def _sample(self, number: int) -> Any:
        try:
            return self.dataset[number]
        except Exception as error:
            error.add_note(f"while sample {number} of the {type(self.dataset).__name__} was fetched")
            raise

    def __repr__(self) -> str:
        return f"DataLoader({type(self.dataset).__name__}, {len(self)} batches of {self.batch_size})"


def _checked_batch_size(batch_size: Any) -> int:
    if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or operator.index(batch_size) < 1:
        raise UsageError("a batch holds at least one sample", got=f"batch_size={batch_size!r}", wanted="a whole number from 1 up")
    return operator.index(batch_size)

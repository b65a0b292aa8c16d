"""Data sets, samplers, loaders: who pairs inputs with targets, who orders, who makes batches.

Four parts with one task each, so that each can be exchanged alone: another order (`Sampler`),
another way to stack (`collate`), other data.

Source: Jeremy Howard, Practical Deep Learning for Coders, part 2, 2019, where the training loop
grows these parts one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np


class Dataset:
    """Pairs (x[i], y[i]); `i` may be a slice.

    >>> data = Dataset(np.arange(4.0), np.arange(4))
    >>> len(data), data[1:3]
    (4, (array([1., 2.]), array([1, 2])))
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        if len(x) != len(y):
            raise ValueError(f"{len(x)} inputs cannot be paired with {len(y)} targets")
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: Any) -> tuple[Any, Any]:
        return self.x[i], self.y[i]


class Sampler:
    """The order of an epoch: 0 … n-1, or, given a generator, shuffled afresh every time.

    >>> list(Sampler(3)), sorted(Sampler(3, np.random.default_rng(0)))
    ([0, 1, 2], [0, 1, 2])
    """

    def __init__(self, n: int, rng: np.random.Generator | None = None) -> None:
        self.n, self.rng = n, rng

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n) if self.rng is None else self.rng.permutation(self.n).tolist())


def collate(items: Sequence[tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Examples to a batch: [(x₀, y₀), (x₁, y₁), …] -> (stacked x, stacked y).

    >>> collate([(np.ones(2), 0), (np.zeros(2), 1)])
    (array([[1., 1.],
           [0., 0.]]), array([0, 1]))
    """
    xs, ys = zip(*items)
    return np.stack(xs), np.stack(ys)


class DataLoader:
    """Batches of a data set in a sampler's order; `len` is their number.

    The last one may be smaller, unless `drop_last`.

    >>> loader = DataLoader(Dataset(np.arange(5.0), np.arange(5)), 2)
    >>> len(loader), [y.tolist() for x, y in loader]
    (3, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        sampler: Iterable[int] | None = None,
        collate: Callable[[list[Any]], Any] = collate,
        drop_last: bool = False,
    ) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        self.collate, self.drop_last = collate, drop_last
        self.sampler: Any = Sampler(len(dataset)) if sampler is None else sampler

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = list(self.sampler)
        for k in range(len(self)):
            chosen = order[k * self.batch_size : (k + 1) * self.batch_size]
            yield self.collate([self.dataset[i] for i in chosen])

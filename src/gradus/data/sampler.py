"""Samplers: the order in which a data set is read."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from gradus.random import Generator, default_generator


class SequentialSampler:
    """The indices in order.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))


class RandomSampler:
    """Every index once, in an order that is new each time.

    Args:
        data_source: what has a length.
        generator: where the order comes from; the default generator when not given.

    >>> sorted(RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized, generator: Generator | None = None) -> None:
        self.data_source, self.generator = data_source, generator

    def __len__(self) -> int:
        return len(self.data_source)

    def __iter__(self) -> Iterator[int]:
        order = (self.generator or default_generator()).permutation(len(self.data_source))
        return iter([int(i) for i in order])

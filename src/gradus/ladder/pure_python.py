"""Pure Python: a matrix and random numbers without a library, and what a fork does to a generator.

The rung below, `definitions`, had lists of numbers. This one makes them: a flat list cut into rows,
a class that understands `m[i, j]`, and random numbers from arithmetic, which everything above fills
its weights with: three small multiplicative generators of Wichmann and Hill, which Python itself
used up to version 2.2. With them comes a trap. A generator is its state, and `fork` copies the
state: parent and child then draw the same numbers, each worker of a data loader the same "random"
crops. Two ways out are here: a generator that notices that it lives in another process, and streams
dealt out before the fork, which alone give the same numbers in every run.

Source: the course "From Deep Learning Foundations to Stable Diffusion" (Jeremy Howard, 2022), its
notebook on the matrix product; B. A. Wichmann and I. D. Hill, "Algorithm AS 183: An Efficient and
Portable Pseudo-Random Number Generator" (1982).
"""

from __future__ import annotations

import os
import random
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

# --- from a flat list to a matrix, in Python alone ------------------------------------------------


def chunks(values: Sequence, size: int) -> Iterator[Sequence]:
    """Slices of `size` values, the last may be shorter.

    Example:
        >>> list(chunks([1, 2, 3, 4, 5], 2))
        [[1, 2], [3, 4], [5]]
    """
    for start in range(0, len(values), size):
        yield values[start : start + size]


def chunks_of_iterator(values: Iterable, size: int) -> Iterator[list]:
    """The same for anything that can be iterated: `islice` takes the next values, [] is the end.

    Example:
        >>> list(chunks_of_iterator((c for c in "abcde"), 2))
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    iterator = iter(values)  # islice of the list itself would begin anew each time
    return iter(lambda: list(islice(iterator, size)), [])


class Matrix:
    """Rows of numbers with `m[i, j]`: between the brackets Python hands over one tuple.

    Example:
        >>> m = Matrix([[1, 2, 3], [4, 5, 6]])
        >>> m[1, 2], m.shape, (m @ Matrix([[1], [0], [2]])).rows
        (6, (2, 3), [[7], [16]])
    """

    def __init__(self, rows: Iterable[Sequence]) -> None:
        self.rows = [list(row) for row in rows]
        if len({len(row) for row in self.rows}) > 1:
            raise ValueError(f"rows of different lengths: {[len(row) for row in self.rows]}")
        self.shape = (len(self.rows), len(self.rows[0]) if self.rows else 0)

    def __getitem__(self, index: tuple[int, int]) -> Any:
        i, j = index
        return self.rows[i][j]

    def __matmul__(self, other: Matrix) -> Matrix:
        if self.shape[1] != other.shape[0]:
            inner = f"{self.shape[1]} not equal to {other.shape[0]}"
            raise ValueError(f"Inner dimensions must match: {inner}")
        columns = list(zip(*other.rows))
        dot = lambda row, column: sum(x * y for x, y in zip(row, column))
        return Matrix([dot(row, column) for column in columns] for row in self.rows)


# --- random numbers -------------------------------------------------------------------------------

MULTIPLIERS, MODULI = (171, 172, 170), (30269, 30307, 30323)
# About 7e12: the three lengths are even, so they meet earlier than their product says.
PERIOD = 30268 * 30306 * 30322 // 4


class WichmannHill:
    r"""Numbers in [0, 1): :math:`x_i \leftarrow a_i x_i \bmod m_i`, then :math:`\sum_i x_i / m_i`.

    Of the sum only what is behind the point is taken.

    Example:
        >>> rand = WichmannHill(457428938475)
        >>> rand.state, [round(rand(), 4) for _ in range(3)]
        ((4976, 20238, 499), [0.7645, 0.7921, 0.0691])
    """

    def __init__(self, seed: int) -> None:
        state = []
        for modulus in MODULI:
            seed, remainder = divmod(seed, modulus - 1)
            # From 1 to modulus - 1: a generator that multiplies never leaves 0.
            state.append(remainder + 1)
        self.state = tuple(state)

    def __call__(self) -> float:
        """The next number."""
        self.jump(1)
        return sum(x / modulus for x, modulus in zip(self.state, MODULI)) % 1.0

    def jump(self, steps: int) -> None:
        """As after `steps` numbers, which are not drawn: n multiplications by a are one by aⁿ."""
        parts = zip(MULTIPLIERS, self.state, MODULI)
        self.state = tuple(pow(a, steps, modulus) * x % modulus for a, x, modulus in parts)


class ForkAware(WichmannHill):
    """The way out that asks nothing of its user: each process jumps to a stretch of its own.

    Parent and child differ, and two children differ. But the numbers of a child differ from run to
    run, as process numbers do.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.process = os.getpid()

    def __call__(self) -> float:
        """The next number of this process."""
        if self.process != os.getpid():
            self.process = os.getpid()
            # 2^22 process numbers, a stretch of 2^18 for each: less than the period.
            self.jump(self.process << 18)
        return super().__call__()


def worker_streams(seed: int, workers: int, spacing: int = 2**32) -> list[WichmannHill]:
    """The way out that can be repeated: a generator a worker, `spacing` numbers apart on the cycle.

    Example:
        >>> first, second = worker_streams(1, 2, spacing=1)
        >>> first(), first() == second()
        (0.02258025041320865, True)
    """
    if workers * spacing > PERIOD:
        raise ValueError(
            f"{workers} streams of {spacing} numbers are more than the period of {PERIOD}"
        )
    streams = [WichmannHill(seed) for _ in range(workers)]
    for number, stream in enumerate(streams):
        stream.jump(number * spacing)
    return streams


# --- what fork does -------------------------------------------------------------------------------


class Drawn(NamedTuple):
    """The first number after a fork, in the parent and in the child."""

    parent: float
    child: float


def fork_and_draw(
    in_parent: Callable[[], float], in_child: Callable[[], float] | None = None
) -> Drawn:
    """Forks, and draws once on each side, by the same generator unless `in_child` is another.

    It needs a system that forks.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python from 3.12 on warns when other threads live; the child takes no lock of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process == 0:
        try:
            os.write(writer, struct.pack("d", (in_child or in_parent)()))
        finally:
            os._exit(0)  # not `return`: there would be two of everything that follows
    os.close(writer)
    answer = os.read(reader, 8)
    os.close(reader)
    os.waitpid(process, 0)
    if len(answer) != 8:
        raise RuntimeError("the child ended without drawing")
    return Drawn(in_parent(), struct.unpack("d", answer)[0])


def after_fork(seed: int = 1) -> dict[str, Drawn]:
    """What generators draw on both sides of a fork.

    Ours and NumPy's draw the same number twice, Python's and the two ways out do not.
    """
    first, second = worker_streams(seed, 2)
    return {
        "Wichmann-Hill": fork_and_draw(WichmannHill(seed)),
        "NumPy's Generator": fork_and_draw(np.random.default_rng(seed).random),
        # It asks to be seeded anew in each child (os.register_at_fork).
        "Python's random": fork_and_draw(random.random),
        "aware of the process": fork_and_draw(ForkAware(seed)),
        "a stream for each": fork_and_draw(first, second),
    }

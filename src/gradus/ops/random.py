"""Random numbers from a counter-based generator: draw number ``n`` of a stream is a function of (seed, n) alone.

Bits come from Philox 4x64 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), whose definition is
public and fixed; the step from bits to numbers is ours. So a stream is the same on every machine, NumPy version and thread count.
A generator's whole state is its seed, stream and counter: three integers that a checkpoint can hold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradus.dtypes import get_default_dtype
from gradus.mode import read_number, write_number
from gradus.ops import claims
from gradus.ops.elementwise import astype, cos, floor, log, sin, sqrt
from gradus.ops.indexing import getitem
from gradus.ops.movement import concat, reshape
from gradus.primitive import bind, primitive

MASK = (1 << 64) - 1
WORDS_PER_COUNT = 8  # 32-bit words that one step of the counter yields


def philox_words(seed: int, stream: int, counter: int, count: int) -> np.ndarray:
    """``count`` uint32 words of a stream, from position ``counter``."""
    bits = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=counter)
    return bits.random_raw((count + 1) // 2).astype("<u8", copy=False).view("<u4")[:count]


def _uniform(xp: Any, counter: Any, *, seed: int, stream: int, shape: tuple[int, ...], dtype: Any) -> Any:
    count = math.prod(shape)
    if np.dtype(dtype) == np.float64:
        words = philox_words(seed, stream, counter, 2 * count)
        # 53 random bits: 27 of one word above 26 of the next.
        return (((words[0::2] >> 5) * 67108864.0 + (words[1::2] >> 6)) * 2.0**-53).reshape(shape)
    words = philox_words(seed, stream, counter, count)
    return ((words >> 8).astype(np.float32) * np.float32(2.0**-24)).astype(dtype).reshape(shape)


@primitive(
    "random_uniform",
    _uniform,
    (None,),
    family="random",
    kernel=claims.uniform,
    samples=lambda draw: [
        ((7,), {"seed": 1, "stream": 0, "shape": (2, 3), "dtype": "float32"}),
        ((0,), {"seed": 1, "stream": 0, "shape": (4,), "dtype": "float64"}),
    ],
)
def random_uniform(record: Any, counter: Any, /, *, seed: int, stream: int, shape: Any, dtype: Any) -> Any:
    """Uniform numbers in [0, 1) from position ``counter`` of a stream."""
    return bind(record, (counter,), {"seed": seed, "stream": stream, "shape": tuple(shape), "dtype": dtype})


class Generator:
    """A stream of random numbers whose state is (seed, stream, counter).

    >>> a, b = Generator(7), Generator(7)
    >>> bool((a.uniform((3,)) == b.uniform((3,))).all()), a.get_state()
    (True, {'seed': 7, 'stream': 0, 'counter': 1})
    """

    def __init__(self, seed: int = 0, stream: int = 0) -> None:
        self.seed, self.stream, self.counter = int(seed) & MASK, int(stream) & MASK, 0

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, stream={self.stream}, counter={self.counter})"

    def manual_seed(self, seed: int) -> Generator:
        """Start again at the beginning of the stream of ``seed``."""
        self.seed, self.counter = int(seed) & MASK, 0
        return self

    def initial_seed(self) -> int:
        """The seed of this stream."""
        return self.seed

    def get_state(self) -> dict[str, int]:
        """What is needed to go on later with the same numbers."""
        return {"seed": self.seed, "stream": self.stream, "counter": self.counter}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on where :meth:`get_state` was taken."""
        self.seed, self.stream, self.counter = int(state["seed"]), int(state.get("stream", 0)), int(state["counter"])

    def fork(self, *keys: int) -> Generator:
        """An independent stream named by integers, such as (epoch, index): it does not depend on how much this one has drawn."""
        stream = self.stream
        for key in keys:
            # The finaliser of SplitMix64 (Steele, Lea, Flood 2014): neighbouring keys give unrelated streams.
            stream = (stream + 0x9E3779B97F4A7C15 + (int(key) & MASK)) & MASK
            stream = ((stream ^ (stream >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            stream = ((stream ^ (stream >> 27)) * 0x94D049BB133111EB) & MASK
            stream ^= stream >> 31
        return Generator(self.seed, stream)

    def _advance(self, words: int) -> Any:
        start = read_number(vars(self), "counter")
        write_number(vars(self), "counter", start + -(-words // WORDS_PER_COUNT))
        return start

    def uniform(self, shape: Any, dtype: Any = None) -> Any:
        """Numbers in [0, 1)."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = get_default_dtype() if dtype is None else dtype
        start = self._advance(math.prod(shape) * (2 if np.dtype(dtype) == np.float64 else 1))
        seed, stream = read_number(vars(self), "seed"), read_number(vars(self), "stream")
        return random_uniform(start, seed=seed, stream=stream, shape=shape, dtype=dtype)

    def normal(self, shape: Any, dtype: Any = None) -> Any:
        """Standard normal numbers (Box and Muller 1958: two uniform numbers give two normal ones)."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        count = math.prod(shape)
        half = (count + 1) // 2
        u = self.uniform((2, half), dtype)
        # 1 - u is in (0, 1], so the logarithm is finite.
        radius = sqrt(-2.0 * log(1.0 - getitem(u, key=(0,))))
        angle = (2.0 * math.pi) * getitem(u, key=(1,))
        pairs = concat([radius * cos(angle), radius * sin(angle)], axis=0)
        return reshape(getitem(pairs, key=(slice(0, count),)), shape)

    def words(self, count: int) -> np.ndarray:
        """Raw random bits: ``count`` uint32 words."""
        return philox_words(self.seed, self.stream, self._advance(count), count)

    def integers(self, low: int, high: int, shape: Any) -> Any:
        """int64 numbers in [low, high); a range above 2⁵³, which no float64 divides, takes whole words and their remainder."""
        if high <= low:
            raise ValueError(f"integers needs low < high, got low={low}, high={high}")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        count = math.prod(shape)
        if high - low > 1 << 53:
            words = self.words(2 * count).view("<u8")
            words = words if high - low > MASK else words % np.uint64(high - low)
            return (words + np.uint64(low & MASK)).view("<i8").reshape(shape)
        seed, stream = read_number(vars(self), "seed"), read_number(vars(self), "stream")
        u = random_uniform(self._advance(2 * count), seed=seed, stream=stream, shape=shape, dtype="float64")
        return astype(floor(u * (high - low)), np.dtype(np.int64)) + low

    def permutation(self, n: int) -> np.ndarray:
        """The integers 0 … n - 1 in random order: the order of n random 64-bit keys."""
        return np.argsort(self.words(2 * n).view("<u8"), kind="stable")


_default = Generator(0)


def default_generator() -> Generator:
    """The generator used where none is given."""
    return _default


def manual_seed(seed: int) -> Generator:
    """Seed the default generator and return it."""
    return _default.manual_seed(seed)


def uniform(shape: Any, dtype: Any = None, generator: Generator | None = None) -> Any:
    """Numbers in [0, 1) from ``generator`` or the default one."""
    return (generator or _default).uniform(shape, dtype)


def normal(shape: Any, dtype: Any = None, generator: Generator | None = None) -> Any:
    """Standard normal numbers from ``generator`` or the default one."""
    return (generator or _default).normal(shape, dtype)


def integers(low: int, high: int, shape: Any, generator: Generator | None = None) -> Any:
    """int64 numbers in [low, high) from ``generator`` or the default one."""
    return (generator or _default).integers(low, high, shape)


def permutation(n: int, generator: Generator | None = None) -> Any:
    """0 … n - 1 in random order from ``generator`` or the default one."""
    return (generator or _default).permutation(n)

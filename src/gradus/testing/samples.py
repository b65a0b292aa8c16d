"""Sample calls of every op, from what its record says: where its inputs lie, and for irregular ops which calls to make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradus.primitive import REAL, Domain, Primitive


class Draw:
    """Draws arrays for samples: ``draw(3, 4)`` from a domain, ``draw.integers(high, 5)``, ``draw.bool(3)``.

    >>> Draw(0)(2, 3).shape
    (2, 3)
    """

    def __init__(self, seed: int, domain: Domain = REAL) -> None:
        self.random = np.random.default_rng(seed)
        self.domain = domain

    def __call__(self, *shape: int) -> np.ndarray:
        return self.from_domain(self.domain, shape)

    def from_domain(self, domain: Domain, shape: tuple[int, ...]) -> np.ndarray:
        """Values of a domain; those too close to an excluded point are drawn again."""
        if domain.dtype == "bool":
            return self.random.integers(0, 2, shape).astype(bool)
        if domain.dtype == "int64":
            return self.random.integers(int(domain.low), int(domain.high) + 1, shape)
        x = self.random.uniform(domain.low, domain.high, shape)
        for _ in range(200):
            close = np.zeros(x.shape, bool)
            for point in domain.avoid:
                close |= np.abs(x - point) < domain.gap
            if not close.any():
                return x
            x = np.where(close, self.random.uniform(domain.low, domain.high, shape), x)
        raise AssertionError(f"a domain that excludes nearly all of itself: {domain.low} to {domain.high} without {domain.avoid}")

    def integers(self, high: int, *shape: int) -> np.ndarray:
        """int64 numbers in [0, high)."""
        return self.random.integers(0, high, shape)

    def bool(self, *shape: int) -> np.ndarray:
        """True and False."""
        return self.random.integers(0, 2, shape).astype(np.bool_)


class Sample:
    """One call of an op: positional arguments (raw arrays, float64) and keywords."""

    def __init__(self, args: tuple[Any, ...], params: dict[str, Any]) -> None:
        self.args, self.params = args, params

    def __repr__(self) -> str:
        shown = [f"array{tuple(a.shape)}" if isinstance(a, np.ndarray) else repr(a) for a in self.args]
        return f"({', '.join(shown + [f'{k}={v}' for k, v in self.params.items()])})"


UNARY_SHAPES: list[tuple[tuple[int, ...], ...]] = [((3, 4),), ((),), ((0, 3),), ((2, 1, 3),)]
BINARY_SHAPES: list[tuple[tuple[int, ...], ...]] = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((), (3,)),
    ((0, 3), (3,)),
    ((2, 3, 1), ()),
]
REDUCTIONS: list[tuple[tuple[int, ...], Any, bool]] = [
    ((3, 4), None, False),
    ((3, 4), 0, False),
    ((3, 4), -1, True),
    ((2, 3, 4), 1, False),
    ((5,), None, True),
    ((), None, False),
    ((2, 3, 4), (0, 2), False),
]


def samples_of(record: Primitive, seed: int = 0) -> Iterator[Sample]:
    """Calls of the public function of a record."""
    draw = Draw(seed, record.domains[0])
    if record.samples is not None:
        for args, params in record.samples(draw):
            yield Sample(args, params)
    elif record.family == "elementwise":
        for shapes in UNARY_SHAPES if len(record.inputs) == 1 else BINARY_SHAPES:
            yield Sample(tuple([draw.from_domain(domain, shape) for domain, shape in zip(record.domains, shapes, strict=True)]), {})
    elif record.family == "reduction":
        for shape, axis, keepdims in REDUCTIONS:
            if record.name.startswith("arg") and isinstance(axis, tuple):
                continue
            if "correction" in record.params and shape == ():
                continue  # the deviation of one number is 0 whatever it is
            yield Sample((draw(*shape),), {"axis": axis, "keepdims": keepdims})
            if "correction" in record.params and axis == -1:
                yield Sample((draw(*shape),), {"axis": axis, "keepdims": keepdims, "correction": 1.0})
    else:
        raise AssertionError(f"the record of {record.name} belongs to no family with ready samples: give it samples=")

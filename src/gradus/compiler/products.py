"""Matrix products as the library takes them: two matrices in memory, each as it is or transposed, over at most two axes of batches."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradus import blas
from gradus.compiler.graph import Call, Graph, Number, Value
from gradus.compiler.layout import Layout, access_of, contiguous_strides, layouts, refined
from gradus.compiler.passes.rewriting import Rewriting, rewrite
from gradus.primitive import REGISTRY, Handmade, NumberArgument

LETTERS = {np.dtype("float32"): "s", np.dtype("float64"): "d"}


class Product(NamedTuple):
    """The arguments of ``gemm`` for one call, and of the two loops over batches around it (strides in elements)."""

    letter: str
    m: int
    n: int
    k: int
    transposed: tuple[bool, bool]
    leading: tuple[int, int, int]
    counts: tuple[int, int]
    steps: tuple[tuple[int, int], ...]
    adds: bool = False  # to what C holds

    @property
    def way(self) -> str:
        """How it is computed, see :func:`quickest`."""
        return quickest(self.letter, self.m, self.n, self.k, self.transposed, self.adds)

    @property
    def shared(self) -> bool:
        """Whether other threads may help with it, where there are several."""
        return self.m * self.n * self.k > SHARED

    @property
    def scratch(self) -> tuple[tuple[int, str], ...]:
        """(elements, dtype) of the room that a job and its panels take, and the transposed result."""
        if self.way in ("library", "inner"):
            return ((JOB, "float32"),) if self.way == "inner" else ()
        columns = self.n if self.way == "second" else self.m
        panels = (JOB + -(-columns // PANEL) * PANEL * self.k, "float32")
        return (panels, (self.m * self.n, "float32")) if self.way == "first" else (panels,)

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.n * self.k * self.counts[0] * self.counts[1]


def is_product(call: Call) -> bool:
    """Whether the library can compute this call once its operands lie well."""
    if call.record.name != "matmul":
        return False
    a = call.inputs[0]
    return a.dtype in LETTERS and call.output.size > 0 and a.size > 0


def arrangement(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[bool, int] | None:
    """(whether the matrix in memory is transposed, its leading dimension), or None if neither its rows nor its columns lie together.

    >>> arrangement((3, 4), (4, 1)), arrangement((3, 4), (1, 3)), arrangement((3, 4), (8, 2))
    ((False, 4), (True, 3), None)
    """
    (rows, columns), (row_step, column_step) = shape[-2:], strides[-2:]
    if (column_step == 1 or columns == 1) and (row_step >= columns or rows == 1):
        return False, max(row_step, columns) if rows > 1 else columns
    if (row_step == 1 or rows == 1) and (column_step >= rows or columns == 1):
        return True, max(column_step, rows) if columns > 1 else rows
    return None


def product(call: Call, places: Mapping[Value, Layout]) -> Product | None:
    """How the library computes a call; None if an operand has to be copied first."""
    a, b = call.inputs
    out = call.output
    first, second = arrangement(a.shape, places[a].strides), arrangement(b.shape, places[b].strides)
    if first is None or second is None:
        return None
    batches = out.shape[:-2]
    size = int(np.prod(batches, dtype=int))
    accesses = [
        access_of(Layout(v, 0, strides[:-2]), v.shape[:-2], batches)
        for v, strides in ((a, places[a].strides), (b, places[b].strides), (out, contiguous_strides(out.shape)))
    ]
    loops = refined(accesses, size)
    if loops is None or len(loops[0]) > 2:
        return None
    outer, inner = ([1, 1, *loops[0]][-2:], [[0, 0, *row][-2:] for row in loops[1]])
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    return Product(
        LETTERS[a.dtype],
        m,
        n,
        k,
        (first[0], second[0]),
        (first[1], second[1], n),
        (outer[0], outer[1]),
        tuple([(i, j) for i, j in inner]),
    )


# Measured on one core with AVX-512 (benchmarks/products.py).
JOB = 64  # elements in front of the panels
PANEL, TALL, NARROW = 64, 6, 16  # columns of a panel; rows of a tile; columns of the tiles behind the last panel
MOVED = 18  # multiplications that cost as much as to copy and transpose an element
IN_ROWS = 0.5  # of that, where rows stay rows
DEEP = 4096  # rows of a panel that the second cache still holds
SIDE, LANES, SUMMED = 4, 16, 60  # rows whose inner products go together; terms at a time; multiplications that adding up lanes costs
NEAR, LONG, FAR = 1 << 17, 2048, 1.5  # elements of the shorter factor, and of a row, that caches still hold; how much longer it takes else
SHARED = 1_000_000  # multiplications from which on several threads win
SMALL, SMALL_RESULT = 1_000_000, 1200  # multiplications, and with rows by rows results, up to which OpenBLAS copies nothing
LIBRARY, LIBRARY_SMALL = 0.7, 0.6  # multiplications of OpenBLAS in the time of one of ours


@functools.cache
def quickest(letter: str, m: int, n: int, k: int, transposed: tuple[bool, bool], adds: bool) -> str:
    """How to compute a product.

    Returns:
        "second" or "first": by panels of that factor (:mod:`gradus.kernels.gemm`); "inner": as inner products, where both factors lie in
        rows along k (:mod:`gradus.kernels.inner_products`); "library": if that is quicker, or the processor lacks the registers.
    """
    count, rows_by_rows = m * n * k, transposed == (False, True)
    copies_nothing = count <= SMALL and (not rows_by_rows or m * n <= SMALL_RESULT)
    if letter != "s" or copies_nothing or not blas.wide_registers():
        return "library"
    copied = MOVED / min(m, n) if rows_by_rows else 0
    work = {"library": count * (1 + copied) / (LIBRARY_SMALL if count <= SMALL and not rows_by_rows else LIBRARY)}
    if min(m, n) >= TALL and k <= DEEP:
        first, second = IN_ROWS if transposed[0] else 1, 1 if transposed[1] else IN_ROWS
        work["second"] = m * _padded(n) * k + MOVED * k * n * second
        work["first"] = n * _padded(m) * k + MOVED * (k * m * first + m * n)
    if rows_by_rows and count > SMALL:  # what they spare in smaller ones is not worth the time to compile a kernel more
        cached = min(m, n) * k <= NEAR and k <= LONG
        work["inner"] = _whole(m, SIDE) * _whole(n, SIDE) * (_whole(k, LANES) + SUMMED) * (1 if cached else FAR)
    if adds:  # these two write what was not there
        work = {way: cost for way, cost in work.items() if way not in ("first", "inner")}
    return min(work, key=lambda way: work[way])


def _whole(count: int, parts: int) -> int:
    """The next multiple."""
    return -(-count // parts) * parts


def _padded(columns: int) -> int:
    """Columns as tiles count them; narrow tiles take twice as long for each."""
    whole, rest = divmod(columns, PANEL)
    return whole * PANEL + (PANEL if rest > PANEL - NARROW else _whole(rest, NARROW) * 2)


NUMBERS = {int: NumberArgument("int64"), float: NumberArgument("float64")}


def number_arguments(call: Call) -> list[Any]:
    """The arguments of a call that are no arrays."""
    return [arg for arg in call.args if not isinstance(arg, Value)]


def number_kind(number: Any) -> type:
    """int or float, of a number that is known or changes between calls."""
    return type(number.example if isinstance(number, Number) else number)


def handmade(call: Call) -> Handmade | None:
    """The kernel made by hand for a call, if there is one."""
    if call.record.kernel is None or call.output.size == 0 or any(v.size == 0 for v in call.inputs):
        return None
    numbers = number_arguments(call)
    if any(number_kind(x) not in NUMBERS for x in numbers):
        return None
    inputs = [x if isinstance(x, Value) else NUMBERS[number_kind(x)] for x in call.args]
    found = call.record.kernel(inputs, call.output, call.params)
    return found if found is not None and found.numbers == len(numbers) else None


def strided_inputs(call: Call, by_hand: Handmade) -> list[Value]:
    """The inputs whose steps a kernel made by hand asks for."""
    return [call.args[position] for position in by_hand.strided]


def copy_awkward_operands(graph: Graph) -> Graph:
    """The same graph with a copy in front of every product whose operand does not lie as the library needs it."""
    places = layouts(graph)

    def lies_well(call: Call, x: Value, by_hand: Handmade | None) -> bool:
        strides = places[x].strides
        if by_hand is None:
            return arrangement(x.shape, strides) is not None and x.ndim == 2
        any_rows = all(position in by_hand.strided for position, arg in enumerate(call.args) if arg is x)
        return strides == contiguous_strides(x.shape) or (any_rows and (strides[-1] == 1 or x.shape[-1] == 1))

    def step(world: Rewriting, call: Call) -> Value:
        by_hand = handmade(call)
        if by_hand is None and (not is_product(call) or product(call, places) is not None):
            return world.keep(call)
        well = [not isinstance(x, Value) or lies_well(call, x, by_hand) for x in call.args]
        if by_hand is not None and all(well):
            return world.keep(call)
        args = [world.stand_in(x) for x in call.args]
        args = [x if fits else world.note(REGISTRY["stop_gradient"], (x,), {}) for x, fits in zip(args, well, strict=True)]
        return world.note(call.record, tuple(args), call.params).node

    return rewrite(graph, step)

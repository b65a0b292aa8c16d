"""The matrix product: from three nested loops over lists to the library, one loop less each time.

The rung below, `pure_python`, had a matrix of lists. A layer of neurons is a matrix product, so
this is the first thing to build and the first thing to make fast: each version takes one more loop
out of Python and gives it to NumPy.

Sources: "A Neural Net from the Foundations", chapter 17 of *Deep Learning for Coders with fastai
and PyTorch* (Jeremy Howard and Sylvain Gugger, 2020), and the courses around it; "Building the
foundations of Deep Learning from scratch"; "Creating a Neural Network from scratch" (Michael
Heinzer, 2020). What is different here, and why:

- They check shapes by `assert`, which `python -O` removes; here a ValueError says both numbers.
- They start from zeros of the library's default type; here the product of integers is integers, of
  float32 float32.

What each step is worth is measured by `matmul_timings`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

# Tells pytest that the functions below that are named test are tools, not tests of this file.
__test__: dict = {}

# --- tests first: the five small functions with which the courses check what follows --------------


Compare = Callable[[Any, Any], bool]


def test(a: Any, b: Any, compare: Compare, name: str | None = None) -> None:  # noqa: PT028
    """Raises an AssertionError that shows a and b unless `compare(a, b)`."""
    if not compare(a, b):
        raise AssertionError(f"{name or compare.__name__}:\n{a}\n{b}")


def test_eq(a: Any, b: Any) -> None:
    """a == b."""
    test(a, b, operator.eq, "==")


def near(a: Any, b: Any, rtol: float = 1e-3, atol: float = 1e-5) -> bool:
    """|a - b| <= atol + rtol |b| everywhere, for equal shapes: (3, 1) and (3,) are never near.

    Example:
        >>> near([1.0, 2.0], [1.0005, 2.001]), near([[1.0], [1.0]], [1.0, 1.0])
        (True, False)
    """
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol, atol))


def test_near(a: Any, b: Any) -> None:
    """`near(a, b)`."""
    test(a, b, near)


def test_near_zero(a: Any, tol: float = 1e-3) -> None:  # noqa: PT028
    """|a| < tol everywhere. For a difference of gradients use `test_near`.

    Where gradients are 0.01, tol would let an error of a tenth pass.
    """
    if not np.all(np.abs(a) < tol):
        raise AssertionError(f"near zero: {a}")


# --- the product: each version has one loop less in Python ----------------------------------------


def check_inner(a_columns: int, b_rows: int) -> None:
    """Row times column needs equally many of both, or it is a ValueError."""
    if a_columns != b_rows:
        raise ValueError(f"Inner dimensions must match: {a_columns} not equal to {b_rows}")


def summands(a: Any, b: Any, i: int, j: int) -> list:
    """The products that make element (i, j), from 0: :math:`c_{ij} = \\sum_k a_{ik} b_{kj}`.

    Example (c31 in Heinzer's example, who counts from 1):
        >>> summands([[1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]], [[1, 1], [2, 2], [3, 3]], 2, 0)
        [3, 6, 9]
    """
    check_inner(len(a[i]), len(b))
    return [a[i][k] * b[k][j] for k in range(len(b))]


def loops_over_lists(a: list[list], b: list[list]) -> list[list]:
    """Three loops over lists: (n, m) by (m, l) gives (n, l) after n·m·l multiplications.

    Example:
        >>> loops_over_lists([[1, 2], [3, 4]], [[5], [6]])
        [[17], [39]]
    """
    columns = len(b[0]) if b else 0
    c = [[0] * columns for _ in a]  # not [[0] * columns] * len(a): that is one row, many times
    for i in range(len(a)):
        check_inner(len(a[i]), len(b))
        for j in range(columns):
            for k in range(len(b)):
                c[i][j] += a[i][k] * b[k][j]
    return c


def product_zeros(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where the product of a and b goes."""
    return np.zeros((a.shape[0], b.shape[1]), np.result_type(a, b))


def matrix_multiplication(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same three loops over arrays, slower: each `a[i, k]` makes an object of a number."""
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"Dimension mismatch for A and B: {a.shape[1]} != {b.shape[0]}")
    c = product_zeros(a, b)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                c[i, j] += a[i, k] * b[k, j]
    return c


def row_times_column(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Two loops: element-wise arithmetic does the innermost one."""
    check_inner(a.shape[1], b.shape[0])
    c = product_zeros(a, b)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            c[i, j] = (a[i] * b[:, j]).sum()
    return c


def row_dot_column(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Two loops: `dot` multiplies and sums in one go, with no array of products between."""
    check_inner(a.shape[1], b.shape[0])
    c = product_zeros(a, b)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            c[i, j] = np.dot(a[i], b[:, j])
    return c


def broadcasting(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One loop: row i as a column (m, 1) against all of b (m, l), summed over m."""
    check_inner(a.shape[1], b.shape[0])
    c = product_zeros(a, b)
    for i in range(a.shape[0]):
        c[i] = (a[i][:, None] * b).sum(axis=0)
    return c


def broadcasting_transposed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One loop the other way round: row i (m,) against the transpose of b (l, m), summed over m."""
    check_inner(a.shape[1], b.shape[0])
    c = product_zeros(a, b)
    for i in range(a.shape[0]):
        c[i, :] += (a[i, :] * b.T).sum(1)
    return c


def einsum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """No loop in Python: k stands on the left only, so it is summed."""
    check_inner(a.shape[1], b.shape[0])
    return np.einsum("ik,kj->ij", a, b)


def library(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a @ b`, also written `a.dot(b)`; `a * b` is something else, element by element.

    Example:
        >>> a = np.array([[1, 2], [3, 4]])
        >>> (a @ a).tolist(), a.dot(a).tolist(), (a * a).tolist()
        ([[7, 10], [15, 22]], [[7, 10], [15, 22]], [[1, 4], [9, 16]])
    """
    check_inner(a.shape[1], b.shape[0])
    return a @ b


# --- the same on a graphics card, simulated -------------------------------------------------------


def matmul(grid: tuple[int, int], a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """The kernel, what one thread does: it knows its place in the grid, and writes one element.

    Outside of c it does nothing.
    """
    i, j = grid
    if i < c.shape[0] and j < c.shape[1]:
        total = c.dtype.type(0)
        for k in range(a.shape[1]):
            total += a[i, k] * b[k, j]
        c[i, j] = total


def launch_kernel(
    kernel: Callable,
    grid_x: int,
    grid_y: int,
    *args: Any,
    rng: np.random.Generator | None = None,
) -> None:
    """Calls `kernel((i, j), *args)` for each place of the grid.

    A graphics card promises no order; with `rng` it is drawn, so that one sees what that means.

    Example:
        >>> launch_kernel(lambda grid: print(grid, end=" "), 2, 2)
        (0, 0) (0, 1) (1, 0) (1, 1)
    """
    places = [(i, j) for i in range(grid_x) for j in range(grid_y)]
    for number in range(len(places)) if rng is None else rng.permutation(len(places)):
        kernel(places[number], *args)


def grid_of_blocks(a: np.ndarray, b: np.ndarray, block: tuple[int, int] = (4, 4)) -> np.ndarray:
    """The product by a kernel: threads start in blocks, so the grid is rounded up.

    That is why the kernel looks where it is.

    Example:
        >>> grid_of_blocks(np.array([[1, 2], [3, 4]]), np.array([[5], [6]])).tolist()
        [[17], [39]]
    """
    check_inner(a.shape[1], b.shape[0])
    c = product_zeros(a, b)
    grid_x, grid_y = (size * math.ceil(n / size) for n, size in zip(c.shape, block))
    launch_kernel(matmul, grid_x, grid_y, a, b, c)
    return c


# --- all of them ----------------------------------------------------------------------------------

VERSIONS: dict[str, Callable] = {
    "three loops, lists": loops_over_lists,
    "three loops, arrays": matrix_multiplication,
    "kernel on a grid": grid_of_blocks,
    "row * column": row_times_column,
    "dot(row, column)": row_dot_column,
    "broadcasting": broadcasting,
    "broadcasting, transposed": broadcasting_transposed,
    "einsum": einsum,
    "library": library,
}

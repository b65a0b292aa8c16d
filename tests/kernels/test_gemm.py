"""Matrix products from panels and inner products equal NumPy's in float64, whatever the shapes, and write nothing that is not theirs."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest

from gradus import blas
from gradus.compiler import products
from gradus.kernels import gemm, inner_products

ROOM = 7  # elements between rows, and behind the last


@numba.njit(error_model="numpy")
def multiply(a, b, c, a_turned, b_turned, m, n, k, a_leading, b_leading, c_leading, alpha, add, room, across):
    gemm.multiply(a, b, c, a_turned, b_turned, m, n, k, a_leading, b_leading, c_leading, np.float32(alpha), add, room, across, 0)


@numba.njit(error_model="numpy")
def multiply_rows(a, b, c, m, n, k, a_leading, b_leading, c_leading, alpha, room):
    gemm.multiply_rows(a, b, c, m, n, k, a_leading, b_leading, c_leading, np.float32(alpha), room, 0)


def matrix(rows: int, columns: int, room: int = ROOM) -> np.ndarray:
    """Random numbers, with NaN between and behind the rows."""
    memory = np.full((rows, columns + room), np.nan, np.float32)
    memory[:, :columns] = np.random.default_rng(rows * 1000 + columns).standard_normal((rows, columns))
    return memory[:, :columns]


def operands(m: int, n: int, k: int, a_turned: bool, b_turned: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both factors as they lie in memory, and their product in float64."""
    a = matrix(k, m) if a_turned else matrix(m, k)
    b = matrix(n, k) if b_turned else matrix(k, n)
    first, second = (a.T if a_turned else a), (b.T if b_turned else b)
    return a, b, first.astype(np.float64) @ second.astype(np.float64)


def address(x: np.ndarray) -> int:
    return int(x.ctypes.data)


def leading(x: np.ndarray) -> int:
    return x.strides[0] // x.itemsize


SHAPES = [(6, 1, 1), (6, 64, 16), (7, 65, 17), (50, 784, 64), (64, 50, 784), (65, 33, 5), (96, 49, 31), (128, 130, 300), (500, 70, 2000)]
TURNED = list(itertools.product((False, True), repeat=2))


@pytest.mark.parametrize("turned", TURNED)
@pytest.mark.parametrize("m, n, k", SHAPES)
def test_products_and_sums_of_products(m: int, n: int, k: int, turned: tuple[bool, bool]) -> None:
    a, b, expected = operands(m, n, k, *turned)
    room = np.full(gemm.JOB + (n + gemm.WIDTH) * k, np.nan, np.float32)
    for alpha, add in ((1.0, False), (-0.5, True)):
        c = matrix(m, n)
        memory, before = c.base, c.astype(np.float64)
        assert memory is not None
        multiply(address(a), address(b), address(c), *turned, m, n, k, leading(a), leading(b), leading(c), alpha, add, address(room), 0)
        wanted = alpha * expected + (before if add else 0)
        np.testing.assert_allclose(c, wanted, rtol=1e-5, atol=1e-6 * k**0.5 * 10)
        assert np.isnan(memory[:, n:]).all()


@pytest.mark.parametrize("turned", TURNED)
@pytest.mark.parametrize("m, n, k", [(n, m, k) for m, n, k in SHAPES])
def test_products_by_way_of_the_transpose(m: int, n: int, k: int, turned: tuple[bool, bool]) -> None:
    a, b, expected = operands(m, n, k, *turned)
    room, across = np.full(gemm.JOB + (m + gemm.WIDTH) * k, np.nan, np.float32), np.full(m * n, np.nan, np.float32)
    c = np.full((m, n), np.nan, np.float32)
    multiply(*(address(x) for x in (a, b, c)), *turned, m, n, k, leading(a), leading(b), n, 1.0, False, address(room), address(across))
    np.testing.assert_allclose(c, expected, rtol=1e-5, atol=1e-6 * k**0.5 * 10)


def test_the_terms_of_long_sums_are_added_in_pieces() -> None:
    """Equal terms round in one direction: at one go, 4,000 of them come out hundreds of units in the last place wrong."""
    k = 4000
    a, b, c = np.full((64, k), 0.1, np.float32), np.full((k, 70), 0.3, np.float32), np.zeros((64, 70), np.float32)
    room = np.zeros(gemm.JOB + (70 + gemm.WIDTH) * k, np.float32)
    multiply(address(a), address(b), address(c), False, False, 64, 70, k, k, 70, 70, 1.0, False, address(room), 0)
    wanted = k * np.longdouble(a[0, 0]) * np.longdouble(b[0, 0])
    assert np.abs(c - wanted).max() <= 40 * np.spacing(np.float32(wanted))


ROWS_BY_ROWS = [*SHAPES, (1, 1, 1), (1, 9, 40), (3, 2, 15), (4, 4, 16), (5, 1, 17), (2, 300, 64), (300, 3, 50), (9, 7, 6500)]


@pytest.mark.parametrize("m, n, k", ROWS_BY_ROWS)
def test_inner_products(m: int, n: int, k: int) -> None:
    a, b, expected = operands(m, n, k, False, True)
    c, room = matrix(m, n), np.zeros(gemm.JOB, np.float32)
    memory = c.base
    assert memory is not None
    multiply_rows(address(a), address(b), address(c), m, n, k, leading(a), leading(b), leading(c), -0.5, address(room))
    np.testing.assert_allclose(c, -0.5 * expected, rtol=1e-5, atol=1e-6 * k**0.5 * 10)
    assert np.isnan(memory[:, n:]).all()


def test_long_inner_products_are_added_in_pieces() -> None:
    k = 200_000
    a, b, c, room = np.full((1, k), 0.1, np.float32), np.full((2, k), 0.3, np.float32), np.zeros((1, 2), np.float32), np.zeros(gemm.JOB)
    multiply_rows(address(a), address(b), address(c), 1, 2, k, k, k, 2, 1.0, address(room))
    wanted = k * np.longdouble(a[0, 0]) * np.longdouble(b[0, 0])
    assert np.abs(c - wanted).max() <= 40 * np.spacing(np.float32(wanted))


def test_infinity_and_nan_stay_in_their_rows_and_columns() -> None:
    a, b, _ = operands(20, 70, 30, False, False)
    a[3, 4], b[5, 66] = np.inf, np.nan
    c, room = matrix(20, 70), np.zeros(gemm.JOB + (70 + gemm.WIDTH) * 30, np.float32)
    multiply(address(a), address(b), address(c), False, False, 20, 70, 30, leading(a), leading(b), leading(c), 1.0, False, address(room), 0)
    with np.errstate(invalid="ignore"):
        expected = a.astype(np.float64) @ b.astype(np.float64)
    assert np.isfinite(expected).sum() == 19 * 69
    np.testing.assert_array_equal(np.isnan(c), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(c), np.isinf(expected))


def test_the_compiler_counts_in_the_units_of_the_kernels() -> None:
    """It cannot import them where Numba is missing, so it has their sizes for its own; with others it would reserve too little room."""
    assert (products.JOB, products.PANEL, products.TALL, products.NARROW) == (gemm.JOB, gemm.WIDTH, gemm.ROWS, gemm.LANES)
    assert (products.SIDE, products.LANES) == (inner_products.SIDE, inner_products.LANES)


@pytest.mark.parametrize(
    "shape, wanted",
    [
        (("s", 128, 512, 784, (False, True), False), "first"),
        (("s", 768, 384, 128, (False, True), False), "second"),
        (("s", 8, 512, 784, (False, True), False), "inner"),  # rows with rows, and too few for a copy to pay
        (("s", 1, 2048, 2048, (False, True), False), "inner"),
        (("s", 8, 512, 784, (False, False), False), "library"),
        (("s", 8, 512, 784, (False, True), True), "second"),  # inner products add nothing to what is there
        (("d", 128, 512, 784, (False, True), False), "library"),
    ],
)
def test_ways_are_for_processors_with_the_registers(shape: tuple, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for wide, way in ((True, wanted), (False, "library")):
        monkeypatch.setattr(blas, "wide_registers", lambda wide=wide: wide)
        products.quickest.cache_clear()
        assert products.quickest(*shape) == way
    products.quickest.cache_clear()

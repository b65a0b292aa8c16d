"""Matrix products inside compiled code equal NumPy's."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from gradus.kernels import products

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}


@numba.njit(error_model="numpy")
def single(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
    products.sgemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)


@numba.njit(error_model="numpy")
def double(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
    products.dgemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)


def matrix(rows: int, columns: int, dtype: type, padding: int) -> np.ndarray:
    """Random, with ``padding`` further elements between the rows in memory."""
    whole = np.random.standard_normal((rows, columns + padding)).astype(dtype)
    return whole[:, :columns]


def stride(x: np.ndarray) -> int:
    """Elements from one row to the next."""
    return max(1, x.strides[0] // x.itemsize)


@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (3, 5, 7), (64, 50, 784), (17, 1, 33), (1, 40, 9)])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_product_equals_numpys(m: int, n: int, k: int, padding: int, dtype: type) -> None:
    product = single if dtype is np.float32 else double
    for trans_a, trans_b, (alpha, beta) in itertools.product([False, True], [False, True], [(1.0, 0.0), (0.5, 1.0), (-1.0, 2.0)]):
        a = matrix(*((k, m) if trans_a else (m, k)), dtype, padding)
        b = matrix(*((n, k) if trans_b else (k, n)), dtype, padding)
        c = matrix(m, n, dtype, padding)
        margin = c.base[:, n:].copy() if padding else None
        wanted = alpha * ((a.T if trans_a else a).astype(np.float64) @ (b.T if trans_b else b)) + beta * c
        product(trans_a, trans_b, m, n, k, alpha, a.ctypes.data, stride(a), b.ctypes.data, stride(b), beta, c.ctypes.data, stride(c))
        np.testing.assert_allclose(c, wanted, atol=TOLERANCE[dtype] * k, rtol=0)
        if padding:
            np.testing.assert_array_equal(c.base[:, n:], margin)  # what lies between the rows is not touched


def test_beta_0_does_not_read_what_was_there() -> None:
    a, b, c = np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), np.full((2, 2), np.nan, np.float32)
    single(False, False, 2, 2, 3, 1.0, a.ctypes.data, 3, b.ctypes.data, 2, 0.0, c.ctypes.data, 2)
    assert c.tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("m, n, k", [(0, 4, 3), (4, 0, 3), (4, 4, 0)])
def test_empty_products(m: int, n: int, k: int) -> None:
    a, b, c = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32), np.full((4, 4), 7, np.float32)
    single(False, False, m, n, k, 1.0, a.ctypes.data, 4, b.ctypes.data, 4, 0.0, c.ctypes.data, 4)
    wanted = np.full((4, 4), 7, np.float32)
    wanted[:m, :n] = 0  # a sum of no terms; nothing where there are no elements
    assert c.tolist() == wanted.tolist()


KEPT_ON_DISK = """
import numba, numpy as np
from gradus.kernels import products, scalar
from gradus.kernels.table import array

@numba.njit(error_model="numpy", cache=True)
def layer(a, b, c, m, n, k):
    products.sgemm(False, True, m, n, k, 1.0, a, k, b, k, 0.0, c, n)
    out = array(c, numba.float32)
    for i in range(m * n):
        out[i] = scalar.tanh(out[i])

a, b, c = np.ones((5, 7), np.float32), np.full((3, 7), 0.1, np.float32), np.empty((5, 3), np.float32)
layer(a.ctypes.data, b.ctypes.data, c.ctypes.data, 5, 3, 7)
assert np.allclose(c, np.tanh(0.7)), c
print(sum(layer.stats.cache_hits.values()))
"""


def test_a_kernel_from_the_disk_finds_its_products(tmp_path: Path) -> None:
    file = tmp_path / "layer.py"
    file.write_text(KEPT_ON_DISK, encoding="utf-8")
    hits = [subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)]
    assert hits == ["0", "1"]

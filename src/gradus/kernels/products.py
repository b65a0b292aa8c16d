"""Matrix products inside compiled code, of matrices by their addresses.

Everything here can be part of a kernel that is kept on disk, which a function pointer from :mod:`ctypes` cannot: the product is a named
symbol, and :func:`gradus.blas.bind` says in each process what it stands for.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.extending import intrinsic

from gradus import blas
from gradus.kernels.compilation import inlined

ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112  # the numbers that the interface of C gives to order and transposition


@intrinsic
def pointer(typing_context, address):
    """An integer as an address of untyped memory."""

    def emit(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), emit


def _product(name: str, number: Any) -> Any:
    """The symbol ``name``, with the arguments of ``cblas_?gemm``.

    All integers are passed in 64 bits. A library of 32-bit integers reads their lower half, in registers as on the stack, on every
    little-endian 64-bit platform that Numba runs on; so a kernel from the disk stays right when the library is another one today.
    """
    i, p = types.int64, types.voidptr
    return types.ExternalFunction(name, types.void(i, i, i, i, i, i, number, p, i, p, i, number, p, i))


_SINGLE, _DOUBLE = _product("gradus_sgemm", types.float32), _product("gradus_dgemm", types.float64)

# Without it, code that calls the two functions below ends in LLVM's error about a missing symbol.
blas.bind()


@inlined
def sgemm(trans_a, trans_b, m, n, k, alpha, a_address, lda, b_address, ldb, beta, c_address, ldc):
    """C = alpha · A' B' + beta · C in float32, row-major: A' (m, k) is A or its transpose, B' (k, n), C (m, n).

    Args:
        trans_a, trans_b: whether the matrix in memory is the transpose of the factor.
        lda, ldb, ldc: elements from one row in memory to the next.
        beta: with 0, what C held before is not read.
    """
    first = TRANSPOSED if trans_a else AS_IT_IS
    second = TRANSPOSED if trans_b else AS_IT_IS
    a, b, c = pointer(a_address), pointer(b_address), pointer(c_address)
    _SINGLE(ROW_MAJOR, first, second, m, n, k, numba.float32(alpha), a, lda, b, ldb, numba.float32(beta), c, ldc)


@inlined
def dgemm(trans_a, trans_b, m, n, k, alpha, a_address, lda, b_address, ldb, beta, c_address, ldc):
    """As :func:`sgemm`, in float64."""
    first = TRANSPOSED if trans_a else AS_IT_IS
    second = TRANSPOSED if trans_b else AS_IT_IS
    a, b, c = pointer(a_address), pointer(b_address), pointer(c_address)
    _DOUBLE(ROW_MAJOR, first, second, m, n, k, numba.float64(alpha), a, lda, b, ldb, numba.float64(beta), c, ldc)

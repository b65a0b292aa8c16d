"""Which library computes matrix products, and with which kernel (in the making)."""

from __future__ import annotations

import ctypes
import importlib.util
import os
from typing import Any


def bind() -> Any:
    """Register the symbols ``gradus_sgemm`` and ``gradus_dgemm`` for Numba; None when there is nothing to register."""
    import llvmlite.binding

    spec = importlib.util.find_spec("scipy_openblas32")
    if spec is None or spec.origin is None:
        return None
    before = os.environ.get("OPENBLAS_CORETYPE")
    os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX"
    library = ctypes.CDLL(os.path.join(os.path.dirname(spec.origin), "lib", "libscipy_openblas.so"))
    if before is None:
        del os.environ["OPENBLAS_CORETYPE"]
    library.scipy_openblas_set_num_threads(1)
    for name in ("sgemm", "dgemm"):
        llvmlite.binding.add_symbol(f"gradus_{name}", ctypes.cast(getattr(library, f"scipy_cblas_{name}"), ctypes.c_void_p).value)
    return library

"""``gradus info``: what is installed and what computes."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

import gradus
from gradus import blas
from gradus.compiler.native import kernel_folder
from gradus.compiler.tiers import kernels_installed
from gradus.compiler.trust import may_be_trusted

# extra: {module to look for: distribution that brings it}
EXTRAS = {
    "fast": {"numba": "numba", "llvmlite": "llvmlite", "scipy_openblas32": "scipy-openblas32"},
    "plot": {"matplotlib": "matplotlib"},
    "cli": {"typer": "typer", "rich": "rich"},
    "data": {"PIL": "Pillow"},
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def print_information() -> None:
    """Print versions, the linear-algebra library, threads, and which extras are installed."""
    library = blas.library()
    rows = [
        ("gradus", gradus.__version__),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("NumPy", np.__version__),
        ("BLAS", numpy_library()),
        ("GEMM library", library.name + (", loaded by Gradus" if library.own else "")),
        ("GEMM kernel", library.core or "not known"),
        ("GEMM speed", "not measured" if math.isnan(library.gflops) else f"{library.gflops:.0f} GF/s on one thread (float32)"),
        ("threads", threads()),
        ("gradus.compile", compilation()),
        *((f"extra {name}", extra(name)) for name in EXTRAS),
        ("data folder", os.environ.get("GRADUS_DATA") or "not set (GRADUS_DATA)"),
    ]
    for name, value in rows:
        print(f"{name:<14} {value}")


def numpy_library() -> str:
    """Name and version of the library behind NumPy's matrix products."""
    config: dict[str, Any] = np.show_config(mode="dicts") or {}  # type: ignore[assignment]
    library = config.get("Build Dependencies", {}).get("blas", {})
    name = f"{library.get('name', 'unknown')} {library.get('version', '')}".strip()
    details = library.get("openblas configuration", "")
    return f"{name} ({details})" if details and details != "unknown" else name


def threads() -> str:
    """How many threads a matrix product may use, and who says so."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if os.environ.get(name)]
    return f"{gradus.get_num_threads()} of {allowed} cores for a matrix product, " + (", ".join(limits) if limits else "no limit set")


def compilation() -> str:
    """What runs compiled functions here."""
    if kernels_installed():
        kept = (
            f"kept in {kernel_folder()}"
            if can_keep(kernel_folder())
            else f"not kept: {kernel_folder()} cannot be written to (GRADUS_CACHE)"
        )
        return f"kernels made by Numba, {kept}"
    return 'NumPy alone; pip install "gradus-dl[fast]" makes kernels'


def can_keep(folder: Path) -> bool:
    """Whether files can be put into a folder, or the folder itself where it is not there yet."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
    except OSError:  # no name that the system takes
        return False
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK) and (there != folder or may_be_trusted(str(folder)))


def extra(name: str) -> str:
    """Versions of an extra's packages, or the line that installs it."""
    there = {distribution: importlib.util.find_spec(module) is not None for module, distribution in EXTRAS[name].items()}
    texts = [f"{distribution} {version(distribution)}" if found else f"{distribution} is missing" for distribution, found in there.items()]
    return ", ".join(texts) + ("" if all(there.values()) else f': pip install "gradus-dl[{name}]"')


def version(distribution: str) -> str:
    """A distribution's version."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # importable from a folder that no installer knows
        return "(version unknown)"

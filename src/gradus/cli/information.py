"""``gradus info``: what is installed and what computes."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from typing import Any

import numpy as np

import gradus

# extra: {module to look for: distribution that brings it}
EXTRAS = {
    "fast": {"numba": "numba", "scipy_openblas32": "scipy-openblas32"},
    "plot": {"matplotlib": "matplotlib"},
    "cli": {"typer": "typer", "rich": "rich"},
    "data": {"PIL": "Pillow"},
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def print_information() -> None:
    """Print versions, the linear-algebra library, threads, and which extras are installed."""
    rows = [
        ("gradus", gradus.__version__),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("NumPy", np.__version__),
        ("BLAS", blas()),
        ("threads", threads()),
        *((f"extra {name}", extra(name)) for name in EXTRAS),
        ("data folder", os.environ.get("GRADUS_DATA") or "not set (GRADUS_DATA)"),
    ]
    for name, value in rows:
        print(f"{name:<12} {value}")


def blas() -> str:
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
    return f"{allowed} cores for this process, " + (", ".join(limits) if limits else "no limit set")


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

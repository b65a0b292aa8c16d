"""What a figure was measured on: processor, caches, memory, system, versions. No name of a person or a host."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

PACKAGES = ("gradus-dl", "numpy", "numba", "scipy-openblas32", "torch", "jax", "jaxlib", "autograd")


def description() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "cores": cores,
        "caches": caches(),
        "memory_gigabytes": memory(),
        "vector_sets": vector_sets(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def fact(name: str) -> str:
    """A line of /proc/cpuinfo, where there is one."""
    file = Path("/proc/cpuinfo")
    found = re.search(rf"^{name}\s*: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE) if file.is_file() else None
    return found[1] if found else ""


def processor() -> str:
    family = f" (family {fact('cpu family')}, model {fact('model')})" if fact("cpu family") else ""
    return (fact("model name") or platform.processor() or platform.machine()) + family


def vector_sets() -> list[str]:
    return [flag for flag in fact("flags").split() if flag in ("avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "amx_tile")]


def caches() -> dict[str, int]:
    """Bytes of each level that the first core sees."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = ((folder / name).read_text(encoding="utf-8").strip() for name in ("type", "level", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size.rstrip("KM")) * (2**20 if size.endswith("M") else 2**10)
    return found


def memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError):  # Windows, macOS
        return None


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        if package == "gradus-dl":  # run from the tree
            import gradus

            return gradus.__version__
        return None

"""Which machinery runs a graph: kernels made by Numba where it is installed ("native"), else NumPy alone ("numpy")."""

from __future__ import annotations

import importlib.util
import warnings

from gradus.errors import UsageError, UsageWarning

NATIVE, NUMPY = "native", "numpy"
NEEDED = ("numba", "llvmlite")


class Notice:
    """Whether a person was told why compiled functions run on NumPy."""

    given = False


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def kernels_installed() -> bool:
    """Whether what the native tier needs is there: Numba, of the extra "fast"."""
    return all(installed(package) for package in NEEDED)


def chosen_tier(asked: str | None) -> str:
    """The tier that a compiled function runs on; the first that must do without Numba says so, once.

    Args:
        asked: "native", "numpy", or None for the best there is.

    Raises:
        UsageError: another word, or "native" without Numba.

    >>> chosen_tier("numpy")
    'numpy'
    """
    if asked not in (None, NATIVE, NUMPY):
        raise UsageError(f"compile does not know the tier {asked!r}", wanted="'native', 'numpy' or None", code="E29")
    missing = [package for package in NEEDED if not installed(package)] if asked != NUMPY else []
    if not missing:
        return asked or NATIVE
    if asked == NATIVE:
        raise UsageError(
            "the native tier needs Numba",
            got=f"no package {' and no package '.join(missing)}",
            wanted="numba and llvmlite",
            fix='pip install "gradus-dl[fast]"',
            code="E44",
        )
    if not Notice.given:
        Notice.given = True
        warnings.warn(
            'E44: Numba is not installed, so compiled functions run on NumPy (slower); pip install "gradus-dl[fast]"',
            UsageWarning,
            stacklevel=4,
        )
    return NUMPY

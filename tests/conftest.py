"""What every test gets: one thread, a bounded memory for each worker, Ctrl-C, fresh seeds, hypothesis without chance, the real data."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

# Before NumPy or PyTorch are imported, for they read these once: the workers of pytest-xdist fill the cores already.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if os.environ.get("GRADUS_DATA"):
    os.environ["GRADUS_DATA"] = str(Path(os.environ["GRADUS_DATA"]).expanduser().resolve())  # tests change the working directory

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in its background so, and processes inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import gradus

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None

settings.register_profile("gradus", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gradus")


MEMORY_BYTES = 6 * 2**30


@pytest.fixture(scope="session", autouse=True)
def bounded_memory() -> None:
    """A test that allocates without end raises MemoryError, where the system would otherwise kill this and other processes."""
    if resource is not None and sys.platform == "linux":
        _, ceiling = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES if ceiling < 0 else min(MEMORY_BYTES, ceiling), ceiling))


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Every test starts from the same random numbers, whichever ran before it."""
    gradus.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def gradus_data() -> Path:
    """The folder that holds the real MNIST and Fashion-MNIST files."""
    folder = os.environ.get("GRADUS_DATA", "")
    if not folder:
        pytest.skip("$GRADUS_DATA is not set: it names the folder with the real mnist/ and fashion/ files")
    if not Path(folder).is_dir():
        pytest.fail(f"$GRADUS_DATA names no folder: {folder}")
    return Path(folder)

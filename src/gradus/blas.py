"""Which library computes matrix products, with which kernel, on how many threads. The only file that touches BLAS.

*Two copies of OpenBLAS.* NumPy brings one, which has chosen its kernel before Gradus can say a word. That may be an AVX2 kernel
("Haswell", "Zen") on a processor with AVX-512: because the version does not know the processor, or because OPENBLAS_CORETYPE in the
environment says so. It costs half of the speed: 110 against 205 GF/s a core on an AMD Zen 5. The extra ``fast`` brings another copy
(scipy-openblas32), which Gradus loads itself, in that case with the AVX-512 kernel, and keeps if a short timing says that it is no slower
than NumPy's. The verdict is remembered in ``blas.json`` in the cache folder. Compiled kernels call this copy; eager code calls NumPy, hence
NumPy's copy. If anything is missing or fails, NumPy's library does all the work. GRADUS_CORETYPE in the environment names another kernel
for the copy of Gradus.

*Threads.* OpenBLAS's threads spin while they wait for each other, so a core that another process needs stops them all. Measured on 2 cores
with NumPy's copy, float32, mean time of a product in µs on 1 and 2 threads, alone and with a busy loop pinned to one core:

    ==================  ======  ======  ============  ============
    product             1       2       1, neighbour  2, neighbour
    ==================  ======  ======  ============  ============
    64 × 784 × 50           35      24            35           298
    50 × 64 × 784           30      26            29            48
    128 × 784 × 512        547     436           564          1053
    128 × 512 × 512        356     324           563           821
    512 × 512 × 512       1710     880          2326          4951
    1024 × 1024 × 1024   10898    5667         11156         16916
    ==================  ======  ======  ============  ============

With the neighbour one product in twenty of the third size took 4.4 ms on 2 threads, 0.6 ms on 1. So the default is half of the cores, which
leaves a neighbour a core of its own: 1 of 2. It is set for NumPy's copy when ``gradus`` is imported, because eager training begins without
a word to this module (0.4 ms). OPENBLAS_NUM_THREADS or OMP_NUM_THREADS in the environment, and :func:`set_num_threads`, go before it.
Compiled float32 products are shared by other means, see :mod:`gradus.kernels.team`.
"""

from __future__ import annotations

import ctypes
import functools
import glob
import importlib.util
import json
import math
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus.errors import UsageError
from gradus.folders import cache_folder

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
AVX512_FLAGS = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}
AVX512_CORE = "SkylakeX"
AVX2_CORES = {"haswell", "zen", "excavator"}
SLOWER = 0.9  # our copy is dropped below this share of the speed of NumPy's
SPELLINGS = [("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")]  # what the builds of OpenBLAS put around the names of functions
SUFFIXES = (".so", ".dylib", ".dll")
GEMM_PLACES = "iiiiiifpipifpi"  # order, two transpositions, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc


class OpenBLAS:
    """A loaded OpenBLAS, whatever way its build spells the names of its functions.

    Raises:
        OSError: the file is no library that can be loaded.
        AttributeError: it is no OpenBLAS.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.handle = ctypes.CDLL(path)
        self.prefix, self.suffix = next((s for s in SPELLINGS if hasattr(self.handle, f"{s[0]}openblas_get_config{s[1]}")), SPELLINGS[-1])
        self.config = self._text("get_config")
        self.core = self._text("get_corename")
        self.integer_bits = 64 if "USE64BITINT" in self.config.split() else 32

    def _function(self, name: str) -> Any:
        return getattr(self.handle, f"{self.prefix}{name}{self.suffix}")

    def _text(self, name: str) -> str:
        function = self._function(f"openblas_{name}")
        function.restype = ctypes.c_char_p
        return (function() or b"").decode(errors="replace").strip()

    @property
    def version(self) -> str:
        """``OpenBLAS 0.3.31``, as the library says it."""
        return " ".join(self.config.split()[:2])

    @property
    def threads(self) -> int:
        return int(self._function("openblas_get_num_threads")())

    @threads.setter
    def threads(self, count: int) -> None:
        self._function("openblas_set_num_threads")(ctypes.c_int(count))

    def address(self, name: str) -> int:
        """Where ``cblas_<name>`` is in memory."""
        return ctypes.cast(self._function(f"cblas_{name}"), ctypes.c_void_p).value or 0

    def product(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        """out = a @ b for C-contiguous float32 matrices."""
        (m, k), n = a.shape, b.shape[1]
        integer = ctypes.c_int64 if self.integer_bits == 64 else ctypes.c_int32
        types = {"i": integer, "f": ctypes.c_float, "p": ctypes.c_void_p}
        function = self._function("cblas_sgemm")
        function.argtypes, function.restype = [types[place] for place in GEMM_PLACES], None
        function(101, 111, 111, m, n, k, 1.0, a.ctypes.data, k, b.ctypes.data, n, 0.0, out.ctypes.data, n)


@dataclass(frozen=True)
class Library:
    """The library that compiled kernels call for matrix products.

    Attributes:
        name: its name and version.
        core: its kernel in OpenBLAS's words, such as ``"SkylakeX"``; empty if it does not say.
        own: whether it is the copy that Gradus loads for itself, not NumPy's.
        path: the file; empty if the library cannot be reached except through NumPy.
        gflops: speed of a float32 product on one thread in 10⁹ operations a second, measured when the choice was made; NaN if it never was.
        integer_bits: the width of its integers.
        openblas: the handle, None if there is none.
    """

    name: str
    core: str
    own: bool
    path: str
    gflops: float
    integer_bits: int
    openblas: OpenBLAS | None

    @property
    def threads(self) -> int:
        """How many threads one product may use."""
        return self.openblas.threads if self.openblas else get_num_threads()


def cpu() -> tuple[str, set[str] | None]:
    """The processor's model and, on Linux, its flags (None elsewhere)."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            rows = dict(line.split(":", 1) for line in file.read(16384).split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return "", None
    fields = {name.strip(): value.strip() for name, value in rows.items()}
    model = ", ".join(fields.get(name, "") for name in ("vendor_id", "model name", "cpu family", "model", "stepping"))
    return model, set(fields["flags"].split()) if "flags" in fields else None


def wide_registers() -> bool:
    """Whether the processor has 32 vector registers of 64 bytes (AVX-512); on other systems than Linux nobody says so."""
    flags = cpu()[1]
    return flags is not None and flags >= AVX512_FLAGS


def wanted_core() -> str | None:
    """The kernel to ask for: AVX-512 where the processor has it and OpenBLAS does not take it; None leaves the choice to OpenBLAS."""
    if os.environ.get("GRADUS_CORETYPE"):
        return os.environ["GRADUS_CORETYPE"]
    if not wide_registers():
        return None
    model = cpu()[0]
    bundled = numpy_openblas()
    stays_below = bundled.core.lower() in AVX2_CORES if bundled else model.startswith("AuthenticAMD")
    return AVX512_CORE if stays_below else None


@functools.cache
def numpy_openblas() -> OpenBLAS | None:
    """The OpenBLAS that NumPy computes with; None if it has another library, or one that cannot be found."""
    package = os.path.dirname(np.__file__)
    folders = [os.path.join(os.path.dirname(package), "numpy.libs"), os.path.join(package, ".dylibs")]
    files = [file for folder in folders for file in glob.glob(os.path.join(folder, "*openblas*"))] or _mapped_openblas()
    for file in files:
        try:
            return OpenBLAS(file)
        except (OSError, AttributeError):  # a companion of the library, or a build without these functions
            continue
    return None


def _mapped_openblas() -> list[str]:
    """Files named after OpenBLAS that are in this process, other packages' copies left out (Linux)."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            paths = {line.split(None, 5)[5].strip() for line in file if "openblas" in line}
    except (OSError, IndexError):
        return []
    return sorted(path for path in paths if "scipy.libs" not in path and "scipy_openblas" not in path)


def own_file() -> str | None:
    """The shared library that scipy-openblas32 brings, found without the import that would load it with any kernel."""
    try:
        spec = importlib.util.find_spec("scipy_openblas32")
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    files = glob.glob(os.path.join(os.path.dirname(spec.origin), "lib", "*scipy_openblas*"))
    return next((file for file in sorted(files) if file.endswith(SUFFIXES)), None)


def load(path: str, core: str | None) -> OpenBLAS | None:
    """OpenBLAS from a file, with a kernel named in the environment as it is loaded. A file that is loaded already keeps its kernel."""
    wishes = {"OPENBLAS_NUM_THREADS": str(get_num_threads())} | ({"OPENBLAS_CORETYPE": core} if core else {})
    before = {name: os.environ.get(name) for name in wishes}
    os.environ.update(wishes)
    try:
        return OpenBLAS(path)
    except (OSError, AttributeError):
        return None
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def gflops(product: Any) -> float:
    """The speed of ``product(a, b, out)`` on float32 matrices of a mini-batch's size, the best of several: 10 ms in all."""
    a, b, out = np.ones((256, 384), np.float32), np.ones((384, 384), np.float32), np.empty((256, 384), np.float32)
    product(a, b, out)
    best = math.inf
    for _ in range(12):
        start = time.perf_counter()
        product(a, b, out)
        best = min(best, time.perf_counter() - start)
    return 2e-9 * a.shape[0] * a.shape[1] * b.shape[1] / best


def cache_file() -> str:
    """Where the verdict is kept: ``blas.json`` in the folder for caches."""
    return os.path.join(cache_folder(), "blas.json")


def _verdicts() -> dict[str, Any]:
    """What the file remembers; nothing if it is missing or not what this module wrote."""
    try:
        with open(cache_file(), encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(key: str, verdict: dict[str, float]) -> None:
    """Write a verdict beside the others; a folder that cannot be written means that the next process measures again."""
    path = cache_file()
    temporary = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(_verdicts() | {key: verdict}, file, indent=1)
        os.replace(temporary, path)
    except OSError:
        return


def _speeds(own: OpenBLAS) -> dict[str, float]:
    """GF/s of our copy and of NumPy on one thread, as remembered for this processor, these files and versions, or measured now."""
    stat = os.stat(own.path)
    bundled = numpy_openblas()
    parts = [cpu()[0], own.path, stat.st_size, stat.st_mtime_ns, own.core, own.version, np.__version__, bundled.core if bundled else ""]
    key = " | ".join(map(str, parts))
    found = _verdicts().get(key)
    if isinstance(found, dict) and all(isinstance(found.get(name), float) and 0 < found[name] < math.inf for name in ("own", "numpy")):
        return found
    libraries = [one for one in (own, bundled) if one]
    threads = [one.threads for one in libraries]
    for one in libraries:
        one.threads = 1
    speeds = {"own": gflops(own.product), "numpy": gflops(lambda a, b, out: np.matmul(a, b, out=out))}
    for one, count in zip(libraries, threads):
        one.threads = count
    _remember(key, speeds)
    return speeds


def _choose() -> Library:
    bundled = numpy_openblas()
    path = own_file()
    own = load(path, wanted_core()) if path else None
    speed = math.nan
    if own:
        own.threads = get_num_threads()
        speeds = _speeds(own)
        if not bundled or speeds["own"] >= SLOWER * speeds["numpy"]:
            return Library(own.version, own.core, True, own.path, speeds["own"], own.integer_bits, own)
        speed = speeds["numpy"]
    if bundled:
        return Library(f"{bundled.version} (NumPy's)", bundled.core, False, bundled.path, speed, bundled.integer_bits, bundled)
    return Library("NumPy's", "", False, "", speed, 0, None)


_LOCK = threading.RLock()
#: How many threads a product may use, where compiled code reads it at each run.
THREADS = np.ones(1, np.int64)
_chosen: Library | None = None
_wanted_threads: int | None = None


def library() -> Library:
    """The library for compiled kernels, chosen at the first call (some 10 ms; 60 ms if no earlier process has measured) and kept."""
    global _chosen
    with _LOCK:
        if _chosen is None:
            _chosen = _choose()
            THREADS[0] = _chosen.threads
        return _chosen


def bind() -> Library | None:
    """Register ``gradus_sgemm`` and ``gradus_dgemm`` (``cblas_?gemm``) for code that Numba compiles; None if no library can be reached.

    See :mod:`gradus.kernels.products`. What Numba kept on disk finds the symbols by name, so this must come first in every process.
    """
    try:
        from llvmlite import binding
    except ImportError:
        return None
    chosen = library()
    if chosen.openblas is None:
        return None
    for name in ("sgemm", "dgemm"):
        binding.add_symbol(f"gradus_{name}", chosen.openblas.address(name))
    return chosen


def most_threads() -> int:
    """A bound for the number of threads: 16 for each core of the machine. More would only wait; a billion would end the process."""
    return 16 * (os.cpu_count() or 1)


def default_threads() -> int:
    """The number in the environment, at most :func:`most_threads`; else half of the cores that this process may use, at least 1.

    Why: see the top of this file.
    """
    for variable in THREAD_VARIABLES:
        text = os.environ.get(variable, "").split(",")[0].strip()  # OpenMP allows one number for each level of nesting
        if text.isdecimal() and int(text) > 0:
            return min(int(text), most_threads())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // 2)


def set_default_threads() -> None:
    """Hold NumPy's OpenBLAS to the default number of threads. Whoever has lowered it further, or named one in the environment, is heard."""
    bundled = numpy_openblas()
    if bundled and bundled.threads > default_threads():
        bundled.threads = default_threads()


def set_num_threads(count: int) -> None:
    """Set how many threads one matrix product may use, in NumPy's library, in that of compiled kernels, and in their own products.

    The numbers that a product gives do not depend on it where compiled code computes it by panels: float32, both sides from some ten on.

    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)

    Raises:
        UsageError: ``count`` is no integer from 1 to 16 times the cores of the machine.
    """
    global _wanted_threads
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 1 <= count <= most_threads():
        raise UsageError(
            "The number of threads is not valid",
            got=f"{count!r}",
            wanted=f"an integer from 1 to {most_threads()}, 16 for each core",
            why="threads beyond the cores wait for each other" if isinstance(count, (int, np.integer)) and count > 1 else "",
            fix="gradus.set_num_threads(1)",
        )
    with _LOCK:
        _wanted_threads = int(count)
        THREADS[0] = _wanted_threads
        chosen = _chosen.openblas if _chosen else None
        for one in (numpy_openblas(), chosen):
            if one:
                one.threads = _wanted_threads


def get_num_threads() -> int:
    """How many threads one matrix product may use: as NumPy's library says; if it says nothing, the number set or the default."""
    bundled = numpy_openblas()
    return bundled.threads if bundled else _wanted_threads or default_threads()

"""Which GEMM library is taken, and that nothing that is missing, old or broken shows."""

from __future__ import annotations

import ctypes
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gradus
from gradus import blas
from gradus.errors import UsageError

AVX512 = {"fpu", "avx2", "fma", *blas.AVX512_FLAGS}


def run(code: str, **environment: str) -> list[str]:
    """The words that ``code`` prints in a fresh interpreter; a variable of value '' is taken out of the environment."""
    variables = {name: value for name, value in (os.environ | environment).items() if value or name not in environment}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No choice made yet, and an empty cache folder; the folder."""
    monkeypatch.setattr(blas, "_chosen", None)
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def processor(monkeypatch: pytest.MonkeyPatch, model: str, flags: set[str] | None, core: str | None) -> None:
    """Let this be a processor for which NumPy's OpenBLAS took ``core`` (None: NumPy has another library)."""
    monkeypatch.delenv("GRADUS_CORETYPE", raising=False)
    monkeypatch.setattr(blas, "cpu", lambda: (model, flags))
    monkeypatch.setattr(blas, "numpy_openblas", lambda: None if core is None else SimpleNamespace(core=core))


@pytest.mark.parametrize(
    "model, flags, core, wanted",
    [
        ("AuthenticAMD", AVX512, "Haswell", "SkylakeX"),
        ("AuthenticAMD", AVX512, "Zen", "SkylakeX"),
        ("GenuineIntel", AVX512, "SkylakeX", None),
        ("GenuineIntel", AVX512, "SapphireRapids", None),
        ("AuthenticAMD", AVX512 - {"avx512bw"}, "Haswell", None),
        ("AuthenticAMD", {"avx2", "fma"}, "Zen", None),
        ("", None, "Haswell", None),
        ("AuthenticAMD", AVX512, None, "SkylakeX"),
        ("GenuineIntel", AVX512, None, None),
    ],
)
def test_the_kernel_follows_the_processor(model, flags, core, wanted, monkeypatch) -> None:
    processor(monkeypatch, model, flags, core)
    assert blas.wanted_core() == wanted


def test_a_name_in_the_environment_goes_first(monkeypatch) -> None:
    processor(monkeypatch, "AuthenticAMD", AVX512, "Haswell")
    monkeypatch.setenv("GRADUS_CORETYPE", "Zen")
    assert blas.wanted_core() == "Zen"


CHOICE = "from gradus import blas; c = blas.library(); print(c.own, c.core, c.integer_bits, os.environ.get('OPENBLAS_CORETYPE'), c.threads)"


@pytest.mark.parametrize("before", ["", "import numpy", "import torch, numpy", "import numba"])
def test_whatever_was_imported_before(before: str, tmp_path: Path) -> None:
    """NumPy is held to the AVX2 kernel, as old versions take it; the environment is as it was afterwards."""
    own, core, bits, variable, threads = run(
        f"import os, sys\n{before}\n{CHOICE}\nassert 'scipy_openblas32' not in sys.modules",
        OPENBLAS_CORETYPE="Haswell",
        GRADUS_CORETYPE="",
        GRADUS_CACHE=str(tmp_path),
    )
    flags = blas.cpu()[1] or set()
    assert (own, bits, variable, threads) == ("True", "32", "Haswell", "1")
    assert core == ("SkylakeX" if flags >= blas.AVX512_FLAGS else "Haswell")


def test_the_library_says_the_kernel_that_it_runs(fresh: Path) -> None:
    chosen = blas.library()
    assert chosen.openblas is not None and chosen.path == chosen.openblas.path
    function = chosen.openblas.handle[f"{chosen.openblas.prefix}openblas_get_corename{chosen.openblas.suffix}"]
    function.restype = ctypes.c_char_p
    assert function().decode() == chosen.core
    assert chosen.gflops > 0 and chosen is blas.library()
    assert str(blas.library().threads) == str(gradus.get_num_threads())


NOT_INSTALLED = """
import os, sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "scipy_openblas32":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""
PRODUCT = """
import numba, numpy as np
from gradus.kernels import products

@numba.njit
def product(a, b, c):
    products.dgemm(False, True, 5, 3, 7, 1.0, a, 7, b, 7, 0.0, c, 3)

a, b, c = np.random.rand(5, 7), np.random.rand(3, 7), np.empty((5, 3))
product(a.ctypes.data, b.ctypes.data, c.ctypes.data)
assert np.allclose(c, a @ b.T)
"""


def test_without_the_extra_numpys_library_serves(tmp_path: Path) -> None:
    """NumPy's wheels hold an OpenBLAS of 64-bit integers; compiled products use it."""
    bundled = blas.numpy_openblas()
    assert bundled is not None
    own, core, bits, _, _ = run(f"{NOT_INSTALLED}{CHOICE}\n{PRODUCT}", GRADUS_CACHE=str(tmp_path))
    assert (own, core, bits) == ("False", bundled.core, str(bundled.integer_bits))


def test_without_numba_nothing_is_bound(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    assert blas.bind() is None


def test_without_any_openblas_numpy_remains(monkeypatch, fresh: Path) -> None:
    monkeypatch.setattr(blas, "numpy_openblas", lambda: None)
    monkeypatch.setattr(blas, "own_file", lambda: None)
    chosen = blas.library()
    assert (chosen.own, chosen.openblas, chosen.path) == (False, None, "") and math.isnan(chosen.gflops)
    assert blas.bind() is None
    assert chosen.threads == gradus.get_num_threads()
    gradus.set_num_threads(gradus.get_num_threads())


def test_a_slower_copy_is_not_taken(monkeypatch, fresh: Path) -> None:
    monkeypatch.setattr(blas, "gflops", lambda product: 50.0 if getattr(product, "__func__", None) is blas.OpenBLAS.product else 100.0)
    chosen = blas.library()
    assert not chosen.own and chosen.gflops == 100.0


def test_a_file_that_is_no_library_is_no_error(monkeypatch, fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "libscipy_openblas.so").write_bytes(b"\x7fELF and then nothing")
    monkeypatch.setattr(blas, "own_file", lambda: str(tmp_path / "libscipy_openblas.so"))
    assert not blas.library().own


def test_the_verdict_is_remembered(monkeypatch, fresh: Path) -> None:
    first = blas.library()
    (verdict,) = json.loads((fresh / "blas.json").read_text()).values()
    assert verdict["own"] == first.gflops
    monkeypatch.setattr(blas, "_chosen", None)
    monkeypatch.setattr(blas, "gflops", lambda product: pytest.fail("measured again"))
    assert blas.library().gflops == first.gflops


@pytest.mark.parametrize(
    "content", ["", "{", "[1, 2]", "null", '{"KEY": 3}', '{"KEY": {"own": "fast"}}', '{"KEY": {"own": NaN, "numpy": 1.0}}', "[" * 10**5]
)
def test_a_corrupt_verdict_is_made_again(content: str, monkeypatch, fresh: Path) -> None:
    blas.library()
    (key,) = json.loads((fresh / "blas.json").read_text())
    (fresh / "blas.json").write_text(content.replace('"KEY"', json.dumps(key)))
    monkeypatch.setattr(blas, "_chosen", None)
    chosen = blas.library()
    assert json.loads((fresh / "blas.json").read_text())[key]["own"] == chosen.gflops > 0


def test_a_cache_folder_that_cannot_be_written_is_no_error(monkeypatch, fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "file"))
    assert blas.library().gflops > 0


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch):
    """Whatever a test sets, the number of threads is the old one afterwards."""
    before = gradus.get_num_threads()
    yield
    gradus.set_num_threads(before)
    monkeypatch.setattr(blas, "_wanted_threads", None)


def test_threads_are_set_in_both_libraries(threads) -> None:
    chosen, bundled = blas.library(), blas.numpy_openblas()
    for count in (2, 1):
        gradus.set_num_threads(count)
        assert gradus.get_num_threads() == count == chosen.threads
        assert bundled is not None and bundled.threads == count
    x = np.ones((200, 200), np.float32)
    gradus.set_num_threads(2)
    np.testing.assert_array_equal(x @ x, np.full((200, 200), 200, np.float32))


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, None, 10**9, 10**30, np.int64(2**40), 16 * (os.cpu_count() or 1) + 1])
def test_a_number_of_threads_is_a_positive_integer(count) -> None:
    with pytest.raises(UsageError):
        gradus.set_num_threads(count)


def test_the_bound_holds_for_the_environment_too(threads, monkeypatch) -> None:
    bound = 16 * (os.cpu_count() or 1)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1000000000")
    assert blas.default_threads() == bound
    gradus.set_num_threads(min(bound, 64))


THREADS = "import gradus; from gradus import blas; print(gradus.get_num_threads(), blas.numpy_openblas().threads, blas.library().threads)"


@pytest.mark.parametrize(
    "variable, value, count", [("OPENBLAS_NUM_THREADS", "2", 2), ("OMP_NUM_THREADS", "2", 2), ("OMP_NUM_THREADS", "1,2", 1)]
)
def test_the_environment_decides_about_threads(variable: str, value: str, count: int) -> None:
    found = run(THREADS, **(dict.fromkeys(blas.THREAD_VARIABLES, "") | {variable: value}))
    assert found == [str(min(count, len(os.sched_getaffinity(0))))] * 3


@pytest.mark.parametrize("threads, left", [(1, 1), (2, 2), (4, 4), (8, 4)])
def test_the_default_only_lowers(threads: int, left: int, monkeypatch) -> None:
    bundled = SimpleNamespace(threads=threads)
    monkeypatch.setattr(blas, "numpy_openblas", lambda: bundled)
    monkeypatch.setattr(blas, "default_threads", lambda: 4)
    blas.set_default_threads()
    assert bundled.threads == left


def test_half_of_the_cores_by_default() -> None:
    found = run(THREADS, **dict.fromkeys(blas.THREAD_VARIABLES, ""))
    assert found == [str(max(1, len(os.sched_getaffinity(0)) // 2))] * 3


def test_information_names_library_kernel_speed_and_threads() -> None:
    text = subprocess.run([sys.executable, "-m", "gradus", "info"], capture_output=True, text=True, check=True).stdout
    rows = {line[:14].strip(): line[15:] for line in text.splitlines()}
    chosen = blas.library()
    assert rows["GEMM library"].startswith(chosen.name) and ("loaded by Gradus" in rows["GEMM library"]) == chosen.own
    assert rows["GEMM kernel"] == chosen.core
    assert "GF/s" in rows["GEMM speed"]
    assert rows["threads"].startswith(f"{gradus.get_num_threads()} of ")


def test_information_says_where_kernels_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="without it there are no kernels: pip install gradus-dl[fast]")
    (tmp_path / "file").write_text("no folder")
    for cache, words in ((tmp_path / "new" / "one", "kept in "), (tmp_path / "file", "not kept: ")):
        env = {**os.environ, "GRADUS_CACHE": str(cache)}
        text = subprocess.run([sys.executable, "-m", "gradus", "info"], capture_output=True, text=True, check=True, env=env).stdout
        assert f"gradus.compile kernels made by Numba, {words}{cache / 'kernels'}" in text

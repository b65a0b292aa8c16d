"""Kernels on disk: found again, never trusted when damaged, shared by processes."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradus.compiler import native, waiting
from gradus.kernels import compilation

SCRIPT = """
import json, sys
import numpy as np
import gradus
from gradus.compiler.native import STATISTICS
@gradus.compile
def f(x):
    return (gradus.exp(x) * 2.0 + x).sum(), x * 0.25
x = gradus.tensor(np.linspace(-1, 1, 37, dtype=np.float32))
for _ in range(3):
    total, quarter = f(x)
wanted = (np.exp(x.numpy()) * 2 + x.numpy()).sum()
print(json.dumps({
    "compiled": STATISTICS.compiled, "from_disk": STATISTICS.from_disk, "numba": "numba" in sys.modules,
    "right": bool(abs(total.item() - wanted) < 1e-4) and bool((quarter.numpy() == x.numpy() * 0.25).all()),
}))
"""


def start(cache: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "GRADUS_CACHE": str(cache)}
    return subprocess.Popen([sys.executable, "-c", SCRIPT], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that two processes filled at the same time."""
    cache = tmp_path_factory.mktemp("cache")
    both = [start(cache), start(cache)]
    for process in both:
        found = finish(process)
        assert found["right"]
    return cache


def test_second_start_compiles_nothing_and_needs_no_numba(warm: Path) -> None:
    found = finish(start(warm))
    assert found["right"] and found["compiled"] == 0 and found["from_disk"] >= 2
    assert not found["numba"]


def test_code_of_another_kernel_is_not_run(warm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir(mode=0o700)
    entries = sorted(entry for entry in (warm / "kernels").iterdir())
    for entry, other in zip(entries, [*entries[1:], entries[0]], strict=True):
        (folder / entry.name).write_bytes(other.read_bytes())
    found = finish(start(tmp_path))
    assert found["right"] and found["compiled"] >= 2 and found["from_disk"] == 0


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no such owners here")
@pytest.mark.parametrize("open_to", ["group", "all", "owner"])
def test_a_folder_that_others_may_write_to_is_not_used(warm: Path, tmp_path: Path, open_to: str) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(warm / "kernels", folder)
    if open_to == "owner":
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        os.chown(folder, 12345, 12345)
    else:
        folder.chmod({"group": 0o770, "all": 0o707}[open_to])
    before = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    process = start(tmp_path)
    out, err = process.communicate(timeout=300)
    found = json.loads(out)
    if open_to == "owner":
        assert err.count("it belongs to user 12345") == 1
    else:
        assert err.count("others may write to it") == 1
    assert found["right"] and found["from_disk"] == 0 and found["compiled"] >= 2
    assert {entry.name: entry.read_bytes() for entry in folder.iterdir()} == before


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_damaged_entries_are_compiled_again(warm: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir(mode=0o700)
    for entry in (warm / "kernels").iterdir():
        data = entry.read_bytes()
        middle = len(data) // 2
        broken = {
            "cut": data[:middle],
            "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            "empty": b"",
            "foreign": b"something else" + data,
        }
        (folder / entry.name).write_bytes(broken[damage])
    found = finish(start(tmp_path))
    assert found["right"] and found["compiled"] >= 2 and found["from_disk"] == 0
    assert finish(start(tmp_path))["compiled"] == 0  # and the entries were mended


def test_a_folder_that_cannot_be_written_costs_only_the_warm_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert finish(start(tmp_path / "file"))["right"]


def test_a_kernel_is_named_by_its_text() -> None:
    one, other = native.LIBRARY.name_of("def NAME(address):\n    return 0\n"), native.LIBRARY.name_of("def NAME(address):\n    return 1\n")
    assert one != other and one == native.Library().name_of("def NAME(address):\n    return 0\n")


def test_a_numba_without_the_inner_parts_compiles_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compilation, "JOINS", False)
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "LIBRARY", native.Library())
    x, y = np.arange(16, dtype=np.float32), np.empty(4, np.float32)
    native.function_of("pool.sum_of_four_float32", (x.ctypes.data, y.ctypes.data, 1, 4, 4))()
    assert y.tolist() == [0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("patience, says", [(0.0, True), (1e9, False)])
def test_a_person_who_waits_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, patience: float, says: bool) -> None:
    """On a terminal, after a while, in a line that is gone at the end."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(waiting, "PATIENCE", patience)
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path))
    native.Library().load([f"def NAME(address):\n    return {k}\n" for k in (0, 1)])
    shown = [part.strip() for part in terminal.getvalue().split("\r")]
    assert any("compiling kernels, once on this machine: 1 of 2" in part for part in shown) == says
    assert shown[-1] == ""


def test_no_word_where_nobody_watches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path))
    native.Library().load(["def NAME(address):\n    return 0\n"])
    assert stream.getvalue() == ""


class Silent:
    """A stream that a program without a console puts in the place of standard error."""

    def write(self, text: str) -> int:
        return len(text)


class Gone(Terminal):
    """A terminal whose window was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def closed() -> io.StringIO:
    stream = Terminal()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, Silent(), Gone(), closed()], ids=["none", "silent", "gone", "closed"])
def test_kernels_are_made_whatever_became_of_standard_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: object) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(waiting, "PATIENCE", -1.0)
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path))
    assert len(native.Library().load([f"def NAME(address):\n    return {k}\n" for k in (0, 1)])) == 2


def test_this_numba_has_the_inner_parts() -> None:
    """From 0.61 to 0.68 at least: without them kernels are right, but take two to three times as long to compile."""
    release = tuple(int(part) for part in compilation.numba.__version__.split(".")[:2])
    assert compilation.JOINS or not (0, 61) <= release <= (0, 68)

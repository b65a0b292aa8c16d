"""Whatever fails, and wherever the process dies: the path holds the old content or the new, whole, and no rubbish stays beside it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gradus.errors import CheckpointError
from gradus.io import atomic

OLD, NEW = b"old content", bytes(range(256)) * 40
PARTS = 5  # how many writes NEW takes below
CALLS = ["open", "chmod", "write", "sync", "close", "rename", "sync_folder"]
ERRORS = [errno.ENOSPC, errno.EIO, errno.EINTR, errno.EROFS]


class Recorder(atomic.System):
    """The real calls, written down; the call number ``n`` (and, if persistent, all later ones) fails."""

    def __init__(self, n: int = -1, number: int = errno.EIO, persistent: bool = False, short: bool = False) -> None:
        self.log: list[str] = []
        self.n, self.number, self.persistent, self.short = n, number, persistent, short

    def step(self, name: str) -> None:
        self.log.append(name)
        position = len(self.log) - 1
        if position == self.n or (self.persistent and position > self.n >= 0):
            raise OSError(self.number, os.strerror(self.number))

    def open(self, path: str) -> int:
        self.step("open")
        return super().open(path)

    def chmod(self, path: str, mode: int) -> None:
        self.step("chmod")
        super().chmod(path, mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        self.step("write")
        return super().write(descriptor, data[: 1 + len(data) // 3] if self.short else data)

    def sync(self, descriptor: int) -> None:
        self.step("sync")
        super().sync(descriptor)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)  # as the system does: a failing close has closed
        self.step("close")

    def rename(self, source: str, target: str) -> None:
        self.step("rename")
        super().rename(source, target)

    def sync_folder(self, folder: str) -> None:
        self.step("sync_folder")
        super().sync_folder(folder)


def write_new(file: Any) -> None:
    for start in range(0, len(NEW), len(NEW) // PARTS):
        file.write(NEW[start : start + len(NEW) // PARTS])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(OLD)
    return path


def test_the_order_of_calls_is_the_safe_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(atomic, "system", recorder)
    atomic.atomic_write(path, write_new)
    assert path.read_bytes() == NEW
    assert recorder.log == ["open", "chmod", *["write"] * PARTS, "sync", "close", "rename", "sync_folder"]
    assert set(recorder.log) == set(CALLS)


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("n", range(len(CALLS) + PARTS - 1))
def test_every_call_may_fail(n: int, number: int, persistent: bool, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = Recorder(n, number, persistent)
    monkeypatch.setattr(atomic, "system", faulty)
    with pytest.raises(CheckpointError) as caught:
        atomic.atomic_write(path, write_new)
    assert caught.value.code == "E36"
    assert os.strerror(number) in caught.value.what
    assert str(path) in caught.value.what
    # After the rename only the folder's sync is left, and the new file is whole.
    assert path.read_bytes() == (NEW if faulty.log[n] == "sync_folder" else OLD)
    assert os.listdir(path.parent) == [path.name]
    monkeypatch.setattr(atomic, "system", atomic.System())
    atomic.atomic_write(path, write_new)
    assert path.read_bytes() == NEW


def test_short_writes_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(short=True)
    monkeypatch.setattr(atomic, "system", recorder)
    atomic.atomic_write(path, NEW)
    assert path.read_bytes() == NEW
    assert recorder.log.count("write") > 10


def test_a_system_that_writes_nothing_is_no_endless_loop(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    recorder.write = lambda descriptor, data: 0  # type: ignore[method-assign]
    monkeypatch.setattr(atomic, "system", recorder)
    with pytest.raises(CheckpointError, match="wrote nothing"):
        atomic.atomic_write(path, NEW)
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_a_writer_that_stops_midway_leaves_the_old_file(error: type[BaseException], path: Path) -> None:
    def writer(file: Any) -> None:
        file.write(NEW)
        raise error

    with pytest.raises(error):
        atomic.atomic_write(path, writer)
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="file size limits are a POSIX notion")
def test_a_real_refusal_of_the_system(path: Path) -> None:
    code = f"""
import resource
from gradus.errors import CheckpointError
from gradus.io import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    atomic_write({str(path)!r}, bytes(10_000))
except CheckpointError as error:
    print(error.sentence())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert "10,000 bytes to write" in done.stdout
    assert "is intact" in done.stdout
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


def test_empty_content_and_new_file(tmp_path: Path) -> None:
    atomic.atomic_write(tmp_path / "empty", b"")
    assert (tmp_path / "empty").read_bytes() == b""
    atomic.atomic_write(os.fspath(tmp_path / "text"), memoryview(b"text"))
    assert (tmp_path / "text").read_bytes() == b"text"


def test_a_missing_folder_is_named_with_the_line_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        atomic.atomic_write(tmp_path / "runs" / "1" / "x", NEW)
    assert caught.value.fix == f"os.makedirs({str(tmp_path / 'runs' / '1')!r}, exist_ok=True)"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_of_the_old_file_are_kept(path: Path) -> None:
    path.chmod(0o600)
    atomic.atomic_write(path, NEW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_of_a_new_file_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.atomic_write(tmp_path / "x", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_stays_a_link(path: Path) -> None:
    link = path.parent / "latest"
    link.symlink_to(path.name)
    atomic.atomic_write(link, NEW)
    assert link.is_symlink()
    assert path.read_bytes() == NEW


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "pipe", tmp_path, Path(os.devnull)):
        with pytest.raises(CheckpointError, match="no regular file"):
            atomic.atomic_write(target, NEW)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.skipif(os.name == "nt", reason="there, age decides")
def test_temporary_files_of_dead_processes_are_removed(path: Path) -> None:
    host, folder = atomic._HOST, path.parent
    stale = [f".gradus-{host}-{dead_process()}-0.tmp", f".gradus-{host}-{os.getpid()}-999999.tmp"]
    others = [f".gradus-{host}-{os.getppid()}-0.tmp", f".gradus-{host}x-1-0.tmp", f".gradus-{host}-{10**30}-0.tmp", "mine.tmp"]
    for name in (*stale, *others):
        (folder / name).write_bytes(b"half")
    atomic.atomic_write(path, NEW)
    assert sorted(os.listdir(folder)) == sorted([*others, path.name])


def test_threads_do_not_remove_each_other(path: Path) -> None:
    contents = [bytes([i]) * 100_000 for i in range(8)]
    failures: list[BaseException] = []

    def work(content: bytes) -> None:
        try:
            for _ in range(10):
                atomic.atomic_write(path, content)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert path.read_bytes() in contents
    assert os.listdir(path.parent) == [path.name]


SAVING = """
import sys, numpy
from gradus.io import write_safetensors
path = sys.argv[1]
for round in range(10**9):
    write_safetensors(path, {"w": numpy.full(200_000, round, "float32")}, {"round": str(round)})
    if round == 0:
        print("saved", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a POSIX notion")
@pytest.mark.parametrize("start", range(4))
def test_kill_9_while_saving(start: int, tmp_path: Path) -> None:
    from gradus.io import read_safetensors, write_safetensors

    path = tmp_path / "model.safetensors"
    for attempt in range(4):
        child = subprocess.Popen([sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.0017 * (1 + attempt + 4 * start))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        arrays, metadata = read_safetensors(path)
        assert (arrays["w"] == int(metadata["round"])).all()
    write_safetensors(path, {})
    assert os.listdir(tmp_path) == [path.name]

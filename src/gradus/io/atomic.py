"""All-or-nothing writes: whoever reads the path, at any instant and after any crash, finds the old file or the new one, whole.

The new bytes go to a temporary file in the same folder (a rename does not cross file systems), are forced to the disk, and are
then renamed over the old file; last, the folder is forced to the disk, for the name is stored there. What a killed process
leaves behind is one temporary file, which the next write into the folder removes.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from gradus.errors import CheckpointError

DAY = 86_400  # seconds

AnyPath = str | os.PathLike[str]
Bytes = bytes | bytearray | memoryview


class System:
    """The calls to the operating system that a write makes, each once. Tests put a failing one in the place of ``atomic.system``."""

    def open(self, path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o666)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(path, mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def sync_folder(self, folder: str) -> None:
        if os.name == "nt":  # Windows opens no folders; its rename is journalled
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot, such as some network ones
                raise
        finally:
            os.close(descriptor)


system = System()


class Sink(Protocol):
    """What the writer of a file sees of it."""

    def write(self, data: Bytes, /) -> int: ...


class _TemporaryFile:
    """A descriptor that takes every byte or raises: the system may write less than asked without an error."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.written = descriptor, 0

    def write(self, data: Bytes) -> int:
        rest = memoryview(data)
        rest = rest.cast("B") if rest.nbytes else memoryview(b"")  # a view without elements cannot be cast
        while rest:
            count = system.write(self.descriptor, rest)
            if count <= 0:
                raise OSError(errno.EIO, "the system wrote nothing and gave no reason")
            rest = rest[count:]
            self.written += count
        return memoryview(data).nbytes


# `.gradus-HOST-PID-NUMBER.tmp`: the host, because in a shared folder the process of another machine only looks dead from here.
_HOST = re.sub(r"[^A-Za-z0-9_.]", "_", os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", ""))[:64]
_NAME = re.compile(rf"\.gradus-{re.escape(_HOST)}-(\d+)-\d+\.tmp")
_numbers = itertools.count()
_in_use: set[str] = set()


def _create_temporary(folder: str) -> tuple[str, int]:
    """The path and descriptor of a file that did not exist before."""
    while True:
        path = os.path.join(folder, f".gradus-{_HOST}-{os.getpid()}-{next(_numbers)}.tmp")
        _in_use.add(path)
        try:
            return path, system.open(path)
        except FileExistsError:  # of a dead process that had the same number; it is removed below, this write takes the next name
            _in_use.discard(path)
        except BaseException:
            _in_use.discard(path)
            raise


def _is_stale(path: str, process: int) -> bool:
    """Whether nobody will ever rename this temporary file."""
    if process == os.getpid():
        return path not in _in_use  # of an earlier process with our number, as in a restarted container
    if os.name == "nt":  # os.kill(…, 0) would end the process there
        return time.time() - os.stat(path).st_mtime > DAY
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # alive but another user's; or no process number at all, so no file of ours
        return False
    return False


def remove_stale(folder: AnyPath) -> list[str]:
    """Remove the temporary files that killed processes of this machine left in ``folder``; returns their names."""
    removed = []
    with suppress(OSError):  # tidying up is no reason for a write to fail; the write itself tells what is wrong with the folder
        for name in os.listdir(folder):
            match = _NAME.fullmatch(name)
            path = os.path.join(folder, name)
            if match and _is_stale(path, int(match[1])):
                os.unlink(path)
                removed.append(name)
    return removed


@contextmanager
def atomic_file(path: AnyPath) -> Iterator[Sink]:
    """A binary file for writing that takes the place of ``path`` when the block ends, and vanishes when the block raises.

    Args:
        path: the file to make or replace. Through a symbolic link, the file that it leads to. Its permissions are kept.

    Raises:
        OSError: the disk is full, the folder is missing or read-only, …: ``path`` then holds the old file, whole.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_file(os.path.join(folder, "x.bin")) as file:
    ...         count = file.write(b"abc")
    ...     print(count, os.listdir(folder))
    3 ['x.bin']
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    mode = _permissions(target)
    remove_stale(folder)  # first: it may be what fills the disk
    temporary, descriptor = _create_temporary(folder)
    is_open = True
    try:
        if mode is not None:
            system.chmod(temporary, mode)
        yield _TemporaryFile(descriptor)
        system.sync(descriptor)
        is_open = False
        system.close(descriptor)
        system.rename(temporary, target)
    except BaseException:  # also Ctrl-C: nothing half-done stays
        with suppress(OSError):  # the first error is the one to tell; a file that stays is removed by the next write
            if is_open:
                os.close(descriptor)
            os.unlink(temporary)
        raise
    finally:
        _in_use.discard(temporary)
    system.sync_folder(folder)


def _permissions(path: str) -> int | None:
    """The permissions of the file to replace; a rename over a device such as /dev/null would replace the device."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is there and is no regular file", path)
    return stat.S_IMODE(mode)


def atomic_write(path: AnyPath, content: Bytes | Callable[[Sink], Any]) -> None:
    """Write a file wholly or not at all.

    Args:
        path: the file to make or replace.
        content: its bytes, or a function that writes them to the file that it is given.

    Raises:
        CheckpointError: the system refused (full disk, no permission, no such folder); no half-written file is left.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "note.txt")
    ...     atomic_write(path, b"old")
    ...     atomic_write(path, lambda file: file.write(b"new"))
    ...     print(path.read_text())
    new
    """
    try:
        with atomic_file(path) as file:
            content(file) if callable(content) else file.write(content)
    except OSError as error:
        raise CheckpointError(**explain_failure(path, error, None if callable(content) else memoryview(content).nbytes)) from error


def explain_failure(path: AnyPath, error: OSError, needed: int | None = None) -> dict[str, str]:
    """The parts of the message for a write of ``needed`` bytes that the system refused with ``error``."""
    path = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(path))
    fixes = {
        errno.ENOENT: f"os.makedirs({folder!r}, exist_ok=True)",
        errno.ENOSPC: "free some space, or save to another disk",
        errno.EDQUOT: "free some space, or save to another disk",
        errno.EACCES: "save to a folder that you may write to",
        errno.EROFS: "save to a folder that you may write to",
    }
    sizes = [f"{needed:,} bytes to write"] if needed is not None else []
    if hasattr(os, "statvfs") and os.path.isdir(folder):
        disk = os.statvfs(folder)
        sizes.append(f"{disk.f_bavail * disk.f_frsize:,} bytes free")
    return {
        "what": f"cannot write {path}: {error.strerror or error}",
        "got": ", ".join(sizes),
        "why": "nothing half-written is left: what was at this path before is intact" if os.path.exists(path) else "",
        "fix": fixes.get(error.errno or 0, ""),
        "code": "E36",
    }

"""Fetches files whose content is known beforehand: from several addresses in turn, checked by SHA-256, whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gradus.data.mnist_sets import AnyPath, Collection, RemoteFile
from gradus.errors import DataError
from gradus.folders import named_folder
from gradus.io.atomic import atomic_file, explain_failure
from gradus.terminal import is_terminal

VARIABLE = "GRADUS_DATA"
TIMEOUT = 30.0  # seconds without a byte until the next address is tried
CHUNK = 1 << 16  # bytes

Advance = Callable[[int], Any]


class _Refused(Exception):
    """Why an address did not give the file."""


def data_folder() -> str:
    """Where downloaded data is kept: ``$GRADUS_DATA``, or ``gradus`` in the platform's folder for caches."""
    return named_folder(VARIABLE)


def obtain(collection: Collection, folder: AnyPath | None = None, download: bool = True) -> list[str]:
    """The paths of a collection's files, each there and of the known content.

    Raises:
        DataError: a file is missing or damaged, and cannot be downloaded or shall not be.
    """
    place = os.path.join(os.path.abspath(os.path.expanduser(folder)) if folder is not None else data_folder(), collection.folder)
    paths = [os.path.join(place, file.name) for file in collection.files]
    problems = {file.name: problem for file, path in zip(collection.files, paths) if (problem := _problem(file, path))}
    if problems and not download:
        raise _missing(collection, place, problems, [])
    for file, path in zip(collection.files, paths):
        if file.name in problems:
            tried = _download(collection, file, path)
            if tried:
                raise _missing(collection, place, problems, tried)
            del problems[file.name]
    return paths


def _problem(file: RemoteFile, path: str) -> str:
    """What is wrong with the file on the disk; ``""``: nothing."""
    try:
        size = os.path.getsize(path)
        if size != file.size:
            return f"has {size:,} bytes instead of {file.size:,}"
        with open(path, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return "" if found == file.sha256 else f"is damaged: SHA-256 {found} instead of {file.sha256}"


def _missing(collection: Collection, place: str, problems: dict[str, str], tried: list[str]) -> DataError:
    """The one message of all who are offline."""
    sources = "".join(f"\n            {mirror}{name}" for name in problems for mirror in collection.mirrors[:1])
    return DataError(
        f"{collection.title} is not complete in {place}" + (", and could not be downloaded" if tried else ""),
        got="; ".join(f"{name} {problem}" for name, problem in problems.items())
        + "".join(f";\n            {attempt}" for attempt in tried),
        wanted=f"in the folder {place} the files {', '.join(problems)}",
        why="no connection to the internet, or a proxy in between ($https_proxy)" if tried else "",
        fix=f"download these elsewhere, and put them into {place} (or name the folder above {collection.folder}/ in ${VARIABLE}):{sources}",
        code="E37",
    )


def _download(collection: Collection, file: RemoteFile, path: str) -> list[str]:
    """Fetch one file from the first address that has it. Returns why each address failed, or nothing on success."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise DataError(**explain_failure(path, error, file.size)) from error
    tried = []
    for mirror in collection.mirrors:
        try:
            with _progress(f"{collection.title}: {file.name}", file.size) as advance, atomic_file(path) as sink:
                _fetch(mirror + file.name, file, sink.write, advance)
            return []
        except _Refused as refusal:
            tried.append(f"{mirror}{file.name}: {refusal}")
        except OSError as error:  # of the disk: those of the network are _Refused
            raise DataError(**explain_failure(path, error, file.size)) from error
    return tried


def _fetch(url: str, file: RemoteFile, write: Callable[[bytes], Any], advance: Advance) -> None:
    """Write what ``url`` gives, if it is the file to the last bit."""
    digest, received = hashlib.sha256(), 0
    for chunk in _read(url):
        if not received and not chunk.startswith(b"\x1f\x8b"):
            raise _Refused("gives a web page" if chunk.lstrip().startswith(b"<") else "gives no gzip file")
        received += len(chunk)
        if received > file.size:
            raise _Refused(f"gives more than the {file.size:,} bytes of the file")
        digest.update(chunk)
        write(chunk)
        advance(len(chunk))
    if received < file.size:
        raise _Refused(f"gives {received:,} bytes instead of {file.size:,}")
    if digest.hexdigest() != file.sha256:
        raise _Refused(f"gives a file with the SHA-256 {digest.hexdigest()} instead of {file.sha256}")


def _read(url: str) -> Iterator[bytes]:
    """The body behind an address; whatever goes wrong on the network is one error."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "gradus"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            while chunk := response.read(CHUNK):
                yield chunk
    except urllib.error.HTTPError as error:
        raise _Refused(f"HTTP status {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Refused(f"{error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Refused(f"{type(error).__name__}: {error}") from error


@contextmanager
def _progress(title: str, total: int) -> Iterator[Advance]:
    """Shows on stderr how a download goes: a bar where rich is installed and someone watches, else plain lines."""
    if is_terminal(sys.stderr):
        try:
            from rich import progress
            from rich.console import Console
        except ImportError:
            pass  # the plain line below
        else:
            columns = (progress.BarColumn(), progress.DownloadColumn(), progress.TimeRemainingColumn())
            with progress.Progress(progress.TextColumn("{task.description}"), *columns, console=Console(stderr=True)) as bar:
                task = bar.add_task(title, total=total)
                yield lambda count: bar.advance(task, count)
            return
    line = _PlainLine(title, total, is_terminal(sys.stderr))
    try:
        yield line.advance
    finally:
        line.close()


class _PlainLine:
    """One line: rewritten in a terminal, written once when it is over in a log file."""

    def __init__(self, title: str, total: int, terminal: bool) -> None:
        self.title, self.total, self.terminal = title, total, terminal
        self.received, self.started, self.shown = 0, time.monotonic(), 0.0

    def advance(self, count: int) -> None:
        self.received += count
        now = time.monotonic()
        if self.terminal and now - self.shown > 0.1:
            self.shown = now
            self._show("\r", "")

    def close(self) -> None:
        if not self.received:  # the address gave nothing, and the error says why
            return
        self._show("\r" if self.terminal else "", "\n")

    def _show(self, before: str, after: str) -> None:
        seconds = time.monotonic() - self.started
        rate = self.received / seconds if seconds > 0 else 0.0
        left = f", {(self.total - self.received) / rate:.0f} s left" if rate and not after else ""
        share = self.received / self.total
        text = f"{self.title}  {share:4.0%} of {self.total / 1e6:.1f} MB  {rate / 1e6:.1f} MB/s{left}"
        print(f"{before}{text:<79}" if self.terminal else text, end=after, file=sys.stderr, flush=True)

"""Downloads, from servers of our own on this machine: good ones, broken ones, and none at all."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gradus.data import download
from gradus.data.mnist_sets import FASHION, MNIST, Collection, RemoteFile
from gradus.errors import DataError
from gradus.io import atomic

CONTENT = {"a.gz": gzip.compress(bytes(range(256)) * 2000, mtime=0, compresslevel=0), "b.gz": gzip.compress(b"labels", mtime=0)}
FILES = tuple(RemoteFile(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in CONTENT.items())
PAGE = b"<!DOCTYPE html><html><body>Sign in to this network</body></html>"


class Handler(BaseHTTPRequestHandler):
    """The first part of the path says how this server fails, the last which file is wanted."""

    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        _, kind, name = self.path.split("/")
        content = CONTENT[name]
        body = {
            "good": content,
            "page": PAGE,
            "empty": b"",
            "short": content[:-3],
            "long": content + b"more",
            "wrong": content[:-1] + bytes([content[-1] ^ 1]),
            "plain": b"no gzip" + content[7:],
        }.get(kind, content)
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"/good/{name}")
            self.end_headers()
            return
        self.send_response({"busy": 503, "absent": 404}.get(kind, 200))
        # "cut" promises everything and gives half: the connection is lost midway
        self.send_header("Content-Length", str(len(content if kind == "cut" else body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if kind == "cut" else body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def collection(server: str) -> Callable[..., Collection]:
    return lambda *kinds: Collection("small", "Small set", tuple(f"{server}/{kind}/" for kind in kinds), FILES)


def contents(paths: list[str]) -> list[bytes]:
    return [Path(path).read_bytes() for path in paths]


def test_files_are_downloaded_once(collection: Callable, tmp_path: Path) -> None:
    paths = download.obtain(collection("good"), tmp_path)
    assert paths == [str(tmp_path / "small" / name) for name in CONTENT]
    assert contents(paths) == list(CONTENT.values())
    assert sorted(os.listdir(tmp_path / "small")) == sorted(CONTENT)
    assert download.obtain(collection("good"), tmp_path) == paths
    assert len(Handler.asked) == 2


BROKEN = {
    "busy": "HTTP status 503",
    "absent": "HTTP status 404",
    "page": "a web page",
    "plain": "no gzip file",
    "empty": "0 bytes instead of",
    "short": "bytes instead of",
    "cut": "bytes",
    "long": "more than the",
    "wrong": "SHA-256",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_mirror_is_followed_by_the_next(kind: str, collection: Callable, tmp_path: Path) -> None:
    assert contents(download.obtain(collection(kind, "good"), tmp_path)) == list(CONTENT.values())
    assert Handler.asked == [f"/{mirror}/{name}" for name in CONTENT for mirror in (kind, "good")]


@pytest.mark.parametrize("kind", BROKEN)
def test_all_broken_leaves_nothing_and_tells_why(kind: str, collection: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        download.obtain(collection(kind, "absent"), tmp_path)
    assert caught.value.code == "E37"
    assert BROKEN[kind] in caught.value.got
    assert f"/{kind}/a.gz" in caught.value.got
    assert "HTTP status 404" in caught.value.got
    assert os.listdir(tmp_path / "small") == []


def test_redirects_are_followed(collection: Callable, tmp_path: Path) -> None:
    assert contents(download.obtain(collection("moved"), tmp_path)) == list(CONTENT.values())


def offline(name: str = "small") -> Collection:
    return Collection(name, "Small set", ("http://127.0.0.1:9/one/", "http://127.0.0.1:9/two/"), FILES)  # nobody listens to port 9


def test_offline_ends_in_one_message_with_the_folder_and_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "a.gz").write_bytes(CONTENT["a.gz"])
    with pytest.raises(DataError) as caught:
        download.obtain(offline(), tmp_path)
    message = str(caught.value)
    place = str(tmp_path / "small")
    assert place in caught.value.what
    assert caught.value.wanted == f"in the folder {place} the files b.gz"
    assert "http://127.0.0.1:9/one/b.gz: " in message
    assert "http://127.0.0.1:9/two/b.gz: " in message
    assert "refused" in message
    assert "$GRADUS_DATA" in caught.value.fix
    assert "a.gz" not in message


def test_nothing_is_fetched_when_nothing_shall_be(collection: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        download.obtain(collection("good"), tmp_path, download=False)
    assert caught.value.wanted.endswith("the files a.gz, b.gz")
    assert "is not there" in caught.value.got
    assert Handler.asked == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:100] + b"x" + b[101:], lambda b: b""])
def test_a_damaged_file_is_replaced_but_only_by_a_good_one(damage: Callable, collection: Callable, tmp_path: Path) -> None:
    paths = download.obtain(collection("good"), tmp_path)
    damaged = damage(CONTENT["a.gz"])
    Path(paths[0]).write_bytes(damaged)
    with pytest.raises(DataError, match="not complete") as caught:
        download.obtain(collection("busy"), tmp_path)
    changed = "a.gz is damaged: SHA-256" if len(damaged) == len(CONTENT["a.gz"]) else f"a.gz has {len(damaged):,} bytes instead of"
    assert changed in caught.value.got
    assert Path(paths[0]).read_bytes() == damaged
    assert contents(download.obtain(collection("good"), tmp_path)) == list(CONTENT.values())


def test_a_full_disk_is_told_as_such(collection: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(atomic.System):
        def write(self, descriptor: int, data: memoryview) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic, "system", Full())
    with pytest.raises(DataError, match="No space left") as caught:
        download.obtain(collection("good", "good"), tmp_path)
    assert caught.value.code == "E36"
    assert len(Handler.asked) == 1  # another mirror would not help
    assert os.listdir(tmp_path / "small") == []


def test_an_address_that_gives_nothing_leaves_no_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError) as caught:
        download.obtain(Collection("small", "Small set", ("http://127.0.0.1:9/",), FILES), tmp_path)
    assert capsys.readouterr().err == ""
    assert "b.gz is not there;\n" in caught.value.got


def test_a_folder_that_cannot_be_made_is_told(collection: Callable, tmp_path: Path) -> None:
    (tmp_path / "small").write_text("a file in the way")
    with pytest.raises(DataError, match="cannot write"):
        download.obtain(collection("good"), tmp_path)


def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    released = threading.Event()
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    monkeypatch.setattr(Handler, "do_GET", lambda self: released.wait(20))
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        download.obtain(Collection("small", "Small set", (f"{server}/x/",), FILES), tmp_path)
    released.set()
    assert time.monotonic() - started < 10
    assert "timed out" in caught.value.got


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_log_is_one_line_a_file(collection: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download.obtain(collection("good"), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["Small set: a.gz", "Small set: b.gz"]
    assert all("100% of" in line for line in lines)


@pytest.mark.parametrize("with_rich", [True, False])
def test_progress_in_a_terminal(with_rich: bool, collection: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if with_rich:
        pytest.importorskip("rich", reason="rich draws the bar (pip install gradus-dl[cli])")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    download.obtain(collection("good"), tmp_path)
    shown = terminal.getvalue()
    assert "Small set: a.gz" in shown
    assert ("100% of" in shown) is not with_rich


HOME = os.path.expanduser("~")


@pytest.mark.parametrize(
    "platform, variables, folder",
    [
        ("linux", {}, os.path.join(HOME, ".cache", "gradus")),
        ("linux", {"XDG_CACHE_HOME": "/caches"}, "/caches/gradus"),
        ("darwin", {"XDG_CACHE_HOME": "/caches"}, os.path.join(HOME, "Library", "Caches", "gradus")),
        ("win32", {"LOCALAPPDATA": "C:\\Local"}, os.path.join("C:\\Local", "gradus")),
        ("linux", {"GRADUS_DATA": "/data"}, "/data"),
        ("linux", {"GRADUS_DATA": "~/data"}, os.path.join(HOME, "data")),
        ("linux", {"GRADUS_DATA": ""}, os.path.join(HOME, ".cache", "gradus")),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")
def test_the_folder_follows_the_platform(platform: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADUS_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert download.data_folder() == folder


@pytest.mark.parametrize("collection", [MNIST, FASHION], ids=["mnist", "fashion"])
def test_known_files_have_several_sources(collection: Collection) -> None:
    assert len(collection.mirrors) >= 2
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in collection.mirrors)
    assert [file.name for file in collection.files] == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]
    assert len({file.sha256 for file in collection.files}) == 4

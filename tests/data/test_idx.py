"""IDX files: every type read right, every damage named, and no memory taken on a header's word."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradus.data import idx as idx_module
from gradus.data import read_idx
from gradus.errors import DataError

TYPES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, TYPES[array.dtype.name], array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx") / "images"


any_array = st.sampled_from(sorted(TYPES)).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_side=0, max_dims=4)))


@given(array=any_array, packed=st.booleans())
def test_round_trip(array: np.ndarray, packed: bool, file: Path) -> None:
    file.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    read = read_idx(file)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()
    assert read.flags.writeable


def test_larger_than_the_pieces_that_it_is_read_in(file: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (300, 28, 28), "uint8")
    file.write_bytes(gzip.compress(idx(array)))
    assert (read_idx(file) == array).all()


WHOLE = idx(np.arange(24, dtype="uint8").reshape(2, 3, 4))
PACKED = gzip.compress(WHOLE)


def rejected(file: Path, content: bytes) -> DataError:
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_idx(file)
    assert str(file) in caught.value.what
    assert caught.value.code == "E38"
    return caught.value


@pytest.mark.parametrize("content", [WHOLE, PACKED], ids=["plain", "gzip"])
def test_every_truncation_is_noticed(content: bytes, file: Path) -> None:
    for length in range(len(content)):
        rejected(file, content[:length])


@pytest.mark.parametrize("content", [WHOLE, PACKED], ids=["plain", "gzip"])
def test_trailing_bytes_are_noticed(content: bytes, file: Path) -> None:
    rejected(file, content + b"\0")
    rejected(file, content + content)


def test_trailing_bytes_behind_the_last_piece_read_are_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx_module, "CHUNK", len(PACKED))
    packed_again = PACKED + PACKED  # whose end promises the right size, too
    assert "something follows" in rejected(file, packed_again).what


def test_every_flipped_bit_of_a_packed_file_is_noticed_or_harmless(file: Path) -> None:
    """gzip's header holds a time stamp and its last block unused bits, which change nothing; the content has a checksum."""
    harmless = 0
    for bit in range(len(PACKED) * 8):
        damaged = bytearray(PACKED)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bytes(damaged))
        try:
            array = read_idx(file)
        except DataError:
            continue
        harmless += 1
        assert array.tolist() == np.arange(24).reshape(2, 3, 4).tolist()
    assert harmless < 100


def head(*values: int, magic: tuple[int, int, int, int]) -> bytes:
    return bytes(magic) + struct.pack(f">{len(values)}I", *values)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "magic number"),
        (b"\0\0\x08", "magic number"),
        (b"<!DOCTYPE html><html>404 Not Found</html>", "magic number is 0x3c21444f"),
        (head(1, magic=(0, 1, 8, 1)) + b"x", "magic number"),
        (head(1, magic=(0, 0, 10, 1)) + b"x", "magic number"),
        (head(magic=(0, 0, 8, 0)) + b"x", "magic number"),
        (head(*[1] * 65, magic=(0, 0, 8, 65)) + b"x", "magic number"),
        (head(2, magic=(0, 0, 8, 2)), "lengths of its 2 axes"),
        (head(5, magic=(0, 0, 8, 1)) + bytes(4), "takes 13 bytes, and the file has 12"),
        (head(3, magic=(0, 0, 8, 1)) + bytes(4), "takes 11 bytes, and the file has 12"),
        (head(2, magic=(0, 0, 11, 1)) + bytes(2), "takes 12 bytes, and the file has 10"),
        (head(2**32 - 1, 2**32 - 1, magic=(0, 0, 14, 2)), "the file has 12"),
        (head(0, *[2**32 - 1] * 3, magic=(0, 0, 8, 4)), "no array has the shape"),
    ],
)
def test_malformed_files(content: bytes, reason: str, file: Path) -> None:
    assert reason in rejected(file, content).what
    if reason.startswith("takes"):
        reason = reason.replace("the file has", "the file unpacks to")
    if "the file has" not in reason:
        assert reason in rejected(file, gzip.compress(content)).what


def test_a_lying_size_at_the_end_of_gzip(file: Path) -> None:
    content = idx(np.zeros(1000, "uint8"))
    packed = gzip.compress(idx(np.zeros(1001, "uint8")))
    lying = packed[:-4] + struct.pack("<I", len(content))
    assert "damaged" in rejected(file, lying).what
    more = gzip.compress(content + b"more")
    assert "unpacks to 1,012" in rejected(file, more).what
    noise = np.random.default_rng(0).integers(0, 256, 100_000, "uint8")
    too_much = gzip.compress(idx(noise[:60_000]) + noise[60_000:].tobytes())
    assert "more than the 60,008 bytes" in rejected(file, too_much[:-4] + struct.pack("<I", 60_008)).what


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_alone_takes_no_memory(packed: bool, file: Path) -> None:
    content: Any = head(2**16, 2**16, magic=(0, 0, 8, 2))
    if packed:
        content = gzip.compress(content)[:-4] + struct.pack("<I", (2**32 + len(content)) % 2**32)
    file.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError):
        read_idx(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError, match=f"cannot read {path}"):
            read_idx(path)

"""The safetensors format: every layout written right, read by others and from others, and no damage unnoticed."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradus.errors import CheckpointError
from gradus.io import header, read_safetensors, write_safetensors

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "float16", "uint32", "int32", "float32", "uint64", "int64", "float64"]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal to the last bit, NaNs and negative zeros included, in shape and in dtype but for the byte order."""
    a, b = (np.asarray(x).astype(x.dtype.newbyteorder("="), copy=False) for x in (a, b))
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert sorted(a) == sorted(b)
    assert [name for name in a if not same(a[name], b[name])] == []


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("safetensors") / "x.safetensors"


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays of every dtype and layout."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES))).newbyteorder(draw(st.sampled_from("<>")))
    array = draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))
    layout = draw(st.sampled_from(["C", "F", "transposed", "strided", "reversed", "broadcast", "read-only", "scalar"]))
    if layout == "F":
        return np.asfortranarray(array).reshape(array.shape)
    if layout == "transposed":
        return array.T
    if layout == "strided" and array.ndim:
        return array[::2]
    if layout == "reversed" and array.ndim:
        return array[..., ::-1]
    if layout == "broadcast":
        return np.broadcast_to(array, (2, *array.shape))
    if layout == "read-only":
        array.flags.writeable = False
    return array[()] if layout == "scalar" and not array.ndim else array


names = st.text(min_size=0, max_size=8).filter(lambda name: name != "__metadata__" and name.isprintable()) | st.sampled_from(
    ['"', "\\", "\n", "\x1f", "é", "名前", "a.b.0.weight", "gradus.header_crc32", '","gradus.header_crc32":"00000000']
)
tensors = st.dictionaries(names, arrays(), max_size=5)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(tensors=tensors, metadata=st.dictionaries(texts, texts, max_size=3))
def test_every_layout_round_trips_and_the_reference_agrees(tensors: dict[str, np.ndarray], metadata: dict[str, str], file: Path) -> None:
    write_safetensors(file, tensors, metadata)
    loaded, loaded_metadata = read_safetensors(file)
    assert list(loaded) == list(tensors)
    assert_same(loaded, tensors)
    assert loaded_metadata == metadata
    assert all(array.flags.writeable and array.dtype.isnative and array.flags.c_contiguous for array in loaded.values())
    assert_same(safetensors.numpy.load_file(file), tensors)
    with safetensors.safe_open(file, "np") as opened:
        assert metadata.items() <= (opened.metadata() or {}).items()


@given(tensors=tensors)
def test_files_of_the_reference_are_read(tensors: dict[str, np.ndarray], file: Path) -> None:
    gapless = {name: np.array(array, order="C").astype(np.asarray(array).dtype.newbyteorder("=")) for name, array in tensors.items()}
    safetensors.numpy.save_file(gapless, file, {"format": "np"})
    loaded, metadata = read_safetensors(file)
    assert_same(loaded, gapless)
    assert metadata == {"format": "np"}


@given(tensors=tensors)
def test_layout_of_the_file_is_the_reference_s(tensors: dict[str, np.ndarray]) -> None:
    gapless = {name: np.array(array, order="C").astype(np.asarray(array).dtype.newbyteorder("=")) for name, array in tensors.items()}
    expected = safetensors.numpy.save(gapless)
    head, order = header.build({name: array.astype(array.dtype.newbyteorder("<")) for name, array in gapless.items()}, {})
    assert json.loads(head[8:]) == json.loads(expected[8 : len(head)])
    assert list(json.loads(head[8:])) == list(json.loads(expected[8 : len(head)])) == order
    assert len(head) % 8 == 0
    assert int.from_bytes(head[:8], "little") == len(head) - 8


def test_bfloat16_is_widened_exactly(file: Path) -> None:
    patterns = np.arange(2**16, dtype="<u2")
    raw = build({"w": {"dtype": "BF16", "shape": [256, 256], "data_offsets": [0, 2**17]}}, patterns.tobytes())
    file.write_bytes(raw)
    loaded = read_safetensors(file)[0]["w"]
    assert loaded.dtype == np.float32
    assert (loaded.view(np.uint32).reshape(-1) == patterns.astype(np.uint32) << 16).all()


# Damage.

TENSORS = {
    "net.0.weight": np.arange(12, dtype="float32").reshape(3, 4).T,
    "net.0.bias": np.array([1.5, -2.0]),
    "mask": np.array([True, False, True]),
    "step": np.array(7),
    "empty": np.zeros((0, 3), "float16"),
    'tab\t"': np.array([1], "int8"),
}
METADATA = {"note": "ä \x1f", "n": "0"}


@pytest.fixture
def whole(file: Path) -> bytes:
    write_safetensors(file, TENSORS, METADATA)
    return file.read_bytes()


def put(file: Path, content: bytes) -> None:
    """Overwrite in place: emptying a file first costs milliseconds on some file systems, and this happens thousands of times."""
    file.touch()
    with open(file, "r+b") as stream:
        stream.write(content)
        stream.truncate()


def rejected(file: Path, content: bytes) -> CheckpointError:
    put(file, content)
    with pytest.raises(CheckpointError) as caught:
        read_safetensors(file)
    assert str(file) in caught.value.what
    return caught.value


def test_every_flipped_bit_is_noticed(whole: bytes, file: Path) -> None:
    for bit in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        rejected(file, bytes(damaged))


def test_random_flips_in_a_larger_file_are_noticed_and_the_tensor_is_named(file: Path) -> None:
    generator = np.random.default_rng(0)
    write_safetensors(file, {f"layer.{i}": generator.standard_normal((50, 40)) for i in range(10)})
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for position in generator.integers(0, len(whole), 500).tolist():
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(generator.integers(8))
        error = rejected(file, bytes(damaged))
        if position >= start:
            assert f"'layer.{(position - start) // 16_000}'" in error.what


def test_every_truncation_is_noticed(whole: bytes, file: Path) -> None:
    for length in range(len(whole)):
        rejected(file, whole[:length])
    assert "cut short" in rejected(file, whole[:-1]).what


def test_trailing_bytes_are_noticed(whole: bytes, file: Path) -> None:
    assert "5 bytes follow the last tensor" in rejected(file, whole + b"extra").what


def test_checksums_that_another_program_kept_can_be_passed_over(file: Path) -> None:
    write_safetensors(file, {"w": np.zeros(3)}, {"note": "x"})
    with safetensors.safe_open(file, "np") as opened:
        metadata = opened.metadata()
    safetensors.numpy.save_file({"w": np.ones(3)}, file, metadata)
    with pytest.raises(CheckpointError, match="verify=False"):
        read_safetensors(file)
    loaded, kept = read_safetensors(file, verify=False)
    assert loaded["w"].tolist() == [1, 1, 1]
    assert kept == {"note": "x"}


def signed(entries: dict[str, Any], sums: str) -> bytes:
    """A header whose own checksum is right, whatever it says of the tensors."""
    metadata = {"gradus.tensor_crc32": sums, "gradus.header_crc32": "00000000"}
    text = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":")).encode()
    head = len(text).to_bytes(8, "little") + text
    return head.replace(b'"00000000"', f'"{zlib.crc32(head):08x}"'.encode())


ONE = {"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}


WRONG_SUMS = ["{}", "[]", "1", "nonsense", '{"w":"00000000"}', '{"w":1}', '{"v":"d202ef8d"}', '{"w":"d202ef8d","w":"d202ef8d"}', "[" * 9999]


@pytest.mark.parametrize("sums", WRONG_SUMS)
def test_wrong_checksums_in_a_signed_header(sums: str, file: Path) -> None:
    file.write_bytes(signed(ONE, f'{{"w":"{zlib.crc32(bytes(1)):08x}"}}') + bytes(1))
    assert read_safetensors(file)[0]["w"].tolist() == [0]
    rejected(file, signed(ONE, sums) + bytes(1))


# Rules.


def build(entries: Any, data: bytes = b"", text: bytes | None = None) -> bytes:
    text = json.dumps(entries).encode() if text is None else text
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": offsets, **more}


W8 = bytes(8)
MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "cut short"),
    "half a length": (b"\x08\0\0", "cut short"),
    "no header": (bytes(8), "begin with"),
    "header beyond the file": ((100).to_bytes(8, "little") + b"{}", "cut short"),
    "header of 2**63": ((2**63).to_bytes(8, "little") + b"{}", "the format allows"),
    "header above the limit": ((100_000_001).to_bytes(8, "little") + b"{}", "the format allows"),
    "blank before": (build({}, text=b" {}"), "begin with"),
    "an array": (build({}, text=b"[]"), "begin with"),
    "not JSON": (build({}, text=b"{'w': 1}"), "not JSON"),
    "two objects": (build({}, text=b"{}{}"), "not JSON"),
    "comma at the end": (build({}, text=b'{"w":1,}'), "not JSON"),
    "NUL padding": (build({}, text=b"{}\0\0"), "not JSON"),
    "not UTF-8": (build({}, text=b'{"\xff":1}'), "UTF-8"),
    "UTF-16": (build({}, text='{"w":1}'.encode("utf-16-le")), "not JSON"),
    "too deep": (build({}, text=b'{"w":' + b"[" * 100_000), "not JSON"),
    "too many digits": (build({}, text=b'{"w":' + b"9" * 5000 + b"}"), "not JSON"),
    "NaN": (build({}, text=b'{"w":NaN}'), "NaN"),
    "name twice": (build({}, W8, b'{"w":%(e)s,"w":%(e)s}' % {b"e": json.dumps(entry()).encode()}), "twice"),
    "metadata twice": (build({}, b"", b'{"__metadata__":{},"__metadata__":{}}'), "twice"),
    "metadata key twice": (build({}, b"", b'{"__metadata__":{"a":"","a":""}}'), "twice"),
    "field twice": (build({}, W8, b'{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), "twice"),
    "metadata no table": (build({"__metadata__": "x"}), "table of strings"),
    "metadata null": (build({"__metadata__": None}), "table of strings"),
    "metadata number": (build({"__metadata__": {"epoch": 1}}), "table of strings"),
    "metadata nested": (build({"__metadata__": {"a": {"b": "c"}}}), "table of strings"),
    "entry no table": (build({"w": [1]}, W8), "consist of"),
    "entry null": (build({"w": None}, W8), "consist of"),
    "no dtype": (build({"w": {"shape": [2], "data_offsets": [0, 8]}}, W8), "consist of"),
    "no shape": (build({"w": {"dtype": "F32", "data_offsets": [0, 8]}}, W8), "consist of"),
    "no offsets": (build({"w": {"dtype": "F32", "shape": [2]}}, W8), "consist of"),
    "one field more": (build({"w": entry(strides=[4])}, W8), "consist of"),
    "unknown dtype": (build({"w": entry("F128")}, W8), "'F128'"),
    "complex dtype": (build({"w": entry("C64", (1,))}, W8), "'C64'"),
    "float8": (build({"w": entry("F8_E4M3", (8,))}, W8), "'F8_E4M3'"),
    "dtype in small letters": (build({"w": entry("f32")}, W8), "'f32'"),
    "dtype a number": (build({"w": entry(32)}, W8), "dtype 32"),
    "dtype a list": (build({"w": entry(["F32"])}, W8), "dtype ['F32']"),
    "long dtype": (build({"w": entry("F" * 10**6)}, W8), "..."),
    "shape no list": (build({"w": entry(shape=2)}, W8), "counts"),
    "shape text": (build({"w": entry(shape="2")}, W8), "counts"),
    "shape float": (build({"w": entry(shape=[2.0])}, W8), "counts"),
    "shape bool": (build({"w": entry("F64", shape=[True])}, W8), "counts"),
    "shape null": (build({"w": entry(shape=[None])}, W8), "counts"),
    "shape negative": (build({"w": entry(shape=[-2])}, W8), "counts"),
    "shape twice negative": (build({"w": entry(shape=[-1, -2])}, W8), "counts"),
    "shape nested": (build({"w": entry(shape=[[2]])}, W8), "counts"),
    "shape of 2**64": (build({"w": entry(shape=[2**64])}, W8), "counts"),
    "65 axes": (build({"w": entry("F64", shape=[1] * 65)}, W8), "65 axes"),
    "shape overflows": (build({"w": entry(shape=[2**62, 2**62])}, W8), "takes"),
    "shape wraps to the size": (build({"w": entry("U8", shape=[2**61 + 1, 8])}, W8), "takes"),
    "empty and enormous": (build({"w": entry(shape=[0, 2**62, 2**62], offsets=[0, 0])}), "too large"),
    "shape too small": (build({"w": entry(shape=[1])}, W8), "takes 4"),
    "shape too large": (build({"w": entry(shape=[3])}, W8), "takes 12"),
    "offsets one": (build({"w": entry(offsets=[8])}, W8), "two counts"),
    "offsets three": (build({"w": entry(offsets=[0, 4, 8])}, W8), "two counts"),
    "offsets floats": (build({"w": entry(offsets=[0.0, 8.0])}, W8), "two counts"),
    "offsets text": (build({"w": entry(offsets="08")}, W8), "two counts"),
    "offsets negative": (build({"w": entry(offsets=[-8, 0])}, W8), "two counts"),
    "offsets backwards": (build({"w": entry(offsets=[8, 0])}, W8), "span -8"),
    "offsets beyond 2**64": (build({"w": entry(offsets=[2**64, 2**64 + 8])}, W8), "two counts"),
    "out of range": (build({"w": entry(offsets=[0, 8])}, bytes(7)), "cut short"),
    "far out of range": (build({"w": entry("U8", (2**40,), [0, 2**40])}, W8), "cut short"),
    "gap before": (build({"w": entry(offsets=[8, 16])}, bytes(16)), "gap of 8"),
    "gap between": (build({"v": entry(), "w": entry(offsets=[12, 20])}, bytes(20)), "gap of 4"),
    "gap behind an empty tensor": (build({"w": entry(shape=[0], offsets=[4, 4])}, bytes(4)), "gap of 4"),
    "overlap": (build({"v": entry(), "w": entry(offsets=[4, 12])}, bytes(12)), "overlap"),
    "same place": (build({"v": entry(), "w": entry()}, W8), "overlap"),
    "within": (build({"v": entry(shape=[4], offsets=[0, 16]), "w": entry(offsets=[4, 12])}, bytes(16)), "overlap"),
    "trailing": (build({"w": entry()}, bytes(9)), "1 bytes follow"),
    "data without tensors": (build({}, W8), "8 bytes follow"),
    "bool 2": (build({"w": entry("BOOL", (3,), [0, 3])}, b"\0\1\2"), "value 2"),
    "one checksum entry": (build({"__metadata__": {"gradus.tensor_crc32": "{}"}}), "one is missing"),
    "the other one": (build({"__metadata__": {"gradus.header_crc32": "00000000"}}), "one is missing"),
}


@pytest.mark.parametrize("content, reason", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_are_rejected_with_the_reason(content: bytes, reason: str, file: Path) -> None:
    error = rejected(file, content)
    assert reason in str(error)
    assert error.code in ("E32", "E33")
    assert len(str(error)) < 2000


@pytest.mark.parametrize("case", ["unknown dtype", "shape float", "gap before", "overlap", "bool 2", "name twice"])
def test_the_tensor_is_named(case: str, file: Path) -> None:
    assert "in tensor 'w': " in rejected(file, MALFORMED[case][0]).what


LEGAL: dict[str, tuple[bytes, dict[str, tuple[int, ...]]]] = {
    "no tensors": (build({}), {}),
    "padded": (build({}, text=b"{}      "), {}),
    "metadata only": (build({"__metadata__": {"a": "b"}}), {}),
    "not aligned": (build({"w": entry()}, W8, json.dumps({"w": entry()}).encode() + b" "), {"w": (2,)}),
    "0-d": (build({"w": entry("F64", [])}, W8), {"w": ()}),
    "empty tensors share a place": (
        build({"v": entry(shape=[0], offsets=[8, 8]), "w": entry(), "x": entry(shape=[3, 0], offsets=[0, 0])}, W8),
        {"v": (0,), "w": (2,), "x": (3, 0)},
    ),
    "any order": (build({"w": entry(offsets=[8, 16]), "v": entry()}, bytes(16)), {"w": (2,), "v": (2,)}),
    "empty name": (build({"": entry()}, W8), {"": (2,)}),
    "64 axes": (build({"w": entry("F64", [1] * 64)}, W8), {"w": (1,) * 64}),
}


@pytest.mark.parametrize("content, shapes", LEGAL.values(), ids=LEGAL.keys())
def test_legal_files_are_read(content: bytes, shapes: dict[str, tuple[int, ...]], file: Path) -> None:
    file.write_bytes(content)
    assert {name: array.shape for name, array in read_safetensors(file)[0].items()} == shapes
    if not shapes or max(map(len, shapes.values())) < 64:
        assert {name: array.shape for name, array in safetensors.numpy.load_file(file).items()} == shapes


TOKENS = rb"""0 -1 1e3 8 9223372036854775808 null [] {} "F64" "BOOL" "w" , : } \u0000""".split() + [b"\xff"]


def fuzzed(generator: np.random.Generator, whole: bytes) -> bytes:
    """The file with something in its header changed that a blind flip would rarely hit."""
    length = int.from_bytes(whole[:8], "little")
    text, data = whole[8 : 8 + length], whole[8 + length :]
    for _ in range(int(generator.integers(1, 4))):
        at, span = int(generator.integers(len(text))), int(generator.integers(0, 6))
        text = text[:at] + TOKENS[generator.integers(len(TOKENS))] + text[at + span :]
    return len(text).to_bytes(8, "little") + text + data


def test_fuzzed_headers_are_read_or_rejected_and_nothing_else(file: Path) -> None:
    generator = np.random.default_rng(1)
    entries = {"w": entry(), "v": entry("BOOL", (3,), [8, 11]), "u": entry("F16", (0, 2), [11, 11])}
    whole = build({"__metadata__": {"a": "b"}, **entries}, bytes(11))
    accepted = 0
    for _ in range(3000):
        content = fuzzed(generator, whole)
        put(file, content)
        try:
            read_safetensors(file)
            accepted += 1
        except CheckpointError:
            continue
        safetensors.numpy.load_file(file)  # what is read here is legal to the reference too
    assert 0 < accepted < 1000


def test_a_hostile_file_takes_no_memory(file: Path) -> None:
    file.write_bytes(build({"w": entry("U8", (2**45,), [0, 2**45])}, W8))
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        read_safetensors(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


# Files of other kinds.


def zipped(*members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member in members:
            archive.writestr(member, "x")
    return buffer.getvalue()


def saved(write: Any) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


FOREIGN = {
    "PyTorch": (zipped("archive/data.pkl", "archive/data/0", "archive/version"), "PyTorch"),
    "PyTorch, own name": (zipped("my_model/data.pkl"), "PyTorch"),
    "old PyTorch": (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + bytes(100), "pickle"),
    "pickle": (pickle.dumps({"w": [1.0]}), "pickle"),
    "npz": (saved(lambda file: np.savez(file, w=np.ones(3))), ".npz"),
    "npy": (saved(lambda file: np.save(file, np.ones(3))), ".npy"),
    "other zip": (zipped("readme.txt"), "zip archive"),
    "Keras": (zipped("metadata.json", "config.json", "model.weights.h5"), "Keras"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "gzip": (gzip.compress(b"x"), "gzip"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
    "web page": (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "web page"),
    "web page in capitals": (b"<HTML><HEAD>Error</HEAD></HTML>", "web page"),
    "XML of a bucket": (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "web page"),
    "JSON": (b'{"error": "not found"}', "JSON"),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(100), "GGUF"),
}


@pytest.mark.parametrize("content, kind", FOREIGN.values(), ids=FOREIGN.keys())
def test_files_of_other_kinds_are_recognised(content: bytes, kind: str, file: Path) -> None:
    error = rejected(file, content)
    assert error.what == f"{file} is not a safetensors file"
    assert kind in error.got
    assert error.code == "E32"


@pytest.mark.parametrize("length", [0x280, 0x93, 0x8B1F])
def test_a_length_that_looks_like_another_kind_is_none(length: int, file: Path) -> None:
    """640 bytes of header begin like a pickle."""
    file.write_bytes(build({}, text=b"{}" + b" " * (length - 2)))
    assert read_safetensors(file) == ({}, {})


def test_folders_and_pipes_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder"):
        read_safetensors(tmp_path)
    with pytest.raises(CheckpointError, match="device or pipe"):
        read_safetensors(os.devnull)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CheckpointError, match="device or pipe"):  # and does not wait for a writer
            read_safetensors(tmp_path / "pipe")


# What cannot be written.


@pytest.mark.parametrize(
    "tensors, metadata, reason",
    [
        ({"w": np.ones(2, "complex64")}, {}, "complex64"),
        ({"w": np.ones(2, "longdouble")}, {}, "no dtype for 'w'"),
        ({"w": np.array(["a"])}, {}, "<U1"),
        ({"w": np.array([None])}, {}, "object"),
        ({"w": np.zeros(1, "datetime64[s]")}, {}, "datetime64"),
        ({"w": np.zeros(1, [("a", "f4")])}, {}, "'w'"),
        ({"w": np.ma.masked_equal([1, 2], 1)}, {}, "MaskedArray"),
        ({"w": [1.0]}, {}, "'w' is a list"),
        ({"w": 1.0}, {}, "'w' is a float"),
        ({1: np.ones(1)}, {}, "1 is no name"),
        ({"__metadata__": np.ones(1)}, {}, "'__metadata__' is no name"),
        ({"\ud800": np.ones(1)}, {}, "Unicode"),
        ({}, {"a": 1}, "str -> int"),
        ({}, {1: "a"}, "int -> str"),
        ({}, {"gradus.header_crc32": "x"}, "gradus.header_crc32"),
        ({}, {"a": "x" * 100_000_000}, "at most 100,000,000"),
    ],
)
def test_what_the_format_lacks_is_refused_and_the_old_file_stays(tensors: Any, metadata: Any, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(CheckpointError) as caught:
        write_safetensors(path, tensors, metadata)
    assert reason in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]

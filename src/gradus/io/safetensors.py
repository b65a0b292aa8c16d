"""The safetensors format on NumPy arrays: a writer that keeps every layout's values, and a reader that accepts no broken file.

Each file that Gradus writes carries a checksum (CRC-32) of every tensor and one of the header, as strings in the format's free
``__metadata__`` entry: any other reader still reads the file, and Gradus notices a single changed bit. Files of others have
none and are read without.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from gradus.errors import CheckpointError
from gradus.io import foreign, header
from gradus.io.atomic import AnyPath, Sink, atomic_file, explain_failure
from gradus.io.header import Entry, Malformed

Array = np.ndarray[Any, Any]

# Two entries, each useless without the other: a bit flipped in one of these names cannot pass for a file without checksums.
HEADER_SUM, TENSOR_SUMS = "gradus.header_crc32", "gradus.tensor_crc32"
NO_SUM = "00000000"  # stands in the header while its own checksum is computed
CHUNK = 1 << 20  # bytes: read, then summed while still in the cache


def write_safetensors(path: AnyPath, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write named arrays to a file, wholly or not at all.

    Args:
        path: the file to make or replace.
        arrays: name -> array of any layout (transposed, strided, broadcast, big-endian, 0-d, empty); bool, integer or
            floating up to 8 bytes an item.
        metadata: strings to keep in the file.

    Raises:
        CheckpointError: a dtype that the format lacks, a name or metadata that are no strings, or the disk refused.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "w.safetensors")
    ...     write_safetensors(path, {"w": np.arange(6.0).reshape(2, 3).T}, {"note": "transposed"})
    ...     arrays, metadata = read_safetensors(path)
    >>> arrays["w"].shape, metadata
    ((3, 2), {'note': 'transposed'})
    """
    packed = {_checked_name(path, name): _packed(path, name, array) for name, array in arrays.items()}
    sums = json.dumps({name: _crc(array) for name, array in packed.items()}, separators=(",", ":"), ensure_ascii=False)
    entries = _checked_metadata(path, metadata or {}) | {TENSOR_SUMS: sums, HEADER_SUM: NO_SUM}
    try:
        head, order = header.build(packed, entries)
    except UnicodeEncodeError as error:
        raise CheckpointError(f"cannot write {path}: a name or a metadata text is not valid Unicode ({error})", code="E33") from error
    if len(head) > header.MAX_HEADER:
        raise CheckpointError(f"cannot write {path}: names and metadata take {len(head):,} bytes", wanted="at most 100,000,000", code="E33")
    blank, own = (f'"{HEADER_SUM}":"{value}"'.encode() for value in (NO_SUM, f"{zlib.crc32(head):08x}"))
    head = head.replace(blank, own)
    try:
        with atomic_file(path) as file:
            _write_all(file, head, [packed[name] for name in order])
    except OSError as error:
        needed = len(head) + sum(array.nbytes for array in packed.values())
        raise CheckpointError(**explain_failure(path, error, needed)) from error


def _write_all(file: Sink, head: bytes, arrays: list[Array]) -> None:
    file.write(head)
    for array in arrays:
        file.write(_bytes(array))


def _bytes(array: Array) -> memoryview:
    """The memory of a gapless array, not copied."""
    return array.reshape(-1).view(np.uint8).data


def _crc(array: Array) -> str:
    """CRC-32 of the array's bytes in the file, as 8 hexadecimal digits."""
    return f"{zlib.crc32(_bytes(array)):08x}"


def _checked_name(path: AnyPath, name: object) -> str:
    if not isinstance(name, str) or name == header.METADATA:
        wanted = f"a string other than {header.METADATA!r}"
        raise CheckpointError(f"cannot write {path}: {name!r} is no name for a tensor", wanted=wanted, code="E33")
    return name


def _packed(path: AnyPath, name: str, array: object) -> Array:
    """The array as the file holds it: little-endian, rows first, without gaps; a copy only where needed."""
    if not isinstance(array, (np.ndarray, np.generic)) or isinstance(array, np.ma.MaskedArray):
        raise CheckpointError(
            f"cannot write {path}: {name!r} is a {type(array).__name__}",
            wanted="a tensor or a NumPy array",
            why="safetensors files hold tensors side by side: no nested dicts, no Python objects",
            fix="one file for each state dict, of the model and of the optimiser; strings and numbers as metadata={'epoch': '3'}",
            code="E33",
        )
    dtype = array.dtype.newbyteorder("<")
    if dtype not in header.NAMES:
        wanted = ", ".join(known.newbyteorder("=").name for known in header.NAMES)
        raise CheckpointError(f"cannot write {path}: the format has no dtype for {name!r}", got=str(array.dtype), wanted=wanted, code="E33")
    return np.array(array, dtype=dtype, order="C", copy=None, subok=False)


def _checked_metadata(path: AnyPath, metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str) or key in (HEADER_SUM, TENSOR_SUMS):
            raise CheckpointError(
                f"cannot write {path}: metadata entry {key!r}",
                got=f"{type(key).__name__} -> {type(value).__name__}",
                wanted=f"string -> string, and no key {HEADER_SUM!r} or {TENSOR_SUMS!r}",
                fix=f"metadata={{{key!r}: json.dumps(value)}}",
                code="E33",
            )
    return dict(metadata)


def read_safetensors(path: AnyPath, *, verify: bool = True) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a safetensors file; bfloat16 is widened to float32, exactly.

    Args:
        path: the file.
        verify: compare the checksums, where the file has them. False for a file that another program has changed and
            whose metadata it has kept.

    Returns:
        name -> writable array of native byte order, in the order in which Gradus was given them (in files of others, and
        unverified: in the order of the file); and the metadata without Gradus' checksums.

    Raises:
        CheckpointError: the file is missing, is of another kind, is cut short, damaged, or breaks a rule of the format; says
            which file, which tensor, and why.
    """
    try:
        kind = os.stat(path).st_mode  # before it is opened: opening a pipe waits for someone to write
        if not stat.S_ISREG(kind):
            raise CheckpointError(f"{path} is a {'folder' if stat.S_ISDIR(kind) else 'device or pipe'}, not a file", code="E32")
        with open(path, "rb", buffering=0) as file:
            return _read(path, file, os.fstat(file.fileno()).st_size, verify)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}", code="E33") from error
    except Malformed as error:
        raise _broken(path, error) from error


def _broken(path: AnyPath, error: Malformed) -> CheckpointError:
    tensor = f" in tensor {header.short(error.tensor)}" if error.tensor else ""
    return CheckpointError(f"{path} is damaged or no safetensors file{tensor}: {error.reason}", code="E33")


def _read(path: AnyPath, file: BinaryIO, size: int, verify: bool) -> tuple[dict[str, Array], dict[str, str]]:
    text = _read_header(path, file, size)
    entries, metadata = header.parse(text, size - header.LENGTH_BYTES - len(text))
    own_sum, tensor_sums = metadata.pop(HEADER_SUM, None), metadata.pop(TENSOR_SUMS, None)
    sums: dict[str, str] = {}
    if verify and (own_sum is not None or tensor_sums is not None):
        sums = _checked_sums(text, own_sum, tensor_sums, set(entries))
    arrays = {name: _read_array(file, name, entry, sums.get(name)) for name, entry in entries.items()}
    return {name: arrays[name] for name in sums or arrays}, metadata


def _read_header(path: AnyPath, file: BinaryIO, size: int) -> bytes:
    """The header's text. Looks first whether this can be such a file at all: people hand over everything."""
    head = file.read(512) or b""
    length = int.from_bytes(head[: header.LENGTH_BYTES], "little")
    fits = size >= header.LENGTH_BYTES and length <= size - header.LENGTH_BYTES and length <= header.MAX_HEADER
    if not fits or not head[header.LENGTH_BYTES :].startswith(b"{"):
        known = foreign.recognise(head)
        if known:
            raise CheckpointError(f"{path} is not a safetensors file", got=known[0], fix=known[1], code="E32")
    if size < header.LENGTH_BYTES:
        raise Malformed(f"the file is cut short: {size} bytes, and the length of the header alone takes 8")
    if length > header.MAX_HEADER:
        raise Malformed(f"the header is said to have {length:,} bytes; the format allows {header.MAX_HEADER:,}")
    if not fits:
        raise Malformed(f"the file is cut short: the header is said to have {length:,} bytes, and {size - header.LENGTH_BYTES:,} are there")
    text = np.empty(length, np.uint8)
    file.seek(header.LENGTH_BYTES)
    _fill(file, text, "", summed=False)
    return text.tobytes()


def _fill(file: BinaryIO, target: Array, name: str, summed: bool) -> int:
    """Read into a flat array of bytes until it is full; returns the CRC-32 of what came, if wanted."""
    view, crc = target.data, 0
    position = 0
    while position < len(view):
        count = file.readinto(view[position : position + CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise Malformed("the file ended while it was read", name)
        if summed:
            crc = zlib.crc32(view[position : position + count], crc)
        position += count
    return crc


def _read_array(file: BinaryIO, name: str, entry: Entry, wanted: str | None) -> Array:
    """One tensor; the file stands at its first byte, for the tensors lie without gaps."""
    raw = np.empty(entry.end - entry.begin, np.uint8)
    crc = f"{_fill(file, raw, name, summed=wanted is not None):08x}"
    if wanted is not None and crc != wanted:
        raise Malformed(f"its bytes have the checksum {crc}, and {wanted} was written; {_CHANGED}", name)
    if entry.dtype == "BOOL" and raw.size and raw.max() > 1:
        raise Malformed(f"a bool with the value {raw.max()}", name)
    array = raw.view(header.DTYPES[entry.dtype])
    if entry.dtype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("="))
    return array.reshape(entry.shape)


_CHANGED = "a damaged file, or one changed by a program that kept Gradus' checksums (then: verify=False)"


def _checked_sums(text: bytes, own_sum: str | None, tensor_sums: str | None, names: set[str]) -> dict[str, str]:
    """The tensors' checksums, once the header's own shows that they, and all else in it, are as written."""
    if own_sum is None or tensor_sums is None:
        raise Malformed(f"of its two checksum entries one is missing; {_CHANGED}")
    blank, own = (f'"{HEADER_SUM}":"{value}"'.encode() for value in (NO_SUM, own_sum))
    length = len(text).to_bytes(header.LENGTH_BYTES, "little")
    crc = f"{zlib.crc32(length + text.replace(own, blank)):08x}"
    if crc != own_sum:
        raise Malformed(f"the header has the checksum {crc}, and {own_sum} was written; {_CHANGED}")
    sums = header.loads(tensor_sums)
    if set(sums) != names:
        raise Malformed(f"its checksums are for other tensors than it holds; {_CHANGED}")
    return sums

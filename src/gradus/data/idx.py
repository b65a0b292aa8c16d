"""The IDX format of the MNIST files: a magic number, the lengths of the axes, then the elements; as it is or compressed by gzip.

Magic number: two zero bytes, a byte for the type of the elements, a byte for the number of axes. Then one 4-byte length an axis,
then the elements, last axis fastest; everything big-endian.
"""

from __future__ import annotations

import itertools
import math
import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from gradus.errors import DataError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
MAX_EXPANSION = 1032  # deflate makes at most 1032 bytes out of one
CHUNK = 1 << 14  # bytes read at a time; what they expand to stays below 16 MB
MAX_HEADER = 4 + 4 * 64  # bytes; NumPy has at most 64 axes


class _Broken(ValueError):
    """What is wrong with the file."""


def read_idx(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """The array in an IDX file.

    The size that the header promises is compared with that of the file before memory is taken, so that no file makes it run out.

    Args:
        path: a file ``…-idx3-ubyte``, compressed by gzip or not.

    Returns:
        A writable array of native byte order: uint8, int8, int16, int32, float32 or float64.

    Raises:
        DataError: missing, no IDX file, cut short, too long, or damaged (gzip's own checksum); says which file and what is wrong.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            magic = file.read(2)
            file.seek(0)
            return _read_gzip(file, size) if magic == GZIP else _read_plain(file, size)
    except OSError as error:
        raise DataError(f"cannot read {os.fspath(path)}: {error.strerror or error}", code="E38") from error
    except _Broken as error:
        raise DataError(f"{os.fspath(path)} is damaged or no IDX file: {error}", code="E38") from error


def _parse_header(head: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """The elements' dtype, the shape, and the length of the header itself."""
    if len(head) < 4:
        raise _Broken(f"it ends within the magic number, after {len(head)} bytes")
    if head[:2] != b"\0\0" or head[2] not in TYPES or not 1 <= head[3] <= 64:
        raise _Broken(f"its magic number is 0x{head[:4].hex()}, and an IDX file has 0x0000, a type from 08 to 0e, and a count of axes")
    length = 4 + 4 * head[3]
    if len(head) < length:
        raise _Broken(f"it ends within the lengths of its {head[3]} axes")
    return np.dtype(TYPES[head[2]]), tuple(np.frombuffer(head, ">u4", head[3], 4).tolist()), length


def _promised(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """How many bytes of elements the header promises."""
    return math.prod(shape) * dtype.itemsize


def _native(raw: np.ndarray[Any, Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    try:
        return raw.view(dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)
    except ValueError as error:  # an axis of length 0 beside such as NumPy cannot count
        raise _Broken(f"no array has the shape {shape}") from error


def _read_plain(file: BinaryIO, size: int) -> np.ndarray[Any, Any]:
    dtype, shape, length = _parse_header(file.read(MAX_HEADER))
    promised = _promised(dtype, shape)
    if length + promised != size:
        raise _Broken(f"shape {shape} of {dtype} takes {length + promised:,} bytes, and the file has {size:,}")
    file.seek(length)
    return _native(np.fromfile(file, np.uint8, promised), dtype, shape)


def _read_gzip(file: BinaryIO, size: int) -> np.ndarray[Any, Any]:
    file.seek(max(size - 4, 0))
    unpacked = int.from_bytes(file.read(4), "little")  # gzip ends in the size of its content, modulo 2**32
    file.seek(0)
    pieces = _inflate(file)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= MAX_HEADER:
            break
    dtype, shape, length = _parse_header(head)
    total = length + _promised(dtype, shape)
    if total % 2**32 != unpacked or total > size * MAX_EXPANSION:
        raise _Broken(f"shape {shape} of {dtype} takes {total:,} bytes, and the file unpacks to {unpacked:,}")
    return _native(_gather(head, pieces, total)[length:], dtype, shape)


def _inflate(file: BinaryIO) -> Iterator[bytes]:
    """The content of a gzip file piece by piece; gzip's checksum and size are compared at its end."""
    stream = zlib.decompressobj(wbits=31)
    while not stream.eof:
        packed = file.read(CHUNK)
        if not packed:
            raise _Broken("its compressed data is cut short")
        try:
            yield stream.decompress(packed)
        except zlib.error as error:
            raise _Broken(f"its compressed data is damaged ({error})") from error
    if stream.unused_data or file.read(1):
        raise _Broken("something follows its compressed data")


def _gather(head: bytes, pieces: Iterator[bytes], total: int) -> np.ndarray[Any, Any]:
    """All pieces in one array of ``total`` bytes."""
    content = np.empty(total, np.uint8)
    position = 0
    for piece in itertools.chain([head], pieces):
        if len(piece) > total - position:
            raise _Broken(f"it unpacks to more than the {total:,} bytes that its header promises")
        content[position : position + len(piece)] = np.frombuffer(piece, np.uint8)
        position += len(piece)
    if position < total:
        raise _Broken(f"it unpacks to {position:,} bytes, and its header promises {total:,}")
    return content

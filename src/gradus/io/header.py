"""The header of a safetensors file: names, dtypes, shapes and places of the tensors, as JSON, and every rule that it must keep.

Layout of a file: 8 bytes, the length n of the header (unsigned, little-endian); n bytes, the header; then the tensors, one
behind the other. The header is ``{"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [BEGIN, END]}, …}``, the offsets
counted from the end of the header, with one free entry ``"__metadata__": {string: string, …}``, padded with blanks.

Format: https://github.com/huggingface/safetensors. The rules checked here are those of its text, all of them: no gaps, no
overlaps, no name twice, sizes that agree with shapes, nothing behind the last tensor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

LENGTH_BYTES = 8
MAX_HEADER = 100_000_000  # bytes, the limit of the reference implementation
MAX_AXES = 64  # NumPy's limit
ALIGNMENT = 8  # the tensors begin at a multiple of this, so that a reader may map the file
METADATA = "__metadata__"

# In the order of the reference implementation, which writes the widest first: so every tensor lies at a multiple of its item size.
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("bool"), "U8": np.dtype("uint8"), "I8": np.dtype("int8"),
    "I16": np.dtype("<i2"), "U16": np.dtype("<u2"), "F16": np.dtype("<f2"),
    # The upper half of a float32, which NumPy does not know: read as integers, then widened, exactly.
    "BF16": np.dtype("<u2"),
    "I32": np.dtype("<i4"), "U32": np.dtype("<u4"), "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"), "I64": np.dtype("<i8"), "U64": np.dtype("<u8"),
}  # fmt: skip
NAMES: dict[np.dtype[Any], str] = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}


class Malformed(ValueError):
    """A broken rule: which, and in which tensor (``""``: in none)."""

    def __init__(self, reason: str, tensor: str = "") -> None:
        super().__init__(reason)
        self.reason, self.tensor = reason, tensor


class Entry(NamedTuple):
    """One tensor: the name of its dtype, its shape, and its bytes' place behind the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def build(arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """The header with its length before it, and the order in which the tensors follow: widest dtype first, then by name.

    >>> header, order = build({"b": np.zeros(2, "<f4"), "w": np.zeros(1, "<f8")}, {})
    >>> order, len(header) % 8
    (['w', 'b'], 0)
    """
    rank = {dtype: place for place, dtype in enumerate(NAMES)}
    order = sorted(arrays, key=lambda name: (-rank[arrays[name].dtype], name))
    entries: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        array, begin = arrays[name], end
        end = begin + array.nbytes
        entries[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text, order


def parse(text: bytes, data_bytes: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """The tensors and the metadata of a header, in the order of the file.

    Args:
        text: the header, without its length.
        data_bytes: how many bytes follow it in the file.

    Raises:
        Malformed: any rule is broken.

    >>> parse(b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8)
    ({'w': Entry(dtype='F32', shape=(2,), begin=0, end=8)}, {})
    """
    if not text.startswith(b"{"):
        raise Malformed("the header does not begin with '{'")
    try:
        content = loads(text.decode())
    except UnicodeDecodeError as error:
        raise Malformed("the header is not UTF-8 text") from error
    metadata = content.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Malformed(f"{METADATA} is not a table of strings")
    entries = {name: _entry(name, fields) for name, fields in content.items()}
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    _check_places(ordered, data_bytes)
    return ordered, metadata


def loads(text: str) -> dict[str, Any]:
    """A JSON object, strictly: no name twice, no NaN, and every way in which it can be broken is one error."""
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the header is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise Malformed("the header is not a JSON object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; a name given twice would hide one of the two."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise Malformed("the name stands twice in the header", name)
        content[name] = value
    return content


def _no_constant(text: str) -> None:
    raise Malformed(f"the header holds {text}, which is not JSON")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63  # a bool is an int to isinstance


def short(value: object) -> str:
    """A value of the header for a message, which a hostile file would make as long as itself."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _entry(name: str, fields: Any) -> Entry:
    """One tensor's fields, each of the right kind, and its size as its shape says."""
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise Malformed("its entry does not consist of dtype, shape and data_offsets", name)
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise Malformed(f"its dtype {short(dtype)} is none that Gradus reads ({', '.join(DTYPES)})", name)
    if not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise Malformed(f"its shape {short(shape)} is not a list of counts", name)
    if len(shape) > MAX_AXES:
        raise Malformed(f"it has {len(shape)} axes, and {MAX_AXES} are the limit", name)
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise Malformed(f"its data_offsets {short(offsets)} are not two counts", name)
    begin, end = offsets
    size = math.prod(shape) * DTYPES[dtype].itemsize
    if end - begin != size:
        raise Malformed(f"its data_offsets [{begin}, {end}] span {end - begin} bytes, but {dtype} of shape {shape} takes {size}", name)
    if math.prod(filter(None, shape)) >= 2**60:  # an axis of length 0 does not spare NumPy the product of the others
        raise Malformed(f"its shape {short(shape)} is too large for an array", name)
    return Entry(dtype, tuple(shape), begin, end)


def _check_places(entries: Mapping[str, Entry], data_bytes: int) -> None:
    """The tensors, in the order of their places, must cover the data exactly."""
    position = 0
    for name, entry in entries.items():
        if entry.begin < position:
            raise Malformed(f"its bytes [{entry.begin}, {entry.end}] overlap those of another tensor, which end at {position}", name)
        if entry.begin > position:
            raise Malformed(f"a gap of {entry.begin - position} bytes lies before it, at {position}", name)
        position = entry.end
    if position > data_bytes:
        last = next(name for name, entry in entries.items() if entry.end > data_bytes)
        raise Malformed(f"the file is cut short: the tensors take {position:,} bytes, and {data_bytes:,} are there", last)
    if position < data_bytes:
        raise Malformed(f"{data_bytes - position:,} bytes follow the last tensor")

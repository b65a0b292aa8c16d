"""Recognises, by their first bytes, files that people take for safetensors files and that are something else."""

from __future__ import annotations

import re

# A zip archive begins with its first member's local header: 30 bytes, then the name.
_ZIP = rb"PK\x03\x04.{26}[^\0]{0,120}?"
_PICKLE = "which runs code when it is loaded"
_CONVERT = "where torch is installed: safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')"

# The first bytes as a pattern, what such a file is, what to do with it.
_KINDS: list[tuple[bytes, str, str]] = [
    (_ZIP + rb"(data\.pkl|\.data/|version|byteorder)", f"a PyTorch file, a zip archive around a pickle, {_PICKLE}", _CONVERT),
    (rb"\x80[\x02-\x05]", f"a pickle, as old versions of PyTorch wrote, {_PICKLE}", _CONVERT),
    (_ZIP + rb"\.npy", "a NumPy .npz archive", "gradus.save(dict(numpy.load(path)), 'model.safetensors')"),
    (rb"\x93NUMPY", "a NumPy .npy file", "gradus.from_numpy(numpy.load(path))"),
    (_ZIP + rb"(config|metadata)\.json", "a Keras archive", "export the weights from Keras"),
    (rb"\x89HDF\r\n", "an HDF5 file, as Keras writes", "export the weights from Keras"),
    (rb"PK\x03\x04", "a zip archive", "unpack it first"),
    (rb"\x1f\x8b", "a gzip file", "unpack it first: gunzip"),
    (rb"GGUF", "a GGUF file of llama.cpp", ""),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself", "git lfs pull"),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head)", "a web page, such as an error page saved in the file's place", "download it again"),
    (rb"\s*\{", "a JSON text", ""),
]


def recognise(head: bytes) -> tuple[str, str] | None:
    """What a file with these first bytes is, and what to do about it; None when it is nothing known.

    >>> recognise(b"GGUF and more")
    ('a GGUF file of llama.cpp', '')
    """
    for pattern, kind, fix in _KINDS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            return kind, fix
    return None

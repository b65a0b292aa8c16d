"""Files: all-or-nothing writes, and weights in the safetensors format, read strictly and without pickle."""

from __future__ import annotations

from gradus.io.atomic import atomic_file, atomic_write
from gradus.io.checkpoint import load, save
from gradus.io.safetensors import read_safetensors, write_safetensors

__all__ = ["atomic_file", "atomic_write", "load", "read_safetensors", "save", "write_safetensors"]

"""Kernels as machine code: compiled by Numba once, kept on disk as plain object code, loaded by LLVM in every later program.

A kernel is a text. Its name is the hash of that text, of the functions it may call, and of compiler and processor; an entry on disk that is
missing, cut short or damaged is compiled again, and is replaced in one step, so that two processes can share the folder. A warm start
needs no compiler: only LLVM is imported, and nothing is unpickled or executed but checked object code.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import importlib.metadata
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradus import blas
from gradus.compiler.source_code import define
from gradus.compiler.texts import HANDMADE
from gradus.compiler.trust import may_be_trusted
from gradus.compiler.waiting import Waiting
from gradus.folders import cache_folder

MAGIC = b"gradus kernel 1\n"
#: Where generated texts find their functions: module of :mod:`gradus.kernels` to names.
RUNTIME = {
    "table": ("array", "call"),
    "products": ("sgemm", "dgemm"),
    "instructions": ("choose",),
    "choices": ("maximum", "minimum", "sign", "sum_with", "gather", "settle", "larger", "smaller"),
    "scalar": ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf"),
}


class Statistics:
    """What was compiled and what was found: for reports and tests."""

    compiled = 0
    from_disk = 0
    seconds = 0.0


STATISTICS = Statistics()


def kernel_folder() -> Path:
    """Where kernels are kept: ``kernels`` in the folder for caches."""
    return Path(cache_folder()) / "kernels"


class Library:
    """The loaded kernels of this process, by their names."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.engines: list[Any] = []
        self._environment = b""
        self._machine: Any = None

    def load(self, sources: Sequence[str]) -> list[int]:
        """The address of each kernel; what is in no memory and on no disk is compiled."""
        names = [self.name_of(source) for source in sources]
        missing = {name: source for name, source in zip(names, sources, strict=True) if name not in self.addresses}
        if missing:
            start = time.perf_counter()
            blas.bind()
            with Waiting(len(missing)) as waiting:
                self._link({name: self._made(name, source, waiting) for name, source in missing.items()})
            STATISTICS.seconds += time.perf_counter() - start
        return [self.addresses[name] for name in names]

    def name_of(self, source: str) -> str:
        """A name that is the same wherever text, compiler and processor are the same."""
        if not self._environment:
            self._environment = _environment()
        return "kernel_" + hashlib.sha256(self._environment + source.encode()).hexdigest()[:32]

    def _made(self, name: str, source: str, waiting: Waiting) -> tuple[str, bytes]:
        """Symbol and object code of a text: those on disk, or new ones."""
        waiting.next()
        return _read(name) or self._compile(name, source)

    def _link(self, entries: dict[str, tuple[str, bytes]]) -> None:
        """Give object code an address each."""
        import llvmlite.binding as llvm

        for name, (symbol, code) in entries.items():
            # An engine each: in one engine, the constants of several objects get mixed up.
            engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self._target())
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            engine.finalize_object()
            self.engines.append(engine)  # it owns the memory
            self.addresses[name] = engine.get_function_address(symbol)

    def _target(self) -> Any:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        return target.create_target_machine(cpu=cpu, features=features, opt=3, reloc="pic", codemodel="jitdefault", jit=True)

    def _compile(self, name: str, source: str) -> tuple[str, bytes]:
        """Symbol and object code of a text, by way of Numba."""
        if self._machine is None:
            self._machine = self._target()
        compilation = importlib.import_module("gradus.kernels.compilation")
        scope = define(source.replace("NAME", name), name, _scope(importlib.import_module("numba"), source))
        symbol, module = compilation.module_of(scope[name])
        code = self._machine.emit_object(module)
        STATISTICS.compiled += 1
        _write(name, symbol, code)
        return symbol, code


def _scope(numba: Any, source: str) -> dict[str, Any]:
    """The names that a kernel's text may use; ``# from gradus.kernels.x`` at its head adds those of a module."""
    scope: dict[str, Any] = {"inf": math.inf, "nan": math.nan, "sqrt": math.sqrt}
    scope |= {name: getattr(numba, name) for name in ("float32", "float64", "int64", "int32", "uint8")}
    scope |= {name: getattr(np, name) for name in ("floor", "ceil", "trunc", "rint")}
    for module, names in RUNTIME.items():
        runtime = importlib.import_module(f"gradus.kernels.{module}")
        scope |= {name: getattr(runtime, name) for name in names}
    for line in source.splitlines():
        if line.startswith("# from "):
            scope |= vars(importlib.import_module(line.removeprefix("# from ")))
    return scope


def _environment() -> bytes:
    """All that machine code depends on beside the kernel's text."""
    import llvmlite.binding as llvm

    parts = [sys.version, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_process_triple()]
    parts += [importlib.metadata.version(package) for package in ("numba", "llvmlite")]
    folder = Path(__file__).parents[1] / "kernels"
    return "\n".join(parts).encode() + b"".join(file.read_bytes() for file in sorted(folder.glob("*.py"))) + Path(__file__).read_bytes()


def _checksum(name: str, body: bytes) -> bytes:
    """Of an entry and its name: the code of another kernel under this name is damage too."""
    return hashlib.sha256(name.encode() + body).digest()


def _read(name: str) -> tuple[str, bytes] | None:
    """An entry of the disk, or None if it is not there, not whole, not this kernel's, or in a folder that others may write to."""
    folder = kernel_folder()
    try:
        data = (folder / name).read_bytes() if may_be_trusted(str(folder)) else b""
    except OSError:
        return None
    checksum, body = data[len(MAGIC) : len(MAGIC) + 32], data[len(MAGIC) + 32 :]
    if not data.startswith(MAGIC) or _checksum(name, body) != checksum:
        return None
    symbol, _, code = body.partition(b"\n")
    STATISTICS.from_disk += 1
    return symbol.decode(), code


def _write(name: str, symbol: str, code: bytes) -> None:
    """Keep an entry; a folder that cannot be written to only costs the next program its warm start."""
    body = symbol.encode() + b"\n" + code
    path = ""
    try:
        folder = kernel_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not may_be_trusted(str(folder)):
            return
        handle, path = tempfile.mkstemp(dir=folder, prefix="new_")
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + _checksum(name, body) + body)
        os.replace(path, folder / name)
    except OSError:
        if path:  # a full disk is not to be filled further
            with contextlib.suppress(OSError):
                os.unlink(path)


LIBRARY = Library()


def data_field() -> int:
    """Where a NumPy array object keeps its data pointer, in bytes from its address; checked on an array."""
    probe = np.zeros(1)
    offset = object.__basicsize__
    found = ctypes.c_int64.from_address(id(probe) + offset).value
    assert found == probe.__array_interface__["data"][0], "this NumPy keeps its data pointer elsewhere"
    return offset


def caller(address: int) -> Any:
    """A Python function that calls a kernel on the address of its table."""
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    return prototype(address)


def function_of(name: str, integers: Sequence[int]) -> Callable[[], int]:
    """A call of "module.function" of :mod:`gradus.kernels` with addresses and other integers: for tests and measurements.

    >>> x, y = np.ones((4, 4), np.float32), np.empty((2, 2), np.float32)
    >>> function_of("pool.sum_of_four_float32", (x.ctypes.data, y.ctypes.data, 1, 4, 4))()
    0
    >>> y.tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    module, _, function = name.rpartition(".")
    arguments = ", ".join([f"table[{k}]" for k in range(len(integers))])
    (address,) = LIBRARY.load([HANDMADE.format(module=module, name=function, arguments=arguments)])
    kernel, table, result = caller(address), np.array(integers, np.int64), np.zeros(2, np.int64)

    def call() -> int:
        kernel(result.ctypes.data, result.ctypes.data + 8, table.ctypes.data)
        return int(result[0])

    return call

"""How kernels are compiled: the functions that a kernel is made of are put together first, and then LLVM is asked once, for the whole.

Numba by itself optimises each function and makes machine code of it, then does so again with every function that calls it, and again with
the kernel. That takes three times as long, and loops that are unrolled at each level grow to several times the code, which is no faster.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding
from numba.core import codegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher, cpu_target

# Nothing but other compiled functions calls them, so they need no entrances for Python and for C.
PLAIN: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class _Function(CPUDispatcher):
    """A function of which there is no machine code but inside kernels."""

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self.__name__} is for compiled code; from Python, gradus.compiler.native.function_of calls it")


def _function(function: Callable[..., Any], **options: Any) -> _Function:
    return _Function(function, targetoptions={"nopython": True, "boundscheck": None, **PLAIN, **options})


def compiled(function: Callable[..., Any]) -> _Function:
    """A function for kernels."""
    return _function(function)


def inlined(function: Callable[..., Any]) -> _Function:
    """A function for kernels that becomes part of each of its callers."""
    return _function(function, forceinline=True)


class _Part(codegen.CPUCodeLibrary):
    """A function in LLVM's language as Numba writes it, and all that it calls: neither optimised nor made machine code of."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_specific(self) -> None:
        pass

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    def whole(self) -> Any:
        """The module of LLVM, optimised as Numba would do it: twice, since the second round makes short loops up to a fifth faster."""
        self._ensure_finalized()
        super()._optimize_final_module()
        super()._optimize_final_module()
        return self._final_module


class _Parts(codegen.JITCPUCodegen):
    """What makes parts of Numba's functions, for this processor."""

    _library_class = _Part

    def _add_module(self, module: Any) -> None:
        pass

    def set_env(self, env_name: str, env: Any) -> None:
        pass


@functools.cache
def _parts() -> _Parts:
    return _Parts("gradus")


#: Whether this Numba has the inner parts that are used here. Another one compiles as it does for everybody, in two to three times the time.
PARTS = ("_optimize_functions", "_optimize_final_module", "_finalize_specific", "_ensure_finalized")
JOINS = hasattr(cpu_target.target_context, "_internal_codegen") and all(hasattr(codegen.JITCodeLibrary, name) for name in PARTS)


def module_of(function: Callable[[int], int]) -> tuple[str, Any]:
    """Name and optimised LLVM module of a Python function of one address."""
    with global_compiler_lock:  # Numba compiles nothing else meanwhile
        collecting = gc.isenabled()
        gc.disable()  # a fifth of the time would be spent on looking for garbage among what Numba makes
        try:
            name, library = _joined(function) if JOINS else _compiled(function)
            return name, library.whole() if JOINS else binding.parse_assembly(library.get_llvm_str())
        finally:
            if collecting:
                gc.enable()


def _compiled(function: Callable[[int], int]) -> tuple[str, Any]:
    """Name and library of a function."""
    dispatcher = compiled(function)
    dispatcher.compile((numba.int64,))
    (result,) = dispatcher.overloads.values()
    return result.fndesc.llvm_func_name, result.library


def _joined(function: Callable[[int], int]) -> tuple[str, Any]:
    """The same, with all that it calls still in LLVM's language."""
    context = cpu_target.target_context
    context.refresh()  # what is loaded at the first use is for Numba's own way
    numbas, context._internal_codegen = context._internal_codegen, _parts()
    try:
        return _compiled(function)
    finally:
        context._internal_codegen = numbas

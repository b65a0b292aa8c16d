"""What threads need to work together: words of memory that all of them see change in one order, and ways to wait and to be woken."""

from __future__ import annotations

import os
import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

ORDER = "seq_cst"
PAUSES = platform.machine().lower() in ("x86_64", "amd64")
WORD = ir.IntType(64)


def _place(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, WORD.as_pointer())


@intrinsic
def read(typing_context, address):
    """The word at an address."""
    return types.int64(types.int64), lambda context, builder, signature, values: builder.load_atomic(_place(builder, values[0]), ORDER, 8)


@intrinsic
def write(typing_context, address, value):
    """Put a value there."""

    def emit(context, builder, signature, values):
        builder.store_atomic(values[1], _place(builder, values[0]), ORDER, 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def take_next(typing_context, address):
    """The word, which is one more afterwards: every thread gets another number."""

    def emit(context, builder, signature, values):
        return builder.atomic_rmw("add", _place(builder, values[0]), ir.Constant(WORD, 1), ORDER)

    return types.int64(types.int64), emit


@intrinsic
def exchange(typing_context, address, old, new):
    """Whether the word was ``old``; it is ``new`` then."""

    def emit(context, builder, signature, values):
        pair = builder.cmpxchg(_place(builder, values[0]), values[1], values[2], ORDER, ORDER)
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), emit


@intrinsic
def pause(typing_context):
    """Some tens of cycles in which the other thread of this core has the core."""

    def emit(context, builder, signature, values):
        if PAUSES:
            function = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, function, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def give_way(typing_context):
    """Let another thread have this core, if one wants it."""
    return types.void(), lambda context, builder, signature, values: _system_call(context, builder, "sched_yield")


@intrinsic
def ring(typing_context, file, place):
    """Write a byte into a pipe: who waits at its other end goes on."""
    emit = lambda context, builder, signature, values: _system_call(context, builder, "write", *values, ir.Constant(WORD, 1))
    return types.void(types.int64, types.int64), emit


@intrinsic
def await_ring(typing_context, file, place):
    """Wait for a byte out of a pipe."""
    emit = lambda context, builder, signature, values: _system_call(context, builder, "read", *values, ir.Constant(WORD, 1))
    return types.void(types.int64, types.int64), emit


def _system_call(context: Any, builder: Any, name: str, *values: Any) -> Any:
    """A function of POSIX by its name; nothing elsewhere. Integers and addresses travel in 64 bits, of which it reads what it needs."""
    if os.name == "posix":
        function = ir.FunctionType(WORD, [value.type for value in values])
        builder.call(cgutils.get_or_insert_function(builder.module, function, name), values)
    return context.get_dummy_value()

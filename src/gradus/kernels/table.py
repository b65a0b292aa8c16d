"""How compiled kernels are called: each is a function of one address, a table of 64-bit slots that holds all it needs.

A program is a list of (kernel, table) pairs that one more kernel walks (:data:`gradus.compiler.texts.RUN`); so a new program, or one for
another batch size, compiles nothing that was compiled before.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def array(typing_context, address, dtype):
    """The memory at an address as elements of a type: ``array(table[0], float32)[3]``. Nobody checks that it is there."""
    kind = types.CPointer(dtype.dtype)

    def emit(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(kind))

    return kind(types.int64, dtype), emit


@intrinsic
def call(typing_context, function, table):
    """Call a kernel by its address, in Numba's own convention: (place of the result, place of an exception, arguments…) to a status."""

    def emit(context, builder, signature, values):
        whole, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
        result = builder.alloca(whole)
        exception = builder.alloca(pointer)
        kind = ir.FunctionType(ir.IntType(32), [whole.as_pointer(), pointer.as_pointer(), whole])
        kernel = builder.inttoptr(values[0], kind.as_pointer())
        builder.call(kernel, [result, exception, values[1]])
        return builder.load(result)

    return types.int64(types.int64, types.int64), emit

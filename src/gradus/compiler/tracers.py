"""What stands for arrays and Python numbers during a trace.

A :class:`Tracer` is a *cell*: it stands for memory, and its ``node`` is the value that lies there now. Tensors of the same memory share a
cell (``p`` and ``p.data``), a view knows the cell that it looks into and is read again after a write, and saved values of the tape are
found to be overwritten as in eager mode. The graph itself knows values only, each computed once.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from gradus import ops
from gradus.compiler.graph import OPERATORS, RESULT, Call, Number, Value
from gradus.compiler.layout import Layout, contiguous_strides, is_view, own_layout, view_layout
from gradus.errors import AliasError, TraceError
from gradus.ops.operators import Operators
from gradus.primitive import REGISTRY, Primitive


class Tracer(Operators):
    """Stands for memory during a trace: it has a shape and a dtype, but no numbers yet.

    Attributes:
        trace: the world it belongs to.
        node: the value of the graph that lies there.
        base: the cell of which it is a view, None for memory of its own.
        view: the call that made it a view.
        first: the value that lay there at the start.
        source: the value of ``base`` that ``node`` was read from.
        latest: (moment, line) of the latest write to memory of its own; None if there was none.
    """

    __slots__ = ("trace", "node", "base", "view", "first", "source", "latest")

    def __init__(self, trace: Any, node: Value, base: Tracer | None = None) -> None:
        self.trace, self.node, self.base, self.view = trace, node, base, node.call
        self.first = node
        self.source = None if base is None else base.node
        self.latest: tuple[int, str] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.node.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.node.size

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.node.dtype.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next along each axis."""
        array = self.node.array
        if array is not None:
            return array.strides
        call = self.view
        found = None if self.base is None or call is None or not call.inputs else view_layout(call, own_layout(call.inputs[0]))
        return tuple([s * self.itemsize for s in (contiguous_strides(self.shape) if found is None else found.strides)])

    @property
    def flags(self) -> Any:
        """Whether it lies in C order."""
        plain = tuple([s * self.itemsize for s in contiguous_strides(self.shape)])
        return SimpleNamespace(c_contiguous=self.strides == plain, writeable=True)

    @property
    def written(self) -> tuple[int, str] | None:
        """Moment and line of the latest write to the memory that it is or looks into."""
        return self.latest if self.base is None else self.base.written

    def __repr__(self) -> str:
        return f"<traced {self.node.typed()}>"

    def __len__(self) -> int:
        return self.node.shape[0]

    def __concrete__(self, asked: str) -> Any:
        raise _no_value(asked, self)

    def __bool__(self) -> bool:
        raise _no_value("bool()", self)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise _no_value("a NumPy function", self)

    @staticmethod
    def __bind__(record: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        trace = next(arg.trace for arg in args if isinstance(arg, (Tracer, TracedNumber)))
        return trace.note(record, args, params)

    def strayed(self) -> TraceError:
        """The error for a tracer met where no trace is, or in a thread that does not trace."""
        return elsewhere() if self.trace.in_another_thread else strayed()

    # Memory.

    def current(self) -> Value:
        """The value that lies here now; a view is read again if its memory was written."""
        if self.base is None:
            return self.node
        source = self.base.current()
        if source is not self.source:
            self._check_certain("a view is read after its memory was written to")
            call = self.view
            assert call is not None
            self.node = self.trace.note(call.record, (Tracer(self.trace, source), *call.args[1:]), call.params).node
            self.source = source
        return self.node

    def become(self, value: Value, moment: tuple[int, str]) -> None:
        """Let the memory hold another value; what a view writes, its base sees."""
        if self.base is None:
            self.latest = moment
        else:
            self._check_certain("a view is written to")
            self.base.become(self._put_back(value), moment)
            self.source = self.base.node
        self.node = value

    def _put_back(self, value: Value) -> Value:
        """The base's value with a new value of this view in its place."""
        call, base = self.view, Tracer(self.trace, self.base.current())  # type: ignore[union-attr]
        assert call is not None
        name, new = call.record.name, Tracer(self.trace, value)
        if name == "getitem":
            return ops.index_update(base, new, key=call.params["key"]).node
        if name == "reshape":
            return ops.reshape(new, base.shape).node
        if name == "permute_dims":
            return ops.permute_dims(new, tuple(int(k) for k in np.argsort(call.params["axes"]))).node
        if name == "flip":
            return self.trace.note(REGISTRY["flip"], (new,), call.params).node
        if name in ("astype", "stop_gradient"):
            return value
        raise AliasError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location",
            got=f"a write to the result of {name}",
            wanted="a tensor with memory for each element",
            why="expand repeats elements without copying them",
            fix="x = x.clone(); then write to it",
            code="E18",
        )

    def _check_certain(self, what: str) -> None:
        """Raise where NumPy might have copied: whether reshape does depends on strides, which a trace knows of memory from outside."""
        base, call = self.base, self.view
        assert base is not None and call is not None
        if call.record.name == "reshape" and (base.base is not None or base.node.kind == RESULT):
            raise AliasError(
                f"{what}, and a trace cannot tell whether reshape made a view or a copy",
                got=f"{self.node.typed()}, a reshaped {base.node.typed()}",
                wanted="views whose memory is not written to",
                fix="y = y + 1 instead of y += 1, or x = x.reshape(shape).clone()",
                code="E18",
            )


def is_window(record: Primitive, args: tuple[Any, ...], call: Call) -> bool:
    """Whether an op's result lies in the memory of its first argument. NumPy is asked, as if the argument lay in C order."""
    if not args or not isinstance(args[0], Tracer):
        return False
    if record.name in ("astype", "stop_gradient"):
        return args[0].dtype == call.output.dtype
    source = call.inputs[0]
    return is_view(call) and view_layout(call, Layout(source, 0, contiguous_strides(source.shape))) is not None


def strayed(how: str = "used after the call had ended", where: str | None = None) -> TraceError:
    """The error for a tracer met where no trace is."""
    return TraceError(
        f"a tensor from inside a compiled function was {how}",
        got="a tensor that is neither returned nor a parameter, buffer or .grad",
        wanted="tensors that are returned",
        why="while a function is traced its tensors hold no numbers; this one was stored in an attribute, list or global",
        fix="return it from the compiled function, and store it outside",
        where=where,
        code="E42",
    )


def elsewhere() -> TraceError:
    """The error for another thread that needs what a trace has in hand."""
    return TraceError(
        "a tensor is used in another thread than the one in which a compiled function that uses it is being traced",
        got=f"an op in the thread {threading.current_thread().name!r}",
        wanted="a trace that ends while other threads wait for its tensors",
        why="the compiled function waits for this thread: what is computed here would not be part of the program",
        fix="compute it in the compiled function itself, or before it is called",
        code="E42",
    )


def _no_value(asked: str, tracer: Tracer) -> TraceError:
    if tracer.trace.in_another_thread:
        return elsewhere()
    branch = asked == "bool()"
    if branch:
        what = "a compiled function cannot branch on the values of a tensor"
        why = "the function is traced once and replayed with other numbers: a branch taken now would be taken for ever"
        fix = "gradus.where(condition, a, b), or keep this line outside the compiled function"
    else:
        what = f"{asked} needs numbers, and a compiled function has none yet"
        why = "the function is traced once, on arrays that have a shape and no numbers, and replayed with any"
        fix = "compute with the tensor itself; or return it, and take its numbers outside the compiled function"
    return TraceError(
        what,
        got=f"{asked} of a {tracer.node.typed()} inside gradus.compile",
        wanted="ops on tensors, whose result does not decide what Python does next",
        why=why,
        fix=fix,
        code="E42",
    )


class TracedNumber:
    """Stands for a Python number that changes between calls: arithmetic is kept as an expression, comparing makes a guard."""

    __slots__ = ("trace", "node")
    __array_ufunc__ = None

    def __init__(self, trace: Any, node: Number) -> None:
        self.trace, self.node = trace, node

    @staticmethod
    def __bind__(record: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        """The other operand's way: a Tensor beside a number keeps its history."""
        for arg in args:
            handler = None if type(arg) is TracedNumber else getattr(type(arg), "__bind__", None)
            if handler is not None:
                return handler(record, args, params)
        return Tracer.__bind__(record, args, params)

    def __repr__(self) -> str:
        return repr(self.node.example)

    def _compare(self, operation: str, other: Any) -> bool:
        other = other.node if isinstance(other, TracedNumber) else other
        example = OPERATORS[operation](self.node.example, other.example if isinstance(other, Number) else other)
        self.trace.number_guards.append((Number(example, operation, (self.node, other)), example))
        return example

    def _settled(self) -> Any:
        """The example itself, which from now on must not change."""
        self.trace.number_guards.append((self.node, self.node.example))
        return self.node.example

    def __float__(self) -> float:
        return float(self._settled())

    def __int__(self) -> int:
        return int(self._settled())

    def __index__(self) -> int:
        return operator.index(self._settled())

    def __bool__(self) -> bool:
        return bool(self._settled())

    def __hash__(self) -> int:
        return hash(self._settled())

    def __format__(self, spec: str) -> str:
        return format(self.node.example, spec)

    def __neg__(self) -> Any:
        return _combined("*", self, -1)


def _combined(operation: str, a: Any, b: Any) -> Any:
    trace = a.trace if isinstance(a, TracedNumber) else b.trace
    a, b = (x.node if isinstance(x, TracedNumber) else x for x in (a, b))
    example = OPERATORS[operation](*[x.example if isinstance(x, Number) else x for x in (a, b)])
    return TracedNumber(trace, Number(example, operation, (a, b)))


def _install_arithmetic() -> None:
    """``+ - * / // % **`` from both sides, and the comparisons."""

    def arithmetic(operation: str, swapped: bool) -> Callable[..., Any]:
        def method(self: TracedNumber, other: Any) -> Any:
            if type(other) is not TracedNumber and not isinstance(other, (int, float)):
                return NotImplemented  # an array or a Tensor: an op then
            return _combined(operation, other, self) if swapped else _combined(operation, self, other)

        return method

    def comparison(operation: str) -> Callable[..., Any]:
        def method(self: TracedNumber, other: Any) -> Any:
            if type(other) is not TracedNumber and not isinstance(other, (int, float)):
                return NotImplemented
            return self._compare(operation, other)

        return method

    for name, operation in {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**"}.items():
        setattr(TracedNumber, f"__{name}__", arithmetic(operation, swapped=False))
        setattr(TracedNumber, f"__r{name}__", arithmetic(operation, swapped=True))
    for name, operation in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
        setattr(TracedNumber, f"__{name}__", comparison(operation))


_install_arithmetic()

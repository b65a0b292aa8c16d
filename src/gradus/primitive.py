"""The record of an op, the families that build records, the registry, and :func:`bind`, by which arrays of any kind reach a record.

A record states what only a person can state: the forward function (or its NumPy name), one derivative rule per input, and where its
samples lie. All else is derived by interpreters of the record: values on raw arrays, the tape, forward mode, tracing, methods, tests.

A rule is ``lambda xp, g, ...: gradient``: the namespace, the cotangent, then what it needs *by name*; nothing else is kept alive:

==================  =====================================================
an input's name     that input (``x``; ``a``, ``b``)
``y``               the output
a parameter's name  that keyword of the call (``axis``); ``params``: all of them
``<input>_shape``   the input's shape, without keeping the input alive
``xs_shapes``, i    in variadic ops: all shapes, and the input's position
==================  =====================================================
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradus import backend
from gradus.errors import IndexRangeError

EMPTY: types.MappingProxyType[str, Any] = types.MappingProxyType({})
REGISTRY: dict[str, Primitive] = {}


class Domain:
    """Where samples of an op's inputs are drawn: uniform in [low, high], at least ``gap`` away from each point of ``avoid``."""

    def __init__(self, low: float, high: float, avoid: Sequence[float] = (), gap: float = 0.05, dtype: str = "float64") -> None:
        self.low, self.high, self.avoid, self.gap, self.dtype = low, high, tuple(avoid), gap, dtype


class Handmade(NamedTuple):
    """A kernel made by hand that computes one call of a record: what :mod:`gradus.compiler` needs to call it.

    Attributes:
        function: "module.name" in :mod:`gradus.kernels`. It takes int64 addresses (the inputs, the output, the scratch arrays), then
            ``integers``, then the arguments of the call that are numbers, then ``literals``; it returns 0, or 1 to say that the op
            itself should raise the error.
        integers: what may differ between calls of one compiled kernel, such as the batch size.
        numbers: how many arguments of the call are numbers; one of dtype int64 arrives as int64, one of float64 as float64. A claim
            that names another count than the call has is no claim.
        by_table: whether the function takes the address of a table that holds all this but the literals, in 64-bit slots, in place of
            it: so one compiled function serves any count of inputs and integers.
        literals: what is compiled in: numbers, such as the size of a window, and names of types as the kernel takes them ("float32").
        scratch: (elements, dtype) of each array it needs while it runs.
        flops: multiplications and additions, for reports.
        strided: positions of inputs that may lie in memory in any way in which numbers along the last axis lie together; the steps of
            their other axes, counted in numbers, follow the integers. All other inputs come in C order.
    """

    function: str
    integers: tuple[int, ...] = ()
    literals: tuple[int | float | str, ...] = ()
    scratch: tuple[tuple[int, str], ...] = ()
    flops: int = 0
    numbers: int = 0
    by_table: bool = False
    strided: tuple[int, ...] = ()


class NumberArgument:
    """How a number looks to a kernel's claim: its dtype says whether it travels as int64 or as float64."""

    shape: tuple[int, ...] = ()
    ndim, size = 0, 1

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)


REAL = Domain(-3.0, 3.0)
NONZERO = Domain(-3.0, 3.0, avoid=(0.0,), gap=0.3)
POSITIVE = Domain(0.2, 3.0)
UNIT = Domain(-0.9, 0.9)
BOOL = Domain(0, 1, dtype="bool")
INTEGER = Domain(-5, 5, dtype="int64")


class Rule:
    """A derivative rule and the names of what it needs, in the order of its parameters after ``xp, g``."""

    __slots__ = ("function", "names")

    def __init__(self, function: Callable[..., Any], names: Sequence[str] | None = None) -> None:
        code = function.__code__
        self.function = function
        self.names = tuple(code.co_varnames[2 : code.co_argcount] if names is None else names)


class Primitive:
    """The record of one op.

    Args:
        name: Array API spelling; the key of the registry.
        forward: ``forward(xp, *inputs, **params)``, or the name of the namespace's function.
        rules: one derivative rule per input (None: no derivative), or a single rule for all inputs of a variadic op.
        family: "elementwise", "reduction", "movement", "indexing", "contraction", "random", "fused" or "check" (it gives back its
            first input, or raises; a compiler keeps it although nothing may use the result).
        inputs: names of the inputs; ``*xs`` for a variadic op.
        params: names of the keyword parameters.
        forward_mode: how forward mode is derived: "diagonal" (the rule itself, elementwise ops), "linear" (the op applied to the
            tangents), "multilinear" (the product rule) or "transpose" (the rule, transposed by reverse mode: always right).
        dtype_rule: "promote" (operands meet in their common dtype), "floating" (integers become floats first) or "free".
        meeting: positions of the inputs that meet in a common dtype (default: all).
        domains: one Domain per input.
        samples: ``samples(draw)`` gives the calls that tests make, as (args, params) pairs.
        view: whether the output may share the input's memory.
        raw: the forward on NumPy arrays, where a shorter way than ``forward(numpy, …)`` pays.
        kernel: ``kernel(inputs, output, params)`` gives the :class:`Handmade` that computes a compiled call on contiguous arrays, or None
            where there is none for these shapes and dtypes; ``inputs`` and ``output`` have ``shape`` and ``dtype``. In place of a number
            among the inputs stands a :class:`NumberArgument`.
    """

    def __init__(
        self,
        name: str,
        forward: str | Callable[..., Any],
        rules: Sequence[Callable[..., Any] | Rule | None] | Callable[..., Any] | Rule,
        *,
        family: str,
        inputs: Sequence[str],
        params: Sequence[str] = (),
        forward_mode: str = "transpose",
        dtype_rule: str = "free",
        meeting: Sequence[int] | None = None,
        domains: Sequence[Domain] = (REAL,),
        samples: Callable[..., Any] | None = None,
        view: bool = False,
        raw: Callable[..., Any] | None = None,
        kernel: Callable[..., Handmade | None] | None = None,
        doc: str = "",
    ) -> None:
        if name in REGISTRY:
            raise ValueError(f"an op named {name!r} exists already")
        self.name, self.family, self.inputs, self.params = name, family, tuple(inputs), tuple(params)
        self.forward_mode, self.dtype_rule, self.view, self.doc = forward_mode, dtype_rule, view, doc
        self.domains, self.samples, self.meeting, self.kernel = tuple(domains), samples, meeting, kernel
        self.variadic = self.inputs[-1].startswith("*")
        self.function: Callable[..., Any] | None = None
        # Whether ``forward`` may be a definition in other ops, rather than the name of an array function.
        self.composite = not isinstance(forward, str)
        if isinstance(forward, str):
            self.raw = getattr(backend.numpy, forward)
            self.forward: Callable[..., Any] = _named_forward(forward)
        else:
            self.forward = forward
            self.raw = raw or functools.partial(forward, backend.numpy)
        backend.numpy.define(name, self.raw)
        listed = [rules] * len(self.inputs) if callable(rules) or isinstance(rules, Rule) else list(rules)
        self.rules: tuple[Rule | None, ...] = tuple(rule if rule is None or isinstance(rule, Rule) else Rule(rule) for rule in listed)
        self.savers = tuple(None if rule is None else self._saver(rule.names, i) for i, rule in enumerate(self.rules))
        watched = {"y", *(item.lstrip("*") for item, rule in zip(self.inputs, self.rules, strict=True) if rule is not None)}
        self.keeps_arrays = any(rule is not None and watched & set(rule.names) for rule in self.rules)
        self.differentiable = any(rule is not None for rule in self.rules)
        # What the backward pass calls; the last rule serves all further inputs of a variadic op.
        self.functions = [None if rule is None else rule.function for rule in self.rules]
        self.last_rule = len(self.rules) - 1
        REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs + self.params)})>"

    def rule_of(self, i: int) -> Rule | None:
        """The rule of input ``i``; inputs of a variadic tail share the last one."""
        return self.rules[i] if i < len(self.rules) else self.rules[-1]

    def saver_of(self, i: int) -> Callable[..., tuple[Any, ...]] | None:
        """The function that picks what the rule of input ``i`` needs from ``(values, y, params, i)``."""
        return self.savers[i] if i < len(self.savers) else self.savers[-1]

    def _saver(self, names: tuple[str, ...], i: int) -> Callable[..., tuple[Any, ...]]:
        plain = [item.lstrip("*") for item in self.inputs]
        if not names:
            return lambda values, y, params, i: ()
        if names == ("y",):
            return lambda values, y, params, i: (y,)
        if names == ("x_shape",) and plain[0] == "x":
            return lambda values, y, params, i: (values[0].shape,)
        if names == ("x_shape", "params") and plain[0] == "x":
            return lambda values, y, params, i: (values[0].shape, params)
        if len(names) == 1 and names[0] in self.inputs:
            k = plain.index(names[0])
            return lambda values, y, params, i: (values[k],)
        picks = [self._pick(name) for name in names]
        if len(picks) == 1:
            (first,) = picks
            return lambda values, y, params, i: (first(values, y, params, i),)
        if len(picks) == 2:
            first, second = picks
            return lambda values, y, params, i: (first(values, y, params, i), second(values, y, params, i))
        if len(picks) == 3:
            first, second, third = picks
            return lambda values, y, params, i: (first(values, y, params, i), second(values, y, params, i), third(values, y, params, i))
        return lambda values, y, params, i: tuple([pick(values, y, params, i) for pick in picks])

    def _pick(self, name: str) -> Callable[..., Any]:
        """How to get one named thing from a call."""
        if name == "y":
            return lambda values, y, params, i: y
        if name == "i":
            return lambda values, y, params, i: i
        if name == "params":
            return lambda values, y, params, i: params
        if name in self.params:
            return lambda values, y, params, i: params[name]
        plain = [item.lstrip("*") for item in self.inputs]
        if name in plain:
            k = plain.index(name)
            if self.inputs[k].startswith("*"):
                return lambda values, y, params, i: values[k:]
            return lambda values, y, params, i: values[k]
        if name.endswith("_shape") and name[:-6] in plain:
            k = plain.index(name[:-6])
            return lambda values, y, params, i: getattr(values[k], "shape", ())
        if name.endswith("_shapes") and name[:-7] in plain:
            k = plain.index(name[:-7])
            return lambda values, y, params, i: tuple([v.shape for v in values[k:]])
        raise TypeError(
            f"the rule of op {self.name!r} asks for {name!r}; it may ask for {', '.join((*plain, *self.params, 'y'))} or <input>_shape"
        )


def _named_forward(name: str) -> Callable[..., Any]:
    def forward(xp: Any, *inputs: Any, **params: Any) -> Any:
        return getattr(xp, name)(*inputs, **params)

    return forward


def bind(record: Primitive, args: tuple[Any, ...], params: Any = EMPTY) -> Any:
    """Run an op on arrays of any kind: the first argument whose type knows ``__bind__`` decides, else the raw forward runs."""
    for arg in args:
        handler = getattr(type(arg), "__bind__", None)
        if handler is not None:
            return handler(record, args, params)
    return record.raw(*args, **params)


def _finish(record: Primitive, function: Callable[..., Any], signature: str) -> Callable[..., Any]:
    """Name, document and register the public function of a record."""
    function.__name__ = record.name
    function.__doc__ = record.doc or f"``{record.name}({signature})``, {record.family}; see the record in :mod:`gradus.ops`."
    function.record = record  # type: ignore[attr-defined]
    record.function = function
    return function


def unary(
    name: str,
    rule: Callable[..., Any] | None,
    forward: Callable[..., Any] | None = None,
    *,
    domain: Domain = REAL,
    dtype_rule: str = "floating",
    doc: str = "",
) -> Callable[..., Any]:
    """An elementwise op of one input: ``exp = unary("exp", lambda xp, g, y: g * y)``.

    Args:
        name: the op; also the namespace's function unless ``forward`` is given.
        rule: ``(xp, g, …)`` giving the gradient; None for ops without derivative.
        forward: ``(xp, x)`` written in the namespace.
        domain: where test samples lie.
        dtype_rule: "floating" (integers become floats first), "promote" (integers stay) or "free".
        doc: one line for readers.
    """
    record = Primitive(
        name,
        forward or name,
        (rule,),
        family="elementwise",
        inputs=("x",),
        forward_mode="diagonal",
        dtype_rule=dtype_rule,
        domains=(domain,),
        doc=doc,
    )
    raw = record.raw

    def op(x: Any, /) -> Any:
        handler = getattr(type(x), "__bind__", None)
        return raw(x) if handler is None else handler(record, (x,), EMPTY)

    return _finish(record, op, "x")


def binary(
    name: str,
    rule_a: Callable[..., Any] | None,
    rule_b: Callable[..., Any] | None,
    forward: Callable[..., Any] | None = None,
    *,
    domains: tuple[Domain, Domain] = (REAL, REAL),
    dtype_rule: str = "promote",
    doc: str = "",
) -> Callable[..., Any]:
    """An elementwise op of two broadcast inputs: ``multiply = binary("multiply", lambda xp, g, b: g * b, lambda xp, g, a: g * a)``."""
    record = Primitive(
        name,
        forward or name,
        (rule_a, rule_b),
        family="elementwise",
        inputs=("a", "b"),
        forward_mode="diagonal",
        dtype_rule=dtype_rule,
        domains=domains,
        doc=doc,
    )
    raw = record.raw

    def op(a: Any, b: Any, /) -> Any:
        handler = getattr(type(a), "__bind__", None) or getattr(type(b), "__bind__", None)
        return raw(a, b) if handler is None else handler(record, (a, b), EMPTY)

    return _finish(record, op, "a, b")


def axis_out_of_range(axis: Any, ndim: int) -> IndexRangeError:
    """The error for an axis that an array of ``ndim`` axes does not have."""
    return IndexRangeError(
        f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {axis})",
        got=f"axis {axis}",
        wanted=f"one of {ndim} axes, counted from 0, or from the end by negative numbers",
        code="E41",
    )


def normalize_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """``axis`` (None, an integer or several) as sorted non-negative integers.

    >>> normalize_axes(-1, 3), normalize_axes(None, 2)
    ((2,), (0, 1))
    """
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and 0 <= axis < ndim:
        return (axis,)
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    for a in axes:
        if not -max(ndim, 1) <= a < max(ndim, 1):
            raise axis_out_of_range(a, max(ndim, 1))
    return tuple(sorted(a % ndim for a in axes)) if ndim else ()


def _with_axes_kept(rule: Callable[..., Any]) -> Rule:
    """Let a reduction's rule see ``g`` and ``y`` as they are with ``keepdims=True``: this is where reduced axes come back."""
    names = Rule(rule).names
    kept = tuple(k for k, name in enumerate(names) if name == "y")

    def expanded(xp: Any, g: Any, x_shape: tuple[int, ...], params: dict[str, Any], *saved: Any) -> Any:
        if not params["keepdims"] and x_shape and (params["axis"] is not None or kept):
            axes = normalize_axes(params["axis"], len(x_shape))
            shape = tuple([1 if k in axes else n for k, n in enumerate(x_shape)])
            g = xp.reshape(g, shape)
            if kept:
                saved = tuple([xp.reshape(s, shape) if k in kept else s for k, s in enumerate(saved)])
        return rule(xp, g, *saved)

    if names == ("x_shape",):  # as of sum: nothing to save but what is needed here
        return Rule(lambda xp, g, x_shape, params: expanded(xp, g, x_shape, params, x_shape), ("x_shape", "params"))
    return Rule(expanded, ("x_shape", "params", *names))


def reduction(
    name: str,
    rule: Callable[..., Any] | None,
    forward: Callable[..., Any] | None = None,
    *,
    params: dict[str, Any] | None = None,
    linear: bool = False,
    domain: Domain = REAL,
    dtype_rule: str = "free",
    kernel: Callable[..., Handmade | None] | None = None,
    doc: str = "",
) -> Callable[..., Any]:
    """An op that folds axes away; its rule sees ``g`` and ``y`` with those axes kept as length 1.

    Args:
        params: further keywords of the op with their defaults, after ``axis=None, keepdims=False``.
        linear: whether forward mode is the op itself.
        kernel: as of :class:`Primitive`.
    """
    extra = params or {}
    record = Primitive(
        name,
        forward or name,
        (None if rule is None else _with_axes_kept(rule),),
        family="reduction",
        inputs=("x",),
        params=("axis", "keepdims", *extra),
        forward_mode="linear" if linear else "transpose",
        dtype_rule=dtype_rule,
        domains=(domain,),
        kernel=kernel,
        doc=doc,
    )

    def op(x: Any, /, axis: Any = None, keepdims: bool = False, **more: Any) -> Any:
        call = {"axis": tuple(axis) if isinstance(axis, list) else axis, "keepdims": keepdims}
        if extra or more:
            call |= extra | more
            if len(call) != 2 + len(extra):
                raise TypeError(f"{name}() takes axis, keepdims{''.join(', ' + d for d in extra)}; got {', '.join(more)}")
        return bind(record, (x,), call)

    return _finish(record, op, "x, axis=None, keepdims=False" + "".join(f", {k}={v}" for k, v in extra.items()))


def primitive(name: str, forward: Callable[..., Any], rules: Any, **fields: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A record with a hand-written public function, which tidies its arguments before :func:`bind`.

    The decorated ``function(record, …)`` receives the record first; inputs and parameters are read off ``forward(xp, *inputs, **params)``.
    """
    code = forward.__code__
    inputs = list(code.co_varnames[1 : code.co_argcount])
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if code.co_flags & inspect.CO_VARARGS:
        inputs.append("*" + code.co_varnames[code.co_argcount + code.co_kwonlyargcount])
    record = Primitive(name, forward, rules, inputs=inputs, params=keywords, **fields)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        op = functools.partial(function, record)
        functools.update_wrapper(op, function)
        record.doc = function.__doc__ or ""
        return _finish(record, op, "")

    return decorate

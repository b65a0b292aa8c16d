"""What happens when an op meets Tensors: the value is computed, and a Node remembers what the derivative will need.

Nodes hold parents (nodes, or leaf Tensors) and only those saved values that a rule names; they never hold the Tensor they made, so a
graph has no reference cycle and is freed the moment it is dropped. The backward pass over nodes is :mod:`gradus.reverse`.
"""

from __future__ import annotations

from sys import _getframe
from typing import Any

import numpy as np

from gradus import diagnosis
from gradus.dtypes import float32, get_default_dtype, result_type
from gradus.errors import PACKAGE_FOLDER, GradusError
from gradus.mode import MODE
from gradus.primitive import EMPTY, REGISTRY, Primitive, bind
from gradus.tensors import Tensor, as_array, wrap
from gradus.versions import LATEST, tick, written_since

ndarray = np.ndarray


class Node:
    """How a tensor came about.

    Attributes:
        record: the op.
        parents: per input, the node or leaf Tensor that the gradient goes to, or None.
        saved: per input with a parent, what its rule asked for; None once released.
        shape, dtype: of the output; a cotangent must have them.
        order: the moment of creation on the global clock; a parent's is always smaller.
        line: where in the user's code the op stood, as (code, instruction), if values are saved that a later write could spoil.
    """

    __slots__ = ("record", "parents", "saved", "shape", "dtype", "order", "hooks", "line", "__weakref__")
    special = False  # whether ``pull`` computes the gradients, instead of the record's rules
    closed = False  # whether nobody knows what lies behind it: then anything may, and no derivative can be had
    line: tuple[Any, int] | None

    def __init__(self, record: Any, parents: tuple[Any, ...], saved: Any, shape: tuple[int, ...], dtype: Any) -> None:
        self.record, self.parents, self.saved, self.shape, self.dtype = record, parents, saved, shape, dtype
        self.order = tick()
        self.hooks = None
        self.line = _user_line()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def name(self) -> str:
        """The op's name, for messages."""
        return self.record.name

    def pull(self, g: Any, create_graph: bool) -> list[Any]:
        """One gradient for each parent, for nodes whose derivative is no record's."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of saved values after a backward pass, for nodes whose derivative is no record's."""

    @property
    def next_functions(self) -> tuple[Any, ...]:
        """The parents, under PyTorch's name."""
        return tuple((parent, 0) for parent in self.parents if parent is not None)


def _user_line() -> tuple[Any, int]:
    """The innermost place outside this package; a frame itself must not be kept, since it holds all local variables."""
    frame = _getframe(2)
    while frame.f_code.co_filename.startswith(PACKAGE_FOLDER) and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


_new = Tensor.__new__
_new_node = Node.__new__


def apply(record: Primitive, args: tuple[Any, ...], params: Any = EMPTY) -> Tensor:
    """Run an op of which at least one input is a Tensor, and record it if a derivative may be asked for."""
    if not MODE.plain:
        return _apply_in_mode(record, args, params)
    if len(args) == 1:
        (x,) = args
        values: Any = (x.value,)
        needs = x.requires_grad
    else:
        needs = False
        values = []
        for arg in args:
            if isinstance(arg, Tensor):
                values.append(arg.value)
                if arg.requires_grad:
                    needs = True
            elif type(arg) is float or type(arg) is int:
                values.append(arg)
            else:
                values.append(_operand(arg))
    try:
        y = record.raw(*values, **params)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise diagnosis.explain(record, values, params, error) from None
    if y.dtype is not float32 and record.dtype_rule != "free":
        y = _in_common_dtype(record, values, params, y)
    tensor = _new(Tensor)
    tensor.value = y if type(y) is ndarray else np.asarray(y)
    if needs and record.differentiable and y.dtype.kind == "f":
        tensor.node = _node(record, args, values, y, params)
        tensor.requires_grad = True
    if record.view:
        tensor._base = args[0]
    return tensor


Tensor.__bind__ = staticmethod(apply)  # type: ignore[attr-defined]


def binary_method(record: Primitive) -> Any:
    """``Tensor.__mul__`` and its kin: :func:`apply` for two inputs without parameters, written out, because it runs more than all else."""
    raw, rules, checked = record.raw, record.rules, record.dtype_rule != "free"
    save_a, save_b = record.savers
    keeps = record.keeps_arrays
    assert save_a is not None and save_b is not None and rules[1] is not None

    def method(a: Any, b: Any) -> Any:
        kind = type(b)
        if not MODE.plain or (kind is not Tensor and kind is not float and kind is not int):
            return apply(record, (a, b))
        av = a.value
        ra = a.requires_grad
        if kind is Tensor:
            bv = b.value
            rb = b.requires_grad
        else:
            bv = b
            rb = False
        try:
            y = raw(av, bv)
        except (ValueError, TypeError, OverflowError) as error:
            raise diagnosis.explain(record, (av, bv), EMPTY, error) from None
        dtype = y.dtype
        if dtype is not float32 and checked:
            y = _in_common_dtype(record, (av, bv), EMPTY, y)
            dtype = y.dtype
        tensor = _new(Tensor)
        tensor.value = y if type(y) is ndarray else np.asarray(y)
        if (ra or rb) and dtype.kind == "f":
            if a._base is not None or (rb and b._base is not None):
                tensor.node = _node(record, (a, b), (av, bv), y, EMPTY)
            else:
                node = _new_node(Node)
                node.record = record
                values = (av, bv)
                if rb:
                    if ra:
                        node.parents = (a.node or a, b.node or b)
                        node.saved = (save_a(values, y, EMPTY, 0), save_b(values, y, EMPTY, 1))
                    else:
                        node.parents = (None, b.node or b)
                        node.saved = (None, save_b(values, y, EMPTY, 1))
                else:
                    node.parents = (a.node or a, None)
                    node.saved = (save_a(values, y, EMPTY, 0), None)
                node.shape = y.shape
                node.dtype = dtype
                node.order = tick()
                node.hooks = None
                if keeps:
                    frame = _getframe(1)
                    node.line = (frame.f_code, frame.f_lasti)
                tensor.node = node
            tensor.requires_grad = True
        return tensor

    return method


def unary_method(record: Primitive) -> Any:
    """``Tensor.tanh`` and its kin: :func:`apply` for one input without parameters, written out."""
    raw, checked = record.raw, record.dtype_rule != "free"
    (save,) = record.savers
    keeps = record.keeps_arrays

    def method(x: Any) -> Any:
        if not MODE.plain or x._base is not None:
            return apply(record, (x,))
        value = x.value
        try:
            y = raw(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise diagnosis.explain(record, (value,), EMPTY, error) from None
        dtype = y.dtype
        if dtype is not float32 and checked:
            y = _in_common_dtype(record, (value,), EMPTY, y)
            dtype = y.dtype
        tensor = _new(Tensor)
        tensor.value = y if type(y) is ndarray else np.asarray(y)
        if x.requires_grad and save is not None and dtype.kind == "f":
            node = _new_node(Node)
            node.record = record
            node.parents = (x.node or x,)
            node.saved = (save((value,), y, EMPTY, 0),)
            node.shape = y.shape
            node.dtype = dtype
            node.order = tick()
            node.hooks = None
            if keeps:
                frame = _getframe(1)
                node.line = (frame.f_code, frame.f_lasti)
            tensor.node = node
            tensor.requires_grad = True
        return tensor

    return method


def _install_fast_operators() -> None:
    """Give Tensor its own arithmetic: the same meaning as the mixin's, without three calls in between."""
    for dunder, name in {"__add__": "add", "__sub__": "subtract", "__mul__": "multiply", "__truediv__": "divide"}.items():
        setattr(Tensor, dunder, binary_method(REGISTRY[name]))
    # For commuting ops the order of a scalar and a tensor does not matter.
    Tensor.__radd__ = Tensor.__add__  # type: ignore[method-assign]
    Tensor.__rmul__ = Tensor.__mul__  # type: ignore[method-assign]
    Tensor.__neg__ = unary_method(REGISTRY["negative"])  # type: ignore[method-assign]


def _operand(arg: Any) -> Any:
    """An input that is no Tensor, as the raw forward takes it."""
    if isinstance(arg, (bool, ndarray)) or hasattr(type(arg), "__bind__"):
        return arg
    if isinstance(arg, np.generic):
        # np.float64 is a float in disguise: kept as an array it would turn everything into float64.
        return arg.item()
    if isinstance(arg, (int, float)):
        return arg
    return as_array(arg)


def _node(record: Primitive, args: tuple[Any, ...], values: Any, y: Any, params: Any) -> Node:
    if len(args) == 1:
        (x,) = args
        if x._base is not None and x.node is not None and x.node.order < LATEST[0]:
            check_view(x)
        saver = record.savers[0] if x.requires_grad else None
        parents: Any = (x.node or x,) if saver is not None else (None,)
        saved: Any = (saver(values, y, params, 0),) if saver is not None else (None,)
    else:
        parents, saved = [], []
        for i, arg in enumerate(args):
            saver = None
            if isinstance(arg, Tensor) and arg.requires_grad:
                saver = record.saver_of(i)
                if arg._base is not None and arg.node is not None and arg.node.order < LATEST[0]:
                    check_view(arg)
            if saver is None or not arg.requires_grad:
                parents.append(None)
                saved.append(None)
            else:
                parents.append(arg.node or arg)
                saved.append(saver(values, y, params, i))
    node = _new_node(Node)
    node.record, node.parents, node.saved, node.shape, node.dtype, node.hooks = record, parents, saved, y.shape, y.dtype, None
    node.order = tick()
    node.line = _user_line() if record.keeps_arrays else None
    return node


def check_view(view: Tensor) -> None:
    """A view whose memory was written through another tensor is read again from its owner, whose history knows the write."""
    if written_since(view.value, view.node.order) is not None:
        view._read_again()  # see gradus.inplace


def _apply_in_mode(record: Primitive, args: tuple[Any, ...], params: Any) -> Tensor:
    """The slow path: gradients are off, or a tracer world is entered, to whose arrays every Tensor is lifted first."""
    world = MODE.world
    if world is not None:
        args = tuple([world.lift(arg) if isinstance(arg, Tensor) else arg for arg in args])
    values = [arg.value if isinstance(arg, Tensor) else _operand(arg) for arg in args]
    y = bind(record, tuple(values), params) if world is not None else evaluate(record, values, params)
    tensor = wrap(y)
    if (
        MODE.grad_enabled
        and record.differentiable
        and y.dtype.kind == "f"
        and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
    ):
        tensor.node = _node(record, args, values, y, params)
        tensor.requires_grad = True
    if record.view and isinstance(args[0], Tensor):
        tensor._base = args[0]
    return tensor


def evaluate(record: Primitive, values: Any, params: Any = EMPTY) -> Any:
    """An op on raw arrays, with PyTorch's promotion and our errors."""
    try:
        y = record.raw(*values, **params)
    except GradusError:
        raise
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise diagnosis.explain(record, values, params, error) from None
    if record.dtype_rule != "free" and y.dtype is not float32:
        y = _in_common_dtype(record, values, params, y)
    return y


def _in_common_dtype(record: Primitive, values: Any, params: Any, y: Any) -> Any:
    """``y`` as PyTorch's promotion wants it: NumPy's differs for mixtures, so those are computed again from cast inputs."""
    meeting = range(len(values)) if record.meeting is None else record.meeting
    wanted = result_type(*[values[i] for i in meeting])
    if record.dtype_rule == "floating" and wanted.kind != "f":
        wanted = get_default_dtype()
    if y.dtype == wanted or (wanted.kind != "f" and y.dtype.kind == "b"):
        return y
    return record.raw(*[v.astype(wanted) if i in meeting and isinstance(v, ndarray) else v for i, v in enumerate(values)], **params)


_install_fast_operators()

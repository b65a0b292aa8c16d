"""Functions with a hand-written derivative, in PyTorch's form: a class with static ``forward(ctx, …)`` and ``backward(ctx, …)``."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from gradus.errors import GradError, ShapeError
from gradus.grad_mode import no_grad, set_grad_enabled
from gradus.mode import MODE
from gradus.tape import Node, check_view
from gradus.tensors import Tensor, wrap


class Context:
    """What ``forward`` leaves for ``backward``: saved tensors, and any attribute that you set."""

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()
        self._outputs: tuple[Any, ...] = ()
        self._not_differentiable: tuple[int, ...] = ()
        self._materialize = True
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``backward``; whether they were overwritten in between is checked."""
        self._saved = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that these outputs have no derivative."""
        self._not_differentiable = tuple(id(y) for y in outputs)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros (True) or None for outputs that nothing depends on."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors given to ``save_for_backward``."""
        return tuple([tensor() if callable(tensor) and not isinstance(tensor, Tensor) else tensor for tensor in self._saved])


class Cotangents:
    """The cotangents of several outputs on their way to the one node that made them."""

    shape: tuple[int, ...] = ()
    dtype = None

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts

    def __add__(self, other: Cotangents) -> Cotangents:
        merged = dict(self.parts)
        for i, g in other.parts.items():
            merged[i] = merged[i] + g if i in merged else g
        return Cotangents(merged)


class FunctionNode(Node):
    """A node whose gradients a user's ``backward`` computes."""

    __slots__ = ("function", "context", "likes")
    special = True

    def __init__(self, function: type[Function], context: Context, args: tuple[Any, ...], outputs: list[Tensor]) -> None:
        parents = tuple([(arg.node or arg) if isinstance(arg, Tensor) and arg.requires_grad else None for arg in args])
        several = len(outputs) > 1
        raw = tuple([t.value for t in context._saved if isinstance(t, Tensor)])
        super().__init__(None, parents, (raw,), () if several else outputs[0].value.shape, None if several else outputs[0].value.dtype)
        self.function, self.context = function, context
        self.likes = [(y.value.shape, y.value.dtype) for y in outputs]

    @property
    def name(self) -> str:
        return self.function.__name__ + "Backward"

    def pull(self, g: Any, create_graph: bool) -> list[Any]:
        """Call the user's ``backward`` with Tensors and check what it returns."""
        parts = g.parts if isinstance(g, Cotangents) else {0: g}
        cotangents = []
        for i, (shape, dtype) in enumerate(self.likes):
            part = parts.get(i)
            if part is None and self.context._materialize:
                part = np.zeros(shape, dtype)
            cotangents.append(part if part is None or isinstance(part, Tensor) else wrap(part))
        with set_grad_enabled(create_graph):
            gradients = self.function.backward(self.context, *cotangents)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        if len(gradients) > len(self.parents) and all(extra is None for extra in gradients[len(self.parents) :]):
            gradients = gradients[: len(self.parents)]
        if len(gradients) != len(self.parents):
            raise GradError(
                f"{self.name} returned an incorrect number of gradients",
                got=f"{len(gradients)}",
                wanted=f"{len(self.parents)}, one for each argument of forward",
                fix="return None for arguments without a derivative",
            )
        return [self._checked(i, gradient, create_graph) for i, gradient in enumerate(gradients)]

    def release(self) -> None:
        """Let go of the tensors that ``forward`` saved."""
        if self.context._saved:
            self.saved, self.context._saved = None, ()

    def _checked(self, i: int, gradient: Any, create_graph: bool) -> Any:
        parent = self.parents[i]
        if gradient is None or parent is None:
            return None
        gradient = gradient if isinstance(gradient, Tensor) else wrap(np.asarray(gradient, parent.dtype))
        if not _sums_to(tuple(gradient.shape), tuple(parent.shape)):
            raise ShapeError(
                f"{self.name} returned a gradient that does not fit argument {i}",
                got=f"{tuple(gradient.shape)}",
                wanted=f"{tuple(parent.shape)}, or a shape that the argument was broadcast to",
                why="the gradient of an argument has the argument's shape",
                code="E03",
            )
        # A copy, because the user may have returned a saved tensor itself.
        return gradient if create_graph else np.array(gradient.value) if isinstance(gradient.value, np.ndarray) else gradient.value


def _sums_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether ``target`` broadcasts to ``shape``, so that a gradient of that shape can be summed to it."""
    return len(shape) >= len(target) and all(n in (1, m) for n, m in zip(target[::-1], shape[::-1]))


class OutputNode(Node):
    """One of several outputs: sends its cotangent, labelled, to the node that made them all."""

    __slots__ = ("index",)
    special = True

    def __init__(self, source: FunctionNode, index: int) -> None:
        shape, dtype = source.likes[index]
        super().__init__(None, (source,), (), shape, dtype)
        self.index = index

    @property
    def name(self) -> str:
        return self.parents[0].name

    def pull(self, g: Any, create_graph: bool) -> list[Any]:
        """The cotangent under its index."""
        return [Cotangents({self.index: g})]


class Function:
    """Subclass with two static methods, then call ``.apply``.

    >>> class Square(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = Tensor([3.0], requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor([6.])
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Compute the outputs from Tensors; nothing is recorded here."""
        raise NotImplementedError("a Function needs a static method forward(ctx, …)")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """One gradient for each argument of ``forward``, None where there is none."""
        raise NotImplementedError("a Function needs a static method backward(ctx, …)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run ``forward`` and record ``backward``."""
        if MODE.world is not None:
            args = tuple([MODE.world.lift(arg) if isinstance(arg, Tensor) else arg for arg in args])
        context = Context()
        for arg in args:
            if isinstance(arg, Tensor) and arg._base is not None and arg.node is not None:
                check_view(arg)
        context.needs_input_grad = tuple([isinstance(arg, Tensor) and arg.requires_grad for arg in args])
        with no_grad():
            result = cls.forward(context, *args)
        several = isinstance(result, (tuple, list))
        given = tuple(result) if several else (result,)
        if not MODE.grad_enabled or not any(context.needs_input_grad):
            return result
        outputs = tuple([_own(y, args) for y in given])
        tensors = [y for y in outputs if isinstance(y, Tensor)]
        if not tensors:
            return result
        node = FunctionNode(cls, context, args, tensors)
        for k, y in enumerate(tensors):
            if y.value.dtype.kind == "f" and not any(
                y is out and id(raw) in context._not_differentiable for out, raw in zip(outputs, given, strict=True)
            ):
                y.node, y.requires_grad = (OutputNode(node, k) if len(tensors) > 1 else node), True
        context._saved = tuple([_hold(tensor, given, outputs, tensors, node) for tensor in context._saved])
        return outputs if several else outputs[0]


def _own(y: Any, args: tuple[Any, ...]) -> Any:
    """An output as a Tensor of its own: an argument, or a view of one, is copied, so that a write to it cannot change the argument."""
    if not isinstance(y, Tensor):
        return y
    if type(y.value) is np.ndarray and any(
        isinstance(arg, Tensor) and type(arg.value) is np.ndarray and np.may_share_memory(y.value, arg.value) for arg in args
    ):
        return wrap(np.array(y.value))
    if MODE.world is not None and MODE.world.has_memory:
        return wrap(MODE.world.past(y.value))
    return wrap(y.value)


def _hold(tensor: Any, given: tuple[Any, ...], outputs: tuple[Any, ...], tensors: list[Tensor], node: FunctionNode) -> Any:
    """A saved tensor; for an output, which would make a reference cycle, a way to make it again from its value and a weakly held node."""
    output = next((out for out, raw in zip(outputs, given, strict=True) if raw is tensor), None)
    if output is None or tensor is None:
        return tensor
    position = next(k for k, y in enumerate(tensors) if y is output)
    value, source, single, differentiable = output.value, weakref.ref(node), len(tensors) == 1, output.requires_grad

    def make() -> Tensor:
        made = wrap(value)
        alive = source()
        if alive is not None and differentiable:
            made.node, made.requires_grad = alive if single else OutputNode(alive, position), True
        return made

    return make

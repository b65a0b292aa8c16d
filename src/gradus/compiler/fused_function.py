"""A user's own elementwise function as one fused kernel forward and one backward."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from gradus import autograd
from gradus.compiler.compiled import Compiled
from gradus.compiler.layout import is_view
from gradus.errors import GradError, UsageError
from gradus.function import Function
from gradus.mode import MODE
from gradus.tensors import Tensor


def elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    r"""Compile a function whose value at a place depends on its arguments at that place alone.

    .. math:: y_i = f(a_i, b_i, \dots), \qquad \bar a_i = \bar y_i \, \frac{\partial f}{\partial a}(a_i, b_i, \dots)

    Written with tensor operations, called like any of them: its forward is one loop, its derivative is found as always and is one loop
    too. Arguments broadcast. Inside :func:`gradus.compile`, and for second derivatives, it is what its body says.

    Args:
        function: takes Tensors and Python numbers, returns one Tensor. Where it reads a Tensor from outside that wants a gradient,
            it runs op by op.

    Raises:
        UsageError: the body does more than elementwise work.
        GradError: a number that the body reads from outside changed between forward and backward.

    Example:
        >>> import gradus
        >>> @gradus.elementwise
        ... def swish(x, beta):
        ...     return x * gradus.sigmoid(beta * x)
        >>> x = gradus.tensor([0.0, 1.0], requires_grad=True)
        >>> swish(x, 1.0).sum().backward(); x.grad
        tensor([0.5000, 0.9277])
    """
    forward = _compiled(function)
    backward = _compiled(functools.partial(_pulled_back, function))

    class Fused(Function):
        """The function as one node of the graph."""

        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            """The compiled value."""
            ctx.arguments = args
            ctx.save_for_backward(*[arg for arg in args if isinstance(arg, Tensor)])
            value = forward(*[arg.detach() if isinstance(arg, Tensor) else arg for arg in args])
            if isinstance(value, (tuple, list, dict)):
                raise _several(function, value)
            ctx.program = forward.specialisations[0]
            return value

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            """The compiled derivative; where it is to be differentiated again, the body's own."""
            _refuse_change(function, ctx.program)
            saved = iter(ctx.saved_tensors)
            args = [next(saved) if isinstance(arg, Tensor) else arg for arg in ctx.arguments]
            if autograd.is_grad_enabled():
                return _gradients(function, g, args, True)
            fresh = [arg.detach().requires_grad_(arg.requires_grad) if isinstance(arg, Tensor) else arg for arg in args]
            with autograd.enable_grad():
                return backward(g, *fresh)

    @functools.wraps(function)
    def fused(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            bound = inspect.signature(function).bind(*args, **kwargs)
            args, kwargs = bound.args, bound.kwargs
        if kwargs or MODE.world is not None or not any(isinstance(arg, Tensor) for arg in args) or _learns(forward):
            return function(*args, **kwargs)
        value = Fused.apply(*args)
        return function(*args) if _learns(forward) else value

    return fused


def _compiled(function: Callable[..., Any]) -> Compiled:
    """Compiled from the first call on: nothing in it can need a rehearsal."""
    compiled = Compiled(function)
    compiled.calls = 1
    compiled.checks.append(_check)
    return compiled


def _learns(forward: Compiled) -> bool:
    """Whether the body reads a tensor from outside that wants a gradient: a node of the arguments alone would lose it."""
    programs = forward.specialisations
    return MODE.grad_enabled and bool(programs) and any(state.tensor.requires_grad for state in programs[0].states)


def _refuse_change(function: Callable[..., Any], program: Any) -> None:
    """Raise if the body would now compute something else than what the forward computed."""
    changed = program.changed_number() or ("" if program.surroundings.hold() else program.surroundings.broken())
    if changed:
        raise GradError(
            f"a Python value that {getattr(function, '__name__', 'an elementwise function')} reads changed before the backward pass",
            got=changed,
            wanted="the value of the forward pass",
            why="the derivative is computed from the function's body",
            fix="give the value to the function as an argument",
            code="E21",
        )


def _several(function: Callable[..., Any], value: Any) -> UsageError:
    return UsageError(
        f"{getattr(function, '__name__', 'this function')} is not elementwise",
        got=f"a {type(value).__name__} as its result",
        wanted="one Tensor",
        fix="a function for each result, or @gradus.compile",
        code="E29",
    )


def _check(graph: Any, function: Callable[..., Any]) -> None:
    """Refuse what is not elementwise; sums are what undoing a broadcast needs."""
    for call in graph.calls:
        if call.record.family != "elementwise" and call.record.name not in ("sum", "broadcast_to") and not is_view(call):
            raise UsageError(
                f"{getattr(function, '__name__', 'this function')} is not elementwise",
                got=f"the operation {call.record.name}",
                wanted="operations whose value at a place depends on the arguments at that place alone",
                fix="@gradus.compile",
                code="E29",
            )


def _gradients(function: Callable[..., Any], g: Any, args: list[Any], create_graph: bool) -> tuple[Any, ...]:
    """One gradient for each argument that wants one, None for the others."""
    wanted = [arg for arg in args if isinstance(arg, Tensor) and arg.requires_grad]
    found = iter(autograd.grad(function(*args), wanted, g, create_graph=create_graph, allow_unused=True))
    return tuple([next(found) if isinstance(arg, Tensor) and arg.requires_grad else None for arg in args])


def _pulled_back(function: Callable[..., Any], g: Any, *args: Any) -> tuple[Any, ...]:
    return _gradients(function, g, list(args), False)

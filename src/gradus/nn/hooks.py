"""Hooks of modules: functions called before and after ``forward``, or with the gradients that come back; each removable by its handle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradus.autograd import is_grad_enabled
from gradus.errors import GradError, UsageError
from gradus.function import Function
from gradus.tensors import Tensor


class Hooks:
    """The hooks of one module. A module has none until the first is registered, so that calls without hooks stay cheap."""

    def __init__(self) -> None:
        self.before: dict[float, tuple[Callable[..., Any], bool]] = {}
        self.after: dict[float, tuple[Callable[..., Any], bool]] = {}
        self.back: dict[float, Callable[..., Any]] = {}

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.back)

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Hooks before, ``forward``, hooks after. A hook that returns something other than None replaces the input or output."""
        for hook, with_kwargs in tuple(self.before.values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        passage = Passage(module, tuple(self.back.values())) if self.back and is_grad_enabled() else None
        if passage is not None:
            args = passage.enter(args)
        y = module.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self.after.values()):
            changed = hook(module, args, kwargs, y) if with_kwargs else hook(module, args, y)
            if changed is not None:
                y = changed
        return y if passage is None else passage.leave(y)


class Passage:
    """One call of a module whose gradients are watched: both its ends are passed on unchanged, and seen again on the way back.

    Attributes:
        hooks: those that the module had at the time of the call.
        inputs: places of the positional arguments that a gradient is wanted for.
        outputs: places of the outputs that have one.
        grad_output: what has come back to the outputs, with None for an output without gradient; None between backward passes.
    """

    def __init__(self, module: Any, hooks: tuple[Callable[..., Any], ...]) -> None:
        self.module, self.hooks = module, hooks
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.count = self.width = 0
        self.grad_output: tuple[Tensor | None, ...] | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments as ``forward`` gets them."""
        self.count = len(args)
        self.inputs = [i for i, arg in enumerate(args) if isinstance(arg, Tensor) and arg.requires_grad]
        return tuple(passed(Entrance, self, args, self.inputs))

    def leave(self, y: Any) -> Any:
        """The output as the caller gets it."""
        if not isinstance(y, (Tensor, tuple, list)):
            raise UsageError(
                "a backward hook needs a module that returns a Tensor, or a tuple of them",
                got=type(y).__name__,
                fix="register_forward_hook, and register_hook on the tensors in the output",
            )
        ys = [y] if isinstance(y, Tensor) else y
        self.width = len(ys)
        self.outputs = [i for i, out in enumerate(ys) if isinstance(out, Tensor) and out.requires_grad]
        left = passed(Exit, self, ys, self.outputs)
        if isinstance(y, Tensor):
            return left[0]
        return type(y)(*left) if hasattr(y, "_fields") else type(y)(left)

    def arrived(self, gradients: tuple[Tensor | None, ...]) -> None:
        """Gradients have come to the outputs. Where no input wants one, this is all that there is to tell."""
        self.grad_output = spread(gradients, self.outputs, self.width)
        if not self.inputs:
            self.tell(())

    def tell(self, gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        """Gradients have come to the inputs: show both ends to the hooks, each of which may replace those of the inputs."""
        if self.grad_output is None:  # a gradient of a gradient, which has not come through the outputs
            return gradients
        seen = spread(gradients, self.inputs, self.count)
        for hook in self.hooks:
            changed = hook(self.module, seen, self.grad_output)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(seen):
                raise GradError(
                    "a backward hook returned another number of gradients than the module has inputs",
                    got=str(len(changed)),
                    wanted=f"{len(seen)}, one for each positional argument",
                    fix="return None to leave the gradients as they are",
                )
            if not self.inputs and any(g is not None for g in changed):
                raise GradError(
                    "a backward hook returned gradients of inputs that want none",
                    wanted="None where no input of the module requires a gradient",
                    fix="x.requires_grad_(), or a hook of the tensor or parameter: layer.weight.register_hook(...)",
                )
            seen = changed
        self.grad_output = None
        return tuple([seen[i] for i in self.inputs])


class Entrance(Function):
    """The inputs of a watched module: forward nothing happens, backward their gradients are known."""

    @staticmethod
    def forward(ctx: Any, passage: Passage, *xs: Tensor) -> tuple[Tensor, ...]:
        """The inputs."""
        ctx.passage = passage
        ctx.set_materialize_grads(False)
        return xs

    @staticmethod
    def backward(ctx: Any, *gs: Tensor | None) -> tuple[Tensor | None, ...]:
        """What the hooks make of the gradients."""
        return None, *ctx.passage.tell(gs)


class Exit(Function):
    """The outputs of a watched module: backward their gradients are known before any of the module's own."""

    @staticmethod
    def forward(ctx: Any, passage: Passage, *ys: Tensor) -> tuple[Tensor, ...]:
        """The outputs."""
        ctx.passage = passage
        ctx.set_materialize_grads(False)  # zeros for an unused output would train what only that output depends on
        return ys

    @staticmethod
    def backward(ctx: Any, *gs: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients, after they were noted."""
        ctx.passage.arrived(gs)
        return None, *gs


def passed(end: type[Function], passage: Passage, values: Any, places: list[int]) -> list[Any]:
    """The values, those at ``places`` through one end of the passage."""
    values = list(values)
    if places:
        for i, tensor in zip(places, end.apply(passage, *[values[i] for i in places]), strict=True):
            values[i] = tensor
    return values


def spread(gradients: tuple[Tensor | None, ...], places: list[int], width: int) -> tuple[Tensor | None, ...]:
    """The gradients at their places among None."""
    found = dict(zip(places, gradients, strict=True))
    return tuple([found.get(i) for i in range(width)])

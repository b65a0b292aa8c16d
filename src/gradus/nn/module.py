"""Module: what layers and models are: a tree of named tensors (:mod:`gradus.nn.tree`) that computes, has modes and state, and prints."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Self

import numpy as np

from gradus import dtypes
from gradus.autograd import no_grad
from gradus.errors import PACKAGE_FOLDER, GradusError, UsageError, UsageWarning
from gradus.nn.hooks import Hooks
from gradus.nn.state import LoadReport, load_into, state_of
from gradus.nn.summary import Summary, summarise
from gradus.nn.tree import MODULE, Tree
from gradus.tensor_hooks import RemovableHandle
from gradus.tensors import Tensor, device


class Module(Tree):
    """Base of all layers and models: write ``__init__`` and ``forward``, call the object.

    Attributes:
        training: True in training mode, False after ``eval()``; dropout and batch norm behave by it.

    Example:
        >>> import gradus
        >>> class Affine(Module):
        ...     def __init__(self):
        ...         self.scale = gradus.nn.Parameter(gradus.ones(2))
        ...     def forward(self, x):
        ...         return self.scale * x
        >>> [name for name, p in Affine().named_parameters()]
        ['scale']
    """

    training: bool
    _hooks: Hooks | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        vars(self).update(training=True, _hooks=None)
        return self

    # The call.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return self._hooks.call(self, args, kwargs)
        except GradusError as error:
            _locate(error, self, sys._getframe(1))
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; subclasses write this."""
        names = [name for cls in type(self).__mro__ if cls not in Module.__mro__ for name in vars(cls)]
        near = difflib.get_close_matches("forward", names, n=1)
        raise UsageError(
            f"{type(self).__name__} has no forward method",
            why=f"it has {near[0]!r}: a misspelling?" if near else "",
            fix="def forward(self, x): ...",
            code="E27",
        )

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """After each call run ``hook(module, args, output)``; a result other than None replaces the output.

        Args:
            hook: the function.
            prepend: run it before the hooks registered earlier.
            with_kwargs: call it as ``hook(module, args, kwargs, output)``.
        """
        if self._hooks is None:
            self._hooks = Hooks()
        return RemovableHandle(self._hooks.after, (hook, with_kwargs), first=prepend)

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """Before each call run ``hook(module, args)``; a result other than None replaces the inputs.

        Args:
            hook: the function.
            prepend: run it before the hooks registered earlier.
            with_kwargs: call it as ``hook(module, args, kwargs)``; it then returns ``(args, kwargs)``.
        """
        if self._hooks is None:
            self._hooks = Hooks()
        return RemovableHandle(self._hooks.before, (hook, with_kwargs), first=prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], *, prepend: bool = False) -> RemovableHandle:
        """On each backward pass run ``hook(module, grad_input, grad_output)``; a tuple that it returns replaces ``grad_input``.

        ``grad_input`` has a gradient for each positional argument, None where none is wanted; ``grad_output`` one for each output. Where no
        argument wants a gradient, as in a first layer, the hook runs when the gradient of the output is known.

        Args:
            hook: the function.
            prepend: run it before the hooks registered earlier.

        Example:
            >>> import gradus
            >>> layer, seen = gradus.nn.Linear(3, 2), []
            >>> with layer.register_full_backward_hook(lambda module, g_in, g_out: seen.append(g_out[0])):
            ...     layer(gradus.ones(4, 3)).sum().backward()
            >>> seen[0].shape
            Size([4, 2])
        """
        if self._hooks is None:
            self._hooks = Hooks()
        return RemovableHandle(self._hooks.back, hook, first=prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """What PyTorch has deprecated in favour of :meth:`register_full_backward_hook`, whose gradients the hook gets here too.

        ``grad_output`` is the same with both. PyTorch's old hook saw as ``grad_input`` whatever the last op of ``forward`` took, which for
        a Linear are bias, input and weight; here it has a gradient for each positional argument of the module, and a warning says so.
        """
        text = (
            "register_backward_hook is PyTorch's deprecated hook: grad_input are here the gradients of the module's positional arguments, "
            "as with register_full_backward_hook, and not those of its last op; use that name"
        )
        warnings.warn(text, UsageWarning, stacklevel=2)
        return self.register_full_backward_hook(hook)

    # Changes to the whole tree.

    def train(self, mode: bool = True) -> Self:
        """Set training mode (dropout drops) here and below."""
        self.training = mode
        for _, child in self._own(MODULE):
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode (dropout passes its input through) here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or thaw (True) all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; ``set_to_none=False`` fills them with zeros instead."""
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every submodule, children first, then on this module: how weights are initialised."""
        for _, child in self._own(MODULE):
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert floating parameters and buffers to a dtype, in place; a device argument must name the CPU.

        Args:
            *args: a dtype, a device ("cpu"), or a Tensor whose dtype is taken.

        Example:
            >>> import gradus
            >>> layer = Module()
            >>> layer.register_buffer("mean", gradus.zeros(2))
            >>> layer.to(gradus.float64).mean.dtype
            dtype('float64')
        """
        dtype = None
        for item in (*args, *kwargs.values()):
            dtype = _dtype_in(item) or dtype
        if dtype is not None:
            with no_grad():
                self._convert(dtype)
        return self

    def _convert(self, dtype: Any) -> None:
        for _, tensor in (*self.named_parameters(), *self.named_buffers()):
            if dtypes.is_floating(tensor.dtype) and tensor.dtype != dtype:
                tensor.data = tensor.detach().to(dtype)
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.detach().to(dtype)

    def float(self) -> Self:
        """Parameters and buffers in float32."""
        return self.to(dtypes.float32)

    def double(self) -> Self:
        """Parameters and buffers in float64."""
        return self.to(dtypes.float64)

    def half(self) -> Self:
        """Parameters and buffers in float16."""
        return self.to(dtypes.float16)

    def cpu(self) -> Self:
        """The module itself: its memory is the CPU's."""
        return self

    # State.

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Dotted names and values of all parameters and persistent buffers, sharing their memory (clone to keep a snapshot).

        Args:
            prefix: put before every name.
            keep_vars: give the parameters themselves instead of detached tensors.
        """
        return state_of(self, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadReport:
        """Copy values into the parameters and buffers, converting them to the dtype they have here.

        Args:
            state_dict: names to Tensors or arrays, as from :meth:`state_dict`.
            strict: names and shapes must match exactly; else nothing is changed and the error holds the report.

        Returns:
            What was loaded, what is missing, unexpected or of another shape.

        Raises:
            CheckpointError: with ``strict``, when anything does not match. Its ``report`` is the LoadReport.
        """
        return load_into(self, state_dict, strict)

    # How it prints.

    def extra_repr(self) -> str:
        """What the layer's line says between the parentheses, such as ``in_features=3, out_features=4``."""
        return ""

    def caption(self) -> str:
        """The layer in a few words, for error messages."""
        return f"{type(self).__name__}({self.extra_repr()})" if self.extra_repr() else type(self).__name__

    def _child_lines(self) -> list[str]:
        return [f"({name}): {_indent(repr(child))}" for name, child in self._own(MODULE)]

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = self._child_lines()
        name = type(self).__name__
        if not children and "\n" not in extra:
            return f"{name}({extra})"
        lines = [*(extra.split("\n") if extra else []), *children]
        return f"{name}(\n  " + "\n  ".join(lines) + "\n)"

    def summary(self, input_shape: tuple[int, ...] | None = None) -> Summary:
        """A table of layers and their parameter counts, with output shapes when an input shape (batch included) is given.

        Example:
            >>> import gradus
            >>> print(gradus.nn.Linear(784, 10).summary((64, 784)))
            layer   output    parameters
            ----------------------------
            Linear  (64, 10)       7,850
            ----------------------------
            total                  7,850
            7,850 trainable, 0 frozen, 31.4 kB
        """
        return summarise(self, input_shape)


def _indent(text: str) -> str:
    """All lines but the first two columns further right."""
    return "\n".join(line if i == 0 or not line.strip() else "  " + line for i, line in enumerate(text.split("\n")))


def _dtype_in(item: Any) -> Any:
    """The floating dtype that an argument of ``to`` names; None for the CPU and for flags, an error for any other device."""
    if item is None or isinstance(item, bool):
        return None
    try:
        dtype = item.dtype if isinstance(item, Tensor) else np.dtype(item)
    except TypeError:
        device(item)
        return None
    if not dtypes.is_floating(dtype):
        raise UsageError(
            "a model cannot be converted to this dtype", got=str(dtype), wanted="a floating dtype", fix="model.float()", code="E14"
        )
    return dtype


def _locate(error: GradusError, module: Module, caller: FrameType | None) -> None:
    """Write into the error the dotted path of the innermost module that failed.

    Every module on the way out overwrites the path that the one below it wrote, so the outermost has the last word.
    """
    innermost: Module = vars(error).setdefault("module", module)
    path = next((name for name, each in module.named_modules() if each is innermost), None)
    if path is None:  # kept where the walk does not see it, such as a list: its own caption is all that is known
        return
    root = _variable(module, caller) or type(module).__name__
    error.module_path = f"{root}.{path} ({innermost.caption()})" if path else f"{root} ({innermost.caption()})"


def _variable(module: Module, frame: FrameType | None) -> str:
    """What the user's code calls a module: the innermost variable outside Gradus that holds it; "" if none does."""
    while frame is not None:
        if not frame.f_code.co_filename.startswith(PACKAGE_FOLDER):
            for name, value in frame.f_locals.items():
                if value is module and name != "self":
                    return name
        frame = frame.f_back
    return ""

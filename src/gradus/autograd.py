"""PyTorch's door to derivatives; names only. The backward pass is :mod:`gradus.reverse`, the switches are :mod:`gradus.grad_mode`."""

from gradus.function import Function
from gradus.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from gradus.reverse import backward, grad
from gradus.tensor_hooks import RemovableHandle, register_hook, retain_grad

__all__ = [
    "Function",
    "RemovableHandle",
    "backward",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "register_hook",
    "retain_grad",
    "set_grad_enabled",
]

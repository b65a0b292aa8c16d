"""Parameter: a tensor that a module counts as its own and an optimiser trains."""

from __future__ import annotations

from typing import Any

from gradus.tensors import Tensor, as_array


class Parameter(Tensor):
    """A Tensor that requires a gradient and registers itself when assigned to an attribute of a Module.

    Args:
        data: the initial value; its memory is shared, not copied.
        requires_grad: False for one that is saved and loaded but not trained.

    Example:
        >>> import gradus
        >>> Parameter(gradus.zeros(2))
        Parameter containing:
        tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        self.value = data.value if isinstance(data, Tensor) else as_array(data)
        if requires_grad:
            self.requires_grad_(True)

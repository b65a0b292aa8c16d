"""Identity: a layer that does nothing, to stand where another one was."""

from __future__ import annotations

from typing import Any

from gradus.nn.module import Module


class Identity(Module):
    """Gives its input back. Arguments are accepted and forgotten, so that it can replace any layer.

    Example:
        >>> Identity(54, unused=True)(3)
        3
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        """``x``."""
        return x

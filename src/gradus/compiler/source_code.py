"""The one place of Gradus that makes code from text: text that the compiler wrote itself, never from a file or a user."""

from __future__ import annotations

from typing import Any

from gradus.errors import PACKAGE_FOLDER


def define(text: str, title: str, scope: dict[str, Any]) -> dict[str, Any]:
    """Run the definitions of a text in ``scope``, and give it back.

    The code counts as a file of this package, so that errors name the line of whoever called it.

    >>> define("def double(x): return 2 * x", "example", {})["double"](4)
    8
    """
    exec(compile(text, f"{PACKAGE_FOLDER}<{title}>", "exec"), scope)
    return scope

"""Typed errors whose message answers six questions: what, got, wanted, where in your code, why likely, and the fix.

>>> from gradus.errors import ShapeError
>>> print(ShapeError("MSE cannot compare these", got="(3,) and (3, 1)", wanted="equal shapes", fix="target.squeeze(1)", where="run.py:7"))
MSE cannot compare these
  got:    (3,) and (3, 1)
  wanted: equal shapes
  where:  run.py:7
  fix:    target.squeeze(1)
"""

from __future__ import annotations

import os
import sys

PACKAGE_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


def user_location() -> str:
    """The innermost line of code outside Gradus that led here, as ``file:line in function``."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE_FOLDER):
        if frame.f_back is None:
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


class GradusError(Exception):
    """Base of every error that Gradus raises on purpose.

    Args:
        what: one sentence: which operation failed, in the user's terms.
        got: the shapes, dtypes or values met, by argument name.
        wanted: the rule that they break.
        why: the likely cause, one diagnosis.
        fix: one line of code that mends it.
        where: ``file:line`` in the user's code (found on the stack when not given).
        code: the entry of the error catalogue, such as ``"E07"``.
    """

    def __init__(
        self, what: str, *, got: str = "", wanted: str = "", why: str = "", fix: str = "", where: str | None = None, code: str = ""
    ) -> None:
        self.what, self.got, self.wanted, self.why, self.fix, self.code = what, got, wanted, why, fix, code
        self.where = user_location() if where is None else where
        self.module_path = ""
        super().__init__(what)

    def __str__(self) -> str:
        head = f"[{self.code}] {self.what}" if self.code else self.what
        rows = [
            ("layer", self.module_path),
            ("got", self.got),
            ("wanted", self.wanted),
            ("where", self.where),
            ("why", self.why),
            ("fix", self.fix),
        ]
        return "\n".join([head, *(f"  {name + ':':<8}{text}" for name, text in rows if text)])

    def sentence(self) -> str:
        """The message as one line, for the command line and log files."""
        parts = [
            self.what,
            self.got and f"got {self.got}",
            self.wanted and f"wanted {self.wanted}",
            self.why,
            self.fix and f"fix: {self.fix}",
        ]
        return "; ".join(part for part in parts if part)


class ShapeError(GradusError, ValueError, RuntimeError):
    """Shapes that do not fit. A ValueError as NumPy raises and a RuntimeError as PyTorch raises."""


class DTypeError(GradusError, TypeError, RuntimeError):
    """A dtype that the operation does not take, or a mixture that would change the precision silently."""


class LabelError(GradusError, IndexError, ValueError):
    """A class label outside 0 … classes - 1."""


class IndexRangeError(GradusError, IndexError):
    """An index outside the axis that it addresses."""


class GradError(GradusError, RuntimeError):
    """A gradient that was asked for and cannot be had."""


class AliasError(GradError):
    """Memory that a derivative still needs was overwritten, or would be."""


class NonFiniteError(GradusError, FloatingPointError):
    """NaN or infinity where training cannot go on.

    Attributes:
        lr: the largest learning rate of the step that failed, where an optimiser has one.
    """

    lr: float | None = None


class DataError(GradusError, ValueError):
    """A data set or data file that is missing, corrupt or malformed."""


class CheckpointError(GradusError, ValueError):
    """A file of weights that is missing, corrupt, malformed or does not fit the model."""


class TraceError(GradusError, RuntimeError):
    """Something inside a compiled function that depends on numbers which a trace does not have."""


class UsageError(GradusError, ValueError):
    """An argument outside its range."""


class MissingExtraError(GradusError, ImportError):
    """An optional dependency is not installed."""


class UsageWarning(UserWarning):
    """Something legal that is very probably a mistake."""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """The one sentence that a missing optional dependency ends in.

    >>> print(missing_extra("matplotlib", "plot", "Drawing").what)
    Drawing needs matplotlib: pip install "gradus-dl[plot]"
    """
    return MissingExtraError(f'{purpose} needs {package}: pip install "gradus-dl[{extra}]"', where="")

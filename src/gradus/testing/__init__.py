"""Tools that judge derivatives and op records; for Gradus' own tests and for yours."""

from gradus.testing.gradcheck import gradcheck
from gradus.testing.opcheck import opcheck

__all__ = ["gradcheck", "opcheck"]

"""Tools that judge derivatives and op records; for Gradus' own tests and for yours."""

from gradus.testing.columns import opcheck
from gradus.testing.derivatives import gradcheck

__all__ = ["gradcheck", "opcheck"]

"""What the tests of optimisers share: one small problem, trained by Gradus and by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradus

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests: pip install gradus-dl[parity]")

SHAPES = [(4, 3), (3,), ()]


class Race:
    """Parameters of several shapes in both libraries, pulled by the same nonlinear loss."""

    def __init__(self, dtype: str = "float64", groups: int = 1) -> None:
        rng = np.random.default_rng(5)
        starts = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
        self.dtype = dtype
        self.mine = [gradus.nn.Parameter(gradus.tensor(a)) for a in starts]
        self.theirs = [torch.nn.Parameter(torch.tensor(a)) for a in starts]
        self.x = rng.standard_normal((6, 4)).astype(dtype)

    def losses(self, t: int) -> tuple[Any, Any]:
        """Loss number t: its data change, and every third time the scalar takes no part, so that its gradient is None."""
        x = self.x + 0.1 * np.float32(t % 7)
        mine = self._loss(gradus, gradus.tensor(x.astype(self.dtype)), *self.mine, t)
        theirs = self._loss(torch, torch.tensor(x.astype(self.dtype)), *self.theirs, t)
        return mine, theirs

    @staticmethod
    def _loss(library: Any, x: Any, w: Any, b: Any, s: Any, t: int) -> Any:
        y = library.tanh(x @ w + b)
        return ((y - 0.3) * (y - 0.3)).sum() + (0.0 if t % 3 == 2 else (s * y).mean() + s * s)

    def step(self, t: int, *pairs: Any) -> None:
        """One step of a Gradus and a PyTorch optimiser."""
        mine, theirs = pairs
        for opt, loss in zip((mine, theirs), self.losses(t), strict=True):
            opt.zero_grad()
            loss.backward()
            opt.step()

    def assert_equal(self, t: int = 0) -> None:
        """Equal parameters: to 1e-10 in float64, to PyTorch's own tolerance in float32."""
        tolerance = {"rtol": 1e-10, "atol": 1e-10} if self.dtype == "float64" else {"rtol": 1.3e-6, "atol": 1e-5}
        for a, b in zip(self.mine, self.theirs, strict=True):
            assert str(a.dtype) == self.dtype
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), err_msg=f"after step {t}", **tolerance)


@pytest.fixture
def race() -> Callable[..., Race]:
    return Race

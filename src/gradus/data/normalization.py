"""Inputs brought to mean 0 and standard deviation 1, by what the training rows alone say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradus.dtypes import get_default_dtype
from gradus.errors import DataError, ShapeError, UsageError
from gradus.tensors import Tensor, wrap

Array = np.ndarray[Any, Any]


class Normalizer:
    """Shifts and scales inputs: ``y = (x - mean) / std``, with the mean and standard deviation of the rows that :meth:`fit` saw.

    Fit on training rows only: statistics of test rows would let the model know something of them.

    Args:
        per_feature: one mean and deviation for each feature (position behind the first axis), for features of different units;
            otherwise one for all values, as suits images.

    Attributes:
        mean, std: float64 arrays of shape ``()``, or of one row. ``std`` is 1 where the training rows were constant, so that such
            features become 0.

    Example:
        >>> x_train = np.array([[1.0, 100.0], [3.0, 300.0]])
        >>> normalizer = Normalizer(per_feature=True).fit(x_train)
        >>> normalizer(np.array([[2.0, 400.0]])).tolist()
        [[0.0, 2.0]]
    """

    def __init__(self, per_feature: bool = False) -> None:
        self.per_feature = bool(per_feature)
        self.mean: Array | None = None
        self.std: Array | None = None

    @property
    def fitted(self) -> bool:
        """Whether the statistics are there."""
        return self.mean is not None

    def fit(self, x: Any) -> Normalizer:
        """Learn the statistics of training rows ``x`` (N, …) of numbers; returns itself.

        Raises:
            DataError: no rows, no numbers, or NaN or infinity among them.
        """
        rows = _array(x)
        if rows.ndim == 0 or rows.size == 0 or rows.dtype.kind not in "biuf":
            got = f"shape {rows.shape}, dtype {rows.dtype}"
            raise DataError("a Normalizer learns from rows of numbers", got=got, wanted="at least one row")
        axes = 0 if self.per_feature else None
        mean = rows.mean(axis=axes, dtype=np.float64)
        if not np.isfinite(mean).all():
            bad = np.argwhere(~np.isfinite(rows))
            at = f"{rows[tuple(bad[0])]} at row {bad[0][0]}, {len(bad)} such values" if len(bad) else "values whose sum overflows"
            raise DataError("a Normalizer learns from finite numbers", got=at, wanted="no NaN and no infinity", code="E17")
        std = np.sqrt(_squared_deviations(rows, mean, axes) / (len(rows) if self.per_feature else rows.size))
        # Compared exactly: the mean of a constant is only nearly it and the deviation only nearly 0, and their quotient is noise.
        low = rows.min(axis=axes)
        constant = low == rows.max(axis=axes)
        self.mean = np.where(constant, low, mean)
        self.std = np.where(constant | (std < np.finfo(np.float32).tiny), 1.0, std)  # float32 would make 0 of less
        return self

    def __call__(self, x: Any) -> Tensor:
        """The normalized ``x`` (N, …), or one row of it, as a Tensor: of its own dtype if floating, else of the default dtype."""
        array, mean, std, dtype = self._prepared(x)
        return wrap(((array - mean) / std).astype(dtype, copy=False))

    def inverse(self, y: Any) -> Tensor:
        """What :meth:`__call__` made ``y`` of: ``x = y * std + mean``."""
        array, mean, std, dtype = self._prepared(y)
        return wrap((array * std + mean).astype(dtype, copy=False))

    def _prepared(self, x: Any) -> tuple[Array, Array, Array, np.dtype[Any]]:
        """Input and statistics in the dtype to compute in, and the dtype of the result."""
        if self.mean is None or self.std is None:
            raise UsageError("the Normalizer has no statistics yet", fix="normalizer.fit(x_train)")
        array = _array(x)
        if self.mean.ndim and array.shape[max(array.ndim - self.mean.ndim, 0) :] != self.mean.shape:
            wanted = f"rows of shape {self.mean.shape}, as it was fitted on"
            raise ShapeError("the rows do not fit the Normalizer", got=f"{array.shape}", wanted=wanted)
        dtype = array.dtype if array.dtype.kind == "f" else get_default_dtype()
        wide = np.promote_types(dtype, np.float32)  # in float16 a small deviation would be 0
        return array.astype(wide, copy=False), self.mean.astype(wide), self.std.astype(wide), dtype

    def state_dict(self) -> dict[str, Tensor]:
        """The statistics as float64 Tensors, for a checkpoint; empty before :meth:`fit`."""
        return {"mean": wrap(self.mean.copy()), "std": wrap(self.std.copy())} if self.mean is not None and self.std is not None else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> Normalizer:
        """Take the statistics of :meth:`state_dict` or :meth:`to_dict`; returns itself.

        Raises:
            DataError: keys are missing, shapes differ, or a deviation is not positive.
        """
        if not state:
            self.mean = self.std = None
            return self
        if set(state) != {"mean", "std"}:
            raise DataError("this is not the state of a Normalizer", got=f"keys {sorted(state)}", wanted="mean and std")
        mean, std = (np.array(value.value if isinstance(value, Tensor) else value, np.float64) for value in (state["mean"], state["std"]))
        if mean.shape != std.shape or not np.isfinite(mean).all() or not (np.isfinite(std) & (std > 0)).all():
            wanted = "finite arrays of one shape, every std > 0"
            raise DataError("the state of a Normalizer is damaged", got=f"mean {mean.shape}, std {std.shape}", wanted=wanted)
        self.mean, self.std, self.per_feature = mean, std, mean.ndim > 0
        return self

    def to_dict(self) -> dict[str, Any]:
        """The statistics as Python numbers, for JSON; they come back exactly."""
        return {key: tensor.tolist() for key, tensor in self.state_dict().items()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Normalizer:
        """The Normalizer that :meth:`to_dict` was asked of."""
        return cls().load_state_dict(state)

    def __repr__(self) -> str:
        if self.mean is None or self.std is None:
            return f"Normalizer(per_feature={self.per_feature}, not fitted)"
        return f"Normalizer({self.mean.shape} features)" if self.mean.ndim else f"Normalizer(mean={self.mean:.6g}, std={self.std:.6g})"


def _array(x: Any) -> Array:
    """Arrays as they are, Python numbers in the default dtype."""
    return x if isinstance(x, np.ndarray) else (x if isinstance(x, Tensor) else Tensor(x)).value


def _squared_deviations(rows: Array, mean: Any, axes: int | None, block: int = 4096) -> Any:
    """``sum((rows - mean)**2)`` over ``axes`` in float64, some rows at a time: never a float64 copy of the whole."""
    return sum(np.square(rows[start : start + block] - mean, dtype=np.float64).sum(axis=axes) for start in range(0, len(rows), block))

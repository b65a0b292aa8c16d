"""Python's operators as ops: what a tensor and every tracer inherit, so that a rule reads ``g * b`` on any kind of array."""

from __future__ import annotations

from typing import Any

from gradus.ops import contraction, elementwise, indexing


class Operators:
    """Mixin: ``a + b`` and its kin, dispatched through :func:`gradus.primitive.bind`."""

    # NumPy sees this and leaves ``ndarray * tensor`` to __rmul__ below.
    __array_ufunc__ = None

    def __add__(self, other: Any) -> Any:
        return elementwise.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return elementwise.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return elementwise.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return elementwise.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return elementwise.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return elementwise.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return elementwise.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return elementwise.divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return elementwise.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return elementwise.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return elementwise.remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return elementwise.remainder(other, self)

    def __pow__(self, other: Any) -> Any:
        return elementwise.pow(self, other)

    def __rpow__(self, other: Any) -> Any:
        return elementwise.pow(other, self)

    def __matmul__(self, other: Any) -> Any:
        return contraction.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return contraction.matmul(other, self)

    def __neg__(self) -> Any:
        return elementwise.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return elementwise.abs(self)

    def __invert__(self) -> Any:
        return elementwise.logical_not(self)

    def __lt__(self, other: Any) -> Any:
        return elementwise.less(self, other)

    def __le__(self, other: Any) -> Any:
        return elementwise.less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return elementwise.greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return elementwise.greater_equal(self, other)

    def __eq__(self, other: object) -> Any:
        return elementwise.equal(self, other)

    def __ne__(self, other: object) -> Any:
        return elementwise.not_equal(self, other)

    # Comparing gives an array, so identity is what a dict or set of tensors goes by.
    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Any:
        return elementwise.bitwise_and(self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return elementwise.bitwise_or(self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Any:
        return elementwise.bitwise_xor(self, other)

    __rxor__ = __xor__

    def __getitem__(self, key: Any) -> Any:
        return indexing.index(self, key)

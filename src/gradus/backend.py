"""The array namespaces in which derivative rules run on raw arrays: NumPy, completed to the vocabulary of rules.

A rule is written against a namespace ``xp``. On raw arrays ``xp`` is :data:`numpy` of this file; on tensors and tracers it is
:mod:`gradus.ops`, whose functions bear the same names and keywords (Array API spelling). Three sources fill a namespace:

1. names that the array module has under the same name (``VOCABULARY``);
2. functions below, for what the module lacks or spells differently;
3. every op record that brings its own forward function (:func:`Namespace.define`, called at registration).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus import special

VOCABULARY = """
abs acos acosh add argmax argmin asin asinh atan atan2 atanh bitwise_and bitwise_or bitwise_xor broadcast_to ceil concat copysign cos cosh
cumprod cumsum divide einsum equal exp expand_dims expm1 flip floor floor_divide full greater greater_equal hypot isfinite isinf isnan
less less_equal log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul matrix_transpose max maximum
min minimum multiply negative not_equal ones permute_dims pow prod reciprocal remainder reshape roll sign sin sinh sqrt square
squeeze stack subtract sum take take_along_axis tan tanh tril triu trunc where zeros all any count_nonzero round moveaxis arange pad
""".split()


class Namespace:
    """An array module under the names that rules use.

    Args:
        name: what messages call it.
        module: an array module with NumPy's interface (NumPy itself, or CuPy).
    """

    def __init__(self, name: str, module: Any) -> None:
        self.name = name
        self.module = module
        for word in VOCABULARY:
            setattr(self, word, getattr(module, word))
        if module is np:
            # The reductions behind NumPy's own wrappers: the same result for about 1 µs less a call.
            for word, ufunc in {
                "sum": np.add,
                "prod": np.multiply,
                "max": np.maximum,
                "min": np.minimum,
                "all": np.logical_and,
                "any": np.logical_or,
            }.items():
                setattr(self, word, _reduction(ufunc.reduce))
            self.cumsum = lambda x, axis: np.add.accumulate(x, axis=axis)
            self.cumprod = lambda x, axis: np.multiply.accumulate(x, axis=axis)
            self.reshape = lambda x, shape: x.reshape(shape) if type(x) is np.ndarray else np.asarray(x).reshape(shape)
            self.permute_dims = lambda x, axes: x.transpose(axes)
            self.matrix_transpose = lambda x: x.swapaxes(-1, -2)
            self.broadcast_to = _stretched

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"namespace {self.name} has no {name!r}: rules use a closed vocabulary, see gradus.backend")

    def __repr__(self) -> str:
        return f"<array namespace {self.name}>"

    def define(self, name: str, function: Callable[..., Any]) -> None:
        """Add the forward function of an op record, unless the array module already has the name."""
        if name not in self.__dict__ and name not in type(self).__dict__:
            setattr(self, name, function)

    def astype(self, x: Any, dtype: Any) -> Any:
        """``x`` in another dtype; ``x`` itself when it has that dtype."""
        return self.module.asarray(x).astype(dtype, copy=False)

    def zeros_like(self, x: Any) -> Any:
        """Zeros in C order, as in a trace, which does not know how ``x`` lies: results that lie alike are summed in the same order."""
        return self.module.zeros(x.shape, x.dtype)

    def ones_like(self, x: Any) -> Any:
        """Ones in C order, see :meth:`zeros_like`."""
        return self.module.ones(x.shape, x.dtype)

    def erf(self, x: Any) -> Any:
        """The error function."""
        return special.erf(x)

    def zero_safe_mul(self, a: Any, b: Any) -> Any:
        """``a * b`` with 0 wherever a is 0; the repair runs only when the plain product holds a NaN, which min finds in one pass."""
        xp = self.module
        product = xp.multiply(a, b)
        if product.size and xp.isnan(xp.min(product)):
            return xp.where(xp.equal(a, 0), xp.zeros((), product.dtype), product)
        return product

    def sort(self, x: Any, axis: int = -1) -> Any:
        """Ascending and stable, so that ties keep their order."""
        return self.module.sort(x, axis=axis, kind="stable")

    def argsort(self, x: Any, axis: int = -1) -> Any:
        """Indices that sort, ascending and stable."""
        return self.module.argsort(x, axis=axis, kind="stable")

    def scatter_add(self, g: Any, *indices: Any, shape: tuple[int, ...], key: Any) -> Any:
        """Zeros of ``shape`` with ``g`` added at ``key``; repeated indices accumulate."""
        out = self.module.zeros(shape, dtype=g.dtype)
        if len(indices) == 1 and len(key) == 1 and indices[0].dtype.kind != "b" and math.prod(shape[1:]) > 4 and indices[0].size > 16:
            self._add_rows(out, indices[0], g)
        elif indices:
            self.module.add.at(out, fill_key(key, indices), g)
        else:
            out[key] = g
        return out

    def _add_rows(self, out: Any, rows: Any, g: Any) -> None:
        """Whole rows, put in order first: sums of neighbours run six times as fast as add.at."""
        xp = self.module
        rows = rows.reshape(-1).astype(xp.int64)
        rows = xp.where(rows < 0, rows + out.shape[0], rows)
        order = xp.argsort(rows, kind="stable")
        rows = rows[order]
        starts = xp.flatnonzero(xp.concatenate((xp.ones(1, bool), rows[1:] != rows[:-1])))
        sorted_rows = xp.broadcast_to(g, (*g.shape[: g.ndim - out.ndim + 1], *out.shape[1:])).reshape(-1, *out.shape[1:])[order]
        out[rows[starts]] = xp.add.reduceat(sorted_rows, starts, axis=0)

    def index_update(self, x: Any, values: Any, *indices: Any, key: Any) -> Any:
        """A copy of ``x`` with ``values`` written at ``key``."""
        out = self.module.array(x)
        out[fill_key(key, indices)] = values
        return out

    def getitem(self, x: Any, *indices: Any, key: Any) -> Any:
        """``x[key]`` with the index arrays put back into the key."""
        if indices:
            return x[fill_key(key, indices)]
        y = x[key]
        # One element is a view too (NumPy would give a copy), so that a write to it reaches x.
        return y if isinstance(y, self.module.ndarray) else x[(*key, ...)]


def _reduction(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def reduction(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return reduce(x, axis=axis, keepdims=keepdims)

    return reduction


def _stretched(x: Any, shape: tuple[int, ...]) -> Any:
    """``x`` broadcast: a small result is filled in, which takes a third of the time of making a view."""
    if math.prod(shape) <= 1024:
        out = np.empty(shape, x.dtype)
        out[...] = x
        return out
    return np.broadcast_to(x, shape)


class IndexSlot:
    """Stands in a key for the index array that travels beside it as data."""

    def __repr__(self) -> str:
        return "<index array>"


INDEX_SLOT = IndexSlot()


def fill_key(key: tuple[Any, ...], indices: tuple[Any, ...]) -> tuple[Any, ...]:
    """Put index arrays back into the places that a key keeps for them.

    >>> fill_key((slice(None), INDEX_SLOT), (np.array([2, 0]),))
    (slice(None, None, None), array([2, 0]))
    """
    if not indices:
        return key
    if len(key) == 1:
        return indices
    rest = iter(indices)
    return tuple(next(rest) if item is INDEX_SLOT else item for item in key)


numpy: Any = Namespace("numpy", np)

"""Convolution with max pooling behind it in one op, and its gradients by the places of the maxima, so that no full-size map is needed.

Kernels are 3 x 3 in steps of 1 with one zero around the images, windows 2 x 2 side by side, and images have even sides. A compiler puts
these ops in place of others, after it has differentiated, so they have no derivative themselves.
"""

from __future__ import annotations

from typing import Any

from gradus.fused import conv_pool_kernels
from gradus.fused.unfold import Padding
from gradus.primitive import bind, primitive

CONVOLUTION: dict[str, Any] = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
NO_GAP: Padding = ((0, 0), (0, 0))
POOLING: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2), "padding": NO_GAP, "dilation": (1, 1)}
#: the four places of the windows: in reading order
KEYS = tuple((slice(None), slice(None), slice(i, None, 2), slice(j, None, 2)) for i in range(2) for j in range(2))


def _replaces(xp: Any, b: Any, a: Any) -> Any:
    """Where b takes the place of a, the largest before it."""
    return xp.logical_or(xp.greater(b, a), xp.isnan(b))


def _conv_max_pool(xp: Any, x: Any, w: Any, b: Any) -> Any:
    z = xp.conv2d(x, w, **CONVOLUTION) + b
    a, b, c, d = [xp.getitem(z, key=key) for key in KEYS]
    up, low = xp.maximum(a, b), xp.maximum(c, d)
    lower = _replaces(xp, low, up)
    right = xp.where(lower, _replaces(xp, d, c), _replaces(xp, b, a))
    return xp.stack([xp.maximum(up, low), 2.0 * xp.astype(lower, z.dtype) + xp.astype(right, z.dtype)], axis=0)


def _spread(xp: Any, h: Any, place: Any) -> Any:
    """The full-size gradient: each number of ``h`` at its place of a window."""
    shape = (*h.shape[:2], 2 * h.shape[2], 2 * h.shape[3])
    total: Any = 0.0
    for k, key in enumerate(KEYS):
        total = total + xp.scatter_add(xp.where(xp.equal(place, float(k)), h, 0), shape=shape, key=key)
    return total


def _weight_gradient(xp: Any, x: Any, h: Any, place: Any) -> Any:
    w_shape = (h.shape[1], x.shape[1], 3, 3)
    return xp.conv2d_weight_gradient(x, _spread(xp, h, place), w_shape=w_shape, **CONVOLUTION)


def _input_gradient(xp: Any, h: Any, place: Any, w: Any) -> Any:
    x_shape = (h.shape[0], w.shape[1], 2 * h.shape[2], 2 * h.shape[3])
    return xp.conv2d_input_gradient(_spread(xp, h, place), w, x_shape=x_shape, **CONVOLUTION)


FIELDS: dict[str, Any] = {"family": "fused", "dtype_rule": "promote"}


@primitive(
    "conv_max_pool2d",
    _conv_max_pool,
    (None, None, None),
    kernel=conv_pool_kernels.conv_max_pool2d,
    samples=lambda draw: [
        ((draw(2, 3, 4, 6), draw(5, 3, 3, 3), draw(5, 1, 1)), {}),
        ((draw(1, 1, 2, 2), draw(2, 1, 3, 3), draw(2, 1, 1)), {}),
    ],
    **FIELDS,
)
def conv_max_pool2d(record: Any, x: Any, w: Any, b: Any, /) -> Any:
    """(2, B, O, H / 2, W / 2): max_pool2d(conv2d(x, w, padding=1) + b, 2), b (O, 1, 1), and which place each maximum came from.

    The four places of a window count from 0 in reading order; the first of equals has the maximum, or the last NaN, as in eager mode.

    >>> import numpy as np
    >>> w = np.zeros((1, 1, 3, 3)); w[0, 0, 1, 1] = 1
    >>> conv_max_pool2d(np.array([[[[1.0, 2.0], [5.0, 3.0]]]]), w, np.array([[[0.5]]])).tolist()
    [[[[[5.5]]]], [[[[2.0]]]]]
    """
    return bind(record, (x, w, b))


@primitive(
    "conv_max_pool2d_weight_gradient",
    _weight_gradient,
    (None, None, None),
    kernel=conv_pool_kernels.weight_gradient,
    samples=lambda draw: [((draw(2, 3, 4, 6), draw(2, 5, 2, 3), draw.integers(4, 2, 5, 2, 3).astype(float)), {})],
    **FIELDS,
)
def conv_max_pool2d_weight_gradient(record: Any, x: Any, h: Any, place: Any, /) -> Any:
    """The gradient of the maxima for kernels: ``h`` and ``place`` as the two parts of :func:`conv_max_pool2d`."""
    return bind(record, (x, h, place))


@primitive(
    "conv_max_pool2d_input_gradient",
    _input_gradient,
    (None, None, None),
    kernel=conv_pool_kernels.input_gradient,
    samples=lambda draw: [((draw(2, 5, 2, 3), draw.integers(4, 2, 5, 2, 3).astype(float), draw(5, 3, 3, 3)), {})],
    **FIELDS,
)
def conv_max_pool2d_input_gradient(record: Any, h: Any, place: Any, w: Any, /) -> Any:
    """The gradient of the maxima for images: ``h`` and ``place`` as the two parts of :func:`conv_max_pool2d`."""
    return bind(record, (h, place, w))

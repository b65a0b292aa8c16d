"""Which compiled kernel computes a pooling. Whole numbers and padding below zero have none."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus.primitive import Handmade

KINDS = {np.dtype("float32"): "float32", np.dtype("float64"): "float64"}


def _pooling(name: str, x: Any, y: Any, params: Any, kind: str) -> Handmade | None:
    """The kernel for windows of ``x`` that ``y`` has one number of each for."""
    padding, gaps = params["padding"], params.get("dilation", (1, 1))
    if min(min(around) for around in padding) < 0:
        return None
    (batch, channels, height, width), (down, across) = x.shape, y.shape[2:]
    flops = batch * channels * down * across * params["kernel"][0] * params["kernel"][1]
    side_by_side = params["kernel"] == params["stride"] == (2, 2) and gaps == (1, 1) and (down, across) == (height // 2, width // 2)
    if side_by_side and padding[0][0] == padding[1][0] == 0:
        return Handmade(f"pool.{name}_four_{kind}", (batch * channels, height, width), (), (), flops)
    reaches = gaps if "dilation" in params else ()
    window = (*params["kernel"], *params["stride"], *reaches, padding[0][0], padding[1][0])
    return Handmade(f"pool.{name}_windows_{kind}", (batch * channels, height, width, down, across, *window), (), (), flops)


def _kind(*arrays: Any) -> str | None:
    """The dtype that all of them have, if there are kernels for it."""
    return KINDS.get(arrays[0].dtype) if all(array.dtype == arrays[0].dtype for array in arrays) else None


def max_pool2d(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For images."""
    kind = _kind(*inputs, output)
    return _pooling("largest_of", inputs[0], output, params, kind) if kind else None


def max_pool2d_gradient(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For a cotangent and images."""
    kind = _kind(*inputs, output)
    return _pooling("gradient_to", inputs[1], inputs[0], params, kind) if kind else None


def sum_pool2d(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For images."""
    kind = _kind(*inputs, output)
    return _pooling("sum_of", inputs[0], output, params, kind) if kind else None


def sum_pool2d_gradient(inputs: Any, output: Any, params: Any) -> Handmade | None:
    """For a cotangent."""
    kind = _kind(*inputs, output)
    return _pooling("spread_to", output, inputs[0], params, kind) if kind else None

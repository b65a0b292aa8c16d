"""Recurrence: what a cell computes in one time step, and whole sequences with their derivative.

A sequence takes its input ``u`` already multiplied: (T, B, gates · H), one product for all time steps. Only what depends on the step
before is left to the loop. Its derivative is written by hand for the same reason: the gates of all steps are computed together, from the
outputs; the loop then carries nothing but the cotangent of the state, and the gradient of the weights is one product at the end.
All of it is made of ops, so it differentiates again, traces, and runs in forward mode.

================  =================================================================================
tanh, relu        h = f(u + h Wᵀ)
lstm              i, f, g, o = u + h Wᵀ;   c = σ(f) c + σ(i) tanh(g);   h = σ(o) tanh(c)
gru               r, z = σ(u + h Wᵀ + b);   n = tanh(u + r (h Wᵀ + b));   h = (1 - z) n + z h
================  =================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradus import ops

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


def _part(x: Any, k: int, size: int) -> Any:
    """Block ``k`` of the last axis."""
    return ops.getitem(x, key=(..., slice(k * size, (k + 1) * size)))


def _product(h: Any, w: Any) -> Any:
    return ops.matmul(h, ops.matrix_transpose(w))


# One step, in ops: the meaning of all below.


def simple_step(kind: str, u: Any, h: Any, w: Any) -> Any:
    """h = tanh(u + h wᵀ), or relu."""
    z = u + _product(h, w)
    return ops.tanh(z) if kind == "tanh" else ops.relu(z)


def lstm_step(u: Any, h: Any, c: Any, w: Any) -> tuple[Any, Any]:
    """(h, c) after one step (Hochreiter, Schmidhuber 1997; with the forget gate of Gers et al. 2000)."""
    size = h.shape[-1]
    z = u + _product(h, w)
    c = ops.sigmoid(_part(z, 1, size)) * c + ops.sigmoid(_part(z, 0, size)) * ops.tanh(_part(z, 2, size))
    return ops.sigmoid(_part(z, 3, size)) * ops.tanh(c), c


def gru_step(u: Any, h: Any, w: Any, b: Any) -> Any:
    """h after one step (Cho et al. 2014, with the reset gate after the product, as PyTorch has it)."""
    size = h.shape[-1]
    v = _product(h, w) if b is None else _product(h, w) + b
    r, z = (ops.sigmoid(_part(u, k, size) + _part(v, k, size)) for k in (0, 1))
    n = ops.tanh(_part(u, 2, size) + r * _part(v, 2, size))
    return n + z * (h - n)


# Whole sequences.


def _steps(u: Any) -> list[Any]:
    return [ops.getitem(u, key=(t,)) for t in range(u.shape[0])]


def _before(first: Any, later: Any) -> Any:
    """The state before each step: the first one, then all but the last."""
    return ops.concat([ops.expand_dims(first, axis=0), ops.getitem(later, key=(slice(0, -1),))], axis=0)


def simple_sequence(kind: str, u: Any, h: Any, w: Any) -> Any:
    """All states (T, B, H) of a plain recurrence."""
    states = []
    transposed = ops.matrix_transpose(w)
    for step in _steps(u):
        z = step + ops.matmul(h, transposed)
        h = ops.tanh(z) if kind == "tanh" else ops.relu(z)
        states.append(h)
    return ops.stack(states, axis=0)


def simple_derivative(kind: str, g: Any, y: Any, h: Any, w: Any) -> tuple[Any, Any, Any]:
    """Gradients of u, h, w for the cotangent ``g`` of the states ``y``."""
    slopes = _steps(1.0 - y * y if kind == "tanh" else ops.astype(y > 0, g.dtype))
    carried, found = None, []
    for slope, own in zip(reversed(slopes), reversed(_steps(g)), strict=True):
        d = (own if carried is None else own + carried) * slope
        carried = ops.matmul(d, w)
        found.append(d)
    du = ops.stack(found[::-1], axis=0)
    return du, carried, _weight_gradient(du, _before(h, y))


def _weight_gradient(d: Any, h: Any) -> Any:
    """Σ over steps and batch of d hᵀ: one product."""
    return ops.matmul(ops.matrix_transpose(_rows(d)), _rows(h))


def _rows(x: Any) -> Any:
    return ops.reshape(x, (x.shape[0] * x.shape[1], x.shape[2]))


def _logistic(x: Any) -> Any:
    """The logistic function as a tanh, which NumPy computes several times faster than exp and a quotient."""
    return 0.5 + 0.5 * ops.tanh(0.5 * x)


def _all_gates(size: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Factors and summands by which one tanh over the gates i, f, g, o serves all four: σ(x) = ½ + ½ tanh(½ x), tanh itself for g."""
    factor = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], dtype), size)
    return factor, 1.0 - factor


def lstm_sequence(u: Any, h: Any, c: Any, w: Any) -> tuple[Any, Any]:
    """All outputs and all cell states, each (T, B, H)."""
    size = h.shape[-1]
    factor, summand = _all_gates(size, u.dtype)
    transposed = ops.matrix_transpose(w) * factor
    outputs, cells = [], []
    for step in _steps(u * factor):
        gates = ops.tanh(step + ops.matmul(h, transposed)) * factor + summand
        c = _part(gates, 1, size) * c + _part(gates, 0, size) * _part(gates, 2, size)
        h = _part(gates, 3, size) * ops.tanh(c)
        outputs.append(h)
        cells.append(c)
    return ops.stack(outputs, axis=0), ops.stack(cells, axis=0)


def lstm_derivative(g: Any, gc: Any, y: Any, cells: Any, u: Any, h: Any, c: Any, w: Any) -> tuple[Any, Any, Any, Any]:
    """Gradients of u, h, c, w for the cotangents of the outputs ``y`` and of the cell states; either may be None."""
    size = h.shape[-1]
    h_before, c_before = _before(h, y), _before(c, cells)
    factor, summand = _all_gates(size, u.dtype)
    gates = ops.tanh((u + ops.reshape(_product(_rows(h_before), w), tuple(u.shape))) * factor) * factor + summand
    i, f, n, o = (_part(gates, k, size) for k in range(4))
    t = ops.tanh(cells)
    # What a cotangent of c is multiplied by on its way to the gates i, f, g; and one of h on its way to o and to c.
    to_gates = _steps(ops.concat([n * i * (1.0 - i), c_before * f * (1.0 - f), i * (1.0 - n * n), t * o * (1.0 - o)], axis=-1))
    to_cell, forget = _steps(o * (1.0 - t * t)), _steps(f)
    own_h = _steps(ops.zeros_like(y) if g is None else g)
    own_c = None if gc is None else _steps(gc)
    dh = dc = None
    found = []
    for k in reversed(range(len(own_h))):
        dh = own_h[k] if dh is None else own_h[k] + dh
        dc = dh * to_cell[k] if dc is None else dc + dh * to_cell[k]
        dc = dc if own_c is None else dc + own_c[k]
        d = ops.concat([dc, dc, dc, dh], axis=-1) * to_gates[k]
        dh, dc = ops.matmul(d, w), dc * forget[k]
        found.append(d)
    du = ops.stack(found[::-1], axis=0)
    return du, dh, dc, _weight_gradient(du, h_before)


def gru_sequence(u: Any, h: Any, w: Any, b: Any) -> Any:
    """All states (T, B, H)."""
    size = h.shape[-1]
    transposed = ops.matrix_transpose(w)
    states = []
    for step in _steps(u):
        v = ops.matmul(h, transposed)
        v = v if b is None else v + b
        pair = (..., slice(0, 2 * size))
        s = _logistic(ops.getitem(step, key=pair) + ops.getitem(v, key=pair))
        n = ops.tanh(_part(step, 2, size) + _part(s, 0, size) * _part(v, 2, size))
        h = n + _part(s, 1, size) * (h - n)
        states.append(h)
    return ops.stack(states, axis=0)


def gru_derivative(g: Any, y: Any, u: Any, h: Any, w: Any, b: Any) -> tuple[Any, Any, Any, Any]:
    """Gradients of u, h, w, b for the cotangent of the states ``y``."""
    size = h.shape[-1]
    h_before = _before(h, y)
    v = ops.reshape(_product(_rows(h_before), w), tuple(u.shape))
    v = v if b is None else v + b
    pair = (..., slice(0, 2 * size))
    s = _logistic(ops.getitem(u, key=pair) + ops.getitem(v, key=pair))
    r, z, v_new = _part(s, 0, size), _part(s, 1, size), _part(v, 2, size)
    n = ops.tanh(_part(u, 2, size) + r * v_new)
    new = (1.0 - z) * (1.0 - n * n)
    # From the cotangent of h to those of u (r, z, n), and of v, which differ in n alone.
    reset = new * v_new * r * (1.0 - r)
    update = (h_before - n) * z * (1.0 - z)
    to_u, to_v = ops.concat([reset, update, new], axis=-1), _steps(ops.concat([reset, update, new * r], axis=-1))
    keep, own = _steps(z), _steps(g)
    dh = None
    arrived, found = [], []
    for k in reversed(range(len(own))):
        dh = own[k] if dh is None else own[k] + dh
        d = ops.concat([dh, dh, dh], axis=-1) * to_v[k]
        arrived.append(dh)
        found.append(d)
        dh = ops.matmul(d, w) + dh * keep[k]
    dv = ops.stack(found[::-1], axis=0)
    every = ops.stack(arrived[::-1], axis=0)
    du = ops.concat([every, every, every], axis=-1) * to_u
    return du, dh, _weight_gradient(dv, h_before), None if b is None else ops.sum(_rows(dv), axis=0)

"""Element-wise functions of compiled kernels: right to two units in the last place, everywhere, and still vector instructions.

The oracle is mpmath in 40 digits, which shares nothing with them; for the dense samples of float32 it is NumPy in float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numba
import numpy as np
import pytest

from gradus.kernels import scalar

EXACT: dict[str, Callable[[Any], Any]] = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
}
ULP = 2.0
DTYPES = [np.float32, np.float64]
VECTOR_BITS = {"zmm": 512, "ymm": 256}


@functools.cache
def over_arrays(name: str) -> Any:
    """The function on each element of an array."""
    function = getattr(scalar, name)

    @numba.njit(error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


def apply(name: str, x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    over_arrays(name)(x, out)
    return out


def arguments(name: str, dtype: type) -> np.ndarray:
    """Finite numbers: near the places where a formula ends and the next begins, small, large, and random ones."""
    rng = np.random.default_rng(7)
    limits = np.finfo(dtype)
    top = 90 if dtype is np.float32 else 712
    bits = np.uint32 if dtype is np.float32 else np.uint64
    parts = [
        rng.standard_normal(100) * 2,
        rng.uniform(-top, top, 100),
        rng.integers(0, np.iinfo(bits).max, 100, dtype=bits).view(dtype),
        np.arange(1, 60) * math.pi / 2,
        [0.625, 1, 4, 6, 10, 20, math.sqrt(0.5), math.sqrt(2), math.log(2) / 2, 88.722, 709.78, 17.5, 37.0],
        [limits.tiny, limits.smallest_subnormal, limits.tiny / 4, limits.max, limits.eps, limits.eps / 4, 1e-10, 1e4, 2.0**20, 2.0**20 + 1],
    ]
    with np.errstate(all="ignore"):  # some of the random patterns are NaN
        x = np.concatenate([np.asarray(part, np.float64).clip(-float(limits.max), float(limits.max)).astype(dtype) for part in parts])
    x = x[np.isfinite(x)]
    x = np.concatenate([x, np.nextafter(x, dtype(0)), -x])
    return x[x > 0] if name == "log" else x[x > -1] if name == "log1p" else x


def error_in_ulp(x: np.ndarray, y: np.ndarray, exact: Callable[[Any], Any]) -> np.ndarray:
    """|y - exact(x)| in units of the last place of the rounded exact value, 0 where both overflow."""
    errors = []
    with mpmath.workdps(40):
        for argument, value in zip(x.tolist(), y):
            # exp of such numbers would need as many digits as they have
            right = exact(
                mpmath.mpf(max(min(argument, 1e5), -1e5) if exact not in (mpmath.sin, mpmath.cos, mpmath.log, mpmath.log1p) else argument)
            )
            with np.errstate(all="ignore"):
                rounded = y.dtype.type(float(right))
            if not np.isfinite(rounded) or not np.isfinite(value):
                errors.append(0.0 if value == rounded else math.inf)
            else:
                errors.append(float(abs(mpmath.mpf(float(value)) - right) / mpmath.mpf(float(np.spacing(abs(rounded))))))
    return np.array(errors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_within_two_units_in_the_last_place(name: str, dtype: type) -> None:
    x = arguments(name, dtype)
    y = apply(name, x)
    assert y.dtype == dtype
    error = error_in_ulp(x, y, EXACT[name])
    worst = int(np.argmax(error))
    assert error[worst] <= ULP, f"{name}({x[worst]!r}) = {y[worst]!r}, {error[worst]:.2f} ulp"


@pytest.mark.parametrize("name", [name for name in EXACT if name not in ("erf", "sigmoid")])
def test_a_dense_sample_of_all_float32(name: str) -> None:
    """Every 9973rd bit pattern, NaN and infinities among them, against NumPy in float64."""
    x = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32).view(np.float32)
    y = apply(name, x)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.float64))
        rounded = exact.astype(np.float32)
    special = ~np.isfinite(rounded)
    np.testing.assert_array_equal(y[special], rounded[special])
    error = np.abs(y[~special] - exact[~special]) / np.spacing(np.abs(rounded[~special]))
    assert error.max() <= ULP


inf, nan = math.inf, math.nan
SPECIAL = {
    "exp": [(inf, inf), (-inf, 0.0), (0.0, 1.0), (-0.0, 1.0), (1e30, inf), (-1e30, 0.0)],
    "expm1": [(inf, inf), (-inf, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e30, inf), (-1e30, -1.0)],
    "log": [(inf, inf), (-inf, nan), (0.0, -inf), (-0.0, -inf), (-1.0, nan), (1.0, 0.0), (-1e-40, nan)],
    "log1p": [(inf, inf), (-inf, nan), (0.0, 0.0), (-0.0, -0.0), (-1.0, -inf), (-1.5, nan)],
    "sigmoid": [(inf, 1.0), (-inf, 0.0), (0.0, 0.5), (-0.0, 0.5), (1e30, 1.0), (-1e30, 0.0)],
    "tanh": [(inf, 1.0), (-inf, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e30, 1.0)],
    "erf": [(inf, 1.0), (-inf, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e30, 1.0)],
    "sin": [(inf, nan), (-inf, nan), (0.0, 0.0), (-0.0, -0.0)],
    "cos": [(inf, nan), (-inf, nan), (0.0, 1.0), (-0.0, 1.0)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, dtype: type) -> None:
    x, wanted = (np.array(column, dtype) for column in zip(*SPECIAL[name], (nan, nan)))
    got = apply(name, x)
    np.testing.assert_array_equal(got, wanted)
    known = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(wanted[known]))


def test_overflow_begins_and_ends_where_it_must() -> None:
    x = np.array([88.72283, 88.72284, 89, -103.9, -104, -87.5], np.float32)
    y = apply("exp", x)
    assert np.isfinite(y[0]) and y[1] == y[2] == inf
    assert y[3] == np.float32(1e-45) and y[4] == 0 and 0 < y[5] < np.finfo(np.float32).tiny
    assert apply("sigmoid", np.array([-100], np.float32))[0] == np.float32(math.exp(-100))  # a denormal


# float64 sine and cosine leave large arguments to the C library, which takes a branch
@pytest.mark.parametrize("name, dtype", [(n, d) for n in EXACT for d in DTYPES if n not in ("sin", "cos") or d is np.float32])
def test_loops_become_vector_instructions(name: str, dtype: type) -> None:
    apply(name, np.ones(3, dtype))
    assembly = next(text for kinds, text in over_arrays(name).inspect_asm().items() if kinds[0].dtype == numba.from_dtype(dtype))
    if "ymm" not in assembly and "zmm" not in assembly:
        pytest.skip("this processor has no registers wider than 128 bits")
    operation = "mulps" if dtype is np.float32 else "mulpd"
    assert any(operation in line and any(register in line for register in VECTOR_BITS) for line in assembly.splitlines())
    assert not any("call" in line and name in line for line in assembly.splitlines())


def test_an_argument_of_another_type_is_refused() -> None:
    with pytest.raises(numba.TypingError):
        apply("exp", np.array([1], np.int64))


def test_outside_of_compiled_code_they_say_so() -> None:
    with pytest.raises(NotImplementedError, match="compiled code"):
        scalar.exp(1.0)

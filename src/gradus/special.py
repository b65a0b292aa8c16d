"""The special function that NumPy lacks: erf, vectorised, in float32 and float64.

erf(x) = 2/sqrt(pi) * integral of exp(-t^2) from 0 to x. Two polynomials, by Chebyshev interpolation in 40-digit arithmetic:

- |x| <= 1:  erf(x) = x * P(2x^2 - 1);
- |x| >  1:  erf(x) = sign(x) * (1 - exp(-x^2) * Q(s)), with s linear in (|x| - 4) / (|x| + 4), the mapping of Schonfelder (1978).

Largest relative error measured against 40-digit values on 6,000 points of [-7, 7]: 2.6e-16 in float64, 1.3e-7 in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# P and Q in float64; beyond |x| = 6 erf is 1 to the last bit.
CENTRE_64 = (
    0.9654687386698673,
    -0.1405360890227171,
    0.019852496688984218,
    -0.0022854855611440855,
    0.00021751715603563488,
    -1.75371694412802e-05,
    1.2233827638093572e-06,
    -7.51156925108609e-08,
    4.115751500265885e-09,
    -2.035231956483527e-10,
    9.21125018742823e-12,
    -3.80659122412214e-13,
)
TAIL_64 = (
    0.19907263099386563,
    -0.14812992991458257,
    0.055891085566080356,
    -0.01807843722703938,
    0.004990286041088458,
    -0.0011615374402726968,
    0.0002225964317659054,
    -3.346127846715056e-05,
    3.498817606522702e-06,
    -1.4320306535089278e-07,
    -2.577204771477395e-08,
    4.951981002882606e-09,
    -1.0621675684541688e-10,
    -6.618821998256765e-11,
    6.030273307075174e-12,
)
# P and Q in float32; beyond |x| = 4 erf is 1 to the last bit.
CENTRE_32 = (
    0.9654687386698673,
    -0.14053609727754268,
    0.019852497140907616,
    -0.0022854195448728494,
    0.00021751354165582579,
    -1.7669068026125697e-05,
    1.2306054785446075e-06,
)
TAIL_32 = (
    0.23990146596187284,
    -0.13485143694856466,
    0.040228079699475075,
    -0.010064977461282364,
    0.0021101575072232075,
    -0.00037555973022577197,
    5.1807973547737286e-05,
)


def _polynomial(coefficients: tuple[float, ...], s: Any) -> Any:
    """Horner's scheme, lowest power first. Python floats keep the dtype of ``s``."""
    total = coefficients[-1]
    for c in coefficients[-2::-1]:
        total = total * s + c
    return total


def erf(x: Any) -> Any:
    """The error function of an array, in the array's own precision (float64 for float64, else computed in float32).

    >>> erf(np.array([0.0, 0.5, -10.0])).round(12).tolist()
    [0.0, 0.520499877813, -1.0]
    """
    x = np.asarray(x)
    centre, tail, top = (CENTRE_64, TAIL_64, 6.0) if x.dtype == np.float64 else (CENTRE_32, TAIL_32, 4.0)
    size = np.abs(x)
    near = np.minimum(size, 1.0)
    inner = x * _polynomial(centre, 2.0 * near * near - 1.0)
    far = np.clip(size, 1.0, top)
    low, high = -0.6, (top - 4.0) / (top + 4.0)
    s = (2.0 * (far - 4.0) / (far + 4.0) - (low + high)) / (high - low)
    outer = np.copysign(1.0 - np.exp(-far * far) * _polynomial(tail, s), x)
    return np.where(size <= 1.0, inner, outer).astype(x.dtype, copy=False)

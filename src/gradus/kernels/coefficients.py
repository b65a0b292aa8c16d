"""The numbers of :mod:`gradus.kernels.scalar`, for each precision; lowest power first.

The polynomials are minimax fits by Remez's exchange in 50-digit arithmetic; behind each stands the largest error of the fit, weighted as it
enters the result.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np


def _typed(number: Any, **values: Any) -> SimpleNamespace:
    """The values as NumPy scalars of one type: Numba takes them as literals of that type, where a Python float would be float64."""
    typed = {name: tuple(map(number, value)) if isinstance(value, tuple) else number(value) for name, value in values.items()}
    return SimpleNamespace(
        number=number, zero=number(0), half=number(0.5), one=number(1), two=number(2), inf=number(np.inf), nan=number(np.nan), **typed
    )


SINGLE = _typed(
    np.float32,
    least_normal=2.0**-126,
    lift=2.0**25,  # makes every denormal a normal number
    lift_exponent=25,
    log2_e=1.4426950408889634,
    ln2_high=0.693115234375,  # 12 bits: its product with an exponent is exact
    ln2_low=0.000031946184945309417,
    exp_low=-105.0,  # from here on exp is 0, and from exp_high on inf
    exp_high=89.0,
    exp_border=-80.0,
    exp_drop=2.0**-63,
    expm1_low=-20.0,  # from here on expm1 is -1
    linear=2.0**-25,  # below, expm1(x) is x
    # (exp(r) - 1 - r) / r², |r| <= ln(2) / 2: 3.1e-9
    exp=(0.499999935, 0.166665214, 0.0416683744, 0.00836864634, 0.0013814966),
    # (log(1 + f) - 2 s) / s³ in s², s = f / (2 + f): 1.7e-9
    log=(0.666667708, 0.399780879, 0.298593741),
    # (tanh(x) - x) / x³ in x², |x| <= 0.625: 4.2e-9
    tanh=(-0.333332851, 0.133315159, -0.0537451891, 0.0206553233, -0.00572171188),
    tanh_top=10.0,  # from here on tanh is 1
    # erf(x) / x - 1 in x², |x| <= 1: 1.2e-9
    erf=(0.128379166, -0.376126271, 0.112836002, -0.0268544456, 0.00518953646, -0.00080208457, 7.88911916e-5),
    # (1 - erf(x)) exp(x²) in (x - 4) / (x + 4), 1 <= x <= erf_top: 1.3e-9
    erfc=(0.1370008, -0.258948395, 0.220540599, -0.152740118, 0.146127325, 0.000651068608, 0.0844431662),
    erf_top=4.0,  # from here on erf is 1
    four=4.0,
    # (sin(r) - r) / r³ and (cos(r) - 1 + r²/2) / r⁴ in r², |r| <= π/4: 3.8e-9, 1.4e-10
    sin=(-0.166666555, 0.00833220473, -0.000195201712),
    cos=(0.0416666523, -0.00138875929, 2.44609668e-5),
    tanh_border=0.625,
)

DOUBLE = _typed(
    np.float64,
    least_normal=2.0**-1022,
    lift=2.0**54,
    lift_exponent=54,
    log2_e=1.4426950408889634,
    ln2_high=0.6931471803691238,  # 32 bits
    ln2_low=1.9082149292705878e-10,
    exp_low=-746.0,
    exp_high=710.0,
    exp_border=-700.0,
    exp_drop=2.0**-63,
    expm1_low=-40.0,
    linear=2.0**-54,
    exp=(
        0.5,
        0.16666666666666683,
        0.041666666666666723,
        0.008333333333316987,
        0.0013888888888859029,
        0.00019841269896604658,
        2.4801587372927479e-5,
        2.7557234578130897e-6,
        2.7557233886728023e-7,
        2.5112150073840818e-8,
        2.0926813792558555e-9,
    ),  # 5.6e-20
    log=(
        0.66666666666667148,
        0.39999999999520655,
        0.28571428722000291,
        0.22222200443047457,
        0.18183475632319895,
        0.15316151864122381,
        0.14776272621499471,
    ),  # 2.8e-18
    tanh=(
        -0.33333333333332931,
        0.13333333333270094,
        -0.053968253934368718,
        0.021869487637486254,
        -0.0088632217142777649,
        0.0035919943391986578,
        -0.0014549830484423837,
        0.0005863894247313614,
        -0.00022870103035750065,
        7.7289812659646021e-5,
        -1.6139451795186373e-5,
    ),  # 9.9e-18
    tanh_top=20.0,
    erf=(
        0.12837916709551257,
        -0.37612638903183547,
        0.11283791670945253,
        -0.026866170643276218,
        0.0052239776074234678,
        -0.0008548325989696758,
        0.00012055295320494294,
        -1.492474466333549e-5,
        1.6447517677871874e-6,
        -1.6209175911748696e-7,
        1.3722976265924503e-8,
        -7.8011888740977516e-10,
    ),  # 7.1e-18
    erfc=(
        0.13699945762505735,
        -0.25906804876027295,
        0.21871967892049825,
        -0.16425781667197025,
        0.10896317725358272,
        -0.063107817644778223,
        0.03129905564754743,
        -0.012843892796871452,
        0.0040604617761661449,
        -0.00079924081821645102,
        -2.4301986560232762e-5,
        7.1288306179714795e-5,
        -3.41330579419173e-5,
        -1.106948708987502e-5,
    ),  # 5.0e-18
    erf_top=6.0,
    four=4.0,
    sin=(
        -0.16666666666666639,
        0.0083333333333237741,
        -0.00019841269830704239,
        2.7557313959042024e-6,
        -2.5050795048359795e-8,
        1.5898723103152015e-10,
    ),  # 3.9e-18
    cos=(
        0.041666666666666657,
        -0.0013888888888883363,
        2.4801587294867844e-5,
        -2.7557315812092704e-7,
        2.0875910387632541e-9,
        -1.1368825919798715e-11,
    ),  # 9.8e-20
    tanh_border=0.625,
)

# 1 / 2π in seven parts of 29 bits: the product of a part with a float32 is exact in float64.
TURN_PARTS = tuple(
    float.fromhex(part)
    for part in (
        "0x1.45f306dp-3",
        "0x1.9391054p-32",
        "0x1.4fe13abp-61",
        "0x1.d1f534dp-90",
        "0x1.b81b6c5p-119",
        "0x1.5993c4p-150",
        "0x1.c820ff2p-177",
    )
)
# π/2 in three parts of 30 bits, and the rest.
QUARTER_PARTS = tuple(float.fromhex(part) for part in ("0x1.921fb544p+0", "0x1.0b46118p-34", "0x1.313198ap-61", "0x1.701b839a25205p-92"))

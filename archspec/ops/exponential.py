"""Exponentials and their kin.

The float32 bodies are branch-free, so that LLVM vectorises a loop over them: a call of the C library's `expf` for each
element is 14 times slower. Range reductions and coefficients are those of Cephes (Moshier, Methods and Programs for
Mathematical Functions, 1989) unless said otherwise. float64 calls the C library, for its last digits.

Constants are wrapped in `F`, since Numba would compute `x * 0.5` in float64. `bits_of` and `float_of` reinterpret 32
bits; they, `maximum` and `minimum` (which keep NaN) are given to these bodies when they are compiled.
"""

# ruff: noqa: F821
# mypy: disable-error-code="no-untyped-def, no-untyped-call, name-defined, no-any-return"

from __future__ import annotations

import math

from archspec.ops.record import OPS, Op

LOW, HIGH = -87.33654, 88.72283  # ln of the least normal and of the largest float32


ROUND = 12582912.0  # 1.5 * 2^23: what is added to it is rounded to whole numbers, which its last bits then hold


def exp_f4(x):
    """2^n e^r. Beyond LOW and HIGH what comes out of n and r is of no meaning, and replaced."""
    t = x * F(1.44269504088896341) + F(ROUND)
    n = t - F(ROUND)
    r = x - n * F(0.693359375) + n * F(2.12194440e-4)
    p = F(1.9875691500e-4)
    p = p * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    p = p * r * r + r + F(1.0)
    y = float_of(bits_of(p) + (bits_of(t) << np.int32(23)))
    y = F(0.0) if x < F(LOW) else y
    return y if x <= F(HIGH) else x + F(math.inf)


def expm1_f4(x):
    t = x * F(1.44269504088896341) + F(ROUND)
    n = t - F(ROUND)
    r = x - n * F(0.693359375) + n * F(2.12194440e-4)
    p = F(1.9875691500e-4)
    p = p * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    small = p * r * r + r
    half = float_of((bits_of(t) + np.int32(126)) << np.int32(23))
    y = F(2.0) * (half * small + (half - F(0.5)))
    y = F(-1.0) if x < F(-20.0) else y
    return y if x <= F(HIGH) else x + F(math.inf)


def log_f4(x):
    tiny = x < F(1.17549435e-38)
    scaled = x * F(8388608.0) if tiny else x
    bits = bits_of(scaled)
    e = number((bits >> np.int32(23)) - np.int32(126)) - (F(23.0) if tiny else F(0.0))
    m = float_of((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000))
    low = m < F(0.707106781186547524)
    e = e - F(1.0) if low else e
    r = m + m - F(1.0) if low else m - F(1.0)
    z = r * r
    p = F(7.0376836292e-2)
    p = p * r - F(1.1514610310e-1)
    p = p * r + F(1.1676998740e-1)
    p = p * r - F(1.2420140846e-1)
    p = p * r + F(1.4249322787e-1)
    p = p * r - F(1.6668057665e-1)
    p = p * r + F(2.0000714765e-1)
    p = p * r - F(2.4999993993e-1)
    p = p * r + F(3.3333331174e-1)
    y = r * z * p - e * F(2.12194440e-4) - F(0.5) * z
    y = r + y + e * F(0.693359375)
    y = F(-math.inf) if x == F(0.0) else y
    y = F(math.nan) if x < F(0.0) else y
    return x if not x < F(math.inf) else y


def log1p_f4(x):
    """log(1 + x), the rounding of 1 + x made good (Higham, Accuracy and Stability, 2002, section 1.14.1)."""
    u = F(1.0) + x
    d = u - F(1.0)
    exact = d == F(0.0)
    y = log_f4(u) * (x / (F(1.0) if exact else d))
    y = F(math.inf) if u == F(math.inf) else y
    return x if exact else y


def sigmoid_f4(x):
    return F(1.0) / (F(1.0) + exp_f4(-x))


def sigmoid_f8(x):
    e = math.exp(-abs(x))
    return 1.0 / (1.0 + e) if x >= 0.0 else e / (1.0 + e)


def tanh_f4(x):
    """m / (m + 1) of m = (e^2|x| - 1) / 2, with the sign of x: no digits are lost near 0. From 9.02 on it is 1."""
    a = minimum(abs(x), F(10.0))
    t = a * F(2.88539008177792681) + F(ROUND)
    n = t - F(ROUND)
    r = a - n * F(0.3466796875) + n * F(1.06097220e-4)
    p = F(1.27204425600e-2)
    p = p * r + F(4.47423984224e-2)
    p = p * r + F(1.333352305168e-1)
    p = p * r + F(3.333263671520e-1)
    p = p * r + F(6.6666661836e-1)
    p = p * r + F(1.00000002402)
    small = p * r * r + r
    power = float_of((bits_of(t) + np.int32(127)) << np.int32(23))
    m = power * small + (power * F(0.5) - F(0.5))
    return math.copysign(m / (m + F(1.0)), x)


def erf_f4(x):
    """A rational function on [-4, 4], beyond which erf is 1 to the last digit (the coefficients of Eigen's erf)."""
    c = maximum(minimum(x, F(4.0)), F(-4.0))
    z = c * c
    p = F(-2.72614225801306e-10)
    p = p * z + F(2.77068142495902e-08)
    p = p * z - F(2.10102402082508e-06)
    p = p * z - F(5.69250639462346e-05)
    p = p * z - F(7.34990630326855e-04)
    p = p * z - F(2.95459980854025e-03)
    p = p * z - F(1.60960333262415e-02)
    q = F(-1.45660718464996e-05)
    q = q * z - F(2.13374055278905e-04)
    q = q * z - F(1.68282697438203e-03)
    q = q * z - F(7.37332916720468e-03)
    q = q * z - F(1.42647390514189e-02)
    return c * (p / q)


def exp_f8(x):
    return math.exp(x)


def expm1_f8(x):
    return math.expm1(x)


def log_f8(x):
    return math.log(x) if x > 0.0 else (-math.inf if x == 0.0 else math.nan)


def log1p_f8(x):
    return math.log1p(x) if x > -1.0 else (-math.inf if x == -1.0 else math.nan)


def tanh_f8(x):
    return math.tanh(x)


def erf_f8(x):
    return math.erf(x)


SINGLES = ((0.3,), (-1.7,), (2.9,))
POSITIVE = ((0.3,), (1.7,), (40.0,))


def _erf(np, a):
    return np.vectorize(math.erf, otypes=[float])(a)


OPS.add(
    Op(
        "exp",
        "map",
        1,
        "e ^ a",
        "exp({0})",
        functions={"exp": {"f4": exp_f4, "f8": exp_f8}},
        reference=lambda np, a: np.exp(a),
        gradient=lambda x, y, dy: (dy * y,),
        samples=SINGLES,
    )
)
OPS.add(
    Op(
        "expm1",
        "map",
        1,
        "e ^ a - 1, exact near 0",
        "expm1({0})",
        functions={"expm1": {"f4": expm1_f4, "f8": expm1_f8}},
        reference=lambda np, a: np.expm1(a),
        gradient=lambda x, y, dy: (dy * (y + 1.0),),
        samples=SINGLES,
    )
)
OPS.add(
    Op(
        "log",
        "map",
        1,
        "the natural logarithm of a",
        "log({0})",
        functions={"log": {"f4": log_f4, "f8": log_f8}},
        reference=lambda np, a: np.log(a),
        gradient=lambda x, y, dy: (dy / x[0],),
        samples=POSITIVE,
    )
)
OPS.add(
    Op(
        "log1p",
        "map",
        1,
        "log(1 + a), exact near 0",
        "log1p({0})",
        functions={"log1p": {"f4": log1p_f4, "f8": log1p_f8}},
        reference=lambda np, a: np.log1p(a),
        gradient=lambda x, y, dy: (dy / (1.0 + x[0]),),
        samples=POSITIVE,
    )
)
OPS.add(
    Op(
        "sigmoid",
        "map",
        1,
        "1 / (1 + e ^ -a)",
        "sigmoid({0})",
        functions={"sigmoid": {"f4": sigmoid_f4, "f8": sigmoid_f8}},
        reference=lambda np, a: 0.5 * (1.0 + np.tanh(0.5 * a)),
        gradient=lambda x, y, dy: (dy * y * (1.0 - y),),
        samples=SINGLES,
    )
)
OPS.add(
    Op(
        "tanh",
        "map",
        1,
        "the hyperbolic tangent of a",
        "tanh({0})",
        functions={"tanh": {"f4": tanh_f4, "f8": tanh_f8}},
        reference=lambda np, a: np.tanh(a),
        gradient=lambda x, y, dy: (dy * (1.0 - y * y),),
        samples=SINGLES,
    )
)
OPS.add(
    Op(
        "erf",
        "map",
        1,
        "2/sqrt(pi) times the integral of e ^ -t^2 from 0 to a",
        "erf({0})",
        functions={"erf": {"f4": erf_f4, "f8": erf_f8}},
        reference=_erf,
        gradient=lambda x, y, dy: (dy * (2.0 / math.sqrt(math.pi)) * (-(x[0] * x[0])).apply("exp"),),
        samples=SINGLES,
    )
)

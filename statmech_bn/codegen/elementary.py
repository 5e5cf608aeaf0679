r"""exp, log, tanh and erf without branches or calls: a loop over them becomes vector instructions.

Those of the C library cost 4 to 8 ns for each number, most of the time of a simulated step. Here
x = k log 2 + r with |r| ≤ ½ log 2, and 2ᵏ is written into the bits of a number; log x takes them
apart again. The series of exp r and of artanh are cut where they reach rounding:

    exp x = 2ᵏ Σ_{n≤13} rⁿ/n!
    log x = k log 2 + 2 Σ_{n≤9} s²ⁿ⁺¹/(2n+1),   s = (f − 1)/(f + 1),  x = 2ᵏ f,  ½ ≤ f² < 2
    erf x = (1 − e) + e p(x),   e = exp(−x²),  p = 1 − exp(x²) erfc x  for 0 ≤ x

    erfc x = e q(x)/(1 + 2x),         q = (1 + 2x) exp(x²) erfc x   for 0 ≤ x
    expm1 x = 2ᵏ (exp r − 1) + (2ᵏ − 1)
    log1p x = log u + (x − (u − 1))/u,   u = 1 + x rounded
    tanh x  = −t/(2 + t),                t = expm1(−2x)             for 0 ≤ x

where p/y is a polynomial in y = x/(x + POLE), and q one in (x − 2)/(x + 2), fitted on Chebyshev
nodes; 1 − e is a series for x < 0.1. exp and log are accurate to 3 units in the last place, the
others to 8, erfc also by the rounding of x². A result of exp below 10⁻³⁰⁷ is 0.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import scipy.special
import sympy as sp
from numpy.polynomial import chebyshev

SHIFT = 1.5 * 2.0**52
"""Adding this number rounds to an integer, which then stands in the lowest bits."""
SHIFT_BITS = int(np.float64(SHIFT).view(np.int64))
ROOT_HALF_BITS = int(np.float64(math.sqrt(0.5)).view(np.int64))
LOG2_HIGH = round(math.log(2) * 2.0**32) / 2.0**32
"""The product of this leading part of log 2 and an integer of 20 bits is exact."""
LOG2_LOW = float((sp.log(2) - sp.Rational(LOG2_HIGH)).evalf(20))
EXP_SERIES = tuple(1 / math.factorial(n) for n in range(13, -1, -1))
LOG_SERIES = tuple(2 / (2 * n + 1) for n in range(9, -1, -1))
SMALLEST, LARGEST = -707.7, math.log(np.finfo(float).max)
"""exp is 0 below the first argument, and infinite above the second."""
LAST, POLE = 6.0, 2.25
"""erf is 1 to rounding beyond LAST; with this POLE few terms of p are enough."""
WIDTH = LAST / (LAST + POLE)
END = 27.0
"""erfc 27 is below every number."""
CENTRE = 2.0
"""Where (x − 2)/(x + 2) is 0."""
ERFC_HIGH = (END - CENTRE) / (END + CENTRE)
EXPM1_SERIES = tuple(1 / math.factorial(n) for n in range(14, 0, -1))
GAUSS_SERIES = tuple((-1.0) ** n / math.factorial(n + 1) for n in range(5, -1, -1))
"""(1 − exp(−y))/y in powers of y."""


def _erf_series() -> tuple[float, ...]:
    nodes = chebyshev.chebpts1(18)
    y = WIDTH * (1 + nodes) / 2
    x = POLE * y / (1 - y)
    near = np.exp(x * x) * scipy.special.erf(x) - np.expm1(x * x)
    p = np.where(x < 1, near, 1 - scipy.special.erfcx(x))
    series = chebyshev.cheb2poly(chebyshev.chebfit(nodes, p / y, nodes.size - 1))
    return tuple(float(coefficient) for coefficient in series[::-1])


def _erfc_series() -> tuple[float, ...]:
    nodes = chebyshev.chebpts1(26)
    t = -1.0 + (ERFC_HIGH + 1) * (1 + nodes) / 2
    x = CENTRE * (1 + t) / (1 - t)
    q = (1 + 2 * x) * scipy.special.erfcx(x)
    series = chebyshev.cheb2poly(chebyshev.chebfit(nodes, q, nodes.size - 1))
    return tuple(float(coefficient) for coefficient in series[::-1])


ERF_SERIES = _erf_series()
ERFC_SERIES = _erfc_series()
inlined = numba.njit(error_model="numpy", fastmath={"contract"}, forceinline=True)
"""LLVM turns a loop into vector instructions only if nothing in it is called."""


@inlined
def polynomial(coefficients, x):
    """Evaluate a polynomial of odd degree, highest power first, as two short chains."""
    odd, even, square = coefficients[0], coefficients[1], x * x
    for n in range(1, len(coefficients) // 2):
        odd = odd * square + coefficients[2 * n]
        even = even * square + coefficients[2 * n + 1]
    return odd * x + even


@inlined
def exp(x):
    """Evaluate eˣ."""
    shifted = x * (1.0 / math.log(2.0)) + SHIFT
    k = shifted - SHIFT
    rest = (x - k * LOG2_HIGH) - k * LOG2_LOW
    exponent = (np.float64(shifted).view(np.int64) << 52) + (1022 << 52)  # of 2ᵏ⁻¹: no overflow
    result = 2.0 * (polynomial(EXP_SERIES, rest) * np.int64(exponent).view(np.float64))
    return np.inf if x > LARGEST else (0.0 if x < SMALLEST else result)


@inlined
def log(x):
    """Evaluate log x; NaN below 0."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - ROOT_HALF_BITS) >> 52
    k = np.int64(exponent + SHIFT_BITS).view(np.float64) - SHIFT
    beyond = np.int64(bits - (exponent << 52)).view(np.float64) - 1.0
    s = beyond / (2.0 + beyond)
    result = (s * polynomial(LOG_SERIES, s * s) + k * LOG2_LOW) + k * LOG2_HIGH
    result = result if x < np.inf else x
    return result if x > 0.0 else (-np.inf if x == 0.0 else np.nan)


@inlined
def expm1(x):
    """Evaluate eˣ − 1."""
    shifted = x * (1.0 / math.log(2.0)) + SHIFT
    k = shifted - SHIFT
    rest = (x - k * LOG2_HIGH) - k * LOG2_LOW
    exponent = (np.float64(shifted).view(np.int64) << 52) + (1022 << 52)  # of 2ᵏ⁻¹: no overflow
    half = np.int64(exponent).view(np.float64)
    result = 2.0 * (half * (rest * polynomial(EXPM1_SERIES, rest)) + (half - 0.5))
    return np.inf if x > LARGEST else (-1.0 if x < -40.0 else result)


@inlined
def log1p(x):
    """Evaluate log(1 + x); NaN below −1."""
    u = 1.0 + x
    lost = (x - (u - 1.0)) / u
    return log(u) + (lost if abs(lost) < 1.0 else 0.0)  # NaN where u is 0 or infinite


@inlined
def tanh(x):
    """Evaluate tanh x."""
    t = expm1(-2.0 * abs(x))
    return math.copysign(t / (2.0 + t), x)


@inlined
def erf(x, gauss):
    """Evaluate erf x, given exp(−x²), which its derivative needs as well."""
    size = LAST if abs(x) > LAST else abs(x)
    y, square = size / (size + POLE), size * size
    p = y * polynomial(ERF_SERIES, y * (2.0 / WIDTH) - 1.0)
    beyond = square * polynomial(GAUSS_SERIES, square) if size < 0.1 else 1.0 - gauss
    return math.copysign(beyond + gauss * p, x)


@inlined
def erfc(x, gauss):
    """Evaluate erfc x, given exp(−x²)."""
    size = END if abs(x) > END else abs(x)
    t = (size - CENTRE) / (size + CENTRE)
    scaled = (2.0 * t + (1.0 - ERFC_HIGH)) / (1.0 + ERFC_HIGH)
    right = gauss * polynomial(ERFC_SERIES, scaled) / (1.0 + 2.0 * size)
    return right if x >= 0.0 else 2.0 - right

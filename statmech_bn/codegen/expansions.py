r"""What g(z) is near a point, and far out, as formulas that floating-point numbers evaluate.

- About a point p at which g is 0/0 or cancels, its Taylor polynomial, whose coefficients are Cauchy
  integrals: c_n = (1/2π) ∫ g(p + ρe^{iφ}) ρ⁻ⁿ e^{−inφ} dφ.
- Beyond |z| = T on one side, with y = |z|,

      g = exp(b y² + a y) yᵏ P(T/y),

  or 0 if |g| < 10⁻³⁰⁰ there. The exponents a, b and k follow from log |g| at four y that are so
  large that P is constant, the polynomial P from g at Chebyshev nodes. A product of a huge and a
  small factor is written as one exponential, so that it is finite wherever g is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np
import sympy as sp
from numpy.polynomial import chebyshev, polynomial
from sympy.codegen.cfunctions import log1p

from statmech_bn.codegen.many_digits import digits

TERMS = 16
"""Degree of a Taylor polynomial; it holds up to ρ/8, and 8⁻¹⁶ is below rounding."""
CIRCLES = (4.0, 1.0, 0.25, 2.0**-4, 2.0**-6)
"""Radii ρ that are tried."""
STARTS = (3.0, 6.0, 12.0, 20.0, 40.0, 100.0, 200.0, 400.0, 1e3, 1e4, 1e6, 1e9, 1e18)
"""The T that are tried."""
NODES = (1, 2, 5, 15)
"""Numbers of coefficients of P that are tried."""
ROUNDING = 1e-15
"""Relative error of a formula in exact arithmetic that is accepted."""
VANISHING = 1e-300
"""Values below it are 0."""

FITS = (
    ([mpmath.mpf(10) ** 30 * 2**j for j in range(4)], 1, 1e9),
    ([mpmath.mpf(120 + 40 * j) for j in range(13)], 10, 600.0),
    ([mpmath.mpf(24 + 8 * j) for j in range(13)], 10, 120.0),
)
"""The y at which log |g| is fitted, with how many powers of 1/y beside b, a and k, and up to which
y the result is compared. The others are for what is 0 at the first, since more digits cancel, or is
there only what is left when they have cancelled."""

Exact = Callable[..., Any]


class Local(NamedTuple):
    """A Taylor polynomial about a point."""

    point: float
    radius: float
    form: sp.Expr


class Tail(NamedTuple):
    """A formula that holds for side·z > start."""

    side: int
    start: float
    form: sp.Expr


def taylor(analytic: Exact, exact: Exact, x: sp.Symbol, point: float) -> Local | None:
    """Return a polynomial, with the radius in which it is the function.

    Parameters
    ----------
    analytic, exact : callable
        The function by :func:`exactly`, for complex and for real arguments.
    x : sympy.Symbol
    point : float

    Returns
    -------
    Local or None
        None where the function is not analytic.
    """
    count = 4 * TERMS
    for circle in CIRCLES:
        with mpmath.workdps(40):
            turns = [mpmath.expjpi(mpmath.mpf(2 * k + 1) / count) for k in range(count)]
            values = [analytic(point + circle * turn, 40) for turn in turns]
            if any(value is None or not mpmath.isfinite(value) for value in values):
                continue
            scaled = [
                mpmath.re(mpmath.fsum(v / t**n for v, t in zip(values, turns, strict=True))) / count
                for n in range(TERMS + 1)
            ]
        size = max(map(abs, scaled))
        series = [
            float(c / mpmath.mpf(circle) ** n) if abs(c) > 1e-17 * size else 0.0
            for n, c in enumerate(scaled)
        ]
        radius = circle / 8
        steps = [s * radius * f for s in (-1, 1) for f in (1e-12, 1e-5, 0.01, 0.1, 0.5, 0.9, 1)]
        floor = 1e-16 * float(size) * (point != 0) + VANISHING
        true = [exact(point + step) for step in steps]
        found = polynomial.polyval(np.array(steps), series)
        if all(
            t is not None and abs(f - t) <= 2 * ROUNDING * abs(t) + floor
            for f, t in zip(found, true, strict=True)
        ):
            return Local(point, radius, nested(series, x - point))
    return None


def tail(
    exact: Exact, x: sp.Symbol, side: int, sizes: Sequence[float], needed: float
) -> Tail | None:
    """Return what the function is far out.

    Parameters
    ----------
    exact : callable
        The function by :func:`exactly`.
    x : sympy.Symbol
    side : {-1, 1}
    sizes : sequence of float
        The |z| at which the formula is compared, ascending.
    needed : float
        The |z| from which the formula is needed. It starts as little below that as possible, since
        it is the simpler the further out.

    Returns
    -------
    Tail or None
        None where the function has no such form.
    """
    values = [exact(side * size) for size in sizes]
    if any(value is None for value in values):
        return None
    if (found := _growing(exact, x, side, sizes, needed)) is not None:
        return found
    last = next((i for i in reversed(range(len(sizes))) if abs(values[i]) >= VANISHING), -1)
    return Tail(side, sizes[last + 1], sp.S.Zero) if last + 1 < len(sizes) else None


def _growing(
    exact: Exact, x: sp.Symbol, side: int, sizes: Sequence[float], needed: float
) -> Tail | None:
    """Return exp(b y² + a y) yᵏ P(T/y) of least T, None where it does not fit."""
    found: Tail | None = None
    for fit in FITS:
        exponents = _exponents(exact, side, *fit)
        if exponents is None:
            continue
        before = STARTS[-1] if found is None else found.start
        start, series = _amplitude(exact, side, exponents, sizes, needed, before)
        if series is not None:
            b, a, k, _ = exponents
            form = _form(x, side, (float(b), float(a), k), start, needed, series)
            found = Tail(side, start, form)
        if found is not None and found.start <= needed:
            break
    return found


def _amplitude(
    exact: Exact,
    side: int,
    exponents: tuple[Any, Any, sp.Rational, float],
    sizes: Sequence[float],
    needed: float,
    before: float,
) -> tuple[float, list[float] | None]:
    """Return T, at most `before`, and the coefficients of P; None where it does not fit."""
    b, a, k, last = exponents

    def amplitude(y: Any) -> Any:
        """Return P(T/y) in many digits."""
        with mpmath.workdps(digits(y)):
            value = exact(side * mpmath.mpf(y))
            growth = mpmath.exp((b * y + a) * y) * mpmath.mpf(y) ** (mpmath.mpf(k.p) / k.q)
            return None if value is None else value / growth

    below = [start for start in STARTS if start < needed]
    for start in (*reversed(below), *STARTS[len(below) :]):
        if start > before:
            continue
        compared = [(y, amplitude(y)) for y in sizes if start <= y <= last]
        for nodes in NODES if compared else ():
            series = _series(amplitude, start, last, nodes)
            if series is not None and all(
                true is not None
                and abs(polynomial.polyval(start / y, series) - true) <= ROUNDING * abs(true)
                for y, true in compared
            ):
                return start, series
    return before, None


def _exponents(
    exact: Exact, side: int, places: Sequence[Any], more: int, last: float
) -> tuple[Any, Any, sp.Rational, float] | None:
    """Return b, a and k of exp(b y² + a y) yᵏ, and the largest y at which it is compared."""
    with mpmath.workdps(700):
        values, fewer = ([exact(side * y, carried) for y in places] for carried in (700, 600))
        if any(v is None or v == 0 or not mpmath.isfinite(v) for v in values):
            return None
        if any(abs(v - w) > 1e-20 * abs(v) for v, w in zip(values, fewer, strict=True)):
            return None  # all digits cancel
        logs = [mpmath.log(abs(v)) for v in values]
        b, a, k = _fit(places, logs, lambda y: [y * y, y, mpmath.log(y)], more)
        power = sp.Rational(str(mpmath.nstr(k, 25))).limit_denominator(12)
        if abs(mpmath.mpf(power.p) / power.q - k) > 1e-3:
            return None
        rest = [v - power * mpmath.log(y) for v, y in zip(logs, places, strict=True)]
        b, a = (_simple(c) for c in _fit(places, rest, lambda y: [y * y, y], more + 1))
        return b, a, power, 1e150 if a == b == 0 else last


def _fit(
    places: Sequence[Any], logs: Sequence[Any], terms: Callable[[Any], list[Any]], more: int
) -> list[Any]:
    """Return the coefficients of some terms; the others are powers of 1/y."""
    rows = mpmath.matrix([[*terms(y), *(y**-n for n in range(more))] for y in places])
    solved = list(mpmath.lu_solve(rows, mpmath.matrix(logs)))
    return solved[: len(solved) - more]


def _simple(rate: Any) -> Any:
    """Return a rate of growth, as a simple fraction if it is one to many digits."""
    near = sp.Rational(str(mpmath.nstr(rate, 40))).limit_denominator(1000)
    fraction = mpmath.mpf(near.p) / near.q
    return fraction if abs(fraction - rate) < 1e-12 else rate


def _series(
    amplitude: Callable[[Any], Any], start: float, last: float, count: int
) -> list[float] | None:
    """Return some coefficients of P, lowest power first, from as many y between two."""
    nodes = start / last + (1 - start / last) * (1 + chebyshev.chebpts1(count)) / 2
    values = [amplitude(start / mpmath.mpf(node)) for node in nodes]
    if any(v is None or not 1e-290 < abs(v) < 1e290 for v in values):
        return None
    with mpmath.workdps(60):
        rows = mpmath.matrix([[mpmath.mpf(node) ** n for n in range(count)] for node in nodes])
        return [float(c) for c in mpmath.lu_solve(rows, mpmath.matrix(values))]


def _form(
    x: sp.Symbol,
    side: int,
    exponents: tuple[float, float, sp.Rational],
    start: float,
    needed: float,
    series: Sequence[float],
) -> sp.Expr:
    """Write the formula; where yᵏ alone could overflow, as one exponential, too."""
    b, a, k = exponents
    y, sign, unit = side * x, math.copysign(1, series[0]), abs(series[0])
    if b == a == 0 and k * math.log10(needed) < 290 and (k <= 1 or unit >= 1):
        return nested(series, start / y) * y**k
    # SymPy would take numbers out of the exponential, but it leaves log1p alone. What grows may
    # still be finite where the exponential alone is not, so that the unit stands in yᵐP(T/y).
    power, outside = 1, unit
    if (b or a or k) > 0:
        power, outside = max(1, math.ceil(-math.log(unit) / math.log(needed))), 1.0
    scaled = y**power * nested([sign * c / outside for c in series], start / y)
    logarithm = y * (b * y + a) + (k - power) * log1p(y - 1) + log1p(scaled - 1)
    return sign * outside * sp.exp(logarithm)


def nested(series: Sequence[float], step: sp.Expr) -> sp.Expr:
    """Write a polynomial in Horner's form, whose coefficients ascend."""
    value: sp.Expr = sp.Float(series[-1])
    for coefficient in series[-2::-1]:
        value = value * step + coefficient
    return value

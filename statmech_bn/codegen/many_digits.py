"""The value of an expression to rounding, from mpmath with as many digits as may cancel.

1 − cos z loses twice the digits of z, and its quotient by z² as many again; 1 + e⁻ᵃᶻ and 1 + e⁻ᶻ²
need az/log 10 and z²/log 10 digits, as long as they are not less than any float. So many are
carried that what is left is right at least to 40, for |z| between 10⁻³⁰⁰ and 10³⁰⁰, or 0 to
floats. Where an expression is 0/0, it is evaluated beside.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import mpmath
import sympy as sp

KEPT, MOST = 40, 1400
"""Digits that are right, and the most that are carried."""
BESIDE = mpmath.mpf(10) ** -30
"""Distance, relative to |z| or 1, at which a limit is taken."""


def digits(point: Any) -> int:
    """Return how many digits are carried at a point."""
    size = abs(float(point))
    if size == 0:
        return KEPT + 20
    exponentials = max(min(40 * size, 400), size if size < 1000 else 0)
    return min(KEPT + 20 + math.ceil(3 * abs(math.log10(size)) + exponentials), MOST)


def _exp(x: Any) -> Any:
    """Evaluate eˣ = 2ⁿ eʳ; 0 or infinity where the exponent n would not fit into memory."""
    size = abs(mpmath.re(x))
    if size < 1e4 or not mpmath.isfinite(x):
        return mpmath.exp(x)
    if size > mpmath.mpf(10) ** 310:
        return mpmath.inf if mpmath.re(x) > 0 else mpmath.mpf(0)
    with mpmath.extraprec(int(mpmath.mag(size))):
        n = mpmath.nint(mpmath.re(x) / mpmath.ln2)
        rest = x - n * mpmath.ln2
    return mpmath.exp(rest) * mpmath.ldexp(mpmath.mpf(1), int(n))


def _expm1(x: Any) -> Any:
    return _exp(x) - 1 if abs(mpmath.re(x)) > 1e4 else mpmath.expm1(x)


def _tanh(x: Any) -> Any:
    return mpmath.sign(mpmath.re(x)) if abs(mpmath.re(x)) > 1e4 else mpmath.tanh(x)


_MPMATH = {
    "exp": _exp,
    "expm1": _expm1,
    "log1p": mpmath.log1p,
    "tanh": _tanh,
    "cosh": lambda x: (_exp(x) + _exp(-x)) / 2,
    "ErfComplement": mpmath.erfc,
    "Heaviside": lambda x, _=0: mpmath.mpf(int(x > 0)),
    "Max": max,
    "Min": min,
    "Abs": abs,
}


@lru_cache(maxsize=128)
def exactly(expression: sp.Expr) -> Callable[..., Any]:
    """Return a function that evaluates with many digits.

    Parameters
    ----------
    expression : sympy.Expr
        In one symbol.

    Returns
    -------
    callable
        Takes a number, and how many digits to carry if not those of :func:`digits`. Returns an
        mpmath number, which may be infinite, or None where there is no value. Where a denominator
        vanishes it returns the value beside.
    """
    (x,) = expression.free_symbols
    called = sp.lambdify(x, expression, modules=[_MPMATH, "mpmath"])

    def value(point: Any) -> Any:
        try:
            found = called(point)
        except (ZeroDivisionError, ValueError, OverflowError, TypeError, MemoryError):
            return None
        return None if mpmath.isnan(found) else mpmath.mpmathify(found)

    @lru_cache(maxsize=4096)
    def evaluate(point: Any, carried: int | None = None) -> Any:
        with mpmath.workdps(carried or digits(point)):
            found = value(mpmath.mpmathify(point))
        if found is None and carried is None:
            with mpmath.workdps(5 * KEPT):
                found = value(point + BESIDE * max(1, abs(point)))
        return found

    return evaluate

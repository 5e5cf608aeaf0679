"""Where a function on the line may be infinite, and where it is, found in numbers.

A function can be infinite where a denominator or the argument of a logarithm is 0. Such zeros are
looked for on a grid of both signs, by changes of sign of the denominator and, at minima of its
magnitude, of its slope; they are refined to 80 digits. At a zero p the limits decide: if g(p ± δ)
does not settle as δ falls from 10⁻¹⁵ to 10⁻³⁰, p is a pole (1/z, tan z at π/2, log z at 0); if it
does, p is a hole (sin z/z at 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from statmech_bn.codegen.many_digits import exactly
from statmech_bn.codegen.numpy_printer import in_floats

SIZES = np.concatenate(
    [10.0 ** np.arange(-300, -3, 3), np.geomspace(1e-3, 1e3, 700), 10.0 ** np.arange(3.2, 300, 0.5)]
)
LINE = np.concatenate([-SIZES[::-1], [0.0], SIZES])
"""Where signs are compared; ratios of 2% separate the first zeros of sin 10z."""
MOST = 16
"""Zeros of one denominator that are looked at, those of least |z|."""
DIGITS = 80
ZEROS: dict[type, Any] = {
    sp.tan: sp.cos, sp.sec: sp.cos, sp.cot: sp.sin, sp.csc: sp.sin, sp.coth: sp.sinh,
    sp.csch: sp.sinh, **dict.fromkeys((sp.log, sp.asech, sp.acot), lambda a: a),
    **dict.fromkeys((sp.asin, sp.acos, sp.atanh, sp.acoth), lambda a: 1 - a**2),
    sp.acosh: lambda a: a - 1,
}  # fmt: skip
"""For each function, what is zero where it is infinite, or where its domain ends."""


@lru_cache(maxsize=256)
def suspects(expression: sp.Expr, z: sp.Symbol) -> tuple[Any, ...]:
    """Return the points at which an expression has a zero denominator or the like, ascending.

    Parameters
    ----------
    expression : sympy.Expr
    z : sympy.Symbol
        Its only symbol.

    Returns
    -------
    tuple of mpmath.mpf
        With 80 digits.
    """
    found: list[Any] = []
    for denominator in _denominators(expression, z):
        for zero in _zeros(denominator, z):
            if all(abs(zero - other) > 1e-40 * (1 + abs(zero)) for other in found):
                found.append(zero)
    return tuple(sorted(found))


def pole(expression: sp.Expr, z: sp.Symbol) -> Any:
    """Return the pole of least magnitude, None without one."""
    if not expression.has(z):
        return None
    exact = exactly(expression)
    for point in sorted(suspects(expression, z), key=abs):
        with mpmath.workdps(DIGITS):
            scale = max(1, abs(point))
            sides = [
                [exact(point + side * scale * mpmath.mpf(10) ** -k, 2 * DIGITS) for k in (15, 30)]
                for side in (-1, 1)
            ]
            for far, near in sides:
                if far is None or near is None or abs(near - far) > 1e-6 * (1 + abs(far)):
                    return point
    return None


def _denominators(expression: sp.Expr, z: sp.Symbol) -> set[sp.Expr]:
    found = {p.base for p in expression.atoms(sp.Pow) if p.exp.is_negative or not p.exp.is_Integer}
    for function in expression.atoms(*ZEROS):
        zero_of = next(zero for kind, zero in ZEROS.items() if isinstance(function, kind))
        found.add(zero_of(function.args[0]))
    return {base for base in found if base.has(z) and not base.is_positive}


def _zeros(denominator: sp.Expr, z: sp.Symbol) -> list[Any]:
    """Return zeros of a function of least magnitude."""
    slope = sp.diff(denominator, z)
    zeros: list[Any] = []
    try:
        values = in_floats(denominator, z)(LINE)
        size = np.abs(values)
        least = np.zeros(LINE.size - 1, bool)
        least[1:] = (size[1:-1] <= size[:-2]) & (size[1:-1] <= size[2:])
        least[:-1] |= least[1:]
        candidates = [(denominator, i) for i in _changes(values)]
        if slope.has(z) and not slope.has(sp.DiracDelta):
            turns = _changes(in_floats(slope, z)(LINE))
            candidates += [(slope, i) for i in turns if least[i]]
    except (NameError, TypeError, AttributeError):  # no function of NumPy
        return []
    exact = exactly(denominator)
    for function, i in sorted(candidates, key=lambda c: abs(LINE[c[1]]))[:MOST]:
        with mpmath.workdps(DIGITS):
            zero = _refined(exactly(function), LINE[i], LINE[i + 1])
            value = None if zero is None else exact(zero, DIGITS)
            step = abs(LINE[i + 1] - LINE[i])
            around = (
                max(abs(exact(zero + s * step, DIGITS) or 0) for s in (-1, 1))
                if zero is not None
                else 0
            )
        if zero is not None and (value is None or abs(value) <= 1e-30 * around):
            zeros.append(zero)
    return zeros


def _changes(values: np.ndarray) -> Iterator[int]:
    """Yield the first index of each pair of values of different sign, or of which one is 0."""
    with np.errstate(invalid="ignore"):
        signs = np.sign(values)
        known = np.isfinite(signs[1:]) & np.isfinite(signs[:-1])
    yield from np.flatnonzero(known & (signs[1:] != signs[:-1])).tolist()


def _refined(exact: Any, low: float, high: float) -> Any:
    """Return the zero between two points, by bisection and secants."""
    ends = [mpmath.mpf(low), mpmath.mpf(high)]
    values = [exact(end, DIGITS) for end in ends]
    for end, value in zip(ends, values, strict=True):
        if value == 0:
            return end
    if any(v is None or not mpmath.isfinite(v) or mpmath.im(v) for v in values):
        return None
    try:
        return mpmath.findroot(
            lambda p: exact(p, DIGITS),
            ends,
            solver="illinois",
            tol=1e-140,
            verify=False,
            maxsteps=400,
        )
    except (ValueError, TypeError, ZeroDivisionError):
        return None

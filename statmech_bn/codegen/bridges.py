r"""What g(z) is where it cancels between two points, as formulas that floats evaluate.

Between the z at which a formula is right and those at which its tail has begun
(`statmech_bn.codegen.expansions`), a difference such as log(2 + eᶻ) − log(1 + eᶻ) is small, and
has no simple form. On an interval in which g has one sign it is written

    g = ± exp P(t),   t = (2z − low − high)/(high − low),

and else g = P(t), with polynomials P from Chebyshev nodes. Over powers of ten log |z| takes the
place of z in t. An interval that is too wide for a polynomial is halved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np
import sympy as sp
from numpy.polynomial import chebyshev, polynomial

from statmech_bn.codegen.expansions import nested

DEGREES = (9, 19, 29)
"""Degrees of P that are tried."""
HALVINGS = 4
"""How often an interval is halved at most."""
WIDE = 1e3
"""Ratio of the ends from which log |z| is the variable."""
INSIDE = np.linspace(-1, 1, 34)
"""Where the result is compared, in t."""
ROUNDING = 1e-15
"""Coefficients of the last powers, relative to 1 or to the largest, at which P is complete."""


class Bridge(NamedTuple):
    """A formula that holds for low < z ≤ high."""

    low: float
    high: float
    form: sp.Expr


def bridges(
    exact: Callable[[Any], Any],
    right: Callable[[float, float], bool],
    x: sp.Symbol,
    low: float,
    high: float,
    halvings: int = HALVINGS,
) -> list[Bridge]:
    """Return formulas for the parts of an interval, as many of them as there are.

    Parameters
    ----------
    exact : callable
        The function by :func:`statmech_bn.codegen.many_digits.exactly`.
    right : callable
        Takes a point and a float; whether this is the value, to rounding.
    x : sympy.Symbol
    low, high : float
        Ends of the interval, of one sign.
    halvings : int
        How often the interval may be halved.

    Returns
    -------
    list of Bridge
        Ascending; empty where the function is not smooth.
    """
    for form, values in _forms(exact, x, low, high):
        points = _scale(x, low, high)[1](INSIDE)
        if all(right(p, v) for p, v in zip(points.tolist(), values.tolist(), strict=True)):
            return [Bridge(low, high, form)]
    if not halvings:
        return []
    # The scale of most functions grows with |z|, so the geometric mean is the middle.
    middle = float(np.sign(low) * np.sqrt(low / high) * abs(high))
    return [
        *bridges(exact, right, x, low, middle, halvings - 1),
        *bridges(exact, right, x, middle, high, halvings - 1),
    ]


def _scale(
    x: sp.Symbol, low: float, high: float
) -> tuple[sp.Expr, Callable[[np.ndarray], np.ndarray]]:
    """Return t, and the points of an interval at given t."""
    if 1 / WIDE < low / high < WIDE:
        return (2 * x - (low + high)) / (high - low), lambda t: (low + high + t * (high - low)) / 2
    side = 1 if high > 0 else -1
    first, last = math.log(abs(low)), math.log(abs(high))

    def place(t: np.ndarray) -> np.ndarray:
        return side * np.exp((first + last + t * (last - first)) / 2)

    return (2 * sp.log(side * x) - (first + last)) / (last - first), place


def _forms(
    exact: Callable[[Any], Any], x: sp.Symbol, low: float, high: float
) -> Iterator[tuple[sp.Expr, np.ndarray]]:
    """Yield formulas, and their values by floats at the points that are compared."""
    t, place = _scale(x, low, high)
    for degree in DEGREES:
        nodes = chebyshev.chebpts1(degree + 1)
        values = [exact(point) for point in place(nodes).tolist()]
        if any(v is None or not abs(v) < 1e300 for v in values):
            return
        signs = {int(mpmath.sign(v)) for v in values}
        if len(signs) == 1 and 0 not in signs:
            logs = [float(mpmath.log(abs(v))) for v in values]
            if (series := _series(nodes, logs)) is not None:
                [sign] = signs
                found = sign * np.exp(polynomial.polyval(INSIDE, series))
                yield sign * sp.exp(nested(series, t)), found
        elif (series := _series(nodes, [float(v) for v in values])) is not None:
            yield nested(series, t), polynomial.polyval(INSIDE, series)


def _series(nodes: np.ndarray, values: Sequence[float]) -> list[float] | None:
    """Return a polynomial, lowest power first, None where its degree is too small."""
    series = chebyshev.chebfit(nodes, values, nodes.size - 1)
    if np.abs(series[-3:]).max() > 4 * ROUNDING * max(1.0, np.abs(series).max()):
        return None
    return [float(c) for c in chebyshev.cheb2poly(series)]

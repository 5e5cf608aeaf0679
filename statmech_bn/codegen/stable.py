r"""Forms of g(z) that floating-point numbers evaluate at every z where g is finite.

First by rule (`statmech_bn.codegen.rewriting`). The result is then compared with many digits on a
grid of z from 10⁻³⁰⁰ to 10³⁰⁰ of both signs, refined where floats or g itself leave the range of
numbers, or floats are 0 from some point on. With ĝ from floats, its backward error is

    |ĝ − g| / (|g| + |z g'|),

the part of it that no algorithm avoids, since z is rounded. Where it is more than rounding, a
Taylor polynomial or a formula for large |z| takes over (`statmech_bn.codegen.expansions`), and
between these the exponential of a polynomial (`statmech_bn.codegen.bridges`). What is wrong after
that is refused: a NaN or infinity where |g| < 10³⁰⁰, and an error of more than 10⁻⁶ that is also
more than 10⁻¹² of g at |z| ≤ 3. Smaller ones are below what an average over samples of a few
million could show; larger |g| overflow in the next product, whatever the form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import mpmath
import numpy as np
import sympy as sp
from sympy.printing.codeprinter import PrintMethodNotImplementedError

from statmech_bn.codegen.arguments import expressions_of
from statmech_bn.codegen.bridges import bridges
from statmech_bn.codegen.expansions import Local, Tail, tail, taylor
from statmech_bn.codegen.many_digits import exactly
from statmech_bn.codegen.names import check_names
from statmech_bn.codegen.numpy_printer import in_floats
from statmech_bn.codegen.rewriting import by_rules, identities
from statmech_bn.codegen.singularities import suspects
from statmech_bn.errors import invalid

ONLY = sp.Symbol("x", real=True)
"""The symbol of a search, so that no name of a caller's is printed."""
CLOSE, WRONG = 2e-13, 1e-6
"""Backward errors beyond which another form is looked for, and beyond which there must be one."""
NEGLIGIBLE = 1e-12
"""Error, in units of the largest |g| at |z| ≤ 3, that is accepted where no form is found."""
LARGEST, CERTAIN, SMALLEST = 1.79e308, 1e300, 1e-300
"""Magnitudes beyond which a value may be infinite, below which it must be finite, and may be 0."""
SIZES = [
    *(10.0**k for k in (-300, -200, -160, -100, -50, -20, -12, -8, -6, -5, -4, -3)),
    *(3 * 10.0**k for k in (-300, -200, -160, -100, -50, -20, -12, -8, -6, -5, -4, -3)),
    *(0.01 * 1.25**k for k in range(52)),
    *(1e4, 1e6, 1e8, 1e12, 1e15, 1e17, 2e18, 1e25, 1e50, 1e99, 1e101, 1e103, 1e150, 1e154, 1e155),
    *(1e200, 1e300),
]  # fmt: skip
BRIDGED = 0.02
"""The |z| below which what cancels is left to Taylor polynomials."""
GRID = tuple(sorted({s * size for size in SIZES for s in (-1.0, 1.0)} | {0.0}))
FAR = [size for size in sorted(SIZES) if size > 2]


UNKNOWN = (NameError, TypeError, AttributeError, PrintMethodNotImplementedError)
"""What SymPy and NumPy raise for a function that they do not have."""


class Failure(NamedTuple):
    """A point at which floats are not close."""

    point: float
    value: float
    true: Any
    backward: float
    error: float


def stable(expression: sp.Expr) -> sp.Expr:
    """Write an expression such that it neither overflows nor cancels in floating point.

    Parameters
    ----------
    expression : sympy.Expr
        The search on a grid is for expressions in one symbol; in more, the rules alone apply.

    Returns
    -------
    sympy.Expr
        Equal to it, to rounding.

    Raises
    ------
    InvalidSetup
        No such form is found. The message names a point, the true value and that of floats.
    """
    [expression] = expressions_of([expression])
    if len(expression.free_symbols) != 1:
        return by_rules(expression)
    (x,) = expression.free_symbols
    renamed = expression.xreplace({x: ONLY})
    check_names([renamed], [ONLY])
    return _searched(renamed).xreplace({ONLY: x})


@lru_cache(maxsize=512)
def _searched(expression: sp.Expr) -> sp.Expr:
    """Return a form that holds, or refuse the expression."""
    search = Search(expression)
    try:
        found = search.repaired()
    except UNKNOWN:  # no function of NumPy: its printer says so
        return by_rules(expression)
    _refuse_what_is_wrong(search, found)
    return found


class Search:
    """An expression, and how close floats come to it where it is used.

    Parameters
    ----------
    expression : sympy.Expr
        In `ONLY`.
    used : callable
        Whether a point matters: a branch of a Piecewise is used where its condition holds.
    """

    def __init__(self, expression: sp.Expr, used: Callable[[float], bool] = lambda _: True) -> None:
        self.expression, self.used = expression, used
        self.exact: Any = exactly(identities(expression)) if expression.has(ONLY) else None

    def repaired(self) -> sp.Expr:
        """Return the form with the fewest failures."""
        best = by_rules(self.expression)
        if self.exact is None or not (failures := self.failures(best)):
            return best
        for attempt in (self._by_parts, self._by_branches, self._by_bridges):
            found = attempt(best, failures)
            if found is None:
                continue
            left = self.failures(found)
            if len(left) < len(failures):
                best, failures = found, left
            if not left:
                break
        return best

    def _by_parts(self, written: sp.Expr, failures: Sequence[Failure]) -> sp.Expr | None:
        """Repair the branches of a Piecewise, or the arguments of a maximum, one by one."""
        e = self.expression
        if isinstance(e, (sp.Max, sp.Min)):
            return e.func(*(Search(part, self.used).repaired() for part in e.args))
        if not isinstance(e, sp.Piecewise):
            return None
        numbers = sp.Piecewise(*((sp.Integer(i), c) for i, (_, c) in enumerate(e.args)))
        branch = exactly(numbers) if numbers.has(ONLY) else lambda _: numbers

        def used_in(i: int) -> Callable[[float], bool]:
            return lambda point: self.used(point) and bool(branch(point) == i)

        branches = [
            (Search(part, used_in(i)).repaired(), condition)
            for i, (part, condition) in enumerate(e.args)
        ]
        return sp.Piecewise(*branches, evaluate=False)

    def _by_branches(self, written: sp.Expr, failures: Sequence[Failure]) -> sp.Expr | None:
        """Put polynomials and tails before the expression where it fails."""
        x, points = ONLY, [failure.point for failure in failures]
        pieces: list[Local | Tail | None] = []
        for side in (1, -1):
            if beyond := [side * point for point in points if side * point > 1]:
                pieces.append(tail(self.exact, x, side, FAR, min(beyond)))
        near = {0.0} if any(abs(point) < 1 for point in points) else set()
        near |= {p for p in self.holes() if any(abs(p - point) < 1e-3 for point in points)}
        analytic = exactly(self.expression)
        pieces += [taylor(analytic, self.exact, x, point) for point in sorted(near)]
        branches = [
            (
                p.form,
                p.side * x > p.start if isinstance(p, Tail) else sp.Abs(x - p.point) < p.radius,
            )
            for p in pieces
            if p is not None
        ]
        return sp.Piecewise(*branches, (written, True), evaluate=False) if branches else None

    def _by_bridges(self, written: sp.Expr, failures: Sequence[Failure]) -> sp.Expr | None:
        """Put bridges before the expression, over intervals in which it fails."""

        def right(point: float, value: float) -> bool:
            return self._failure(point, value) is None

        wrong = {failure.point for failure in failures}
        points = sorted({*GRID, *wrong})
        found = []
        for i, j in _runs([p in wrong and abs(p) > BRIDGED for p in points]):
            low, high = points[max(i - 1, 0)], points[min(j, len(points) - 1)]
            if low * high > 0:
                found += bridges(self.exact, right, ONLY, low, high)
        branches = [(b.form, sp.And(b.low < ONLY, b.high >= ONLY)) for b in found]
        return sp.Piecewise(*branches, (written, True), evaluate=False) if branches else None

    def holes(self) -> list[float]:
        """Return points at which a denominator is zero."""
        return [float(p) for p in suspects(self.expression, ONLY)]

    def failures(self, written: sp.Expr) -> list[Failure]:
        """Return where floats are not close to the exact value."""
        function = in_floats(written, ONLY)
        points = [p for p in GRID if self.used(p)]
        points += [p for p in self._edges(function, points) if self.used(p)]
        for hole in self.holes():
            beside = [
                hole + s * 10.0**-k * max(1, abs(hole)) for k in (2, 4, 6, 8, 12) for s in (-1, 1)
            ]
            points += [p for p in (hole, *beside) if self.used(p)]
        values = function(np.array(points))
        found = (self._failure(p, float(v)) for p, v in zip(points, values, strict=True))
        return [failure for failure in found if failure is not None]

    def _failure(self, point: float, value: float) -> Failure | None:
        true = self.exact(point)
        if true is None:
            return None
        if not abs(true) <= LARGEST:
            wrong = np.isnan(value) or (np.isinf(value) and value * mpmath.sign(true) < 0)
            return Failure(point, value, true, np.inf, np.inf) if wrong else None
        if not np.isfinite(value):
            return Failure(point, value, true, np.inf, np.inf)
        error = abs(value - true)
        if error <= CLOSE * abs(true) + SMALLEST:
            return None
        size = abs(true) + self._sensitivity(point, true)
        backward = error / size if size else np.inf
        if backward <= CLOSE:
            return None
        return Failure(point, value, true, float(backward), float(error))

    def _sensitivity(self, point: float, true: Any) -> Any:
        """Return |z g'| by a difference quotient."""
        with mpmath.workdps(60):
            moved = self.exact(mpmath.mpf(point) * (1 + mpmath.mpf(10) ** -15))
            return 0 if moved is None else abs(moved - true) * 10**15

    def _edges(self, function: Callable[[Any], Any], points: Sequence[float]) -> list[float]:
        """Return points about those at which floats, or the values, leave the range of numbers."""

        def at(p: float) -> float:
            return float(function(np.array([p]))[0])

        def in_range(p: float) -> bool:
            true = self.exact(p)
            return true is not None and bool(abs(true) <= LARGEST)

        values = function(np.array(points))
        tests: list[tuple[Any, Callable[[float], bool]]] = [
            (np.isfinite(values), lambda p: bool(np.isfinite(at(p)))),
            (values == 0, lambda p: at(p) == 0),
            (np.array([in_range(p) for p in points]), in_range),
        ]
        found: list[float] = []
        for inside, test in tests:
            for i in np.flatnonzero(inside[1:] != inside[:-1]):
                edge = _bisected(test, points[int(i)], points[int(i) + 1])
                found += [edge * (1 + s * f) for s in (-1, 1) for f in (1e-12, 1e-4, 2e-3, 0.02)]
        return found


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Return where runs of true begin and end; those with up to two others between are one."""
    runs: list[tuple[int, int]] = []
    for i in np.flatnonzero(flags).tolist():
        if runs and i - runs[-1][1] <= 2:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return runs


def _bisected(test: Callable[[float], bool], low: float, high: float) -> float:
    at_low = test(low)
    for _ in range(60):
        # the geometric mean, where both are large and of one sign
        middle = np.sign(low) * np.sqrt(low) * np.sqrt(high) if low > 1 else (low + high) / 2
        if high < -1:
            middle = -np.sqrt(-low) * np.sqrt(-high)
        if not low < middle < high:
            break
        low, high = (middle, high) if test(middle) == at_low else (low, middle)
    return float(low)


def _refuse_what_is_wrong(search: Search, found: sp.Expr) -> None:
    if search.exact is None:
        return
    failures = search.failures(found)
    near = [search.exact(point) for point in GRID if abs(point) <= 3]
    scale = max((abs(v) for v in near if v is not None and abs(v) <= LARGEST), default=0)
    wrong = [
        f
        for f in failures
        if f.backward > WRONG and f.error > NEGLIGIBLE * scale and abs(f.true) < CERTAIN
    ]
    if wrong:
        worst = max(wrong, key=lambda f: (f.backward, -abs(f.point)))
        x = sp.Symbol("z")
        raise invalid(
            "activation",
            "an expression that floating-point numbers can evaluate",
            search.expression.xreplace({ONLY: x}),
            f"At z = {worst.point:.6g} it is {mpmath.nstr(worst.true, 6)}, which would be computed "
            f"as {worst.value:.6g}. Write it such that nothing large cancels or overflows there.",
        )

r"""Forms of g(z) that floating-point numbers evaluate at every z where g is finite.

First by rule: log(1 + eᵃ) and eᵃ/(1 + eᵃ) are written with e^(−|a|), which does not overflow.

What is not plainly bounded after that is compared with 700 digits on a grid of ±10ᵏ. Where floats
fail, the expression is replaced by what it tends to:

- About a point p at which the expression is 0/0 or cancels, by its Taylor polynomial, whose
  coefficients are Cauchy integrals: c_n = (1/2π) ∫ f(p + ρe^{iφ}) ρ⁻ⁿ e^{−inφ} dφ.
- Beyond |z| = T, by c zᵏ or 0 if it is that to rounding, else by its leading term in
  E = e^(−|az|), and beyond |z| = 10¹⁸ by that in 1/z.

The original expression, then called the core, is evaluated at an argument that is clamped to where
it holds, so that no branch overflows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from statmech_bn.codegen.arguments import expressions_of
from statmech_bn.codegen.names import check_names

ONLY = sp.Symbol("x", real=True)
"""The symbol of a search, so that no name of a caller's is printed."""
DIGITS = 700
"""Digits of the comparison: (1 − cos z)/z at z = 10⁻³⁰⁰ cancels 600 of them."""
RELATIVE, ABSOLUTE = 1e-11, 1e-14
"""Errors that are accepted: relative for |z| < 1, relative or absolute beyond."""
TERMS = 16
"""Degree of a Taylor polynomial; it holds up to ρ/8, and 8⁻¹⁶ is below rounding."""
FAR = 1e18
"""Size of z beyond which the leading power of z is the function, to rounding."""
SIZES = [
    *(s * 10.0**k for k in (-300, -200, -100, -50, -20, -12, -8, -6, -5, -4, -3) for s in (1, 3)),
    *(0.01 * 1.35**k for k in range(39)),
    *(1e4, 1e6, 1e8, 1e12, 1e15, 1e17, 2e18, 1e25, 1e50, 1e99, 1e101, 1e150, 1e154, 1e200, 1e300),
]
GRID = tuple(sorted({s * size for size in SIZES for s in (-1.0, 1.0)} | {0.0}))


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
    """
    [expression] = expressions_of([expression])
    expression = by_rules(expression)
    if len(expression.free_symbols) != 1 or is_plain(expression):
        return expression
    (x,) = expression.free_symbols
    renamed = expression.xreplace({x: ONLY})
    check_names([renamed], [ONLY])
    return _searched(renamed).xreplace({ONLY: x})


def by_rules(expression: sp.Expr) -> sp.Expr:
    """Write log(1 + eᵃ) and eᵃ/(1 + eᵃ) with e^(−|a|), and nothing else in another way."""
    a = sp.Wild("a")
    small = sp.exp(-sp.Abs(a))
    softplus = sp.Max(a, 0) + sp.log(1 + small)
    logistic = (1 + (small - 1) * sp.Heaviside(-a, 0)) / (1 + small)
    expression = expression.replace(sp.log(1 + sp.exp(a)), softplus)
    return expression.replace(sp.exp(a) / (1 + sp.exp(a)), logistic)


def is_plain(expression: sp.Expr) -> bool:
    """Whether an expression is a sum of at most z times bounded factors, or a polynomial."""
    if _is_bounded(expression) or expression.is_polynomial(*expression.free_symbols):
        return True
    if isinstance(expression, (sp.Add, sp.Max, sp.Min, sp.Abs)):
        return all(map(is_plain, expression.args))
    return isinstance(expression, sp.Mul) and (
        sum(not _is_bounded(factor) for factor in expression.args) == 1
        and all(_is_bounded(factor) or factor.is_Symbol for factor in expression.args)
    )


def _is_bounded(e: sp.Expr) -> bool:
    if e.is_number or isinstance(e, (sp.Heaviside, sp.sign)):
        return True
    if isinstance(e, (sp.tanh, sp.erf, sp.sin, sp.cos, sp.atan)):
        return bool(e.args[0].is_polynomial(*e.free_symbols))
    if isinstance(e, sp.exp):
        return bool(e.args[0].is_nonpositive)
    if isinstance(e, sp.log):
        return bool((e.args[0] - 1).is_nonnegative) and _is_bounded(e.args[0])
    if isinstance(e, sp.Pow):
        above = e.exp.is_positive or (e.base - 1).is_nonnegative
        return bool(e.exp.is_number and above) and _is_bounded(e.base)
    return isinstance(e, (sp.Add, sp.Mul)) and all(map(_is_bounded, e.args))


@lru_cache(maxsize=512)
def _searched(expression: sp.Expr) -> sp.Expr:
    """Replace the expression where floats fail."""
    if isinstance(expression, (sp.Max, sp.Min)):
        return expression.func(*map(stable, expression.args))
    if isinstance(expression, sp.Piecewise):
        branches = [(stable(e), condition) for e, condition in expression.args]
        return sp.Piecewise(*branches, evaluate=False)
    (x,) = expression.free_symbols
    exact = exactly(expression)
    try:
        bad = failures(_in_floats(expression), exact)
    except (NameError, TypeError):  # a function that NumPy does not have: its printer will say so
        return expression
    patches = _patches(expression, x, bad)
    if not bad and not patches:
        return expression
    best, fewest = expression, len(bad) + bool(patches)
    for tails in (_fitted, _tails):
        found = _patched(expression, x, bad, patches, tails)
        if found.has(sp.AccumBounds, sp.nan, sp.zoo, sp.oo, sp.Order):
            continue
        left = len(failures(_in_floats(found), exact))
        if left < fewest:
            best, fewest = found, left
        if left == 0:
            break
    return best


def _patches(
    expression: sp.Expr, x: sp.Symbol, bad: Sequence[float]
) -> list[tuple[float, sp.Expr, float]]:
    """Return (point, polynomial, radius) for each point near which floats cancel."""
    near = {0.0} if any(abs(point) < 1 for point in bad) else set()
    holes = set() if is_plain(expression) else set(_holes(expression, x))
    found = []
    for point in sorted(near | holes):
        if (patch := _taylor(expression, x, point)) is not None:
            found.append((point, *patch))
    return found


def _patched(
    expression: sp.Expr,
    x: sp.Symbol,
    bad: Sequence[float],
    patches: Sequence[tuple[float, sp.Expr, float]],
    tails: Callable[[sp.Expr, sp.Symbol, int], list[tuple[float, sp.Expr]]],
) -> sp.Expr:
    """Return the expression with its tails and polynomials as branches before it."""
    clamped: sp.Expr = x
    branches = []
    for side, clamp in ((1, sp.Min), (-1, sp.Max)):
        if any(side * point > 1 for point in bad):
            for start, tail in tails(expression, x, side):
                branches.append((tail, side * x > start))
                clamped = clamp(clamped, sp.Float(side * start))
    for point, polynomial, radius in patches:
        inside = sp.Abs(x - point) < radius
        branches.append((polynomial, inside))
        clamped = sp.Piecewise((sp.Float(point + radius), inside), (clamped, True))
    core = expression.xreplace({x: clamped})
    return sp.Piecewise(*branches, (core, True), evaluate=False) if branches else expression


def _fitted(expression: sp.Expr, x: sp.Symbol, side: int) -> list[tuple[float, sp.Expr]]:
    """Return (start, tail) on one side, if the tail is c zᵏ to rounding, or 0 by underflow."""
    exact = exactly(expression)
    sizes = [size for size in GRID if size > 2]
    values = [exact(side * size) for size in sizes]
    if any(value is None for value in values):
        return []
    best: tuple[float, sp.Expr] | None = None
    for power in (None, 0, 1, -1, 2, -2):
        with mpmath.workdps(40):
            scaled = [v / mpmath.mpf(s) ** (power or 0) for v, s in zip(values, sizes, strict=True)]
        last = scaled[-1]
        if power is not None and abs(last) < 1e-290:
            continue
        bound = 1e-300 if power is None else 1e-15 * abs(last)
        target = 0 if power is None else last
        held = len(sizes)
        while held > 0 and abs(scaled[held - 1] - target) <= bound:
            held -= 1
        if held < len(sizes) and (best is None or sizes[held] < best[0]):
            tail = sp.S.Zero if power is None else sp.Float(float(last)) * x**power
            best = (sizes[held], tail)
    return [] if best is None else [best]


def failures(function: Callable[..., Any], exact: Callable[[float], Any]) -> list[float]:
    """Return the points of the grid at which floats are not close to the exact value."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = np.broadcast_to(function(np.array(GRID)), len(GRID))
    return [p for p, value in zip(GRID, found, strict=True) if not _is_close(value, exact(p), p)]


def _is_close(value: float, true: Any, point: float) -> bool:
    if true is None or abs(true) > np.finfo(float).max:
        return True  # unknown, or infinite in truth
    error = abs(value - float(true))
    return bool(error <= RELATIVE * abs(float(true)) + (ABSOLUTE if abs(point) >= 1 else 1e-300))


def _in_floats(expression: sp.Expr) -> Callable[..., Any]:
    (x,) = expression.free_symbols
    return sp.lambdify(x, expression, modules=[{"Heaviside": np.heaviside}, "scipy", "numpy"])


def _exp(x: Any) -> Any:
    """Evaluate eˣ; 0 or infinity where its exponent would not fit into memory."""
    if abs(mpmath.re(x)) > mpmath.mpf(10) ** 310:
        return mpmath.inf if mpmath.re(x) > 0 else mpmath.mpf(0)
    return mpmath.exp(x)


_MPMATH = {
    "exp": _exp,
    "Heaviside": lambda x, _=0: mpmath.mpf(int(x > 0)),
    "Max": max,
    "Min": min,
    "Abs": abs,
}


@lru_cache(maxsize=64)
def exactly(expression: sp.Expr, digits: int = DIGITS) -> Callable[[Any], Any]:
    """Return a function that evaluates with many digits; None where there is no number."""
    (x,) = expression.free_symbols
    called = sp.lambdify(x, expression, modules=[_MPMATH, "mpmath"])

    @lru_cache(maxsize=1024)
    def evaluate(point: Any) -> Any:
        try:
            with mpmath.workdps(digits):
                value = called(mpmath.mpmathify(point))
        except (ZeroDivisionError, ValueError, OverflowError, TypeError, MemoryError):
            return None
        return None if mpmath.isnan(value) or mpmath.isinf(value) else value

    return evaluate


def _holes(expression: sp.Expr, x: sp.Symbol) -> list[float]:
    """Return the points at which a denominator is zero, as far as SymPy finds them."""
    found: set[float] = set()
    bases = {p.base for p in expression.atoms(sp.Pow) if p.exp.is_negative and p.base.has(x)}
    for base in bases:
        if base.is_positive:
            continue
        roots = sp.solveset(base, x, sp.S.Reals)
        if isinstance(roots, sp.FiniteSet):
            found |= {float(root) for root in roots}
    return sorted(found)


def _taylor(expression: sp.Expr, x: sp.Symbol, point: float) -> tuple[sp.Expr, float] | None:
    """Return a polynomial and the radius in which it is the function, if it is analytic."""
    if expression.has(sp.Abs, sp.Heaviside, sp.sign, sp.Max, sp.Min, sp.Piecewise):
        return None
    exact, precise = exactly(expression, 40), exactly(expression)
    count = 4 * TERMS
    for circle in (1.0, 0.25, 2.0**-4, 2.0**-6):
        with mpmath.workdps(40):
            turns = [mpmath.expjpi(mpmath.mpf(2 * k + 1) / count) for k in range(count)]
            values = [exact(point + circle * turn) for turn in turns]
            if any(value is None for value in values):
                continue
            coefficients = [
                mpmath.re(mpmath.fsum(v / t**n for v, t in zip(values, turns, strict=True)))
                / count
                / mpmath.mpf(circle) ** n
                for n in range(TERMS + 1)
            ]
        size = max(abs(c) * circle**n for n, c in enumerate(coefficients))
        series = [
            float(c) if abs(c) * circle**n > 1e-17 * size else 0.0
            for n, c in enumerate(coefficients)
        ]
        radius, step = circle / 8, x - point
        probes = [s * radius * f for s in (-1, 1) for f in (1e-12, 1e-5, 0.01, 0.1, 0.5, 0.9, 1)]
        horner = np.polynomial.polynomial.polyval(np.array(probes), series)
        true = [precise(point + probe) for probe in probes]
        if all(
            t is not None and abs(h - t) <= 1e-11 * abs(t) + 1e-16 * (point != 0)
            for h, t in zip(horner, true, strict=True)
        ):
            return _nested(series, step), radius
    return None


def _nested(series: Sequence[float], step: sp.Expr) -> sp.Expr:
    value: sp.Expr = sp.Float(series[-1])
    for coefficient in series[-2::-1]:
        value = value * step + coefficient
    return value


def _tails(expression: sp.Expr, x: sp.Symbol, side: int) -> list[tuple[float, sp.Expr]]:
    """Return (start, leading term) on one side, those further out first."""
    y, e = sp.Symbol("y", positive=True), sp.Symbol("E", positive=True)
    one_sided = expression.xreplace({x: side * y})
    one_sided = one_sided.replace(sp.Heaviside, lambda a, *_: sp.Heaviside(a))
    for hyperbolic in (sp.tanh, sp.coth, sp.sinh, sp.cosh, sp.sech, sp.csch):
        one_sided = one_sided.replace(hyperbolic, lambda a, h=hyperbolic: h(a).rewrite(sp.exp))
    rates = [sp.expand(p.args[0]).coeff(y) for p in one_sided.atoms(sp.exp)]
    rates = [abs(rate) for rate in rates if rate.is_number and rate != 0]
    tails: list[tuple[float, sp.Expr]] = []
    leading = one_sided
    if rates:
        unit = sp.gcd_list([sp.nsimplify(rate, rational=True) for rate in rates])
        leading = _leading(one_sided, y, e, unit)
        if leading is None:
            return []
        start = 45.0 / float(unit)
        if leading.has(e):
            end = 800.0 / float(unit)
            tail = leading.subs(e, sp.exp(-unit * y)).xreplace({y: sp.Min(side * x, end)})
            return [(start, tail)]
        tails = [(start, leading.xreplace({y: side * x}))]
    try:
        t = sp.Symbol("t", positive=True)
        far = leading.subs(y, 1 / t).as_leading_term(t).subs(t, 1 / y)
    except Exception:
        return tails
    if far != leading and not far.has(e):
        tails = [(FAR, far.xreplace({y: side * x})), *tails]
    return tails


def _leading(expression: sp.Expr, y: sp.Symbol, e: sp.Symbol, unit: sp.Expr) -> sp.Expr | None:
    """Return the leading term in E = exp(−unit y)."""
    swapped = expression.replace(
        lambda n: isinstance(n, sp.exp),
        lambda n: _power(sp.expand(n.args[0]), y, e, unit),
    )
    try:
        found = sp.together(swapped).as_leading_term(e)
    except Exception:
        return None
    return sp.expand_log(found).subs(sp.log(e), -unit * y)


def _power(argument: sp.Expr, y: sp.Symbol, e: sp.Symbol, unit: sp.Expr) -> sp.Expr:
    rate = argument.coeff(y)
    rest = sp.expand(argument - rate * y)
    ratio = sp.nsimplify(rate / unit)
    return sp.exp(rest) * e ** (-ratio)

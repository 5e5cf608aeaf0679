r"""The averages that have a closed form, for γ of either sign.

SymPy derives them for γ > 0; (u, γ, R) and (−u, −γ, −R) are one system, and only A₂ is odd in u.
What in them depends on the group's M becomes the value of a coefficient, so that one compiled
function holds for all M.
"""

from __future__ import annotations

from functools import lru_cache

import sympy as sp

from statmech_bn import symbolic as s
from statmech_bn.activations import Activation
from statmech_bn.normalization import Normalization
from statmech_bn.teacher_student import TeacherStudent

LABEL_NOISE = sp.Symbol("B_Delta", nonnegative=True)
"""Coefficient of Δ² in B."""
SCALE = sp.Symbol("scale", real=True)
"""γ of either sign; `symbolic.gamma` is positive."""
AVERAGES = (s.D, s.A, s.B, LABEL_NOISE)


def closed_averages(setup: TeacherStudent) -> dict[sp.Symbol, sp.Expr]:
    """Return closed D, A₂, B and B_Δ of a setup, for γ of either sign.

    Raises
    ------
    NoClosedForm
        One of them is not elementary.
    """
    averages, _ = closed_expressions(setup.normalizer, setup.activation)
    values = coefficients_of(setup)
    return {name: average.subs(values) for name, average in averages.items()}


def coefficients_of(setup: TeacherStudent) -> dict[sp.Symbol, sp.Expr]:
    """Return the values of the coefficients of closed averages."""
    _, coefficients = closed_expressions(setup.normalizer, setup.activation)
    # Γ(M/2) overflows a double at M > 340, so SymPy evaluates what depends on M.
    group = sp.Float(setup.group or 0, 30)
    return {name: e.subs(s.M, group).evalf(17) for name, e in coefficients.items()}


@lru_cache(maxsize=64)
def closed_expressions(
    rule: Normalization, activation: Activation
) -> tuple[dict[sp.Symbol, sp.Expr], dict[sp.Symbol, sp.Expr]]:
    """Return closed D, A₂, B and B_Δ, and what in them depends on the group's M."""
    coefficients: dict[sp.Symbol, sp.Expr] = {}
    if rule.of_batch:
        closed = tuple(
            _name_coefficients(e, coefficients) for e in s.batch_field_averages(activation)
        )
    else:
        closed = s.field_averages(activation)
    if not rule.has_scale:
        of_length = (e.subs(s.gamma, s.L) for e in closed)
        return dict(zip(AVERAGES, of_length, strict=True)), coefficients
    # Derived for γ > 0; (u, γ, R) and (−u, −γ, −R) are one system, and only A₂ is odd in u.
    sign = sp.Piecewise((1, SCALE >= 0), (-1, True))
    mirror = {s.R: sign * s.R, s.gamma: sp.Abs(SCALE)}
    drive, pull, noise, label_noise = (e.subs(mirror, simultaneous=True) for e in closed)
    averages = (drive, sign * pull, noise, label_noise)
    return dict(zip(AVERAGES, averages, strict=True)), coefficients


def _name_coefficients(average: sp.Expr, names: dict[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Write a polynomial in R and γ with a symbol for each coefficient; adds them to `names`."""
    total = sp.S.Zero
    for (first, second), coefficient in sp.Poly(average, s.R, s.gamma).terms():
        name = sp.Symbol(f"k{len(names)}", real=True)
        names[name] = coefficient
        total += name * s.R**first * s.gamma**second
    return total

r"""Long times derived from the flow: how normalized students anneal themselves, and where they end.

Every normalized student turns by dR/dt = η_eff D − η_eff² R B/(2M), with η_eff = ηγ/Q. Near R = 1
the drive is D ≃ D₁(1 − R) − D_{3/2}(1 − R)^{3/2}, the second term only where g has a kink.

- late time: a student with noise at its fixed point (label noise, or γ₀ ≠ 1) has
  dη_eff/dt = −η_eff³ B/M, so η_eff and 1 − R forget η. (This project's; a scale-invariant loss
  anneals its own learning rate: Arora, Li, Lyu 2018, arXiv 1812.03981.)
- equilibrium with weight decay: 2ηλ = η_eff² B/M; only the product ηλ matters (this project's;
  Li, Lyu, Arora 2020, arXiv 2010.02916 have it for deep networks).
"""

from __future__ import annotations

import sympy as sp

from statmech_bn.activations import Activation
from statmech_bn.normalization import Normalization
from statmech_bn.symbolic.flow import average_expressions, order_parameter_flow
from statmech_bn.symbolic.integration import integrate
from statmech_bn.symbolic.rates import (
    effective_learning_rate,
    fixed_point,
    limit_aligned,
    normalized,
)
from statmech_bn.symbolic.symbols import B, D, L, R, gamma, lamda, t

eta_eff = sp.Symbol("eta_eff", positive=True)
"""Effective learning rate η_eff."""
misalignment = sp.Symbol("x", positive=True)
"""Misalignment 1 − R of student and teacher."""
drive_slope = sp.Symbol("D_1", positive=True)
"""Slope D₁ of the drive, D/(1 − R) as R → 1."""
drive_kink = sp.Symbol("D_3/2", nonnegative=True)
"""Coefficient D_{3/2} of −(1 − R)^{3/2} in the drive; it is zero for a smooth activation."""


def late_time(
    normalization: str | Normalization, activation: str | sp.Expr | Activation | None = None
) -> dict[sp.Symbol, sp.Expr]:
    """Derive how a normalized student anneals itself, as t → ∞.

    Parameters
    ----------
    normalization : str or Normalization
        A normalization with a scale γ.
    activation : str, sympy.Expr or Activation, optional
        Without it the law is in terms of γ₀ and of D₁, D_{3/2} and B at R = 1, γ = γ₀.

    Returns
    -------
    dict
        Maps `eta_eff` and `L` to their asymptotes, `L` being the only one that knows η, and
        `misalignment` (1 − R) to its first two orders.

    Raises
    ------
    InvalidSetup
        The student is not normalized.
    NoClosedForm
        The averages are not elementary; `statmech_bn.rates.late_time` integrates them.

    Examples
    --------
    >>> late_time("weight")[eta_eff]
    sqrt(2)*sqrt(M)/(2*sqrt(B)*sqrt(t))
    """
    normalization = normalized(normalization)
    flow = order_parameter_flow(normalization)
    noise, elapsed = sp.symbols("B t", positive=True)
    effective = effective_learning_rate(normalization)
    [length] = sp.solve(effective - eta_eff, L)
    # γ rests at γ₀, so that η_eff = ηγ/L² changes with L alone
    decay = sp.diff(effective, L) * flow[L].subs({lamda: 0, B: noise})
    decay = sp.powdenest(decay.subs(L, length), force=True)
    end = sp.Symbol("eta_end", positive=True)
    duration = integrate(sp.simplify(1 / decay), (eta_eff, sp.oo, end))
    [rate] = sp.solve(duration - elapsed, end)
    aligned = _slow_misalignment(flow[R].subs(B, noise), length, noise)
    law = {eta_eff: eta_eff, L: length, misalignment: aligned}
    law = {symbol: e.subs(eta_eff, rate) for symbol, e in law.items()}
    law = {symbol: _tidy_powers(e) for symbol, e in law.items()}
    values = {noise: B, elapsed: t}
    if activation is not None:
        point = fixed_point(normalization, activation)
        near = _drive_near_teacher(normalization, activation)
        values = {**values, noise: point.residual_noise, gamma: point.gamma, **near}
    return {symbol: e.subs(values) for symbol, e in law.items()}


def _slow_misalignment(rate: sp.Expr, length: sp.Expr, noise: sp.Symbol) -> sp.Expr:
    """Balance drive and noise: 1 − R in powers of √η_eff, to two orders; it follows η_eff."""
    first, second, root = sp.symbols("c_1 c_2 epsilon", positive=True)
    x = first * root**2 + second * root**3
    drive = drive_slope * x - drive_kink * (first * root**2) ** sp.Rational(3, 2)
    balance = rate.subs(L, length).subs({eta_eff: root**2, R: 1 - x}).subs(D, drive)
    balance = sp.expand(sp.powdenest(sp.expand(balance), force=True))
    [leading] = sp.solve(balance.coeff(root, 4), first)
    correction = sp.solve(balance.coeff(root, 5), second)[0].subs(first, leading)
    return leading * eta_eff + correction * eta_eff ** sp.Rational(3, 2)


def _drive_near_teacher(
    normalization: str | Normalization, activation: str | sp.Expr | Activation
) -> dict[sp.Symbol, sp.Expr]:
    """Expand the drive (1 − R²) K at R = 1 − x in √x; √(1 − R²) is √(2x) to this order."""
    drive = average_expressions(normalization, activation)[D]
    sine = sp.Symbol("s", positive=True)
    per_square = sp.factor(drive) / sp.factor(1 - R**2)
    slope = per_square.subs(R, sp.sqrt(1 - sine**2)).diff(sine)
    return {
        drive_slope: 2 * limit_aligned(per_square),
        drive_kink: -2 * sp.sqrt(2) * sp.limit(sp.simplify(slope), sine, 0, "+"),
    }


def equilibrium(normalization: str | Normalization) -> dict[sp.Symbol, sp.Expr]:
    """Derive where weight decay balances the noise of a normalized student.

    Parameters
    ----------
    normalization : str or Normalization
        A normalization with a scale γ.

    Returns
    -------
    dict
        Maps `eta_eff`, `L` and `D`, the drive that holds R, to their values in terms of R, γ and
        B; and `misalignment`, 1 − R, to its value for weak decay. Only L knows η but by ηλ.

    Raises
    ------
    InvalidSetup
        The student is not normalized.

    Examples
    --------
    >>> equilibrium("batch")[eta_eff]
    sqrt(2)*sqrt(M)*sqrt(eta)*sqrt(lambda)/sqrt(B)
    """
    normalization = normalized(normalization)
    decay, noise = sp.symbols("lambda B", positive=True)
    flow = {
        state: rate.subs({lamda: decay, B: noise})
        for state, rate in order_parameter_flow(normalization).items()
    }
    [length] = sp.solve(flow[L], L)
    [drive] = sp.solve(flow[R].subs(L, length), D)
    found = {
        eta_eff: effective_learning_rate(normalization).subs(L, length),
        L: length,
        D: drive,
        misalignment: drive.subs(R, 1) / drive_slope,
    }
    return {k: _tidy_powers(e).subs({decay: lamda, noise: B}) for k, e in found.items()}


def _tidy_powers(expression: sp.Expr) -> sp.Expr:
    terms = sp.Add.make_args(sp.expand(sp.powdenest(expression, force=True)))
    return sp.Add(*(sp.powsimp(sp.simplify(term)) for term in terms))

r"""Learning rates derived from the flow: effective, maximum, fixed points, late time, equilibrium.

With η_eff the coefficient of the drive D in dR/dt, every student turns towards its teacher by

    dR/dt = η_eff D − η_eff² R B/(2M),    η_eff = ηγ/Q (normalized), η/L (none),

whatever its normalization. Near R = 1 the drive is D ≃ D₁(1 − R) − D_{3/2}(1 − R)^{3/2}, the second
term only where g has a kink. Everything here follows from these two lines:

- maximum: the η at which dR/dt changes sign (normalized), or dε_g/dt (none). As
  ∂ε_g/∂R = −L E[g'(h*)g'(h)] = −L D/(1−R²) (Price's theorem) and ∂ε_g/∂L = −A₂, the same three
  averages give it. Far out, L → ∞, only the slopes of g at ±∞ count: beyond that η the loss
  diverges.
- fixed points, and their stability from the Jacobian.
- late time: a normalized student with noise at its fixed point (label noise, or γ₀ ≠ 1) has
  dη_eff/dt = −η_eff³ B/M, so η_eff and 1 − R forget η. (This project's; a scale-invariant loss
  anneals its own learning rate: Arora, Li, Lyu 2018, arXiv 1812.03981.)
- equilibrium with weight decay: 2ηλ = η_eff² B/M; only the product ηλ matters (this project's;
  Li, Lyu, Arora 2020, arXiv 2010.02916 have it for deep networks).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.errors import NoClosedForm, invalid
from statmech_bn.symbolic.flow import batch_field_averages, field_averages, order_parameter_flow
from statmech_bn.symbolic.integration import integrate
from statmech_bn.symbolic.symbols import A, B, D, Delta, L, M, R, eta, gamma, lamda, t, zeta

eta_eff = sp.Symbol("eta_eff", positive=True)
"""Effective learning rate η_eff."""
misalignment = sp.Symbol("x", positive=True)
"""1 − R."""
drive_slope = sp.Symbol("D_1", positive=True)
"""D₁, drive over 1 − R as R → 1."""
drive_kink = sp.Symbol("D_3/2", nonnegative=True)
"""D_{3/2}, coefficient of −(1 − R)^{3/2} in the drive; zero for a smooth activation."""
SLOPES = {
    average: tuple(sp.Symbol(f"{average.name}_{state}", real=True) for state in ("R", "gamma"))
    for average in (D, A, B)
}
"""Symbols of the derivatives of D, A₂ and B by R and by γ (by L for "none")."""

NORMALIZED = ("weight", "population", "batch")


def effective_learning_rate(normalization: str) -> sp.Expr:
    """Derive the coefficient of the drive D in dR/dt.

    Parameters
    ----------
    normalization : {"none", "weight", "population", "batch"}

    Returns
    -------
    sympy.Expr

    Examples
    --------
    >>> effective_learning_rate("weight")
    eta*gamma/L**2
    """
    return order_parameter_flow(normalization)[R].coeff(D)


def maximum_learning_rate(
    normalization: str, activation: str | sp.Expr | Activation | None = None
) -> sp.Expr:
    """Derive the η below which a state improves.

    Parameters
    ----------
    normalization : {"none", "weight", "population", "batch"}
    activation : str, sympy.Expr or Activation, optional
        Without it the result is in terms of the averages D, A₂ and B.

    Returns
    -------
    sympy.Expr
        The η at which dR/dt changes sign, for "none" dε_g/dt. It depends on the state.

    Raises
    ------
    NoClosedForm
        The averages are not elementary; `statmech_bn.rates.maximum` integrates them.

    Examples
    --------
    >>> maximum_learning_rate("weight")
    2*D*L**2*M/(B*R*gamma)
    """
    flow = order_parameter_flow(normalization)
    error_rate = -L * D / (1 - R**2) * flow[R] - A * flow[L]
    change = sp.expand(error_rate if normalization == "none" else flow[R])
    found = sp.factor(-change.coeff(eta, 1) / change.coeff(eta, 2))
    if activation is None:
        return found
    found = found.subs(_averages(normalization, activation))
    return min(found, sp.factor(found), key=sp.count_ops)


def divergence_learning_rate(activation: str | sp.Expr | Activation) -> sp.Expr:
    """Derive the η beyond which the length of an unnormalized student explodes.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation

    Returns
    -------
    sympy.Expr
        The η at which d log L/dt changes sign as L → ∞, in `M` and the weight decay `lamda`.
        Infinite for a bounded activation, zero for one that grows faster than linearly.

    Examples
    --------
    >>> divergence_learning_rate("relu").subs(lamda, 0)
    2*M
    """
    g = as_activation(activation)
    right, left = (sp.limit(g.expression / z, z, end) for end in (sp.oo, -sp.oo))
    if not (right.is_finite and left.is_finite):
        return sp.S.Zero
    if right == left == 0:
        return sp.oo
    asymptote = right * sp.Max(0, z) - left * sp.Max(0, -z)
    rate = order_parameter_flow("none", asymptote)[L] / L
    far_out = sp.expand(sp.limit(sp.expand(rate), L, sp.oo))
    return sp.factor(-far_out.coeff(eta, 1) / far_out.coeff(eta, 2))


@dataclass(frozen=True)
class FixedPoint:
    """Where a student stops, and whether it stays there.

    Attributes
    ----------
    overlap, length, gamma : sympy.Expr
        R₀, L₀ and γ₀. A length that is free is the symbol `L`.
    residual_noise : sympy.Expr
        B there. Where it vanishes the point is fixed; else the length of a normalized student
        grows for ever, and (R₀, γ₀) is the limit.
    jacobian : sympy.Matrix
        Of the flow of (R, L) for "none" and of (R, γ) for the normalized students.
    maximum : sympy.Expr
        The η at which the eigenvalue of R changes sign, ∂(dR/dt)/∂R = 0.
    effective : sympy.Expr
        η_eff there.
    """

    overlap: sp.Expr
    length: sp.Expr
    gamma: sp.Expr
    residual_noise: sp.Expr
    jacobian: sp.Matrix
    maximum: sp.Expr
    effective: sp.Expr


def fixed_point(normalization: str, activation: str | sp.Expr | Activation) -> FixedPoint:
    """Derive the fixed point of a student without weight decay ("none": and without noise).

    Parameters
    ----------
    normalization : {"none", "weight", "population", "batch"}
    activation : str, sympy.Expr or Activation

    Returns
    -------
    FixedPoint

    Raises
    ------
    NoClosedForm
        The averages are not elementary; `statmech_bn.rates.fixed_point` integrates them.

    Notes
    -----
    Where γ₀ at ζ > 0 is not elementary, as for erf, the result is for ζ = 0.

    Examples
    --------
    >>> fixed_point("weight", "linear").gamma
    1/(2*zeta + 1)
    """
    return _fixed_point(normalization, as_activation(activation))


@lru_cache(maxsize=64)
def _fixed_point(normalization: str, activation: Activation) -> FixedPoint:
    averages = _averages(normalization, activation)
    if normalization == "none":
        states, values, gone = (R, L), {L: sp.S.One}, {lamda: 0, Delta: 0}
    else:
        scale, gone = _scale(averages[A], activation)
        states, values = (R, gamma), {gamma: scale}
    flow = {
        state: sp.expand(rate.subs(averages).subs(gone))
        for state, rate in order_parameter_flow(normalization).items()
    }
    jacobian = sp.Matrix(
        [[_aligned(sp.diff(flow[a], b)).subs(values) for b in states] for a in states]
    ).applyfunc(_tidy)
    turning = sp.expand(jacobian[0, 0])
    noise = _aligned(averages[B].subs(gone))
    label_noise = noise.coeff(Delta, 2)
    bare = sp.factor(noise - Delta**2 * label_noise)
    return FixedPoint(
        overlap=sp.S.One,
        length=values.get(L, L),
        gamma=values.get(gamma, sp.S.One),
        residual_noise=_tidy(bare.subs(values)) + Delta**2 * _tidy(label_noise.subs(values)),
        jacobian=jacobian,
        maximum=_tidy(-turning.coeff(eta, 1) / turning.coeff(eta, 2)),
        effective=_tidy(effective_learning_rate(normalization).subs(values)),
    )


def flow_jacobian(normalization: str) -> sp.Matrix:
    """Derive the Jacobian of the flow in terms of the averages and their derivatives `SLOPES`.

    Parameters
    ----------
    normalization : {"none", "weight", "population", "batch"}

    Returns
    -------
    sympy.Matrix
        Rows and columns are R, L and (if there is one) γ.
    """
    flow = order_parameter_flow(normalization)
    through = L if normalization == "none" else gamma  # the averages depend on R and on this
    return sp.Matrix(
        [
            [
                sp.diff(rate, state)
                + sum(
                    sp.diff(rate, average) * slope
                    for average, slopes in SLOPES.items()
                    for argument, slope in zip((R, through), slopes, strict=True)
                    if argument == state
                )
                for state in flow
            ]
            for rate in flow.values()
        ]
    )


def late_time(
    normalization: str, activation: str | sp.Expr | Activation | None = None
) -> dict[sp.Symbol, sp.Expr]:
    """Derive how a normalized student anneals itself, as t → ∞.

    Parameters
    ----------
    normalization : {"weight", "population", "batch"}
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
    if normalization not in NORMALIZED:
        raise invalid("normalization", f"one of {', '.join(NORMALIZED)}", normalization)
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
        point = _fixed_point(normalization, as_activation(activation))
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
    normalization: str, activation: str | sp.Expr | Activation
) -> dict[sp.Symbol, sp.Expr]:
    """Expand the drive (1 − R²) K at R = 1 − x in √x; √(1 − R²) is √(2x) to this order."""
    drive = _averages(normalization, activation)[D]
    sine = sp.Symbol("s", positive=True)
    per_square = sp.factor(drive) / sp.factor(1 - R**2)
    slope = per_square.subs(R, sp.sqrt(1 - sine**2)).diff(sine)
    return {
        drive_slope: 2 * _aligned(per_square),
        drive_kink: -2 * sp.sqrt(2) * sp.limit(sp.simplify(slope), sine, 0, "+"),
    }


def equilibrium(normalization: str) -> dict[sp.Symbol, sp.Expr]:
    """Derive where weight decay balances the noise of a normalized student.

    Parameters
    ----------
    normalization : {"weight", "population", "batch"}

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
    if normalization not in NORMALIZED:
        raise invalid("normalization", f"one of {', '.join(NORMALIZED)}", normalization)
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


def _averages(
    normalization: str, activation: str | sp.Expr | Activation
) -> dict[sp.Symbol, sp.Expr]:
    find = batch_field_averages if normalization == "batch" else field_averages
    drive, pull, noise, label_noise = find(activation)
    averages = {D: drive, A: pull, B: noise + Delta**2 * label_noise}
    if normalization == "none":
        return {symbol: value.subs(gamma, L) for symbol, value in averages.items()}
    return averages


def _scale(pull: sp.Expr, activation: Activation) -> tuple[sp.Expr, dict[sp.Symbol, sp.Expr]]:
    """Solve A₂ = 2ζγ at R = 1; returns γ₀ and the penalties that have to be zero for it."""
    aligned = sp.simplify(_aligned(pull))
    if aligned.is_polynomial(gamma):
        [root] = sp.solve(sp.expand(aligned - 2 * zeta * gamma), gamma)
        return sp.factor(sp.gammasimp(root)), {lamda: sp.S.Zero}
    if sp.simplify(aligned.subs(gamma, 1)) == 0:
        return sp.S.One, {lamda: sp.S.Zero, zeta: sp.S.Zero}
    raise NoClosedForm(
        f"The scale at which {activation.name} stops has no closed form; "
        "statmech_bn.rates.fixed_point finds it numerically."
    )


def _aligned(expression: sp.Expr) -> sp.Expr:
    """Take the limit R → 1, in √(1 − R²): what is singular there cancels when it is expanded."""
    sine = sp.Symbol("s", positive=True)
    found = sp.expand(expression.subs(R, sp.sqrt(1 - sine**2))).subs(sine, 0)
    return sp.limit(expression, R, 1, "-") if found.has(sp.nan, sp.zoo, sp.oo) else found


def _tidy(expression: sp.Expr) -> sp.Expr:
    """Factor, with the Γ functions of neighbouring arguments joined."""
    x = sp.Symbol("x", positive=True)
    joined = sp.gammasimp(sp.simplify(expression).subs(M, 2 * x + 3))  # Γ(M/2), Γ((M−3)/2), …
    return sp.factor(joined.subs(x, (M - 3) / 2))


def _tidy_powers(expression: sp.Expr) -> sp.Expr:
    terms = sp.Add.make_args(sp.expand(sp.powdenest(expression, force=True)))
    return sp.Add(*(sp.powsimp(sp.simplify(term)) for term in terms))

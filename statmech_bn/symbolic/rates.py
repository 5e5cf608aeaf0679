r"""Learning rates derived from the flow: effective, maximum, and fixed points.

With η_eff the coefficient of the drive D in dR/dt, every student turns towards its teacher by

    dR/dt = η_eff D − η_eff² R B/(2M),    η_eff = ηγ/Q (normalized), η/L (none),

whatever its normalization. Everything here follows from this line:

- maximum: the η at which dR/dt changes sign (normalized), or dε_g/dt (none). As
  ∂ε_g/∂R = −L E[g'(h*)g'(h)] = −L D/(1−R²) (Price's theorem) and ∂ε_g/∂L = −A₂, the same three
  averages give it. Far out, L → ∞, only the slopes of g at ±∞ count: beyond that η the loss
  diverges.
- fixed points, and their stability from the Jacobian.

What becomes of a student after long times stands in `symbolic.annealing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.errors import NoClosedForm, invalid
from statmech_bn.normalization import Normalization, Unnormalized
from statmech_bn.normalization import normalization as as_normalization
from statmech_bn.symbolic.flow import average_expressions, order_parameter_flow
from statmech_bn.symbolic.symbols import A, B, D, Delta, L, M, R, eta, gamma, lamda, zeta

SLOPES = {
    average: tuple(sp.Symbol(f"{average.name}_{state}", real=True) for state in ("R", "gamma"))
    for average in (D, A, B)
}
"""Symbols of the derivatives of D, A₂ and B by R and by γ (by L without a scale)."""


def normalized(normalization: str | Normalization) -> Normalization:
    """Return the normalization if it has a scale, as only those students anneal themselves.

    Raises
    ------
    InvalidSetup
        It has none.
    """
    rule = as_normalization(normalization)
    if not rule.has_scale:
        raise invalid(
            "normalization",
            "one with a scale",
            rule.name,
            "Without normalization the length does not anneal the learning rate.",
        )
    return rule


def effective_learning_rate(normalization: str | Normalization) -> sp.Expr:
    """Derive the coefficient of the drive D in dR/dt.

    Parameters
    ----------
    normalization : str or Normalization

    Returns
    -------
    sympy.Expr

    Examples
    --------
    >>> effective_learning_rate("weight")
    eta*gamma/L**2
    """
    return order_parameter_flow(normalization)[R].coeff(D)


def improvement(normalization: str | Normalization) -> sp.Expr:
    """Return dR/dt, or −dε_g/dt for "none", as a polynomial in η."""
    flow = order_parameter_flow(normalization)
    if as_normalization(normalization).has_scale:
        return sp.expand(flow[R])
    return sp.expand(L * D / (1 - R**2) * flow[R] + A * flow[L])


def maximum_learning_rate(
    normalization: str | Normalization, activation: str | sp.Expr | Activation | None = None
) -> sp.Expr:
    """Derive the η below which a state improves.

    Parameters
    ----------
    normalization : str or Normalization
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
    change = improvement(normalization)
    found = sp.factor(-change.coeff(eta, 1) / change.coeff(eta, 2))
    if activation is None:
        return found
    found = found.subs(average_expressions(normalization, activation))
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
    rate = order_parameter_flow(Unnormalized(), asymptote)[L] / L
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
        Jacobian of the flow of (R, L) for "none" and of (R, γ) for the normalized students.
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


def fixed_point(
    normalization: str | Normalization, activation: str | sp.Expr | Activation
) -> FixedPoint:
    """Derive the fixed point of a student without weight decay ("none": and without noise).

    Parameters
    ----------
    normalization : str or Normalization
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
    return _fixed_point(as_normalization(normalization), as_activation(activation))


@lru_cache(maxsize=64)
def _fixed_point(rule: Normalization, activation: Activation) -> FixedPoint:
    averages = average_expressions(rule, activation)
    if rule.has_scale:
        scale, gone = _scale(averages[A], activation)
        states, values = (R, gamma), {gamma: scale}
    else:
        states, values, gone = (R, L), {L: sp.S.One}, {lamda: 0, Delta: 0}
    flow = {
        state: sp.expand(rate.subs(averages).subs(gone))
        for state, rate in order_parameter_flow(rule).items()
    }
    jacobian = sp.Matrix(
        [[limit_aligned(sp.diff(flow[a], b)).subs(values) for b in states] for a in states]
    ).applyfunc(_tidy)
    turning = sp.expand(jacobian[0, 0])
    noise = limit_aligned(averages[B].subs(gone))
    label_noise = noise.coeff(Delta, 2)
    bare = sp.factor(noise - Delta**2 * label_noise)
    return FixedPoint(
        overlap=sp.S.One,
        length=values.get(L, L),
        gamma=values.get(gamma, sp.S.One),
        residual_noise=_tidy(bare.subs(values)) + Delta**2 * _tidy(label_noise.subs(values)),
        jacobian=jacobian,
        maximum=_tidy(-turning.coeff(eta, 1) / turning.coeff(eta, 2)),
        effective=_tidy(effective_learning_rate(rule).subs(values)),
    )


def flow_jacobian(normalization: str | Normalization) -> sp.Matrix:
    """Derive the Jacobian of the flow in terms of the averages and their derivatives `SLOPES`.

    Parameters
    ----------
    normalization : str or Normalization

    Returns
    -------
    sympy.Matrix
        Rows and columns are R, L and (if there is one) γ.
    """
    flow = order_parameter_flow(normalization)
    through = gamma if gamma in flow else L  # the averages depend on R and on this
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


def _scale(pull: sp.Expr, activation: Activation) -> tuple[sp.Expr, dict[sp.Symbol, sp.Expr]]:
    """Solve A₂ = 2ζγ at R = 1; returns γ₀ and the penalties that have to be zero for it."""
    aligned = sp.simplify(limit_aligned(pull))
    if aligned.is_polynomial(gamma):
        [root] = sp.solve(sp.expand(aligned - 2 * zeta * gamma), gamma)
        return sp.factor(sp.gammasimp(root)), {lamda: sp.S.Zero}
    if sp.simplify(aligned.subs(gamma, 1)) == 0:
        return sp.S.One, {lamda: sp.S.Zero, zeta: sp.S.Zero}
    raise NoClosedForm(
        f"The scale at which {activation.name} stops has no closed form; "
        "statmech_bn.rates.fixed_point finds it numerically."
    )


def limit_aligned(expression: sp.Expr) -> sp.Expr:
    """Take the limit R → 1, in √(1 − R²): what is singular there cancels when it is expanded."""
    sine = sp.Symbol("s", positive=True)
    found = sp.expand(expression.subs(R, sp.sqrt(1 - sine**2))).subs(sine, 0)
    return sp.limit(expression, R, 1, "-") if found.has(sp.nan, sp.zoo, sp.oo) else found


def _tidy(expression: sp.Expr) -> sp.Expr:
    """Factor, with the Γ functions of neighbouring arguments joined."""
    x = sp.Symbol("x", positive=True)
    joined = sp.gammasimp(sp.simplify(expression).subs(M, 2 * x + 3))  # Γ(M/2), Γ((M−3)/2), …
    return sp.factor(joined.subs(x, (M - 3) / 2))

r"""The flow of the order parameters at N → ∞, derived from the update rule.

One step moves w by the mean over the batch of η δ ∇φ, minus ηλw/N. Since φ depends on w through
h = w·x/√N and Q = |w|²/N, a sample contributes

    Δw = (η/M) δ (φ_h x/√N + 2 φ_Q w/N),        δ = g'(φ)(y − g(φ)),

and the changes of ρ = w·w*/N and Q follow from the scalar products of x, w and w*; products of
different samples vanish as N → ∞. With h = Lu, averages over the fields remain:

    D = E[δ h*] − R E[δ u],   A₂ = E[δ u],   B = E[δ²].

With batch statistics (gradients through μ_B and σ_B = L s), Δw = (η/√N) Σ c x with
c = γ P δ/(M σ_B), P the projector off (1, …, 1) and û. As P removes u, Σ c h = 0, and the flow has
the form of weight normalization with the finite-M averages

    D = E[Σ (Pδ) h*]/(M s),   A₂ = E[δ û],   B = E[|Pδ|²/s²]/M.

For the linear unit only y's part that u does not explain survives P, and M s² ~ χ²(M−1).

Sources: Luo et al. 2019 (normalized students), Saad & Solla 1995 (no normalization); the flow at
finite M is this project's.
"""

from __future__ import annotations

from functools import lru_cache

import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import integer
from statmech_bn.errors import NoClosedForm
from statmech_bn.normalization import Normalization
from statmech_bn.normalization import normalization as as_normalization
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.integration import integrate
from statmech_bn.symbolic.symbols import (
    A,
    B,
    D,
    Delta,
    L,
    M,
    N,
    Q,
    R,
    eta,
    eta_gamma,
    gamma,
    lamda,
    rho,
    u,
    v,
    zeta,
)

UNIT_FIELDS = sp.Matrix([[1, R], [R, 1]])

LARGEST_POWER = 100
"""The moment of a power larger than this takes long to simplify."""


def order_parameter_flow(
    normalization: str | Normalization, activation: str | sp.Expr | Activation | None = None
) -> dict[sp.Symbol, sp.Expr]:
    """Derive dR/dt, dL/dt and dγ/dt.

    Parameters
    ----------
    normalization : str or Normalization
        As in `statmech_bn.TeacherStudent`.
    activation : str, sympy.Expr or Activation, optional
        Without it the result is in terms of the averages `D`, `A` and `B`, which every
        activation shares.

    Returns
    -------
    dict
        Maps `R`, `L` and (if there is one) `gamma` to its time derivative, in the symbols of
        `statmech_bn.symbolic`.

    Raises
    ------
    NoClosedForm
        The averages are not elementary: tanh and softplus, or "batch" with another activation
        than linear. `statmech_bn.macroscopic` integrates them numerically.

    Examples
    --------
    >>> order_parameter_flow("weight", "linear")[gamma]
    eta_gamma*(R - 2*gamma*zeta - gamma)
    """
    flow = _flow_in_averages(as_normalization(normalization))
    if activation is None:
        return dict(flow)
    values = average_expressions(normalization, activation)
    return {symbol: _tidy(rate.subs(values)) for symbol, rate in flow.items()}


def average_expressions(
    normalization: str | Normalization, activation: str | sp.Expr | Activation
) -> dict[sp.Symbol, sp.Expr]:
    """Derive the averages D, A₂ and B of a student's flow.

    Parameters
    ----------
    normalization : str or Normalization
    activation : str, sympy.Expr or Activation

    Returns
    -------
    dict
        Each symbol is mapped to a function of `R`, of `gamma` (of `L` without a scale) and of `M`.

    Raises
    ------
    NoClosedForm
        One of them is not elementary.
    """
    rule = as_normalization(normalization)
    group, scale = rule.group(M), gamma if rule.has_scale else L
    found = field_averages(activation) if group is None else batch_field_averages(activation)
    drive, pull, noise, label_noise = (e.subs({M: group or M, gamma: scale}) for e in found)
    return {D: drive, A: pull, B: noise + Delta**2 * label_noise}


def field_averages(activation: str | sp.Expr | Activation) -> tuple[sp.Expr, ...]:
    """Derive (D, A₂, B at Δ = 0, coefficient of Δ² in B) for population statistics.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation

    Returns
    -------
    tuple of sympy.Expr
        Functions of `R` and `gamma` > 0 (without a scale put L for γ).

    Raises
    ------
    NoClosedForm
        One of them is not elementary.

    Examples
    --------
    >>> field_averages("linear")[0]
    1 - R**2
    """
    return _field_averages(as_activation(activation))


def batch_field_averages(activation: str | sp.Expr | Activation) -> tuple[sp.Expr, ...]:
    """Derive (D, A₂, B at Δ = 0, coefficient of Δ² in B) where M samples share statistics.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation

    Returns
    -------
    tuple of sympy.Expr
        Functions of `R`, `gamma` and `M`.

    Raises
    ------
    NoClosedForm
        The activation is not linear.

    Examples
    --------
    >>> batch_field_averages("linear")[0]
    -2*sqrt(2)*(R - 1)*(R + 1)*gamma(M/2 + 1)/(M**(3/2)*gamma(M/2 - 1/2))
    """
    g = as_activation(activation)
    if not _affine(g):
        raise NoClosedForm(
            f"Batch statistics at finite M have no closed flow for {g.name}, only for the linear "
            "unit; statmech_bn.macroscopic integrates the averages numerically."
        )
    slope = sp.diff(g.expression, z)
    # δ = slope (slope (h* − γû) + Δξ); Pδ keeps √(1−R²) v and Δξ; E|P v|² = tr P.
    trace = M - 1 - 1  # P = I − 11'/M − ûû'/M and |û|² = M
    drive = slope**2 * (1 - R**2) * trace / M * spread_moment(-1)
    label_noise = slope**2 * trace / M * spread_moment(-2)
    pull = slope**2 * (R * spread_moment(1) - gamma)
    noise = slope**2 * (1 - R**2) * label_noise
    return tuple(sp.factor(e) for e in (drive, pull, noise, label_noise))


def spread_moment(power: int) -> sp.Expr:
    """Integrate E[s^power] for the standard deviation s of M unit Gaussians, M s² ~ χ²(M−1).

    Parameters
    ----------
    power : int
        May be negative; the moment is finite for M > 1 − power.

    Returns
    -------
    sympy.Expr
        A function of `M`.

    Examples
    --------
    >>> spread_moment(2)
    2*gamma(M/2 + 1/2)/(M*gamma(M/2 - 1/2))
    """
    return _spread_moment(integer("power", power, -LARGEST_POWER, maximum=LARGEST_POWER))


@lru_cache(maxsize=32)
def _spread_moment(power: int) -> sp.Expr:
    x = sp.Symbol("x", positive=True)
    half = (M - 1) / 2
    density = x ** (half - 1) * sp.exp(-x / 2) / (2**half * sp.gamma(half))
    moment, _ = integrate(
        (x / M) ** sp.Rational(power, 2) * density, (x, 0, sp.oo), conds="separate"
    )
    return sp.gammasimp(moment)


def generalization_error(activation: str | sp.Expr | Activation) -> sp.Expr:
    """Derive ε_g = ½ E[(g(h*) − g(γu))²] as a function of `R` and `gamma` > 0.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation

    Returns
    -------
    sympy.Expr

    Raises
    ------
    NoClosedForm
        It is not elementary.

    Examples
    --------
    >>> generalization_error("linear")
    -R*gamma + gamma**2/2 + 1/2
    """
    return _generalization_error(as_activation(activation))


@lru_cache(maxsize=64)
def _generalization_error(g: Activation) -> sp.Expr:
    difference = g.expression.subs(z, v) - g.expression.subs(z, gamma * u)
    return _tidy(gaussian_average(difference**2, (u, v), UNIT_FIELDS) / 2)


@lru_cache(maxsize=64)
def _field_averages(g: Activation) -> tuple[sp.Expr, ...]:
    slope = g.derivative.subs(z, gamma * u)
    difference = g.expression.subs(z, v) - g.expression.subs(z, gamma * u)
    # Stein's lemma: E[δ (v − R u)] = (1 − R²) E[∂δ/∂v], without the cancellation near R = 1.
    drive = (1 - R**2) * _average(slope * g.derivative.subs(z, v))
    pull = _average(slope * difference * u)
    noise = _average(slope**2 * difference**2)
    return tuple(_tidy(e) for e in (drive, pull, noise, _average(slope**2)))


def _average(expression: sp.Expr) -> sp.Expr:
    return gaussian_average(expression, (u, v), UNIT_FIELDS)


@lru_cache(maxsize=8)
def _flow_in_averages(rule: Normalization) -> dict[sp.Symbol, sp.Expr]:
    """Expand the update rule and keep what survives N → ∞."""
    h, teacher, error = sp.symbols("h h_* delta", real=True)
    phi = rule.phi(h, Q, gamma)
    # Δw = along_input x/√N + along_weights w/N, for a batch of one
    along_input = eta * error * sp.diff(phi, h)
    along_weights = 2 * eta * error * sp.diff(phi, Q)
    square = along_input**2 + (2 * along_input * along_weights * h + along_weights**2 * Q) / N
    rho_rate = _mean(along_input * teacher + along_weights * rho, h, teacher, error)
    q_rate = _mean(2 * (along_input * h + along_weights * Q), h, teacher, error)
    q_rate += _mean(sp.limit(square, N, sp.oo), h, teacher, error) / M
    rho_rate -= eta * lamda * rho
    q_rate -= 2 * eta * lamda * Q
    states = {rho: R * L, Q: L**2}
    length_rate = (q_rate / (2 * L)).subs(states)
    flow = {
        R: sp.expand((rho_rate.subs(states) - R * length_rate) / L),
        L: sp.expand(length_rate),
    }
    if rule.has_scale:
        pull = _mean(error * sp.diff(phi, gamma), h, teacher, error).subs(states)
        flow[gamma] = eta_gamma * (pull - 2 * zeta * gamma)
    return flow


def _mean(expression: sp.Expr, h: sp.Symbol, teacher: sp.Symbol, error: sp.Symbol) -> sp.Expr:
    """Average an expression linear in δ h and δ h*, or quadratic in δ."""
    terms = sp.Poly(sp.expand(expression), h, teacher, error).terms()
    averages = {(1, 0, 1): sp.sqrt(Q) * A, (0, 1, 1): D + R * A, (0, 0, 2): B}
    return sp.Add(*(averages[powers] * factor for powers, factor in terms if factor))


def _affine(g: Activation) -> bool:
    return g.expression.is_polynomial(z) and sp.degree(g.expression, z) == 1


def _tidy(expression: sp.Expr) -> sp.Expr:
    """Collect what the averages left expanded; the shortest of a few cheap forms."""
    forms = [expression, sp.factor_terms(expression), sp.factor(expression)]
    return min(forms, key=sp.count_ops)

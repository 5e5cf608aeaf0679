r"""The flow of a committee's order parameters at N → ∞, derived from its step.

The teacher has the units w*_n with T_nn' = w*_n·w*_n'/N and the second layer v*, the student the
units w_k, each with its own γ_k, and the second layer v:

    y = Σ_n v*_n g(h*_n) + Δξ,   e = y − Σ_k v_k g(φ_k),   δ_km = v_k g'(φ_km) e_m.

With the gradient c_km of unit k (`statmech_bn.symbolic.step`, taken at δ_k, L_k and γ_k) and s_k,
what a normalization by the length takes out along w_k, a step is

    w_k ← (1 − ηλ/N − ηs_k/N) w_k + (η/√N) Σ_m c_km x_m,
    γ_k ← γ_k + (η_γ/N)(mean δ_k û_k − 2ζγ_k),        v_k ← v_k + (η_v/N) mean e g(φ_k).

ρ_kn = w_k·w*_n/N and Q_kl = w_k·w_l/N follow from the scalar products of w_k, w_l, w*_n and
X_k = Σ_m c_km x_m, where x_m·x_m'/N → δ_mm', to first order in dt = 1/N. What remains are averages
over the fields of a step,

    F_kn = E[Σ_m c_km h*_nm],   F_kl = E[Σ_m c_km h_lm],   N_kl = E[Σ_m c_km c_lm],
    P_k = E[mean δ_k û_k],      E_k = E[e g(φ_k)].

For population statistics c_km = a_k δ_km/M, a_k = ∂φ_k/∂h_k, and with z = (h*, φ) and ω = (v*, −v),
e = Σ_i ω_i g(z_i) + Δξ, so that Stein's lemma leaves averages over two and four fields:

    E[δ_k x] = v_k Σ_i ω_i (E[g''(z_k) g(z_i)] cov(z_k, x) + E[g'(z_k) g'(z_i)] cov(z_i, x)),
    E[δ_kδ_l] = v_kv_l (Σ_ij ω_iω_j E[g'(z_k) g'(z_l) g(z_i) g(z_j)] + Δ² E[g'(z_k) g'(z_l)]).

Sources: Saad & Solla, Phys. Rev. E 52 (1995) 4225, for g = erf and no normalization, whose I₂, I₃
and I₄ the averages are; Goldt, Advani, Saxe, Krzakala & Zdeborová 2019 (arXiv 1906.08632) for the
second layer.
"""

from __future__ import annotations

from functools import lru_cache

import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.symbols import N, eta, eta_gamma, lamda, zeta

rho_kn, q_kl = sp.symbols("rho_kn Q_kl", real=True)
"""Entries ρ_kn and Q_kl."""
gamma_k, v_k = sp.symbols("gamma_k v_k", real=True)
"""Scale and second layer of unit k."""
f_kn, f_kl, f_lk, n_kl = sp.symbols("F_kn F_kl F_lk N_kl", real=True)
"""F and N of the module."""
p_k, e_k = sp.symbols("P_k E_k", real=True)
"""Pull P_k on the scale, and E_k on the second layer."""
s_k, s_l = sp.symbols("s_k s_l", real=True)
"""What the normalization takes out along w_k and w_l."""
eta_v = sp.Symbol("eta_v", nonnegative=True)
"""Learning rate of the second layer."""

TEACHER = (rho_kn, f_kn, s_k, eta, lamda)
"""What dρ_kn/dt is a function of."""
STUDENT = (q_kl, f_kl, f_lk, s_k, s_l, n_kl, eta, lamda)
"""What dQ_kl/dt is a function of."""
SCALE = (gamma_k, p_k, eta_gamma, zeta)
"""What dγ_k/dt is a function of."""
READOUT = (e_k, eta_v)
"""What dv_k/dt is a function of."""

FIELDS = sp.symbols("z_0:4", real=True)
"""Four fields, each of them one of z = (h*, φ)."""
COVARIANCE = sp.Matrix(
    4, 4, lambda i, j: sp.Symbol(f"C_{min(i, j)}{max(i, j)}", real=True, positive=i == j or None)
)
"""Their covariance."""
PAIR = tuple(COVARIANCE[i, j] for i in range(2) for j in range(i, 2))
"""What the averages over two fields are functions of."""
QUADRUPLE = tuple(COVARIANCE[i, j] for i in range(4) for j in range(i, 4))
"""What the average over four fields is a function of."""


@lru_cache(maxsize=1)
def committee_rates() -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """Derive dρ_kn/dt, dQ_kl/dt, dγ_k/dt and dv_k/dt from a step.

    Returns
    -------
    tuple of sympy.Expr
        Functions of `TEACHER`, `STUDENT`, `SCALE` and `READOUT`.

    Examples
    --------
    >>> committee_rates()[0]
    F_kn*eta - eta*lambda*rho_kn - eta*rho_kn*s_k
    """
    w_k, w_l, teacher, x_k, x_l = sp.symbols("w_k w_l w_n X_k X_l")
    products = {  # scalar products over N; those of X over N^(1/2) are fields
        w_k * teacher: rho_kn,
        x_k * teacher: f_kn / sp.sqrt(N),
        w_k * w_l: q_kl,
        x_k * w_l: f_kl / sp.sqrt(N),
        w_k * x_l: f_lk / sp.sqrt(N),
        x_k * x_l: n_kl,
    }

    def after(weights: sp.Symbol, change: sp.Symbol, turn: sp.Symbol) -> sp.Expr:
        return (1 - eta * lamda / N - eta * turn / N) * weights + eta / sp.sqrt(N) * change

    def rate(product: sp.Expr, before: sp.Expr) -> sp.Expr:
        terms = sp.Poly(sp.expand(product), w_k, w_l, teacher, x_k, x_l).terms()
        symbols = (w_k, w_l, teacher, x_k, x_l)
        value = sum(
            coefficient * products[sp.prod(s**n for s, n in zip(symbols, powers, strict=True))]
            for powers, coefficient in terms
        )
        return sp.expand(sp.limit(sp.expand(N * (value - before)), N, sp.oo))

    one, other = after(w_k, x_k, s_k), after(w_l, x_l, s_l)
    return (
        rate(one * teacher, rho_kn),
        rate(one * other, q_kl),
        eta_gamma * (p_k - 2 * zeta * gamma_k),
        eta_v * e_k,
    )


@lru_cache(maxsize=32)
def pair_averages(activation: str | sp.Expr | Activation) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Derive E[g(z₀)g(z₁)], E[g'(z₀)g'(z₁)] and E[g''(z₀)g(z₁)].

    Parameters
    ----------
    activation : str, sympy.Expr or Activation

    Returns
    -------
    tuple of sympy.Expr
        Functions of `PAIR`.

    Raises
    ------
    NoClosedForm
        One of them is not elementary.

    Examples
    --------
    >>> pair_averages("erf")[0]
    2*asin(C_01/(sqrt(C_00 + 1)*sqrt(C_11 + 1)))/pi
    """
    value, slope, bend = _derivatives(as_activation(activation))
    first, second = FIELDS[:2]
    covariance = COVARIANCE[:2, :2]
    products = (value(first) * value(second), slope(first) * slope(second))
    averages = (*products, bend(first) * value(second))
    return tuple(gaussian_average(e, FIELDS[:2], covariance) for e in averages)


@lru_cache(maxsize=32)
def quadruple_average(activation: str | sp.Expr | Activation) -> sp.Expr:
    """Derive E[g'(z₀) g'(z₁) g(z₂) g(z₃)].

    Parameters
    ----------
    activation : str, sympy.Expr or Activation

    Returns
    -------
    sympy.Expr
        A function of `QUADRUPLE`; two fields may be the same.

    Raises
    ------
    NoClosedForm
        It is not elementary.

    Examples
    --------
    >>> quadruple_average("linear")
    C_23
    """
    value, slope, _ = _derivatives(as_activation(activation))
    product = slope(FIELDS[0]) * slope(FIELDS[1]) * value(FIELDS[2]) * value(FIELDS[3])
    return gaussian_average(product, FIELDS, COVARIANCE)


def _derivatives(g: Activation) -> tuple:
    expressions = (g.expression, g.derivative, sp.diff(g.derivative, z))
    return tuple(lambda field, e=e: e.subs(z, field) for e in expressions)

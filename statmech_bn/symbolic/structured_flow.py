r"""The flow on inputs with a covariance, derived from the step block by block.

One step moves the weights in block i by (η/√N) Σ c x_i, minus ηλw_i/N and what the normalization
takes out. As x_i·w*_i/√N and x_i·w_i/√N have the covariances λ_iT_i and λ_iρ_i with the fields
h* and h (λ_iρ_i and λ_iQ_i the second), their regression on the fields gives

    E[Σ c x_i·w*_i/√N] = λ_i (a ρ_i + b T_i),     E[Σ c x_i·w_i/√N] = λ_i (a Q_i + b ρ_i),

with (a, b) the solution of a σ_h² + b κ = E[Σ c h], a κ + b σ_*² = E[Σ c h*], κ = Σ λ_iρ_i. With
the unit c₀ of c = c₀ P δ/M and the averages D, A₂ and B of `statmech_bn.symbolic.flow`, taken at
the correlation R = κ/(σ_hσ_*) of the fields,

    E[Σ c h] = c₀ σ_h A₂ [0 where statistics are of the batch],    b = c₀ D'/σ_*,
    E[Σ c²] = c₀² B/M,    D' = D/(1 − R²),

    dρ_i/dt = ηλ_i (a ρ_i + b T_i) − (η s̄ k_i + ηλ_w) ρ_i
    dQ_i/dt = 2ηλ_i (a Q_i + b ρ_i) − 2 (η s̄ k_i + ηλ_w) Q_i + η² λ_i f_i E[Σ c²],

where s̄ k_i is E[Σ c h]/L² (weight), λ_i E[Σ c h]/σ_h² (population), 0 otherwise.
"""

from __future__ import annotations

from functools import lru_cache

import sympy as sp

from statmech_bn.normalization import Normalization
from statmech_bn.symbolic.symbols import M, eta, lamda

rho, square, teacher = sp.symbols("rho_i Q_i T_i", real=True)
"""ρ_i, Q_i and T_i of a block."""
eigenvalue, fraction = sp.symbols("lambda_i f_i", nonnegative=True)
"""λ_i and f_i of a block."""
first, second, turn, noise = sp.symbols("a b s_bar C", real=True)
"""a, b, s̄ and E[Σ c²]."""
spread, spread_of_teacher, length, cosine = sp.symbols("sigma_h sigma_t L R", positive=True)
"""σ_h, σ_*, |w|/√N and the correlation of the fields."""
unit, drive, pull, variance = sp.symbols("c_0 D_1 A_2 B", real=True)
"""c₀, D/(1 − R²), and the averages A₂ and B."""
BLOCK = (rho, square, teacher, eigenvalue, fraction, eta, lamda, first, second, turn, noise)
FIELDS = (spread, spread_of_teacher, length, cosine, unit, drive, pull, variance, M)


@lru_cache(maxsize=8)
def block_rates(rule: Normalization) -> tuple[sp.Expr, sp.Expr]:
    """Derive dρ_i/dt and dQ_i/dt as functions of `BLOCK`.

    Parameters
    ----------
    rule : Normalization

    Returns
    -------
    tuple of sympy.Expr
    """
    kept = eta * lamda + eta * turn * (eigenvalue if rule.by_covariance else 1)
    regression = sp.Matrix([first, second])
    # covariances of x_i·w*_i/√N and of x_i·w_i/√N with (h, h*)
    towards = eigenvalue * sp.Matrix([[rho, teacher], [square, rho]]) * regression
    across = eta**2 * eigenvalue * fraction * noise
    return eta * towards[0] - kept * rho, 2 * eta * towards[1] - 2 * kept * square + across


@lru_cache(maxsize=8)
def field_terms(rule: Normalization) -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """Derive a, b, s̄ and E[Σ c²] as functions of `FIELDS`.

    Parameters
    ----------
    rule : Normalization

    Returns
    -------
    tuple of sympy.Expr
    """
    along = sp.S.Zero if rule.of_batch else unit * spread * pull
    covariance = cosine * spread * spread_of_teacher
    fields = sp.Matrix([[spread**2, covariance], [covariance, spread_of_teacher**2]])
    apart = unit * spread_of_teacher * drive * (1 - cosine**2)
    teacher_field = apart + cosine * spread_of_teacher * along / spread
    a, b = fields.LUsolve(sp.Matrix([along, teacher_field]))
    divisor = spread if rule.by_covariance else length
    turned = along / divisor**2 if rule.by_length else sp.S.Zero
    return sp.simplify(a), sp.simplify(b), turned, unit**2 * variance / M

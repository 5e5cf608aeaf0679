r"""Gamma decay of several units: what batch statistics make of two units' common output.

Two units of the fields' correlation q are normalized over the same M samples, with Gaussian inputs.
For linear units E[û_kû_l] = E[r], r the sample correlation of M pairs. After centring, the samples
of the units are vectors a and b of n = M − 1 unit Gaussians of the correlation q, and r = â·b̂. By
Mehler's formula E[r] = n Σ_j q^(2j+1) c_j² with the coefficients c_j of a₁/|a| in the orthonormal
polynomials a₁ L_j^(n/2)(|a|²/2); it is orthogonal to all others. With s = |a|²/2 of the law Γ(n/2)
and Rodrigues' formula for L_j they are integrals of powers, and the sum is a ₂F₁.

To order 1/M for any unit: with μ_k, σ_k of the samples, û_k − u_k = −μ_k − u_k(σ_k² − 1)/2 + …, so
that besides the moments of `statmech_bn.symbolic.gamma_decay` there is one of both units,

    E[(û_k − u_k)(û_l − u_l) | u] = cov(μ_k, μ_l) + ¼ u_ku_l cov(σ_k², σ_l²) = (q + ½ q² u_ku_l)/M.
"""

from __future__ import annotations

from functools import lru_cache

import sympy as sp
from sympy.simplify.simplify import hypersimp

from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.symbols import M, u, v

q = sp.Symbol("q", real=True)
"""Correlation of the fields of two units."""
_FIELDS = sp.Matrix([[1, q], [q, 1]])


@lru_cache(maxsize=1)
def sample_correlation() -> sp.Expr:
    """Derive E[r], the mean sample correlation of M pairs of Gaussians of the correlation q.

    Returns
    -------
    sympy.Expr
        A function of `q` and `M`.

    Examples
    --------
    >>> round(float(sample_correlation().subs({q: 0.5, M: 8})), 4)
    0.4725
    """
    j, n = sp.symbols("j n", positive=True)
    alpha = n / 2

    def moment(exponent: sp.Expr) -> sp.Expr:  # ∫ s^exponent e^(−s) ds
        return sp.gamma(exponent + 1)

    # L_j = s^(−α) eˢ (d/ds)^j (e^(−s) s^(j+α))/j!: by parts, the derivatives fall on s^(−1/2),
    # (−1)^j (d/ds)^j s^(−1/2) = Γ(j + 1/2)/Γ(1/2) s^(−1/2−j)
    fallen = sp.gamma(j + sp.S.Half) / sp.gamma(sp.S.Half)
    projection = fallen / sp.gamma(j + 1) * moment(alpha - sp.S.Half)
    first = sp.sqrt(2) * projection / (n * sp.gamma(alpha))
    norm = (2 / n) * moment(alpha + j) / (sp.gamma(j + 1) * sp.gamma(alpha))
    term = n * first**2 / norm
    ratio = hypersimp(term, j)  # of a term to the one before
    above, below = sp.fraction(ratio)
    upper = [-root for root, count in sp.roots(above, j).items() for _ in range(count)]
    lower = [-root for root, count in sp.roots(below, j).items() for _ in range(count)]
    lower.remove(sp.S.One)  # j! of a hypergeometric series
    factor = sp.LC(above, j) / sp.LC(below, j)
    series = sp.hyper(upper, lower, sp.simplify(factor) * q**2)
    leading = sp.gammasimp(term.subs(j, 0))
    return (q * leading * series).subs(n, M - 1)


@lru_cache(maxsize=1)
def common_moment() -> sp.Expr:
    """Derive M E[(û_k − u_k)(û_l − u_l) | u_k, u_l] at M → ∞.

    Returns
    -------
    sympy.Expr
        A function of `q` and of the fields, `statmech_bn.symbolic.u` and `v`.

    Examples
    --------
    >>> common_moment()
    q**2*u*v/2 + q
    """
    means = gaussian_average(u * v, (u, v), _FIELDS)
    squares = gaussian_average((u**2 - 1) * (v**2 - 1), (u, v), _FIELDS)
    return sp.expand(means + u * v * squares / 4)

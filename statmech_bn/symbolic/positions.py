r"""Gamma decay where samples have positions: the generalization of `gamma_decay` to convolutions.

A channel's field u_p at the positions p of a sample is standardized over samples and positions.
Samples are independent, positions of one are not, so what fluctuates is made of a sample's means

    ū = mean_p u_p,   q = mean_p u_p²:   V_μ = Var ū,   V_σ = Var q,   V_μσ = Cov(ū, q),

which are 1, ρ_h + 2 and κ₃ for a single position; M/V_μ is the number of independent values that
the mean has. A batch makes û_p = (u_p − a)/√(1 + v − a²), with a and v the means of ū and q − 1
over M samples: û_p − u_p = D₀ + D₁u_p, with the same D₀ and D₁ at all positions. With the scores
G = ∂ℓ/∂β and T = ∂ℓ/∂γ of the sample's loss ℓ, for labels drawn from the outputs, G² and T² average
to the Fisher information of β and γ, and to second order

    independent   ζ = ½ E(G D₀ + T D₁)²
    correlated    ζ = ½ E[T (G D₀ + T D₁)] + ½ E(G D₀ + T D₁)²

as P(γ)/γ² and P'(γ)/(2γ) of `statmech_bn.symbolic.gamma_decay`, where labels follow γ and where
they are held fixed; the information is held fixed in both. Independent statistics do not know the
sample; in correlated ones it is one of the M, and E[a|sample] = ū/M, E[v|sample] = (q − 1)/M. One
position, where T = uG, has the moments of `statmech_bn.symbolic.batch_moments`.
"""

from __future__ import annotations

import sympy as sp

from statmech_bn.symbolic.gamma_decay import PARTS, STATISTICS, _check
from statmech_bn.symbolic.symbols import M

beta_score = sp.Symbol("G", real=True)
"""G, the derivative of a sample's loss with respect to β."""
gamma_score = sp.Symbol("T", real=True)
"""T, the derivative of a sample's loss with respect to γ."""
sample_mean = sp.Symbol("ubar", real=True)
"""ū, the mean of a sample's standardized field over its positions."""
sample_square = sp.Symbol("q", positive=True)
"""q, the mean of a sample's squared standardized field over its positions."""
mean_variance = sp.Symbol("V_mu", positive=True)
"""V_μ = Var ū over samples; 1 for a single position."""
square_variance = sp.Symbol("V_sigma", positive=True)
"""V_σ = Var q over samples; ρ_h + 2 for a single position."""
mixed_covariance = sp.Symbol("V_musigma", real=True)
"""V_μσ = Cov(ū, q) over samples; κ₃ for a single position."""


def position_decay(statistics: str = "correlated", part: str = "both") -> sp.Expr:
    """Derive the integrand of ζ: its average over samples, and labels of the model, is ζ.

    Parameters
    ----------
    statistics : {"independent", "correlated"}
    part : {"mean", "spread", "both"}
        Which of μ_B and σ_B fluctuates.

    Returns
    -------
    sympy.Expr
        A quadratic form in the scores, over `M`.

    Raises
    ------
    InvalidSetup
        An argument is unknown.

    Examples
    --------
    >>> 2 * M * position_decay("independent", "mean")
    G**2*V_mu
    """
    _check("statistics", statistics, STATISTICS)
    _check("part", part, PARTS)
    a, v, epsilon, field = sp.symbols("a v epsilon x", real=True)
    correlated = statistics == "correlated"
    # v is σ_B² − 1 + a² or, if independent, σ_B − 1.
    spread = sp.sqrt(1 + epsilon * v - epsilon**2 * a**2) if correlated else 1 + epsilon * v
    numerator = field if part == "spread" else field - epsilon * a
    change = numerator / (1 if part == "mean" else spread) - field
    second = sum(
        epsilon**n * sp.diff(change, epsilon, n).subs(epsilon, 0) / sp.factorial(n) for n in (1, 2)
    )
    linear = sp.Poly(sp.expand(second), field)
    score = beta_score * linear.coeff_monomial(1) + gamma_score * linear.coeff_monomial(field)
    moments = {(1, 0): 0, (0, 1): 0, (2, 0): mean_variance, (1, 1): 0, (0, 2): square_variance / 4}
    if correlated:
        moments |= {(1, 0): sample_mean, (0, 1): sample_square - 1}
        moments |= {(1, 1): mixed_covariance, (0, 2): square_variance}

    def average(expression: sp.Expr) -> sp.Expr:
        terms = sp.Poly(sp.expand(expression), epsilon, a, v).terms()
        return sum(k * moments[i, j] / M for (n, i, j), k in terms if n <= 2)

    own = gamma_score * average(score) if correlated else 0
    return sp.expand((own + average(score**2)) / 2)

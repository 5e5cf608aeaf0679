r"""What the statistics of a batch do to the boundary of a unit, derived.

The boundary of a unit with batch normalization is w·x = μ_B − bσ_B with b = β/γ.

- Its squared distances from the samples of the batch, Σ (h_i − c)²/|w|² for a boundary w·x = c,
  are least at c = μ_B: BN at b = 0 (Balestriero & Baraniuk 2022).
- From batch to batch the offset μ_B − bσ_B varies. For standardized fields of skewness κ₃ and
  excess kurtosis ρ_h its variance is [1 − bκ₃ + b²(ρ_h + 2)/4]/M to order 1/M (b = 0: exactly).
  For Gaussian fields μ_B and σ_B are independent, and all orders are known.
- A sample changes sides if u and u − μ_B differ in sign. For Gaussian fields these two are
  correlated Gaussians, whose orthant probability is an arcsine (this project).
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from statmech_bn.checks import choice, flag
from statmech_bn.symbolic.flow import spread_moment
from statmech_bn.symbolic.gamma_decay import excess_kurtosis, skewness
from statmech_bn.symbolic.gaussian import gaussian_average
from statmech_bn.symbolic.symbols import M, u, v

offset = sp.Symbol("c", real=True)
"""Offset of a boundary w·x = c."""
shift = sp.Symbol("b", real=True)
"""Shift of a boundary in units of σ_B, β/γ."""
samples = sp.Symbol("n", integer=True, positive=True)
"""Number of samples in the batch."""
h = sp.IndexedBase("h", real=True)
"""Fields w·x_i of the samples."""
g = sp.IndexedBase("g", positive=True)
"""Length of the gradient, |∇_x h(x_i)|; |w| for a unit of the first layer."""


@dataclass(frozen=True)
class LeastSquares:
    """A total squared distance, and the offset at which it is least.

    Attributes
    ----------
    total : sympy.Expr
        Σ d(x_i, H)² as a function of the offset.
    minimizer : sympy.Expr
        The only offset at which the derivative vanishes.
    curvature : sympy.Expr
        The second derivative, positive and independent of the offset.
    """

    total: sp.Expr
    minimizer: sp.Expr
    curvature: sp.Expr


def least_squares_offset(folded: bool = False) -> LeastSquares:
    """Derive the offset of least squared distance, for any number of samples.

    Parameters
    ----------
    folded : bool
        Whether |∇_x h| depends on the sample, as it does in the space of the data for a unit
        behind other layers. In the layer's own input space it is |w|.

    Returns
    -------
    LeastSquares

    Examples
    --------
    >>> least_squares_offset().minimizer
    Sum(h[i], (i, 1, n))/n
    """
    i = sp.Symbol("i", integer=True)
    length = g[i] if flag("folded", folded) else sp.Symbol("w", positive=True)
    over = (i, 1, samples)
    total = sp.Sum((h[i] - offset) ** 2 / length**2, over)
    slope = sp.expand(sp.diff((h[i] - offset) ** 2 / length**2, offset))
    linear = sp.Sum(slope.coeff(offset, 1), over).doit()
    constant = sp.simplify(sp.Sum(slope.coeff(offset, 0), over))
    [minimizer] = sp.solve(linear * offset + constant, offset)
    return LeastSquares(total, sp.simplify(minimizer), linear)


def boundary_variance(field: str = "any") -> sp.Expr:
    """Derive the mean square of the distance of μ_B − bσ_B from −b, for standardized fields.

    Parameters
    ----------
    field : {"any", "gaussian"}
        "any": to order 1/M. "gaussian": exactly.

    Returns
    -------
    sympy.Expr
        In b = β/γ (`shift`), the batch size, the skewness and the excess kurtosis.

    Raises
    ------
    InvalidSetup
        The word is unknown.

    Examples
    --------
    >>> boundary_variance()
    (b**2*(rho_h + 2)/4 - b*kappa_3 + 1)/M
    """
    choice("field", field, ("any", "gaussian"))
    if field == "gaussian":
        return 1 / M + shift**2 * (spread_moment(2) - 2 * spread_moment(1) + 1)
    first, second = sp.symbols("m_1 m_2", real=True)  # means of u and u² over the batch
    boundary = first - shift * sp.sqrt(second - first**2)
    slope = sp.Matrix([boundary.diff(first), boundary.diff(second)]).subs({first: 0, second: 1})
    covariance = sp.Matrix([[1, skewness], [skewness, excess_kurtosis + 2]])  # of u and u²
    variance = sp.expand((slope.T * covariance * slope)[0])
    return sp.collect(variance, shift, sp.factor) / M


def flip_rate(sample: str = "inside") -> sp.Expr:
    """Derive the probability that u and u − μ_B differ in sign, for Gaussian fields.

    Parameters
    ----------
    sample : {"inside", "outside"}
        Whether the sample is one of the M of the batch.

    Returns
    -------
    sympy.Expr
        In the batch size `M`.

    Raises
    ------
    InvalidSetup
        The word is unknown.

    Examples
    --------
    >>> flip_rate("inside")
    asin(1/sqrt(M))/pi
    """
    choice("sample", sample, ("inside", "outside"))
    # Cov(u, μ_B) is 1/M for a sample of the batch, whose own field is one of the M, and 0 for
    # another; Var μ_B = 1/M.
    common = 1 / M if sample == "inside" else sp.S.Zero
    with_centred, of_centred = 1 - common, 1 - 2 * common + 1 / M
    size = sp.Symbol("m", positive=True)  # M = 1 + m: a batch of one has no spread
    covariance = sp.Matrix([[1, with_centred], [with_centred, of_centred]]).subs(M, 1 + size)
    both = gaussian_average(sp.Heaviside(u) * sp.Heaviside(v), (u, v), covariance)
    return _arcsine(sp.simplify((1 - 2 * both).subs(size, M - 1)))


def _arcsine(probability: sp.Expr) -> sp.Expr:
    """Write ½ − arcsin(c)/π as arcsin √(1 − c²)/π."""
    [cosine] = (a.args[0] for a in probability.atoms(sp.asin))
    sine = sp.sqrt(sp.simplify(1 - cosine**2))
    return sp.asin(sine) / sp.pi

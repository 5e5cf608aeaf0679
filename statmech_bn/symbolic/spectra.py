r"""Squared singular values of a product of random matrices: the Fuss–Catalan law.

The S-transform of a law with moment function ψ(z) = Σ_{k≥1} m_k z^k is S(y) = (1 + y) χ(y)/y with
χ the inverse of ψ, and free factors multiply their S-transforms. One square Gaussian matrix
(variance 1/N) has the Catalan moments w = 1 + ψ = 1 + z w², so S = 1/(1 + y); s of them have
S = (1 + y)^(−s), hence

    w = 1 + z w^(s+1),    w(z) = Σ_k m_k z^k.

From this equation follow, by Lagrange inversion, the moments C((s+1)k, k)/(sk + 1); from
dz/dw = 0 the upper edge (s+1)^(s+1)/s^s; and, writing w = r e^{iφ} where z = 1/x is real, r and
x as functions of φ, and the density Im w/(π x).

References
----------
N. I. Fuss 1791; K. A. Penson and K. Życzkowski, Phys. Rev. E 83 (2011) 061118.
T. Neuschel, Random Matrices: Theory Appl. 3 (2014) 1450003, has the parametrization.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from statmech_bn.checks import integer

k = sp.Symbol("k", integer=True, positive=True)
"""Order of a moment."""
phi = sp.Symbol("phi", positive=True)
"""Angle along the spectrum: 0 is the upper edge, π/(s+1) is zero."""
w = sp.Symbol("w")
"""Generating function of the moments."""
z = sp.Symbol("z")
"""Argument z = 1/x of the generating function."""

LARGEST = 32
"""The law of more factors than this takes long to derive."""


@dataclass(frozen=True)
class FussCatalan:
    """The law of the squared singular values x of a product of `factors` matrices.

    Attributes
    ----------
    factors : int
        s.
    equation : sympy.Eq
        Functional equation of the generating function `w` of the moments, in `w` and `z`.
    moment : sympy.Expr
        E[xᵏ] in the symbol `k`.
    edge : sympy.Expr
        Largest x.
    position, density : sympy.Expr
        x and its probability density, in the symbol `phi`, 0 < φ < π/(s+1).
    """

    factors: int
    equation: sp.Eq
    moment: sp.Expr
    edge: sp.Expr
    position: sp.Expr
    density: sp.Expr


def fuss_catalan(s: int) -> FussCatalan:
    """Derive the law of the squared singular values of a product of s Gaussian matrices.

    Parameters
    ----------
    s : int
        Number of N×N factors of variance 1/N, at N → ∞; s = 1 is Marchenko–Pastur.

    Returns
    -------
    FussCatalan

    Raises
    ------
    InvalidSetup
        s is not an integer ≥ 1.

    Examples
    --------
    >>> law = fuss_catalan(2)
    >>> law.edge, [law.moment.subs(k, order) for order in (1, 2, 3)]
    (27/4, [1, 3, 12])
    """
    return _fuss_catalan(integer("s", s, 1, maximum=LARGEST))


@lru_cache(maxsize=32)
def _fuss_catalan(s: int) -> FussCatalan:
    equation = _functional_equation(s)
    argument = sp.solve(equation, z)[0]
    [turning] = [root for root in sp.solve(argument.diff(w), w) if root != 0]
    position, density = _curve(s)
    return FussCatalan(s, equation, _moment(s), 1 / argument.subs(w, turning), position, density)


def _functional_equation(s: int) -> sp.Eq:
    """Multiply the S-transforms of s factors, and go back to the generating function."""
    y = sp.Symbol("y")
    inverse = sp.solve(sp.Eq(1 + y, 1 + z * (1 + y) ** 2), z)[0]  # one factor: Catalan numbers
    transform = sp.simplify((1 + y) / y * inverse) ** s
    product_inverse = sp.simplify(transform * y / (1 + y))
    numerator, denominator = sp.fraction(sp.factor(product_inverse.subs(y, w - 1)))
    return sp.Eq(w, 1 + z * denominator * sp.cancel((w - 1) / numerator))


def _moment(s: int) -> sp.Expr:
    """Invert y = z(1 + y)^(s+1): the coefficient of zᵏ is that of y^(k−1) in (1 + y)^((s+1)k)/k."""
    total, expected = sp.binomial((s + 1) * k, k - 1) / k, sp.binomial((s + 1) * k, k) / (s * k + 1)
    ratio = sp.gammasimp(sp.combsimp((total / expected).rewrite(sp.gamma)))
    return sp.simplify(ratio) * expected


def _curve(s: int) -> tuple[sp.Expr, sp.Expr]:
    """Find x(φ) and its density from w = r e^{iφ}, where z = (w − 1)/w^(s+1) is real."""
    r, high, low = sp.symbols("r high low", positive=True)
    # arg(w − 1) must be (s+1)φ; high and low stand for the angles (s+1)φ and sφ.
    crossing = r * sp.sin(phi) * sp.cos(high) - (r * sp.cos(phi) - 1) * sp.sin(high)
    modulus = sp.trigsimp(sp.solve(crossing, r)[0]).subs(sp.sin(high - phi), sp.sin(low))
    modulus = modulus.subs(-sp.sin(phi - high), sp.sin(low)).subs(sp.sin(phi - high), -sp.sin(low))
    # The imaginary part of w − 1 is that of w: |w − 1| sin((s+1)φ) = r sin φ.
    distance = modulus * sp.sin(phi) / sp.sin(high)
    position = modulus ** (s + 1) / distance
    density = modulus * sp.sin(phi) / (sp.pi * position)
    angles = {high: (s + 1) * phi, low: s * phi}
    return position.subs(angles), density.subs(angles)

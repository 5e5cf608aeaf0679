r"""How much of an example's own statistics inference should use, derived in powers of 1/M.

Training shows a sample of field u the value û, whose mean E[û|u] a Gaussian batch of M fixes.
Inference with the population's statistics, mixed with those of the example itself by a weight a
(its mean is u, its mean square u²; Summers & Dinneen 2020), shows it c f_a(u) with

    f_a(u) = √(1−a) u/√(1 + a u²) = √(1−a) (u − a u³/2 + 3a²u⁵/8 − …) .

The coefficients of u and u³ fix a and c; that of u⁵ agrees by itself up to M⁻².
"""

from __future__ import annotations

from functools import lru_cache

import sympy as sp

from statmech_bn.checks import integer
from statmech_bn.symbolic.gamma_decay import gaussian_batch_mean
from statmech_bn.symbolic.symbols import M, u


def own_weight(order: int = 1) -> tuple[sp.Expr, sp.Expr]:
    """Derive the weight a and the factor c on γ with which inference shows what training did.

    Parameters
    ----------
    order : {1, 2}
        Highest power of 1/M. At the third, no weight reproduces the coefficients of u³ and u⁵.

    Returns
    -------
    weight, scale : sympy.Expr
        a and c, polynomials in 1/M.

    Raises
    ------
    InvalidSetup
        The order is neither 1 nor 2.

    Examples
    --------
    >>> own_weight()
    (1/M, 1 + 5/(4*M))
    """
    return _own_weight(integer("order", order, 1, "No weight does it at the third.", 2))


@lru_cache(maxsize=2)
def _own_weight(order: int) -> tuple[sp.Expr, sp.Expr]:
    inverse = sp.Symbol("x", positive=True)
    weights = sp.symbols(f"a1:{order + 1}")
    scales = sp.symbols(f"c1:{order + 1}")
    a = sum(k * inverse ** (n + 1) for n, k in enumerate(weights))
    c = 1 + sum(k * inverse ** (n + 1) for n, k in enumerate(scales))
    shown = c * sp.sqrt(1 - a) * u / sp.sqrt(1 + a * u**2)
    shown = sp.series(shown, inverse, 0, order + 1).removeO()
    wanted = (u + gaussian_batch_mean(order)).subs(M, 1 / inverse)
    apart = sp.Poly(sp.expand(shown - wanted), u, inverse)
    (found,) = sp.solve(apart.coeffs(), [*weights, *scales], dict=True)
    return tuple(sp.expand(k.subs(found).subs(inverse, 1 / M)) for k in (a, c))

r"""Where γ stops under batch normalization, by the two theories of order 1/M, for any activation.

Squared loss, labels y = g(h*) + Δξ with h* = R u + √(1−R²) v and v a unit Gaussian. The scale
stops where f(û) = û g'(γû)(y − g(γû)), minus the derivative of the loss by γ, averages to zero.
With ȳ(u) = E[y|u] and the moments of `statmech_bn.symbolic.gamma_decay.batch_moments`,

- "correlated":  E[f(u) + c₁(u) f'(u) + ½ c₂(u) f''(u)] + κ = 0, derivatives at fixed y = ȳ(u);
- "independent" (Luo et al. 2019):  E[f(u)] − 2ζγ = 0, the population-normalized student with the
  penalty ζγ², ζ = (ρ_h + 2)/(8M) I(γ) + E[g'(γu)²]/(2M), I(γ) = E[g'(γu)² u²], the Fisher
  information (γ stops where the ζ of this γ holds it; ζ itself is not differentiated).

Without a kink κ = 0. At a kink at zero f' jumps by [g'](y − g(0)), which f'' counts as
κ = ½ c₂(0) p(0) [g'](ȳ(0) − g(0)), p the density of u. A kink elsewhere makes f itself jump at
γu = kink. For R = 1, ȳ has its kink at u = kink, and where they are closer than the M^(−1/2)
by which û misses u, which is where γ stops, no expansion in 1/M holds: such kinks are refused.

Label noise is independent of û and f is linear in y: it does not move γ at given R, to any order.
The next order is M^(−2), but M^(−3/2) for a kink and 1 − R² ≲ 1/M, where û and h* differ in sign
within M^(−1/2) of zero; for ReLU, R = 1 and Gaussian fields γ = 1 − 3/(4M) + M^(−3/2)/(3π) + …
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.averages.choice import Quadrature
from statmech_bn.checks import LARGEST_COUNT, integer, real, vector
from statmech_bn.codegen import numpy_function
from statmech_bn.dataset import describe
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.symbolic.gamma_decay import (
    PARTS,
    STATISTICS,
    batch_moments,
    excess_kurtosis,
    skewness,
)
from statmech_bn.symbolic.symbols import M, gamma, u

TAIL = 1e-30
"""Probability of the fields beyond the last node, on either side."""
FARTHEST = 150.0
"""Standard deviations beyond which tails are too heavy for the quadrature."""
PANEL = 0.5
"""Length of a panel of the quadrature in u, with `_LEGENDRE` nodes each."""
ACCURACY = 1e-9
"""The nodes must reproduce the moments of the field to this relative accuracy."""
CANDIDATES = np.geomspace(1e-3, 16.0, 120)
"""γ between which a stationary point is sought."""

_LEGENDRE = np.polynomial.legendre.leggauss(16)


def stationary_gamma(
    activation: str | sp.Expr | Activation,
    batch_size: ArrayLike,
    overlap: float = 1.0,
    field: Any = None,
) -> xr.Dataset:
    """Find the γ > 0 at which batch normalization stops, by both theories.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        As in `statmech_bn.activation`; a kink may be at zero only.
    batch_size : int or array_like of int
        M, at least 3. The theories are expansions in 1/M.
    overlap : float, optional
        R in (0, 1], held fixed.
    field : frozen distribution of scipy.stats, optional
        Law of the student's field, standardized to mean 0 and variance 1. It must be continuous,
        with light tails, and smooth but at its mean and the ends of its support. Default: Gaussian.

    Returns
    -------
    xarray.Dataset
        ``gamma`` over (statistics, part, batch_size): statistics "independent" and "correlated",
        part "mean" and "spread" if only μ_B or σ_B fluctuates, and "both". ``gamma_population``
        is the limit M → ∞. For Gaussian fields also ``gamma_exact`` over batch_size, where the
        average over batches of M vanishes to all orders (NaN for M = 3, see
        `statmech_bn.averages.batch`).

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    NotConverged
        The quadrature does not resolve the field, or γ has no stationary point at this order: M
        is too small.

    Examples
    --------
    >>> found = stationary_gamma("linear", [8, 80])
    >>> found.gamma.sel(statistics="correlated", part="both").values.round(6)
    array([0.90625 , 0.990625])
    """
    g = as_activation(activation)
    if any(kink != 0 for kink in g.kinks):
        raise invalid(
            "activation", "no kink but at zero", g.expression,
            "The average over batches has no expansion in 1/M there; smooth the kink.",
        )  # fmt: skip
    sizes = vector("batch_size", batch_size, 3, LARGEST_COUNT)
    sizes = np.array([integer("batch_size", size, 3) for size in sizes.tolist()])
    overlap = real("overlap", overlap, 0.0, 1.0)
    if overlap == 0:
        raise invalid("overlap", "a number in (0, 1]", overlap)
    nodes = _nodes(scipy.stats.norm() if field is None else field)
    labels = _labels(g, float(overlap), nodes.u)
    averages = _averages(g, nodes, labels)
    population = _root(lambda scale: averages("both", scale)[0], 1.0)
    found = np.empty((len(STATISTICS), len(PARTS), sizes.size))
    for i in range(len(STATISTICS)):
        for j, part in enumerate(PARTS):
            for k, size in enumerate(sizes):

                def pull(scale: float, row: int = i + 1, part: str = part, m: int = size) -> float:
                    terms = averages(part, scale)
                    return terms[0] + terms[row] / m

                found[i, j, k] = _root(pull, population)
    variables = {
        "gamma": (("statistics", "part", "batch_size"), found),
        "gamma_population": ((), population),
    }
    if field is None:
        exact = [_exact(g, float(overlap), int(size), population) for size in sizes]
        variables["gamma_exact"] = (("batch_size",), exact)
    result = xr.Dataset(
        variables,
        coords={"statistics": list(STATISTICS), "part": list(PARTS), "batch_size": sizes},
        attrs={"activation": g.name, "overlap": float(overlap)},
    )
    return describe(result)


def _exact(g: Activation, overlap: float, size: int, near: float) -> float:
    """Return the root of the pull of batches of M Gaussian fields."""
    if size < 4:
        return np.nan
    rule = Quadrature.for_activation(g)
    return _root(lambda scale: rule.batch_averages(overlap, scale, size)[1], near)


class _Nodes(NamedTuple):
    """Quadrature over the standardized field, with what else is needed of its law."""

    u: np.ndarray
    weight: np.ndarray
    skewness: float
    excess_kurtosis: float
    density_at_zero: float


def _nodes(field: Any) -> _Nodes:
    """Composite Gauss–Legendre under the density, panels ending at zero and where it ends."""
    if not all(hasattr(field, name) for name in ("pdf", "stats", "ppf", "isf")):
        raise invalid(
            "field", "a frozen continuous distribution of scipy.stats", field,
            "For instance scipy.stats.gamma(4).",
        )  # fmt: skip
    centre, variance, skew, excess = (float(moment) for moment in field.stats("mvsk"))
    if not np.isfinite([centre, variance, skew, excess]).all():
        raise invalid("field", "a distribution with finite first four moments", field)
    scale = np.sqrt(variance)
    low, high = (float(field.ppf(TAIL)) - centre) / scale, (float(field.isf(TAIL)) - centre) / scale
    if max(-low, high) > FARTHEST:
        raise NotConverged(
            f"The tails are too heavy: beyond {max(-low, high):.3g} standard deviations lies "
            f"a probability {TAIL:g}, and the quadrature ends at {FARTHEST:g}."
        )
    left = np.linspace(low, 0.0, int(np.ceil(-low / PANEL)) + 1)
    right = np.linspace(0.0, high, int(np.ceil(high / PANEL)) + 1)
    ends = np.concatenate([left, right[1:]])
    x, w = _LEGENDRE
    half, middle = np.diff(ends) / 2, (ends[1:] + ends[:-1]) / 2
    points = (middle[:, None] + half[:, None] * x).ravel()
    weight = (half[:, None] * w).ravel() * scale * field.pdf(centre + scale * points)
    integrals = [float(weight @ points**n) for n in range(5)]
    if not np.allclose(integrals, [1, 0, 1, skew, excess + 3], rtol=ACCURACY, atol=ACCURACY):
        raise NotConverged(
            f"Quadrature under the field's density gives its moments as {integrals}, but they are "
            f"1, 0, 1, {skew} and {excess + 3}: the density is not smooth."
        )
    return _Nodes(points, weight, skew, excess, float(scale * field.pdf(centre)))


class _Labels(NamedTuple):
    """ȳ at the nodes, and the factor [g'](ȳ(0) − g(0)) of κ."""

    mean: np.ndarray
    at_kink: float


def _labels(g: Activation, overlap: float, points: np.ndarray) -> _Labels:
    """Average g(h*) over what u does not determine of h*."""
    rule = Quadrature.for_activation(g)
    width = np.sqrt(1 - overlap**2)

    def mean(field: float) -> float:
        if width == 0:
            return g_at(field)
        return float(rule.moments(np.array([overlap * field]), width)[0, 0])

    def g_at(field: float) -> float:
        return float(value(field)[0])

    value = numpy_function([g.expression, g.derivative], [z])
    jump = float(value(1e-200)[1] - value(-1e-200)[1]) if g.kinks else 0.0
    means = np.array([mean(point) for point in points])
    return _Labels(means, jump * (mean(0.0) - g_at(0.0)) if jump else 0.0)


@lru_cache(maxsize=32)
def _compiled(g: Activation) -> Callable[..., tuple[np.ndarray, ...]]:
    """Compile (f, f', f'', g'²) as functions of (u, y, γ), without the jumps of κ."""
    x, y = sp.symbols("x y", real=True)
    slope = g.derivative.subs(z, gamma * x)
    f = x * slope * (y - g.expression.subs(z, gamma * x))
    derivatives = [sp.diff(f, x, n) for n in range(3)]
    smooth = [e.replace(sp.DiracDelta, lambda *_: sp.S.Zero) for e in (*derivatives, slope**2)]
    return numpy_function(smooth, [x, y, gamma])


def _averages(
    g: Activation, nodes: _Nodes, labels: _Labels
) -> Callable[[str, float], tuple[float, float, float]]:
    """Return (part, γ) ↦ E f, and M times the terms in 1/M: independent, correlated."""
    compiled = _compiled(g)
    law = {skewness: nodes.skewness, excess_kurtosis: nodes.excess_kurtosis}
    moments = {
        part: numpy_function([(M * c).subs(law) for c in batch_moments("correlated", part)], [u])
        for part in PARTS
    }
    correlated = {part: moments[part](nodes.u) for part in PARTS}
    at_zero = {part: float(moments[part](0.0)[1]) for part in PARTS}
    # E[(û − u)²] of independent statistics times M
    spread = (nodes.excess_kurtosis + 2) / 4 * nodes.u**2
    independent = {"mean": np.ones_like(spread), "spread": spread, "both": 1 + spread}

    def averages(part: str, scale: float) -> tuple[float, float, float]:
        # exp overflows in the far tail at a large γ; what is not a number there is no root
        with np.errstate(invalid="ignore"):
            f, first, second, information = compiled(nodes.u, labels.mean, scale)
        shift, square = correlated[part]
        zeta = nodes.weight @ (independent[part] * information) / 2
        kink = at_zero[part] * nodes.density_at_zero * labels.at_kink / 2
        change = nodes.weight @ (shift * first + square * second / 2) + kink
        return float(nodes.weight @ f), float(-2 * zeta * scale), float(change)

    return averages


def _root(pull: Callable[[float], float], near: float) -> float:
    """Return the stable stationary point (the pull falls through zero) nearest to `near`."""
    values = np.array([pull(candidate) for candidate in CANDIDATES])
    falls = np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))
    if falls.size == 0:
        raise NotConverged(
            f"No γ in [{CANDIDATES[0]:g}, {CANDIDATES[-1]:g}] is stationary: use larger batches, "
            "for which the expansion in 1/M holds, or a larger overlap."
        )
    roots = [brentq(pull, CANDIDATES[i], CANDIDATES[i + 1], xtol=1e-14) for i in falls]
    return float(min(roots, key=lambda root: abs(root - near)))

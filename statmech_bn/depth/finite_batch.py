r"""Batch normalization over B samples through deep random layers: its fixed point, its gradients.

A wide layer has Gaussian fields h over its units, of the covariance K between the B samples, and

    û = (h − μ_B)/√(σ_B² + ε),   x = g(γû + β),   K' = σ_w² E[x x'].

K goes to a matrix that treats all samples alike. With G = 1 − 11'/B, the fields of a unit are then
h − μ_B ~ N(0, s G): their length and their direction are independent, B σ_B²/s has a chi-squared
law of B − 1 degrees of freedom, and û = ρ √(B − 1) (e_1·w, …, e_B·w), ρ² = σ_B²/(σ_B² + ε), with w
uniform on the unit sphere of B − 1 dimensions and unit vectors e_i of the cosines c = −1/(B − 1).
All that is asked of the activation are averages over one or two coordinates of w,

    κ_f = E[f(û_i)²],   κ_f' = E[f(û_i) f(û_j)],   i ≠ j,

and s = σ_w² (κ_x − κ_x'). For ε = 0, ρ = 1, the fixed point is reached in one layer.

The covariance Π of the gradients with respect to the fields goes back through D = diag(∂x/∂û) and
Q = (G − û û'/B)/√(σ_B² + ε); as a matrix that treats all samples alike, and whose rows sum to zero,
it is a multiple of G, and tr Q D G D Q gives the factor

    χ = (σ_w²/B) E[((B − 1) κ_d + κ_d' − (2 − ρ²)(κ_t − κ_t'))/(σ_B² + ε)],   d = ∂x/∂û, t = û d,

by which a gradient's mean square grows. The averages κ are those at given ρ. With ε = 0,
E[1/σ_B²] = B/((B − 3) s) makes it

    χ = [(B − 1) κ_d + κ_d' − κ_t + κ_t'] / [(B − 3)(κ_x − κ_x')],

in closed form for activations that are linear on both sides of zero
(`statmech_bn.symbolic.gradient_multiplier`): (B − 2)/(B − 3) for the linear one, the least of all.

Small deviations K_ij ≠ K_ik of pairs, with all diagonal entries alike, change the law of w by
½ (B − 1) w'δw, so that they shrink in each layer by

    [(B − 1)/B] (E_12 − 2 E_13 + E_34)/(κ_x − κ_x'),   E_kl = E[x_1 x_2 û_k û_l]   (ε = 0).

The sums over samples Σû = 0 and Σû² = B leave only E_11, E_12 and κ_x' in it.

Averages over w are integrals over two angles by Gauss–Legendre panels that end at the kinks of g.
Nodes are doubled until two successive rules agree to `AGREEMENT`, relative where averages exceed 1;
the finer one is off by far less. Over ln σ_B² the trapezoidal rule converges exponentially, to
about 10⁻⁹.

Source: Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz 2019, arXiv:1902.08129, for ε = 0; its
Gegenbauer series sums the same averages. The quadrature and ε > 0 are this project's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from scipy.optimize import brentq
from scipy.special import gammaln

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import count, real
from statmech_bn.codegen import numpy_function
from statmech_bn.depth.kernel import kernel
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.normalization import BatchNormalization

SMALLEST_BATCH = BatchNormalization.smallest_group_of_flow
"""With fewer samples E[1/σ_B²] is infinite, and so are gradients."""
TRAINABLE = 16.0
"""Logarithm of the largest growth of gradients at which networks train (Yang et al. 2019)."""
AGREEMENT = 1e-9
"""Largest difference between the averages of two successive rules."""
COARSEST, FINEST = 8, 256
"""Nodes of a panel, of the first rule and of the last that is tried."""
PANELS = 4
"""Panels of an angle without kinks."""
LARGEST, LARGEST_VARIANCE = 1e4, 1e12
"""Bounds of |γ| and |β|, and of ε and σ_w²; their inverses bound γ, ε and σ_w² from below."""
CONSTANT = 1e-12
"""Outputs whose variance over the batch is this share of their square do not depend on inputs."""
REACH = 9.0
"""Angles at which a coordinate is more than this many deviations from zero are left out."""
NEGLIGIBLE = 37.0
"""Logarithm of a weight that counts, over one that does not."""


@dataclass(frozen=True)
class BatchFixedPoint:
    """The batch in deep layers.

    Attributes
    ----------
    batch_size : int
        B.
    spread : float
        s, the variance of the fields over the batch, times B/(B − 1); 0 if ε is so large that
        fields vanish with depth.
    square, product : float
        E[x_i²] and E[x_i x_j] of the outputs of two samples.
    gradient_multiplier : float
        χ, the factor by which the mean square of a gradient grows in a layer on its way back.
    slope : float or None
        Factor by which deviations of the samples' correlations shrink in a layer; None for ε > 0.
    """

    batch_size: int
    spread: float
    square: float
    product: float
    gradient_multiplier: float
    slope: float | None

    @property
    def trainable_depth(self) -> float:
        """Layers through which gradients grow by e^16, about as many as train; may be infinite."""
        growth = np.log(self.gradient_multiplier)
        return float(TRAINABLE / growth) if growth > 0 else np.inf


def batch_fixed_point(
    activation: str | sp.Expr | Activation,
    batch_size: int,
    scale: float = 1.0,
    shift: float = 0.0,
    epsilon: float = 0.0,
    weight_variance: float | None = None,
) -> BatchFixedPoint:
    """Find the fixed point of wide random layers with batch normalization.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
    batch_size : int
        B ≥ 4.
    scale, shift : float
        γ and β, the same in all channels; 10⁻⁴ ≤ |γ| ≤ 10⁴, |β| ≤ 10⁴.
    epsilon : float
        ε, added to the variance of a channel; 0, or 10⁻¹² to 10¹².
    weight_variance : float, optional
        σ_w², 10⁻¹² to 10¹²; by default 1/E[g²] of unit fields. Of no influence for ε = 0.

    Returns
    -------
    BatchFixedPoint

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or outputs do not depend on the inputs.
    NotConverged
        The activation changes over lengths much shorter than those of the fields.

    Examples
    --------
    >>> round(batch_fixed_point("relu", batch_size=8).gradient_multiplier, 3)
    1.788
    >>> round(batch_fixed_point("relu", batch_size=8, shift=1.0).gradient_multiplier, 3)
    1.325
    """
    size = count("batch_size", batch_size, SMALLEST_BATCH, "With 3 samples E[1/σ_B²] is infinite.")
    gamma, beta = real("scale", scale), real("shift", shift, -LARGEST, LARGEST)
    if not 1 / LARGEST <= abs(gamma) <= LARGEST:
        raise invalid("scale", f"a number of {1 / LARGEST:g} to {LARGEST:g} or its negative", scale)
    if added := real("epsilon", epsilon, 0.0, LARGEST_VARIANCE):
        added = real("epsilon", epsilon, 1 / LARGEST_VARIANCE, hint="Or 0.")
    g = as_activation(activation)
    if weight_variance is None:
        weight_variance = 1 / float(kernel(g, 1.0))
    variance = real("weight_variance", weight_variance, 1 / LARGEST_VARIANCE, LARGEST_VARIANCE)
    found = _averages(g, size, gamma, beta, 1.0)
    contrast = found["square"] - found["product"]
    if not contrast > CONSTANT * found["square"]:
        raise invalid("shift, scale", "outputs that depend on the inputs", (shift, scale))
    if added > 0:
        return _with_epsilon(g, size, gamma, beta, added, variance)
    multiplier = found["passed"] - found["along"]
    return BatchFixedPoint(
        size,
        variance * contrast,
        found["square"],
        found["product"],
        multiplier / ((size - 3) * contrast),
        found["turned"] / contrast,
    )


def _with_epsilon(
    g: Activation, size: int, gamma: float, beta: float, epsilon: float, variance: float
) -> BatchFixedPoint:
    """Solve s = σ_w² E[κ_x − κ_x'] and average over the spread of a channel."""

    def averages(s: float) -> dict[str, float]:
        level, weight = _spreads(size, s / epsilon)
        share = 1 / (1 + np.exp(-level))  # ρ²
        at = [_averages(g, size, gamma, beta, float(np.sqrt(part))) for part in share]
        of = {name: np.array([found[name] for found in at]) for name in at[0]}
        of["back"] = (of["passed"] - (2 - share) * of["along"]) / (1 + np.exp(level)) / epsilon
        return {name: float(weight @ values) for name, values in of.items()}

    def excess(logarithm: float) -> float:
        found = averages(np.exp(logarithm))
        contrast = max(found["square"] - found["product"], 1e-300)  # 0 where ReLU is off
        return float(np.log(variance * contrast) - logarithm)

    low, high = np.log(epsilon) - 12, np.log(epsilon) + 12
    if excess(low) <= 0:
        gone = _averages(g, size, gamma, beta, np.exp(-12))
        multiplier = variance * gone["passed"] / (size * epsilon)
        return BatchFixedPoint(size, 0.0, gone["square"], gone["square"], multiplier, None)
    while excess(high) > 0:  # outputs are bounded by those at ρ = 1
        high += 12
    s = float(np.exp(brentq(excess, low, high, xtol=1e-10)))
    found = averages(s)
    multiplier = variance * found["back"] / size
    return BatchFixedPoint(size, s, found["square"], found["product"], multiplier, None)


def _spreads(size: int, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Return equidistant ln(σ_B²/ε), the same for every s/ε = `ratio`, and their weights."""
    n = size - 1
    spacing = min(0.3, 0.65 * np.sqrt(2 / n))
    typical = np.log(n * ratio / size)
    # Averages of 1/(σ_B² + ε) have weight at σ_B² ~ ε too.
    width = np.sqrt(4 * NEGLIGIBLE / n)
    lowest = max(typical - 2 * NEGLIGIBLE / (n - 2), min(typical, 0.0) - 2 * NEGLIGIBLE / n) - width
    highest = typical + np.log1p(2 * NEGLIGIBLE / n + width)
    level = spacing * np.arange(np.floor(lowest / spacing), np.ceil(highest / spacing) + 1)
    x = level - np.log(ratio / size)  # ln(B σ_B²/s)
    return level, spacing * np.exp(n / 2 * (x - np.log(2)) - np.exp(x) / 2 - gammaln(n / 2))


@lru_cache(maxsize=8192)
def _averages(g: Activation, size: int, gamma: float, beta: float, rho: float) -> dict[str, float]:
    """Refine the rule of the two angles until averages agree with those before."""
    function, kinks = _value_and_slope(g), (np.array(g.kinks) - beta) / (gamma * rho)
    nodes, before = COARSEST, None
    while nodes <= FINEST:
        u, weight, v, given = _pairs(size, kinks, nodes)

        def outputs(w: np.ndarray) -> tuple[np.ndarray, ...]:
            value, slope = function(gamma * rho * w + beta)
            return value, gamma * slope, gamma * rho * w * slope

        first, second = outputs(u), outputs(v)
        own = [float(weight @ f**2) for f in first]
        both = [
            float(weight @ (f * np.sum(given * k, axis=1)))
            for f, k in zip(first, second, strict=True)
        ]
        x1x2 = weight[:, None] * given * first[0][:, None] * second[0]
        e11, e12 = np.sum(x1x2 * u[:, None] ** 2), np.sum(x1x2 * u[:, None] * v)
        e13 = -(e11 + e12) / (size - 2)
        e34 = (4 * e11 + 2 * e12 - size * both[0]) / ((size - 2) * (size - 3))
        found = {
            "square": own[0],
            "product": both[0],
            "passed": (size - 1) * own[1] + both[1],
            "along": own[2] - both[2],
            "turned": float((size - 1) / size * (e12 - 2 * e13 + e34)),
        }
        values = np.array(list(found.values()))
        if (
            before is not None
            and (np.abs(values - before) <= AGREEMENT * np.maximum(1, np.abs(values))).all()
        ):
            return found
        nodes, before = 2 * nodes, values
    raise NotConverged(
        f"Averages over a batch of {size} have not converged to {AGREEMENT:g}: the activation "
        "changes over lengths much shorter than the spread of the fields."
    )


def _pairs(
    size: int, kinks: np.ndarray, nodes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return nodes of û_1 and weights, and those of û_2 given each û_1, at ρ = 1.

    With û_1 = √n cos θ and û_2 = √n (c cos θ + √(1 − c²) sin θ cos φ), n = B − 1 and c = −1/n, the
    weights are sin^(n−2) θ and sin^(n−3) φ. A kink is at θ = arccos(kink/√n), and leaves the range
    of û_2 at angles arccos c away from there.
    """
    n = size - 1
    root, c = np.sqrt(n), -1 / n
    reach = min(np.pi / 2, REACH / np.sqrt(max(n - 3, 1)))
    low, high = np.pi / 2 - reach, np.pi / 2 + reach
    whole = np.linspace(low, high, PANELS + 1)
    turn, at = np.arccos(c), np.arccos(np.clip(kinks / root, -1, 1))
    ends = np.concatenate((at, at + turn, np.abs(at - turn), 2 * np.pi - at - turn))
    theta, weight = _panels(np.unique(np.clip([*whole, *ends], low, high)), nodes)
    weight = weight * np.sin(theta) ** (n - 2)
    across = np.sqrt(1 - c * c) * np.sin(theta)[:, None]
    along = c * np.cos(theta)[:, None]
    kink = np.arccos(np.clip((kinks / root - along) / across, -1, 1))
    edges = np.broadcast_to(whole, (theta.size, whole.size))
    phi, given = _panels(np.concatenate((edges, np.clip(kink, low, high)), axis=1), nodes)
    given = given * np.sin(phi) ** (n - 3)
    v = root * (along + across * np.cos(phi))
    return root * np.cos(theta), weight / weight.sum(), v, given / given.sum(axis=1, keepdims=True)


def _panels(ends: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes between sorted ends along the last axis, crowded at both ends of a panel."""
    t, weight = _legendre(nodes)
    ends = np.sort(ends, axis=-1)[..., None]
    width = np.diff(ends, axis=-2)
    shape = (*ends.shape[:-2], -1)
    x, dx = t**3 * (10 - 15 * t + 6 * t**2), 30 * (t * (1 - t)) ** 2
    return (ends[..., :-1, :] + width * x).reshape(shape), (width * dx * weight).reshape(shape)


@lru_cache(maxsize=16)
def _legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    t, weight = np.polynomial.legendre.leggauss(nodes)
    return (t + 1) / 2, weight / 2


@lru_cache(maxsize=32)
def _value_and_slope(g: Activation) -> Callable[..., tuple[np.ndarray, ...]]:
    return numpy_function([g.expression, g.derivative], [z])

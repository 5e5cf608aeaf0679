r"""The loss in training mode and in inference mode, and the gap between them.

Labels y = g(h*) of a teacher of overlap R, without label noise, which adds Δ²/2 to either loss.

training     E ½(y − g(γû))², û normalized by its own batch of M Gaussian fields. Its slope in γ is
             −A₂(R, γ, M) (`statmech_bn.averages.batch`), so that it is exact without any sampling:
             the loss at γ = 0 less the integral of A₂ from there;
inference    E ½(y − g(γ f_a(u)))², f_a as in `statmech_bn.inference.own_statistics`.

With ℓ(φ) = ½(y − g(φ))² and inference at the weight a = α/M and the scale (1 + k/M)γ, to order 1/M

    training − inference = (γ/M) E[ℓ'(γu) (¾u − ½u³ − ku + ½α(u + u³))]
                         + (γ²/2M) E[ℓ''(γu) (1 + ½u²)].

α = 1, k = 5/4 leave the second term, what û varies by at given u. Running averages of momentum m
(μ̂ ← (1−m) μ̂ + m μ_B, the same for the unbiased variance) are independent of the sample that they
normalize, and as good as M' = M(2−m)/m samples:

    running − exact statistics = (γ/M') E[ℓ'(γu) ¾u] + (γ²/2M') E[ℓ''(γu) (1 + ½u²)],

the theory of Luo et al. (2019), which holds here. At a kink at zero g'' counts as the jump of g'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.quadrature import student_nodes
from statmech_bn.checks import integer, real
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import invalid
from statmech_bn.inference.own_statistics import LARGEST_BATCH, inference_field

LARGEST_GAMMA = 16.0
"""Scales beyond this are far from all at which students stop."""
LARGEST = 1e100
"""Own weights and scales in units of 1/M have at most this size, so that no product overflows."""
PER_SCALE = np.polynomial.legendre.leggauss(12)
"""Nodes in γ of a panel of length one."""


def training_loss(
    activation: str | sp.Expr | Activation, batch_size: int, gamma: float, overlap: float = 1.0
) -> float:
    """Return the loss of fresh batches, each normalized by its own statistics.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        Without kinks but at zero.
    batch_size : int
        M ≥ 4.
    gamma : float
        γ from 0 to 16.
    overlap : float
        R in [−1, 1].

    Returns
    -------
    float

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> round(training_loss("linear", 8, 1.0), 6)  # 1 − E σ_B
    0.097297
    """
    g, scale, cosine = _checked(activation, gamma, overlap)
    size = integer("batch_size", batch_size, 4, maximum=LARGEST_BATCH)
    rule = Quadrature.for_activation(g)
    x, w = PER_SCALE
    ends = np.linspace(0.0, scale, int(np.ceil(scale)) + 1)
    half = np.diff(ends)[:, None] / 2
    scales = (ends[:-1, None] + half * (x + 1)).ravel()
    pull = [rule.batch_averages(cosine, s, size)[1] for s in scales.tolist()]
    start = float(rule.errors(np.array([cosine]), np.zeros(1))[0])
    return start - float(np.dot(pull, (half * w).ravel()))


def inference_loss(
    activation: str | sp.Expr | Activation,
    gamma: float,
    overlap: float = 1.0,
    own_weight: float = 0.0,
) -> float:
    """Return the loss of fresh samples, normalized by the population and a share of themselves.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        Without kinks but at zero.
    gamma : float
        γ from 0 to 16.
    overlap : float
        R in [−1, 1].
    own_weight : float
        a in [0, 1).

    Returns
    -------
    float

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> round(inference_loss("linear", 0.9), 6)
    0.005
    """
    g, scale, cosine = _checked(activation, gamma, overlap)
    u, weight, mean, square = _population(g, scale, cosine)
    output = _compiled(g)(scale * inference_field(u, own_weight))[0]
    return float(weight @ (0.5 * square - mean * output + 0.5 * output**2))


def first_order_gap(
    activation: str | sp.Expr | Activation,
    gamma: float,
    overlap: float = 1.0,
    own_weight: float = 0.0,
    scale: float = 0.0,
) -> float:
    """Return M times the loss in training mode less that in inference mode, for M → ∞.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        Without kinks but at zero.
    gamma : float
        γ from 0 to 16.
    overlap : float
        R in [−1, 1].
    own_weight, scale : float
        α = aM ≥ 0 and k = (c − 1)M of the inference, of size at most 10¹⁰⁰.

    Returns
    -------
    float

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> round(first_order_gap("linear", 1.0), 6), round(first_order_gap("linear", 1.0, 0.5), 6)
    (0.75, 0.375)
    """
    alpha = real("own_weight", own_weight, 0.0, LARGEST)
    factor = real("scale", scale, -LARGEST, LARGEST)
    return _first_order(activation, gamma, overlap, 0.75 - factor + alpha / 2, (alpha - 1) / 2)


def running_average_excess(
    activation: str | sp.Expr | Activation,
    batch_size: int,
    momentum: float,
    gamma: float,
    overlap: float = 1.0,
) -> float:
    """Return what running averages add to the loss in inference mode, to order 1/M.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        Without kinks but at zero.
    batch_size : int
        M ≥ 3.
    momentum : float
        m in (0, 1], the weight of the newest batch.
    gamma : float
        γ from 0 to 16.
    overlap : float
        R in [−1, 1].

    Returns
    -------
    float

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> round(running_average_excess("linear", 8, 0.1, 1.0), 6)  # ¾/M' with M' = 8·19
    0.004934
    """
    size = integer("batch_size", batch_size, 3, maximum=LARGEST_BATCH)
    m = real("momentum", momentum, 0.0, 1.0)
    if m == 0:
        raise invalid("momentum", "a number in (0, 1]", momentum, "Averages must be updated.")
    return _first_order(activation, gamma, overlap, 0.75, 0.0) * m / (size * (2 - m))


def _first_order(
    activation: str | sp.Expr | Activation, gamma: float, overlap: float, first: float, third: float
) -> float:
    """Average γ ℓ' (first·u + third·u³) + ½γ² ℓ'' (1 + ½u²)."""
    g, scale, cosine = _checked(activation, gamma, overlap)
    u, weight, mean, _ = _population(g, scale, cosine)
    value, slope, bend = _compiled(g)(scale * u)
    error = mean - value
    shift = -slope * error * (first * u + third * u**3)
    total = scale * shift + 0.5 * scale**2 * (slope**2 - bend * error) * (1 + 0.5 * u**2)
    if not g.kinks:
        return float(weight @ total)
    at_zero = float(_targets(g, cosine, np.zeros(1))[0][0] - _compiled(g)(np.zeros(1))[0][0])
    jump = float(np.diff(_compiled(g)(np.array([-1e-200, 1e-200]))[1])[0])
    return float(weight @ total) - scale * jump * at_zero / np.sqrt(8 * np.pi)


def _checked(
    activation: str | sp.Expr | Activation, gamma: float, overlap: float
) -> tuple[Activation, float, float]:
    g = as_activation(activation)
    if any(kink != 0 for kink in g.kinks):
        raise invalid("activation", "no kink but at zero", g.expression, "Smooth the kink.")
    scale = real("gamma", gamma, 0.0, LARGEST_GAMMA)
    return g, scale, real("overlap", overlap, -1.0, 1.0)


@lru_cache(maxsize=256)
def _population(g: Activation, gamma: float, overlap: float) -> tuple[np.ndarray, ...]:
    """Nodes in u and their weights, with the means of the label and of its square."""
    rule = Quadrature.for_activation(g)
    u, weight = student_nodes(rule.kinks, overlap, gamma, 2 * rule.refinement, 1.0, 0.0)
    return u, weight, *_targets(g, overlap, u)


def _targets(g: Activation, overlap: float, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of g(h*) and g(h*)² at given u."""
    width = math.sqrt(max(0.0, 1.0 - overlap * overlap))
    mean, square, _ = Quadrature.for_activation(g).moments(overlap * u, width).T
    return mean, square


@lru_cache(maxsize=32)
def _compiled(g: Activation) -> Callable[..., tuple[np.ndarray, ...]]:
    """Compile (g, g', g''), the last without the jumps of g'."""
    bend = g.derivative.diff(z).replace(sp.DiracDelta, lambda *_: sp.S.Zero)
    return numpy_function([g.expression, g.derivative, bend], [z])

r"""What training shows a sample, and what inference should show it.

u is one of the M Gaussian fields of its batch. With d = √((M−1)/M) (u − mean of the others), the
others' squares about their mean S ~ χ²_{M−2}, and m = E[d|u] = √((M−1)/M) u, Var d = 1/M,

    û = √(M−1) d/√(S + d²),

and x^(−1/2) = (2/√π) ∫₀^∞ exp(−x t²) dt with √2 t = tan θ leaves one integral of a smooth function,

    E[û|u] = √(2(M−1)/π) m ∫₀^{π/2} cos^{M−1}θ D^{−3/2} exp(−m² sin²θ/(2D)) dθ,
    D = cos²θ + sin²θ/M .

Inference with a weight a on the example's own statistics shows f_a(u) = √(1−a) u/√(1 + a u²)
(Summers & Dinneen 2020), times a factor c on γ. To order 1/M the two agree at a = 1/M and
c = 1 + 5/(4M) (`statmech_bn.symbolic.own_weight`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import roots_hermitenorm

from statmech_bn.checks import array, integer, real

ANGLES = np.polynomial.legendre.leggauss(48)
"""Nodes of a panel of θ."""
PANELS = 8.0
"""A panel of θ is as wide as so many times M^(−1/2), over which the integrand falls."""
FARTHEST = 60.0
"""Fields beyond this many standard deviations do not occur."""
LARGEST_BATCH = 10**8
"""With more samples û and u agree to eight digits."""


def training_mean(field: ArrayLike, batch_size: int) -> np.ndarray:
    """Return E[û|u], what training shows a sample on average.

    Parameters
    ----------
    field : array_like
        u, Gaussian with mean 0 and variance 1; at most 60 in size.
    batch_size : int
        M ≥ 3, u included.

    Returns
    -------
    numpy.ndarray
        Shaped like `field`.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> training_mean([0.0, 1.0, 3.0], batch_size=8).round(4)
    array([0.    , 1.0079, 2.0246])
    """
    u = array("field", field, None, -FARTHEST, FARTHEST)
    size = integer("batch_size", batch_size, 3, maximum=LARGEST_BATCH)
    angle, weight = _angles(size)
    sine, cosine = np.sin(angle) ** 2, np.cos(angle)
    spread = cosine**2 + sine / size
    m = np.sqrt((size - 1) / size) * u
    fall = np.exp(-0.5 * m[..., None] ** 2 * sine / spread)
    integral = fall @ (weight * cosine ** (size - 1) / spread**1.5)
    return np.sqrt(2 * (size - 1) / np.pi) * m * integral


def inference_field(field: ArrayLike, own_weight: float = 0.0) -> np.ndarray:
    """Return f_a(u), what inference shows a sample.

    Parameters
    ----------
    field : array_like
        u, with mean 0 and variance 1 over the population; at most 60 in size.
    own_weight : float
        a in [0, 1), the weight of the example's own mean and mean square beside the population's.

    Returns
    -------
    numpy.ndarray
        Shaped like `field`.

    Examples
    --------
    >>> inference_field([0.0, 1.0, 3.0], own_weight=0.125).round(4)
    array([0.    , 0.8819, 1.9251])
    """
    u = array("field", field, None, -FARTHEST, FARTHEST)
    a = real("own_weight", own_weight, 0.0, np.nextafter(1.0, 0.0), "A share of the statistics.")
    return np.sqrt(1 - a) * u / np.sqrt(1 + a * u**2)


def nearest_inference(batch_size: int) -> tuple[float, float, float]:
    """Find the weight and the scale with which inference is nearest to training.

    Parameters
    ----------
    batch_size : int
        M ≥ 3.

    Returns
    -------
    own_weight, scale, distance : float
        a and c, for which the mean square of E[û|u] − c f_a(u) over u is least, and its root.

    Raises
    ------
    InvalidSetup
        The batch size is too small, or no integer.

    Examples
    --------
    >>> [round(value, 4) for value in nearest_inference(64)]
    [0.0166, 1.0205, 0.0]
    """
    size = integer("batch_size", batch_size, 3, maximum=LARGEST_BATCH)
    u, weight = roots_hermitenorm(96)
    weight = weight / weight.sum()
    target = training_mean(u, size)

    def best_scale(a: float) -> tuple[float, float]:
        shown = inference_field(u, a)
        scale = float(weight @ (target * shown)) / float(weight @ shown**2)
        return scale, float(np.sqrt(weight @ (target - scale * shown) ** 2))

    bounds = (0.0, min(0.99, 8.0 / size))
    found = minimize_scalar(
        lambda a: best_scale(a)[1] ** 2, bounds=bounds, options={"xatol": 1e-12}
    )
    return float(found.x), *best_scale(float(found.x))


def _angles(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Place nodes θ and weights: panels of the width of the integrand, then twice as wide each."""
    ends = [0.0]
    while ends[-1] < np.pi / 2:
        ends.append(min(np.pi / 2, max(PANELS / np.sqrt(size), 2 * ends[-1])))
    x, w = ANGLES
    half = np.diff(ends)[:, None] / 2
    return (np.array(ends[:-1])[:, None] + half * (x + 1)).ravel(), (half * w).ravel()

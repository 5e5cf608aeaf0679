r"""Gaussian averages of any activation, by deterministic quadrature.

For unit Gaussian fields u (student) and h* (teacher) of correlation R, with φ = γu and
δ = g'(φ)(g(h*) − g(φ)) + noise, the flow of the order parameters needs

    drive  D  = E[δ h*] − R E[δ u] = (1−R²) E[g'(γu) g'(h*)]        (Stein's lemma)
    pull   A2 = E[g'(γu) (H(u) − g(γu)) u]
    noise  B  = E[g'(γu)² (H2(u) − 2H(u)g(γu) + g(γu)²)] + Δ² E[g'(γu)²]

where H(u), H2(u) are the mean of g and g² over h* = R u + √(1−R²) v at given u; and

    ε_g = ½ E[(g(h*) − g(γu))²].

Smooth activations: the trapezoidal rule, which converges exponentially for an analytic function
under a Gaussian (Trefethen & Weideman 2014); at large |γ| in t, γu = CORE sinh t, as g bends where
|γu| is of order one and the Gaussian far beyond. Where (g g')² grows like exp(κ|z|), the integrands
have their mass around u = κ|γ|, and the nodes reach that much farther. With kinks: Gauss–Legendre
on panels that end at the kinks and shrink towards the places where the mean over h* has a smoothed
kink.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statmech_bn.compile_cache import numba

REACH = 9.0
"""Fields beyond this many standard deviations weigh less than 10⁻¹⁸, enough for polynomials too."""
FARTHEST = 36.0
"""The Gaussian weight of larger fields is no number."""
SPACING = 0.5
"""Nodes of the trapezoidal rule are this far apart; a pole at a distance d gives it an error of
exp(−2πd/SPACING)."""
STEEP = 64.0
"""|γ| from which on the nodes in φ = γu grow apart with |φ|."""
CORE = 8.0
"""|φ| up to which those are about as near to each other as the nodes of the trapezoidal rule."""

_LEGENDRE = np.polynomial.legendre.leggauss(12)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def field_averages(value_and_slope, kinks, overlap, gamma, refinement, growth):
    """Return (drive, pull, noise without labels', coefficient of Δ² in the noise).

    Parameters
    ----------
    value_and_slope : C callback
        Fills g and g' at an array of points.
    kinks : ndarray
        Points where g' jumps.
    overlap, gamma : float
        R in [−1, 1] and γ (the length L for the student without normalization).
    refinement : float
        Divides the spacing of the nodes; 1 is accurate for activations that vary over lengths
        of order one.
    growth : float
        κ, the exponential rate at which (g g')² grows.
    """
    u, weight_u = student_nodes(kinks, overlap, gamma, refinement, 1.0, growth)
    output, slope = np.empty(u.size), np.empty(u.size)
    value_and_slope(gamma * u, output, slope)
    width = np.sqrt(max(0.0, 1.0 - overlap * overlap))
    teacher = conditional_moments(value_and_slope, kinks, overlap * u, width, refinement, growth)
    drive, pull, noise, label_noise = 0.0, 0.0, 0.0, 0.0
    for i in range(u.size):
        mean, square, tilt = teacher[i]
        weight = weight_u[i] * slope[i]
        drive += weight * tilt
        pull += weight * u[i] * (mean - output[i])
        noise += weight * slope[i] * (square + output[i] * (output[i] - 2.0 * mean))
        label_noise += weight * slope[i]
    return width * width * drive, pull, noise, label_noise


class Pairs(NamedTuple):
    """Pairs of fields x = a u + β and y = b v, for unit Gaussian u and v; arrays of one size.

    Attributes
    ----------
    correlation : ndarray
        E[u v].
    first, bias : ndarray
        a and β.
    second : ndarray
        b ≥ 0.
    """

    correlation: np.ndarray
    first: np.ndarray
    bias: np.ndarray
    second: np.ndarray


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pair_averages(value_and_slope, kinks, pairs, refinement, growth, products, differences):
    """Fill E[g(x) g(y)] and ½E[(g(x) − g(y))²]; the other arguments are as above."""
    for pair in range(pairs.correlation.size):
        r, a, b = pairs.correlation[pair], pairs.first[pair], pairs.second[pair]
        bias, ends = pairs.bias[pair], kinks
        if bias != 0.0:  # needless ends of panels, of one function's kinks at the other's, are
            ends = np.concatenate((kinks, kinks - bias))  # harmless
        u, weight = student_nodes(ends, r, a, refinement, b, growth)
        output, slope = np.empty(u.size), np.empty(u.size)
        value_and_slope(a * u + bias, output, slope)
        width = b * np.sqrt(max(0.0, 1.0 - r * r))
        teacher = conditional_moments(value_and_slope, kinks, b * r * u, width, refinement, growth)
        products[pair] = differences[pair] = 0.0
        for i in range(u.size):
            mean, square, _ = teacher[i]
            products[pair] += weight[i] * output[i] * mean
            difference = square + output[i] * (output[i] - 2.0 * mean)
            differences[pair] += 0.5 * weight[i] * difference


@numba.njit(cache=True, nogil=True, error_model="numpy")
def conditional_moments(value_and_slope, kinks, centres, width, refinement, growth):
    """Return the means of g, g² and g' over N(centre, width²), a row for each centre."""
    found, reach = np.empty((centres.size, 3)), REACH + growth
    v, weight = unit_nodes(width, refinement, reach)
    fine = refinement * min(CORE, max(1.0, width))
    for i in range(centres.size):
        if kinks.size > 0 and width > 0.0:
            v, weight = panels((kinks - centres[i]) / width, fine, reach)
        moments = teacher_moments(value_and_slope, centres[i], width, v, weight)
        found[i, 0], found[i, 1], found[i, 2] = moments
    return found


@numba.njit(cache=True, nogil=True, error_model="numpy")
def unit_nodes(steepness, refinement, reach):
    """Nodes and Gaussian weights in u for smooth functions of steepness·u."""
    if steepness <= STEEP:
        return trapezoid(SPACING / (refinement * max(1.0, steepness)), reach)
    return stretched(SPACING / (refinement * CORE), steepness / CORE, reach)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def teacher_moments(value_and_slope, centre, width, v, weight):
    """Return the means of g, g² and g' over N(centre, width²)."""
    output, slope = np.empty(v.size), np.empty(v.size)
    value_and_slope(centre + width * v, output, slope)
    mean, square, tilt = 0.0, 0.0, 0.0
    for i in range(v.size):
        mean += weight[i] * output[i]
        square += weight[i] * output[i] * output[i]
        tilt += weight[i] * slope[i]
    return mean, square, tilt


@numba.njit(cache=True, nogil=True, error_model="numpy")
def student_nodes(kinks, overlap, gamma, refinement, spread, growth):
    """Nodes and Gaussian weights in u for functions of γu and of the mean over h* given u.

    h* has the standard deviation `spread` and the correlation `overlap` with u.
    """
    reach = REACH + growth * max(1.0, abs(gamma))
    overlap, slowest = spread * overlap, spread * np.sqrt(max(0.0, 1.0 - overlap * overlap))
    steepness = max(abs(gamma), abs(overlap))
    if kinks.size == 0:
        return unit_nodes(steepness, refinement, reach)
    width = slowest / max(abs(overlap), 1e-300)
    levels = 1
    while width * 2.0 ** (levels - 2) < reach and levels < 60:
        levels += 1
    breaks = [0.0]
    for kink in kinks:
        breaks.append(kink / gamma if gamma != 0.0 else 2.0 * reach)
        centre = kink / overlap if overlap != 0.0 else 2.0 * reach
        breaks.append(centre)
        for level in range(levels):
            breaks.append(centre - width * 2.0**level)
            breaks.append(centre + width * 2.0**level)
    size = 1.0 / max(1.0, steepness)  # smooth parts of g(γu) vary over 1/γ around zero
    while size < reach:
        breaks.append(size)
        breaks.append(-size)
        size *= 2.0
    return panels(np.array(breaks), refinement, reach)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def trapezoid(spacing, reach):
    """Equidistant nodes on [−reach, reach] with the weights of a unit Gaussian."""
    half = int(np.ceil(reach / spacing))
    nodes = spacing * np.arange(-half, half + 1).astype(np.float64)
    return nodes, spacing * np.exp(-0.5 * nodes * nodes) / np.sqrt(2.0 * np.pi)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def stretched(spacing, steepness, reach):
    """Nodes u = sinh(t)/steepness, equidistant in t, on [−reach, reach] and their weights."""
    half = int(np.ceil(np.arcsinh(reach * steepness) / spacing))
    t = spacing * np.arange(-half, half + 1).astype(np.float64)
    nodes = np.sinh(t) / steepness
    weights = spacing * np.cosh(t) / steepness
    return nodes, weights * np.exp(-0.5 * nodes * nodes) / np.sqrt(2.0 * np.pi)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def insertion_sorted(x):
    """Sort a few numbers in place and return them; NumPy's sort takes seconds to compile."""
    for i in range(1, x.size):
        moved, place = x[i], i
        while place > 0 and x[place - 1] > moved:
            x[place] = x[place - 1]
            place -= 1
        x[place] = moved
    return x


@numba.njit(cache=True, nogil=True, error_model="numpy")
def panels(breaks, refinement, reach):
    """Composite Gauss–Legendre on [−reach, reach], panels ending at the breaks."""
    x, w = _LEGENDRE
    widest = 2.5 / refinement
    ends = np.empty(breaks.size + 2)
    ends[0], ends[1], count = -reach, reach, 2
    for point in breaks:
        if abs(point) < reach:
            ends[count] = point
            count += 1
    ends = insertion_sorted(ends[:count])
    count = 0
    for left, right in zip(ends[:-1], ends[1:]):
        count += int(np.ceil((right - left) / widest))
    nodes, weights = np.empty(count * x.size), np.empty(count * x.size)
    filled = 0
    for left, right in zip(ends[:-1], ends[1:]):
        pieces = int(np.ceil((right - left) / widest))
        for piece in range(pieces):
            half = 0.5 * (right - left) / pieces
            middle = left + (2 * piece + 1) * half
            for j in range(x.size):
                node = middle + half * x[j]
                nodes[filled] = node
                weights[filled] = half * w[j] * np.exp(-0.5 * node * node) / np.sqrt(2.0 * np.pi)
                filled += 1
    return nodes, weights

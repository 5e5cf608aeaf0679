r"""Nodes of integrals over four Gaussian fields or fewer, one within the other.

The fields are x = C ξ, C lower triangular and ξ independent unit Gaussians, of which the last is
integrated analytically. The integrand at level d, over ξ_d at given ξ_1, …, ξ_{d−1}, consists of
functions g(f_i x_i).

Without kinks the nodes are those of a trapezoidal rule, as fine as the steepest function asks for.
With kinks they are Gauss–Legendre's on panels that end at the kinks of the level's own function.
The kinks of the others, f_i x_i = κ, are smooth: integrals within smear them. They lie at

    ξ_d = (κ/f_i − Σ_{j<d} C_ij ξ_j)/C_id,   of the width √(Σ_{j>d} C_ij²)/|C_id|.

Two kinks i and j that cross as ξ_e within changes are another, at the ξ_d where the crossing is and
of the width |(C_in C_je − C_jn C_ie)_{n>d}|/|C_id C_je − C_jd C_ie|. As the smearing is Gaussian,
the integrand knows nothing of them beyond some widths, and panels are short up to there alone.
Around zero, where smooth parts of g vary, panels are not longer than the distance from there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statmech_bn.averages.committee_points import compiled
from statmech_bn.averages.quadrature import insertion_sorted, trapezoid

REACH = 6.5
"""The nodes are within a ball of this radius: beyond, the Gaussian weighs less than 10⁻⁷."""
SPACING = 4.2
"""Spacing of the trapezoidal rule, times the order, for arguments of g of variance up to 1."""
WIDEST, RATIO, MILDER = 3.0, 2.25, 2.0
"""Longest panel, longest in units of a kink's width, and how much more where two kinks cross."""
BEYOND = 4.5
"""The integrand knows of a smeared kink up to so many of its widths from there."""
NEARLY = 0.99
"""Panels that only touch, but for rounding, what a kink limits are not limited."""
NARROW, SHARP = 0.05, 1e-7
"""Panels end where the integrand knows of a kink that is narrower, and at those that are sharp."""
CORE = 1.5
"""Smooth parts of g vary over so much around zero, for activations of refinement 1."""
MOST_PANELS, DEEPEST = 4096, 63
"""Panels of an integral, and how often one is halved."""


class Fields(NamedTuple):
    """Four fields, of which the first may be zeros.

    Attributes
    ----------
    factor, rest : ndarray, (4, 4)
        C, and √(Σ_{j>d} C_ij²) of field i at level d.
    scales, readout : ndarray, (4,)
        f of z = f x, and ω.
    places : ndarray, (4, kinks)
        κ/f.
    """

    factor: np.ndarray
    rest: np.ndarray
    scales: np.ndarray
    readout: np.ndarray
    places: np.ndarray


class Rule(NamedTuple):
    """How fine nodes are.

    Attributes
    ----------
    nodes, weights : ndarray, (order,)
        Gauss–Legendre's on [−1, 1].
    refinement : float
        That of the activation.
    """

    nodes: np.ndarray
    weights: np.ndarray
    refinement: float


@compiled
def level_nodes(fields, level, offsets, reach, rule):
    """Return nodes and Gaussian weights of one integral over [−reach, reach].

    Parameters
    ----------
    fields : Fields
    level : int
        d, from zero.
    offsets : ndarray, (4,)
        Σ_{j<d} C_ij ξ_j.
    reach : float
    rule : Rule

    Returns
    -------
    nodes, weights : ndarray
    """
    steepness, count = 0.0, rule.nodes.size
    for i in range(level, fields.scales.size):
        steepness = max(steepness, abs(fields.factor[i, level] * fields.scales[i]))
    if steepness == 0.0:
        return np.zeros(1), np.ones(1)
    if fields.places.shape[1] == 0:
        return trapezoid(SPACING / (count * rule.refinement * max(1.0, steepness)), reach)
    lefts, halves = panels_between(smeared_kinks(fields, level, offsets, rule.refinement), reach)
    nodes, weights = np.empty(lefts.size * count), np.empty(lefts.size * count)
    for p in range(lefts.size):
        for q in range(count):
            node = lefts[p] + halves[p] * (1.0 + rule.nodes[q])
            density = np.exp(-0.5 * node * node) / np.sqrt(2.0 * np.pi)
            nodes[p * count + q] = node
            weights[p * count + q] = halves[p] * rule.weights[q] * density
    return nodes, weights


@compiled
def smeared_kinks(fields, level, offsets, refinement):
    """Return where a level has kinks, their widths, and the longest panels there, as three rows."""
    factor, rest, places, filled = fields.factor, fields.rest, fields.places, 0
    size, kinks = places.shape
    found = np.empty((3, size * (kinks + 1) + size * kinks * kinks))
    for i in range(level, size):
        slope = factor[i, level]
        if abs(slope) * REACH < SHARP:
            continue
        for q in range(kinks):
            found[0, filled] = (places[i, q] - offsets[i]) / slope
            found[1, filled] = rest[i, level] / abs(slope)
            found[2, filled] = RATIO * found[1, filled]
            filled += 1
        core = CORE / (refinement * fields.scales[i])
        found[0, filled] = -offsets[i] / slope
        found[1, filled] = np.inf
        found[2, filled] = RATIO * np.sqrt(rest[i, level] ** 2 + core**2) / abs(slope)
        filled += 1
    for within in range(level + 1, size - 1):
        for i in range(within, size):
            for j in range(within, i):
                ahead, other = factor[i, within], factor[j, within]
                area = factor[i, level] * other - factor[j, level] * ahead
                if abs(area) < 1e-12:
                    continue
                width = 0.0
                for n in range(level + 1, size):
                    width += (factor[i, n] * other - factor[j, n] * ahead) ** 2
                for q in range(kinks * kinks):
                    first = places[i, q // kinks] - offsets[i]
                    second = places[j, q % kinks] - offsets[j]
                    found[0, filled] = (first * other - second * ahead) / area
                    found[1, filled] = np.sqrt(width) / abs(area)
                    found[2, filled] = MILDER * RATIO * found[1, filled]
                    filled += 1
    return found[:, :filled]


@compiled
def panels_between(kinks, reach):
    """Return left ends and half lengths of panels that kinks, some of them smeared, allow."""
    ends, count = np.empty(2 * kinks.shape[1] + 2), 2
    ends[0], ends[1] = -reach, reach
    for place, width, _ in kinks.T:
        if width < NARROW:
            for side in (-1.0, 1.0):
                end = place + side * (BEYOND * width if width > SHARP else 0.0)
                if abs(end) < reach:
                    ends[count] = end
                    count += 1
    ends = insertion_sorted(ends[:count])
    lefts, halves, filled = np.empty(MOST_PANELS), np.empty(MOST_PANELS), 0
    waiting = np.empty(DEEPEST + 1)
    for n in range(count - 1):
        left, top = ends[n], 0
        waiting[0] = ends[n + 1]
        while top >= 0:
            right, longest = waiting[top], WIDEST
            for place, width, most in kinks.T:
                away = max(0.0, left - place, place - right)
                if width > SHARP and away < NEARLY * BEYOND * width:
                    longest = min(longest, max(most, RATIO * away) if width == np.inf else most)
            if right - left > longest and top < DEEPEST:
                top += 1
                waiting[top] = 0.5 * (left + right)
                continue
            if right > left + SHARP and filled < MOST_PANELS:
                lefts[filled], halves[filled] = left, 0.5 * (right - left)
                filled += 1
            left, top = right, top - 1
    return lefts[:filled], halves[:filled]

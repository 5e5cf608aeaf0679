r"""Nodes and weights for averages over a batch of M samples under batch normalization.

ū ~ N(0, 1/M), the biased standard deviation s with M s² ~ χ²_{M−1}, and û = (u − ū)/s are
independent (Basu 1955); û is √M times a uniform point of the unit sphere S^{M−2}, so that
b = û₁/√(M−1) has a density proportional to (1 − b²)^{(M−4)/2}. The rules are

- s: Gauss for the law of s weighted by 1/s², by Stieltjes' procedure;
- R ū: Gauss–Hermite, or panels where a kink is sharper than the law of R ū;
- û: panels that end at kink/γ and around the places where the mean of h* meets a kink;
- h* given u, of mean R u and variance 1 − R²: panels that end at the kinks. The moments depend on
  the mean alone and are tabulated as polynomials on panels.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from statmech_bn.averages.quadrature import insertion_sorted
from statmech_bn.compile_cache import numba
from statmech_bn.errors import invalid

LARGEST_RULE = 64
"""Nodes of the largest Gauss rule; a panel that needs more is divided."""
LARGEST_DEVIATION_RULE = 120
"""Nodes of the largest rule of s, over which the averages are smooth whatever the activation."""
LOCAL_NODES = 12
"""Chebyshev nodes on a panel of the table of moments."""
TAIL_TERMS = 4096
"""The series for steps and ramps end with this term (`statmech_bn.averages.batch_pairs`)."""
BLUR = 6.0
"""Half-width of a blurred kink in standard deviations."""
STEEPEST = 50.0
"""The nodes of û grow with |γ| up to here."""
SMOOTH, BLURRED, SHARP = 0, 1, 2
"""No kinks; kinks that 1 − R² blurs over more than the law of R ū, or over less."""

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


class BatchRule(NamedTuple):
    """All that depends on the batch size alone; made by `batch_rule`."""

    batch_size: int
    refinement: float
    terms: int
    reach: float  # largest |û| of any weight
    ratios: NDArray[np.float64]  # r_n of `statmech_bn.averages.batch_pairs`
    recurrence: NDArray[np.float64]  # β_n
    deviations: NDArray[np.float64]  # nodes of s for SMOOTH, BLURRED and SHARP, shape (3, nodes)
    deviation_weights: NDArray[np.float64]
    legendre_nodes: NDArray[np.float64]  # row n holds the rule of n nodes
    legendre_weights: NDArray[np.float64]
    hermite_nodes: NDArray[np.float64]
    hermite_weights: NDArray[np.float64]
    local_nodes: NDArray[np.float64]
    local_inverse: NDArray[np.float64]  # values at the local nodes to powers


@lru_cache(maxsize=64)
def batch_rule(batch_size: int, refinement: float = 1.0) -> BatchRule:
    """Precompute what depends on the batch size alone.

    Parameters
    ----------
    batch_size : int
        Samples per batch, at least 4.
    refinement : float
        Multiplies the number of nodes of every rule and of terms of the series; 1 is accurate for
        activations that vary over lengths of order one.

    Returns
    -------
    BatchRule
        The last argument of `statmech_bn.averages.batch.batch_averages_kernel`.

    Raises
    ------
    InvalidSetup
        `batch_size` is not an integer of at least 4.
    """
    if batch_size != int(batch_size) or batch_size < 4:
        raise invalid(
            "batch_size",
            "an integer ≥ 4",
            batch_size,
            "With fewer samples E[1/σ_B²] is infinite; use the mesoscopic level.",
        )
    size = int(batch_size)
    index = (size - 3) / 2
    order = np.arange(TAIL_TERMS + 2.0)
    n = order[2:]
    recurrence = np.zeros(order.size)
    recurrence[1] = math.sqrt(1 / (size - 1))
    recurrence[2:] = np.sqrt(n * (n + 2 * index - 1) / (4 * (n + index) * (n + index - 1)))
    ratios = np.ones(order.size)
    ratios[1] = -1 / (size - 1)
    for k in range(1, order.size - 1):
        ahead = 2 * (k + index) * ratios[1] * ratios[k] - k * ratios[k - 1]
        ratios[k + 1] = ahead / (k + 2 * index)
    # With the tails of jumps added, what is left out falls as r_n/n³.
    left_out = (np.abs(ratios[:-1]) + np.abs(ratios[1:]))[6:56] / order[6:56] ** 3
    terms = math.ceil(refinement * (6 + np.count_nonzero(left_out > 1e-10)))
    used = max(terms + 3, int(np.flatnonzero(np.abs(ratios) > 1e-14)[-1]) + 2)
    # Beyond this the density of û is below 1e-12 of its maximum.
    farthest = 1.0 if size < 6 else math.sqrt(1 - 10 ** (-24 / (size - 4)))
    root = math.sqrt(size)
    counts = [
        min(math.ceil(refinement * count), LARGEST_DEVIATION_RULE)
        for count in (6 + 12 / root, 12, 4 + 84 / root)
    ]
    deviations = np.zeros((2, 3, max(counts)))
    for kind, count in enumerate(counts):
        deviations[:, kind, :count] = _deviation_rule(size, count)
    return BatchRule(
        size,
        float(refinement),
        terms,
        math.sqrt(size - 1) * farthest,
        ratios[:used],
        recurrence[:used],
        *deviations,
        *_standard_rules(),
    )


@lru_cache(maxsize=1)
def _standard_rules() -> tuple[NDArray[np.float64], ...]:
    """Return the Gauss rules of every size and the nodes of a panel of the table."""
    legendre, hermite = np.zeros((2, 2, LARGEST_RULE + 1, LARGEST_RULE))
    for n in range(1, LARGEST_RULE + 1):
        legendre[:, n, :n] = np.polynomial.legendre.leggauss(n)
        hermite[:, n, :n] = np.polynomial.hermite_e.hermegauss(n)
    hermite[1] /= math.sqrt(2 * math.pi)
    local = -np.cos((np.arange(LOCAL_NODES) + 0.5) * np.pi / LOCAL_NODES)
    inverse = np.linalg.inv(np.vander(local, increasing=True))
    return (*legendre, *hermite, local, np.ascontiguousarray(inverse))


def _deviation_rule(size: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Gauss rule of E[f(s)/s²], by Stieltjes' procedure on a fine grid."""
    width = 12 / math.sqrt(2 * size)
    edges = np.linspace(max(0.0, 1 - width), 1 + width, 25)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    s = (edges[:-1, None] + half * (1 + nodes)).ravel()
    exponent = (size - 4) * np.log(s) - size * s * s / 2
    weight = (half * weights).ravel() * np.exp(exponent - exponent.max())
    weight /= weight.sum()
    diagonal, side = np.zeros(count), np.zeros(count)
    before, now = np.zeros(s.size), np.ones(s.size)
    for k in range(count):
        diagonal[k] = (weight * s * now * now).sum()
        after = (s - diagonal[k]) * now - (side[k - 1] if k else 0.0) * before
        side[k] = math.sqrt((weight * after * after).sum())
        before, now = now, after / side[k]
    roots, vectors = eigh_tridiagonal(diagonal, side[:-1])
    return roots, vectors[0] ** 2 * size / (size - 3)


@compiled
def breakpoints(points, reach):
    """Sort the ends of panels; those out of reach make empty panels."""
    return insertion_sorted(np.minimum(np.maximum(points, -reach), reach))


@compiled
def composite(edges, counts, rule):
    """Gauss–Legendre nodes and weights on every panel; none where the count is zero."""
    total = 0
    for count in counts:
        if count > 0:
            parts = 1 + (count - 1) // LARGEST_RULE
            total += parts * (1 + (count - 1) // parts)
    nodes, weights = np.empty(total), np.empty(total)
    filled = 0
    for i in range(counts.size):
        if counts[i] > 0:
            parts = 1 + (counts[i] - 1) // LARGEST_RULE
            count = 1 + (counts[i] - 1) // parts
            half = (edges[i + 1] - edges[i]) / (2 * parts)
            for part in range(parts):
                middle = edges[i] + (2 * part + 1) * half
                for j in range(count):
                    nodes[filled] = middle + half * rule.legendre_nodes[count, j]
                    weights[filled] = half * rule.legendre_weights[count, j]
                    filled += 1
    return nodes, weights


@compiled
def teacher_moments(activation, kinks, mean, blur, rule):
    """Return E[g], E[g'] and E[g²] for a field of this mean and standard deviation `blur`."""
    points = np.empty(2 + max(kinks.size, 1))
    scale = 1 / max(blur, 1e-150)
    points[0], points[1], points[2] = -8.0, 8.0, -mean * scale
    for i in range(kinks.size):
        points[2 + i] = (kinks[i] - mean) * scale
    points = breakpoints(points, 8.0)
    counts = np.zeros(points.size - 1, np.int64)
    for i in range(counts.size):
        length = points[i + 1] - points[i]
        if length > 0:
            counts[i] = math.ceil(rule.refinement * (7 + 1.4 * length))
    nodes, weights = composite(points, counts, rule)
    value, slope = np.empty(nodes.size), np.empty(nodes.size)
    activation(mean + blur * nodes, value, slope)
    first, derivative, second = 0.0, 0.0, 0.0
    for i in range(nodes.size):
        weight = weights[i] * math.exp(-0.5 * nodes[i] * nodes[i]) / math.sqrt(2 * math.pi)
        first += weight * value[i]
        derivative += weight * slope[i]
        second += weight * value[i] * value[i]
    return first, derivative, second


@compiled
def teacher_table(activation, kinks, blur, reach, rule):
    """Panels of the conditional mean, and the moments as polynomials on each."""
    points = np.zeros(3 + 3 * kinks.size)
    points[0], points[1] = -reach, reach
    for i in range(kinks.size):
        for j in range(3):
            points[3 + 3 * i + j] = kinks[i] + (j - 1) * BLUR * blur
    points = breakpoints(points, reach)
    parts = np.zeros(points.size - 1, np.int64)
    for i in range(parts.size):
        length = points[i + 1] - points[i]
        longest = max(1.0, 2 * blur)
        for kink in kinks:
            if abs(0.5 * (points[i] + points[i + 1]) - kink) < BLUR * blur:
                longest = 2 * blur
        if length > 1e-12:
            parts[i] = math.ceil(rule.refinement * length / longest)
    edges = np.full(parts.sum() + 1, reach)
    panel = 0
    for i in range(parts.size):
        for j in range(parts[i]):
            edges[panel] = points[i] + (points[i + 1] - points[i]) * j / parts[i]
            panel += 1
    table = np.zeros((panel, LOCAL_NODES, 3))
    for panel in range(table.shape[0]):
        half = 0.5 * (edges[panel + 1] - edges[panel])
        for j in range(LOCAL_NODES):
            mean = edges[panel] + half * (1 + rule.local_nodes[j])
            moments = teacher_moments(activation, kinks, mean, blur, rule)
            for i in range(LOCAL_NODES):
                for k in range(3):
                    table[panel, i, k] += rule.local_inverse[i, j] * moments[k]
    return edges, table


@compiled
def look_up(edges, table, mean, panel):
    """Return the moments at one mean, and its panel, from which the next search starts."""
    while panel + 2 < edges.size and mean > edges[panel + 1]:
        panel += 1
    while panel > 0 and mean < edges[panel]:
        panel -= 1
    x = (2 * mean - edges[panel] - edges[panel + 1]) / (edges[panel + 1] - edges[panel])
    first, derivative, second = 0.0, 0.0, 0.0
    for j in range(LOCAL_NODES - 1, -1, -1):
        first = first * x + table[panel, j, 0]
        derivative = derivative * x + table[panel, j, 1]
        second = second * x + table[panel, j, 2]
    return first, derivative, second, panel


@compiled
def site_density(b, size):
    """Density of b = û/√(M−1)."""
    gammas = math.lgamma((size - 1) / 2) - math.lgamma((size - 2) / 2)
    return math.exp(gammas) / math.sqrt(math.pi) * (1 - b * b) ** (0.5 * (size - 4))


@compiled
def site_rule(kinks, gamma, slope, shift, blur, margin, rule):
    """Nodes and weights of û, for a teacher of mean shift + slope û, shift known to `margin`.

    In t, b = (3t − t³)/2, every half-integer power of 1 − b² is smooth up to the ends.
    """
    root = math.sqrt(rule.batch_size - 1.0)
    steep = abs(gamma)
    grade = blur < abs(slope)
    base, fine = (6, 1.2) if kinks.size > 0 else (10, 1.5)
    points = np.zeros(5 + 4 * kinks.size)
    points[0], points[1] = -rule.reach, rule.reach
    if steep > 1:
        points[3], points[4] = -3 / steep, 3 / steep
    for i in range(kinks.size):
        if abs(kinks[i]) < steep * rule.reach:
            points[5 + 4 * i] = kinks[i] / gamma
        if grade:
            for j in range(3):
                level = kinks[i] + (j - 1) * (BLUR * blur + margin)
                points[6 + 4 * i + j] = (level - shift) / slope
    points = breakpoints(points, rule.reach)
    ends = 2 * np.sin(np.arcsin(points / root) / 3)
    counts = np.zeros(points.size - 1, np.int64)
    for i in range(counts.size):
        length = points[i + 1] - points[i]
        if length > 1e-10:
            density = fine * min(max(steep, 1.0), STEEPEST)
            mean = shift + 0.5 * slope * (points[i] + points[i + 1])
            for kink in kinks:
                if grade and abs(mean - kink) < BLUR * blur + margin:
                    density = max(density, fine * abs(slope) / blur)
            # φ_n changes sign n times over the range, evenly in t.
            count = rule.refinement * (base + density * length)
            counts[i] = math.ceil(count + 0.85 * rule.terms * (ends[i + 1] - ends[i]))
    nodes, weights = composite(ends, counts, rule)
    norm = 1.5 * site_density(0.0, rule.batch_size)
    half, odd = (rule.batch_size - 4) // 2, (rule.batch_size - 4) % 2
    for i in range(nodes.size):
        t = nodes[i]
        edge, inner = 1 - t * t, 1 - 0.25 * t * t
        weights[i] *= norm * edge * (edge * edge * inner) ** half
        if odd:
            weights[i] *= edge * math.sqrt(inner)
        nodes[i] = 0.5 * root * t * (3 - t * t)
    return nodes, weights


@compiled
def active_sites(activation, gamma, nodes, weights):
    """Keep the nodes at which g' is not zero, and return g and g' there; no other contributes."""
    output, gain = np.empty(nodes.size), np.empty(nodes.size)
    activation(gamma * nodes, output, gain)
    active = 0
    for i in range(nodes.size):
        if gain[i] != 0.0:
            nodes[active], weights[active] = nodes[i], weights[i]
            output[active], gain[active] = output[i], gain[i]
            active += 1
    return nodes[:active], weights[:active], output[:active], gain[:active]


@compiled
def choose_rules(kinks, spread, blur, rule):
    """Return the kind of the setup and the number of Gauss–Hermite nodes of R ū, 0 for panels."""
    kind, count = SHARP, 0
    shared = spread**2 / (spread**2 + blur**2)
    if kinks.size == 0:
        kind, count = SMOOTH, math.ceil(6 + 28 / math.sqrt(rule.batch_size))
    elif shared < 0.6:
        # The error of n Gauss–Hermite nodes falls as shared^n (Mehler 1866).
        kind, count = BLURRED, 3
        while 5 * shared**count / (rule.batch_size * count**2) > 1e-9:
            count += 1
    return kind, min(math.ceil(rule.refinement * count), LARGEST_RULE)


@compiled
def mean_rule(kinks, places, overlap, deviation, blur, count, rule):
    """Nodes and weights of R ū; a count of zero asks for panels that end at the sharp places."""
    spread = abs(overlap) / math.sqrt(rule.batch_size)
    if count > 0:
        weights = rule.hermite_weights[count, :count].copy()
        return spread * rule.hermite_nodes[count, :count], weights
    small = rule.batch_size < 16
    base, density = (8, 1.3) if not small else (9, 1.3) if rule.batch_size > 7 else (14, 1.4)
    slope = overlap * deviation
    points = np.zeros(2 + kinks.size * (3 * places.size + 2))
    points[0], points[1] = -7 * spread, 7 * spread
    filled = 2
    for kink in kinks:
        points[filled], points[filled + 1] = kink - slope * rule.reach, kink + slope * rule.reach
        filled += 2
        for place in places:
            for j in range(3):
                # The blurred layer matters for small batches alone.
                points[filled] = kink - slope * place + (3 * (j - 1) * blur if small else 0.0)
                filled += 1
    points = breakpoints(points, 7 * spread)
    counts = np.zeros(points.size - 1, np.int64)
    for i in range(counts.size):
        length = (points[i + 1] - points[i]) / spread
        if length > 1e-7:
            counts[i] = math.ceil(rule.refinement * (base + density * length))
    nodes, weights = composite(points, counts, rule)
    weights *= np.exp(-0.5 * (nodes / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
    return nodes, weights

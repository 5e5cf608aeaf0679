r"""Averages over pairs of samples of a batch, by the Funk–Hecke theorem.

û₁ and û₂ are coordinates of one uniform point of a sphere along directions of cosine −1/(M−1).
With φ_n the orthonormal polynomials of b = û/√(M−1) (Gegenbauer's of index (M−3)/2, with
b φ_n = β_{n+1} φ_{n+1} + β_n φ_{n−1}) and f_n = E[f φ_n],

    E[f(û₁) k(û₂)] = Σ_n r_n f_n k_n,   r_n = C_n(−1/(M−1))/C_n(1)      (Funk 1916, Hecke 1918)

r_n falls as M^{−n/2} at first and as n^{−(M−3)/2} in the end. f_n falls exponentially for smooth f
but only as 1/n where f jumps; the terms that are left out are then summed for the jumps of f and
of its slope alone. A step at b has the coefficients

    density(b) (β_n φ_{n−1}(b)/n − β_{n+1} φ_{n+1}(b)/(n + M − 3)),

and those of a ramp follow from them by the recurrence.
"""

from __future__ import annotations

import math

import numpy as np

from statmech_bn.averages.batch_quadrature import compiled, site_density
from statmech_bn.compile_cache import numba


@compiled
def polynomials_at(nodes, weights, rule):
    """Return the weight times φ_n at every node, n = 0 … terms."""
    root = math.sqrt(rule.batch_size - 1.0)
    table = np.empty((rule.terms + 1, nodes.size))
    for i in range(nodes.size):
        table[0, i] = weights[i]
        table[1, i] = weights[i] * nodes[i]
    for n in range(1, rule.terms):
        first = 1 / (root * rule.recurrence[n + 1])
        second = rule.recurrence[n] / rule.recurrence[n + 1]
        for i in range(nodes.size):
            table[n + 1, i] = first * nodes[i] * table[n, i] - second * table[n - 1, i]
    return table


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _dot(a, b):
    # Summed in any order, so that it vectorizes.
    total = 0.0
    for i in range(b.size):
        total += a[i] * b[i]
    return total


@compiled
def pair_series(field, polynomials, rule):
    """Return E[d_1 d_2 (1 + û_1 û_2)] from the kept terms, and whether it lacks its tail."""
    before, now = 0.0, _dot(polynomials[0], field)
    total, quiet = 0.0, 0
    for n in range(rule.terms):
        after = _dot(polynomials[n + 1], field)
        tilted = rule.recurrence[n + 1] * after + rule.recurrence[n] * before  # of b d
        term = rule.ratios[n] * (now * now + (rule.batch_size - 1) * tilted * tilted)
        total += term
        quiet = quiet + 1 if abs(term) < 1e-13 * abs(total) else 0
        if quiet == 4:
            return total, False
        before, now = now, after
    return total, True


@compiled
def tail_sums(places, rule):
    """Return Σ r_n p_n q_n over n ≥ terms; p and q are the step (0) or the ramp (1) at a place."""
    last = rule.ratios.size - 1
    beta = rule.recurrence
    root = math.sqrt(rule.batch_size - 1.0)
    coefficients = np.zeros((2, places.size, last))
    for i in range(places.size):
        b = places[i] / root
        step = np.zeros(last)
        before, now = 0.0, site_density(b, rule.batch_size)
        for n in range(last):
            after = (b * now - beta[n] * before) / beta[n + 1]
            if n > 0:
                step[n] = beta[n] * before / n - beta[n + 1] * after / (n + rule.batch_size - 3)
            before, now = now, after
        for n in range(rule.terms, last - 1):
            ramp = beta[n + 1] * step[n + 1] + beta[n] * step[n - 1] - b * step[n]
            coefficients[0, i, n], coefficients[1, i, n] = step[n], root * ramp
    tails = np.zeros((2, places.size, 2, places.size))
    for p in range(2):
        for i in range(places.size):
            for q in range(2):
                for j in range(places.size):
                    for n in range(rule.terms, last - 1):
                        product = coefficients[p, i, n] * coefficients[q, j, n]
                        tails[p, i, q, j] += rule.ratios[n] * product
    return tails


@compiled
def kink_jumps(activation, inside, gamma):
    """Per kink: g, and how far g', g'² and g'' jump in the direction of growing û."""
    step = 1e-4
    points, value, slope = np.empty(4), np.empty(4), np.empty(4)
    jumps = np.empty((inside.size, 4))
    sign = 1.0 if gamma > 0 else -1.0
    for i in range(inside.size):
        for j in range(4):
            points[j] = inside[i] + step * (j - 2 if j < 2 else j - 1)
        activation(points, value, slope)
        left, right = 2 * slope[1] - slope[0], 2 * slope[2] - slope[3]
        jumps[i, 0] = value[1] - 0.5 * value[0] + value[2] - 0.5 * value[3]
        jumps[i, 1] = sign * (right - left)
        jumps[i, 2] = sign * (right * right - left * left)
        jumps[i, 3] = sign * (slope[3] - slope[2] - slope[1] + slope[0]) / step
    return jumps


@compiled
def pair_tail(jumps, places, tails):
    """Return the sum of all terms left out, for the jumps of d (0) and of its slope in û (1)."""
    total = 0.0
    for p in range(2):
        for i in range(places.size):
            tilted = places[i] * jumps[p, i] + p * jumps[0, i]  # of û d
            for q in range(2):
                for j in range(places.size):
                    other = places[j] * jumps[q, j] + q * jumps[0, j]
                    total += tails[p, i, q, j] * (jumps[p, i] * jumps[q, j] + tilted * other)
    return total

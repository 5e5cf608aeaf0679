r"""Averages of piecewise linear units with their kink at zero, over up to four fields.

With slopes α for z < 0 and β for z > 0, g'(z) = α + (β−α)Θ(z) and g(z) = z g'(z), so that the
averages of a committee (`statmech_bn.symbolic.committee_flow`) are sums of E[z_p z_q Θ_S] with
Θ_S = Π_{i∈S} Θ(z_i), for sets S of at most four fields.

Stein's lemma, applied twice, gives for the covariance C

    E[z_p z_q Θ_S] = C_pq P_S + Σ_{i<j∈S} q_ij/(2π√d_ij) P_{S∖ij | i=j=0},
    q_ij = C_ip C_jq + C_jp C_iq − C_ip C_iq C_ij/C_ii − C_jp C_jq C_ij/C_jj,
    d_ij = C_ii C_jj − C_ij²,

where P_S is the probability that all fields of S are positive, and the last one that given that the
fields i and j are zero. Up to three fields it is elementary; for four, with correlations r,

    P = 1/16 + Σ_{i<j} asin(r_ij)/(8π) + (1/4π²) Σ_{i<j} ∫₀^{asin r_ij} asin r_{kl·ij}(t) du,

t = sin(u)/r_ij, where all correlations are multiplied by t and r_{kl·ij} is the partial correlation
of the two others (R. L. Plackett, Biometrika 41 (1954) 351). The integrals are by the double
exponential rule (Takahasi & Mori 1974), which the square roots at its ends do not disturb.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from statmech_bn.compile_cache import numba

SPACING, HALF = 0.22, 15
"""Distance of the nodes of the double exponential rule, and how many there are on either side."""
SINGULAR = 1e-14
"""Fields whose correlation differs from ±1 by less have no plane in which both are zero."""

_T = SPACING * np.arange(-HALF, HALF + 1)
NODES = 0.5 * (1.0 + np.tanh(0.5 * np.pi * np.sinh(_T)))
"""Nodes on [0, 1]."""
WEIGHTS = SPACING * 0.25 * np.pi * np.cosh(_T) / np.cosh(0.5 * np.pi * np.sinh(_T)) ** 2
"""Their weights."""

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@compiled
def arcsine(value):
    """Return asin of a correlation, which rounding may have moved beyond ±1."""
    return math.asin(min(1.0, max(-1.0, value)))


@compiled
def partial(r, i, j, k, m, t):
    """Return the correlation of fields k and m at zero fields i and j, all correlations times t."""
    ij, ki, kj, mi, mj = t * r[i, j], t * r[k, i], t * r[k, j], t * r[m, i], t * r[m, j]
    d = 1.0 - ij * ij
    kk = d - ki * ki - kj * kj + 2.0 * ij * ki * kj
    mm = d - mi * mi - mj * mj + 2.0 * ij * mi * mj
    km = t * r[k, m] * d - ki * mi - kj * mj + ij * (ki * mj + kj * mi)
    size = kk * mm
    return km / math.sqrt(size) if size > 0.0 and kk > 0.0 else 0.0


@compiled
def orthant(r, size):
    """Return the probability that all of up to four fields are positive, from correlations."""
    if size == 0:
        return 1.0
    total = 0.0
    for i in range(size):
        for j in range(i + 1, size):
            total += arcsine(r[i, j])
    if size < 4:
        return 0.5**size + total / (2.0 * math.pi * max(1, 2 * (size - 2)))
    inner = 0.0
    for i in range(4):
        for j in range(i + 1, 4):
            if r[i, j] == 0.0:
                continue
            k = 0 if i > 0 else (1 if j > 1 else 2)
            m = 6 - i - j - k
            end = arcsine(r[i, j])
            for n in range(NODES.size):
                t = math.sin(end * NODES[n]) / r[i, j]
                inner += end * WEIGHTS[n] * arcsine(partial(r, i, j, k, m, t))
    return 0.0625 + total / (8.0 * math.pi) + inner / (4.0 * math.pi * math.pi)


@compiled
def moment(c, p, q, members, size):
    """Return E[z_p z_q Θ_S] for the first `size` members, distinct fields of nonzero variance."""
    r = np.empty((4, 4))
    for a in range(size):
        for b in range(size):
            i, j = members[a], members[b]
            r[a, b] = c[i, j] / math.sqrt(c[i, i] * c[j, j])
    total = c[p, q] * orthant(r, size)
    for a in range(size):
        for b in range(a + 1, size):
            d = 1.0 - r[a, b] * r[a, b]
            if d < SINGULAR:
                continue
            i, j = members[a], members[b]
            strength = c[i, p] * c[j, q] + c[j, p] * c[i, q]
            strength -= c[i, p] * c[i, q] * c[i, j] / c[i, i]
            strength -= c[j, p] * c[j, q] * c[i, j] / c[j, j]
            rest = 1.0
            if size == 3:
                rest = 0.5
            elif size == 4:
                k = 0 if a > 0 else (1 if b > 1 else 2)
                rest = 0.25 + arcsine(partial(r, a, b, k, 6 - a - b - k, 1.0)) / (2.0 * math.pi)
            total += strength * rest / (2.0 * math.pi * math.sqrt(c[i, i] * c[j, j] * d))
    return total


@compiled
def product_average(c, left, right):
    """Return E[g'(z₀) g'(z₁) g(z₂) g(z₃)] from the covariance of four fields, some the same."""
    members, powers = np.empty(4, np.int64), np.zeros(4, np.int64)
    count = 0
    for i in range(4):
        for n in range(count):
            k = members[n]
            if c[i, k] == c[i, i] and c[i, k] == c[k, k]:
                powers[n] += 1
                break
        else:
            members[count], powers[count] = i, 1
            count += 1
    chosen = np.empty(4, np.int64)
    total = 0.0
    for subset in range(2**count):
        factor, size = 1.0, 0
        for n in range(count):
            low = left ** powers[n]
            if subset >> n & 1:
                factor *= right ** powers[n] - low
                chosen[size] = members[n]
                size += 1
            else:
                factor *= low
        if factor != 0.0:
            total += factor * moment(c, 2, 3, chosen, size)
    return total


@compiled
def pair_average(aa, ab, bb, left, right):
    """Return E[g(z₀)g(z₁)], E[g'(z₀)g'(z₁)] and E[g''(z₀)g(z₁)]."""
    sine = math.sqrt(max(0.0, aa * bb - ab * ab))
    angle = arcsine(ab / math.sqrt(aa * bb))
    if aa == ab and ab == bb:
        sine, angle = 0.0, 0.5 * math.pi
    jump, both = right - left, 0.25 + angle / (2.0 * math.pi)
    slopes = left * right + jump * jump * both
    values = ab * slopes + jump * jump * sine / (2.0 * math.pi)
    # at z₀ = 0 the other field is a Gaussian of variance (aa bb − ab²)/aa
    bend = jump * jump * sine / (2.0 * math.pi * aa)
    return values, slopes, bend


@compiled
def fill_pairs(table, left, right):
    """Fill the last rows of a table whose first hold covariances of two fields."""
    for n in range(table.shape[1]):
        found = pair_average(table[0, n], table[1, n], table[2, n], left, right)
        table[3, n], table[4, n], table[5, n] = found


@compiled
def fill_quadruples(table, left, right):
    """Fill the last row of a table whose first hold covariances of four fields."""
    c = np.empty((4, 4))
    for n in range(table.shape[1]):
        row = 0
        for i in range(4):
            for j in range(i, 4):
                c[i, j] = c[j, i] = table[row, n]
                row += 1
        table[row, n] = product_average(c, left, right)


@lru_cache(maxsize=32)
def piecewise_linear_averages(left: float, right: float) -> tuple[Any, Any]:
    """Return callbacks that fill tables for the slopes of a unit on both sides of zero.

    Parameters
    ----------
    left, right : float
        α and β.

    Returns
    -------
    tuple of numba.core.ccallback.CFunc
        As `statmech_bn.averages.committee_closed.closed_averages` returns them.
    """
    table = numba.types.void(numba.types.float64[:, ::1])

    @numba.cfunc(table)
    def pairs(rows):
        fill_pairs(rows, left, right)

    @numba.cfunc(table)
    def quadruples(rows):
        fill_quadruples(rows, left, right)

    return pairs, quadruples

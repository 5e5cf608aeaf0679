r"""Averages over batches of a committee's fields, at any batch size and for any activation.

A group of G samples that share statistics has û_k = (h_k − μ_k)/σ_k, z_k = γ_kû_k and the
projectors P_k = 1 − 11ᵀ/G − û_kû_kᵀ/G, and with δ_km = v_k g'(z_km) e_m

    c_k = u_k P_k δ_k,   u_k = γ_k/(Gσ_k),
    (P_k P_l)_mm' = 1_mm' − (1 + û_kmû_km' + û_lmû_lm' − r_kl û_kmû_lm')/G,   r_kl = Σ_m û_kmû_lm/G.

As all samples are alike, averages need two of them only, and the statistics of all:

    F_kj = E[u_k (δ_k1 x_j1 (G − 1 − û_k1²) − (G−1) δ_k2 x_j1 (1 + û_k1û_k2))],
    N_kl = E[u_ku_l G (δ_k1δ_l1 (P_kP_l)_11 + (G−1) δ_k1δ_l2 (P_kP_l)_12)],
    P_k = E[δ_k1û_k1],   E_k = E[e_1 g(z_k1)].

x_j may be replaced by what h_k does not explain of it, since P_k h_k = 0. Given the student's
fields h*_n is a Gaussian of the mean b_n·h and the covariance S, and E[g(h*_n)|h] is a function of
b_n·h alone, which is tabulated. With e' = E[e|h], Stein's lemma gives

    E[e x_j | h] = e' E[x_j|h] + Σ_n v*_n S_jn E[g'(h*_n)|h],

so that F, P, E and the pairs in N are integrals over the student's fields. e'² + (e − e')² stands
for e²; the average over the label noise adds Δ² E[u_ku_l G v_kv_l g'(z_k1) g'(z_l1) (P_kP_l)_11] to
N. The other G − 2 samples enter by their mean, a Gaussian, and their scatter, a Wishart matrix of
G − 3 degrees of freedom (Bartlett 1933), so that the dimension 2(K + K*) + K + K(K+1)/2 of the
integrals does not depend on G. They are sums over scrambled Sobol' points
(`statmech_bn.averages.committee_points`).

A step of M samples is the mean of M/G independent groups, so that its Σ c_k c_l is G/M times that
of a group. For G ≤ 5 the variance of N is infinite, as E[1/σ⁴] is, and its error falls slowly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.committee_points import (
    BLOCK,
    SCRAMBLINGS,
    SEED,
    Sums,
    clear,
    compiled,
    empty_sums,
    square_root,
)
from statmech_bn.averages.quadrature import conditional_moments

POWER = 15
"""A scrambling has two to this power points."""
FAR = 2.0**-40
"""Nearest that a uniform point comes to 0 or 1."""
REACH = 8.0
"""The table of E[g(h*_n)|h] ends at so many standard deviations of b_n·h."""
ROWS = 1024
"""Rows of the table."""


class Groups(NamedTuple):
    """Rules for groups of one size.

    Attributes
    ----------
    pairs : ndarray, (rules, points, 2, D)
        ξ of two samples.
    mean : ndarray, (rules, points, K)
        Mean of the others, of unit Gaussians.
    scatter : ndarray, (rules, points, K, K)
        A of their scatter A Aᵀ.
    """

    pairs: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray


@lru_cache(maxsize=4)
def group_points(group: int, students: int, d: int, finer: int = 0) -> Groups:
    """Return scrambled Sobol' points for groups of G ≥ 4 samples of D fields, K of students.

    There are two to the power `finer` times as many as usual.
    """
    from scipy.special import gammaincinv, ndtri  # both are slow to import, and seldom needed
    from scipy.stats import qmc

    rank = min(students, group - 3)
    below = [(i, j) for i in range(students) for j in range(min(i, rank))]
    ends = np.cumsum([2 * d, students, rank, len(below)])
    rules = []
    for child in np.random.SeedSequence(SEED).spawn(SCRAMBLINGS):
        engine = qmc.Sobol(int(ends[-1]), scramble=True, seed=np.random.default_rng(child))
        uniform = np.clip(engine.random_base2(POWER + finer), FAR, 1 - FAR)
        pairs, mean, squares, others = np.split(uniform, ends[:-1], axis=1)
        scatter = np.zeros((len(uniform), students, students))
        for i in range(rank):
            half = (group - 3 - i) / 2
            scatter[:, i, i] = np.sqrt(2 * gammaincinv(half, squares[:, i]))
        for n, (i, j) in enumerate(below):
            scatter[:, i, j] = ndtri(others[:, n])
        mean = ndtri(mean) / np.sqrt(group - 2)
        rules.append((ndtri(pairs).reshape(-1, 2, d), mean, scatter))
    return Groups(*(np.array(part) for part in zip(*rules, strict=True)))


@compiled
def fill_statistics(group, factor, h, mean, scatter, centre, moment):
    """Fill μ and the scatter of all samples about it, from two samples' fields and the others'."""
    students = centre.size
    rest = np.empty((students, students))
    shift = np.empty(students)
    for k in range(students):
        shift[k] = 0.0
        for n in range(k + 1):
            shift[k] += factor[k, n] * mean[n]
            rest[k, n] = 0.0
        for n in range(students):
            rest[k, n] = 0.0
            for i in range(n, k + 1):
                rest[k, n] += factor[k, i] * scatter[i, n]
        centre[k] = (h[0, k] + h[1, k] + (group - 2) * shift[k]) / group
    for k in range(students):
        for q in range(k + 1):
            total = (group - 2) * (shift[k] - centre[k]) * (shift[q] - centre[q])
            total += (h[0, k] - centre[k]) * (h[0, q] - centre[q])
            total += (h[1, k] - centre[k]) * (h[1, q] - centre[q])
            for n in range(q + 1):
                total += rest[k, n] * rest[q, n]
            moment[k, q] = moment[q, k] = total


@compiled
def fill_tables(value_and_slope, kinks, refinement, reaches, widths, tables):
    """Fill E[g(μ + sξ)] and its derivative for each unit of the teacher, on a grid of μ."""
    for n in range(reaches.size):
        centres = reaches[n] * (2.0 * np.arange(ROWS) / (ROWS - 1) - 1.0)
        found = conditional_moments(value_and_slope, kinks, centres, widths[n], refinement, 0.0)
        tables[n, 0], tables[n, 1] = found[:, 0], found[:, 2]


@compiled
def look_up(table, reach, mean):
    """Interpolate a table's function and its derivative by a cubic."""
    step = 2.0 * reach / (ROWS - 1)
    place = min(max((mean + reach) / step, 0.0), ROWS - 1.001)
    i = int(place)
    t = place - i
    before, after = table[0, i], table[0, i + 1]
    left, right = step * table[1, i], step * table[1, i + 1]
    rise = after - before
    first, second = left - rise, rise - right
    bend = first * (1.0 - t) + second * t
    value = before + t * (rise + (1.0 - t) * bend)
    slope = rise + (1.0 - 2.0 * t) * bend + t * (1.0 - t) * (second - first)
    return value, slope / step


@compiled
def group_sums(value_and_slope, group, rule, world, tables, scales, readout, sums):
    """Add up the averages over the points of one rule.

    Parameters
    ----------
    value_and_slope : C callback
        Fills g and g' at an array of points.
    group : int
        G.
    rule : tuple of ndarray
        Pairs, means and scatters of one rule.
    world : World
    tables : tuple of ndarray
        Reaches, (K*,), and tables, (K*, 2, ROWS), of the teacher's units.
    scales : ndarray, (K,)
        γ.
    readout : ndarray, (D,)
        ω = (v*, −v).
    sums : Sums
        Filled.
    """
    pairs, means, scatters = rule
    count, d, students = pairs.shape[0], pairs.shape[2], scales.size
    teachers = d - students
    clear(sums)
    # x has the mean of h* at given h, then h; z the arguments of g
    x, z = np.empty((BLOCK, 2, d)), np.zeros((BLOCK, 2, d))
    u, r = np.empty((BLOCK, 2, students)), np.empty((BLOCK, students, students))
    unit = np.empty((BLOCK, students))
    output, slope = np.empty(z.size), np.empty(z.size)
    value, derivative = output.reshape(z.shape), slope.reshape(z.shape)
    centre, moment = np.empty(students), np.empty((students, students))
    gain, error, square = np.empty((2, students)), np.empty(2), np.empty(2)
    tilts, stein = np.empty(teachers), np.zeros((2, d))
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        for b in range(size):
            for m in range(2):
                xi, at = pairs[first + b, m], x[b, m]
                for k in range(students):
                    at[teachers + k] = 0.0
                    for n in range(k + 1):
                        at[teachers + k] += world.own[k, n] * xi[teachers + n]
                for j in range(teachers):
                    at[j] = 0.0
                    for k in range(students):
                        at[j] += world.regression[j, k] * at[teachers + k]
                    z[b, m, j] = at[j]
                    for n in range(j + 1):
                        z[b, m, j] += world.rest[j, n] * xi[n]
            others = means[first + b], scatters[first + b]
            h = x[b, :, teachers:]
            fill_statistics(group, world.own, h, others[0], others[1], centre, moment)
            for k in range(students):
                spread = np.sqrt(moment[k, k] / group)
                unit[b, k] = scales[k] / (group * spread)
                for q in range(students):
                    r[b, k, q] = moment[k, q] / np.sqrt(moment[k, k] * moment[q, q])
                for m in range(2):
                    u[b, m, k] = (h[m, k] - centre[k]) / spread
                    z[b, m, teachers + k] = scales[k] * u[b, m, k]
        value_and_slope(z.ravel(), output, slope)
        for b in range(size):
            for m in range(2):
                error[m], drawn = 0.0, 0.0
                for j in range(teachers):
                    mean, tilts[j] = look_up(tables[1][j], tables[0][j], x[b, m, j])
                    error[m] += readout[j] * mean
                    drawn += readout[j] * (value[b, m, j] - mean)
                for j in range(teachers):
                    stein[m, j] = 0.0
                    for n in range(teachers):
                        stein[m, j] += world.covariance[j, n] * readout[n] * tilts[n]
                for k in range(students):
                    error[m] += readout[teachers + k] * value[b, m, teachers + k]
                square[m] = error[m] * error[m] + drawn * drawn
                for k in range(students):
                    gain[m, k] = -readout[teachers + k] * derivative[b, m, teachers + k]
                    sums.pull[k] += 0.5 * gain[m, k] * error[m] * u[b, m, k]
                    sums.readout[k] += 0.5 * error[m] * value[b, m, teachers + k]
            for k in range(students):
                for m in range(2):
                    here, other = u[b, m, k], u[b, 1 - m, k]
                    own = 0.5 * unit[b, k] * gain[m, k] * (group - 1 - here * here)
                    pair = 0.5 * unit[b, k] * gain[1 - m, k] * error[1 - m]
                    pair *= (group - 1) * (1.0 + here * other)
                    for j in range(d):
                        rest = x[b, m, j] - world.slopes[j, k] * x[b, m, teachers + k]
                        grown = own * (error[m] * rest + stein[m, j])
                        sums.along[k, j] += grown - pair * rest
                for q in range(k + 1):
                    both = 0.5 * group * unit[b, k] * unit[b, q]
                    for m in range(2):
                        a, c = u[b, m, k], u[b, m, q]
                        e, f = u[b, 1 - m, k], u[b, 1 - m, q]
                        same = 1.0 - (1.0 + a * a + c * c - r[b, k, q] * a * c) / group
                        apart = -(1.0 + a * e + c * f - r[b, k, q] * a * f) / group
                        product = gain[m, k] * gain[m, q] * same
                        total = square[m] * product
                        crossed = gain[m, k] * gain[1 - m, q] * error[0] * error[1]
                        sums.noise[k, q] += both * (total + (group - 1) * crossed * apart)
                        sums.of_labels[k, q] += both * product
    for k in range(students):
        sums.pull[k] /= count
        sums.readout[k] /= count
        for j in range(d):
            sums.along[k, j] /= count
        sums.along[k, teachers + k] = 0.0
        for q in range(k + 1):
            sums.noise[k, q] /= count
            sums.of_labels[k, q] /= count
            sums.noise[q, k], sums.of_labels[q, k] = sums.noise[k, q], sums.of_labels[k, q]


class World(NamedTuple):
    """What follows from the covariance of x = (h*, h).

    Attributes
    ----------
    own : ndarray, (K, K)
        Square root of the student's covariance.
    regression : ndarray, (K*, K)
        b of E[h*|h] = b h.
    covariance, rest : ndarray, (K*, K*)
        S, the covariance of h* at given h, and its square root.
    slopes : ndarray, (D, K)
        Those of E[x_j|h_k] = slope_jk h_k.
    """

    own: np.ndarray
    regression: np.ndarray
    covariance: np.ndarray
    rest: np.ndarray
    slopes: np.ndarray

    @classmethod
    def of(cls, gram: np.ndarray, students: int) -> World:
        """Read a covariance."""
        teachers = gram.shape[0] - students
        q = np.ascontiguousarray(gram[teachers:, teachers:])
        own, rest = np.empty_like(q), np.empty((teachers, teachers))
        square_root(q, own)
        regression = gram[:teachers, teachers:] @ np.linalg.pinv(q, rcond=1e-12, hermitian=True)
        covariance = gram[:teachers, :teachers] - regression @ gram[teachers:, :teachers]
        square_root(covariance, rest)
        return cls(own, regression, covariance, rest, gram[:, teachers:] / np.diag(q))


def over_groups(
    rule: Quadrature,
    points: Groups,
    group: int,
    gram: np.ndarray,
    scales: np.ndarray,
    readout: np.ndarray,
) -> list[Sums]:
    """Return the averages of each rule, for a group of G samples.

    Parameters
    ----------
    rule : Quadrature
        Of the activation.
    points : Groups
    group : int
        G.
    gram : ndarray, (D, D)
        Covariance of x.
    scales, readout : ndarray
        As `group_sums` takes them.

    Returns
    -------
    list of Sums
    """
    students, d = scales.size, gram.shape[0]
    teachers = d - students
    world = World.of(gram, students)
    widths = np.sqrt(np.maximum(np.diag(world.covariance), 0.0))
    explained = np.sqrt(np.maximum(np.diag(gram)[:teachers] - widths**2, 0.0))
    reaches, tables = REACH * explained + 1e-3, np.empty((teachers, 2, ROWS))
    fill_tables(rule.value_and_slope, rule.kinks, rule.refinement, reaches, widths, tables)
    found = []
    for part in zip(*points, strict=True):
        sums = empty_sums(students, d)
        at = (reaches, tables), scales, readout, sums
        group_sums(rule.value_and_slope, group, part, world, *at)
        found.append(sums)
    return found

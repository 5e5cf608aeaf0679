r"""Averages over the fields of a committee as sums over points, for any activation.

The fields are x = (h*, h) = C ξ with C Cᵀ their covariance and ξ independent unit Gaussians. The
points ξ are, for each of several independent rules,

- lattice: all points of a cubic lattice of the spacing h within a ball, under the Gaussian weight.
  The trapezoidal rule converges exponentially for smooth g (Trefethen & Weideman 2014). The rules
  are two lattices, half a spacing apart in every direction, whose errors have opposite signs.
- Sobol': scrambled points of equal weight (Owen 1998) through the inverse of the normal law.

The mean over the rules is the average, and its standard error by their differences is the error.
What is averaged is what drives the flow where statistics are not of the batch
(`statmech_bn.symbolic.committee_flow`): with z_k = s_k h_k/L_k, s_k = γ_k (L_k without a
normalization), e = Σ_i ω_i g(z_i) and c_k = (s_k/L_k) v_k g'(z_k) e,

    F_kj = E[c_k x_j],   N_kl = E[c_k c_l],   P_k = E[v_k g'(z_k) e h_k]/L_k,   E_k = E[e g(z_k)],

and what Δ² multiplies in N_kl, (s_ks_l/L_kL_l) v_kv_l E[g'(z_k) g'(z_l)].
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from statmech_bn.compile_cache import numba

REACH = 6.2
"""Radius of the lattice's ball in standard deviations."""
SPACING = 0.6
"""Spacing of the lattice for arguments of g of variance up to 1."""
MOST_POINTS = 2**18
"""A lattice has at most so many points."""
FINEST_LATTICE = 4
"""A lattice has at most two to this power times more, where more points are asked for."""
SCRAMBLINGS = 4
"""Independent scramblings of Sobol's points."""
LEAST_POINTS, SAMPLES = 2**8, 2**15
"""A scrambling has so many points at least, and so many samples if it can."""
BLOCK = 256
"""The activation is evaluated at so many points at a time."""
SEED = 4

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


class Points(NamedTuple):
    """Rules of one size.

    Attributes
    ----------
    fields : ndarray, (rules, points, G, D)
        ξ, for groups of G samples.
    weights : ndarray, (points,)
        Their sum is 1.
    """

    fields: np.ndarray
    weights: np.ndarray


class Sums(NamedTuple):
    """Averages over the fields, or over the groups of a rule.

    Attributes
    ----------
    along : ndarray, (K, D)
        F.
    noise, of_labels : ndarray, (K, K)
        N at Δ = 0, and what Δ² multiplies in it.
    pull, readout : ndarray, (K,)
        P and E.
    """

    along: np.ndarray
    noise: np.ndarray
    of_labels: np.ndarray
    pull: np.ndarray
    readout: np.ndarray


def empty_sums(students: int, d: int) -> Sums:
    """Return zeros for K units of D fields."""
    square = (students, students)
    shapes = ((students, d), square, square, (students,), (students,))
    return Sums(*(np.zeros(shape) for shape in shapes))


@lru_cache(maxsize=8)
def sobol_points(group: int, d: int, finer: int = 0) -> Points:
    """Return scrambled Sobol' points for groups of G samples of D fields.

    There are two to the power `finer` times as many as usual.
    """
    from scipy.special import ndtri  # both are slow to import, and seldom needed
    from scipy.stats import qmc

    power = int(np.log2(max(LEAST_POINTS, SAMPLES / group))) + finer
    rules = []
    for child in np.random.SeedSequence(SEED).spawn(SCRAMBLINGS):
        engine = qmc.Sobol(group * d, scramble=True, seed=np.random.default_rng(child))
        uniform = np.clip(engine.random_base2(power), 2.0**-40, 1 - 2.0**-40)
        rules.append(ndtri(uniform).reshape(-1, group, d))
    return Points(np.array(rules), np.full(2**power, 2.0**-power))


@lru_cache(maxsize=8)
def lattice_points(d: int, scale: float, finer: int = 0) -> Points | None:
    """Return two lattices for D fields, with g's arguments up to `scale` times as wide.

    There are about two to the power `finer` times as many points as usual.

    Returns
    -------
    Points or None
        None if they had too many points.
    """
    spacing = SPACING / max(1.0, scale) / 2.0 ** (finer / d)
    half = int(np.ceil(REACH / spacing))
    if (2 * half) ** d > 4 * MOST_POINTS * 2 ** min(finer, FINEST_LATTICE):
        return None
    axis = spacing * (np.arange(-half, half) + 0.5)
    inside = [_ball(axis, d), _ball(axis - spacing / 2, d)]
    size = max(len(points) for points in inside)
    rules, weights = np.zeros((2, size, 1, d)), np.zeros((2, size))
    for points, rule, weight in zip(inside, rules, weights, strict=True):
        rule[: len(points), 0] = points
        weight[: len(points)] = np.exp(-0.5 * (points**2).sum(axis=1))
    return Points(rules, weights / weights.sum(axis=1, keepdims=True))


def _ball(axis: np.ndarray, d: int) -> np.ndarray:
    """Return the points of a lattice within its ball, built up direction by direction."""
    points = np.zeros((1, 0))
    for _ in range(d):
        beside = np.repeat(points, axis.size, axis=0), np.tile(axis, len(points))[:, None]
        points = np.concatenate(beside, axis=1)
        points = points[(points**2).sum(axis=1) < REACH**2]
    return points


@compiled
def square_root(gram, factor):
    """Fill the lower triangular C of C Cᵀ = gram, with zeros where the matrix is singular."""
    d = gram.shape[0]
    for j in range(d):
        for i in range(d):
            factor[i, j] = 0.0
    for j in range(d):
        rest = gram[j, j]
        for n in range(j):
            rest -= factor[j, n] ** 2
        if rest <= 1e-14 * gram[j, j]:
            continue
        factor[j, j] = np.sqrt(rest)
        for i in range(j + 1, d):
            rest = gram[i, j]
            for n in range(j):
                rest -= factor[i, n] * factor[j, n]
            factor[i, j] = rest / factor[j, j]


@compiled
def clear(sums):
    """Fill sums with zeros."""
    students, d = sums.along.shape
    for k in range(students):
        sums.pull[k] = sums.readout[k] = 0.0
        for j in range(d):
            sums.along[k, j] = 0.0
        for q in range(students):
            sums.noise[k, q] = sums.of_labels[k, q] = 0.0


@compiled
def point_sums(value_and_slope, points, weights, factor, scales, readout, sums):
    """Add up the averages over the points of one rule.

    Parameters
    ----------
    value_and_slope : C callback
        Fills g and g' at an array of points.
    points, weights : ndarray
        One rule, (points, D) and (points,).
    factor : ndarray, (D, D)
        C.
    scales : ndarray, (K,)
        s.
    readout : ndarray, (D,)
        ω = (v*, −v).
    sums : Sums
        Filled.
    """
    count, d = points.shape
    students = scales.size
    teachers = d - students
    clear(sums)
    x, z = np.empty((BLOCK, d)), np.zeros((BLOCK, d))
    output, slope = np.empty(z.size), np.empty(z.size)
    delta, gain, factors = np.empty(students), np.empty(students), np.ones(d)
    for k in range(students):
        factors[teachers + k] = scales[k] / np.sqrt((factor[teachers + k] ** 2).sum())
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        for b in range(size):
            for j in range(d):
                total = 0.0
                for n in range(j + 1):
                    total += factor[j, n] * points[first + b, n]
                x[b, j] = total
                z[b, j] = factors[j] * total
        value_and_slope(z.ravel(), output, slope)
        for b in range(size):
            weight = weights[first + b]
            error = 0.0
            for j in range(d):
                error += readout[j] * output[b * d + j]
            for k in range(students):
                i = teachers + k
                gain[k] = -readout[i] * slope[b * d + i]
                delta[k] = gain[k] * error
                sums.readout[k] += weight * error * output[b * d + i]
                for j in range(d):
                    sums.along[k, j] += weight * delta[k] * x[b, j]
                for q in range(k + 1):
                    sums.noise[k, q] += weight * delta[k] * delta[q]
                    sums.of_labels[k, q] += weight * gain[k] * gain[q]
    finish(factor, factors, sums)


@compiled
def finish(factor, factors, sums):
    """Turn averages of δ, of which the upper triangles are missing, into those of c."""
    students, d = sums.along.shape
    teachers = d - students
    for k in range(students):
        own = factors[teachers + k]
        length = np.sqrt((factor[teachers + k] ** 2).sum())
        sums.pull[k] = sums.along[k, teachers + k] / length
        for j in range(d):
            sums.along[k, j] *= own
        for q in range(k + 1):
            both = own * factors[teachers + q]
            sums.noise[k, q] *= both
            sums.of_labels[k, q] *= both
            sums.noise[q, k], sums.of_labels[q, k] = sums.noise[k, q], sums.of_labels[k, q]


def over_points(
    value_and_slope: Any,
    points: Points,
    gram: np.ndarray,
    scales: np.ndarray,
    readout: np.ndarray,
) -> list[Sums]:
    """Return the averages of each rule.

    Parameters
    ----------
    value_and_slope : C callback
    points : Points
        For groups of one sample.
    gram : ndarray, (D, D)
        Covariance of x.
    scales, readout : ndarray
        As `point_sums` takes them.

    Returns
    -------
    list of Sums
    """
    factor = np.empty_like(gram)
    square_root(gram, factor)
    weights = np.broadcast_to(points.weights, (len(points.fields), points.fields.shape[1]))
    found = []
    for rule, weight in zip(points.fields, weights, strict=True):
        sums = empty_sums(scales.size, gram.shape[0])
        at = np.ascontiguousarray(rule[:, 0]), np.ascontiguousarray(weight)
        point_sums(value_and_slope, *at, factor, scales, readout, sums)
        found.append(sums)
    return found

r"""Averages over batches of a committee's fields, at any batch size and for any activation.

A group of G samples that share statistics has û_k = (h_k − μ_k)/σ_k, z_k = γ_kû_k and the
projectors P_k = 1 − 11ᵀ/G − û_kû_kᵀ/G, and with δ_km = v_k g'(z_km) e_m

    c_k = u_k P_k δ_k,   u_k = γ_k/(Gσ_k),   (P_k x)_m = x_m − x̄ − û_km Σ_m' û_km'x_m'/G,
    (P_k P_l)_mm' = 1_mm' − (1 + û_kmû_km' + û_lmû_lm' − r_kl û_kmû_lm')/G,   r_kl = Σ_m û_kmû_lm/G.

As all samples are alike, averages need a few of them only, and the statistics of all:

    F_kj = E[u_k G δ_k1 (P_k x_j)_1],   P_k = E[δ_k1û_k1],   E_k = E[e_1 g(z_k1)],
    N_kl = E[u_ku_l G (δ_k1δ_l1 (P_kP_l)_11 + (G−1) δ_k1δ_l2 (P_kP_l)_12)].

Given the student's fields, h*_n is a Gaussian of the mean b_n·h and the covariance S, and
f_n = E[g(h*_n)|h] is a function of b_n·h alone, which is tabulated. With e' = E[e|h], Stein's
lemma gives

    E[e x_j | h] = e' E[x_j|h] + Σ_n S_jn v*_n f'_n,

so that F, P, E and the pairs in N are integrals over the student's fields. In N the square e² is
e'² and the variance of Σ_n v*_n g(h*_n), of which its first two Hermite polynomials are known,

    Σ_nn' v*_n v*_n' (S_nn' f'_n f'_n' + S_nn'² f''_n f''_n'/2) + E[(Σ_n v*_n ρ_n)²|h],
    ρ_n = g(h*_n) − f_n − f'_n y_n − f''_n (y_n² − S_nn)/2,   y_n = h*_n − b_n·h,

and the rest is drawn. The average over the label noise adds
Δ² E[u_ku_l G v_kv_l g'(z_k1) g'(z_l1) (P_kP_l)_11] to N.

The samples that are not drawn enter by their mean, a Gaussian, and their scatter, a Wishart matrix
(Bartlett 1933), so that the dimension of the integrals does not depend on G. They are sums over
scrambled Sobol' points (`statmech_bn.averages.committee_points`), each of which is a group and the
one whose fields have the opposite signs.

Small σ_k weigh most in N: for G ≤ 5 the variance of u_ku_l is infinite. So points are drawn from
the density p Σ_k c Q_kk/Gσ_k² / K in place of p, with c = G − 3 as E[Q_kk/Gσ_k²] = 1/c; under it
every average is one of bounded functions. As Gσ_k²/Q_kk has G − 1 degrees of freedom under p and
G − 3 under pcQ_kk/Gσ_k², and χ²_{G−3} is χ²_{G−1} times t^{2/(G−3)} for a uniform t, the k-th of
these densities is p with σ_k shrunk by t^{1/(G−3)}, along with what h_k explains of all fields.

A step of M samples is the mean of M/G independent groups, so that its Σ c_k c_l is G/M times that
of a group.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.committee_group_sums import ROWS, World, fill_tables, group_sums
from statmech_bn.averages.committee_points import SCRAMBLINGS, SEED, Sums, empty_sums
from statmech_bn.interrupts import Watch, in_threads

POWER = 14
"""A scrambling has two to this power points."""
DRAWN = 4
"""Samples of a group are drawn one by one up to this number, the least that a group has."""
FAR = 2.0**-40
"""Nearest that a uniform point comes to 0 or 1."""
MOST_BYTES = 4e9
"""The points of all scramblings take at most so many bytes."""
REACH = 8.0
"""The table of E[g(h*_n)|h] ends at so many standard deviations of b_n·h."""


class Groups(NamedTuple):
    """One rule for groups of one size, in terms of independent unit Gaussians.

    Memory is what bounds the number of points, so that they are kept in single precision.

    Attributes
    ----------
    shrunk : ndarray of int, (points,)
        Unit of the student whose σ is shrunk.
    apart : ndarray, (points, DRAWN, K)
        Deviations of the student's fields from their mean over all samples, of those drawn.
    hidden : ndarray, (points, DRAWN, K*)
        The teacher's fields beyond what the student's say of them.
    mean : ndarray, (points, K)
        Mean of all samples of the student's fields.
    scatter : ndarray, (points, K, K)
        Sum over all samples of the squares of their deviations from it.
    shrinkage : ndarray, (points,)
        Factor of its σ.
    """

    shrunk: np.ndarray
    apart: np.ndarray
    hidden: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    shrinkage: np.ndarray


def most_finer(students: int, d: int) -> int:
    """Return how often the points for K units of D fields can be doubled."""
    numbers = DRAWN * d + students + students**2 + 2  # of a point, in four bytes each
    return max(0, int(np.log2(MOST_BYTES / (4 * numbers * SCRAMBLINGS * 2**POWER))))


@lru_cache(maxsize=2)
def group_points(group: int, students: int, d: int, finer: int = 0) -> tuple[Groups, ...]:
    """Return scrambled Sobol' points for groups of G ≥ 4 samples of D fields, K of students.

    There are two to the power `finer` times as many as usual.
    """
    from scipy.special import gammaincinv, ndtri  # both are slow to import, and seldom needed
    from scipy.stats import qmc

    independent = min(DRAWN, group - 1)
    freedom = group - 1 - independent
    rank = min(students, freedom)
    below = [(i, j) for i in range(students) for j in range(min(i, rank))]
    sizes = [1, 1, independent * students, students, rank, len(below), DRAWN * (d - students)]
    left = group - np.arange(independent)
    apart = np.tile(-1 / np.sqrt(left * (left - 1)), (DRAWN, 1))  # of the root of 1 − 11ᵀ/G
    apart = np.tril(apart, -1) + np.eye(DRAWN, independent) * np.sqrt(1 - 1 / left)
    rules = []
    for child in np.random.SeedSequence(SEED).spawn(SCRAMBLINGS):
        engine = qmc.Sobol(sum(sizes), scramble=True, seed=np.random.default_rng(child))
        uniform = np.clip(engine.random_base2(POWER + finer), FAR, 1 - FAR)
        unit, share, *uniform, hidden = np.split(uniform, np.cumsum(sizes)[:-1], axis=1)
        own, mean, squares, triangle = uniform
        own = ndtri(own).reshape(-1, independent, students)
        hidden = ndtri(hidden).reshape(-1, DRAWN, d - students)
        root = np.zeros((len(unit), students, students))
        for i in range(rank):
            root[:, i, i] = np.sqrt(2 * gammaincinv((freedom - i) / 2, squares[:, i]))
        for n, (i, j) in enumerate(below):
            root[:, i, j] = ndtri(triangle[:, n])
        scatter = own.swapaxes(1, 2) @ own + root @ root.swapaxes(1, 2)
        shrinkage = share[:, 0] ** (1 / (group - 3))
        drawn = apart @ own, hidden, ndtri(mean) / np.sqrt(group), scatter, shrinkage
        shrunk = (students * unit[:, 0]).astype(np.int32)
        rules.append(Groups(shrunk, *(part.astype(np.float32) for part in drawn)))
    return tuple(rules)


def over_groups(
    rule: Quadrature,
    points: tuple[Groups, ...],
    group: int,
    gram: np.ndarray,
    scales: np.ndarray,
    readout: np.ndarray,
    threads: int = 1,
) -> list[Sums]:
    """Return the averages of each rule, for a group of G samples.

    Parameters
    ----------
    rule : Quadrature
        Of the activation.
    points : tuple of Groups
    group : int
        G.
    gram : ndarray, (D, D)
        Covariance of x.
    scales, readout : ndarray
        As `group_sums` takes them.
    threads : int
        So many rules are added up at once.

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

    def one(part: Groups, watch: Watch) -> Sums:
        sums = empty_sums(students, d)
        at = (reaches, tables), scales, readout, sums
        group_sums(rule.value_and_slope, group, part, world, *at)
        return sums

    return in_threads(one, points, threads)

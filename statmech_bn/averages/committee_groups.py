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
scrambled Sobol' points (`statmech_bn.averages.committee_points`).

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

POWER = 15
"""A scrambling has two to this power points."""
DRAWN = 4
"""Samples of a group are drawn one by one up to this number."""
FAR = 2.0**-40
"""Nearest that a uniform point comes to 0 or 1."""
REACH = 8.0
"""The table of E[g(h*_n)|h] ends at so many standard deviations of b_n·h."""


class Groups(NamedTuple):
    """One rule for groups of one size, in terms of independent unit Gaussians.

    Attributes
    ----------
    samples : ndarray, (points, DRAWN, D)
        Those that are drawn.
    mean : ndarray, (points, K)
        Mean of all samples of the student's fields.
    scatter : ndarray, (points, K, K)
        Sum over all samples of the squares of their deviations from it.
    shrunk : ndarray, (points,)
        Unit of the student whose σ is shrunk.
    shrinkage : ndarray, (points,)
        Factor of its σ.
    """

    samples: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    shrunk: np.ndarray
    shrinkage: np.ndarray


@lru_cache(maxsize=2)
def group_points(group: int, students: int, d: int, finer: int = 0) -> tuple[Groups, ...]:
    """Return scrambled Sobol' points for groups of G ≥ 4 samples of D fields, K of students.

    There are two to the power `finer` times as many as usual.
    """
    from scipy.special import gammaincinv, ndtri  # both are slow to import, and seldom needed
    from scipy.stats import qmc

    others = group - DRAWN
    rank = max(0, min(students, others - 1))
    below = [(i, j) for i in range(students) for j in range(min(i, rank))]
    ends = np.cumsum([DRAWN * d, students, rank, len(below), 1, 1])
    rules = []
    for child in np.random.SeedSequence(SEED).spawn(SCRAMBLINGS):
        engine = qmc.Sobol(int(ends[-1]), scramble=True, seed=np.random.default_rng(child))
        uniform = np.clip(engine.random_base2(POWER + finer), FAR, 1 - FAR)
        drawn, means, squares, triangle, unit, share = np.split(uniform, ends[:-1], axis=1)
        samples = ndtri(drawn).reshape(-1, DRAWN, d)
        root = np.zeros((len(uniform), students, students))
        for i in range(rank):
            root[:, i, i] = np.sqrt(2 * gammaincinv((others - 1 - i) / 2, squares[:, i]))
        for n, (i, j) in enumerate(below):
            root[:, i, j] = ndtri(triangle[:, n])
        own, rest = samples[:, :, d - students :], ndtri(means) / np.sqrt(max(others, 1))
        mean = (own.sum(axis=1) + others * rest) / group
        apart, aside = own - mean[:, None], np.sqrt(others) * (rest - mean)
        around = np.concatenate([apart, aside[:, None], root.swapaxes(1, 2)], axis=1)
        scatter = around.swapaxes(1, 2) @ around
        shrunk, shrinkage = (students * unit[:, 0]).astype(int), share[:, 0] ** (1 / (group - 3))
        rules.append(Groups(samples, mean, scatter, shrunk, shrinkage))
    return tuple(rules)


def over_groups(
    rule: Quadrature,
    points: tuple[Groups, ...],
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
    points : tuple of Groups
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
    for part in points:
        sums = empty_sums(students, d)
        at = (reaches, tables), scales, readout, sums
        group_sums(rule.value_and_slope, group, part, world, *at)
        found.append(sums)
    return found

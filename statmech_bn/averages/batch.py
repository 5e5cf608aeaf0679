r"""The averages that drive batch normalization at a finite batch size, for any activation g.

A batch holds M student fields u_m (at length 1) and teacher fields h*_m, unit Gaussians of
correlation R. With the batch mean ū, the biased standard deviation s, û = (u − ū)/s and the
projector P off span{1, û}, so that P_mm = 1 − 1/M − û_m²/M, the flow of the order parameters needs

    drive  D   = ((1−R²)/M) E[(1/s) Σ_m P_mm g'(γû_m) E(g'(h*)|u_m)]
    pull   A2  = E[g'(γû_1) û_1 (E(g(h*)|u_1) − g(γû_1))]
    noise  B   = (1/M) E[(1/s²) (d'Pd + Σ_m P_mm g'(γû_m)² Var(g(h*)|u_m))] + Δ² B_Δ
           B_Δ = (1/M) E[(1/s²) Σ_m P_mm g'(γû_m)²],   d_m = g'(γû_m) (E(g(h*)|u_m) − g(γû_m)).

For given ū and s, which are independent of û, all are averages over û_1, except for the pairs in

    d'Pd = Σ_m P_mm d_m² − (1/M) Σ_{m≠m'} d_m d_m' (1 + û_m û_m'),

which the Funk–Hecke theorem reduces to averages over û_1 times polynomials
(`statmech_bn.averages.batch_pairs`). The nodes are those of
`statmech_bn.averages.batch_quadrature`.

For M → ∞ they tend to the averages of the weight-normalized student, but B to E[δ²] − E[δ]² − A2²:
batch normalization also removes the mean of δ and its slope in û from every step.

Relative accuracy: 1e-7 for smooth activations, and 1e-6 for those with kinks, mostly far better.
The noise of activations with kinks loses a digit for M < 8 and |R| > 0.99.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.averages.batch_pairs import (
    kink_jumps,
    pair_series,
    pair_tail,
    polynomials_at,
    tail_sums,
)
from statmech_bn.averages.batch_quadrature import (
    SHARP,
    active_sites,
    batch_rule,
    choose_rules,
    compiled,
    look_up,
    mean_rule,
    site_rule,
    teacher_table,
)
from statmech_bn.errors import invalid

NEGLIGIBLE = 1e-11
"""Weight below which a node of (s, ū) is skipped."""


@compiled
def batch_averages_kernel(activation, kinks, overlap, gamma, rule):
    """`batch_averages` for compiled callers; checks nothing.

    Compiled once for all activations, as it takes the type of the cfunc alone. `kinks` is a
    contiguous float64 array without duplicates, `rule` comes from
    `statmech_bn.averages.batch_quadrature.batch_rule`.
    """
    size = rule.batch_size
    blur = math.sqrt(max(1 - overlap * overlap, 0.0))
    spread = abs(overlap) / math.sqrt(size)
    kind, means = choose_rules(kinks, spread, blur, rule)
    margin = 0.0 if kind == SHARP else 5 * spread
    deviations, deviation_weights = rule.deviations[kind], rule.deviation_weights[kind]
    largest = 0.0
    for deviation in deviations:
        largest = max(largest, deviation)
    reach = abs(overlap) * rule.reach * largest + 9 * spread + 1e-3
    edges, table = teacher_table(activation, kinks, blur, reach, rule)
    inside = kinks[np.abs(kinks) < abs(gamma) * rule.reach]
    places = inside / gamma if inside.size > 0 else np.zeros(0)
    tails = tail_sums(places, rule)
    at_kinks = kink_jumps(activation, inside, gamma)
    jumps = np.empty((2, places.size))
    drive, pull, noise, factor = 0.0, 0.0, 0.0, 0.0
    for i in range(deviations.size):
        if deviation_weights[i] < NEGLIGIBLE:
            continue
        slope = overlap * deviations[i]
        shifts, shift_weights = mean_rule(kinks, places, overlap, deviations[i], blur, means, rule)
        stale = True
        for j in range(shifts.size):
            weight = deviation_weights[i] * shift_weights[j]
            if weight < NEGLIGIBLE:
                continue
            if stale:
                centre = shifts[j] if kind == SHARP else 0.0
                nodes, weights = site_rule(kinks, gamma, slope, centre, blur, margin, rule)
                nodes, weights, output, gain = active_sites(activation, gamma, nodes, weights)
                polynomials = polynomials_at(nodes, weights, rule)
                field = np.empty(nodes.size)
                stale = kind == SHARP
            panel = 0
            for k in range(nodes.size):
                mean = shifts[j] + slope * nodes[k]
                first, derivative, second, panel = look_up(edges, table, mean, panel)
                error = first - output[k]
                field[k] = gain[k] * error
                part = weight * weights[k] * gain[k]
                pull += part * deviations[i] ** 2 * nodes[k] * error
                part *= 1 - (1 + nodes[k] ** 2) / size
                drive += part * deviations[i] * derivative
                part *= gain[k]
                noise += part * (second - first * first + error * error)
                factor += part
            pair, unfinished = pair_series(field, polynomials, rule)
            if unfinished:
                for k in range(places.size):
                    mean = shifts[j] + slope * places[k]
                    first, derivative, second, panel = look_up(edges, table, mean, panel)
                    level, gain_jump, square_jump, curvature_jump = at_kinks[k]
                    error = first - level
                    jumps[0, k] = gain_jump * error
                    jumps[1, k] = gain_jump * slope * derivative
                    jumps[1, k] += gamma * (curvature_jump * error - square_jump)
                pair += pair_tail(jumps, places, tails)
            noise -= weight * (size - 1) / size * pair
    return blur**2 * drive, pull, noise, factor


def batch_averages(
    activation: Any,
    kinks: ArrayLike,
    overlap: float,
    gamma: float,
    batch_size: int,
    refinement: float = 1.0,
) -> tuple[float, float, float, float]:
    """Integrate (D, A₂, B, B_Δ) of batch normalization at one state, B without label noise.

    Parameters
    ----------
    activation : numba cfunc
        void(float64[::1] x, float64[::1] value, float64[::1] derivative), fills g(x) and g'(x).
    kinks : array_like
        Points where g' jumps; between them g is smooth.
    overlap, gamma : float
        R and γ. An overlap beyond ±1 by at most 0.01, as solvers try, counts as ±1.
    batch_size : int
        M, at least 4.
    refinement : float, optional
        For activations that vary over lengths shorter than one, about the inverse length.

    Returns
    -------
    drive, pull, noise, label_noise_factor : float
        In the notation of the module: without penalties dρ/dt = ηγD/L, dγ/dt = η_γ A₂ and
        dQ/dt = η²γ²(B + Δ² B_Δ)/(MQ).

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    """
    kinks = np.asarray(kinks, dtype=np.float64)
    if kinks.ndim != 1 or not np.isfinite(kinks).all():
        raise invalid(
            "kinks",
            "a one-dimensional array of finite numbers",
            kinks,
            "Pass an empty array for a smooth activation.",
        )
    if not abs(overlap) <= 1.01:
        raise invalid("overlap", "a number in [−1, 1]", overlap, "It is w·w*/(|w||w*|), not ρ.")
    if not math.isfinite(gamma):
        raise invalid("gamma", "a finite number", gamma)
    rule = batch_rule(batch_size, refinement)
    bounded = min(max(float(overlap), -1.0), 1.0)
    return batch_averages_kernel(activation, np.unique(kinks), bounded, float(gamma), rule)

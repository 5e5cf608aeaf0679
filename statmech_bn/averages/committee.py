r"""The averages over a committee's fields that drive its flow, whatever the setup.

Where statistics are not of the batch they are closed for erf, polynomials and piecewise linear
units with their kink at zero (`statmech_bn.averages.committee_closed`), which compiled code takes
from there. All others are sums over points:

- K + K* ≤ 4, units that are smooth and not wide: a lattice, to 1e-5;
- K + K* ≤ 4, units with up to four kinks, or smooth ones that are up to about five times as wide:
  integrals one within the other (`statmech_bn.averages.committee_nested`), to 1e-5;
- other units, or more of them: Sobol' points, to 1e-4 if smooth, 1e-3 with kinks;
- statistics of the batch: Sobol' points for four samples and the statistics of all of a group
  (`statmech_bn.averages.committee_groups`).

Each evaluation states its error. `statmech_bn.macroscopic` adds points until an accuracy is reached
that is asked for: with 128 times as many, five fields of a unit with kinks are known to 1e-4; with
256 times as many, batches of two units are, but for those of four of a unit with kinks, which ask
for 512 times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.committee_groups import group_points, over_groups
from statmech_bn.averages.committee_nested import finer_orders, over_nested, serves
from statmech_bn.averages.committee_points import Sums, lattice_points, over_points, sobol_points
from statmech_bn.teacher_student import TeacherStudent

ROOM = 1.25
"""A lattice is fine enough for scales up to so many times that of the start."""


class Estimate(NamedTuple):
    """Averages and how far they may be off.

    Attributes
    ----------
    sums : Sums
        For the whole step, N with the label noise.
    error : float
        The largest error of F and of N, each entry relative to the largest that it could be:
        |F_kj| ≤ √(M N_kk E[x_j²]) and |N_kl| ≤ √(N_kk N_ll).
    """

    sums: Sums
    error: float


Averages = Callable[[np.ndarray, np.ndarray, np.ndarray], Estimate]


def committee_averages(
    setup: TeacherStudent, largest: float, finer: int = 0, threads: int = 1
) -> Averages:
    """Return (covariance of x = (h*, h), scales s, ω) ↦ averages that are not closed.

    Parameters
    ----------
    setup : TeacherStudent
    largest : float
        Largest standard deviation of g's arguments at the start.
    finer : int
        There are two to this power times as many points as usual.
    threads : int
        Averages over batches are computed in so many threads.

    Returns
    -------
    callable
        s is γ, or √Q_kk without a normalization; ω = (v*, −v).
    """
    rule = Quadrature.for_activation(setup.activation)
    students, d = setup.student_units, setup.student_units + setup.teacher_units
    group, size = setup.group, setup.batch_size
    if group is not None:
        groups = group_points(group, students, d, finer)

        def of_batch(gram: np.ndarray, scales: np.ndarray, readout: np.ndarray) -> Estimate:
            rules = over_groups(rule, groups, group, gram, scales, readout, threads)
            return _estimate(rules, gram, setup, group / size)

        return of_batch
    rules_of, power = _rules(rule, d, largest, finer)

    def of_population(gram: np.ndarray, scales: np.ndarray, readout: np.ndarray) -> Estimate:
        return _estimate(rules_of(gram, scales, readout), gram, setup, 1 / size, power)

    return of_population


def _rules(
    rule: Quadrature, d: int, largest: float, finer: int
) -> tuple[Callable[..., list[Sums]], float]:
    """Return the rules, and the power of their difference that their mean is off by."""
    if not rule.kinks.size:
        lattice = lattice_points(d, ROOM * largest * rule.refinement / 1.5, finer)
        if lattice is not None:
            # the shortest waves that two lattices alias are √2 shorter than those of one
            return partial(over_points, rule.value_and_slope, lattice), float(np.sqrt(2))
    if serves(rule, d, largest):
        return partial(over_nested, rule, finer_orders(finer)), 1.0
    return partial(over_points, rule.value_and_slope, sobol_points(1, d, finer)), 1.0


def _estimate(
    rules: list[Sums], gram: np.ndarray, setup: TeacherStudent, share: float, power: float = 1.0
) -> Estimate:
    """Average over the rules; `share` is the number of a group's samples in those of the step."""
    labels = setup.label_noise**2
    full = [sums._replace(noise=share * (sums.noise + labels * sums.of_labels)) for sums in rules]
    stacks = [np.array(part) for part in zip(*full, strict=True)]
    sums = Sums(*(stack.mean(axis=0) for stack in stacks))
    own = np.sqrt(np.maximum(np.diag(sums.noise), 1e-300))
    fields = np.sqrt(setup.batch_size * np.diag(gram))
    deviations = [stack.std(axis=0, ddof=1) / np.sqrt(len(rules)) for stack in stacks[:2]]
    largest = np.outer(own, fields), np.outer(own, own)
    error = max(float((d / m).max()) for d, m in zip(deviations, largest, strict=True))
    return Estimate(sums, error**power)

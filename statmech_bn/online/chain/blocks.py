r"""The exact chain of a student on inputs with a covariance: O(M + d) a step for d blocks.

In block i of the eigenvalue λ_i and the multiplicity N_i, the weights have a part along the
teacher's and, if N_i > 1, a rest: w_i = √N (b_i e₁ + r_i e₂), so that ρ_i = b_i √T_i and
Q_i = b_i² + r_i². All b_i and r_i are one vector x, the teacher is the vector τ with √T_i along e₁
and 0 along e₂, and λ is the eigenvalue of each component's block:

    L² = Σ x²,     σ_h² = Σ λ x²,     σ_*² = Σ λ τ²,     R = Σ λ x τ/(σ_h σ_*).

As for isotropic inputs, M pairs (u, v) give the fields h = σ_h u, h* = σ_*(R u + √(1−R²) v), and
they give c. With n ~ N(0, 1) in all components, p₁ = √λ x/σ_h the direction of u and
p₂ = (√λ τ/σ_* − R p₁)/√(1−R²) that of v, given the fields the inputs add the sum

    S = |c| n + p₁ (Σ c u − |c| p₁·n) + p₂ (Σ c v − |c| p₂·n)

to the components (Matheron's rule: n is moved to where the fields are what was drawn), and
|c| √χ²(N_i−2) to the rest of a block in directions outside of e₁ and e₂. Therefore

    x ← κ x + (η/N) √λ S,    then for the rest    r ← √[r² + (η²/N²) λ |c|² χ²(N_i−2)],

with κ = 1 − ηλ_w/N − (η/N) s̄ and s̄ = Σ c h/L² (weight), λ Σ c h/σ_h² (population), 0 otherwise.
No squares are subtracted. With N blocks of one component this is gradient descent on N weights
with N + 2M random numbers a step instead of NM. Several learning rates share u, v, n and χ².
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statmech_bn.compile_cache import numba
from statmech_bn.normalization.compiled import grown
from statmech_bn.online.arguments import LARGEST_LENGTH
from statmech_bn.online.chain.samples import draw, respond
from statmech_bn.online.schedules.pieces import value_at_step
from statmech_bn.spectrum import Spectrum

TOGETHER = 1024
"""So many components are moved and summed at a time; they stay in the cache."""
ALIGNED = 1e-12
"""Below this √(1−R²) the direction p₂ is rounding; v then is in no label, and n is not moved."""


class Components(NamedTuple):
    """What is known of each component before learning.

    Attributes
    ----------
    root, teacher : ndarray, (components,)
        √λ and τ: all components along the teacher, then the rests.
    others : ndarray, (rests,)
        N_i − 2.
    """

    root: np.ndarray
    teacher: np.ndarray
    others: np.ndarray

    @classmethod
    def of(cls, spectrum: Spectrum, dimension: int) -> Components:
        """Lay out the components: along the teacher in each block, then the rests."""
        counts = spectrum.counts(dimension)
        wide = counts > 1
        roots = np.sqrt(spectrum.eigenvalues)
        return cls(
            np.concatenate([roots, roots[wide]]),
            np.concatenate([np.sqrt(spectrum.teacher), np.zeros(wide.sum())]),
            counts[wide] - 2.0,
        )


class Students(NamedTuple):
    """Students of all learning rates, changed in place.

    Attributes
    ----------
    weights : ndarray, (learners, components)
        x.
    moments : ndarray, (learners, 3)
        L², σ_h² and σ_hσ_*R.
    scale, diverged_at : ndarray, (learners,)
        γ, and the time of a divergence or NaN.
    """

    weights: np.ndarray
    moments: np.ndarray
    scale: np.ndarray
    diverged_at: np.ndarray

    @classmethod
    def at(cls, components: Components, first: np.ndarray, gamma: float, learners: int) -> Students:
        """Let all learners start from x and γ."""
        eigenvalues = components.root**2
        moments = first @ first, eigenvalues @ first**2, eigenvalues @ (first * components.teacher)
        return cls(
            np.tile(first, (learners, 1)),
            np.tile(moments, (learners, 1)),
            np.full(learners, gamma),
            np.full(learners, np.nan),
        )


class Move(NamedTuple):
    """The numbers by which a step moves all components.

    Attributes
    ----------
    keep, turn, turn_along : float
        κ is keep − turn − turn_along λ.
    own, towards, noise : float
        Factors of λ x, λ τ and √λ n in (η/N) √λ S.
    """

    keep: float
    turn: float
    turn_along: float
    own: float
    towards: float
    noise: float


@numba.njit(cache=True, nogil=True, error_model="numpy")
def learn(generator, signal, problem, pace, components, students, first_step, last_step):
    """Take the steps first_step … last_step − 1; changes the students."""
    dimension, spread_of_teacher = problem.dimension, np.sqrt(variance_of_teacher(components))
    table = np.zeros((7, problem.batch_size))
    narrowing = np.ones(problem.batch_size // problem.group)
    numbers, outside = np.zeros(components.root.size), np.zeros(components.others.size)
    tempo, unchanged = 0.0, 0.0
    for step in range(first_step, last_step):
        draw(generator, problem, table, narrowing)
        for j in range(numbers.size):
            numbers[j] = generator.standard_normal()
        for i in range(outside.size):
            if components.others[i] > 0.0:
                outside[i] = np.sqrt(2.0 * generator.standard_gamma(0.5 * components.others[i]))
        if step >= unchanged:
            factor, unchanged = value_at_step(pace.edges, pace.factors, step, dimension)
            tempo = factor / dimension
        for k in range(students.scale.size):
            if not np.isnan(students.diverged_at[k]):
                continue
            x, gamma = students.weights[k], students.scale[k]
            square, variance, covariance = students.moments[k]
            spread, length = np.sqrt(variance), np.sqrt(square)
            cosine = min(1.0, max(-1.0, covariance / (spread * spread_of_teacher)))
            sine, drawn_u, drawn_v = project(
                components, x, numbers, 1.0 / spread, 1.0 / spread_of_teacher, cosine
            )
            divisor = length if problem.by_length and not problem.by_covariance else spread
            size = gamma * spread / divisor if problem.has_scale else spread
            target = (spread_of_teacher * cosine, spread_of_teacher * sine)
            along, across, squares, pull = respond(signal, problem, table, narrowing, target, size)
            rate = pace.learning_rate[k] * tempo
            unit = rate * (gamma / divisor if problem.has_scale else 1.0)
            noise = abs(unit) * np.sqrt(squares)
            to_u = unit * along - noise * drawn_u
            to_v = (unit * across - noise * drawn_v) / sine if sine > ALIGNED else 0.0
            turn = unit * along * spread / (divisor * divisor) if problem.by_length else 0.0
            moved = Move(
                1.0 - problem.weight_decay * rate,
                0.0 if problem.by_covariance else turn,
                turn if problem.by_covariance else 0.0,
                (to_u - cosine * to_v) / spread,
                to_v / spread_of_teacher,
                noise,
            )
            move(components, x, students.moments[k], numbers, outside, moved)
            if problem.has_scale:
                gamma_unit = pace.gamma_learning_rate[k] * tempo
                pull *= spread / divisor
                students.scale[k] = grown(gamma, gamma_unit, problem.gamma_decay, pull)
            square = students.moments[k, 0]
            if not (square < LARGEST_LENGTH**2 and abs(students.scale[k]) < LARGEST_LENGTH):
                students.diverged_at[k] = (step + 1) / dimension


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def variance_of_teacher(components):
    """Return σ_*²."""
    variance = 0.0
    for j in range(components.root.size):
        variance += (components.root[j] * components.teacher[j]) ** 2
    return variance


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def project(components, x, numbers, inverse_spread, inverse_spread_of_teacher, cosine):
    """Return √(1−R²), which does not cancel near R = 1, p₁·n and p₂·n."""
    residual, drawn_u, drawn_v = 0.0, 0.0, 0.0
    for j in range(x.size):
        first = components.root[j] * x[j] * inverse_spread
        second = components.root[j] * components.teacher[j] * inverse_spread_of_teacher
        second -= cosine * first
        residual += second * second
        drawn_u += first * numbers[j]
        drawn_v += second * numbers[j]
    sine = np.sqrt(residual)
    return sine, drawn_u, drawn_v / sine if sine > ALIGNED else 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def move(components, x, moments, numbers, outside, by):
    """Move the weights of one learner, and update their moments while they are in the cache."""
    square, variance, covariance, rests = 0.0, 0.0, 0.0, x.size - outside.size
    for first in range(0, x.size, TOGETHER):
        # an index that may be negative would be wrapped around
        begin, end = np.uintp(first), np.uintp(min(first + TOGETHER, x.size))
        for j in range(begin, end):
            root = components.root[j]
            eigenvalue = root * root
            keep = by.keep - by.turn - by.turn_along * eigenvalue + by.own * eigenvalue
            towards = by.towards * eigenvalue * components.teacher[j]
            x[j] = keep * x[j] + towards + by.noise * root * numbers[j]
        for j in range(max(begin, np.uintp(rests)), end):
            beyond = by.noise * components.root[j] * outside[j - np.uintp(rests)]
            x[j] = np.sqrt(x[j] * x[j] + beyond * beyond)
        for j in range(begin, end):
            eigenvalue = components.root[j] * components.root[j]
            square += x[j] * x[j]
            variance += eigenvalue * x[j] * x[j]
            covariance += eigenvalue * x[j] * components.teacher[j]
    moments[0], moments[1], moments[2] = square, variance, covariance

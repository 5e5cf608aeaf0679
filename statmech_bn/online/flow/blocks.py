r"""The flow on inputs with a covariance: 2d + 1 numbers, (ρ_i, Q_i) block by block and γ.

Derivatives are SymPy's (`statmech_bn.symbolic.structured_flow`), printed for a compiled loop over
the blocks; the averages D, A₂ and B are those of isotropic inputs at the correlation R of the
fields, for the activation G(z) = g(σ_* z), which has a teacher's field of variance 1: with
G'(φ/σ_*) = σ_* g'(φ), its D and A₂ are σ_* and its B is σ_*² times those of g.

The solver is LSODA (Petzold 1983). Each block relaxes at its own rate, ηλ_i, and all of them are
coupled by a few sums only, so that its Jacobian is taken to be a band: 10³ blocks cost no
factorization of a full matrix, and the error of a step is controlled all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from statmech_bn.averages.choice import Averages, average_function
from statmech_bn.averages.structured import scale_of, with_unit_teacher
from statmech_bn.codegen import numba_function, numba_inline_function
from statmech_bn.compile_cache import numba
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.normalization import Normalization
from statmech_bn.online.arguments import LARGEST_LENGTH, Run
from statmech_bn.online.flow.lsoda import Spent, integrate_piece
from statmech_bn.online.schedules.pieces import value_on
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.spectrum import Spectrum
from statmech_bn.symbolic import structured_flow as s
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

NEAREST_TEACHER = 1e-7
"""Below this 1 − R² the limit of D/(1 − R²) is its value here: averages have an error of 10⁻⁸."""
MOST_EVALUATIONS = 200_000
"""A trajectory may evaluate its derivatives so many times."""
BAND = 1
"""ρ_i and Q_i of a block are neighbours, and only they are within the Jacobian's band."""


def integrate_blocks(
    setup: TeacherStudent, spectrum: Spectrum, start: OrderParameters, run: Run, schedule: Pieces
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Integrate all trajectories.

    Returns
    -------
    student_teacher, student_student : ndarray, (learning rates, times, blocks)
    gamma : ndarray, (learning rates, times)
    diverged_at : ndarray, (learning rates,)

    Raises
    ------
    InvalidSetup
        γ = 0 at the start of an activation with a kink there.
    NotConverged
        The solver gave up.
    """
    if start.gamma == 0 and setup.normalizer.has_scale and 0.0 in setup.activation.kinks:
        raise invalid(
            "start.gamma", "a number other than 0 where g has a kink at 0", start.gamma,
            "Start at a small γ ≠ 0.",
        )  # fmt: skip
    flow = _flow(setup, spectrum, start)
    rho, q = start.blocks(spectrum)
    first = np.append(np.stack([rho, q], axis=1).ravel(), start.gamma)
    learners = zip(run.learning_rate, run.gamma_learning_rate, strict=True)
    found = [_trajectory(flow, np.array(rates), first, run.time, schedule) for rates in learners]
    states, diverged_at = (np.array(part) for part in zip(*found, strict=True))
    states = np.moveaxis(states, 1, -1)
    return states[..., :-1:2], states[..., 1::2], states[..., -1], diverged_at


class FieldTerms(NamedTuple):
    """What the fields of a state make of a step."""

    towards_student: float  # a
    towards_teacher: float  # b
    turn: float  # s̄
    noise: float  # E[Σ c²]
    gain: float  # E[mean δ û], 0 without a scale


def field_terms_of(
    setup: TeacherStudent, spectrum: Spectrum, scale: float
) -> Callable[[np.ndarray], FieldTerms]:
    """Return the terms as a function of a state (ρ_1, Q_1, …, γ).

    Parameters
    ----------
    setup : TeacherStudent
    spectrum : Spectrum
    scale : float
        σ_φ, around and below which the function is fast.
    """
    rule = setup.normalizer
    fields = _compiled(rule)[0]
    moments = moments_of(spectrum)
    teacher = float(np.sqrt(spectrum.teacher_variance))
    unit_setup = replace(setup, activation=with_unit_teacher(setup.activation, spectrum))
    averages: Averages = average_function(unit_setup, scale / teacher)
    noise, batch_size = setup.label_noise**2, float(setup.batch_size)

    def terms_of(state: np.ndarray) -> FieldTerms:
        gamma = state[-1] if rule.has_scale else 1.0
        square, variance, covariance = sums(state, moments)
        length, spread = np.sqrt(max(square, 0.0)), np.sqrt(max(variance, 0.0))
        divisor = length if rule.by_weights else spread
        cosine = min(1.0, max(-1.0, covariance / (spread * teacher)))
        phi = scale_of(rule, spread, length, gamma)
        drive, pull, own, of_labels = averages(cosine, phi / teacher)
        near = 1.0 - cosine * cosine
        if near < NEAREST_TEACHER:
            near = NEAREST_TEACHER
            drive = averages(np.copysign(np.sqrt(1.0 - near), cosine), phi / teacher)[0]
        drive, pull = drive / teacher, pull / teacher
        variance = (own + noise * of_labels) / teacher**2
        unit = gamma / divisor if rule.has_scale else 1.0
        terms = fields(
            spread, teacher, length, cosine, unit, drive / near, pull, variance, batch_size
        )
        return FieldTerms(*terms, pull * spread / divisor if rule.has_scale else 0.0)

    return terms_of


def moments_of(spectrum: Spectrum) -> np.ndarray:
    """Return λ_i, T_i and f_i, shape (3, d)."""
    return np.stack([spectrum.eigenvalues, spectrum.teacher, spectrum.fractions])


def _flow(
    setup: TeacherStudent, spectrum: Spectrum, start: OrderParameters
) -> Callable[[np.ndarray, float, float], np.ndarray]:
    """Return (state, η, η_γ) ↦ derivatives."""
    rule, moments = setup.normalizer, moments_of(spectrum)
    rates = _compiled(rule)[1]
    spread_at_start = float(np.sqrt(start.blocks(spectrum)[1] @ spectrum.eigenvalues))
    scale = scale_of(rule, spread_at_start, start.length, start.gamma)
    terms_of = field_terms_of(setup, spectrum, scale)

    def flow(state: np.ndarray, rate: float, gamma_rate: float) -> np.ndarray:
        *terms, gain = terms_of(state)
        found = np.empty_like(state)
        rates(state, moments, (rate, setup.weight_decay), tuple(terms), found)
        found[-1] = gamma_rate * (gain - 2.0 * setup.gamma_decay * state[-1]) * rule.has_scale
        return found

    return flow


@lru_cache(maxsize=8)
def _compiled(rule: Normalization) -> tuple[Any, Any]:
    """Compile a, b, s̄ and E[Σ c²] of the fields, and the loop over blocks."""
    terms = numba_function(s.field_terms(rule), s.FIELDS)
    block = numba_inline_function(s.block_rates(rule), s.BLOCK)

    @numba.njit(nogil=True, error_model="numpy")
    def rates(state, moments, decays, terms, found):
        for i in range(moments.shape[1]):
            found[2 * i], found[2 * i + 1] = block(
                state[2 * i], state[2 * i + 1], moments[1, i], moments[0, i], moments[2, i],
                decays[0], decays[1], terms[0], terms[1], terms[2], terms[3],
            )  # fmt: skip

    return terms, rates


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sums(state, moments):
    """Return L², σ_h² and Σλ_iρ_i."""
    square, variance, covariance = 0.0, 0.0, 0.0
    for i in range(moments.shape[1]):
        square += state[2 * i + 1]
        variance += moments[0, i] * state[2 * i + 1]
        covariance += moments[0, i] * state[2 * i]
    return square, variance, covariance


def _trajectory(
    flow: Callable[[np.ndarray, float, float], np.ndarray],
    rates: np.ndarray,
    first: np.ndarray,
    time: np.ndarray,
    schedule: Pieces,
) -> tuple[np.ndarray, float]:
    """Integrate one trajectory; returns its states at the times and when it diverged or NaN."""
    edges, factors = schedule
    states, state = np.full((first.size, time.size), np.inf), first
    states[:, time == 0] = first[:, None]
    evaluations = 0
    for piece in range(edges.size - 1):

        def change(state: np.ndarray, now: float, piece: int = piece) -> np.ndarray:
            nonlocal evaluations
            evaluations += 1
            if evaluations > MOST_EVALUATIONS:
                raise Spent
            return flow(state, *(rates * value_on(edges, factors, piece, now)))

        left, right = edges[piece], edges[piece + 1]
        inside = (left < time) & (time <= right)
        grid = np.unique([left, *time[inside], right])
        try:
            if not np.isfinite(change(state, left)).all():
                raise Spent
            solution, reached = integrate_piece(change, state, grid, BAND)
        except Spent as error:
            raise NotConverged(
                f"The solver stopped between t = {left:g} and {right:g} for learning rate "
                f"{rates[0]:g}. Ask for a shorter time or a smaller learning rate."
            ) from error
        length = np.sqrt(solution[1:-1:2].sum(axis=0))
        beyond = np.flatnonzero(~(length < LARGEST_LENGTH))
        states[:, inside] = solution[:, np.isin(grid, time[inside])]
        if beyond.size or reached < right:
            reached = float(grid[beyond[0]]) if beyond.size and reached == right else reached
            states[:, time >= reached] = np.inf
            return states, reached
        state = solution[:, -1]
    return states, np.nan

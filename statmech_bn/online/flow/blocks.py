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
from typing import Any

import numpy as np

from statmech_bn.averages.choice import Averages, average_function
from statmech_bn.averages.structured import scale_of, with_unit_teacher
from statmech_bn.codegen import numba_function, numba_inline_function
from statmech_bn.compile_cache import numba
from statmech_bn.errors import invalid
from statmech_bn.normalization import Normalization
from statmech_bn.online.arguments import Run
from statmech_bn.online.flow.lsoda import integrate_state
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.spectrum import Spectrum
from statmech_bn.symbolic import structured_flow as s
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

NEAREST_TEACHER = 1e-7
"""1 − R² is not taken to be smaller than this in D/(1 − R²): averages have an error of 10⁻⁸."""
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
    derivatives = _flow(setup, spectrum, start)

    def flow(state: np.ndarray, rates: np.ndarray) -> np.ndarray:
        return derivatives(state, *rates)

    rho, q = start.blocks(spectrum)
    first = np.append(np.stack([rho, q], axis=1).ravel(), start.gamma)
    learners = zip(run.learning_rate, run.gamma_learning_rate, strict=True)
    found = [
        integrate_state(flow, np.array(rates), first, run.time, schedule, _length, BAND)
        for rates in learners
    ]
    states, diverged_at = (np.array(part) for part in zip(*found, strict=True))
    states = np.moveaxis(states, 1, -1)
    return states[..., :-1:2], states[..., 1::2], states[..., -1], diverged_at


def _flow(
    setup: TeacherStudent, spectrum: Spectrum, start: OrderParameters
) -> Callable[[np.ndarray, float, float], np.ndarray]:
    """Return (state, η, η_γ) ↦ derivatives."""
    rule = setup.normalizer
    fields, rates = _compiled(rule)
    moments = np.stack([spectrum.eigenvalues, spectrum.teacher, spectrum.fractions])
    teacher = float(np.sqrt(spectrum.teacher_variance))
    spread_at_start = float(np.sqrt(start.blocks(spectrum)[1] @ spectrum.eigenvalues))
    scale = scale_of(rule, spread_at_start, start.length, start.gamma)
    unit_setup = replace(setup, activation=with_unit_teacher(setup.activation, spectrum))
    averages: Averages = average_function(unit_setup, scale / teacher)
    noise, batch_size = setup.label_noise**2, float(setup.batch_size)

    def flow(state: np.ndarray, rate: float, gamma_rate: float) -> np.ndarray:
        gamma = state[-1] if rule.has_scale else 1.0
        square, variance, covariance = sums(state, moments)
        length, spread = np.sqrt(max(square, 0.0)), np.sqrt(max(variance, 0.0))
        divisor = length if rule.by_weights else spread
        cosine = min(1.0, max(-1.0, covariance / (spread * teacher)))
        phi = scale_of(rule, spread, length, gamma)
        drive, pull, own, of_labels = averages(cosine, phi / teacher)
        drive, pull = drive / teacher, pull / teacher
        variance = (own + noise * of_labels) / teacher**2
        near = max(1.0 - cosine * cosine, NEAREST_TEACHER)
        unit = gamma / divisor if rule.has_scale else 1.0
        terms = fields(
            spread, teacher, length, cosine, unit, drive / near, pull, variance, batch_size
        )
        found = np.empty_like(state)
        rates(state, moments, (rate, setup.weight_decay), terms, found)
        found[-1] = 0.0
        if rule.has_scale:
            grown = pull * spread / divisor - 2.0 * setup.gamma_decay * gamma
            found[-1] = gamma_rate * grown
        return found

    return flow


def _length(states: np.ndarray) -> np.ndarray:
    """Return L of states along the first axis."""
    return np.sqrt(states[1:-1:2].sum(axis=0))


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

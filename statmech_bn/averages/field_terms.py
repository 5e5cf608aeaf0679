r"""What the fields of a state make of a step, on inputs with a covariance.

The regression of a step on the fields has the terms a, b, s̄ and E[Σ c²] of
`statmech_bn.symbolic.structured_flow`. Their averages D, A₂ and B are those of isotropic inputs at
the correlation R of the fields, for the activation G(z) = g(σ_* z), which has a teacher's field of
variance 1: with G'(φ/σ_*) = σ_* g'(φ), its D and A₂ are σ_* and its B is σ_*² times those of g. If
they are averaged for G/f, with a factor f, they have to be multiplied by f², and B at Δ = 0 by f⁴.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from statmech_bn.averages.choice import Averages, average_function
from statmech_bn.averages.structured import of_unit_teacher, scale_of
from statmech_bn.codegen import numba_function
from statmech_bn.compile_cache import numba
from statmech_bn.normalization import Normalization
from statmech_bn.spectrum import Spectrum
from statmech_bn.symbolic import structured_flow as s
from statmech_bn.teacher_student import TeacherStudent

NEAREST_TEACHER = 1e-7
"""Below this 1 − R² the limit of D/(1 − R²) is its value here: averages have an error of 10⁻⁸."""


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
    fields = _compiled(rule)
    moments = moments_of(spectrum)
    teacher = float(np.sqrt(spectrum.teacher_variance))
    activation, factor = of_unit_teacher(setup.activation, spectrum)
    averages: Averages = average_function(replace(setup, activation=activation), scale / teacher)
    square_of_factor = factor**2
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
        drive, pull = (square_of_factor * average / teacher for average in (drive, pull))
        own *= square_of_factor
        variance = square_of_factor * (own + noise * of_labels) / teacher**2
        unit = gamma / divisor if rule.has_scale else 1.0
        sizes = spread, teacher, length
        a, b, turn, square_of_step = fields(
            *sizes, cosine, unit, drive / near, pull, variance, batch_size
        )
        gain = pull * spread / divisor if rule.has_scale else 0.0
        return FieldTerms(a, b, turn, square_of_step, gain)

    return terms_of


def moments_of(spectrum: Spectrum) -> np.ndarray:
    """Return λ_i, T_i and f_i, shape (3, d)."""
    return np.stack([spectrum.eigenvalues, spectrum.teacher, spectrum.fractions])


@lru_cache(maxsize=8)
def _compiled(rule: Normalization) -> Any:
    """Compile a, b, s̄ and E[Σ c²] of the fields."""
    return numba_function(s.field_terms(rule), s.FIELDS)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sums(state, moments):
    """Return L², σ_h² and Σλ_iρ_i."""
    square, variance, covariance = 0.0, 0.0, 0.0
    for i in range(moments.shape[1]):
        square += state[2 * i + 1]
        variance += moments[0, i] * state[2 * i + 1]
        covariance += moments[0, i] * state[2 * i]
    return square, variance, covariance

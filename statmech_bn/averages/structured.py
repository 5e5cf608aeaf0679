r"""ε_g on inputs with a covariance, where the teacher's field has another variance than 1.

With σ_*² = Σλ_iT_i the labels are g(h*) = G(h*/σ_*), G(z) = g(σ_* z): those of a unit teacher with
another activation. The student's g(φ) = G(φ/σ_*) has the scale σ_φ/σ_*, and the fields have the
correlation R = Σλ_iρ_i/(σ_hσ_*). So ε_g = ½E[(G(h*/σ_*) − G(φ/σ_*))²] is the average over isotropic
inputs at R and the scale σ_φ/σ_*, where

    none                 σ_φ = σ_h = √Σλ_iQ_i
    weight               σ_φ = γ σ_h/L,   L² = ΣQ_i
    population, batch    σ_φ = γ

A homogeneous g needs no other activation: G = σ_* g, and averages of g are known for all spectra.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from statmech_bn.activations import Activation, activation, z
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.generalization import error_function
from statmech_bn.normalization import Normalization
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import TeacherStudent

ROUNDING = 1e-12
"""A sum of eigenvalues that is nearer to 1 is 1, but for rounding."""


def of_unit_teacher(given: Activation, spectrum: Spectrum) -> tuple[Activation, float]:
    """Return an activation and a factor of it that are G(z) = g(σ_* z)."""
    if given.homogeneous:
        return given, float(np.sqrt(spectrum.teacher_variance))
    return with_unit_teacher(given, spectrum), 1.0


def with_unit_teacher(given: Activation, spectrum: Spectrum) -> Activation:
    """Return G(z) = g(σ_* z)."""
    if abs(spectrum.teacher_variance - 1.0) < ROUNDING:
        return given
    return _stretched(given, float(np.sqrt(spectrum.teacher_variance)))


@lru_cache(maxsize=64)
def _stretched(given: Activation, spread: float) -> Activation:
    """Return z ↦ g(spread z), checked once: that takes a tenth of a second."""
    return activation(given.expression.subs(z, sp.Float(spread) * z))


def scale_of(rule: Normalization, spread: Any, length: Any, gamma: Any) -> Any:
    """Return σ_φ, with the sign of γ, from σ_h, L and γ."""
    if not rule.has_scale:
        return spread
    return gamma * spread / length if rule.by_weights else gamma


def structured_error(
    setup: TeacherStudent,
    spectrum: Spectrum,
    student_teacher: np.ndarray,
    student_student: np.ndarray,
    gamma: np.ndarray,
) -> np.ndarray:
    """Return ε_g on fresh Gaussian inputs of a spectrum, without label noise.

    Parameters
    ----------
    setup : TeacherStudent
        At test time statistics of a batch are the population's.
    spectrum : Spectrum
        Its teacher is the one of the states.
    student_teacher, student_student : ndarray
        ρ_i and Q_i, shape (…, d); infinite where a run has diverged.
    gamma : ndarray
        Shape (…).

    Returns
    -------
    ndarray
        Shape (…), infinite where the state is.
    """
    finite = np.isfinite(student_student).all(axis=-1) & np.isfinite(gamma)
    rho = np.where(finite[..., None], student_teacher, 0.0)
    q = np.where(finite[..., None], student_student, 1.0)
    spread = np.sqrt(
        (q * spectrum.eigenvalues).sum(axis=-1)
    )  # as rows alone: no product of matrices
    scale = scale_of(setup.normalizer, spread, np.sqrt(q.sum(axis=-1)), gamma)
    scale = scale / np.sqrt(spectrum.teacher_variance)
    # (u, κ, R) and (−u, −κ, −R) are the same system
    cosine = spectrum.field_cosine(rho, q) * np.where(scale < 0, -1.0, 1.0)
    cosine = np.where(scale == 0.0, 0.0, cosine)  # φ = 0 whatever it is
    activation, factor = of_unit_teacher(setup.activation, spectrum)
    known = activation == setup.activation  # for all spectra, so that it pays to prepare it
    error = error_function(activation) if known else Quadrature.for_activation(activation).errors
    with np.errstate(over="ignore"):  # a long student is as wrong as floats can say
        found = factor**2 * error(cosine[finite], np.abs(scale[finite]))
    errors = np.full(finite.shape, np.inf)
    errors[finite] = np.maximum(found, 0.0)
    return errors

r"""ε_g on inputs with a covariance, where the teacher's field has another variance than 1.

With σ_*² = Σλ_iT_i the labels are g(h*) = G(h*/σ_*), G(z) = g(σ_* z): those of a unit teacher with
another activation. The student's g(φ) = G(φ/σ_*) has the scale σ_φ/σ_*, and the fields have the
correlation R = Σλ_iρ_i/(σ_hσ_*). So ε_g = ½E[(G(h*/σ_*) − G(φ/σ_*))²] is the average over isotropic
inputs at R and the scale σ_φ/σ_*, where

    none                 σ_φ = σ_h = √Σλ_iQ_i
    weight               σ_φ = γ σ_h/L,   L² = ΣQ_i
    population, batch    σ_φ = γ

A homogeneous g, such as ReLU, has G = σ_* g, so that its closed form serves: σ_*² ε_g(R, σ_φ/σ_*).
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


def with_unit_teacher(given: Activation, spectrum: Spectrum) -> Activation:
    """Return G(z) = g(σ_* z)."""
    return _stretched(given, float(np.sqrt(spectrum.teacher_variance)))


@lru_cache(maxsize=64)
def _stretched(given: Activation, spread: float) -> Activation:
    """Return z ↦ g(spread z), checked once: that takes a tenth of a second."""
    return given if spread == 1.0 else activation(given.expression.subs(z, sp.Float(spread) * z))


@lru_cache(maxsize=64)
def _is_homogeneous(given: Activation) -> bool:
    """Return whether g(cz) = c g(z) for c > 0: two half-lines through the origin."""
    bends = sp.diff(given.derivative, z).replace(sp.DiracDelta, lambda *_: sp.Integer(0))
    straight = set(given.kinks) <= {0.0} and sp.simplify(bends) == 0
    return bool(straight and given.expression.subs(z, 0) == 0)


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
    spread = np.sqrt(q @ spectrum.eigenvalues)
    scale = scale_of(setup.normalizer, spread, np.sqrt(q.sum(axis=-1)), gamma)
    scale = scale / np.sqrt(spectrum.teacher_variance)
    # (u, κ, R) and (−u, −κ, −R) are the same system
    cosine = spectrum.field_cosine(rho, q) * np.where(scale < 0, -1.0, 1.0)
    states = cosine[finite], np.abs(scale[finite])
    if _is_homogeneous(setup.activation):
        found = spectrum.teacher_variance * error_function(setup.activation)(*states)
    else:
        rule = Quadrature.for_activation(with_unit_teacher(setup.activation, spectrum))
        found = rule.errors(*states)
    errors = np.full(finite.shape, np.inf)
    errors[finite] = np.maximum(found, 0.0)
    return errors

"""The generalization error of a state: the closed form where there is one, else quadrature."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from statmech_bn import symbolic
from statmech_bn.activations import Activation
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import NoClosedForm
from statmech_bn.online.averages import Quadrature
from statmech_bn.online.quadrature import error_averages
from statmech_bn.teacher_student import TeacherStudent


def generalization_error(
    setup: TeacherStudent, overlap: np.ndarray, length: np.ndarray, gamma: np.ndarray
) -> np.ndarray:
    """Return ε_g = ½ E[(g(h*) − g(φ))²] on a fresh Gaussian input, without label noise.

    Parameters
    ----------
    setup : TeacherStudent
        At test time "batch" uses the population's statistics, so that φ = γu for every
        normalization and φ = Lu for "none".
    overlap, length, gamma : ndarray
        States, of one shape; infinite where a run has diverged.

    Returns
    -------
    ndarray
        ε_g ≥ 0, infinite where the state is.
    """
    scale = length if setup.normalization == "none" else gamma
    diverged = ~(np.isfinite(overlap) & np.isfinite(scale))
    # (u, γ, R) and (−u, −γ, −R) are the same system; the closed forms hold for γ > 0.
    cosine = np.where(diverged, 0.0, overlap * np.where(scale < 0, -1.0, 1.0))
    size = np.where(diverged, 1.0, np.abs(scale))
    with np.errstate(over="ignore"):  # a long student is as wrong as floats can say
        error = _error_function(setup.activation)(cosine, size)
    return np.where(diverged, np.inf, np.maximum(error, 0.0))


@lru_cache(maxsize=64)
def _error_function(activation: Activation) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    try:
        closed = symbolic.generalization_error(activation)
    except NoClosedForm:
        rule = Quadrature.for_activation(activation)

        def integrate(overlap: np.ndarray, gamma: np.ndarray) -> np.ndarray:
            errors = np.empty(overlap.size)
            error_averages(
                rule.value_and_slope, rule.kinks, overlap.ravel(), gamma.ravel(),
                rule.refinement, errors,
            )
            return errors.reshape(overlap.shape)

        return integrate
    compiled = numpy_function([closed], [symbolic.R, symbolic.gamma])
    return lambda overlap, gamma: compiled(overlap, gamma)[0]

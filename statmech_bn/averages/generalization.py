"""The generalization error of a state: the closed form where there is one, else quadrature."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from statmech_bn import symbolic
from statmech_bn.activations import Activation
from statmech_bn.averages.choice import SMALLEST_RANGE, Quadrature, error_series
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import NoClosedForm
from statmech_bn.teacher_student import TeacherStudent


def generalization_error(
    setup: TeacherStudent, overlap: np.ndarray, length: np.ndarray, gamma: np.ndarray
) -> np.ndarray:
    """Return ε_g = ½ E[(g(h*) − g(φ))²] on a fresh Gaussian input, without label noise.

    Parameters
    ----------
    setup : TeacherStudent
        At test time statistics of a batch are replaced by the population's, so that φ = γu for
        every normalization with a scale and φ = Lu without one.
    overlap, length, gamma : ndarray
        States, of one shape; infinite where a run has diverged.

    Returns
    -------
    ndarray
        ε_g ≥ 0, infinite where the state is.
    """
    scale = gamma if setup.normalizer.has_scale else length
    diverged = ~(np.isfinite(overlap) & np.isfinite(scale))
    # (u, γ, R) and (−u, −γ, −R) are the same system; the closed forms hold for γ > 0.
    cosine = np.where(diverged, 0.0, overlap * np.where(scale < 0, -1.0, 1.0))
    size = np.where(diverged, 1.0, np.abs(scale))
    with np.errstate(over="ignore"):  # a long student is as wrong as floats can say
        error = error_function(setup.activation)(cosine, size)
    return np.where(diverged, np.inf, np.maximum(error, 0.0))


@lru_cache(maxsize=64)
def error_function(activation: Activation) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return (R, γ > 0) ↦ ε_g of states that are finite, closed where it can be."""
    try:
        closed = symbolic.generalization_error(activation)
    except NoClosedForm:
        return lambda overlap, gamma: _integrated(activation, overlap, gamma)
    compiled = numpy_function([closed], [symbolic.R, symbolic.gamma])
    return lambda overlap, gamma: compiled(overlap, gamma)[0]


def _integrated(activation: Activation, overlap: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Sum the series where it holds, integrate elsewhere; each state by itself decides which."""
    found = np.empty(overlap.shape)
    remaining = np.ones(overlap.shape, dtype=bool)
    series = error_series(activation, SMALLEST_RANGE)
    if series is not None:
        remaining = gamma > series.upper
        found[~remaining] = series.at(overlap[~remaining], gamma[~remaining])[0]
    rule = Quadrature.for_activation(activation)
    found[remaining] = rule.errors(overlap[remaining], gamma[remaining])
    return found

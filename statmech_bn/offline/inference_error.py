r"""The generalization error of a student that normalizes by the statistics of its training set.

At test time φ = γ(h − μ)/σ with μ, σ of the training set's fields. On a fresh Gaussian input h is
L u, so that φ = κu + β with κ = γL/σ and β = −γμ/σ, and

    ε_g = ½ E[(g(h*) − g(κu + β))²],    corr(u, h*) = R .

Without β this is the error of the online levels. A linear g adds ½g'²β²; else quadrature over u,
with the mean of g(h*) and g(h*)² at given u inside.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.teacher_student import TeacherStudent


def inference_error(
    setup: TeacherStudent, overlap: np.ndarray, scale: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Return ε_g on fresh Gaussian inputs, without label noise.

    Parameters
    ----------
    setup : TeacherStudent
    overlap, scale, bias : ndarray
        R, κ and β, of one shape; infinite where a run has diverged.

    Returns
    -------
    ndarray
        ε_g ≥ 0, infinite where the state is.
    """
    unbiased = partial(generalization_error, setup, overlap)
    if not bias.any():
        return unbiased(scale, scale)
    if setup.activation.derivative.is_number:
        with np.errstate(over="ignore"):
            shift = 0.5 * (float(setup.activation.derivative) * bias) ** 2
        return unbiased(scale, scale) + shift
    rule = Quadrature.for_activation(setup.activation)
    errors = np.full(overlap.shape, np.inf)
    fine = np.isfinite(overlap) & np.isfinite(scale) & np.isfinite(bias)
    found = rule.errors(overlap[fine], scale[fine], bias[fine])
    errors[fine] = np.maximum(found, 0.0)
    return errors

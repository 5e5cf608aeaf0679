"""Results on Gaussian inputs of a covariance, at every level: what follows from ρ_i, Q_i and γ."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.averages.generalization import generalization_error
from statmech_bn.averages.structured import structured_error
from statmech_bn.dataset import order_parameter_dataset
from statmech_bn.online.arguments import Run
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import TeacherStudent


def structured_dataset(
    setup: TeacherStudent,
    spectrum: Spectrum | None,
    run: Run,
    student_teacher: np.ndarray,
    student_student: np.ndarray,
    gamma: np.ndarray,
    diverged_at: np.ndarray,
    attributes: dict[str, Any],
) -> xr.Dataset:
    """Assemble a result.

    Parameters
    ----------
    setup : TeacherStudent
    spectrum : Spectrum or None
        None for isotropic inputs, whose only block is not shown.
    run : Run
    student_teacher, student_student : ndarray
        ρ_i and Q_i, shape (learning rates, [replicas,] times, blocks).
    gamma : ndarray
        Shape (learning rates, [replicas,] times).
    diverged_at : ndarray
        Shape (learning rates[, replicas]).
    attributes : dict

    Returns
    -------
    xarray.Dataset
        ``overlap`` is the correlation of the fields, ``length`` that of the weights, and with a
        spectrum ``weight_overlap`` is the cosine of the weights.
    """
    alive = np.isfinite(student_student).all(axis=-1)
    rho, q = (np.where(alive[..., None], a, 1.0) for a in (student_teacher, student_student))
    length = np.sqrt(q.sum(axis=-1))
    cosine = np.clip(rho.sum(axis=-1) / length, -1.0, 1.0)
    weights, cosine = cosine, cosine if spectrum is None else spectrum.field_cosine(rho, q)
    overlap, length = np.where(alive, cosine, np.inf), np.where(alive, length, np.inf)
    variables = {
        "overlap": overlap,
        "length": length,
        "gamma": gamma,
        "diverged_at": diverged_at,
    }
    if spectrum is None:
        variables["generalization_error"] = generalization_error(setup, overlap, length, gamma)
    else:
        variables["weight_overlap"] = np.where(alive, weights, np.inf)
        blocks = {
            "block_student_teacher": student_teacher,
            "block_student_student": student_student,
        }
        variables.update(blocks)
        variables["generalization_error"] = structured_error(
            setup, spectrum, student_teacher, student_student, gamma
        )
    found = order_parameter_dataset(
        variables, run.learning_rate, run.gamma_learning_rate, run.time, attributes, spectrum
    )
    if spectrum is not None:
        found["overlap"].attrs["long_name"] = "correlation of the fields"
    return found

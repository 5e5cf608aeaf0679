"""Results of committees, at every level: what follows from ρ, Q, γ and v."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.averages.pairs import committee_error
from statmech_bn.dataset import describe
from statmech_bn.online.arguments import Run
from statmech_bn.teacher_student import TeacherStudent

STUDENT, OTHER, TEACHER = "student_unit", "other_student_unit", "teacher_unit"
"""Dims of the units."""


def committee_dataset(
    setup: TeacherStudent,
    run: Run,
    student_teacher: np.ndarray,
    student_student: np.ndarray,
    gamma: np.ndarray,
    readout: np.ndarray,
    diverged_at: np.ndarray,
    attributes: dict[str, Any],
    error: np.ndarray | None = None,
) -> xr.Dataset:
    """Assemble a result.

    Parameters
    ----------
    setup : TeacherStudent
    run : Run
    student_teacher, student_student : ndarray
        ρ and Q, shapes (learning rates, [replicas,] times, K, K*) and (…, K, K); infinite where a
        run has diverged.
    gamma, readout : ndarray
        Shape (learning rates, [replicas,] times, K).
    diverged_at : ndarray
        Shape (learning rates[, replicas]).
    attributes : dict
    error : ndarray, optional
        ε_g, shape (learning rates, [replicas,] times); by default that of Gaussian inputs.

    Returns
    -------
    xarray.Dataset
    """
    if error is None:
        error = committee_error(setup, student_teacher, student_student, gamma, readout)
    replica = ["replica"] if gamma.ndim == 4 else []
    times = ["learning_rate", *replica, "time"]
    coordinates: dict[str, Any] = {
        "learning_rate": run.learning_rate,
        "gamma_learning_rate": ("learning_rate", run.gamma_learning_rate),
        "time": run.time,
        STUDENT: np.arange(setup.student_units),
        OTHER: np.arange(setup.student_units),
        TEACHER: np.arange(setup.teacher_units),
    }
    if setup.readout == "learned":
        coordinates["readout_learning_rate"] = ("learning_rate", run.readout_learning_rate)
    if replica:
        coordinates["replica"] = np.arange(gamma.shape[1])
    variables = {
        "student_teacher": ([*times, STUDENT, TEACHER], student_teacher),
        "student_student": ([*times, STUDENT, OTHER], student_student),
        "gamma": ([*times, STUDENT], gamma),
        "readout": ([*times, STUDENT], readout),
        "generalization_error": (times, error),
        "diverged_at": (times[:-1], diverged_at),
    }
    attributes = {**attributes, "version": version("statmech_bn")}
    return describe(xr.Dataset(variables, coordinates, attributes))

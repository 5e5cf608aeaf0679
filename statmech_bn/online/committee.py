"""Results of committees, at every level: what follows from ρ, Q, γ and v."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from statmech_bn import __version__
from statmech_bn.averages.pairs import committee_error
from statmech_bn.dataset import describe
from statmech_bn.online.arguments import Run
from statmech_bn.spectrum import Spectrum
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
    spectrum: Spectrum | None = None,
) -> xr.Dataset:
    """Assemble a result.

    Parameters
    ----------
    setup : TeacherStudent
    run : Run
    student_teacher, student_student : ndarray
        ρ and Q, shapes (learning rates, [replicas,] times, [blocks,] K, K*) and (…, K, K); infinite
        where a run has diverged.
    gamma, readout : ndarray
        Shape (learning rates, [replicas,] times, K).
    diverged_at : ndarray
        Shape (learning rates[, replicas]).
    attributes : dict
    error : ndarray, optional
        ε_g, shape (learning rates, [replicas,] times); by default that of Gaussian inputs.
    spectrum : Spectrum, optional
        Whose blocks ρ and Q are of.

    Returns
    -------
    xarray.Dataset
    """
    blocks: dict[str, Any] = {}
    if spectrum is not None:
        blocks = {"student_teacher": student_teacher, "student_student": student_student}
        error = _structured_error(setup, spectrum, student_teacher, student_student, gamma, readout)
        student_teacher, student_student = (a.sum(axis=-3) for a in blocks.values())
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
    attributes = {**attributes, "version": __version__}
    if spectrum is not None:
        for name, values in blocks.items():
            units = variables[name][0][-2:]
            variables[f"block_{name}"] = ([*times, "block", *units], values)
        coordinates.update(spectrum.coordinates())
        attributes.update(spectrum.to_attrs())
    return describe(xr.Dataset(variables, coordinates, attributes))


def _structured_error(
    setup: TeacherStudent,
    spectrum: Spectrum,
    rho: np.ndarray,
    q: np.ndarray,
    gamma: np.ndarray,
    readout: np.ndarray,
) -> np.ndarray:
    """Return ε_g on fresh Gaussian inputs of a spectrum, from ρ and Q by blocks.

    Fields have the products Σ λ_i ρ_i and Σ λ_i Q_i, those of the teacher T Σ λ_i T_i; weight
    normalization divides them by the lengths of the weights, the others by their spreads.
    """
    with np.errstate(invalid="ignore"):  # of runs that have diverged
        along, among = (np.einsum("i,...ikl->...kl", spectrum.eigenvalues, a) for a in (rho, q))
        if setup.normalizer.by_weights:
            squares = [np.diagonal(a, axis1=-2, axis2=-1) for a in (among, q.sum(axis=-3))]
            gamma = gamma * np.sqrt(squares[0] / squares[1])
    teacher = spectrum.teacher_variance * setup.teacher_gram
    return committee_error(setup, along, among, gamma, readout, teacher)

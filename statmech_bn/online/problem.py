"""What compiled code reads of a setup and of a call, as NamedTuples, which Numba takes whole."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statmech_bn.teacher_student import TeacherStudent


class Problem(NamedTuple):
    """Numbers of a setup.

    Attributes
    ----------
    has_scale, of_batch, by_length, by_covariance : bool
        What the normalization does (`statmech_bn.normalization.base`).
    group, batch_size : int
        Samples that share statistics (all of them, where statistics are not drawn), and M.
    dimension : float
        N.
    label_noise, gamma_decay, weight_decay : float
        Δ, ζ and λ.
    """

    has_scale: bool
    of_batch: bool
    by_length: bool
    by_covariance: bool
    group: int
    batch_size: int
    dimension: float
    label_noise: float
    gamma_decay: float
    weight_decay: float

    @classmethod
    def of(cls, setup: TeacherStudent, dimension: int) -> Problem:
        """Read a setup."""
        rule = setup.normalizer
        return cls(
            has_scale=rule.has_scale,
            of_batch=rule.of_batch,
            by_length=rule.by_length,
            by_covariance=rule.by_covariance,
            group=setup.group or setup.batch_size,
            batch_size=setup.batch_size,
            dimension=float(dimension),
            label_noise=setup.label_noise,
            gamma_decay=setup.gamma_decay,
            weight_decay=setup.weight_decay,
        )


class Pace(NamedTuple):
    """Learning rates η and η_γ, one for each learner, and the pieces of their schedule."""

    learning_rate: np.ndarray
    gamma_learning_rate: np.ndarray
    edges: np.ndarray
    factors: np.ndarray

r"""Dropout beside batch normalization, in the solvable model: the variance shift.

Each value is kept with probability p and divided by it. A unit of mean m and variance 1 has the
variance (m² + 1)/p − m² with masks and 1 at inference, whose ratio is the *variance shift* (Li et
al. 2019): running statistics are those with masks.

Masks on the inputs (N → ∞) make Gaussian fields of variance Q/p and of correlation √p R with the
teacher's: what they hide of h* is noise of variance 1 − p. To a linear student this is a teacher of
length √p. With γ = √p γ' it learns as one without dropout, with

    Δ'² = (1 − p + Δ²)/p,    η' = ηp,    η_γ' = η_γ,

by the flow and by the chain. Averages over masks and batches, with s_M = E σ_B, say where γ stops,

    before   E ½(y − γû)²   = ½(1 − 2γ s_M √p R + γ²) + …      γ = s_M √p R,
    behind   E ½(y − aγû/p)² = ½(1 − 2γ s_M R + γ²/p) + …      γ = s_M p R,

a = 0 or 1. At inference φ = γ√p u (before, running statistics), γu (before, recomputed without
masks) and γu (behind): s_M R times p, √p and p. (This project's.)
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from statmech_bn.checks import choice, integer, real
from statmech_bn.errors import invalid
from statmech_bn.inference.loss import training_loss
from statmech_bn.inference.own_statistics import LARGEST_BATCH
from statmech_bn.teacher_student import TeacherStudent

PLACES = ("before", "behind")


def variance_shift(keep: float, mean: float = 0.0) -> float:
    """Return the variance at inference by that with masks.

    Parameters
    ----------
    keep : float
        p in (0, 1], the probability with which a value is kept.
    mean : float
        Mean of the unit by its standard deviation; at most a million in size.

    Returns
    -------
    float

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> variance_shift(0.5), variance_shift(0.5, mean=1.0)
    (0.5, 0.3333333333333333)
    """
    p, m = _keep(keep), real("mean", mean, -1e6, 1e6)
    return p / (1 + m**2 * (1 - p))


def dropout_scale(
    place: str, keep: float, batch_size: int, overlap: float = 1.0
) -> tuple[float, float, float]:
    """Return where γ of a linear unit stops, and what is left of it at inference.

    Parameters
    ----------
    place : {"before", "behind"}
        Whether masks are on the inputs, or on the normalized unit.
    keep : float
        p in (0, 1].
    batch_size : int
        M ≥ 4.
    overlap : float
        R in [−1, 1].

    Returns
    -------
    gamma, running, recomputed : float
        γ, and φ/u at inference with running statistics and with those without masks.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> [round(value, 4) for value in dropout_scale("before", 0.25, 8)]
    [0.4514, 0.2257, 0.4514]
    """
    p, size = _keep(keep), integer("batch_size", batch_size, 4, maximum=LARGEST_BATCH)
    cosine = real("overlap", overlap, -1.0, 1.0)
    choice("place", place, PLACES)
    share = cosine * (1 - training_loss("linear", size, 1.0))
    if place == "behind":
        return share * p, share * p, share * p
    root = math.sqrt(p)
    return share * root, share * p, share * root


def without_dropout(setup: TeacherStudent, keep: float) -> tuple[TeacherStudent, float, float]:
    """Return the student without masks that learns like one with masks on its inputs.

    Parameters
    ----------
    setup : TeacherStudent
        Linear, with statistics of the batch, and without decays.
    keep : float
        p in (0, 1].

    Returns
    -------
    setup, rate, scale : TeacherStudent, float, float
        The student, η'/η of its weights, and γ/γ'.

    Raises
    ------
    InvalidSetup
        The student is another, or p is no such probability.

    Examples
    --------
    >>> without_dropout(TeacherStudent("linear", "batch", 8), 0.5)[1:]
    (0.5, 0.7071067811865476)
    """
    p = _keep(keep)
    if not isinstance(setup, TeacherStudent) or (
        setup.activation.expression.diff() != 1 or setup.group != setup.batch_size
    ):
        raise invalid("setup", "a linear student with statistics of the batch", setup)
    if setup.gamma_decay or setup.weight_decay:
        raise invalid("setup", "a student without decays", setup)
    noise = math.sqrt((1 - p + setup.label_noise**2) / p)
    return replace(setup, label_noise=noise), p, math.sqrt(p)


def _keep(keep: float) -> float:
    p = real("keep", keep, 0.0, 1.0, "The probability with which a value is kept.")
    if p < np.finfo(float).eps:
        raise invalid("keep", "a number in (0, 1]", keep)
    return p

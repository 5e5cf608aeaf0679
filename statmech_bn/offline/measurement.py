r"""What is recorded of students on a finite training set.

Order parameters R, L, γ; the student at test time, φ = γ(h − μ)/σ, with

    none          μ = 0, σ = 1
    weight        μ = 0, σ = L
    population    the population's mean and spread of h
    batch         those of the training set's P fields;

its loss on the training set, and on held-out samples where the inputs are not Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from statmech_bn.normalization.batch import products_of_fields, statistics
from statmech_bn.offline.inference_error import inference_error
from statmech_bn.offline.training_set import TrainingSet
from statmech_bn.offline.training_step import Array, Problem
from statmech_bn.teacher_student import TeacherStudent


@dataclass(frozen=True)
class Ruler:
    """Measures a stack of data sets.

    Attributes
    ----------
    teachers : array (R, 1, N) or None
        Weights of the teachers, divided by N.
    test_samples : array (R, T, N)
        Scaled as the problem's samples; T = 0 for Gaussian inputs.
    test_labels : array (R, T, 1)
    """

    problem: Problem
    teachers: Array | None
    test_samples: Array
    test_labels: Array

    @classmethod
    def prepare(
        cls, xp: Any, problem: Problem, sets: Sequence[TrainingSet], mean: np.ndarray | float
    ) -> Ruler:
        """Put what is needed where `xp` computes; `mean` is taken from the inputs."""
        dimension, dtype = problem.samples.shape[2], problem.samples.dtype
        teachers = [data.teacher for data in sets if data.teacher is not None]
        samples = np.stack([data.test_samples for data in sets]) - mean
        labels = np.stack([data.test_labels for data in sets])[:, :, None]
        return cls(
            problem,
            xp.asarray(np.stack(teachers)[:, None] / dimension, dtype=dtype) if teachers else None,
            xp.asarray(samples / np.sqrt(dimension), dtype=dtype),
            xp.asarray(labels, dtype=dtype),
        )

    def measure(self, weights: Array, gamma: Array) -> dict[str, Array]:
        """Return arrays of shape (R, K) for weights (R, N, K) and γ (R, 1, K)."""
        xp, problem = array_namespace(weights), self.problem
        fields = problem.samples @ weights
        length = (xp.sum(weights * weights, axis=1, keepdims=True) / weights.shape[1]) ** 0.5
        centre, spread = 0.0 * length, 0.0 * length + 1.0
        if problem.normalizer.of_batch:
            mean = partial(xp.mean, axis=1, keepdims=True)
            products = products_of_fields(xp, problem.samples, weights)
            precision = float(xp.finfo(fields.dtype).eps)
            centre, variance = statistics(xp, fields, precision, products, mean)
            spread = variance**0.5
        elif problem.covariance is not None:
            square = xp.sum(weights * (problem.covariance @ weights), axis=1, keepdims=True)
            spread = (square / weights.shape[1]) ** 0.5
        elif problem.normalizer.by_length:
            spread = length

        def loss(fields: Array, labels: Array) -> Array:
            output, _ = problem.value_and_slope(gamma * (fields - centre) / spread)
            return 0.5 * xp.mean((labels - output) ** 2, axis=1)

        found = {
            "length": length[:, 0, :],
            "gamma": gamma[:, 0, :],
            "scale": (gamma * length / spread)[:, 0, :],
            "bias": (-gamma * centre / spread)[:, 0, :],
            "training_loss": loss(fields, problem.labels),
        }
        if self.teachers is not None:
            found["overlap"] = ((self.teachers @ weights) / length)[:, 0, :]
        if self.test_labels.shape[1]:
            found["generalization_error"] = loss(self.test_samples @ weights, self.test_labels)
        return found


def complete(
    setup: TeacherStudent, measured: dict[str, np.ndarray], length: float, diverged: np.ndarray
) -> dict[str, np.ndarray]:
    """Turn measurements into the variables of the Dataset, infinite where a run has diverged.

    Parameters
    ----------
    setup : TeacherStudent
    measured : dict
        Arrays of float64 of one shape, from :meth:`Ruler.measure`.
    length : float
        L at the start.
    diverged : ndarray of bool
    """
    found = {name: np.where(diverged, np.inf, values) for name, values in measured.items()}
    scale, bias = found.pop("scale"), found.pop("bias")
    found["growth"] = (found["length"] / length) ** 2
    if "overlap" in found:
        found["overlap"] = np.where(diverged, np.inf, np.clip(found["overlap"], -1.0, 1.0))
    if "generalization_error" not in found:
        found["generalization_error"] = inference_error(setup, found["overlap"], scale, bias)
    return found

"""Finite training sets: P samples with labels, and what measures the error beside them.

Gaussian inputs are fresh, and the generalization error is exact. Rows of real data are drawn
without replacement; the rows that are left over measure the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.activations import z
from statmech_bn.checks import LARGEST_COUNT, array, positive
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import invalid
from statmech_bn.online.inputs import TEST_SAMPLES, Draw, Inputs
from statmech_bn.random.streams import stream
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

STREAM = 4
"""The keys of random streams begin with this, unlike those of the online levels."""


@dataclass(frozen=True)
class Source:
    """Where samples and labels come from.

    Attributes
    ----------
    dimension : int
    inputs : Inputs or None
        None for Gaussian inputs.
    labels : ndarray or None
        (rows,), one for each row of data; None if a teacher makes them.
    """

    dimension: int
    inputs: Inputs | None
    labels: np.ndarray | None

    @classmethod
    def check(
        cls, inputs: Inputs | Draw | ArrayLike | None, labels: ArrayLike | None, dimension: int
    ) -> Source:
        """Check the arguments of `statmech_bn.offline.train`."""
        if inputs is not None and not isinstance(inputs, Inputs):
            inputs = Inputs(inputs)
        data = None if inputs is None or callable(inputs.source) else np.asarray(inputs.source)
        if data is not None and data.shape[1] != dimension:
            raise invalid("inputs", f"{dimension} components (the dimension)", data.shape)
        if labels is None:
            return cls(dimension, inputs, None)
        if data is None:
            raise invalid("labels", "inputs that are an array of data to go with them", inputs)
        given = array("labels", labels, 1)
        if given.shape != data.shape[:1]:
            raise invalid(
                "labels", f"{data.shape[0]} finite numbers, one a row", f"shape {given.shape}"
            )
        return cls(dimension, inputs, given)

    @property
    def rows(self) -> int | None:
        """How many samples there are; None if they are drawn fresh."""
        if self.inputs is None or callable(self.inputs.source):
            return None
        return int(np.asarray(self.inputs.source).shape[0])

    def moments(self, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the population's mean (N,) and covariance (N, N); None for N(0, 1)."""
        if self.inputs is None:
            return None
        mean, covariance = self.inputs.moments(stream(seed, STREAM), self.dimension)
        return mean, np.diag(covariance) if covariance.ndim == 1 else covariance

    def draw(self, setup: TeacherStudent, size: int, replica: int, seed: int) -> TrainingSet:
        """Draw the training set of a replica; it depends on the seed, P and the replica only."""
        samples, origin, noise = (stream(seed, STREAM, size, replica, k) for k in range(3))
        teacher = origin.standard_normal(self.dimension)
        teacher *= np.sqrt(self.dimension) / np.linalg.norm(teacher)
        test, labels = np.empty((0, self.dimension)), self.labels
        if self.inputs is None:
            drawn = samples.standard_normal((size, self.dimension))
        elif callable(self.inputs.source):
            place = f"training set {replica}"
            drawn = self.inputs.draw(samples, size, self.dimension, place)
            test = self.inputs.draw(samples, TEST_SAMPLES, self.dimension, "the test samples")
        else:
            data = np.asarray(self.inputs.source)
            order = samples.permutation(data.shape[0])
            drawn, test = data[order[:size]], data[order[size:]]
            labels = None if labels is None else labels[order]
        if labels is None:
            g = numpy_function([setup.activation.expression], [z])
            fields = np.concatenate([drawn, test]) @ teacher / np.sqrt(self.dimension)
            labels = g(fields)[0]
        return TrainingSet(
            drawn,
            labels[:size] + setup.label_noise * noise.standard_normal(size),
            test,
            labels[size:],
            teacher if self.labels is None else None,
            origin,
        )


@dataclass(frozen=True)
class TrainingSet:
    """One data set.

    Attributes
    ----------
    samples, labels : ndarray
        (P, N) and (P,), with label noise.
    test_samples, test_labels : ndarray
        Without noise; empty for Gaussian inputs.
    teacher : ndarray or None
        (N,), of length √N.
    origin : numpy.random.Generator
        Draws the initial weights.
    """

    samples: np.ndarray
    labels: np.ndarray
    test_samples: np.ndarray
    test_labels: np.ndarray
    teacher: np.ndarray | None
    origin: np.random.Generator

    def initial_weights(self, start: OrderParameters, number: int) -> np.ndarray:
        """Draw (N, number) weights of exactly the overlap and length of `start`."""
        dimension = self.samples.shape[1]
        weights = self.origin.standard_normal((number, dimension)).T
        overlap = 0.0
        if self.teacher is not None:
            unit = self.teacher[:, None] / np.sqrt(dimension)
            overlap = start.overlap
            weights = weights - unit * (unit.T @ weights)
        weights = weights / np.linalg.norm(weights, axis=0) * np.sqrt(1 - overlap**2)
        if self.teacher is not None:
            weights = weights + overlap * unit
        return np.sqrt(dimension) * start.length * weights


def training_sizes(load: Any, setup: TeacherStudent, source: Source) -> tuple[np.ndarray, Any]:
    """Return the loads and P for each.

    Raises
    ------
    InvalidSetup
        Loads not positive, a training set smaller than a batch, or too few rows of data.
    """
    loads = positive("load", load)
    if not float(loads.max()) * float(source.dimension) <= LARGEST_COUNT:
        raise invalid(
            "load × dimension",
            f"at most {LARGEST_COUNT} samples",
            f"{loads.max():g} × {source.dimension}",
        )
    sizes = np.rint(loads * source.dimension).astype(int)
    if sizes.min() < setup.batch_size:
        raise invalid(
            "batch_size",
            f"at most the {sizes.min()} samples of the smallest load",
            setup.batch_size,
            "Reduce it, or increase the load or the dimension.",
        )
    if source.rows is not None and sizes.max() >= source.rows:
        raise invalid(
            "load",
            f"fewer samples than the {source.rows} rows of the inputs",
            load,
            "The rows that are left over measure the error.",
        )
    return loads, sizes

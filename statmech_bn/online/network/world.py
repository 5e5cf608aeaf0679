"""What the replicas of an N-vector simulation share: inputs, the true moments, how they begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from statmech_bn.activations import z
from statmech_bn.codegen import numba_array_function
from statmech_bn.normalization.batch import products_of_fields, statistics
from statmech_bn.online.arguments import Run
from statmech_bn.online.inputs import Inputs
from statmech_bn.online.network.step import apply
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.online.start import directions
from statmech_bn.random.streams import stream
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent
from statmech_bn.teacher_student.gram import factor, in_frame

EPSILON = float(np.finfo(float).eps)


def eigenvalues(spectrum: Spectrum, dimension: int) -> np.ndarray:
    """Return the eigenvalue of each of N components, block by block."""
    return np.repeat(spectrum.eigenvalues, spectrum.counts(dimension))


@dataclass(frozen=True)
class World:
    """What replicas share and only read.

    Attributes
    ----------
    value, value_and_slope : Numba C callbacks
        g and (g, g').
    dimension : int
    inputs : Inputs or None
        None for Gaussian inputs.
    teacher : ndarray or None
        (N,), or (K*, N) of a committee, if all replicas have the same.
    mean, covariance : ndarray
        (N,) and (N, N), of inputs that "population" normalizes by; empty otherwise, and the mean of
        Gaussian inputs.
    test : ndarray
        (samples, N); none for Gaussian inputs.
    residuals : ndarray
        (rows of the inputs,), what their own labels are beyond the teacher's; empty without such.
    spectrum : Spectrum, optional
        Of Gaussian inputs, which are along its eigenvectors, and of the shares of a committee's
        teacher; by default inputs are isotropic.
    """

    value: Any
    value_and_slope: Any
    dimension: int
    inputs: Inputs | None
    teacher: np.ndarray | None
    mean: np.ndarray
    covariance: np.ndarray
    test: np.ndarray
    residuals: np.ndarray
    spectrum: Spectrum | None = None

    @classmethod
    def prepare(
        cls,
        setup: TeacherStudent,
        dimension: int,
        inputs: Inputs | None,
        teacher: np.ndarray | None,
        seed: int,
        test: np.ndarray | None = None,
        residuals: np.ndarray | None = None,
        spectrum: Spectrum | None = None,
    ) -> World:
        """Compile the activation, and draw what is needed of inputs that are not Gaussian."""
        g = setup.activation
        mean: np.ndarray = np.empty(0)
        covariance: np.ndarray = np.empty((0, 0))
        if test is None:
            test = np.empty((0, dimension))
            if inputs is not None:
                test = inputs.error_samples(stream(seed, 3, 0), dimension)
        if inputs is not None and setup.normalizer.by_covariance:
            mean, covariance = inputs.moments(stream(seed, 3, 1), dimension)
            if covariance.ndim == 1:
                covariance = np.diag(covariance)
        if spectrum is not None and setup.normalizer.by_covariance:
            covariance = np.diag(eigenvalues(spectrum, dimension))
        return cls(
            numba_array_function([g.expression], z),
            numba_array_function([g.expression, g.derivative], z),
            dimension,
            inputs,
            teacher,
            mean=mean,
            covariance=covariance,
            test=test,
            residuals=np.empty(0) if residuals is None else residuals,
            spectrum=spectrum,
        )

    def draw(
        self, generator: np.random.Generator, first: int, steps: int, batch_size: int
    ) -> np.ndarray:
        """Draw samples (steps, M, N) from a first step on; inputs of one's own a step at a time."""
        shape = (batch_size, self.dimension)
        if self.inputs is None:
            return generator.standard_normal((steps, *shape))
        return np.stack(
            [self.inputs.draw(generator, *shape, f"step {first + k}") for k in range(steps)]
        )

    def draw_labelled(
        self, inputs: Inputs, generator: np.random.Generator, steps: int, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the samples (steps, M, N) that `draw` has of an array, and their residuals."""
        rows = np.stack([inputs.rows(generator, batch_size) for _ in range(steps)])
        return np.asarray(inputs.source)[rows], self.residuals[rows]

    def teacher_and_start(
        self, generator: np.random.Generator, start: OrderParameters
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a teacher of length √N and weights of exactly the overlap and length of `start`."""
        teacher, other = generator.standard_normal((2, self.dimension))
        given = teacher if self.teacher is None else self.teacher
        teacher, student = directions(start, given, other)
        root = np.sqrt(self.dimension)
        return root * teacher, root * start.length * student

    def committee_and_start(
        self, generator: np.random.Generator, setup: TeacherStudent, start: OrderParameters
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a teacher (K*, N) and students (K, N) of exactly the products of setup and start."""
        rho, q, _, _ = start.matrices(setup)
        units, teachers = rho.shape
        rows = factor(setup.teacher_gram, rho, q)
        frame = generator.standard_normal((self.dimension, teachers + units)).T
        if self.teacher is not None:
            frame[:teachers] = self.teacher
        elif self.spectrum is not None:
            counts = self.spectrum.counts(self.dimension)
            above, ends = np.linalg.cholesky(setup.teacher_gram), np.cumsum(counts)
            for share, size, end in zip(self.spectrum.teacher, counts, ends, strict=True):
                part = frame[:teachers, end - size : end]
                part[:] = np.sqrt(share) * in_frame(above, part)
        weights = np.sqrt(self.dimension) * in_frame(rows, frame)
        return weights[:teachers], weights[teachers:]

    def test_error(
        self, setup: TeacherStudent, teacher: np.ndarray, weights: np.ndarray, gamma: np.ndarray
    ) -> np.ndarray:
        """Measure ε_g of each learner on the test samples, with population statistics."""
        outputs = self.outputs(setup, weights, gamma)
        targets = np.empty(self.test.shape[0])
        apply(self.value, self.test @ teacher / np.sqrt(self.dimension), targets)
        return 0.5 * ((outputs - targets[:, None]) ** 2).mean(axis=0)

    def committee_error(
        self,
        setup: TeacherStudent,
        teacher: np.ndarray,
        weights: np.ndarray,
        gamma: np.ndarray,
        readout: np.ndarray,
    ) -> np.ndarray:
        """Measure ε_g of committees: weights (learners, K, N), γ and v (learners, K)."""
        learners, units, dimension = weights.shape
        outputs = self.outputs(setup, weights.reshape(-1, dimension), gamma.ravel())
        outputs = (outputs.reshape(-1, learners, units) * readout).sum(axis=-1)
        fields = np.ascontiguousarray(self.test @ teacher.T / np.sqrt(dimension))
        values = np.empty(fields.size)
        apply(self.value, fields.ravel(), values)
        targets = values.reshape(fields.shape) @ np.array(setup.teacher_readout)
        return 0.5 * ((outputs - targets[:, None]) ** 2).mean(axis=0)

    def outputs(self, setup: TeacherStudent, weights: np.ndarray, gamma: np.ndarray) -> np.ndarray:
        """Return g(φ) of units (units, N) on the test samples, with population statistics."""
        root = np.sqrt(self.dimension)
        fields = self.test @ weights.T / root
        rule = setup.normalizer
        if rule.of_batch:
            products = products_of_fields(np, self.test, weights.T)[0] / root
            centre, variance = statistics(np, fields, EPSILON, products, lambda h: h.mean(axis=0))
            fields = (fields - centre) / np.sqrt(variance)
        elif rule.by_covariance:
            variance = np.einsum("kn,nl,kl->k", weights, self.covariance, weights)
            fields = (fields - weights @ self.mean / root) / np.sqrt(variance / self.dimension)
        elif rule.by_length:
            fields /= np.linalg.norm(weights, axis=1) / root
        if rule.has_scale:
            fields *= gamma
        outputs = np.empty(fields.size)
        apply(self.value, fields.ravel(), outputs)
        return outputs.reshape(fields.shape)


@dataclass(frozen=True)
class Plan:
    """What one call computes: all that its replicas need to know, on any device.

    Attributes
    ----------
    setup : TeacherStudent
    start : OrderParameters
    run : Run
        Learning rates and times.
    world : World
    factors : tuple of ndarray
        The schedule.
    seed : int
    dtype : {"float64", "float32"}
        Of samples and weights.
    """

    setup: TeacherStudent
    start: OrderParameters
    run: Run
    world: World
    factors: Pieces
    seed: int
    dtype: str

    @property
    def steps(self) -> int:
        """Steps that each replica takes."""
        return int(self.run.record_steps(self.world.dimension)[-1])

r"""N-vector simulation: weights, samples, gradients. The level that assumes nothing.

A step draws M inputs x in R^N and moves the weights of every learner by η times the mean gradient:

    none        w ← κw + (η/√N) Σ c x                              c = δ/M
    weight,     w ← κw + (η/√N) [Σ c (x − m) − Σ c (h − μ_P) Σw/(√N σ_P²)],
    population                                                      c = γ δ/(M σ_P)
    batch       w ← κw + (η/√N) Σ c x       c = γ [δ − mean δ − û mean(δ û)]/(M σ_B)

with κ = 1 − ηλ/N, h = w·x/√N, δ = g'(φ)(y − g(φ)) and γ ← γ + (η_γ/N)(mean(δ φ/γ) − 2ζγ).
"population" knows the inputs' mean m and covariance Σ, μ_P = w·m/√N and σ_P² = w'Σw/N; "weight"
puts m = 0 and Σ = 1, that is σ_P = L.

All learning rates of a call learn from the same samples: one block of them is in memory at a
time, and the fields and updates of all learners are two matrix products.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from threadpoolctl import ThreadpoolController

from statmech_bn.activations import z
from statmech_bn.codegen import numba_array_function
from statmech_bn.dataset import order_parameter_dataset, provenance
from statmech_bn.errors import invalid
from statmech_bn.online.arguments import Run, check_finite_dimension, check_run, stream
from statmech_bn.online.generalization import generalization_error
from statmech_bn.online.inputs import Draw, Inputs
from statmech_bn.online.network_step import apply, learn
from statmech_bn.online.schedules import Pieces, Schedule, prepare
from statmech_bn.teacher_student import NORMALIZATIONS, OrderParameters, TeacherStudent, integer

BLOCK_SIZE = 131_072
"""Numbers of one block of drawn samples, or of labels' noise."""
TEST_SAMPLES = 4_000
"""Samples that measure the generalization error for inputs that are not Gaussian."""


def microscopic(
    setup: TeacherStudent,
    learning_rate: ArrayLike,
    time: ArrayLike,
    start: OrderParameters,
    dimension: int,
    replicas: int = 1,
    seed: int = 0,
    gamma_learning_rate: ArrayLike | None = None,
    device: str = "cpu",
    inputs: Inputs | Draw | ArrayLike | None = None,
    teacher: ArrayLike | None = None,
    workers: int | None = None,
    schedule: Schedule | Callable[[float], float] | None = None,
) -> xr.Dataset:
    """Simulate students of N weights.

    Parameters
    ----------
    setup : TeacherStudent
    learning_rate : float or sequence
        η > 0; all of them learn from the same stream of samples.
    time : sequence of float
        Increasing, in units of steps/N; each is recorded after the nearest whole step.
    start : OrderParameters
        The initial weights have exactly this overlap and length, in a random direction.
    dimension : int
        N ≥ 3.
    replicas : int
        Independent teachers, initial weights and streams of samples.
    seed : int
        The stream of a replica depends on the seed and the replica's index only.
    gamma_learning_rate : float or sequence, optional
        η_γ > 0, by default the learning rate.
    device : {"cpu"}
    inputs : Inputs, callable or array_like, optional
        By default i.i.d. N(0, 1). See `statmech_bn.Inputs` for other distributions and data; the
        generalization error is then measured on 4000 samples, without label noise.
    teacher : array_like, optional
        Direction of w*, shape (N,), of all replicas; of any length ≠ 0, as it is scaled to √N. By
        default each replica draws its own.
    workers : int, optional
        Threads, by default one a core; replicas run in parallel. No effect on the result.
    schedule : Schedule or callable, optional
        Factor s(t) of both learning rates, see `statmech_bn.schedules`.

    Returns
    -------
    xarray.Dataset
        See `statmech_bn.dataset`.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the inputs or the teacher do not have N components.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "batch", batch_size=8, label_noise=0.3)
    >>> start = sbn.OrderParameters(overlap=0.1)
    >>> run = sbn.microscopic(setup, 2.0, [0, 5, 10], start, dimension=100, replicas=4)
    >>> run["overlap"].mean("replica").values.round(1)
    array([[0.1, 1. , 1. ]])
    """
    run = check_run(setup, learning_rate, gamma_learning_rate, time, start)
    dimension, replicas, seed = check_finite_dimension(dimension, replicas, seed)
    if device != "cpu":
        raise invalid("device", "'cpu'", device)
    if inputs is not None and not isinstance(inputs, Inputs):
        inputs = Inputs(inputs)
    threads = (os.cpu_count() or 1) if workers is None else integer("workers", workers, 1)
    world = _World.prepare(setup, dimension, inputs, _direction(teacher, dimension), seed)
    factors, described = prepare(schedule, run.time)
    with (
        _libraries().limit(limits=1, user_api="blas"),  # replicas are the parallelism
        ThreadPoolExecutor(min(threads, replicas)) as pool,
    ):
        learn_one = partial(_replica, setup, start, run, world, factors, seed)
        results = list(pool.map(learn_one, range(replicas)))
    states = np.stack([found[0] for found in results], axis=2)
    overlap, length, gamma = states[:3]
    variables = {
        "overlap": overlap,
        "length": length,
        "gamma": gamma,
        "generalization_error": (
            generalization_error(setup, overlap, length, gamma) if inputs is None else states[3]
        ),
        "diverged_at": np.stack([found[1] for found in results], axis=1),
    }
    attributes = provenance(
        setup,
        start,
        "microscopic",
        dimension=dimension,
        seed=seed,
        schedule=described,
        inputs="Gaussian" if inputs is None else inputs.label,
    )
    return order_parameter_dataset(
        variables, run.learning_rate, run.gamma_learning_rate, run.time, attributes
    )


def _direction(teacher: ArrayLike | None, dimension: int) -> np.ndarray | None:
    """Check a given teacher."""
    if teacher is None:
        return None
    direction = np.asarray(teacher, dtype=float)
    if direction.shape != (dimension,) or not (np.isfinite(direction).all() and direction.any()):
        raise invalid("teacher", f"{dimension} finite numbers, not all zero", teacher)
    return direction


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """Find the loaded BLAS libraries, which takes milliseconds, once."""
    return ThreadpoolController()


@dataclass(frozen=True)
class _World:
    """What replicas share and only read."""

    value: Any
    value_and_slope: Any
    dimension: int
    inputs: Inputs | None
    teacher: np.ndarray | None
    mean: np.ndarray
    covariance: np.ndarray
    test: np.ndarray

    @classmethod
    def prepare(
        cls,
        setup: TeacherStudent,
        dimension: int,
        inputs: Inputs | None,
        teacher: np.ndarray | None,
        seed: int,
    ) -> _World:
        g = setup.activation
        mean: np.ndarray = np.empty(0)
        covariance: np.ndarray = np.empty((0, 0))
        test = np.empty((0, dimension))
        if inputs is not None:
            test = inputs.draw(stream(seed, 3, 0), TEST_SAMPLES, dimension)
            if setup.normalization == "population":
                mean, covariance = inputs.moments(stream(seed, 3, 1), dimension)
                if covariance.ndim == 1:
                    covariance = np.diag(covariance)
        return cls(
            numba_array_function([g.expression], z),
            numba_array_function([g.expression, g.derivative], z),
            dimension,
            inputs,
            teacher,
            mean,
            covariance,
            test,
        )

    def test_error(
        self, setup: TeacherStudent, teacher: np.ndarray, weights: np.ndarray, gamma: np.ndarray
    ) -> np.ndarray:
        """Measure ε_g of each learner on the test samples, with population statistics."""
        root = np.sqrt(self.dimension)
        fields = self.test @ weights.T / root
        if setup.normalization == "weight":
            fields /= np.linalg.norm(weights, axis=1) / root
        elif setup.normalization == "batch":
            fields = (fields - fields.mean(axis=0)) / fields.std(axis=0)
        elif setup.normalization == "population":
            variance = np.einsum("kn,nl,kl->k", weights, self.covariance, weights)
            fields = (fields - weights @ self.mean / root) / np.sqrt(variance / self.dimension)
        if setup.normalization != "none":
            fields *= gamma
        outputs, targets = np.empty(fields.size), np.empty(self.test.shape[0])
        apply(self.value, fields.ravel(), outputs)
        apply(self.value, self.test @ teacher / root, targets)
        return 0.5 * ((outputs.reshape(fields.shape) - targets[:, None]) ** 2).mean(axis=0)


def _replica(
    setup: TeacherStudent,
    start: OrderParameters,
    run: Run,
    world: _World,
    factors: Pieces,
    seed: int,
    index: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Run all learning rates of one replica; returns states (4, learners, times), diverged_at."""
    origin, samples, labels = (stream(seed, 2, index, part) for part in range(3))
    learners, dimension = run.learning_rate.size, world.dimension
    teacher, first = _teacher_and_start(origin, world, start)
    weights = np.tile(first, (learners, 1))
    gamma = np.full(learners, start.gamma)
    diverged_at = np.full(learners, np.nan)
    steps = run.record_steps(dimension)
    states = np.full((4, learners, steps.size), np.inf)
    gaussian = world.inputs is None
    longest = max(1, BLOCK_SIZE // (setup.batch_size * (1 if gaussian else dimension)))
    block = np.empty((1, setup.batch_size, dimension))
    done = 0
    for index_of_time, target in enumerate(steps):
        while done < target:
            shape = (min(longest, target - done), setup.batch_size)
            noise = np.zeros(shape)
            if setup.label_noise > 0:
                noise = setup.label_noise * labels.standard_normal(shape)
            if world.inputs is not None:  # one call a step: the stream has no trace of the blocks
                draws = (world.inputs.draw(samples, *block.shape[1:]) for _ in range(shape[0]))
                block = np.stack(list(draws))
            learn(
                samples,
                gaussian,
                block,
                noise,
                world.value,
                world.value_and_slope,
                NORMALIZATIONS.index(setup.normalization),
                setup.gamma_decay,
                setup.weight_decay,
                run.learning_rate,
                run.gamma_learning_rate,
                *factors,
                world.mean,
                world.covariance,
                teacher,
                weights,
                gamma,
                done,
                diverged_at,
            )
            done += shape[0]
        alive = np.isnan(diverged_at)
        norms = np.linalg.norm(weights[alive], axis=1)
        cosines = weights[alive] @ teacher / (norms * np.linalg.norm(teacher))
        states[0, alive, index_of_time] = np.clip(cosines, -1.0, 1.0)
        states[1, alive, index_of_time] = norms / np.sqrt(dimension)
        states[2, alive, index_of_time] = gamma[alive]
        if world.inputs is not None:
            error = world.test_error(setup, teacher, weights[alive], gamma[alive])
            states[3, alive, index_of_time] = error
    return states, diverged_at


def _teacher_and_start(
    generator: np.random.Generator, world: _World, start: OrderParameters
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a teacher of length √N and weights of exactly the overlap and length of `start`."""
    dimension = world.dimension
    teacher, other = generator.standard_normal((2, dimension))
    if world.teacher is not None:
        teacher = world.teacher
    teacher = teacher / np.linalg.norm(teacher)
    other -= (other @ teacher) * teacher
    other /= np.linalg.norm(other)
    direction = start.overlap * teacher + np.sqrt(1 - start.overlap**2) * other
    return np.sqrt(dimension) * teacher, np.sqrt(dimension) * start.length * direction

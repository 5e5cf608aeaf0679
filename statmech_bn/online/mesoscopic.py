r"""The exact Markov chain of the order parameters at finite N: O(M) a step, whatever N is.

For Gaussian inputs the law of the next (ρ, Q, γ) depends on the weights only through (ρ, Q, γ),
with ρ = w·w*/N and Q = |w|²/N. Draw u, v ~ N(0, 1) for each of the M samples; then h = L u and
h* = R u + √(1−R²) v are the fields, δ = g'(φ)(y − g(φ)), and the weights move by
(η/√N) Σ c x, where

    none                 c = δ/M
    weight, population   c = γ δ/(M L)
    batch                c = γ [δ − mean δ − û mean(δ û)]/(M σ_B),   û = (h − μ_B)/σ_B

Besides the directions of w and w*, the inputs enter by X ~ χ²(N−2) alone. With κ = 1 − ηλ/N,
where the step is orthogonal to w (all but none):

    ρ ← κρ + (η/N) √(1−R²) Σ c v
    Q ← κ²Q + (η²/N²) [(Σ c v)² + X Σ c²]

and for none

    ρ ← κρ + (η/N) Σ c h*
    Q ← κ²Q + 2κ(η/N) Σ c h + (η²/N²) [(Σ c u)² + (Σ c v)² + X Σ c²]

while γ ← γ + (η_γ/N)(mean(δ φ/γ) − 2ζγ). The law is that of the N-dimensional simulation at
every N ≥ 3 (the tests compare them).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.activations import Activation, z
from statmech_bn.arrays import namespace
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.codegen import numba_table_function, stable
from statmech_bn.compile_cache import numba
from statmech_bn.dataset import order_parameter_dataset, provenance
from statmech_bn.online.arguments import (
    LARGEST_LENGTH,
    check_finite_dimension,
    check_gaussian,
    check_run,
    check_work,
)
from statmech_bn.online.chain.cuda import simulate_on_device
from statmech_bn.online.problem import Pace, Problem
from statmech_bn.online.schedules.pieces import value_at_step
from statmech_bn.online.schedules.schedule import Schedule, prepare
from statmech_bn.random import stream
from statmech_bn.teacher_student import OrderParameters, TeacherStudent, integer

SHARES = 32
"""Tasks of each thread. Many tasks make the loads of threads equal; a task costs 40 µs."""
COST = 10
"""A normal number, or a sample's error, takes as long as about so many additions."""


class Origin(NamedTuple):
    """R, L and γ at the start."""

    overlap: float
    length: float
    gamma: float


def mesoscopic(
    setup: TeacherStudent,
    learning_rate: ArrayLike,
    time: ArrayLike,
    start: OrderParameters,
    dimension: int,
    replicas: int = 1,
    seed: int = 0,
    gamma_learning_rate: ArrayLike | None = None,
    device: str = "cpu",
    workers: int | None = None,
    schedule: Schedule | Callable[[float], float] | None = None,
    inputs: None = None,
) -> xr.Dataset:
    """Simulate the exact finite-N chain of the order parameters.

    Parameters
    ----------
    setup : TeacherStudent
    learning_rate : float or sequence
        η > 0. All learning rates of a call see the same random numbers, so a value does not
        depend on which others it is computed with, and differences between them are less noisy.
    time : sequence of float
        Increasing, in units of steps/N; each is recorded after the nearest whole step.
    start : OrderParameters
    dimension : int
        N ≥ 3.
    replicas : int
        Independent runs.
    seed : int
        The stream of a replica depends on the seed and the replica's index only.
    gamma_learning_rate : float or sequence, optional
        η_γ > 0, by default the learning rate.
    device : {"cpu", "cuda"}
        "cuda" is for many chains (thousands of replicas and learning rates at once). The two
        devices have other random numbers and the same law, see `online.chain.cuda`.
    workers : int, optional
        Threads of the processor, by default one a core. The result does not depend on it.
    schedule : Schedule or callable, optional
        Factor s(t) of both learning rates, see `statmech_bn.schedules`.
    inputs : None
        Inputs are Gaussian at this level; others are refused with the level that takes them.

    Returns
    -------
    xarray.Dataset
        See `statmech_bn.dataset`.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    NoDevice
        There is no GPU, or no CuPy.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "batch", batch_size=8, label_noise=0.3)
    >>> start = sbn.OrderParameters(overlap=0.1)
    >>> run = sbn.mesoscopic(setup, 2.0, [0, 5, 10], start, dimension=1000, replicas=4)
    >>> run["overlap"].dims
    ('learning_rate', 'replica', 'time')
    >>> run["overlap"].mean("replica").values.round(1)
    array([[0.1, 1. , 1. ]])
    """
    check_gaussian(inputs)
    run = check_run(setup, learning_rate, gamma_learning_rate, time, start)
    xp = namespace(device)
    dimension, replicas, seed = check_finite_dimension(dimension, replicas, seed)
    threads = (os.cpu_count() or 1) if workers is None else integer("workers", workers, 1)
    steps, learners = run.record_steps(dimension), run.learning_rate.size
    numbers = COST * setup.batch_size * (2 + learners)
    held = 4 * replicas * learners * steps.size + 7 * setup.batch_size * min(threads, replicas)
    check_work(replicas, float(steps[-1]), numbers, held, device)
    factors, described = prepare(schedule, run.time)

    problem = Problem.of(setup, dimension)
    pace = Pace(run.learning_rate, run.gamma_learning_rate, *factors)
    origin = Origin(start.overlap, start.length, start.gamma)

    def some_replicas(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        states = np.full((len(indices), 3, run.learning_rate.size, steps.size), np.inf)
        diverged_at = np.full((len(indices), run.learning_rate.size), np.nan)
        generator = stream(seed, 1, 0)  # one for all: compiled code is slow to take a new one
        for index, *found in zip(indices, states, diverged_at, strict=True):
            generator.bit_generator.state = stream(seed, 1, index).bit_generator.state
            simulate(generator, signal, problem, pace, origin, steps, *found)
        return states, diverged_at

    if device == "cpu":
        signal = error_signal(setup.activation)
        with ThreadPoolExecutor(min(threads, replicas)) as pool:
            shares = np.array_split(np.arange(replicas), min(SHARES * threads, replicas))
            found = zip(*pool.map(some_replicas, shares), strict=True)
        states, diverged_at = map(np.concatenate, found)
        states, diverged_at = np.moveaxis(states, 0, 2), diverged_at.T
    else:
        states, diverged_at = simulate_on_device(
            xp, setup, run, start, dimension, replicas, seed, factors
        )
    overlap, length, gamma = states
    variables = {
        "overlap": overlap,
        "length": length,
        "gamma": gamma,
        "generalization_error": generalization_error(setup, overlap, length, gamma),
        "diverged_at": diverged_at,
    }
    attributes = provenance(
        setup,
        start,
        "mesoscopic",
        dimension=dimension,
        seed=seed,
        schedule=described,
        array_library=(
            f"numba {numba.__version__}" if device == "cpu" else f"cupy {xp.__version__}"
        ),
    )
    return order_parameter_dataset(
        variables, run.learning_rate, run.gamma_learning_rate, run.time, attributes
    )


def error_signal(activation: Activation) -> Any:
    """Compile δ = g'(φ)(g(h*) + noise − g(φ)), for the rows h*, φ, noise and δ of a table."""
    target, phi, noise = sp.symbols("target phi noise", real=True)
    g, slope = stable(activation.expression), stable(activation.derivative)
    delta = slope.subs(z, phi) * (g.subs(z, target) + noise - g.subs(z, phi))
    return numba_table_function([delta], [target, phi, noise])


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def simulate(generator, signal, problem, pace, origin, record_steps, states, diverged_at):
    """Run one replica for all learning rates; fills `states` (3, learners, times).

    Sums over the batch may be taken in any order, so that they become vector instructions.
    """
    batch_size, dimension = problem.batch_size, problem.dimension
    group = np.uintp(problem.group)  # indices without a sign leave loops over a group simple
    has_scale, of_batch = problem.has_scale, problem.of_batch
    learners = pace.learning_rate.size
    rho = np.full(learners, origin.overlap * origin.length)
    q = np.full(learners, origin.length * origin.length)
    scale = np.full(learners, origin.gamma)
    table = np.zeros((7, batch_size))
    target, phi, noise, delta, u, v, student = table
    narrowing = np.ones(batch_size // problem.group)
    share, tempo, unchanged, step = 1.0 / batch_size, 0.0, 0.0, 0
    for recorded in range(record_steps.size):
        while step < record_steps[recorded]:
            for m in range(batch_size):
                u[m] = generator.standard_normal()
                v[m] = generator.standard_normal()
                if problem.label_noise > 0.0:
                    noise[m] = problem.label_noise * generator.standard_normal()
            rest = 2.0 * generator.standard_gamma(0.5 * (dimension - 2.0))
            if of_batch:
                for i in range(narrowing.size):
                    narrowing[i] = normalize(u, np.uintp(i) * group, group, student)
            else:
                student[:] = u
            if step >= unchanged:
                factor, unchanged = value_at_step(pace.edges, pace.factors, step, dimension)
                tempo = factor / dimension
            step += 1
            for k in range(learners):
                if not np.isnan(diverged_at[k]):
                    continue
                root = np.sqrt(q[k])
                inverse = 1.0 / root
                cosine = rho[k] * inverse
                sine = np.sqrt(max(0.0, q[k] - rho[k] * rho[k])) * inverse
                size = scale[k] if has_scale else root
                for m in range(batch_size):
                    target[m] = cosine * u[m] + sine * v[m]
                    phi[m] = size * student[m]
                signal(table)
                unit = pace.learning_rate[k] * tempo
                keep = 1.0 - problem.weight_decay * unit
                unit *= share
                cu, cv, cc, pull = 0.0, 0.0, 0.0, 0.0
                if has_scale:
                    for i in range(narrowing.size):
                        along, across, square = project(
                            delta, student, v, np.uintp(i) * group, group, of_batch
                        )
                        pull += along
                        cv += narrowing[i] * across
                        cc += narrowing[i] * narrowing[i] * square
                    unit *= scale[k] * inverse
                    rho[k] = keep * rho[k] + unit * sine * cv
                    q[k] = keep * keep * q[k] + unit * unit * (cv * cv + rest * cc)
                    push = share * pull - 2.0 * problem.gamma_decay * scale[k]
                    scale[k] += pace.gamma_learning_rate[k] * tempo * push
                else:
                    for m in range(batch_size):
                        cu += delta[m] * u[m]
                        cv += delta[m] * v[m]
                        cc += delta[m] * delta[m]
                    rho[k] = keep * rho[k] + unit * (cosine * cu + sine * cv)
                    q[k] = (
                        keep * keep * q[k]
                        + 2.0 * keep * unit * root * cu
                        + unit * unit * (cu * cu + cv * cv + rest * cc)
                    )
                if not (q[k] < LARGEST_LENGTH**2 and abs(scale[k]) < LARGEST_LENGTH):
                    diverged_at[k] = step / dimension
        for k in range(learners):
            if np.isnan(diverged_at[k]):
                root = np.sqrt(q[k])
                states[0, k, recorded] = min(1.0, max(-1.0, rho[k] / root))
                states[1, k, recorded] = root
                states[2, k, recorded] = scale[k]


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True)
def normalize(u, begin, group, normalized):
    """Fill the normalized fields of a group; return L/σ_B."""
    mean, square = 0.0, 0.0
    for m in range(begin, begin + group):
        mean += u[m]
    mean /= group
    for m in range(begin, begin + group):
        square += (u[m] - mean) ** 2
    narrowing = 1.0 / np.sqrt(square / group)
    for m in range(begin, begin + group):
        normalized[m] = (u[m] - mean) * narrowing
    return narrowing


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True)
def project(delta, normalized, v, begin, group, of_batch):
    """Return Σ δ û, and Σ c v and Σ c² of the projected error c = P δ of a group."""
    total, along, across, square = 0.0, 0.0, 0.0, 0.0
    for m in range(begin, begin + group):
        total += delta[m]
        along += delta[m] * normalized[m]
    mean, pull = total / group, along / group
    for m in range(begin, begin + group):
        c = delta[m]
        if of_batch:
            c -= mean + normalized[m] * pull
        across += c * v[m]
        square += c * c
    return along, across, square

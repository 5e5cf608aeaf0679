r"""The chain on the processor: one compiled loop for each replica, over all its learning rates.

ρ, Q and γ after a step are SymPy's (`statmech_bn.symbolic.step`), as on a GPU; the samples of a
step are those of `statmech_bn.online.chain.samples`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statmech_bn.codegen import numba_inline_function
from statmech_bn.compile_cache import numba
from statmech_bn.interrupts import Watch
from statmech_bn.normalization.compiled import grown
from statmech_bn.online.arguments import LARGEST_LENGTH, Run
from statmech_bn.online.chain.samples import draw, error_function, respond
from statmech_bn.online.chain.shares import in_shares
from statmech_bn.online.problem import Pace, Problem
from statmech_bn.online.schedules.pieces import value_at_step
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.random.streams import stream
from statmech_bn.symbolic import step as s
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

moved_across = numba_inline_function(s.chain_step(has_scale=True), s.WEIGHTS)
"""ρ and Q after a step orthogonal to w."""
moved = numba_inline_function(s.chain_step(has_scale=False), s.WEIGHTS)
"""ρ and Q after any step."""


class Records(NamedTuple):
    """What is recorded of a replica, infinite from a divergence on."""

    states: np.ndarray  # (3, learners, times), R, L and γ
    diverged_at: np.ndarray  # (learners,), NaN without a divergence


class Origin(NamedTuple):
    """R, L and γ at the start."""

    overlap: float
    length: float
    gamma: float


def simulate_on_processor(
    setup: TeacherStudent,
    run: Run,
    start: OrderParameters,
    dimension: int,
    replicas: int,
    seed: int,
    schedule: Pieces,
    threads: int,
    progress: bool | None = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate all chains in threads.

    Returns
    -------
    states : ndarray, shape (3, learning rates, replicas, times)
        Overlap, length and γ; infinite from a divergence on.
    diverged_at : ndarray, shape (learning rates, replicas)
        Time of the divergence, NaN without one.
    """
    signal, problem = error_function(setup.activation), Problem.of(setup, dimension)
    pace = Pace(run.learning_rate, run.gamma_learning_rate, *schedule)
    origin = Origin(start.overlap, start.length, start.gamma)
    steps, learners = run.record_steps(dimension), run.learning_rate.size

    def some_replicas(indices: np.ndarray, watch: Watch) -> tuple[np.ndarray, np.ndarray]:
        states = np.full((len(indices), 3, learners, steps.size), np.inf)
        diverged_at = np.full((len(indices), learners), np.nan)
        generator = stream(seed, 1, 0)  # one for all: compiled code is slow to take a new one
        for index, *found in zip(indices, states, diverged_at, strict=True):
            generator.bit_generator.state = stream(seed, 1, index).bit_generator.state
            simulate(generator, signal, problem, pace, origin, steps, watch, Records(*found))
        return states, diverged_at

    found = in_shares(some_replicas, replicas, float(steps[-1]), threads, progress)
    states, diverged_at = map(np.concatenate, zip(*found, strict=True))
    return np.moveaxis(states, 0, 2), diverged_at.T


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def simulate(generator, signal, problem, pace, origin, record_steps, watch, records):
    """Run one replica for all learning rates; fills the records."""
    states, diverged_at = records
    dimension, learners = problem.dimension, pace.learning_rate.size
    rho = np.full(learners, origin.overlap * origin.length)
    q = np.full(learners, origin.length * origin.length)
    scale = np.full(learners, origin.gamma)
    table = np.zeros((7, problem.batch_size))
    narrowing = np.ones(problem.batch_size // problem.group)
    tempo, unchanged, step = 0.0, 0.0, 0
    for recorded in range(record_steps.size):
        while step < record_steps[recorded]:
            if watch.stop[0]:
                return
            watch.done[0] += 1.0
            draw(generator, problem, table, narrowing)
            rest = 2.0 * generator.standard_gamma(0.5 * (dimension - 2.0))
            if step >= unchanged:
                factor, unchanged = value_at_step(pace.edges, pace.factors, step, dimension)
                tempo = factor / dimension
            step += 1
            for k in range(learners):
                if not np.isnan(diverged_at[k]):
                    continue
                root = np.sqrt(q[k])
                cosine = rho[k] / root
                sine = np.sqrt(max(0.0, q[k] - rho[k] * rho[k])) / root
                size = scale[k] if problem.has_scale else root
                found = respond(signal, problem, table, narrowing, (cosine, sine), size)
                along, across, square, pull = found
                square *= rest
                unit = pace.learning_rate[k] * tempo
                keep = 1.0 - problem.weight_decay * unit
                if problem.has_scale:
                    unit *= scale[k] / root
                    rho[k], q[k] = moved_across(rho[k], root, sine, keep, unit, 0.0, across, square)
                    gamma_unit = pace.gamma_learning_rate[k] * tempo
                    scale[k] = grown(scale[k], gamma_unit, problem.gamma_decay, pull)
                else:
                    rho[k], q[k] = moved(rho[k], root, sine, keep, unit, along, across, square)
                if not (q[k] < LARGEST_LENGTH**2 and abs(scale[k]) < LARGEST_LENGTH):
                    diverged_at[k] = step / dimension
        for k in range(learners):
            if np.isnan(diverged_at[k]):
                root = np.sqrt(q[k])
                states[0, k, recorded] = min(1.0, max(-1.0, rho[k] / root))
                states[1, k, recorded] = root
                states[2, k, recorded] = scale[k]

"""Replicas of the N-vector simulation on the processor: one compiled loop in a thread for each."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
from threadpoolctl import ThreadpoolController

from statmech_bn.interrupts import Watch, in_threads
from statmech_bn.online.network.step import Learners, Samples, Task, learn
from statmech_bn.online.network.world import Plan
from statmech_bn.online.problem import Pace, Problem
from statmech_bn.random.streams import stream

BLOCK_SIZE = 131_072
"""Numbers of one block of drawn samples, or of labels' noise."""
PIECE = 2**24
"""So many numbers are drawn between two looks at Ctrl-C, which takes a tenth of a second."""


def learn_in_threads(
    plan: Plan, replicas: int, threads: int, progress: bool | None = False
) -> tuple[np.ndarray, np.ndarray]:
    """Run all replicas; returns states (4, learners, replicas, times) and times of divergence."""
    total = float(replicas) * plan.steps
    with _libraries().limit(limits=1, user_api="blas"):  # replicas are the parallelism
        results = in_threads(
            partial(_replica, plan), range(replicas), threads, total, progress, "microscopic"
        )
    states, diverged_at = zip(*results, strict=True)
    return np.stack(states, axis=2), np.stack(diverged_at, axis=1)


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """Find the loaded BLAS libraries, which takes milliseconds, once."""
    return ThreadpoolController()


def _replica(plan: Plan, index: int, watch: Watch) -> tuple[np.ndarray, np.ndarray]:
    """Run all learning rates of one replica; returns states (4, learners, times), diverged_at."""
    setup, start, run, world, dtype = plan.setup, plan.start, plan.run, plan.world, plan.dtype
    origin, samples, labels = (stream(plan.seed, 2, index, part) for part in range(3))
    learners, dimension = run.learning_rate.size, world.dimension
    teacher, first = world.teacher_and_start(origin, start)
    weights = np.tile(first.astype(dtype), (learners, 1))
    gamma, diverged_at = np.full(learners, start.gamma), np.full(learners, np.nan)
    problem, students = Problem.of(setup, dimension), Learners(weights, gamma, diverged_at)
    pace = Pace(run.learning_rate, run.gamma_learning_rate, *plan.factors)
    moments = [moment.astype(dtype) for moment in (teacher, world.mean, world.covariance)]
    task = Task(world.value, world.value_and_slope, *moments)
    steps = run.record_steps(dimension)
    states = np.full((4, learners, steps.size), np.inf)
    gaussian = world.inputs is None
    longest = max(1, BLOCK_SIZE // (setup.batch_size * (1 if gaussian else dimension)))
    longest = max(1, min(longest, PIECE // (setup.batch_size * dimension * learners)))
    block = np.empty((1, setup.batch_size, dimension), dtype)
    done = 0
    for index_of_time, target in enumerate(steps):
        while done < target:
            shape = (min(longest, target - done), setup.batch_size)
            noise = np.zeros(shape)
            if setup.label_noise > 0:
                noise = setup.label_noise * labels.standard_normal(shape)
            if world.inputs is not None and world.residuals.size:
                block, residuals = world.draw_labelled(world.inputs, samples, *shape)
                block, noise = block.astype(dtype), noise + residuals
            elif world.inputs is not None:
                block = world.draw(samples, done, *shape).astype(dtype)
            learn(samples, Samples(not gaussian, block, noise), problem, pace, task, students, done)
            watch.done[0] = done = done + shape[0]
        alive = np.isnan(diverged_at)
        measured = weights[alive].astype(float)
        norms = np.linalg.norm(measured, axis=1)
        cosines = measured @ teacher / (norms * np.linalg.norm(teacher))
        states[0, alive, index_of_time] = np.clip(cosines, -1.0, 1.0)
        states[1, alive, index_of_time] = norms / np.sqrt(dimension)
        states[2, alive, index_of_time] = gamma[alive]
        if world.inputs is not None:
            error = world.test_error(setup, teacher, measured, gamma[alive])
            states[3, alive, index_of_time] = error
    return states, diverged_at

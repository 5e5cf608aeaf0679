"""Replicas of the N-vector simulation, stacked where an array library computes.

Teachers, initial weights and inputs of one's own come from the streams of the compiled simulation.
So do Gaussian inputs and the labels' noise, unless a GPU draws them (`device_normals`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

import numpy as np
import sympy as sp
from array_api_compat import array_namespace, is_cupy_namespace

from statmech_bn.activations import z
from statmech_bn.arrays import to_numpy
from statmech_bn.codegen import array_function
from statmech_bn.interrupts import bar
from statmech_bn.online.network.arrays import Array, Rule, Students
from statmech_bn.online.network.world import Plan, World, eigenvalues
from statmech_bn.online.schedules.pieces import value_at
from statmech_bn.random.device import LABELS, SAMPLES, DeviceNormals
from statmech_bn.random.streams import stream
from statmech_bn.teacher_student import TeacherStudent

BLOCK_SIZE = 2**25
"""Numbers of one block of samples of all replicas of a stack."""
STACK_SIZE = 2**26
"""Weights and samples of a step of the replicas that are stacked."""


def learn_stacks(
    xp: Any, plan: Plan, replicas: int, progress: bool | None = False
) -> tuple[np.ndarray, np.ndarray]:
    """Run all replicas where `xp` computes, as many at a time as `STACK_SIZE` says.

    Returns
    -------
    states : ndarray (4, K, R, times)
        R, L, γ and, of inputs that are not Gaussian, ε_g.
    diverged_at : ndarray (K, R)
    """
    size = plan.world.dimension * (plan.run.learning_rate.size + plan.setup.batch_size)
    depth = max(1, STACK_SIZE // size)
    with steps_bar(plan, replicas, progress) as show:
        stacks = [
            _learn_stack(xp, plan, range(first, min(first + depth, replicas)), show)
            for first in range(0, replicas, depth)
        ]
    states, diverged_at = zip(*stacks, strict=True)
    return np.concatenate(states, axis=2), np.concatenate(diverged_at, axis=1)


def steps_bar(
    plan: Plan, replicas: int, progress: bool | None
) -> AbstractContextManager[Callable[[float], None]]:
    """Show a bar of the steps of all replicas."""
    return bar(float(replicas) * plan.steps, "microscopic", "steps", progress)


def _learn_stack(
    xp: Any, plan: Plan, replicas: Sequence[int], show: Callable[[float], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Run the learners of some replicas; returns as `learn_stacks`."""
    setup, start, run, world = plan.setup, plan.start, plan.run, plan.world
    kind, dimension = getattr(xp, plan.dtype), world.dimension
    origins = [world.teacher_and_start(stream(plan.seed, 2, r, 0), start) for r in replicas]
    teachers, first = (np.stack(parts)[:, :, None] for parts in zip(*origins, strict=True))
    covariance = xp.asarray(world.covariance, dtype=kind) if world.covariance.size else None
    gaussian = world.inputs is None
    rule = Rule.prepare(xp, setup, dimension, covariance, plan.dtype, gaussian)
    ones = np.ones((len(replicas), 1, run.learning_rate.size))
    students = rule.students(
        xp.asarray(first * ones, dtype=kind),
        xp.asarray(start.gamma * ones),
        xp.asarray(np.inf * ones),
    )
    teacher = xp.asarray(teachers)
    steps = run.record_steps(dimension)
    samples = labelled_samples(xp, plan, replicas, teacher, show)
    records, errors = [], []
    done, factor = 0, np.nan
    with np.errstate(all="ignore"):  # runs that diverge
        for target in steps:
            for x, y in islice(samples, int(target) - done):
                if factor != (factor := value_at(*plan.factors, done / dimension)):
                    rate = xp.asarray(factor * run.learning_rate)
                    gamma_rate = xp.asarray(factor * run.gamma_learning_rate / dimension)
                done += 1
                students = rule.step(students, x, y, rate, gamma_rate, done / dimension)
            records.append(_order_parameters(students, teacher))
            if world.inputs is not None:
                errors.append(_test_errors(setup, world, teachers, students))
    states = np.stack([np.stack([to_numpy(part) for part in parts]) for parts in records], -1)
    states = np.concatenate(
        [states, [np.stack(errors, -1)] if errors else np.empty_like(states[:1])]
    )
    diverged_at = to_numpy(students.diverged_at)[:, 0]
    states = np.where(diverged_at[..., None] <= steps / dimension, np.inf, states)
    diverged_at = np.where(np.isinf(diverged_at), np.nan, diverged_at)
    return states.swapaxes(1, 2), diverged_at.T


def labelled_samples(
    xp: Any,
    plan: Plan,
    replicas: Sequence[int],
    teacher: Array,
    show: Callable[[float], None],
) -> Iterator[tuple[Array, Array]]:
    """Draw x (R, M, N) and y (R, M, 1) for one step after the other, in blocks of many steps.

    The teachers are (R, N, K*). `show` is told the steps of all replicas up to these.
    """
    setup, world = plan.setup, plan.world
    label = _labelling(xp, setup, float(world.dimension))
    kind, dimension = getattr(xp, plan.dtype), world.dimension
    teacher = xp.astype(teacher, kind)
    mean = xp.asarray(world.mean, dtype=kind) if world.mean.size else None
    root = None
    if world.spectrum is not None:
        root = xp.asarray(np.sqrt(eigenvalues(world.spectrum, dimension)), dtype=kind)
    shape = (len(replicas), setup.batch_size, dimension)
    longest = max(1, BLOCK_SIZE // math.prod(shape))
    draw = _drawing(xp, plan, replicas)
    steps = plan.steps
    for first in range(0, steps, longest):
        block = min(longest, steps - first)
        x, noise = draw(first, block)
        x = xp.reshape(xp.asarray(x, dtype=kind), (block, *shape))
        if root is not None:
            x = x * root
        noise = xp.reshape(xp.asarray(noise), (block, *shape[:2], 1))
        fields = xp.astype(x @ teacher, xp.float64, copy=False)
        labels = label(fields, noise)
        if mean is not None:
            x = x - mean
        for step in range(block):
            show(float(replicas[0]) * steps + float(len(replicas)) * (first + step + 1))
            yield x[step, ...], labels[step, ...]


def _labelling(xp: Any, setup: TeacherStudent, dimension: float) -> Callable[[Array, Array], Array]:
    """Return what makes labels of the teacher's fields (…, K*), times √N, and of ξ (…, 1)."""
    field, level, xi = sp.symbols("f Delta xi", real=True)
    n = sp.Symbol("N", positive=True)
    value = setup.activation.expression.xreplace({z: field / sp.sqrt(n)})
    if not setup.is_committee:
        label = array_function(xp, [value + level * xi], [field, level, xi, n])
        return lambda fields, noise: label(fields, setup.label_noise, noise, dimension)[0]
    output = array_function(xp, [value], [field, n])
    readout = xp.asarray(setup.teacher_readout)

    def of_committee(fields: Array, noise: Array) -> Array:
        outputs = output(fields, dimension)[0]
        return xp.sum(readout * outputs, axis=-1, keepdims=True) + setup.label_noise * noise

    return of_committee


def _drawing(
    xp: Any, plan: Plan, replicas: Sequence[int]
) -> Callable[[int, int], tuple[Array, Array]]:
    """Return what draws samples and ξ of some steps: (first step, steps) ↦ arrays of any shape.

    They are ordered by step, replica, sample and component.
    """
    size, world, seed = plan.setup.batch_size, plan.world, plan.seed
    inputs = world.inputs
    if inputs is None and is_cupy_namespace(xp):
        normals = DeviceNormals(xp, seed, replicas)

        def on_device(first: int, steps: int) -> tuple[Array, Array]:
            x = normals.draw(SAMPLES, first, steps, size * world.dimension, plan.dtype)
            return x, normals.draw(LABELS, first, steps, size, "float64")

        return on_device

    streams = [[stream(seed, 2, replica, part) for part in (1, 2)] for replica in replicas]
    data = None
    if inputs is not None and not callable(inputs.source):
        data = xp.asarray(np.asarray(inputs.source), dtype=getattr(xp, plan.dtype))

    def on_host(first: int, steps: int) -> tuple[Array, Array]:
        noise = np.stack([labels.standard_normal((steps, size)) for _, labels in streams], 1)
        if inputs is None or data is None:
            return np.stack([world.draw(own, first, steps, size) for own, _ in streams], 1), noise
        rows = [[inputs.rows(own, size) for own, _ in streams] for _ in range(steps)]
        return xp.take(data, xp.asarray(np.ravel(rows)), axis=0), noise

    return on_host


def _order_parameters(students: Students, teacher: Array) -> tuple[Array, Array, Array]:
    """Return R, L and γ, each of shape (replicas, K), on the device."""
    xp = array_namespace(teacher)
    weights = xp.astype(students.weights, xp.float64, copy=False)
    dimension = weights.shape[1]
    norm = xp.sum(weights * weights, axis=1) ** 0.5
    overlap = xp.sum(weights * teacher, axis=1) / (norm * dimension**0.5)
    return xp.clip(overlap, -1.0, 1.0), norm / dimension**0.5, students.gamma[:, 0, :]


def _test_errors(
    setup: TeacherStudent, world: World, teachers: np.ndarray, students: Students
) -> np.ndarray:
    """Measure ε_g (replicas, K) on the host."""
    weights, gamma = to_numpy(students.weights).astype(float), to_numpy(students.gamma)
    return np.stack(
        [
            world.test_error(setup, teacher[:, 0], w.T, scale[0])
            for teacher, w, scale in zip(teachers, weights, gamma, strict=True)
        ]
    )

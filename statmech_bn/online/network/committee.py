r"""Committees of N weights as array code, for NumPy and GPUs; `microscopic` states the equations.

The columns of the stack of `statmech_bn.online.network.arrays` are the K units of each learner:
weights W (R, N, L K). A unit's step is that of a student alone but for its error,

    e = y − Σ_k v_k g(φ_k),     δ_k = v_k g'(φ_k) e,     v_k ← v_k + (η_v/N) mean(e g(φ_k)).

A learner has diverged when one of its units has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import sympy as sp
from array_api_compat import array_namespace

from statmech_bn.activations import z
from statmech_bn.arrays import to_numpy
from statmech_bn.codegen import array_function, stable
from statmech_bn.online.network.arrays import Array, Rule, Students
from statmech_bn.online.network.stacks import STACK_SIZE, labelled_samples, steps_bar
from statmech_bn.online.network.world import Plan
from statmech_bn.online.schedules.pieces import value_at
from statmech_bn.random.streams import stream
from statmech_bn.symbolic import step as s

NAMES = ("student_teacher", "student_student", "gamma", "readout", "diverged_at", "error")
"""Order of what is returned; the last is missing for Gaussian inputs."""


@dataclass(frozen=True)
class Committees(Students):
    """A stack of learners of several units.

    Attributes
    ----------
    readout : array (R, 1, L, K)
        v.
    """

    readout: Array


@dataclass(frozen=True)
class CommitteeRule(Rule):
    """The step of committees.

    Attributes
    ----------
    ratio : array (L, 1)
        η_v/η_γ, 0 for a second layer that is fixed.
    """

    ratio: Array

    @classmethod
    def of(cls, xp: Any, plan: Plan, covariance: Array | None) -> CommitteeRule:
        """Compile the elementwise functions."""
        setup, run, world = plan.setup, plan.run, plan.world
        rule = Rule.prepare(
            xp, setup, world.dimension, covariance, plan.dtype, world.inputs is None
        )
        u = (s.field - s.centre) / sp.sqrt(s.variance)
        expressions = (setup.activation.expression, setup.activation.derivative)
        parts = [stable(e).xreplace({z: s.scale * u}) for e in expressions]
        error = array_function(xp, [u, *parts], [s.field, s.centre, s.variance, s.scale])
        learns = float(setup.readout == "learned")
        ratio = learns * run.readout_learning_rate / run.gamma_learning_rate
        return cls(**{**vars(rule), "error": error}, ratio=xp.asarray(ratio[:, None]))

    def errors(
        self, fields: Array, centre: Array, variance: Array, students: Any, y: Array
    ) -> tuple[Array, ...]:
        """Return û, δ and δû of fields, all (R, M, L K), and mean e g(φ), (R, 1, L, K)."""
        xp, readout = array_namespace(fields), students.readout
        u, output, slope = self.error(fields, centre, variance, students.gamma)
        slope = xp.broadcast_to(slope, u.shape)  # of linear units it is a number
        by_unit = (*output.shape[:2], *readout.shape[2:])
        output = xp.reshape(output, by_unit)
        error = y[..., None] - xp.sum(readout * output, axis=-1, keepdims=True)
        delta = xp.reshape(readout * xp.reshape(slope, by_unit) * error, u.shape)
        return u, delta, delta * u, xp.mean(error * output, axis=1, keepdims=True)

    def after(self, before: Any, moved: Students, gamma_rate: Array, *more: Array) -> Committees:
        """Return the students after a step that has moved their weights and scales."""
        xp, readout = array_namespace(moved.weights), before.readout
        rate = self.ratio * xp.reshape(gamma_rate, readout.shape[2:])
        return Committees(**vars(moved), readout=readout + rate * more[0])


def learn_committees(
    xp: Any, plan: Plan, replicas: int, progress: bool | None = False
) -> dict[str, np.ndarray]:
    """Run all replicas where `xp` computes, as many at a time as `STACK_SIZE` says.

    Returns
    -------
    dict of ndarray
        What `statmech_bn.online.committee.committee_dataset` takes; `error` only for inputs that
        are not Gaussian.
    """
    units, teachers = plan.setup.student_units, plan.setup.teacher_units
    columns = plan.run.learning_rate.size * units + teachers
    depth = max(1, STACK_SIZE // (plan.world.dimension * (columns + plan.setup.batch_size)))
    with steps_bar(plan, replicas, progress) as show:
        stacks = [
            _learn_stack(xp, plan, range(first, min(first + depth, replicas)), show)
            for first in range(0, replicas, depth)
        ]
    found = [np.concatenate(parts, axis=1) for parts in zip(*stacks, strict=True)]
    return dict(zip(NAMES, found, strict=False))


def _learn_stack(
    xp: Any, plan: Plan, replicas: Sequence[int], show: Callable[[float], None]
) -> tuple[np.ndarray, ...]:
    """Run the learners of some replicas; returns them in the order of `NAMES`."""
    setup, start, run, world = plan.setup, plan.start, plan.run, plan.world
    kind, units, learners = getattr(xp, plan.dtype), setup.student_units, run.learning_rate.size
    drawn = [world.committee_and_start(stream(plan.seed, 2, r, 0), setup, start) for r in replicas]
    teachers, first = (np.stack(parts) for parts in zip(*drawn, strict=True))
    covariance = xp.asarray(world.covariance, dtype=kind) if world.covariance.size else None
    rule = CommitteeRule.of(xp, plan, covariance)
    _, _, gamma, readout = start.matrices(setup)
    shape = (len(replicas), 1, learners * units)
    stacked = rule.students(
        xp.asarray(np.tile(first, (1, learners, 1)).swapaxes(1, 2), dtype=kind),
        xp.asarray(np.broadcast_to(np.tile(gamma, learners), shape).copy()),
        xp.asarray(np.full(shape, np.inf)),
    )
    second = np.broadcast_to(readout, (len(replicas), 1, learners, units)).copy()
    students: Any = Committees(**vars(stacked), readout=xp.asarray(second))
    steps = run.record_steps(world.dimension)
    teacher = xp.asarray(teachers.swapaxes(1, 2).copy())
    samples = labelled_samples(xp, plan, replicas, teacher, show)
    rates = [np.repeat(r, units) for r in (run.learning_rate, run.gamma_learning_rate)]
    records: list[tuple[np.ndarray, ...]] = []
    done, factor = 0, np.nan
    with np.errstate(all="ignore"):  # runs that diverge
        for target in steps:
            for x, y in islice(samples, int(target) - done):
                if factor != (factor := value_at(*plan.factors, done / world.dimension)):
                    rate = xp.asarray(factor * rates[0])
                    gamma_rate = xp.asarray(factor * rates[1] / world.dimension)
                done += 1
                students = rule.step(students, x, y, rate, gamma_rate, done / world.dimension)
            records.append(_record(plan, teachers, students))
    states = [np.stack(parts, axis=2) for parts in zip(*records, strict=True)]
    gone = to_numpy(students.diverged_at).reshape(-1, learners, units).min(axis=-1).T
    late = gone[..., None] <= steps / world.dimension
    states = [np.where(late.reshape(late.shape + (1,) * (a.ndim - 3)), np.inf, a) for a in states]
    diverged_at = np.where(np.isinf(gone), np.nan, gone)
    return (*states[:4], diverged_at, *states[4:])


def _record(plan: Plan, teachers: np.ndarray, students: Any) -> tuple[np.ndarray, ...]:
    """Return ρ and Q (by blocks of a spectrum), γ and v, (L, R, …), and ε_g on test samples."""
    world, units = plan.world, plan.setup.student_units
    weights = to_numpy(students.weights).astype(float)
    w = weights.swapaxes(1, 2).reshape(len(weights), -1, units, world.dimension)
    gamma = to_numpy(students.gamma).reshape(len(w), -1, units)
    readout = to_numpy(students.readout)[:, 0]
    if world.spectrum is None:
        rho, q = w @ teachers[:, None].swapaxes(-1, -2), w @ w.swapaxes(-1, -2)
    else:
        ends = np.cumsum(world.spectrum.counts(world.dimension))[:-1]
        parts = [np.split(a, ends, axis=-1) for a in (w, teachers[:, None])]
        rho, q = (
            np.stack([a @ b.swapaxes(-1, -2) for a, b in zip(parts[0], other, strict=True)], axis=2)
            for other in (parts[1], parts[0])
        )
    found = [rho / world.dimension, q / world.dimension, gamma, readout]
    if world.test.size:
        states = zip(teachers, w, gamma, readout, strict=True)
        found.append(np.stack([world.committee_error(plan.setup, *state) for state in states]))
    return tuple(a.swapaxes(0, 1) for a in found)

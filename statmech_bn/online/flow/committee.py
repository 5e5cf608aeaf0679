r"""The flow of committees, integrated: K K* + K(K+1)/2 + 2K numbers, (ρ, Q, γ, v).

Closed averages are integrated in compiled code (`statmech_bn.online.flow.committee_trajectory`).
All others (`statmech_bn.averages.committee`) go through LSODA, whose tolerances are above the noise
that kinks leave in such averages; points are the same at every state, so that the flow of a smooth
unit is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.committee import committee_averages
from statmech_bn.averages.committee_closed import closed_averages, make_room
from statmech_bn.averages.committee_groups import most_finer
from statmech_bn.averages.committee_nested import serves
from statmech_bn.errors import NoClosedForm, NotConverged
from statmech_bn.interrupts import Watch, in_threads
from statmech_bn.online.arguments import Run
from statmech_bn.online.flow.adaptive import DIVERGED, STOPPED, Problem
from statmech_bn.online.flow.committee_rates import (
    Averages,
    Learning,
    diagonal,
    empty_averages,
    gram_of,
    pack,
    rates_of,
    unpack,
)
from statmech_bn.online.flow.committee_trajectory import (
    LARGEST_LOG_LENGTH,
    Learner,
    System,
    derivatives,
    fill_averages,
    integrate,
)
from statmech_bn.online.flow.lsoda import integrate_state
from statmech_bn.online.flow.zero_scale import check_scale
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

SMOOTH, NESTED, KINKED = (1e-7, 1e-9), (1e-6, 1e-8), (1e-5, 1e-7)
"""Relative and absolute tolerances: of units without kinks; and of those with kinks, by nested
integrals and by points."""
BATCH = (1e-4, 1e-6)
"""Tolerances of averages over batches, at the usual points; they fall with the averages' error."""
MOST_FINER = 7
"""Points for averages are at most two to this power times as many as usual; those over batches are
bounded by memory."""
BATCH_ACCURACY, FINER_BATCH = 1e-3, 4
"""Averages over batches are sought to this error by default, with at most two to this power times
as many points as usual."""
GAIN = 0.6
"""The error of averages falls like the number of their points to minus this power."""


Records = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def learning_of(setup: TeacherStudent) -> Learning:
    """Read a setup."""
    rule = setup.normalizer
    flags = rule.has_scale, rule.by_length, float(setup.batch_size)
    decays = setup.label_noise, setup.gamma_decay, setup.weight_decay
    return Learning(*flags, *decays, setup.teacher_gram, np.array(setup.teacher_readout))


def closed_system(setup: TeacherStudent) -> System:
    """Return what compiled trajectories need.

    Raises
    ------
    NoClosedForm
        The averages are not closed.
    """
    if setup.group is not None:
        raise NoClosedForm("Averages over batches of several units are not closed.")
    students, teachers = setup.student_units, setup.teacher_units
    callbacks = closed_averages(setup.activation)
    room, averages = make_room(students, teachers), empty_averages(students, teachers)
    d = students + teachers
    return System(*callbacks, learning_of(setup), room, averages, np.zeros((d, d)), np.ones(d))


class CommitteeFlow:
    """The derivatives of a state, for any setup.

    Attributes
    ----------
    system : System or None
        What compiled trajectories need, if the averages are closed.

    Parameters
    ----------
    setup : TeacherStudent
    largest : float
        Largest standard deviation of g's arguments at the start.
    finer : int
        Averages that are not closed have two to this power times as many points as usual.
    threads : int
        Those over batches are computed in so many threads.
    """

    def __init__(
        self, setup: TeacherStudent, largest: float, finer: int = 0, threads: int = 1
    ) -> None:
        self.setup, self.learning, self.finer = setup, learning_of(setup), finer
        try:
            self.system: System | None = closed_system(setup)
        except NoClosedForm:
            self.system = None
            self.average = committee_averages(setup, largest, finer, threads)
        d = setup.student_units + setup.teacher_units
        self._gram = np.zeros((d, d))
        self.error = 0.0

    def averages(self, gram: np.ndarray, gamma: np.ndarray, readout: np.ndarray) -> Averages:
        """Return the averages over fields x = (h*, h) of a covariance.

        Parameters
        ----------
        gram : ndarray, (D, D)
            Covariance of x.
        gamma, readout : ndarray, (K,)
            Scales of the fields in units of their spread, 1 without a normalization; and v.

        Returns
        -------
        Averages
            They hold until the next call.
        """
        spread = np.sqrt(np.diag(gram)[-gamma.size :])
        scales = gamma if self.learning.has_scale else spread
        weights = np.concatenate([self.learning.readout, -readout])
        if self.system is None:
            sums, self.error = self.average(gram, np.ascontiguousarray(scales), weights)
            return Averages(sums.along, sums.noise, sums.pull, sums.readout)
        self.system.gram[:], self.system.room.weights[:] = gram, weights
        self.system.factors[-gamma.size :] = scales / spread
        fill_averages(self.system)
        return self.system.averages

    def __call__(self, state: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Return the derivatives of a state; `rates` are η, η_γ and η_v."""
        found = np.empty(state.size)
        if self.system is not None:
            derivatives(self.system, state, rates, found)
            return found
        units = self.setup.student_units
        gram_of(state, self.learning, self._gram)
        averages = self.averages(self._gram, state[-2 * units : -units], state[-units:])
        rates_of(state, self.learning, averages, rates, found)
        return found


Found = tuple[np.ndarray, float, np.ndarray]
"""States (entries, times) of a trajectory, when it diverged or NaN, and errors of its averages."""


def accurate(
    flow_of: Callable[[int], Any],
    integrate: Callable[[Any], Found],
    accuracy: float | None,
    most: int,
    asked: bool,
) -> Found:
    """Integrate a trajectory, with as many points for its averages as an accuracy asks for.

    Parameters
    ----------
    flow_of : callable
        Power of two by which points are more than usual ↦ flow.
    integrate : callable
        Flow ↦ trajectory.
    accuracy : float or None
        Largest error of the averages; None takes what the usual points give.
    most : int
        Largest power.
    asked : bool
        Whether it is an error that the most points do not give the accuracy.

    Raises
    ------
    NotConverged
        They do not.
    """
    finer = 0
    while True:
        found = integrate(flow_of(finer))
        errors = found[2][np.isfinite(found[2])]
        largest = float(errors.max(initial=0.0))
        if accuracy is None or largest <= accuracy:
            return found
        if finer == most and not asked:
            return found
        if finer == most:
            raise NotConverged(
                f"The averages of the flow are known to {largest:.1g} by the most points that are "
                f"taken, and accuracy={accuracy:g} was asked for. Ask for {2 * largest:.1g}."
            )
        more = math.log2(largest / accuracy) / GAIN
        finer = min(most, finer + max(1, math.ceil(more)))


def all_trajectories(
    flow_of: Callable[..., Any],
    integrate: Callable[[Any, np.ndarray, Watch], Found],
    setup: TeacherStudent,
    run: Run,
    threads: int,
    accuracy: float | None,
    progress: bool | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integrate the trajectory of each learning rate, as accurately as is asked for.

    Parameters
    ----------
    flow_of : callable
        Power of two by which points are more than usual, and threads for averages ↦ flow.
    integrate : callable
        Flow, the rates η, η_γ and η_v, and what an interrupt is seen by ↦ trajectory.
    setup : TeacherStudent
    run : Run
    threads : int
    accuracy : float or None
        Largest error of the averages that is asked for.
    progress : bool or None
        Whether to show a bar.

    Returns
    -------
    states : ndarray, (learning rates, times, entries)
    diverged_at : ndarray, (learning rates,)
    error : ndarray, (learning rates, times)
    """

    def one(rates: np.ndarray, watch: Watch) -> Found:
        return accurate(
            lambda finer: flow_of(finer, each), lambda flow: integrate(flow, rates, watch), *sought
        )

    sought = (accuracy, MOST_FINER, True)
    if setup.group is not None:
        most = most_finer(setup.student_units, setup.student_units + setup.teacher_units)
        sought = (accuracy, most, True)
        if accuracy is None:
            sought = (BATCH_ACCURACY, min(FINER_BATCH, most), False)
    second = run.readout_learning_rate if setup.readout == "learned" else 0 * run.learning_rate
    rates = np.stack([run.learning_rate, run.gamma_learning_rate, second], axis=1)
    each = max(1, threads // len(rates))
    found = in_threads(
        one, list(rates), threads, progress=progress, label="macroscopic", unit="rates"
    )
    states, diverged_at, error = (np.array(part) for part in zip(*found, strict=True))
    return np.moveaxis(states, 1, -1), diverged_at, error


def integrate_committee(
    setup: TeacherStudent,
    start: OrderParameters,
    run: Run,
    schedule: Pieces,
    threads: int,
    accuracy: float | None = None,
    progress: bool | None = False,
) -> tuple[Records, np.ndarray]:
    """Integrate all trajectories.

    Returns
    -------
    records : tuple of ndarray
        ρ, (learning rates, times, K, K*), Q, (…, K, K), γ and v, (…, K), and when a trajectory
        diverged, (learning rates,), NaN for one that does not.
    error : ndarray, (learning rates, times)
        Relative error of the averages; 0 where they are closed.

    Raises
    ------
    InvalidSetup
        γ = 0 at the start of an activation with a kink there.
    NotConverged
        The solver gave up, or the averages do not reach the accuracy that is asked for.
    """
    rho, q, gamma, readout = start.matrices(setup)
    check_scale(setup, start)
    first = pack(rho, q, gamma, readout)
    own = np.abs(gamma) if setup.normalizer.has_scale else np.sqrt(np.diag(q))
    largest = float(max(own.max(), np.sqrt(np.diag(setup.teacher_gram)).max()))

    def trajectory(flow: CommitteeFlow, rates: np.ndarray, watch: Watch) -> Found:
        if flow.system is None:
            return _sampled(flow, rates, first, run.time, schedule, watch)
        problem = Problem(first, *schedule, run.time, LARGEST_LOG_LENGTH)
        states, diverged_at = _compiled(Learner(flow.system, rates), problem, watch.stop)
        return states, diverged_at, np.zeros(run.time.size)

    flow_of = partial(CommitteeFlow, setup, largest)
    found = all_trajectories(flow_of, trajectory, setup, run, threads, accuracy, progress)
    states, diverged_at, error = found
    rho, q, gamma, readout = unpack(states, setup.student_units, setup.teacher_units)
    return (rho, q, gamma, readout, diverged_at), error


def _compiled(learner: Learner, problem: Problem, stop: np.ndarray) -> tuple[np.ndarray, float]:
    """Integrate closed averages; returns states (entries, times) and when they diverged or NaN."""
    start, time = problem.start, problem.time
    states = np.full((start.size, time.size), np.inf)
    ended, reached = integrate(learner, problem, states, stop)
    states[:, time == 0] = start[:, None]
    if ended == STOPPED:
        raise NotConverged(
            f"The solver stopped at t = {reached:g} for learning rate {learner.rates[0]:g}: no "
            "step is accurate, or the bound on its work is reached. Ask for a shorter time, a "
            "smaller learning rate or a less extreme start."
        )
    return states, reached if ended == DIVERGED else np.nan


def tolerances_of(flow: CommitteeFlow) -> tuple[float, float]:
    """Return the relative and the absolute tolerance of averages over points."""
    if flow.setup.group is not None:
        return BATCH[0] * 2 ** (-GAIN * flow.finer), BATCH[1] * 2 ** (-GAIN * flow.finer)
    if not flow.setup.activation.kinks:
        return SMOOTH
    rule = Quadrature.for_activation(flow.setup.activation)
    fields = flow.setup.student_units + flow.setup.teacher_units
    return NESTED if serves(rule, fields, 1.0) else KINKED


def _sampled(
    flow: CommitteeFlow,
    rates: np.ndarray,
    first: np.ndarray,
    time: np.ndarray,
    schedule: Pieces,
    watch: Watch,
) -> Found:
    """Integrate averages over points; returns also their errors at the times."""
    units, teachers = flow.setup.student_units, flow.setup.teacher_units
    squares = [diagonal(k, units, teachers) for k in range(units)]

    def length(states: np.ndarray) -> np.ndarray:
        return np.sqrt(np.abs(states[squares]).max(axis=0))

    tolerances = tolerances_of(flow)
    found = integrate_state(
        flow, rates, first, time, schedule, length, tolerances=tolerances, advance=watch.reach
    )
    errors = np.full(time.size, np.inf)
    for i in np.flatnonzero(np.isfinite(found[0]).all(axis=0)):
        flow(found[0][:, i], rates)
        errors[i] = flow.error
    return *found, errors

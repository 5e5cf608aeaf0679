r"""Trajectories of a committee whose averages are closed, in compiled code with Rodas5P.

The method is that of `statmech_bn.online.flow.trajectory`, for a state of any size: steps are
chosen by u₈ (`statmech_bn.online.flow.rosenbrock`), requested times are interpolated, and no step
crosses from one piece of a schedule to the next.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statmech_bn.averages.committee_closed import Room, compiled, error_averages
from statmech_bn.online.flow.committee_rates import (
    Averages,
    Learning,
    arguments_of,
    diagonal,
    gram_of,
    rates_of,
)
from statmech_bn.online.flow.rosenbrock import (
    DIAGONAL,
    NODES,
    STAGES,
    dense_terms,
    factorize,
    interpolate,
    solve_stage,
    stage_state,
)
from statmech_bn.online.flow.trajectory import (
    DIFFERENCE,
    DIVERGED,
    FINISHED,
    MOST_STEPS,
    STOPPED,
    TIME_DIFFERENCE,
)
from statmech_bn.online.schedules.pieces import value_on

RELATIVE, ABSOLUTE = 1e-8, 1e-11
"""Local tolerances, the second by the largest entry of the state (or 1); trajectories keep within
1e-6."""
LARGEST_SQUARE = 1e100
"""A unit with a larger Q_kk has diverged."""


class System(NamedTuple):
    """What the derivatives of a state are computed with.

    Attributes
    ----------
    pairs, quadruples : Numba C callback
        Closed averages (`statmech_bn.averages.committee_closed`).
    learning : Learning
    room : Room
    averages : Averages
    gram, factors : ndarray
        Covariance of x, and a_j of z_j = a_j x_j.
    """

    pairs: object
    quadruples: object
    learning: Learning
    room: Room
    averages: Averages
    gram: np.ndarray
    factors: np.ndarray


@compiled
def population_averages(room, learning, gram, factors, averages):
    """Fill the averages of c from those of δ: c_km = a_k δ_km/M."""
    students, d = room.along.shape
    teachers = d - students
    for k in range(students):
        own = factors[teachers + k]
        averages.readout[k] = room.readout[k]
        averages.pull[k] = room.along[k, teachers + k] / np.sqrt(gram[teachers + k, teachers + k])
        for j in range(d):
            averages.along[k, j] = own * room.along[k, j]
        for m in range(students):
            other = factors[teachers + m]
            averages.noise[k, m] = own * other * room.noise[k, m] / learning.batch_size


@compiled
def derivatives(system, state, rates, found):
    """Fill the derivatives of a state; `rates` are η, η_γ and η_v."""
    room, learning, gram, factors = system.room, system.learning, system.gram, system.factors
    gram_of(state, learning, gram)
    arguments_of(state, learning, gram, factors, room.weights)
    for i in range(factors.size):
        for j in range(factors.size):
            room.mixed[i, j] = factors[i] * gram[i, j]
            room.fields[i, j] = room.mixed[i, j] * factors[j]
    error_averages(system.pairs, system.quadruples, room, learning.label_noise**2)
    population_averages(room, learning, gram, factors, system.averages)
    rates_of(state, learning, system.averages, rates, found)


@compiled
def linearize(system, state, rates, slope, jacobian):
    """Fill ∂(derivatives)/∂(state) by differences."""
    probe, moved = state.copy(), np.empty(state.size)
    for n in range(state.size):
        probe[n] = state[n] + DIFFERENCE * (abs(state[n]) + 1e-3)
        change = probe[n] - state[n]
        derivatives(system, probe, rates, moved)
        for i in range(state.size):
            jacobian[i, n] = (moved[i] - slope[i]) / change
        probe[n] = state[n]


@compiled
def largest_square(state, students, teachers):
    """Return the largest Q_kk."""
    largest = 0.0
    for k in range(students):
        largest = max(largest, state[diagonal(k, students, teachers)])
    return largest


@compiled
def committee_trajectory(system, learning_rates, start, edges, factors, time, states):
    """Fill `states` (entries, times) as far as it goes; returns how it ended and when."""
    entries = start.size
    students, d = system.averages.along.shape
    slope, moved, drift = np.empty(entries), np.empty(entries), np.zeros(entries)
    found, right, terms = np.empty(entries), np.empty(entries), np.empty((3, entries))
    state = start.copy()
    jacobian, lower_upper = np.empty((entries, entries)), np.empty((entries, entries))
    order, increments = np.empty(entries, np.int64), np.empty((STAGES, entries))
    now, size, recorded = 0.0, 0.0, 0
    steps = 0
    for piece in range(edges.size - 1):
        end = edges[piece + 1]
        varies = np.any(factors[piece, 1:] != 0.0)
        accepted = True
        while now < end:
            if accepted:
                rates = learning_rates * value_on(edges, factors, piece, now)
                derivatives(system, state, rates, slope)
                linearize(system, state, rates, slope, jacobian)
                drift[:] = 0.0
                if varies:
                    change = TIME_DIFFERENCE * (end - edges[piece])
                    for sign in (1.0, -1.0):
                        factor = value_on(edges, factors, piece, now + sign * change)
                        derivatives(system, state, learning_rates * factor, moved)
                        drift += sign * moved / (2.0 * change)
                if size == 0.0:
                    size = 1e-3 / max(np.abs(slope).max(), 1e-3 / end)
            last = size >= end - now
            if last:
                size = end - now
            factorize(jacobian, 1.0 / (size * DIAGONAL), lower_upper, order)
            for stage in range(STAGES):
                stage_state(state, increments, stage, found)
                if stage == 0:
                    moved[:] = slope
                else:
                    at = now + NODES[stage] * size if varies else now
                    rates = learning_rates * value_on(edges, factors, piece, at)
                    derivatives(system, found, rates, moved)
                solve_stage(lower_upper, order, increments, stage, size, moved, drift, right)
            error = 0.0
            absolute = ABSOLUTE * max(1.0, np.abs(state).max())
            for n in range(entries):
                found[n] += increments[STAGES - 1, n]
                scale = absolute + RELATIVE * max(abs(state[n]), abs(found[n]))
                error += (increments[STAGES - 1, n] / scale) ** 2 / entries
            accepted = error <= 1.0
            growth = 0.9 * error**-0.1
            if accepted:
                after = end if last else now + size
                dense_terms(increments, terms)
                while recorded < time.size and time[recorded] <= after:
                    part = (time[recorded] - now) / size
                    for n in range(entries):
                        states[n, recorded] = interpolate(state, found, terms, part, n)
                    recorded += 1
                now = after
                state[:] = found
                if largest_square(state, students, d - students) > LARGEST_SQUARE:
                    states[:, time >= now] = np.inf
                    return DIVERGED, now
            size *= min(6.0, max(0.2, growth)) if growth == growth else 0.1
            steps += 1
            if steps > MOST_STEPS or now + size == now:
                gone = largest_square(state, students, d - students) > np.sqrt(LARGEST_SQUARE)
                return DIVERGED if gone else STOPPED, now
    return FINISHED, now

"""Trajectories of a committee whose averages are closed, in compiled code.

The solver is `statmech_bn.online.flow.adaptive`; a trajectory is as long as its longest unit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from statmech_bn.averages.committee_closed import Room, compiled, error_averages
from statmech_bn.online.flow.adaptive import Equations, inlined, largest_of, only_trajectory
from statmech_bn.online.flow.committee_rates import (
    Averages,
    Learning,
    arguments_of,
    diagonal,
    gram_of,
    rates_of,
)

RELATIVE, ABSOLUTE = 1e-8, 1e-11
"""Local tolerances, the second by the largest entry of the state (or 1); trajectories keep within
1e-6."""
LARGEST_LOG_LENGTH = 50.0 * math.log(10.0)
"""A longer unit has diverged: its averages are of order Q_kk²."""


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


class Learner(NamedTuple):
    """What one trajectory is computed with."""

    system: System
    rates: np.ndarray  # η, η_γ and η_v


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
def fill_averages(system):
    """Fill the averages at the covariance, the factors and the weights ω of a system."""
    room, learning, gram, factors = system.room, system.learning, system.gram, system.factors
    for i in range(factors.size):
        for j in range(factors.size):
            room.mixed[i, j] = factors[i] * gram[i, j]
            room.fields[i, j] = room.mixed[i, j] * factors[j]
    error_averages(system.pairs, system.quadruples, room, learning.label_noise**2)
    population_averages(room, learning, gram, factors, system.averages)


@compiled
def derivatives(system, state, rates, found):
    """Fill the derivatives of a state; `rates` are η, η_γ and η_v."""
    gram_of(state, system.learning, system.gram)
    arguments_of(state, system.learning, system.gram, system.factors, system.room.weights)
    fill_averages(system)
    rates_of(state, system.learning, system.averages, rates, found)


@inlined
def at_factor(learner, state, factor, found):
    """Fill the derivatives of a state at a factor of the learning rates."""
    derivatives(learner.system, state, learner.rates * factor, found)


@inlined
def tolerance(learner, state, found, n):
    """Return the tolerance of an entry."""
    largest = max(1.0, largest_of(state))
    return ABSOLUTE * largest + RELATIVE * max(abs(state[n]), abs(found[n]))


@inlined
def log_length(learner, state):
    """Return the logarithm of the longest unit's length."""
    students, d = learner.system.averages.along.shape
    largest = 0.0
    for k in range(students):
        largest = max(largest, state[diagonal(k, students, d - students)])
    return 0.5 * np.log(largest)


@inlined
def growth(learner, state, slope):
    """Return the largest d log √Q_kk/dt."""
    students, d = learner.system.averages.along.shape
    largest = -np.inf
    for k in range(students):
        own = diagonal(k, students, d - students)
        largest = max(largest, 0.5 * slope[own] / state[own])
    return largest


LEARNER = Equations(at_factor, tolerance, log_length, growth)


@compiled
def integrate(learner, problem, states, stop):
    """Fill `states` (entries, times) as far as it goes; returns how it ended and when."""
    return only_trajectory(LEARNER, learner, problem, states, stop)

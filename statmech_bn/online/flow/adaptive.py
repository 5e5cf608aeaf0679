r"""Rodas5P with steps of chosen size, in compiled code, for the state of any equations.

A step is accepted if u₈ (`statmech_bn.online.flow.rosenbrock`) is below the tolerances,

    e² = mean over n of (u₈,ₙ/sₙ)² ≤ 1,        sₙ the tolerance of component n,

and the next one is 0.9 e^(−1/5) times as long. The requested times are interpolated, so that a
trajectory does not depend on which of them are asked for. The learning rates are multiplied by the
factor s(t) of a schedule, given as polynomials on pieces (`statmech_bn.online.schedules.pieces`),
and no step crosses from one piece to the next.

What is integrated are `Equations`: functions of whatever tuple of numbers and arrays they need.
They are compiled into the function that calls `trajectory`, which is the one that is kept on disk.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from statmech_bn.compile_cache import INNER, numba
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
from statmech_bn.online.schedules.pieces import value_on

FINISHED, DIVERGED, STOPPED, UNCOVERED = range(4)
"""How a trajectory ended: at the last time, at infinite length, without an acceptable step, or
where the series of the averages does not hold."""
MOST_STEPS = 100_000
DIFFERENCE = 1.5e-8
"""The Jacobian's difference quotients move a component by this part of itself, √ε."""
TIME_DIFFERENCE = 1e-5
"""Difference quotients in time, which are central, move by this part of a schedule's piece."""
BLOW_UP = 1e6
"""L is about to be infinite if log L, at its present rate, would grow by this in the time past."""

inlined = numba.njit(nogil=True, error_model="numpy", **INNER)
"""Compiles a function into those that call it; it has no file of its own in the cache."""
merged = numba.njit(nogil=True, error_model="numpy", forceinline=True, **INNER)
"""Does so for a function that takes functions. Passed to a separate one they would be addresses,
and Numba keeps no machine code with addresses."""


@inlined
def upwards(state, i):
    """Return the component that is moved for column i of the Jacobian, and the sign of its move."""
    return i, 1.0


@inlined
def nowhere(parameters, state, found):
    """Return the part of a step at which the flow jumps: none does here."""
    return 1.0


@inlined
def everywhere(parameters, state):
    """Return whether the derivatives hold at a state that the trajectory has come to."""
    return True


@inlined
def unchanged(parameters, column):
    """Leave a state as it is recorded."""


class Equations(NamedTuple):
    """The functions of a system of differential equations, compiled.

    Attributes
    ----------
    derivatives : (parameters, state, factor, found) ↦ None
        Fills the derivatives where the schedule's factor is `factor`.
    tolerance : (parameters, state, found, n) ↦ float
        Largest error of component n in a step from one state to another.
    log_length : (parameters, state) ↦ float
        log L of a student.
    growth : (parameters, state, slope) ↦ float
        Its derivative, from those of the state.
    variation : (state, i) ↦ (int, float)
        Component that is moved for column i of the Jacobian, and the sign of its move.
    jump : (parameters, state, found) ↦ float
        Part of an acceptable step at which it must end because the flow jumps there, else 1.
    enter : (parameters, state) ↦ bool
        Takes note of a state at the end of a step; returns whether the derivatives hold there.
    observe : (parameters, column) ↦ None
        Changes an interpolated state to the one that is recorded.
    """

    derivatives: Any
    tolerance: Any
    log_length: Any
    growth: Any
    variation: Any = upwards
    jump: Any = nowhere
    enter: Any = everywhere
    observe: Any = unchanged


class Problem(NamedTuple):
    """What is common to trajectories.

    Attributes
    ----------
    start : ndarray, (entries,)
        State at time 0.
    edges, factors : ndarray
        Pieces of a schedule (`statmech_bn.online.schedules.pieces`).
    time : ndarray, (times,)
        When the state is recorded.
    largest_log_length : float
        A trajectory that comes to this log L has diverged.
    """

    start: np.ndarray
    edges: np.ndarray
    factors: np.ndarray
    time: np.ndarray
    largest_log_length: float


class Workspace(NamedTuple):
    """Arrays of one trajectory; functions take them out once, since each time costs a count."""

    state: np.ndarray  # (entries,), at the beginning of the step
    found: np.ndarray  # (entries,), at its end
    slope: np.ndarray  # (entries,), derivatives at the beginning
    drift: np.ndarray  # (entries,), their derivatives in time
    moved: np.ndarray  # (entries,), derivatives elsewhere
    right: np.ndarray  # (entries,)
    jacobian: np.ndarray  # (entries, entries)
    lower_upper: np.ndarray  # (entries, entries)
    order: np.ndarray  # (entries,), of its rows
    increments: np.ndarray  # (stages, entries)
    terms: np.ndarray  # (3, entries), of the interpolation


@inlined
def make_workspace(start):
    """Allocate; the state is that of the start."""
    n = start.size
    return Workspace(
        state=start.copy(),
        found=np.empty(n),
        slope=np.empty(n),
        drift=np.zeros(n),
        moved=np.empty(n),
        right=np.empty(n),
        jacobian=np.empty((n, n)),
        lower_upper=np.empty((n, n)),
        order=np.empty(n, np.int64),
        increments=np.empty((STAGES, n)),
        terms=np.empty((3, n)),
    )


@inlined
def assign(target, source):
    """Copy numbers one by one; a slice's assignment takes ten seconds to compile for its errors."""
    for n in range(target.size):
        target[n] = source[n]


@inlined
def largest_of(numbers):
    """Return the largest absolute value."""
    found = 0.0
    for number in numbers.flat:
        found = max(found, abs(number))
    return found


@merged
def linearize(equations, parameters, work, factor):
    """Fill the derivatives of a state and ∂(derivatives)/∂(state), by differences."""
    state, probe, slope, _, moved, _, jacobian, _, _, _, _ = work
    equations.derivatives(parameters, state, factor, slope)
    for i in range(probe.size):
        n, sign = equations.variation(state, i)
        assign(probe, state)
        probe[n] += sign * (DIFFERENCE * (abs(state[n]) + 1e-3))
        change = probe[n] - state[n]
        equations.derivatives(parameters, probe, factor, moved)
        for j in range(probe.size):
            jacobian[j, n] = (moved[j] - slope[j]) / change


@merged
def differentiate_in_time(equations, parameters, work, problem, piece, now):
    """Fill ∂(derivatives)/∂t, by central differences."""
    edges, factors = problem.edges, problem.factors
    change = TIME_DIFFERENCE * (edges[piece + 1] - edges[piece])
    work.drift[:] = 0.0
    for sign in (1.0, -1.0):
        factor = value_on(edges, factors, piece, now + sign * change)
        equations.derivatives(parameters, work.state, factor, work.moved)
        for n in range(work.drift.size):
            work.drift[n] += sign * work.moved[n] / (2.0 * change)


@merged
def attempt(equations, parameters, work, problem, piece, now, size, varies):
    """Fill the state at the end of a step; returns e², its squared error by the tolerances."""
    state, found, slope, drift, moved, right, jacobian, lower_upper, order, increments, _ = work
    factorize(jacobian, 1.0 / (size * DIAGONAL), lower_upper, order)
    factor = value_on(problem.edges, problem.factors, piece, now)
    for stage in range(STAGES):
        stage_state(state, increments, stage, found)
        if stage == 0:
            assign(moved, slope)
        else:
            if varies:
                at = now + NODES[stage] * size
                factor = value_on(problem.edges, problem.factors, piece, at)
            equations.derivatives(parameters, found, factor, moved)
        solve_stage(lower_upper, order, increments, stage, size, moved, drift, right)
    error = 0.0
    last = increments[STAGES - 1]
    for n in range(last.size):
        found[n] += last[n]
        scale = equations.tolerance(parameters, state, found, n)
        error += (last[n] / scale) ** 2 / last.size
    return error


@merged
def trajectory(equations, parameters, problem, states, stop):
    """Fill `states` (entries, times) as far as it goes; returns how it ended and when.

    States after the end of the trajectory are left as they are.
    """
    start, edges, factors, time, largest = problem
    work = make_workspace(start)
    state, found, slope = work.state, work.found, work.slope
    log_length = equations.log_length
    now, size, steps, recorded = 0.0, 0.0, 0, 0
    for piece in range(edges.size - 1):
        end = edges[piece + 1]
        varies = largest_of(factors[piece, 1:]) != 0.0
        accepted = True
        while now < end:
            if stop[0]:
                return STOPPED, now
            if accepted:
                linearize(equations, parameters, work, value_on(edges, factors, piece, now))
                work.drift[:] = 0.0
                if varies:
                    differentiate_in_time(equations, parameters, work, problem, piece, now)
                if size == 0.0:
                    size = 1e-3 / max(largest_of(slope), 1e-3 / end)
            last = size >= end - now
            if last:
                size = end - now
            error = attempt(equations, parameters, work, problem, piece, now, size, varies)
            growth = 0.9 * error**-0.1
            part = equations.jump(parameters, state, found) if error <= 1.0 else 1.0
            if part < 1.0 and now + part * size > now:
                size *= part
                accepted = False
            elif error <= 1.0:
                after = end if last else now + size
                dense_terms(work.increments, work.terms)
                reached = after
                before, behind = log_length(parameters, state), log_length(parameters, found)
                if behind >= largest:
                    reached = now + (largest - before) / (behind - before) * size
                while recorded < time.size and time[recorded] <= reached:
                    part = (time[recorded] - now) / size
                    for n in range(state.size):
                        states[n, recorded] = interpolate(state, found, work.terms, part, n)
                    equations.observe(parameters, states[:, recorded])
                    recorded += 1
                if behind >= largest:
                    return DIVERGED, reached
                now = after
                assign(state, found)
                if not equations.enter(parameters, state):
                    return UNCOVERED, now
                size *= min(6.0, growth) if accepted else min(1.0, growth)
                accepted = True
            else:
                size *= max(0.2, growth) if growth > 0.0 else 0.2
                accepted = False
            steps += 1
            if steps == MOST_STEPS or (now < end and now + size == now):
                gone = equations.growth(parameters, state, slope) * now > BLOW_UP
                return DIVERGED if gone else STOPPED, now
    return FINISHED, now


only_trajectory = numba.njit(nogil=True, error_model="numpy", inline="always", **INNER)(
    trajectory.py_func
)
"""A function that does nothing else calls this one, and they are compiled once, as one. In a loop
over trajectories `trajectory` takes longer to compile and is faster."""

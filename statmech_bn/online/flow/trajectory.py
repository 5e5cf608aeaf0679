r"""Trajectories of (R, log L, γ), integrated in compiled code with Rodas5P.

The steps are chosen so that u₈ is below the tolerances (`statmech_bn.online.flow.rosenbrock`), and
the requested times are interpolated: a trajectory does not depend on which of them are asked for.
The learning rates are multiplied by the factor s(t) of a schedule, given as polynomials on pieces
(`statmech_bn.online.schedules.pieces`), and no step crosses from one piece to the next.

With a kink of g at zero the flow jumps at γ = 0. A trajectory then knows its side of zero, and the
flow beyond is the limit of that side (`on_side`), which is smooth. Where γ passes zero, the other
side either draws it on, and the trajectory changes sides there, or back, and it rests at γ = 0
(`statmech_bn.online.flow.zero_scale`): beyond zero the limit moves neither R nor L.
"""

import numpy as np

from statmech_bn.averages.chebyshev import four_averages
from statmech_bn.compile_cache import numba
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
RELATIVE, ABSOLUTE = 1e-8, 1e-12
"""Local tolerances of R and γ, and RELATIVE that of log L; trajectories keep within 1e-7."""
MOST_STEPS = 100_000
DIFFERENCE = 1.5e-8
"""The Jacobian's difference quotients move a component by this part of itself, √ε."""
TIME_DIFFERENCE = 1e-5
"""Difference quotients in time, which are central, move by this part of a schedule's piece."""
BLOW_UP = 1e6
"""L is about to be infinite if log L, at its present rate, would grow by this in the time past."""
NEAREST = 1e-30
"""The |γ| that stands for the limit γ → 0±."""
AVERAGES = 9
"""Where (D, A₂, B, B_Δ) stand in a point: after (R, log L, γ), (η, η_γ) and (M, Δ, ζ, λ)."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def on_side(side, gamma):
    """Return γ, but its limit at zero where it is on the other side; side 0 has no other."""
    return gamma if side == 0.0 else side * max(side * gamma, NEAREST)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def evaluate(system, point, known, side, state, rates):
    """Fill the derivatives at a state; `known` is the (R, γ) of the averages in the point."""
    of_length, flow, table, lengths, lower, upper, sums = system
    point[0], point[1], point[2] = state[0], state[1], on_side(side, state[2])
    if table.size > 0:
        scale = np.exp(state[1]) if of_length else point[2]
        if known[0] != state[0] or known[1] != scale:
            known[0], known[1] = state[0], scale
            four_averages(table, lengths, lower, upper, state[0], scale, sums, point[AVERAGES:])
    flow(point, rates)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def linearize(system, point, known, side, state, rates, probe, jacobian):
    """Fill ∂(derivatives)/∂(state), differences taken towards R = 0 and away from γ = 0."""
    moved = np.empty(3)
    for n in (1, 0, 2):  # log L first: normalized students need no new averages for it
        probe[:] = state
        change = DIFFERENCE * (abs(state[n]) + 1e-3)
        if (n == 0 and state[0] > 0.0) or (n == 2 and state[2] < 0.0):
            change = -change
        probe[n] += change
        change = probe[n] - state[n]
        evaluate(system, point, known, side, probe, moved)
        for i in range(3):
            jacobian[i, n] = (moved[i] - rates[i]) / change


@numba.njit(cache=True, nogil=True, error_model="numpy")
def set_rates(point, learning_rate, factor):
    """Put the learning rates of a moment into a point."""
    point[3], point[4] = learning_rate[0] * factor, learning_rate[1] * factor


@numba.njit(cache=True, nogil=True, error_model="numpy")
def trajectory(
    system,
    point,
    kinked,
    learning_rate,
    start,
    edges,
    factors,
    time,
    largest_log_length,
    states,
    stop,
):
    """Fill `states` (3, times) as far as it goes; returns how it ended and when."""
    known = np.full(2, np.nan)
    rates, moved, drift = np.empty(3), np.empty(3), np.zeros(3)
    state, found, terms = start.copy(), np.empty(3), np.empty((3, 3))
    jacobian, factors_of_step, order = np.empty((3, 3)), np.empty((3, 3)), np.empty(3, np.int64)
    increments, right = np.empty((STAGES, 3)), np.empty(3)
    of_length, has_series, lower, upper = system[0], system[2].size > 0, system[4], system[5]
    now, size, steps, recorded = 0.0, 0.0, 0, 0
    side = np.copysign(1.0, start[2]) if kinked else 0.0
    rests = False
    for piece in range(edges.size - 1):
        end = edges[piece + 1]
        varies = np.any(factors[piece, 1:] != 0.0)
        accepted = True
        while now < end:
            if stop[0]:
                return STOPPED, now
            factor = value_on(edges, factors, piece, now)
            set_rates(point, learning_rate, factor)
            if accepted:
                evaluate(system, point, known, side, state, rates)
                linearize(system, point, known, side, state, rates, found, jacobian)
                drift[:] = 0.0
                if varies:
                    change = TIME_DIFFERENCE * (end - edges[piece])
                    for sign in (1.0, -1.0):
                        factor = value_on(edges, factors, piece, now + sign * change)
                        set_rates(point, learning_rate, factor)
                        evaluate(system, point, known, side, state, moved)
                        for n in range(3):
                            drift[n] += sign * moved[n] / (2.0 * change)
                if size == 0.0:
                    size = 1e-3 / max(abs(rates[0]), abs(rates[1]), abs(rates[2]), 1e-3 / end)
            last = size >= end - now
            if last:
                size = end - now
            factorize(jacobian, 1.0 / (size * DIAGONAL), factors_of_step, order)
            for stage in range(STAGES):
                stage_state(state, increments, stage, found)
                if stage == 0:
                    moved[:] = rates
                else:
                    if varies:
                        at = now + NODES[stage] * size
                        set_rates(point, learning_rate, value_on(edges, factors, piece, at))
                    evaluate(system, point, known, side, found, moved)
                solve_stage(factors_of_step, order, increments, stage, size, moved, drift, right)
            error = 0.0
            for n in range(3):
                found[n] += increments[STAGES - 1, n]
                scale = RELATIVE
                if n != 1:
                    scale = ABSOLUTE + RELATIVE * max(abs(state[n]), abs(found[n]))
                error += (increments[STAGES - 1, n] / scale) ** 2 / 3.0
            growth = 0.9 * error**-0.1
            crosses = error <= 1.0 and side * found[2] < 0.0 and not rests
            if crosses:
                set_rates(point, learning_rate, 1.0)
                terms[0, 0], terms[0, 1], terms[0, 2] = found[0], found[1], 0.0
                evaluate(system, point, known, -side, terms[0], moved)
                rests = side * moved[2] >= 0.0
                crosses = not rests
            part = state[2] / (state[2] - found[2]) if crosses else 1.0
            if crosses and abs(found[2]) > ABSOLUTE and now + part * size > now:
                size *= part  # the secant ends the next step at γ = 0
                accepted = False
            elif error <= 1.0:
                after = end if last else now + size
                dense_terms(increments, terms)
                reached = after
                if found[1] >= largest_log_length:
                    part = (largest_log_length - state[1]) / (found[1] - state[1])
                    reached = now + part * size
                while recorded < time.size and time[recorded] <= reached:
                    part = (time[recorded] - now) / size
                    for n in range(3):
                        states[n, recorded] = interpolate(state, found, terms, part, n)
                    if rests and side * states[2, recorded] < 0.0:
                        states[2, recorded] = 0.0
                    recorded += 1
                if found[1] >= largest_log_length:
                    return DIVERGED, reached
                now = after
                state[:] = found
                if crosses:
                    side = -side
                if has_series:
                    scale = np.exp(state[1]) if of_length else on_side(side, state[2])
                    if not lower <= scale <= upper:
                        return UNCOVERED, now
                size *= min(6.0, growth) if accepted else min(1.0, growth)
                accepted = True
            else:
                size *= max(0.2, growth) if growth > 0.0 else 0.2
                accepted = False
                if now + size == now:
                    return (DIVERGED if rates[1] * now > BLOW_UP else STOPPED), now
            steps += 1
            if steps == MOST_STEPS:
                return STOPPED, now
    return FINISHED, now


@numba.njit(cache=True, nogil=True, error_model="numpy")
def integrate(
    flow,
    of_length,
    kinked,
    table,
    lengths,
    lower,
    upper,
    tail,
    learning_rates,
    start,
    edges,
    factors,
    time,
    largest_log_length,
    states,
    ended,
    reached,
    watch,
):
    """Fill `states` (trajectories, 3, times), how each trajectory ended, and when.

    States after the end of a trajectory are left as they are.
    """
    system = (of_length, flow, table, lengths, lower, upper, np.empty(table.shape[1]))
    point = np.zeros(5 + tail.size)
    point[5:] = tail
    for k in range(learning_rates.shape[0]):
        ended[k], reached[k] = trajectory(
            system,
            point,
            kinked,
            learning_rates[k],
            start,
            edges,
            factors,
            time,
            largest_log_length,
            states[k],
            watch.stop,
        )
        watch.done[0] += 1.0

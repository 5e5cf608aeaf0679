r"""Trajectories of (R, log L, γ), in compiled code (`statmech_bn.online.flow.adaptive`).

With a kink of g at zero the flow jumps at γ = 0. A trajectory then knows its side of zero, and the
flow beyond is the limit of that side (`on_side`), which is smooth. Where γ passes zero, the other
side either draws it on, and the trajectory changes sides there, or back, and it rests at γ = 0
(`statmech_bn.online.flow.zero_scale`): beyond zero the limit moves neither R nor L.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from statmech_bn.averages.chebyshev import four_averages
from statmech_bn.compile_cache import numba
from statmech_bn.online.flow.adaptive import Equations, inlined, merged, trajectory

RELATIVE, ABSOLUTE = 1e-8, 1e-12
"""Local tolerances of R and γ, and RELATIVE that of log L; trajectories keep within 1e-7."""
NEAREST = 1e-30
"""The |γ| that stands for the limit γ → 0±."""
AVERAGES = 9
"""Where (D, A₂, B, B_Δ) stand in a point: after (R, log L, γ), (η, η_γ) and (M, Δ, ζ, λ)."""
SIDE, RESTS, RATE, GAMMA_RATE, OVERLAP, SCALE, OWN = range(7)
"""Where a trajectory's own numbers stand: its side of γ = 0 (or 0), 1.0 once it rests there, its η
and η_γ, and the R and scale that the averages in the point belong to."""


class CompiledFlow(NamedTuple):
    """Derivatives of (R, log L, γ) as compiled code takes them.

    Attributes
    ----------
    derivatives : Numba C callback
        ``f(x, out)`` with x = (R, log L, γ, η, η_γ, then `tail`) and out the three derivatives.
    of_length : bool
        Whether the averages depend on (R, L), without a scale, rather than on (R, γ).
    kinked : bool
        Whether the derivatives jump at γ = 0, because g has a kink at zero.
    tail : ndarray
        M, Δ, ζ, λ, then the coefficients of closed averages, or else room for (D, A₂, B, B_Δ).
    table, lengths, lower, upper
        Packed series of the averages and its range; empty where they are closed.
    """

    derivatives: Any
    of_length: bool
    kinked: bool
    tail: np.ndarray
    table: np.ndarray
    lengths: np.ndarray
    lower: float = 0.0
    upper: float = 0.0


class Student(NamedTuple):
    """What the derivatives of one trajectory are computed with."""

    flow: CompiledFlow
    point: np.ndarray  # arguments of the flow
    own: np.ndarray  # its own numbers, then room for sums of the series


class Records(NamedTuple):
    """Results of trajectories; states after the end of one are left as they are."""

    states: np.ndarray  # (trajectories, 3, times)
    ended: np.ndarray  # (trajectories,), how
    reached: np.ndarray  # (trajectories,), when


@numba.njit(cache=True, nogil=True, error_model="numpy")
def on_side(side, gamma):
    """Return γ, but its limit at zero where it is on the other side; side 0 has no other."""
    return gamma if side == 0.0 else side * max(side * gamma, NEAREST)


@inlined
def scale_of(of_length, side, state):
    """Return what the averages depend on besides R."""
    return np.exp(state[1]) if of_length else on_side(side, state[2])


@merged
def derivatives(student, state, factor, found):
    """Fill the derivatives of a state."""
    flow, point, own = student
    move, of_length, _, _, table, lengths, lower, upper = flow
    point[0], point[1], point[2] = state[0], state[1], on_side(own[SIDE], state[2])
    point[3], point[4] = own[RATE] * factor, own[GAMMA_RATE] * factor
    if table.size > 0:
        scale = scale_of(of_length, own[SIDE], state)
        if own[OVERLAP] != state[0] or own[SCALE] != scale:
            own[OVERLAP], own[SCALE] = state[0], scale
            four_averages(
                table, lengths, lower, upper, state[0], scale, own[OWN:], point[AVERAGES:],
            )  # fmt: skip
    move(point, found)


@inlined
def variation(state, i):
    """Move log L first, for which normalized students need no new averages.

    R is moved towards zero, and γ away from it.
    """
    if i == 0:
        return 1, 1.0
    if i == 1:
        return 0, -1.0 if state[0] > 0.0 else 1.0
    return 2, -1.0 if state[2] < 0.0 else 1.0


@inlined
def tolerance(student, state, found, n):
    """Return the tolerance of a component; log L has an absolute one."""
    if n == 1:
        return RELATIVE
    return ABSOLUTE + RELATIVE * max(abs(state[n]), abs(found[n]))


@inlined
def log_length(student, state):
    """Return log L."""
    return state[1]


@inlined
def growth(student, state, slope):
    """Return d log L/dt."""
    return slope[1]


@inlined
def beyond(crossing, gamma):
    """Whether γ is on the other side of zero, for a trajectory that does not rest there."""
    return crossing[SIDE] * gamma < 0.0 and crossing[RESTS] == 0.0


@inlined
def jump(student, state, found):
    """Find where γ passes zero, on the secant, or that it rests there."""
    crossing = student.own
    side = crossing[SIDE]
    if not beyond(crossing, found[2]):
        return 1.0
    at_zero, slope = np.array([found[0], found[1], 0.0]), np.empty(3)
    crossing[SIDE] = -side
    derivatives(student, at_zero, 1.0, slope)
    crossing[SIDE] = side
    if side * slope[2] >= 0.0:
        crossing[RESTS] = 1.0
        return 1.0
    return state[2] / (state[2] - found[2]) if abs(found[2]) > ABSOLUTE else 1.0


@inlined
def enter(student, state):
    """Change sides where γ has passed zero; the series must hold."""
    crossing, flow = student.own, student.flow
    if beyond(crossing, state[2]):
        crossing[SIDE] = -crossing[SIDE]
    scale = scale_of(flow.of_length, crossing[SIDE], state)
    return flow.table.size == 0 or flow.lower <= scale <= flow.upper


@inlined
def observe(student, column):
    """Record γ = 0 of a trajectory that rests."""
    if student.own[RESTS] != 0.0 and student.own[SIDE] * column[2] < 0.0:
        column[2] = 0.0


STUDENT = Equations(derivatives, tolerance, log_length, growth, variation, jump, enter, observe)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def integrate(flow, rates, problem, records, watch):
    """Fill the records of trajectories; `rates` are η and η_γ of each."""
    point = np.zeros(5 + flow.tail.size)
    for i in range(flow.tail.size):
        point[5 + i] = flow.tail[i]
    own = np.empty(OWN + flow.table.shape[1])
    for k in range(rates.shape[0]):
        own[SIDE] = np.copysign(1.0, problem.start[2]) if flow.kinked else 0.0
        own[RESTS] = 0.0
        own[RATE], own[GAMMA_RATE] = rates[k]
        own[OVERLAP] = own[SCALE] = np.nan
        end = trajectory(STUDENT, Student(flow, point, own), problem, records.states[k], watch.stop)
        records.ended[k], records.reached[k] = end
        watch.done[0] += 1.0

r"""Trajectories of (R, log L, γ) whose averages are integrated for each state, by LSODA.

Activations with kinks away from zero have no series of their averages, and a series has an end. An
evaluation then costs far more than the solver, and a multistep method asks for the fewest: LSODA
(Petzold 1983), which turns to a stiff method where γ or L relax fast.

With a kink of g at zero the flow on one side of γ = 0 is continued beyond by its limit, as in
`statmech_bn.online.flow.trajectory`. Beyond zero γ then falls by c∫η_γ dt, with c of the limit,
which says when it has passed zero.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from statmech_bn.errors import NotConverged
from statmech_bn.online.arguments import LARGEST_LENGTH
from statmech_bn.online.flow.adaptive import DIVERGED, FINISHED, STOPPED
from statmech_bn.online.flow.derivatives import LARGEST_LOG_LENGTH, Flow
from statmech_bn.online.flow.trajectory import NEAREST, on_side
from statmech_bn.online.schedules.pieces import integral_until, value_on
from statmech_bn.online.schedules.schedule import Pieces

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Local tolerances; they keep trajectories within 1e-6."""

MOST_EVALUATIONS, MOST_A_PIECE = 10_000, 200
"""Evaluations of the flow that one trajectory may take, and as many more for each piece of s(t)."""

MOST_OF_A_STATE = 200_000
"""Evaluations of a flow of any size that one trajectory may take."""

MOST_FOR_FULL = 401
"""States of at most so many numbers have a full Jacobian; stiff ones need up to 50 times less."""


class Spent(Exception):
    """A trajectory has taken all of its evaluations."""


Change = Callable[[np.ndarray, float], Any]
Advance = Callable[[float], Any]
"""Is told the part of a trajectory's time that has passed."""


def integrate(
    flow: Flow,
    rates: np.ndarray,
    start: np.ndarray,
    schedule: Pieces,
    time: np.ndarray,
    kinked: bool = False,
    advance: Advance = float,
) -> tuple[np.ndarray, int, float]:
    """Integrate one trajectory.

    Parameters
    ----------
    flow : callable
        (R, log L, γ, η, η_γ) ↦ their derivatives.
    rates : ndarray
        (η, η_γ).
    start : ndarray
        (R, log L, γ) at time 0.
    schedule : tuple of ndarray
        Edges and coefficients of its pieces (`statmech_bn.online.schedules.pieces`).
    time : ndarray
    kinked : bool
        Whether the flow jumps at γ = 0.
    advance : callable, optional

    Returns
    -------
    states : ndarray
        (R, log L, γ) at the times, shape (3, times), inf after the end of the trajectory.
    ended, reached : int, float
        How it ended (`statmech_bn.online.flow.adaptive`) and when.
    """
    edges, factors = schedule
    span = edges[-1] or 1.0
    states, state = np.full((3, time.size), np.inf), start
    evaluations, seen = 0, 0.0
    most = MOST_EVALUATIONS + MOST_A_PIECE * (edges.size - 1)
    side, rests = float(np.copysign(1.0, start[2])) if kinked else 0.0, False
    piece = 0

    def change(state: np.ndarray, now: float) -> tuple[float, ...]:
        nonlocal evaluations, seen
        evaluations, seen = evaluations + 1, now
        if evaluations > most:
            raise Spent
        advance(now / span)
        now_rates = rates * value_on(edges, factors, piece, now)
        return flow(state[0], state[1], on_side(side, state[2]), *now_rates)

    for piece in range(edges.size - 1):
        left, right = edges[piece], edges[piece + 1]
        while left < edges[piece + 1]:
            inside = (left < time) & (time <= right)
            grid = np.unique([left, *time[inside], right])
            if not np.isfinite(change(state, left)).all():  # a first step would never be chosen
                return states, STOPPED, float(left)
            try:
                solution, reached = integrate_piece(change, state, grid)
            except Spent:
                return states, STOPPED, float(seen)
            if right == edges[piece + 1] == reached and side * solution[2, -1] < 0 and not rests:
                moment = _passage(flow, rates, schedule, side, solution[:, -1], (left, right))
                rests = moment is None
                if moment is not None and moment > left:
                    right = moment
                    continue
                if moment is not None:
                    side = -side
                    continue
            if rests:
                solution[2, side * solution[2] < 0] = 0.0
            states[:, inside] = solution[:, np.isin(grid, time[inside])]
            if reached < right:
                rising = change(solution[:, grid <= reached][:, -1], reached)[1] > 0
                return states, DIVERGED if rising else STOPPED, reached
            beyond = np.flatnonzero(~(solution[1] < LARGEST_LOG_LENGTH))
            if beyond.size:
                around = [beyond[0] - 1, beyond[0]]
                reached = float(np.interp(LARGEST_LOG_LENGTH, solution[1, around], grid[around]))
                states[:, time > reached] = np.inf
                return states, DIVERGED, reached
            side = side if right == edges[piece + 1] else -side
            state, left, right = solution[:, -1], right, edges[piece + 1]
    return states, FINISHED, float(edges[-1])


def _passage(
    flow: Flow,
    rates: np.ndarray,
    schedule: Pieces,
    side: float,
    state: np.ndarray,
    span: tuple[float, float],
) -> float | None:
    """Return when γ has passed zero, from its state beyond; None if it rests there."""
    ahead, back = (side * flow(*state[:2], s * NEAREST, *rates)[2] for s in (side, -side))
    if back >= 0:
        return None
    at_zero = integral_until(*schedule, span[1]) - side * state[2] / ahead

    def late(moment: float) -> float:
        return integral_until(*schedule, moment) - at_zero

    if not (ahead < 0 and late(span[0]) < 0 < late(span[1])):
        return span[0]
    from scipy.optimize import brentq  # slow to import, and seldom needed

    return float(brentq(late, *span, xtol=1e-15))


def integrate_piece(
    change: Change,
    state: np.ndarray,
    grid: np.ndarray,
    band: int | None = None,
    tolerances: tuple[float, float] = (RELATIVE, ABSOLUTE),
) -> tuple[np.ndarray, float]:
    """Integrate while the schedule is smooth; returns states at the grid and the time reached.

    The Jacobian is full, or a band of as many diagonals on either side.
    """
    from scipy.integrate import ODEintWarning, odeint, solve_ivp  # slow to import, seldom needed

    # odeint warns of failures that the report tells; `catch_warnings` is not safe in threads
    warnings.filterwarnings("ignore", category=ODEintWarning, module=re.escape(__name__))
    solution, report = odeint(
        change,
        state,
        grid,
        rtol=tolerances[0],
        atol=tolerances[1],
        ml=band,
        mu=band,
        full_output=True,
        mxstep=100_000,
        printmessg=False,
    )
    if report["message"] == "Integration successful." and np.isfinite(solution).all():
        return solution.T, float(grid[-1])
    with np.errstate(over="ignore", invalid="ignore"):  # a student that diverges, up to no float
        found = solve_ivp(  # the length becomes infinite at a finite time
            lambda now, at: change(at, now),
            (grid[0], grid[-1]),
            state,
            "DOP853",
            rtol=tolerances[0],
            atol=tolerances[1],
            dense_output=True,
        )
    reached = float(found.t[-1])
    before = grid < reached if reached < grid[-1] else grid <= reached
    states = np.full((state.size, grid.size), np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        states[:, before] = found.sol(grid[before])
    return states, reached


def integrate_state(
    flow: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rates: np.ndarray,
    first: np.ndarray,
    time: np.ndarray,
    schedule: Pieces,
    length: Callable[[np.ndarray], np.ndarray],
    band: int | None = None,
    tolerances: tuple[float, float] = (RELATIVE, ABSOLUTE),
    advance: Advance = float,
) -> tuple[np.ndarray, float]:
    """Integrate one trajectory of a state of any size.

    Parameters
    ----------
    flow : callable
        (state, learning rates) ↦ derivatives.
    rates : ndarray
        Learning rates, which the schedule multiplies.
    first : ndarray
        State at time 0.
    time : ndarray
    schedule : tuple of ndarray
        Edges and coefficients of its pieces (`statmech_bn.online.schedules.pieces`).
    length : callable
        Length of the student for states along the first axis; beyond `LARGEST_LENGTH` the
        trajectory has diverged.
    band : int, optional
        Diagonals of the Jacobian's band on either side, for states of more than `MOST_FOR_FULL`
        numbers; by default all.
    tolerances : tuple of float, optional
        Relative and absolute, of a step.
    advance : callable, optional

    Returns
    -------
    states : ndarray, (entries, times)
        Infinite after the end of the trajectory.
    diverged_at : float
        NaN if it did not diverge.

    Raises
    ------
    NotConverged
        The solver gave up.
    """
    edges, factors = schedule
    span = edges[-1] or 1.0
    band = None if first.size <= MOST_FOR_FULL else band
    states, state = np.full((first.size, time.size), np.inf), first
    states[:, time == 0] = first[:, None]
    evaluations = 0
    for piece in range(edges.size - 1):

        def change(state: np.ndarray, now: float, piece: int = piece) -> np.ndarray:
            nonlocal evaluations
            evaluations += 1
            if evaluations > MOST_OF_A_STATE:
                raise Spent
            advance(now / span)
            return flow(state, rates * value_on(edges, factors, piece, now))

        left, right = edges[piece], edges[piece + 1]
        inside = (left < time) & (time <= right)
        grid = np.unique([left, *time[inside], right])
        try:
            if not np.isfinite(change(state, left)).all():
                raise Spent
            solution, reached = integrate_piece(change, state, grid, band, tolerances)
        except Spent as error:
            raise NotConverged(
                f"The solver stopped between t = {left:g} and {right:g} for learning rate "
                f"{rates[0]:g}. Ask for a shorter time or a smaller learning rate."
            ) from error
        beyond = np.flatnonzero(~(length(solution) < LARGEST_LENGTH))
        states[:, inside] = solution[:, np.isin(grid, time[inside])]
        if beyond.size or reached < right:
            reached = min(reached, *grid[beyond[:1]])
            states[:, time >= reached] = np.inf
            return states, reached
        state = solution[:, -1]
    return states, np.nan

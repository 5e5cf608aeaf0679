r"""Trajectories of (R, log L, γ) whose averages are integrated for each state, by LSODA.

Activations with kinks away from zero have no series of their averages, and a series has an end. An
evaluation then costs far more than the solver, and a multistep method asks for the fewest: LSODA
(Petzold 1983), which turns to a stiff method where γ or L relax fast.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from statmech_bn.online.flow.derivatives import LARGEST_LOG_LENGTH, Flow
from statmech_bn.online.flow.trajectory import DIVERGED, FINISHED, STOPPED
from statmech_bn.online.schedules.pieces import value_on

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Local tolerances; they keep trajectories within 1e-6."""

MOST_EVALUATIONS = 50_000
"""Evaluations of the flow that one trajectory may take."""


class _Spent(Exception):
    """A trajectory has taken all of its evaluations."""


Change = Callable[[np.ndarray, float], tuple[float, ...]]


def integrate(
    flow: Flow,
    rates: np.ndarray,
    start: np.ndarray,
    schedule: tuple[np.ndarray, np.ndarray],
    time: np.ndarray,
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

    Returns
    -------
    states : ndarray
        (R, log L, γ) at the times, shape (3, times), inf after the end of the trajectory.
    ended, reached : int, float
        How it ended (`statmech_bn.online.flow.trajectory`) and when.
    """
    edges, factors = schedule
    states, state = np.full((3, time.size), np.inf), start
    evaluations, seen = 0, 0.0
    for piece in range(edges.size - 1):

        def change(state: np.ndarray, now: float, piece: int = piece) -> tuple[float, ...]:
            nonlocal evaluations, seen
            evaluations, seen = evaluations + 1, now
            if evaluations > MOST_EVALUATIONS:
                raise _Spent
            return flow(*state, *(rates * value_on(edges, factors, piece, now)))

        left, right = edges[piece], edges[piece + 1]
        inside = (left < time) & (time <= right)
        grid = np.unique([left, *time[inside], right])
        if not np.isfinite(change(state, left)).all():  # a first step would never be chosen
            return states, STOPPED, float(left)
        try:
            solution, reached = _integrate_piece(change, state, grid)
        except _Spent:
            return states, STOPPED, float(seen)
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
        state = solution[:, -1]
    return states, FINISHED, float(edges[-1])


def _integrate_piece(
    change: Change, state: np.ndarray, grid: np.ndarray
) -> tuple[np.ndarray, float]:
    """Integrate while the schedule is smooth; returns states at the grid and the time reached."""
    from scipy.integrate import odeint, solve_ivp  # slow to import, and seldom needed

    solution, report = odeint(
        change,
        state,
        grid,
        rtol=RELATIVE,
        atol=ABSOLUTE,
        full_output=True,
        mxstep=100_000,
        printmessg=False,
    )
    if report["message"] == "Integration successful." and np.isfinite(solution).all():
        return solution.T, float(grid[-1])
    found = solve_ivp(  # the length becomes infinite at a finite time
        lambda now, at: change(at, now),
        (grid[0], grid[-1]),
        state,
        "DOP853",
        rtol=RELATIVE,
        atol=ABSOLUTE,
        dense_output=True,
    )
    reached = float(found.t[-1])
    before = grid < reached if reached < grid[-1] else grid <= reached
    states = np.full((3, grid.size), np.inf)
    states[:, before] = found.sol(grid[before])
    return states, reached

r"""The flow of the order parameters at N → ∞, integrated.

The flow itself is SymPy's (`statmech_bn.symbolic.order_parameter_flow`), in terms of the averages
D, A₂ and B over the fields; those come from `statmech_bn.online.averages`. The state that is
integrated is (R, log L, γ): the length of a student that diverges grows exponentially, and that of
a normalized one can grow by decades at once at a large learning rate.

LSODA (Petzold 1983) takes both: it turns to a stiff method where γ or L relax fast.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.integrate import odeint, solve_ivp

from statmech_bn.dataset import order_parameter_dataset, provenance
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.online.arguments import check_run
from statmech_bn.online.flow import LARGEST_LOG_LENGTH, flow_function
from statmech_bn.online.generalization import generalization_error
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Local tolerances; they keep trajectories within 1e-6, which the tests check."""

Rates = Callable[[np.ndarray, float], tuple[float, ...]]


def macroscopic(
    setup: TeacherStudent,
    learning_rate: ArrayLike,
    time: ArrayLike,
    start: OrderParameters,
    gamma_learning_rate: ArrayLike | None = None,
) -> xr.Dataset:
    """Integrate the order parameters at N → ∞.

    Parameters
    ----------
    setup : TeacherStudent
        With "batch" the batch size must be at least 4: at 3 the noise E[1/σ_B²] is infinite.
    learning_rate : float or sequence
        η > 0, one trajectory each.
    time : sequence of float
        Increasing, ≥ 0; learning starts at 0.
    start : OrderParameters
    gamma_learning_rate : float or sequence, optional
        η_γ > 0, by default the learning rate.

    Returns
    -------
    xarray.Dataset
        See `statmech_bn.dataset`; relative accuracy 1e-6.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    NotConverged
        The solver gave up; the message names the learning rate and the time.
    """
    run = check_run(setup, learning_rate, gamma_learning_rate, time, start)
    if setup.normalization == "batch" and setup.batch_size < 4:
        raise invalid(
            "batch_size",
            "an integer ≥ 4 for 'batch' at N → ∞",
            setup.batch_size,
            "With 3 samples the noise E[1/σ_B²] is infinite; use the mesoscopic level.",
        )
    scale = start.length if setup.normalization == "none" else start.gamma
    flow = flow_function(setup, scale)
    states = np.empty((3, run.learning_rate.size, run.time.size))
    diverged_at = np.full(run.learning_rate.size, np.nan)
    for k, rates in enumerate(zip(run.learning_rate, run.gamma_learning_rate, strict=True)):

        def change(
            state: np.ndarray, _time: float, rates: tuple[float, float] = rates
        ) -> tuple[float, ...]:
            return flow(*state, *rates)

        states[:, k], diverged_at[k] = _trajectory(change, start, run.time, rates[0])
    overlap, length, gamma = states
    variables = {
        "overlap": overlap,
        "length": length,
        "gamma": gamma,
        "generalization_error": generalization_error(setup, overlap, length, gamma),
        "diverged_at": diverged_at,
    }
    attributes = provenance(setup, start, "macroscopic")
    return order_parameter_dataset(
        variables, run.learning_rate, run.gamma_learning_rate, run.time, attributes
    )


def _trajectory(
    change: Rates, start: OrderParameters, time: np.ndarray, learning_rate: float
) -> tuple[np.ndarray, float]:
    """Integrate one trajectory; returns (R, L, γ) at the times and the time of divergence."""
    initial = [start.overlap, np.log(start.length), start.gamma]
    grid = time if time[0] == 0 else np.concatenate(([0.0], time))
    solution, report = odeint(
        change,
        initial,
        grid,
        rtol=RELATIVE,
        atol=ABSOLUTE,
        full_output=True,
        mxstep=100_000,
        printmessg=False,
    )
    blow_up = np.nan
    if report["message"] != "Integration successful." or not np.isfinite(solution).all():
        solution, blow_up = _until_blow_up(change, initial, grid, learning_rate)
    overlap, log_length, gamma = solution.T
    beyond = np.flatnonzero(~(log_length < LARGEST_LOG_LENGTH))
    diverged_at = blow_up
    if beyond.size and np.isnan(blow_up):
        around = [max(beyond[0] - 1, 0), beyond[0]]
        diverged_at = float(np.interp(LARGEST_LOG_LENGTH, log_length[around], grid[around]))
    kept = slice(grid.size - time.size, None)
    states = np.array([np.clip(overlap, -1, 1), np.exp(np.minimum(log_length, 400)), gamma])
    states[:, beyond] = np.inf
    return states[:, kept], diverged_at


def _until_blow_up(
    change: Rates, initial: list[float], grid: np.ndarray, learning_rate: float
) -> tuple[np.ndarray, float]:
    """Integrate a length that becomes infinite at a finite time; the states after it are inf."""
    found = solve_ivp(
        lambda time, state: change(state, time),
        (0.0, grid[-1]),
        initial,
        "DOP853",
        rtol=RELATIVE,
        atol=ABSOLUTE,
        dense_output=True,
    )
    reached = float(found.t[-1])
    if reached < grid[-1] and not change(found.y[:, -1], reached)[1] > 0:
        raise NotConverged(
            f"The solver stopped at t = {reached:g} for learning rate {learning_rate:g}: "
            f"{found.message} Ask for a shorter time or a smaller learning rate."
        )
    solution = np.full((grid.size, 3), np.inf)
    before = grid < reached if reached < grid[-1] else grid <= reached
    solution[before] = found.sol(grid[before]).T
    return solution, reached if reached < grid[-1] else np.nan

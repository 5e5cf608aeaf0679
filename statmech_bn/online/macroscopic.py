r"""The flow of the order parameters at N → ∞, integrated.

The flow itself is SymPy's (`statmech_bn.symbolic.order_parameter_flow`), in terms of the averages
D, A₂ and B over the fields; those come from `statmech_bn.online.averages`. The state that is
integrated is (R, log L, γ): the length of a student that diverges grows exponentially, and that of
a normalized one can grow by decades at once at a large learning rate.

LSODA (Petzold 1983) takes both: it turns to a stiff method where γ or L relax fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike
from scipy.integrate import odeint, solve_ivp

from statmech_bn import symbolic
from statmech_bn.codegen import numba_function
from statmech_bn.dataset import order_parameter_dataset, provenance
from statmech_bn.errors import NoClosedForm, NotConverged, invalid
from statmech_bn.online.arguments import check_run
from statmech_bn.online.averages import field_average_function
from statmech_bn.online.generalization import generalization_error
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Local tolerances; they keep trajectories within 1e-6, which the tests check."""
LARGEST_LOG_LENGTH = math.log(1e150)

Rates = Callable[[np.ndarray, float], list[float]]


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
            "batch_size", "an integer ≥ 4 for 'batch' at N → ∞", setup.batch_size,
            "With 3 samples the noise E[1/σ_B²] is infinite; use the mesoscopic level.",
        )
    flow = flow_function(setup)
    states = np.empty((3, run.learning_rate.size, run.time.size))
    diverged_at = np.full(run.learning_rate.size, np.nan)
    for k, rates in enumerate(zip(run.learning_rate, run.gamma_learning_rate, strict=True)):

        def change(state: np.ndarray, _time: float, rates: tuple[float, float] = rates):
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
    return order_parameter_dataset(variables, run.learning_rate, run.time, attributes)


def _trajectory(
    change: Rates, start: OrderParameters, time: np.ndarray, learning_rate: float
) -> tuple[np.ndarray, float]:
    """Integrate one trajectory; returns (R, L, γ) at the times and the time of divergence."""
    initial = [start.overlap, np.log(start.length), start.gamma]
    grid = time if time[0] == 0 else np.concatenate(([0.0], time))
    solution, report = odeint(
        change, initial, grid, rtol=RELATIVE, atol=ABSOLUTE, full_output=True,
        mxstep=100_000, printmessg=False,
    )
    if report["message"] != "Integration successful.":
        solution = _until_blow_up(change, initial, grid, learning_rate)
    overlap, log_length, gamma = solution.T
    beyond = np.flatnonzero(~(log_length < LARGEST_LOG_LENGTH))
    diverged_at = np.nan
    if beyond.size:
        first = beyond[0]
        left = max(first - 1, 0)
        diverged_at = float(
            np.interp(LARGEST_LOG_LENGTH, log_length[[left, first]], grid[[left, first]])
            if np.isfinite(log_length[first]) else grid[left]
        )
    kept = slice(grid.size - time.size, None)
    states = np.array([np.clip(overlap, -1, 1), np.exp(np.minimum(log_length, 400)), gamma])
    states[:, beyond] = np.inf
    return states[:, kept], diverged_at


def _until_blow_up(
    change: Rates, initial: list[float], grid: np.ndarray, learning_rate: float
) -> np.ndarray:
    """Integrate a length that becomes infinite at a finite time; the rest is infinite."""
    found = solve_ivp(
        lambda time, state: change(state, time), (0.0, grid[-1]), initial, "LSODA",
        t_eval=grid, rtol=RELATIVE, atol=ABSOLUTE,
    )
    solution = np.full((grid.size, 3), np.inf)
    solution[: found.t.size] = found.y.T
    last, time = (found.y[:, -1], found.t[-1]) if found.t.size else (np.array(initial), 0.0)
    if found.t.size < grid.size and not change(last, time)[1] > 0:
        raise NotConverged(
            f"The solver stopped at t = {time:g} for learning rate {learning_rate:g}: "
            f"{found.message} Ask for a shorter time or a smaller learning rate."
        )
    return solution


@lru_cache(maxsize=256)
def flow_function(setup: TeacherStudent) -> Callable[..., tuple[float, ...]]:
    """Return (R, log L, γ, η, η_γ) ↦ their time derivatives, compiled.

    Closed forms are derived for γ > 0; the symmetry (u, γ, R) → (−u, −γ, −R), under which only
    A₂ changes sign, gives them for γ < 0.
    """
    s = symbolic
    is_batch = setup.normalization == "batch"
    label_noise = sp.Symbol("B_Delta", nonnegative=True)
    unknowns = (s.D, s.A, s.B, label_noise)
    flow = s.order_parameter_flow(setup.normalization)
    constants = {
        s.B: s.B + setup.label_noise**2 * label_noise, s.M: setup.batch_size,
        s.zeta: setup.gamma_decay, s.lamda: setup.weight_decay,
    }
    log_length, scale = sp.Symbol("ell", real=True), sp.Symbol("scale", real=True)
    state = {
        s.R: sp.Max(-1, sp.Min(1, s.R)), s.L: sp.exp(sp.Min(log_length, LARGEST_LOG_LENGTH)),
        s.gamma: scale,
    }
    derivatives = [flow[s.R], flow[s.L] / s.L, flow.get(s.gamma, sp.S.Zero)]
    derivatives = [e.subs(constants) for e in derivatives]
    arguments = [s.R, log_length, scale, s.eta, s.eta_gamma]
    try:
        closed = (s.batch_field_averages if is_batch else s.field_averages)(setup.activation)
    except NoClosedForm:
        averages = field_average_function(setup)
        compiled = numba_function([e.subs(state) for e in derivatives], [*arguments, *unknowns])
        of_length = setup.normalization == "none"

        def integrated(overlap: float, log: float, gamma: float, *rates: float):
            size = math.exp(min(log, LARGEST_LOG_LENGTH)) if of_length else gamma
            values = averages(min(1.0, max(-1.0, overlap)), size)
            return compiled(overlap, log, gamma, *rates, *values)

        return integrated
    if setup.normalization == "none":
        values = dict(zip(unknowns, (e.subs(s.gamma, s.L) for e in closed), strict=True))
        return numba_function([e.subs(values).subs(state) for e in derivatives], arguments)
    # Γ(M/2) overflows a double at M > 340, so SymPy evaluates what depends on M.
    if is_batch:
        closed = tuple(e.subs(s.M, sp.Float(setup.batch_size, 30)).evalf(17) for e in closed)
    sign = sp.Piecewise((1, s.gamma >= 0), (-1, True))
    mirrored = [e.subs({s.R: sign * s.R, s.gamma: sp.Abs(s.gamma)}, simultaneous=True) for e in closed]
    mirrored[1] *= sign
    values = dict(zip(unknowns, mirrored, strict=True))
    return numba_function([e.subs(values).subs(state) for e in derivatives], arguments)

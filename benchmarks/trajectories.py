"""Trajectories of the flow: one beside SciPy's solvers, then ten thousand of many students.

The floor of a trajectory is the evaluations of its compiled flow that LSODA asks for, alone.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numba
import numpy as np
import references
from scipy.integrate import odeint
from timing import Row, interleaved, spread

import statmech_bn as sbn
from statmech_bn.online.flow import lsoda
from statmech_bn.online.flow.derivatives import compiled_flow, flow_function

START = sbn.OrderParameters(0.05)


def setup(activation: str, normalization: str) -> sbn.TeacherStudent:
    """Make a student with M = 32 and Δ = 0.5."""
    return sbn.TeacherStudent(activation, normalization, 32, label_noise=0.5)


def single(quick: bool) -> list[Row]:
    """Compare a trajectory to t = 100 with SciPy's solvers on the flow written by hand."""
    student, times = setup("relu", "weight"), np.linspace(0, 100, 101)
    exact = references.macroscopic(student, 1.0, times, START, "DOP853", 1e-13)
    mine = partial(sbn.macroscopic, student, 1.0, times, START)
    rows = []
    for method in ("RK45", "LSODA"):
        plain = partial(references.macroscopic, student, 1.0, times, START, method)
        a, b, c = interleaved([mine, plain, evaluations(student, times)], 3 if quick else 15) * 1e3
        rows.append(
            {
                "solver": f"solve_ivp {method}",
                "ours ms": float(np.median(a)),
                "SciPy/ours": spread(b / a),
                "our error": relative(mine(), exact),
                "SciPy's error": relative(plain(), exact),
                "floor ms": float(np.median(c)),
                "ours/floor": spread(a / c),
            }
        )
    return rows


def relative(found: Any, exact: np.ndarray) -> float:
    """Return the largest relative error of (R, L, γ) along a trajectory."""
    if not isinstance(found, np.ndarray):
        found = np.array([found[name].values[0] for name in ("overlap", "length", "gamma")])
    return float(np.abs(found / exact - 1).max())


def evaluations(student: sbn.TeacherStudent, times: np.ndarray) -> Any:
    """Prepare the evaluations of the compiled flow that LSODA asks for."""
    flow, state = flow_function(student, START.gamma), (START.overlap, 0.0, START.gamma)
    report = odeint(
        lambda at, _time: flow(*at, 1.0, 1.0),
        state,
        times,
        rtol=lsoda.RELATIVE,
        atol=lsoda.ABSOLUTE,
        full_output=True,
    )[1]
    compiled = compiled_flow(student, START.gamma)
    point = np.array([*state, 1.0, 1.0, *compiled.tail])
    return partial(evaluate, compiled.derivatives, point, np.empty(3), report["nfe"][-1])


@numba.njit(nogil=True)
def evaluate(derivatives, point, rates, times):
    """Call a compiled flow again and again."""
    for _ in range(times):
        derivatives(point, rates)


def many(quick: bool) -> list[Row]:
    """Follow six decades of learning rates; closed forms, and batch at finite M beside them."""
    times, number = np.geomspace(0.1, 100, 31), 1000 if quick else 10_000
    rates, few = np.geomspace(1e-3, 1e3, number), np.geomspace(1e-3, 1e3, 12)
    schedule = np.array([0.0, times[-1]]), np.ones((1, 1))
    first = np.array([START.overlap, np.log(START.length), START.gamma])
    pairs = [(name, kind) for name in ("linear", "relu") for kind in ("none", "weight", "batch")]
    rows = []
    for name, kind in [*pairs, ("tanh", "weight"), ("tanh", "batch")]:
        student = setup(name, kind)
        flow = flow_function(student, START.gamma)

        def plain(flow=flow):
            found = [lsoda.integrate(flow, np.full(2, r), first, schedule, times) for r in few]
            return np.array([states for states, _, _ in found])

        closed = partial(sbn.macroscopic, setup("relu", "weight"), rates, times, START, workers=1)
        one = partial(sbn.macroscopic, student, rates, times, START, workers=1)
        a, b, c = interleaved([one, plain, closed], 1 if quick else 2)
        both = interleaved(
            [partial(sbn.macroscopic, student, rates, times, START)],
            1 if quick else 3,
            time.perf_counter,
        )[0]
        same = sbn.macroscopic(student, few, times, START)
        kept = same["diverged_at"].isnull().values
        rows.append(
            {
                "student": f"{name} {kind}",
                "trajectories": number,
                "ours µs each": float(np.median(a)) * 1e6 / number,
                "SciPy's LSODA/ours": spread((b / few.size) / (a / number)),
                "ours / closed form": spread(a / c),
                "all cores, s": spread(both),
                "largest difference": float(
                    np.abs(same["overlap"] - plain()[:, 0]).values[kept].max()
                ),
            }
        )
    return rows


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Time one trajectory, and many; there is nothing for a GPU."""
    if device != "cpu":
        return {}
    return {
        "One trajectory to t = 100": single(quick),
        "Six decades of learning rates": many(quick),
    }

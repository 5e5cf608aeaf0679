"""Time per step of the three levels of online learning, beside plain loops in the same process.

    python benchmarks/online.py [--quick] [--output results/benchmarks/online.json]

prints tables in Markdown, and writes them beside the numbers as JSON. One core: one worker, one
BLAS thread, for both sides. Both are called once before they are timed, so compilation is not in
the times; everything else (starting weights, threads, the Dataset) is. The two sides take turns
and a ratio is that of neighbours, because these machines are noisy: median [least – most].

The floor of a step is what it cannot avoid: the normals that it draws (from NumPy's PCG64), the
activations that it evaluates and its flops, each at the rate of a loop that does nothing else.
These rates are measured in the same run; the bytes to and from cache or memory are only counted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import references
from scipy.integrate import odeint
from threadpoolctl import threadpool_limits
from timing import Floor, Row, interleaved, machine, markdown, seconds, spread

import statmech_bn as sbn
from statmech_bn.online import lsoda
from statmech_bn.online.flow import compiled_flow, flow_function

START = sbn.OrderParameters(0.05, 1.0, 1.0)
LEVELS = {"microscopic": "N-vector", "mesoscopic": "chain"}


def ours(
    level: str, setup: sbn.TeacherStudent, N: int, steps: int, learners: int = 1, replicas: int = 1
) -> Callable[[], object]:
    """Prepare a call of the package that takes so many steps."""
    rates = np.linspace(0.5, 1.0, learners) if learners > 1 else 1.0
    return partial(getattr(sbn, level), setup, rates, [steps / N], START, N, replicas, workers=1)


def steps_for(prepare: Callable[[int], Callable[[], object]], budget: float) -> int:
    """Choose a number of steps that takes about `budget` seconds more than a single one."""
    prepare(1)()

    def least(steps: int) -> float:
        return min(seconds(prepare(steps)) for _ in range(3))

    steps, spent, call = 1, 0.0, least(1)
    while spent < budget / 2:
        steps *= 4
        spent = least(steps) - call
    return max(1, round(steps * budget / spent))


def against_loops(floor: Floor, quick: bool) -> list[Row]:
    """Compare both simulations with the NumPy loops."""
    budget, repeats = (0.1, 3) if quick else (0.3, 9)
    cases = [("microscopic", "relu", "weight", N, M) for N in (1000, 10_000) for M in (1, 32)]
    cases += [("microscopic", "relu", kind, 1000, 32) for kind in ("none", "batch")]
    cases += [("mesoscopic", "relu", "weight", N, M) for N in (1000, 10_000) for M in (1, 32)]
    cases += [("mesoscopic", name, "weight", 10_000, 32) for name in ("erf", "tanh", "softplus")]
    cases += [("mesoscopic", "relu", kind, 10_000, 32) for kind in ("none", "batch")]
    rows = []
    for level, name, kind, N, M in cases:
        setup = sbn.TeacherStudent(name, kind, M, label_noise=0.5)
        loop = getattr(references, level)

        def theirs(steps, loop=loop, setup=setup, N=N):
            return lambda: loop(setup, 1.0, steps, START, N, np.random.default_rng(0))

        makers = [partial(ours, level, setup, N), theirs]
        steps = np.array([steps_for(make, budget) for make in makers])
        sides = [make(n) for make, n in zip(makers, steps, strict=True)]
        *found, drawn = interleaved([*sides, floor.drawing], repeats)
        mine, plain = np.array(found) * 1e6 / steps[:, None]
        lowest = floor.of_step(level, setup, N)
        limit = lowest["floor µs"] * floor.now(drawn)
        lowest["floor µs"] = np.median(limit)
        rows.append(
            {
                "level": LEVELS[level],
                "student": f"{name} {kind}",
                "N": N,
                "M": M,
                "ours µs/step": np.median(mine),
                "loop µs/step": np.median(plain),
                "loop/ours": spread(plain / mine),
                "million samples/s": M / np.median(mine),
                **lowest,
                "ours/floor": spread(mine / limit),
            }
        )
    return rows


def growth(floor: Floor, quick: bool) -> list[Row]:
    """Vary N, M, learning rates and replicas, one at a time."""
    budget, repeats = (0.1, 3) if quick else (0.3, 7)
    chain = [(10**k, 32, 1, 1) for k in (3, 4, 6, 9, 12)]
    chain += [(10**4, M, 1, 1) for M in (1, 8, 128)]
    chain += [(10**4, 32, K, 1) for K in (4, 16)] + [(10**4, 32, 1, R) for R in (8, 64)]
    network = [(N, 32, 1, 1) for N in (100, 1000, 10_000, 100_000)]
    network += [(1000, M, 1, 1) for M in (1, 8, 128)]
    network += [(1000, 32, K, 1) for K in (4, 16, 64)] + [(1000, 32, 1, R) for R in (8,)]
    rows = []
    for level, cases in (("mesoscopic", chain), ("microscopic", network)):
        for N, M, learners, replicas in cases:
            setup = sbn.TeacherStudent("relu", "weight", M, label_noise=0.5)
            prepare = partial(ours, level, setup, N, learners=learners, replicas=replicas)
            steps = steps_for(prepare, budget)
            found, drawn = interleaved([prepare(steps), floor.drawing], repeats)
            found *= 1e6 / (steps * replicas)
            limit = floor.of_step(level, setup, N, learners)["floor µs"] * floor.now(drawn)
            rows.append(
                {
                    "level": LEVELS[level],
                    "N": N,
                    "M": M,
                    "rates": learners,
                    "replicas": replicas,
                    "µs/(step replica)": spread(found),
                    "floor µs": np.median(limit),
                    "ours/floor": spread(found / limit),
                }
            )
    return rows


def calls(quick: bool) -> list[Row]:
    """Time calls that take a single step: what a call and a replica cost besides the steps."""
    setup, rows = sbn.TeacherStudent("relu", "weight", 32, label_noise=0.5), []
    for level, title in LEVELS.items():
        for replicas in (1, 10, 100):
            call = ours(level, setup, 1000, 1, replicas=replicas)
            found = interleaved([call], 5 if quick else 25)[0]
            rows.append(
                {
                    "level": title,
                    "N": 1000,
                    "M": 32,
                    "replicas": replicas,
                    "ms/call": spread(1e3 * found),
                }
            )
    return rows


def odes(quick: bool) -> list[Row]:
    """Compare a trajectory to t = 100 with SciPy's solvers on the flow written by hand."""
    setup = sbn.TeacherStudent("relu", "weight", 32, label_noise=0.5)
    times = np.linspace(0, 100, 101)
    exact = references.macroscopic(setup, 1.0, times, START, "DOP853", 1e-13)
    mine = partial(sbn.macroscopic, setup, 1.0, times, START)
    rows = []
    for method in ("RK45", "LSODA"):
        plain = partial(references.macroscopic, setup, 1.0, times, START, method)
        a, b = interleaved([mine, plain], 3 if quick else 15) * 1e3
        rows.append(
            {
                "solver": f"solve_ivp {method}",
                "ours ms": np.median(a),
                "SciPy ms": np.median(b),
                "SciPy/ours": spread(b / a),
                "our error": relative(mine(), exact),
                "SciPy's error": relative(plain(), exact),
                "floor ms": ode_floor(setup, times),
            }
        )
    return rows


def relative(found: Any, exact: np.ndarray) -> float:
    """Return the largest relative error of (R, L, γ) along a trajectory."""
    if not isinstance(found, np.ndarray):
        found = np.array([found[name].values[0] for name in ("overlap", "length", "gamma")])
    return float(np.abs(found / exact - 1).max())


def ode_floor(setup: sbn.TeacherStudent, times: np.ndarray) -> float:
    """Time the evaluations of the compiled flow alone that LSODA asks for, in milliseconds."""
    flow, state = flow_function(setup, START.gamma), (START.overlap, 0.0, START.gamma)
    report = odeint(
        lambda at, _time: flow(*at, 1.0, 1.0),
        state,
        times,
        rtol=lsoda.RELATIVE,
        atol=lsoda.ABSOLUTE,
        full_output=True,
    )[1]
    compiled = compiled_flow(setup, START.gamma)
    point = np.array([*state, 1.0, 1.0, *compiled.tail])
    work = partial(evaluate_flow, compiled.derivatives, point, np.empty(3), report["nfe"][-1])
    work()
    return float(interleaved([work], 5).min() * 1e3)


@numba.njit(nogil=True)
def evaluate_flow(derivatives, point, rates, times):
    """Call a compiled flow again and again."""
    for _ in range(times):
        derivatives(point, rates)


def many_odes(quick: bool) -> list[Row]:
    """Compare six decades of learning rates with LSODA on the same flow, called from Python."""
    times, number, few = np.geomspace(0.1, 100, 31), 1000 if quick else 10_000, 12
    schedule = np.array([0.0, times[-1]]), np.ones((1, 1))
    first = np.array([START.overlap, np.log(START.length), START.gamma])
    rates, some = np.geomspace(1e-3, 1e3, number), np.geomspace(1e-3, 1e3, few)
    cases = [(name, kind) for name in ("linear", "relu") for kind in ("none", "weight", "batch")]
    rows = []
    for name, kind in [*cases, ("tanh", "weight"), ("tanh", "batch")]:
        setup = sbn.TeacherStudent(name, kind, 32, label_noise=0.5)
        flow = flow_function(setup, 1.0)

        def theirs(flow=flow):
            found = [lsoda.integrate(flow, np.full(2, r), first, schedule, times) for r in some]
            return np.array([states for states, _, _ in found])

        one = partial(sbn.macroscopic, setup, rates, times, START, workers=1)
        both = partial(sbn.macroscopic, setup, rates, times, START)
        a, b, c = interleaved([one, theirs, both], 1 if quick else 5) * 1e6
        same = sbn.macroscopic(setup, some, times, START)
        kept = same["diverged_at"].isnull().values
        rows.append(
            {
                "student": f"{name} {kind}",
                "trajectories": number,
                "ours µs each": np.median(a) / number,
                "LSODA µs each": np.median(b) / few,
                "LSODA/ours": spread((b / few) / (a / number)),
                "all cores, s": np.median(c) / 1e6,
                "largest difference": np.abs(same["overlap"] - theirs()[:, 0])[kept].max().item(),
            }
        )
    return rows


def students(quick: bool) -> list[Row]:
    """Time first and later calls of the ODE for each activation and normalization."""
    rows, times = [], np.linspace(0, 100, 101)
    for name in references.ACTIVATIONS:
        for kind in ("none", "weight", "batch"):
            setup = sbn.TeacherStudent(name, kind, 32, label_noise=0.5)
            row: Row = {"activation": name, "normalization": kind}
            rows.append(row)
            for label, rates in (("1 rate", 1), ("10 rates", 10), ("100 rates", 100)):
                if quick and rates > 10:
                    continue
                call = partial(sbn.macroscopic, setup, np.geomspace(0.1, 10, rates), times, START)
                first = seconds(call)
                later = [seconds(call) for _ in range(3 if rates > 10 else 7)]
                row.setdefault("first call ms", first * 1e3)
                row[f"{label} ms"] = spread(np.array(later) * 1e3)
    return rows


def memory_of_run(N: int, steps: int, learners: int) -> tuple[float, float]:
    """Return the peak of traced memory of an N-vector run and of the process, in MB."""
    setup = sbn.TeacherStudent("relu", "weight", 32, label_noise=0.5)
    ours("microscopic", setup, N, 1, learners)()
    tracemalloc.start()
    ours("microscopic", setup, N, steps, learners)()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    return peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def memory(quick: bool) -> list[Row]:
    """Measure memory of longer and longer N-vector runs, each in its own process."""
    rows, context = [], multiprocessing.get_context("spawn")
    steps = 20 if quick else 100
    for N, learners, n in [
        (1000, 1, steps),
        (10_000, 1, steps),
        (10_000, 1, 10 * steps),
        (10_000, 16, steps),
        (10_000, 16, 10 * steps),
    ]:
        with context.Pool(1) as pool:
            traced, resident = pool.apply(memory_of_run, (N, n, learners))
        rows.append(
            {
                "N": N,
                "M": 32,
                "rates": learners,
                "steps": n,
                "samples' stream MB": 256e-6 * N * n,
                "block + weights MB": 8e-6 * max(32 * N, 2**15) + 8e-6 * 2 * N * learners,
                "traced peak MB": traced,
                "resident peak MB": resident,
            }
        )
    return rows


def checks() -> list[Row]:
    """Check that ours and the plain loops compute the same, in mean."""
    rows = []
    for level in LEVELS:
        for kind in ("none", "weight", "batch"):
            setup = sbn.TeacherStudent("relu", kind, 8, label_noise=0.5)
            score = references.agreement(setup, level)
            if score > 5:
                raise SystemExit(f"{level} {kind}: ours and the loop differ by {score:.1f} σ")
            rows.append({"level": LEVELS[level], "student": kind, "largest z-score": score})
    return rows


def main() -> None:
    """Measure everything, print and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats: a minute or two")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/online.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        os.environ["STATMECH_BN_CACHE"] = folder  # so that first calls derive, print and compile
        first_calls = students(options.quick)  # before anything else is compiled
        floor = Floor.measure()
        tables = {
            "Agreement with the loops": checks(),
            "Simulations and NumPy loops": against_loops(floor, options.quick),
            "Growth": growth(floor, options.quick),
            "Calls of one step": calls(options.quick),
            "ODE to t = 100 and SciPy": odes(options.quick),
            "ODE at many learning rates": many_odes(options.quick),
            "ODE to t = 100, first and later calls": first_calls,
            "Memory of the N-vector level": memory(options.quick),
        }
    described = machine()
    parts = [", ".join(f"{key} {value}" for key, value in described.items()) + ".", str(floor)]
    parts += [f"### {title}\n\n{markdown(rows)}" for title, rows in tables.items()]
    report = "\n\n".join(parts) + "\n"
    print(report)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".md").write_text(report)
    content = {"machine": described, "floor": str(floor), "tables": tables}
    options.output.write_text(json.dumps(content, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()

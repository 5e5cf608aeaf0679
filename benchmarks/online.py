"""Time per step of the three levels of online learning, beside plain loops in the same process.

    python benchmarks/online.py [--quick] [--output results/benchmarks/online.json]

prints tables in Markdown, and writes them beside the numbers as JSON. One core: one worker, one
BLAS thread, for both sides. Both are called once before they are timed, so compilation is not in
the times; everything else (starting weights, threads, the Dataset) is. The two sides take turns
and a ratio is that of neighbours, because these machines are noisy: median [least – most].

The floor of a step is what no implementation with these random numbers avoids: the normals that it
draws and the activations that it evaluates, each at the rate of a loop that does nothing else,
measured in the same run. Flops and bytes to and from memory or cache are counted beside it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import references
import scipy
from scipy.integrate import odeint
from threadpoolctl import threadpool_limits

import statmech_bn as sbn
from statmech_bn.activations import activation, z
from statmech_bn.codegen import numba_array_function

START = sbn.OrderParameters(0.05, 1.0, 1.0)
LEVELS = {"microscopic": "N-vector", "mesoscopic": "chain"}
DRAWN = 2**15
"""Normals in the buffer of the floor's loop; it stays in the cache."""
REPEATS = 10
Row = dict[str, Any]


@numba.njit(nogil=True)
def draw(generator, buffer, repeats):
    """Fill a small buffer with normals again and again."""
    for _ in range(repeats):
        for i in range(buffer.size):
            buffer[i] = generator.standard_normal()


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def interleaved(sides: list[Callable[[], object]], repeats: int) -> np.ndarray:
    """Time callables in turns, after one call of each; returns (sides, repeats) seconds."""
    for work in sides:
        work()
    return np.array([[seconds(work) for work in sides] for _ in range(repeats)]).T


@numba.njit(nogil=True)
def evaluate(value, points, results):
    """Call a compiled g."""
    value(points, results)


@numba.njit(nogil=True)
def evaluate_pair(value_and_slope, points, results, slopes):
    """Call a compiled (g, g')."""
    value_and_slope(points, results, slopes)


@dataclass(frozen=True)
class Floor:
    """Nanoseconds that the parts of a step take alone."""

    normal: float
    value: dict[str, float]
    value_and_slope: dict[str, float]
    drawing: Callable[[], object]

    @classmethod
    def measure(cls) -> Floor:
        """Measure normals of NumPy's PCG64 drawn in a compiled loop, and activations."""
        generator, buffer = np.random.Generator(np.random.PCG64(0)), np.empty(DRAWN)
        works = [partial(draw, generator, buffer, REPEATS)]
        points, results, slopes = generator.standard_normal(DRAWN), buffer.copy(), buffer.copy()
        for name in references.ACTIVATIONS:
            g = activation(name)
            one = numba_array_function([g.expression], z)
            two = numba_array_function([g.expression, g.derivative], z)
            works += [partial(evaluate, one, points, results),
                      partial(evaluate_pair, two, points, results, slopes)]
        least = interleaved(works, 25).min(axis=1) * 1e9 / DRAWN
        return cls(
            least[0] / REPEATS,
            dict(zip(references.ACTIVATIONS, least[1::2], strict=True)),
            dict(zip(references.ACTIVATIONS, least[2::2], strict=True)),
            works[0],
        )

    def now(self, drawn: np.ndarray) -> np.ndarray:
        """Return how slow the machine is now: seconds of `drawing` over those of the floor."""
        return drawn * 1e9 / (REPEATS * DRAWN * self.normal)

    def of_step(self, level: str, setup: sbn.TeacherStudent, N: int, learners: int = 1) -> Row:
        """Count what a step needs, and the time that it takes at least."""
        M, name = setup.batch_size, setup.activation.name
        noise = M if setup.label_noise > 0 else 0
        if level == "microscopic":  # samples written and read twice, a teacher, weights twice
            normals, bytes_moved = M * N + noise, 8 * (3 * M * N + N + 2 * N * learners)
            flops, targets = 2 * M * N * (1 + 2 * learners) + 4 * N * learners, M
        else:  # χ²(N−2) counts as one normal; the batch stays in the first cache
            normals, bytes_moved = 2 * M + noise + 1, 0
            flops, targets = 20 * M * learners, M * learners
        evaluated = M * learners * self.value_and_slope[name] + targets * self.value[name]
        return {
            "normals": normals, "kB": bytes_moved / 1e3, "kflop": flops / 1e3,
            "floor µs": (normals * self.normal + evaluated) / 1e3,
        }


def ours(
    level: str, setup: sbn.TeacherStudent, N: int, steps: int, learners: int = 1, replicas: int = 1
) -> Callable[[], object]:
    """Prepare a call of the package that takes so many steps."""
    rates = np.linspace(0.5, 1.0, learners) if learners > 1 else 1.0
    return partial(getattr(sbn, level), setup, rates, [steps / N], START, N, replicas, workers=1)


def steps_for(prepare: Callable[[int], Callable[[], object]], budget: float) -> int:
    """Choose a number of steps that takes about `budget` seconds."""
    prepare(1)()
    steps, spent = 1, 0.0
    while spent < budget / 2:
        steps *= 4
        spent = min(seconds(prepare(steps)) for _ in range(2))
    return max(1, round(steps * budget / spent))


def against_loops(floor: Floor, quick: bool) -> list[Row]:
    """Compare both simulations with the NumPy loops."""
    budget, repeats = (0.05, 3) if quick else (0.2, 9)
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
                "M samples/s": M / np.median(mine),
                **lowest,
                "ours/floor": np.median(mine) / lowest["floor µs"],
            }
        )
    return rows


def growth(floor: Floor, quick: bool) -> list[Row]:
    """Vary N, M, learning rates and replicas, one at a time."""
    budget, repeats = (0.03, 3) if quick else (0.1, 7)
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
                    "floor µs": lowest,
                    "ours/floor": np.median(found) / lowest,
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
    from statmech_bn.online.flow import flow_function
    from statmech_bn.online.macroscopic import ABSOLUTE, RELATIVE

    flow, state = flow_function(setup, START.gamma), (START.overlap, 0.0, START.gamma)
    report = odeint(
        lambda at, _time: flow(*at, 1.0, 1.0),
        state,
        times,
        rtol=RELATIVE,
        atol=ABSOLUTE,
        full_output=True,
    )[1]

    def evaluate_all() -> None:
        for _ in range(report["nfe"][-1]):
            flow(*state, 1.0, 1.0)

    return float(interleaved([evaluate_all], 5).min() * 1e3)


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
                try:
                    first = seconds(call)
                    later = [seconds(call) for _ in range(3 if rates > 10 else 7)]
                except Exception as error:  # a row that fails is shown, not hidden
                    row["first call ms"] = f"{type(error).__name__}"
                    break
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


def spread(values: np.ndarray) -> str:
    """Write a median and the extremes."""
    return f"{np.median(values):.3g} [{values.min():.3g} – {values.max():.3g}]"


def markdown(rows: list[Row]) -> str:
    """Format rows as a table."""
    titles = list(dict.fromkeys(title for row in rows for title in row))
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in rows:
        cells = (row.get(title, "") for title in titles)
        shown = [f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def machine() -> Row:
    """Describe what the numbers were measured with."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "date": date.today().isoformat(),
        "processor": models[0] if models else "unknown",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "Numba": numba.__version__,
        "statmech_bn": sbn.__version__,
    }


def main() -> None:
    """Measure everything, print and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats: under a minute")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/online.json"))
    options = parser.parse_args()
    os.environ["STATMECH_BN_CACHE"] = tempfile.mkdtemp()  # first calls derive, print and compile
    with threadpool_limits(limits=1):
        first_calls = students(options.quick)  # before anything else is compiled
        floor = Floor.measure()
        tables = {
            "Agreement with the loops": checks(),
            "Simulations and NumPy loops": against_loops(floor, options.quick),
            "Growth": growth(floor, options.quick),
            "Calls of one step": calls(options.quick),
            "ODE to t = 100 and SciPy": odes(options.quick),
            "ODE to t = 100, first and later calls": first_calls,
            "Memory of the N-vector level": memory(options.quick),
        }
    described, floor_ns = machine(), vars(floor).copy()
    del floor_ns["drawing"]
    parts = [
        ", ".join(f"{key} {value}" for key, value in described.items()),
        f"One normal: {floor.normal:.2f} ns. One g + one (g, g'): "
        + ", ".join(
            f"{name} {floor.value[name]:.2f} + {floor.value_and_slope[name]:.2f} ns"
            for name in floor.value
        ),
        *(f"### {title}\n\n{markdown(rows)}" for title, rows in tables.items()),
    ]
    report = "\n\n".join(parts) + "\n"
    print(report)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".md").write_text(report)
    content = {"machine": described, "floor_ns": floor_ns, "tables": tables}
    options.output.write_text(json.dumps(content, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()

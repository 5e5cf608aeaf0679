"""The chain of committees beside its random numbers and loops over N weights; their flow.

A step of K and K* units draws (K* + K) M normals, M for the labels' noise, and the lower triangular
matrix of min(K, M) rows. The loops are those that a user would write (`committee_loops`). The flow
is of erf units to t = 100 at η = 1, with averages that are closed.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import committee_loops
import numpy as np
from floors import numba
from structured import timed
from timing import Row, Work, interleaved, repetitions, spread

import statmech_bn as sbn

RATE = 0.1


def chain(setup: sbn.TeacherStudent, start: sbn.OrderParameters, N: int, steps: int) -> Work:
    """Prepare a call that takes so many steps."""
    return partial(sbn.mesoscopic, setup, RATE, [steps / N], start, N, workers=1)


def drawn(normals: int, chi_squares: int, freedom: float, steps: int) -> Work:
    """Prepare the random numbers of so many steps."""
    return partial(draw, np.random.default_rng(0), normals, chi_squares, freedom, steps)


@numba.njit(nogil=True)
def draw(generator, normals, chi_squares, freedom, steps):
    """Draw what steps need, and nothing else."""
    total = 0.0
    for _ in range(steps):
        for _ in range(normals):
            total += generator.standard_normal()
        for _ in range(chi_squares):
            total += generator.standard_gamma(0.5 * freedom)
    return total


def row(kind: str, activation: str, K: int, M: int, N: int, quick: bool) -> Row:
    """Time a committee of K units that learns from K."""
    setup = sbn.TeacherStudent(
        activation, kind, M, label_noise=0.1, student_units=K, teacher_units=K
    )
    start = sbn.OrderParameters.random(setup, 1000, 0)
    rows = min(K, M)
    normals = 2 * K * M + M + rows * (rows - 1) // 2
    took = timed(
        {
            "ours": (partial(chain, setup, start, N), 0.1),
            "draws": (partial(drawn, normals, rows, N - 2.0 * K), 0.1),
        },
        3 if quick else 5,
    )
    return {
        "student": f"{activation} {kind}",
        "K = K*": K,
        "M": M,
        "N": N,
        "ours µs": float(np.median(took["ours"])) * 1e6,
        "random numbers µs": float(np.median(took["draws"])) * 1e6,
        "ours/random numbers": spread(took["ours"] / took["draws"]),
    }


def one_unit(M: int, quick: bool) -> Row:
    """Time one unit as such, and as a committee of one."""
    setup = sbn.TeacherStudent("erf", "none", M, label_noise=0.1)
    starts = {
        "special": sbn.OrderParameters(0.1),
        "general": sbn.OrderParameters(student_teacher=[[0.1]], student_student=[[1.0]]),
    }
    sides = {name: (partial(chain, setup, start, 1000), 0.1) for name, start in starts.items()}
    took = timed(sides, 3 if quick else 5)
    return {
        "M": M,
        "one unit µs": float(np.median(took["special"])) * 1e6,
        "committee of one/one unit": spread(took["general"] / took["special"]),
    }


def beside_loops(kind: str, K: int, M: int, N: int, quick: bool) -> Row:
    """Time the chain and the loops over N weights, one replica each."""
    setup = sbn.TeacherStudent("erf", kind, M, label_noise=0.1, student_units=K, teacher_units=K)
    start = sbn.OrderParameters.random(setup, 1000, 0)
    took = timed({"ours": (partial(chain, setup, start, N), 0.1)}, 3 if quick else 5)
    found: Row = {"student": f"erf {kind}", "K = K*": K, "M": M, "N": N}
    found["chain µs"] = float(np.median(took["ours"])) * 1e6
    loops = {"NumPy": committee_loops.by_numpy}
    if find_spec("torch"):
        loops["PyTorch"] = committee_loops.by_torch
    for name, loop in loops.items():
        steps = repetitions(lambda n, loop=loop: partial(loop, setup, RATE, n, N), 0.1)
        works = [partial(loop, setup, RATE, n, N) for n in (1, 1 + steps)]
        few, many = interleaved(works, 3 if quick else 5)
        found[f"{name}/chain"] = spread((many - few) / steps / took["ours"])
    return found


def flow(kind: str, K: int, quick: bool) -> Row:
    """Time the flow of K units to t = 100, compiled before."""
    setup = sbn.TeacherStudent("erf", kind, 1, label_noise=0.1, student_units=K, teacher_units=K)
    start = sbn.OrderParameters.random(setup, 1000, 0)
    time = np.linspace(0, 100, 101)
    work = partial(sbn.macroscopic, setup, 1.0, time, start, workers=1)
    took = interleaved([work], 3 if quick else 9)[0]
    return {"student": f"erf {kind}", "K = K*": K, "ms": spread(took * 1e3)}


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Time all rows; on the processor only."""
    if device != "cpu":
        return {}
    kinds = [("none", "erf", 1), ("batch", "erf", 32), ("batch", "relu", 32)]
    sizes = [(2, 10**3)] if quick else [(K, N) for K in (2, 4) for N in (10**3, 10**12)]
    return {
        "Chain of committees, per step": [
            row(kind, activation, K, M, N, quick) for kind, activation, M in kinds for K, N in sizes
        ],
        "One unit in both forms, per step": [one_unit(M, quick) for M in (1, 32)],
        "Chain of committees beside loops over N weights, per step": [
            beside_loops(kind, K, M, N, quick)
            for kind, M in (("none", 1), ("batch", 32))
            for K, N in ([(2, 10**3)] if quick else [(2, 10**3), (2, 10**5), (4, 10**3)])
        ],
        "Flow of committees to t = 100": [
            flow(kind, K, quick) for kind in ("none", "weight") for K in (2, 3)
        ],
    }

"""The chain of committees: a step beside its random numbers, and one unit in both forms.

A step of K and K* units draws (K* + K) M normals, M for the labels' noise, and the lower triangular
matrix of min(K, M) rows.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from floors import numba
from structured import timed
from timing import Row, Work, spread

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
    }

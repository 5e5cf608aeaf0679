"""Timing side by side, the floor of a step, and tables in Markdown."""

from __future__ import annotations

import os
import platform
import time
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

import statmech_bn as sbn
from statmech_bn.activations import activation, z
from statmech_bn.codegen import numba_array_function

DRAWN = 2**15
"""Normals in the buffer of the floor's loop; it stays in the cache."""
REPEATS = 10
SQUARE = 256
"""Size of the matrix product that measures flops."""
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
    flop: float
    value: dict[str, float]
    value_and_slope: dict[str, float]
    drawing: Callable[[], object]

    @classmethod
    def measure(cls) -> Floor:
        """Measure PCG64's normals in a compiled loop, flops in a product, and activations."""
        generator, buffer = np.random.Generator(np.random.PCG64(0)), np.empty(DRAWN)
        matrix = generator.standard_normal((SQUARE, SQUARE))
        works = [partial(draw, generator, buffer, REPEATS), partial(np.dot, matrix, matrix)]
        points, results, slopes = generator.standard_normal(DRAWN), buffer.copy(), buffer.copy()
        for name in references.ACTIVATIONS:
            g = activation(name)
            one = numba_array_function([g.expression], z)
            two = numba_array_function([g.expression, g.derivative], z)
            works += [
                partial(evaluate, one, points, results),
                partial(evaluate_pair, two, points, results, slopes),
            ]
        drawn, product, *evaluated = interleaved(works, 25).min(axis=1) * 1e9
        return cls(
            drawn / (REPEATS * DRAWN),
            product / (2 * SQUARE**3),
            {
                name: t / DRAWN
                for name, t in zip(references.ACTIVATIONS, evaluated[::2], strict=True)
            },
            {
                name: t / DRAWN
                for name, t in zip(references.ACTIVATIONS, evaluated[1::2], strict=True)
            },
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
            "normals": normals,
            "kB": bytes_moved / 1e3,
            "kflop": flops / 1e3,
            "floor µs": (normals * self.normal + flops * self.flop + evaluated) / 1e3,
        }

    def __str__(self) -> str:
        """Say what was measured."""
        pairs = (
            f"{name} {self.value[name]:.2f} + {self.value_and_slope[name]:.2f} ns"
            for name in self.value
        )
        return (
            f"One normal: {self.normal:.2f} ns. One flop of a matrix product: {self.flop:.3f} ns. "
            f"One g + one (g, g'): {', '.join(pairs)}."
        )


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

"""Training many learning rates and initial weights together, beside one at a time.

    python benchmarks/offline.py [--quick] [--output results/benchmarks/offline.md]

32 learning rates × 8 initial weights share a data set, so that they are the columns of one matrix.
One core: one worker, one BLAS thread. Both sides run in the same process, in turns, and give the
same results. The products that training cannot do without, 4NK flops a sample for K columns, are
counted against the rate of matrix products of the same shapes in the same process.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from timing import Row, interleaved, machine, markdown, spread

import statmech_bn as sbn
from statmech_bn.offline.training_step import GROUP

RATES = np.geomspace(0.1, 10, 32)
STARTS = 8
LOAD = 2.0
LONGER = 5
"""How many times the epochs a single run is timed for, which is short otherwise."""


def setup(activation: str, normalization: str, batch_size: int) -> sbn.TeacherStudent:
    return sbn.TeacherStudent(activation, normalization, batch_size, label_noise=0.5)


def together(student: sbn.TeacherStudent, dimension: int, epochs: int, dtype: str) -> object:
    return sbn.offline.train(
        student, LOAD, RATES, dimension, epochs=epochs, initializations=STARTS, workers=1,
        dtype=dtype,
    )  # fmt: skip


def one_of_them(student: sbn.TeacherStudent, dimension: int, epochs: int, dtype: str) -> object:
    return sbn.offline.train(student, LOAD, RATES[7], dimension, epochs=epochs, workers=1,
                             dtype=dtype)  # fmt: skip


def products(dimension: int, batch_size: int, columns: int, dtype: str, times: int) -> None:
    """Multiply as training does: fields of a group, and its push on the weights."""
    size = max(1, GROUP // batch_size) * batch_size
    x = np.ones((size, dimension), dtype)
    weights, pushes = np.ones((dimension, columns), dtype), np.ones((size, columns), dtype)
    for _ in range(times):
        x @ weights
        x.T @ pushes


def differ(student: sbn.TeacherStudent, dimension: int) -> float:
    """Return the largest relative difference of ε_g between the two sides."""
    many = together(student, dimension, 3, "float64")["generalization_error"]
    worst = 0.0
    for rate in RATES:
        alone = sbn.offline.train(student, LOAD, rate, dimension, epochs=3, workers=1)
        error = alone["generalization_error"].squeeze()
        shared = many.sel(learning_rate=rate).isel(initialization=0).squeeze()
        if np.isfinite(error):
            worst = max(worst, abs(float(shared / error) - 1))
    return worst


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/offline.md"))
    options = parser.parse_args()
    repeats = 3 if options.quick else 9
    cases = [
        ("linear", "batch", 400, 10, "float64"),
        ("linear", "batch", 400, 40, "float64"),
        ("relu", "batch", 400, 10, "float64"),
        ("linear", "none", 400, 10, "float64"),
        ("linear", "weight", 400, 10, "float64"),
        ("linear", "batch", 2000, 10, "float64"),
        ("linear", "batch", 400, 10, "float32"),
    ]
    rows: list[Row] = []
    with threadpool_limits(limits=1):
        for activation, normalization, dimension, batch_size, dtype in cases:
            student = setup(activation, normalization, batch_size)
            samples = round(LOAD * dimension) // batch_size * batch_size
            columns, epochs = RATES.size * STARTS, 3 if dimension > 1000 else 10
            size = max(1, GROUP // batch_size) * batch_size
            times = max(1, 200 * 400 // dimension // 10)
            found = interleaved(
                [
                    partial(together, student, dimension, epochs, dtype),
                    partial(together, student, dimension, 0, dtype),
                    partial(one_of_them, student, dimension, LONGER * epochs, dtype),
                    partial(one_of_them, student, dimension, 0, dtype),
                    partial(products, dimension, batch_size, columns, dtype, times),
                ],
                repeats,
            )
            # without what a call costs
            many, one = (found[k] - np.median(found[k + 1]) for k in (0, 2))
            one = one / LONGER
            rate = times * 4 * size * dimension * columns / found[4] / 1e9
            reached = epochs * 4 * samples * dimension * columns / many / 1e9
            rows.append(
                {
                    "student": f"{activation} {normalization}",
                    "N": dimension,
                    "M": batch_size,
                    "dtype": dtype,
                    "together ms/epoch": np.median(many) * 1e3 / epochs,
                    "one at a time / together": spread(columns * one / many),
                    "Gflop/s": np.median(reached),
                    "products Gflop/s": np.median(rate),
                    "fraction": spread(reached / rate),
                    "largest difference": differ(student, dimension)
                    if dimension < 1000 and dtype == "float64"
                    else "",
                }
            )
    described = ", ".join(f"{key} {value}" for key, value in machine().items()) + "."
    title = f"### {RATES.size} learning rates × {STARTS} initial weights, α = {LOAD:g}"
    report = f"{described}\n\n{title}\n\n{markdown(rows)}\n"
    print(report)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(report)


if __name__ == "__main__":
    main()

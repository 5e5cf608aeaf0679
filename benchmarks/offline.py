"""Training on finite sets: many learning rates and initial weights together, beside loops of one.

32 learning rates × 8 initial weights share a data set, so that they are the columns of one matrix.
The products that training cannot do without, 4MNK flops a step for K columns, are the floor: those
of the same shapes and type in the same process. One core, but for a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import references
from levels import torch, torch_references
from timing import Row, Work, interleaved, repetitions, spread

import statmech_bn as sbn
from statmech_bn.arrays import namespace
from statmech_bn.offline.training_step import GROUP

RATES = np.geomspace(0.1, 10, 32)
STARTS = 8
LOAD = 2.0


def together(
    student: sbn.TeacherStudent, dimension: int, dtype: str, device: str, epochs: int
) -> Work:
    """Prepare the training of all columns."""
    options: dict[str, Any] = {"device": device} if device != "cpu" else {"workers": 1}
    options |= {"epochs": epochs, "initializations": STARTS, "dtype": dtype}
    return partial(sbn.offline.train, student, LOAD, RATES, dimension, **options)


def products(batch_size: int, dimension: int, dtype: str, device: str) -> tuple[Work, int]:
    """Prepare products as of training, fields of a group and its push; returns their samples."""
    library = namespace(device)
    size, columns = max(1, GROUP // batch_size) * batch_size, RATES.size * STARTS
    x, weights = library.ones((size, dimension), dtype), library.ones((dimension, columns), dtype)
    pushes = library.ones((size, columns), dtype)
    times = 1 + 10**9 // (4 * size * dimension * columns)

    def work() -> None:
        for _ in range(times):
            x @ weights
            x.T @ pushes
        if device == "cuda":
            library.cuda.get_current_stream().synchronize()

    return work, size * times


def row(activation: str, kind: str, N: int, M: int, dtype: str, quick: bool, device: str) -> Row:
    """Time one row."""
    student = sbn.TeacherStudent(activation, kind, M, label_noise=0.5)
    clock = time.process_time if device == "cpu" else time.perf_counter
    budget, repeats = (0.2, 3) if quick else (0.5, 7)
    makers = {"ours": partial(together, student, N, dtype, device)}
    loops = {"NumPy": references.offline} if device == "cpu" else {}
    if torch is not None and (device == "cpu" or torch.cuda.is_available()):
        torch.set_num_threads(1)
        options = {} if device == "cpu" else {"device": device}
        loops["PyTorch"] = partial(torch_references.offline, **options)
    for name, plain in loops.items():
        makers[name] = lambda n, f=plain: partial(f, student, LOAD, 1.0, N, n, dtype)
    epochs = {name: repetitions(make, budget, clock) for name, make in makers.items()}
    alone, samples = products(M, N, dtype, device)
    nothing = together(student, N, dtype, device, 0)
    works = [make(epochs[name]) for name, make in makers.items()]
    *found, calls, bare = interleaved([*works, nothing, alone], repeats, clock)
    took = {name: t / epochs[name] for name, t in zip(makers, found, strict=True)}
    took["ours"] = took["ours"] - np.median(calls) / epochs["ours"]
    columns, epoch = RATES.size * STARTS, round(LOAD * N) // M * M
    floor = bare * epoch / samples
    result: Row = {
        "student": f"{activation} {kind}", "device": device, "N": N, "M": M, "dtype": dtype,
        "ours ms/epoch": float(np.median(took["ours"])) * 1e3,
    }  # fmt: skip
    for name in ("NumPy", "PyTorch"):
        ratio = spread(columns * took[name] / took["ours"]) if name in took else None
        result[f"{name}, one by one / ours"] = ratio
    flops = 4 * epoch * N * columns
    return result | {
        "Gflop/s": flops / float(np.median(took["ours"])) / 1e9,
        "products Gflop/s": flops / float(np.median(floor)) / 1e9,
        "ours/floor": spread(took["ours"] / floor),
    }


def tables(quick: bool, device: str) -> dict[str, Iterable[Row]]:
    """Time all rows."""
    cases = [("linear", "batch", 400, 10, "float64"), ("linear", "batch", 400, 10, "float32")]
    if not quick:
        cases += [
            ("linear", "batch", 400, 40, "float64"),
            ("relu", "batch", 400, 10, "float64"),
            ("linear", "none", 400, 10, "float64"),
            ("linear", "weight", 400, 10, "float64"),
            ("linear", "batch", 2000, 10, "float64"),
        ]
    title = f"{RATES.size} learning rates × {STARTS} initial weights, α = {LOAD:g}"
    return {title: (row(*case, quick, device) for case in cases)}

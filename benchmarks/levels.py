"""Every level beside the loops in NumPy and PyTorch, and beside its floor.

Time per step and replica of a call, everything included but compilation: initial weights, streams,
threads, the Dataset with its generalization error. One core for all sides on the CPU.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable
from functools import partial
from types import ModuleType
from typing import Any

import floors
import numpy as np
import references
from floors import Case
from timing import Row, Work, interleaved, repetitions, seconds, spread

import statmech_bn as sbn

try:
    import torch
    import torch_references
except ImportError:
    torch, torch_references = None, None

START = sbn.OrderParameters(0.05)
LONGEST_LOOP, LONGEST = 5.0, 20.0
"""A loop of more seconds is not timed; all calls of ours in a row take at most so many."""


def cases(quick: bool, device: str) -> list[Case]:
    """Choose the rows."""
    network, chain = partial(Case, "microscopic"), partial(Case, "mesoscopic")
    few = [
        network(N=1000, M=1),
        network(N=1000),
        network(N=1000, normalization="none"),
        network(N=1000, normalization="batch"),
        network(N=1000, dtype="float32"),
        network(N=10**5),
        chain(M=1),
        chain(),
        chain(normalization="none"),
        chain(normalization="batch"),
        chain(activation="tanh"),
        chain(replicas=1000),
        chain(N=10**12),
    ]
    more = [
        network(N=1000, M=1024),
        network(N=10**4),
        network(N=10**5, M=1),
        network(N=10**6),
        network(N=1000, replicas=64),
        chain(M=4),
        chain(M=8),
        chain(M=1024),
        chain(M=4, normalization="batch"),
        chain(activation="linear"),
        chain(activation="softplus"),
        chain(activation="erf"),
        chain(N=10**6),
        chain(replicas=10**5, M=1),
    ]
    chosen = few if quick else few + more
    if device == "cuda":  # a GPU is for many replicas, or for large N
        wide = [network(N=1000, replicas=1000), chain(replicas=10**5)]
        chosen = [case for case in chosen if case.replicas > 1 or case.N >= 10**5] + wide
    return [Case(**{**vars(case), "device": device}) for case in chosen]


def ours(case: Case, steps: int, **options: Any) -> Work:
    """Prepare a call of the package that takes so many steps."""
    options |= {"workers": 1} if case.device == "cpu" else {"device": case.device}
    options |= {} if case.dtype == "float64" else {"dtype": case.dtype}
    rates = np.linspace(0.5, 1.0, case.rates) if case.rates > 1 else 1.0
    level = getattr(sbn, case.level)
    return partial(
        level, case.setup, rates, [steps / case.N], START, case.N, case.replicas, **options
    )


def loop(module: ModuleType, case: Case, steps: int) -> Work:
    """Prepare a loop of `references` or `torch_references`."""
    options = {"dtype": case.dtype} | ({} if module is references else {"device": case.device})
    level = getattr(module, case.level)
    return partial(level, case.setup, 1.0, steps, START, case.N, case.replicas, **options)


def takes(case: Case) -> bool:
    """Say whether the level has what the row asks for."""
    parameters = inspect.signature(getattr(sbn, case.level)).parameters
    return (case.device == "cpu" or "device" in parameters) and (
        case.dtype == "float64" or "dtype" in parameters
    )


def row(case: Case, quick: bool) -> Row:
    """Time one row."""
    budget, repeats = (0.1, 3) if quick else (0.2, 7)
    clock = time.process_time if case.device == "cpu" else time.perf_counter
    loops = {"NumPy": references} if case.device == "cpu" else {}
    if torch is not None and (case.device == "cpu" or torch.cuda.is_available()):
        torch.set_num_threads(1)
        loops["PyTorch"] = torch_references
    makers = {"ours": partial(ours, case)}
    makers |= {name: partial(loop, module, case) for name, module in loops.items()}
    steps = {name: repetitions(make, budget, clock) for name, make in makers.items()}
    if case.level == "mesoscopic" and case.replicas > 1 and case.device == "cpu":
        # a replica costs something by itself
        steps["ours"] = max(steps["ours"], case.N)
    sides = {name: make(steps[name]) for name, make in makers.items()}
    sides = {
        name: work
        for name, work in sides.items()
        if name == "ours" or seconds(work, clock) < LONGEST_LOOP
    }
    parts = floors.parts(case)
    repeats = int(np.clip(LONGEST / seconds(sides["ours"], clock), 1, repeats))
    works = [*sides.values(), *(part.work for part in parts.values())]
    found = interleaved(works, repeats, clock)
    took = {n: t / (steps[n] * case.replicas) for n, t in zip(sides, found, strict=False)}
    alone = {n: t / p.steps for (n, p), t in zip(parts.items(), found[len(sides) :], strict=True)}
    binds = max(alone, key=lambda name: float(np.median(alone[name])))
    result: Row = {
        "level": case.level,
        "device": case.device,
        "student": f"{case.activation} {case.normalization}",
        "N": case.N,
        "M": case.M,
        "replicas": case.replicas,
        "dtype": case.dtype,
        "ours µs": float(np.median(took["ours"])) * 1e6,
    }
    for name in ("NumPy", "PyTorch"):
        result[f"{name}/ours"] = spread(took[name] / took["ours"]) if name in took else None
    result |= {
        "floor µs": float(np.median(alone[binds])) * 1e6,
        "floor": binds,
        "ours/floor": spread(took["ours"] / alone[binds]),
    }
    return result


def agreement() -> list[Row]:
    """Check, before anything is timed, that ours and the loops compute the same in mean."""
    rows = []
    for level, runs in (("microscopic", 40), ("mesoscopic", 2000)):
        for kind in ("none", "weight", "batch"):
            setup = sbn.TeacherStudent("relu", kind, 8, label_noise=0.5)
            row: Row = {"level": level, "student": kind}
            for name, module in (("NumPy", references), ("PyTorch", torch_references)):
                if module is not None:
                    score = references.agreement(setup, level, getattr(module, level), runs)
                    if score > 5:
                        raise SystemExit(f"{level} {kind}: {name}'s loop is {score:.1f} σ away")
                    row[f"{name}: largest z-score"] = score
            rows.append(row)
    return rows


def tables(quick: bool, device: str) -> dict[str, Iterable[Row]]:
    """Time all rows."""
    return {
        "Agreement with the loops": agreement(),
        "Time per step and replica": (row(c, quick) for c in cases(quick, device) if takes(c)),
    }

"""Time sides in turns, and say on what machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from statmech_bn.arrays import namespace

Work = Callable[[], object]
Row = dict[str, Any]
FEWEST = 4
"""A call takes at least so many steps; the first touches large arrays, which takes time."""
PACKAGES = ("statmech_bn", "numpy", "scipy", "numba", "torch")


def seconds(work: Work, clock: Callable[[], float] = time.process_time) -> float:
    """Time one call: of the processor by default, which other work on the machine disturbs less."""
    begin = clock()
    work()
    return clock() - begin


def interleaved(
    sides: Sequence[Work], repeats: int, clock: Callable[[], float] = time.process_time
) -> np.ndarray:
    """Time callables in turns, after one call of each; returns (sides, repeats) seconds."""
    for work in sides:
        work()
    return np.array([[seconds(work, clock) for work in sides] for _ in range(repeats)]).T


def repetitions(
    prepare: Callable[[int], Work],
    budget: float,
    clock: Callable[[], float] = time.process_time,
) -> int:
    """Choose how many steps take about `budget` seconds, `FEWEST` if those take longer."""
    prepare(1)()
    call = min(seconds(prepare(1), clock) for _ in range(2))
    steps, spent = 1, 0.0
    while call < budget and spent < budget / 4:
        steps *= 4
        spent = seconds(prepare(steps), clock) - call
    return FEWEST if steps == 1 else max(FEWEST, round(steps * budget / spent))


def spread(values: np.ndarray) -> list[float]:
    """Return the median and the extremes."""
    return [float(np.median(values)), float(values.min()), float(values.max())]


def machine(device: str) -> Row:
    """Describe what the numbers were measured with."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    found = {
        "date": date.today().isoformat(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if os.name == "posix" else None,
        "python": platform.python_version(),
    }
    if device == "cuda":
        library = namespace(device)
        name = library.cuda.runtime.getDeviceProperties(0)["name"].decode()
        found |= {"GPU": name, "cupy": library.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

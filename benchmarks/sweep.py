"""What a sweep costs besides its points: per chunk and block, with two workers, as it grows.

The sides of a comparison take turns, in wall-clock time.
"""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from distributed import LocalCluster
from timing import Row, spread
from timing import seconds as processor_seconds

import statmech_bn as sbn
from statmech_bn.sweeps import run

TIMES = xr.Coordinates({"time": np.arange(200.0)})
START = sbn.OrderParameters(0.05)
FOLDERS = itertools.count()
seconds = partial(processor_seconds, clock=time.perf_counter)


def cheap(x, y):
    """Return 200 times of one variable, as fast as a Dataset can be made."""
    return xr.Dataset({"value": ("time", np.full(200, x + y))}, TIMES)


def chain(x, steps):
    """Simulate the finite-N chain, which lets other threads run."""
    setup = sbn.TeacherStudent("relu", "weight", 32, label_noise=0.5)
    return sbn.mesoscopic(setup, 1.0, [steps / 1e6], START, 10**6, seed=x, workers=1)


def nap(x, duration):
    """Take time but no processor."""
    time.sleep(duration)
    return xr.Dataset({"value": ((), float(x))})


def swept(folder: Path, function: Any, grid: Any, **options: Any) -> Callable[[], object]:
    """Prepare a sweep, into a new store at each call."""
    return lambda: sbn.sweep(function, grid, folder / f"{next(FOLDERS)}.zarr", **options)


def overhead(folder: Path, quick: bool, scheduler: str) -> list[Row]:
    """Compare sweeps of cheap points, cut in three ways, with a bare loop over them."""
    points, repeats = (500, 3) if quick else (2000, 7)
    grid = {"x": range(points), "y": [0]}

    def loop() -> None:
        for x in range(points):
            cheap(x, 0)

    rows = []
    kinds: dict[str, Row] = {
        "calling thread": {"workers": 1},
        "2 threads": {"workers": 2},
        "Dask, 2 processes": {"scheduler": scheduler},
    }
    for kind, options in kinds.items():
        large = swept(folder, cheap, grid, chunk_points=points // 4, **options)
        single = swept(folder, cheap, grid, chunk_points=1, **options)
        found: list[list[float]] = []
        for repeat in range(repeats + 1):
            plain, whole, chunks = seconds(loop), seconds(large), seconds(single)
            usual, run.BLOCK_SECONDS = run.BLOCK_SECONDS, 0.0
            blocks = seconds(single)
            run.BLOCK_SECONDS = usual
            if repeat:
                found.append([plain, whole - plain, chunks - whole, blocks - chunks])
        per_point = np.array(found).T / points
        rows.append(
            {
                "workers": kind,
                "bare loop µs/point": spread(per_point[0] * 1e6),
                "sweep adds µs/point": spread(per_point[1] * 1e6),
                "a chunk adds ms": spread(per_point[2] * 1e3),
                "a block adds ms": spread(per_point[3] * 1e3),
            }
        )
    return rows


def efficiency(folder: Path, quick: bool, scheduler: str) -> list[Row]:
    """Compare one worker with two, for blocks of a second."""
    repeats, points = (2, 6) if quick else (5, 12)
    steps = 10_000
    chain(0, steps)
    while (spent := min(seconds(partial(chain, 0, steps)) for _ in range(3))) < 0.1:
        steps *= 2
    works: dict[str, Any] = {
        "chain": partial(chain, steps=int(steps / spent)),
        "no processor": partial(nap, duration=1.0),
    }
    rows = []
    for title, function in works.items():
        grid = {"x": range(points)}

        def bare(function: Any = function) -> None:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda x: function(x=x), range(points)))

        one = swept(folder, function, grid, workers=1)
        sides: dict[str, Callable[[], object]] = {
            "bare pool of 2 threads": bare,
            "sweep, 2 threads": swept(folder, function, grid, workers=2),
            "sweep, Dask, 2 processes": swept(folder, function, grid, scheduler=scheduler),
        }
        sides["sweep, Dask, 2 processes"]()  # imports and compiles in its workers
        found = np.array(
            [
                [seconds(one), *(seconds(side) for side in sides.values()), seconds(one)]
                for _ in range(repeats)
            ]
        ).T
        single = (found[0] + found[-1]) / 2
        for label, double in zip(sides, found[1:-1], strict=True):
            rows.append(
                {
                    "point": title,
                    "points": points,
                    "two workers": label,
                    "one worker s": spread(single),
                    "two workers s": spread(double),
                    "of twice one": spread(single / (2 * double)),
                    "of bare pool": spread(found[1] / double),
                }
            )
    return rows


def starts(folder: Path, quick: bool) -> list[Row]:
    """Time sweeps of a single point: what a call costs besides its points."""
    rows = []
    kinds: dict[str, Row] = {
        "calling thread": {"workers": 1},
        "2 threads": {"workers": 2},
        "2 processes": {"workers": 2, "processes": True},
    }
    for kind, options in kinds.items():
        call = swept(folder, cheap, {"x": [1], "y": [0]}, **options)
        call()
        found = np.array([seconds(call) for _ in range(3 if quick else 7)])
        rows.append({"workers": kind, "sweep of one point ms": spread(found * 1e3)})
    return rows


def resident() -> float:
    """Return the peak of this process's memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def one_size(folder: str, points: int) -> Row:
    """Sweep so many points, and make the same call again."""
    grid = {"x": range(points // 100), "y": range(100)}
    call = partial(sbn.sweep, cheap, grid, f"{folder}/{points}.zarr", workers=1)
    sbn.sweep(cheap, {"x": range(10), "y": [0]}, f"{folder}/first{points}.zarr", workers=1)
    before, begin = resident(), time.process_time()
    wall = seconds(call)
    spent, peak = time.process_time() - begin, resident()
    again = seconds(call)
    files = [path for path in Path(folder, f"{points}.zarr").rglob("*") if path.is_file()]
    return {
        "points": points,
        "files": len(files),
        "store MB": sum(path.stat().st_size for path in files) / 1e6,
        "s": wall,
        "µs/point": wall / points * 1e6,
        "processor µs/point": spent / points * 1e6,
        "same call again s": again,
        "memory before MB": before,
        "peak memory MB": peak,
    }


def growth(folder: Path, quick: bool) -> list[Row]:
    """Sweep larger and larger grids of 200 times, each in its own process."""
    rows, context = [], multiprocessing.get_context("spawn")
    for points in (1000, 10_000, 100_000) if quick else (1000, 10_000, 100_000, 1_000_000):
        with context.Pool(1) as pool:
            rows.append(pool.apply(one_size, (str(folder), points)))
    return rows


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Measure everything; the GPU has no part in it."""
    if device != "cpu":
        return {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster:
            address = cluster.scheduler_address
            found = {
                "Cheap points and a bare loop": overhead(folder, quick, address),
                "Two workers, blocks of a second": efficiency(folder, quick, address),
            }
        return found | {"Calls": starts(folder, quick), "Growth": growth(folder, quick)}

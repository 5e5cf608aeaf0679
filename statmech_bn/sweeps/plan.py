"""What a sweep will need, before it is begun."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from statmech_bn.sweeps.points import Block, compute
from statmech_bn.sweeps.run import block_length, checked, cut, result_of
from statmech_bn.sweeps.workers import check_main, executor

MOST = 9
"""At most so many points are taken, or two for each thread after the first."""
ENOUGH, LONG = 2.0, 20.0
"""No point is begun so many seconds after the first one, or if that took so long itself."""


@dataclass(frozen=True)
class Plan:
    """What a sweep will need: see `plan`."""

    shape: dict[str, int]
    """Length of each axis of the grid."""
    points: int
    """Calls of the function, one for each point of the grid."""
    chunks: int
    """Parts of the grid that are written one by one."""
    store_bytes: int
    """Size of all results."""
    bytes_in_flight: int
    """Results that are on their way at the same time, at most."""
    workers: int
    """Threads, or processes, that compute points at the same time."""
    seconds_per_point: float
    """Mean time of the calls that were made, as many at once as there are threads, without what
    they compiled or the first imported."""
    seconds: float
    """Estimated time of the whole sweep, without what is compiled."""

    def __str__(self) -> str:
        axes = " × ".join(f"{length} {name}" for name, length in self.shape.items())
        return (
            f"{self.points} points ({axes}) in {self.chunks} chunks\n"
            f"store: {_amount(self.store_bytes)}, "
            f"{_amount(self.bytes_in_flight)} in flight\n"
            f"time: {tqdm.format_interval(self.seconds)} on {self.workers} workers, "
            f"{self.seconds_per_point:.3g} s a point"
        )


def plan(
    function: Callable[..., xr.Dataset],
    grid: Mapping[str, Sequence[Any]],
    *,
    seed: int | None = None,
    workers: int | None = None,
    processes: bool = False,
    scheduler: str | None = None,
    chunk_points: int | None = None,
) -> Plan:
    """Say what a sweep will need, from a few of its points; nothing is stored.

    The first point tells the size of a result, and the time without what was compiled. More points,
    spread over the grid, are begun, as many at once as there are threads, until two seconds after
    the first, which also imports and compiles; a first one of more than 20 seconds is the only one.

    Parameters
    ----------
    function : callable
        This and the others are as in `statmech_bn.sweep`.
    grid : mapping
    seed : int, optional
    workers : int, optional
    processes : bool
    scheduler : str, optional
    chunk_points : int, optional

    Returns
    -------
    Plan
    """
    check_main(function, processes)
    axes, study, _ = checked(function, grid, seed, chunk_points)
    with executor(workers, processes, scheduler) as (pool, capacity):
        width = capacity()
        # threads take turns in Python; another process would import once more, unlike most points
        together = 1 if processes or scheduler is not None else width

        def begin(number: int) -> Future[Block]:
            return pool.submit(compute, study, None, [axes.point(number)])

        number, *rest = spread(axes.shape, min(max(MOST, 1 + 2 * together), axes.size))
        first, others = result_of(begin(number)), []
        left = iter(rest if first.seconds <= LONG else ())
        began = time.monotonic()
        pending = {begin(number) for number in islice(left, together)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            others += [result_of(future) for future in done]
            if time.monotonic() - began < ENOUGH:
                pending |= {begin(number) for number in islice(left, len(done))}
    template = first.template
    chunks = cut(axes, template, chunk_points)
    measured = others if len(others) > 1 else [first, *others]
    seconds = math.fsum(block.seconds for block in measured) / len(measured)
    once = max(0.0, first.seconds - seconds)  # the sweep imports and derives as well
    points, size = math.prod(chunks.shape), axes.size * template.point_bytes
    chunk_bytes = points * template.point_bytes
    block_bytes = chunk_bytes * block_length(seconds * points, chunk_bytes)
    return Plan(
        shape=dict(zip(axes.names, axes.shape, strict=True)),
        points=axes.size,
        chunks=len(chunks),
        store_bytes=size,
        bytes_in_flight=min(2 * width * block_bytes, size),
        workers=width,
        seconds_per_point=seconds,
        seconds=once + seconds * axes.size / min(width, len(chunks)),
    )


def spread(shape: tuple[int, ...], points: int) -> list[int]:
    """Return points that are spread evenly over every axis of a grid, however few they are.

    Point k is at the fractional parts of 1/2 + k φ^-j on axis j, where φ^(d+1) = φ + 1 (M. Roberts,
    "The unreasonable effectiveness of quasirandom sequences", 2018).

    Returns
    -------
    list of int
        Numbers of points in C order.
    """
    ratio, dims = 2.0, len(shape)
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (dims + 1))
    shares = (0.5 + np.outer(np.arange(points), ratio ** -np.arange(1.0, dims + 1))) % 1.0
    indices = np.floor(shares * shape).astype(int)
    return [int(number) for number in np.ravel_multi_index(tuple(indices.T), shape)]


def _amount(size: float) -> str:
    return tqdm.format_sizeof(size, "B", 1024)

"""The run of a sweep: a few blocks at a time go to workers, each finished one to the store.

A block is a number of chunks that takes about a second; at most two blocks for each worker are on
their way, which bounds the memory whatever the grid is. Workers are threads, processes, or those
of a Dask cluster: all are executors of `concurrent.futures`. Only this process writes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from statmech_bn.dataset import open_dataset
from statmech_bn.errors import SweepStopped, invalid
from statmech_bn.sweeps.description import describe_sweep
from statmech_bn.sweeps.grid import Chunks, Grid
from statmech_bn.sweeps.points import Block, Study, compute, first_result
from statmech_bn.sweeps.store import Store, create, hold
from statmech_bn.teacher_student import integer

CHUNKS = 256
"""A grid is cut into at least this many chunks (or its points), so that a kill loses little."""
CHUNK_BYTES = 2**20
"""And a chunk has at most this many bytes, unless a point has more."""
BLOCK_SECONDS, BLOCK_BYTES = 1.0, 2**24
"""A block takes about this long, and is not larger unless a chunk is."""


def sweep(
    function: Callable[..., xr.Dataset],
    grid: Mapping[str, Sequence[Any]],
    store: str | os.PathLike[str],
    *,
    seed: int | None = None,
    workers: int | None = None,
    processes: bool = False,
    scheduler: str | None = None,
    chunk_points: int | None = None,
) -> xr.Dataset:
    """Compute a function at every point of a grid, into one store.

    A sweep that was killed goes on where it stopped when the same call is made again: chunks that
    are whole are kept, the others computed, and the store ends with the same bytes as if nothing
    had happened. A result depends on the function, its arguments, the point and the seed, never
    on workers.

    Parameters
    ----------
    function : callable
        A function at the top of a module, or `functools.partial` of one, that takes the names of
        the grid as keyword arguments and returns a Dataset. Its dims and their coordinates must
        be the same at all points.
    grid : mapping from str to sequence
        Values of each argument: numbers, booleans or strings. The product is computed.
    store : path-like
        Folder of the Zarr store (format 3).
    seed : int, optional
        Each point is called with its own ``seed=``, which follows from this one and the point's
        values (`statmech_bn.sweeps.point_seed`). Without it the function is called as it is; for
        several seeds a point, or the same at all, put "seed" in the grid or bind it.
    workers : int, optional
        Threads or processes, by default one a core. With one thread, points are computed in the
        calling thread.
    processes : bool
        Processes instead of threads, for functions that hold Python's lock. The calling script
        needs the usual ``if __name__ == "__main__":``.
    scheduler : str, optional
        Address of a `distributed` scheduler, say ``"tcp://10.0.0.1:8786"``; its workers are used.
        Needs the extra `cluster`.
    chunk_points : int, optional
        Points in a chunk of the store, the least that is computed and written as one. By default
        at least 256 chunks of at most 1 MiB; set 1 for slow points on many workers.

    Returns
    -------
    xarray.Dataset
        The grid's dims before the function's own, opened from the store; values are read when
        they are used. Attributes that vary over the grid are left out.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    InvalidStore
        The store holds another sweep (the message lists what differs), or another process is
        writing to it.
    SweepStopped
        A point failed (the message names it), a worker died, or nothing more could be written.
        What was finished is kept.

    Examples
    --------
    >>> import tempfile
    >>> from functools import partial
    >>> import statmech_bn as sbn
    >>> setup, start = sbn.TeacherStudent("linear", "weight", 4), sbn.OrderParameters(0.1)
    >>> theory = partial(sbn.macroscopic, setup, time=[0.0, 1.0, 2.0], start=start)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = sbn.sweep(theory, {"learning_rate": [0.3, 1, 3]}, f"{folder}/run.zarr")
    ...     print(dict(result.overlap.sizes))
    {'learning_rate': 3, 'time': 3}
    """
    axes, study, description = _checked(function, grid, seed, chunk_points)
    path = Path(store)
    with hold(path) as folder, _executor(workers, processes, scheduler) as (pool, capacity):
        pace = None
        if folder != path:
            template, pace = _result(pool.submit(first_result, study, axes.point(0)), path)
            chunks = _chunks(axes, template.point_bytes, chunk_points)
            create(folder, axes, template, chunks, description)
            folder.replace(path)
        opened = Store(path, axes)
        opened.check(description)
        missing = opened.missing()
        if missing.size:
            opened.mark(complete=False)
            _run(pool, capacity, study, opened, missing, pace)
        opened.mark(complete=True)
    return open_dataset(path)


@dataclass(frozen=True)
class Plan:
    """What a sweep will need: see `plan`."""

    shape: dict[str, int]
    """Length of each axis of the grid."""
    points: int
    chunks: int
    store_bytes: int
    """Before compression."""
    bytes_in_flight: int
    """Results that are on their way at the same time, at most."""
    workers: int
    seconds_per_point: float
    seconds: float
    """Estimated time of the whole sweep."""

    def __str__(self) -> str:
        axes = " × ".join(f"{length} {name}" for name, length in self.shape.items())
        return (
            f"{self.points} points ({axes}) in {self.chunks} chunks\n"
            f"store: {_amount(self.store_bytes)} before compression, "
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
    """Say what a sweep will need, from three of its points; nothing is stored.

    The first point, which may compile, tells the size of a result; the middle and the last tell
    the time, so the estimate is rough where points differ.

    Parameters
    ----------
    function, grid, seed, workers, processes, scheduler, chunk_points
        As in `statmech_bn.sweep`.

    Returns
    -------
    Plan
    """
    axes, study, _ = _checked(function, grid, seed, chunk_points)
    with _executor(workers, processes, scheduler) as (pool, capacity):
        numbers = (0, axes.size // 2, axes.size - 1)
        found = [_result(pool.submit(first_result, study, axes.point(n))) for n in numbers]
        size = found[0][0].point_bytes
        chunks = _chunks(axes, size, chunk_points)
        seconds, width = float(np.mean([spent for _, spent in found[1:]])), capacity()
        per_chunk = size * int(np.prod(chunks.shape))
        per_block = per_chunk * _block_length(seconds * int(np.prod(chunks.shape)), per_chunk)
        return Plan(
            shape=dict(zip(axes.names, axes.shape, strict=True)),
            points=axes.size,
            chunks=len(chunks),
            store_bytes=axes.size * size,
            bytes_in_flight=min(2 * width * per_block, axes.size * size),
            workers=width,
            seconds_per_point=seconds,
            seconds=seconds * axes.size / min(width, len(chunks)),
        )


def _checked(
    function: Any, grid: Any, seed: Any, chunk_points: Any
) -> tuple[Grid, Study, dict[str, Any]]:
    axes = Grid.of(grid)
    seed = None if seed is None else integer("seed", seed, 0)
    points = None if chunk_points is None else integer("chunk_points", chunk_points, 1)
    description = describe_sweep(function, axes, seed, points)
    return axes, Study(function, axes.names, seed), description


def _chunks(grid: Grid, point_bytes: int, chunk_points: int | None) -> Chunks:
    """Choose the chunks from the grid and the size of a result alone."""
    points = chunk_points or max(1, min(grid.size // CHUNKS, CHUNK_BYTES // point_bytes))
    return Chunks.of(grid.shape, points)


def _block_length(chunk_seconds: float, chunk_bytes: int) -> int:
    """Return how many chunks make a block."""
    return max(1, int(min(BLOCK_SECONDS / max(chunk_seconds, 1e-9), BLOCK_BYTES / chunk_bytes)))


def _run(
    pool: Executor,
    capacity: Callable[[], int],
    study: Study,
    store: Store,
    missing: np.ndarray,
    point_seconds: float | None,
) -> None:
    """Compute and write the missing chunks."""
    template, chunks, grid = store.template(), store.chunks, store.grid
    per_chunk = int(np.prod(chunks.shape))
    seconds = np.inf if point_seconds is None else point_seconds * per_chunk
    pending: dict[Future[Block], np.ndarray] = {}
    begun = 0
    done = grid.size - sum(chunks.points(number) for number in missing)
    bar = tqdm(total=grid.size, initial=done, unit="point", desc=store.path.name, disable=None)
    try:
        while begun < missing.size or pending:
            width = 2 * capacity()
            while begun < missing.size and len(pending) < width:
                even = -(-(missing.size - begun) // width)  # so that workers end together
                length = min(_block_length(seconds, per_chunk * template.point_bytes), even)
                numbers = missing[begun : begun + length]
                parts = [grid.part(chunks.box(number)) for number in numbers]
                pending[pool.submit(compute, study, template, parts)] = numbers
                begun += length
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                numbers = pending.pop(future)
                block = _result(future, store.path)
                seconds = block.seconds / numbers.size
                _write(store, numbers, block)
                bar.update(sum(chunks.points(number) for number in numbers))
    except KeyboardInterrupt as stop:
        stop.add_note(f"Stopped by the keyboard. {_resume(store.path)}")
        raise
    finally:
        bar.close()
        for future in pending:
            future.cancel()


def _write(store: Store, numbers: np.ndarray, block: Block) -> None:
    """Write a finished block."""
    try:
        store.forget(block.varying)
        for number, values in zip(numbers, block.chunks, strict=True):
            store.write(number, values)
    except OSError as error:
        raise SweepStopped(f"Writing failed: {error}. {_resume(store.path)}") from error


def _result(future: Future[Any], path: Path | None = None) -> Any:
    """Return the result of a future, or say what stopped it."""
    try:
        return future.result()
    except Exception as error:
        told = error if isinstance(error, SweepStopped) else f"{type(error).__name__}: {error}"
        resume = "" if path is None else f" {_resume(path)}"
        raise SweepStopped(f"{told}{resume}") from error


def _resume(path: Path) -> str:
    return f"What is finished is kept in {path}; make the same call again to go on from there."


@contextmanager
def _executor(
    workers: int | None, processes: bool, scheduler: str | None
) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """Open the workers; yields an executor and a function that counts them."""
    if scheduler is not None:
        if workers is not None or processes:
            raise invalid("workers", "none beside a scheduler, which has its own", workers)
        try:
            from distributed import Client
        except ImportError as error:
            raise invalid(
                "scheduler",
                "None without `distributed`",
                scheduler,
                "Install statmech_bn[cluster].",
            ) from error
        with Client(scheduler, set_as_default=False) as client:
            yield client.get_executor(pure=False), lambda: max(1, sum(client.ncores().values()))
        return
    count = (os.cpu_count() or 1) if workers is None else integer("workers", workers, 1)
    if count == 1 and not processes:
        yield _Here(), lambda: 1
        return
    pool = (
        ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _end_with_parent)
        if processes
        else ThreadPoolExecutor(count)
    )
    try:
        yield pool, lambda: count
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Here(Executor):
    """The calling thread."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _end_with_parent() -> None:
    """Let a worker process end with its parent, however that ends, and silently at Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _amount(size: float) -> str:
    return tqdm.format_sizeof(size, "B", 1024)

"""The run of a sweep: a few blocks at a time go to workers, each finished one to the store.

A block is a number of chunks that takes about a second; at most two blocks for each worker are on
their way, which bounds the memory whatever the grid is. Only this process writes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.checks import integer
from statmech_bn.dataset import OTHERS, open_dataset
from statmech_bn.errors import SweepStopped, invalid
from statmech_bn.files import user_path
from statmech_bn.interrupts import bar
from statmech_bn.sweeps.description import describe_sweep
from statmech_bn.sweeps.grid import CHUNKS, Chunks, Grid, points_of
from statmech_bn.sweeps.points import Block, Study, Template, compute, varying
from statmech_bn.sweeps.store import Store, check, create, hold
from statmech_bn.sweeps.workers import check_main, executor

BLOCK_SECONDS, BLOCK_BYTES = 1.0, 2**24
"""A block takes about this long, and is not larger unless a chunk is."""
GUARD = (
    "A worker process ended: it was killed, say for memory, or could not import the script, which "
    'must call sweep under `if __name__ == "__main__":`.'
)


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
        calling thread. A function with threads of its own is best bound to ``workers=1``.
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
    check_main(function, processes)
    axes, study, description = checked(function, grid, seed, chunk_points)
    path = Path(os.path.realpath(folder_of(store)))  # the place of a link, not the link
    with hold(path) as folder:
        if folder == path:
            check(path, description)
        try:
            with executor(workers, processes, scheduler) as (pool, capacity):
                pending: dict[Future[Block], np.ndarray] = {}
                if folder != path:
                    pending = _begin(pool, 2 * capacity(), study, axes, chunk_points)
                    template = result_of(next(iter(pending))).template
                    chunks = cut(axes, template, chunk_points)
                    with _writing(path):
                        create(folder, path, axes, template, chunks, description)
                    if len(chunks) < axes.size:  # points are not chunks
                        pending = {}
                with _writing(path):
                    opened = Store(path, axes)
                    missing = opened.missing()
                if missing.size:
                    _run(pool, capacity, study, opened, missing, pending)
                with _writing(path):
                    opened.finish()
        except KeyboardInterrupt as stop:  # the note of a point would say that nothing is kept
            stop.__notes__ = [_resume(path)]
            raise
    return open_dataset(path)


def folder_of(store: str | os.PathLike[str]) -> Path:
    """Return the folder of a store; its name is not that of another format's file."""
    path = user_path(store, "store")
    if Path(os.path.realpath(path)).suffix in (*OTHERS, ".nc"):
        raise invalid("store", "a name for a folder, such as run.zarr", str(store))
    return path


def checked(
    function: Any, grid: Any, seed: Any, chunk_points: Any
) -> tuple[Grid, Study, dict[str, Any]]:
    """Check the arguments of a sweep; returns what is computed and its description."""
    axes = Grid.of(grid)
    seed = None if seed is None else integer("seed", seed, 0)
    points = None if chunk_points is None else integer("chunk_points", chunk_points, 1)
    description = describe_sweep(function, axes, seed, points)
    return axes, Study(function, axes.names, seed), description


def cut(grid: Grid, template: Template, chunk_points: int | None) -> Chunks:
    """Choose the chunks: they follow from the grid and the size of a result alone."""
    if chunk_points is None:
        return Chunks.by_default(grid.shape, template.point_bytes)
    return Chunks.of(grid.shape, chunk_points)


def block_length(chunk_seconds: float, chunk_bytes: int) -> int:
    """Return how many chunks make a block."""
    return max(1, int(min(BLOCK_SECONDS / chunk_seconds, BLOCK_BYTES / chunk_bytes)))


def result_of(future: Future[Block], resume: str = "") -> Block:
    """Return a finished block, or raise what stopped it as SweepStopped."""
    try:
        return future.result()
    except Exception as error:
        told = error if isinstance(error, SweepStopped) else f"{type(error).__name__}: {error}"
        if isinstance(error, BrokenExecutor):
            told = f"{told} {GUARD}"
        raise SweepStopped(f"{told} {resume}".strip()) from error


def _begin(
    pool: Executor, width: int, study: Study, grid: Grid, chunk_points: int | None
) -> dict[Future[Block], np.ndarray]:
    """Begin with the first point, and if points will be chunks, with one for each worker.

    What a result looks like, which a chunk follows from, is only known from the first.
    """
    single = chunk_points == 1 or (chunk_points is None and grid.size < 2 * CHUNKS)
    numbers = range(min(width, grid.size) if single else 1)
    return {pool.submit(compute, study, None, [grid.point(n)]): np.array([n]) for n in numbers}


def _run(
    pool: Executor,
    capacity: Callable[[], int],
    study: Study,
    store: Store,
    missing: np.ndarray,
    pending: dict[Future[Block], np.ndarray],
) -> None:
    """Compute and write the missing chunks; the first of them are pending already."""
    template, chunks, grid = store.template(), store.chunks, store.grid
    chunk_bytes = math.prod(chunks.shape) * template.point_bytes
    seconds = math.inf  # of a chunk: the first blocks have one, to find out
    begun = len(pending)
    done = grid.size - sum(chunks.points(number) for number in missing)
    try:
        with _writing(store.path):
            store.begin()
        with bar(grid.size, store.path.name, "points", None, done) as show:
            while begun < missing.size or pending:
                width = 2 * capacity()
                while begun < missing.size and len(pending) < width:
                    even = math.ceil((missing.size - begun) / width)  # workers end together
                    length = min(block_length(seconds, chunk_bytes), even)
                    numbers = missing[begun : begun + length]
                    parts = [grid.part(chunks.box(number)) for number in numbers]
                    pending[pool.submit(compute, study, template, parts)] = numbers
                    begun += numbers.size
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    block = result_of(future, _resume(store.path))
                    numbers = pending.pop(future)
                    seconds = block.seconds / numbers.size
                    if problem := template.mismatch(block.template):
                        point = next(points_of(grid.names, grid.point(numbers[0])))[1]
                        told = f"The result at {point} cannot be stored: {problem}."
                        raise SweepStopped(f"{told} {_resume(store.path)}")
                    _write(store, template, numbers, block)
                    done += sum(chunks.points(number) for number in numbers)
                    show(done)
    except BrokenExecutor as error:  # a worker died before it was given a block
        told = f"{type(error).__name__}: {error} {GUARD}"
        raise SweepStopped(f"{told} {_resume(store.path)}") from error


def _write(store: Store, template: Template, numbers: np.ndarray, block: Block) -> None:
    """Write a finished block."""
    with _writing(store.path):
        store.forget(block.varying | varying(template.attributes, block.template.attributes))
        for number, values in zip(numbers, block.chunks, strict=True):
            store.write(number, values)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say what to do when the disk is full, or the like."""
    try:
        yield
    except OSError as error:
        raise SweepStopped(f"Reading or writing failed: {error}. {_resume(path)}") from error


def _resume(path: Path) -> str:
    if not path.exists():
        return "No point is finished."
    return (
        f"What is finished is kept in {path}; make the same call again and it goes on from there."
    )

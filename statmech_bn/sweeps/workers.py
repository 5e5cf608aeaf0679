"""Workers: threads, processes, or those of a Dask cluster, all behind `concurrent.futures`.

There is no scheduler here. A killed process of this machine breaks its pool and stops the sweep; a
killed worker of a cluster is replaced by the cluster, which repeats its blocks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from statmech_bn.errors import installation, invalid
from statmech_bn.teacher_student import integer


@contextmanager
def executor(
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
                installation("cluster"),
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
    if parent is None:  # a process of its own has none to follow
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()

"""Workers: threads, processes, or those of a Dask cluster, all behind `concurrent.futures`.

There is no scheduler here. A killed process of this machine breaks its pool and stops the sweep; a
killed worker of a cluster is replaced by the cluster, which repeats its blocks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from statmech_bn.checks import thread_count
from statmech_bn.errors import installation, invalid
from statmech_bn.interrupts import stop_all, working


def check_main(function: Any, processes: bool) -> None:
    """Refuse what would start processes without end, or such that cannot find the function.

    Raises
    ------
    InvalidSetup
        A worker process is importing the script, which calls a sweep; or the function was typed in.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise invalid(
            "processes",
            'a script that calls sweep under `if __name__ == "__main__":`',
            processes,
            "Each process imports the script, and would begin the sweep again.",
        )
    bound = function.func if isinstance(function, partial) else function
    if not processes or getattr(bound, "__module__", "") != "__main__":
        return
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or not Path(file).exists():
        raise invalid(
            "function",
            "a function of a module or script that other processes can import",
            function,
            "Put it into a file and import it, or leave out processes=True.",
        )


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
    count = thread_count(workers)
    if count == 1 and not processes:
        yield _Here(), lambda: 1
        return
    pool = (
        ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _end_with_parent)
        if processes
        else _Threads(count)
    )
    try:
        yield pool, lambda: count
    except KeyboardInterrupt:
        _interrupt(pool)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Threads(ThreadPoolExecutor):
    """Threads whose computations Ctrl-C stops."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def stopped_by_all() -> Any:
            with working():
                return function(*args, **kwargs)

        return super().submit(stopped_by_all)


def _interrupt(pool: Executor) -> None:
    """End what workers of this machine compute."""
    if isinstance(pool, ProcessPoolExecutor):
        for process in list((pool._processes or {}).values()):
            process.terminate()
    stop_all()


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

"""Long computations end at Ctrl-C, and show on a terminal how far they are.

Python delivers Ctrl-C to the main thread, between two of its own instructions: never to another
thread, and not before compiled code returns. So nothing compiled runs for long in the main thread:
`in_threads` gives it to threads of its own and waits. When the wait is interrupted,

- `Watch.stop` is set, which compiled loops look at once a step;
- Python's code in these threads gets KeyboardInterrupt, by CPython's asynchronous exceptions;
- after a second at most the caller goes on, with what interrupted it.

From the first import on, Ctrl-C does the same to computations in threads of the user (`stop_all`),
and then what Python does. A handler of SIGINT that the user has set is left alone; the threads
of computations that the main thread waits for end all the same.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from statmech_bn.errors import invalid

POLL, PATIENCE = 0.1, 1.0
"""A caller looks up so often, and waits at most so long for threads that it stops, in seconds."""
DELAY = 1.0
"""A bar appears after this time, in seconds; shorter calls show none."""
KEPT = "Nothing of this call is kept. statmech_bn.sweep keeps each point that is finished."


class Watch(NamedTuple):
    """What a task and the thread that waits for it tell each other.

    Attributes
    ----------
    stop : ndarray of bool, (1,)
        A compiled loop that finds it true returns at once; its results are thrown away.
    done : ndarray, (1,)
        What has been done of the task, in the units of the total.
    """

    stop: np.ndarray
    done: np.ndarray

    def reach(self, part: float) -> None:
        """Say which part is done of a task that counts as one; solvers look beyond its end."""
        self.done[0] = min(part, 1.0)


_working: dict[int, np.ndarray] = {}
"""Each thread that computes has the flag here that it is stopped by."""
_bar = threading.Lock()
"""One bar is shown at a time: computations within a sweep show none."""


def stop_all() -> None:
    """Stop what all threads compute."""
    stop_threads(tuple(_working))


def stop_threads(threads: Iterable[int | None]) -> None:
    """Stop what some threads compute, and the threads that they wait for.

    Parameters
    ----------
    threads : iterable of int or None
        Identifiers; those of threads that compute nothing here are passed over.
    """
    for thread in threads:
        if thread is None or (stop := _working.get(thread)) is None:
            continue
        stop[0] = True
        if thread != threading.get_ident() and _working.pop(thread, None) is not None:
            interrupt(thread)


def interrupt(thread: int) -> None:
    """Raise KeyboardInterrupt in a thread, between two instructions of its Python."""
    error = ctypes.py_object(KeyboardInterrupt)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)


@contextmanager
def working(stop: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Let the computations of this thread be stopped by `stop_all`; yields their flag."""
    thread = threading.get_ident()
    outer = _working.get(thread)
    _working[thread] = flag = np.zeros(1, bool) if stop is None else stop
    try:
        yield flag
    finally:
        _working.pop(thread, None)
        if outer is not None:
            _working[thread] = outer


def in_threads(
    function: Callable[[Any, Watch], Any],
    tasks: Sequence[Any],
    threads: int,
    total: float = 0.0,
    progress: bool | None = False,
    label: str = "",
    unit: str = "steps",
) -> list[Any]:
    """Return ``[function(task, watch) for task in tasks]``, computed in threads.

    Parameters
    ----------
    function : callable
        Takes a task and its `Watch`.
    tasks : sequence
    threads : int
    total : float
        What all `Watch.done` will add up to; by default each task counts as one.
    progress : bool or None
        Whether to show a bar on stderr; None is on a terminal alone.
    label, unit : str
        What the bar says.

    Raises
    ------
    KeyboardInterrupt
        The computation was interrupted.
    Exception
        The first that a task raised; no other tasks are begun.
    """
    found: list[Any] = [None] * len(tasks)
    done = np.zeros(len(tasks))

    def one(number: int, stop: np.ndarray) -> None:
        found[number] = function(tasks[number], Watch(stop, done[number : number + 1]))
        if not total:
            done[number] = 1.0

    mine = _working.get(threading.get_ident())
    if mine is not None and min(threads, len(tasks)) == 1:  # this thread can be stopped itself
        for number in range(len(tasks)):
            one(number, mine)
            if mine[0]:
                raise KeyboardInterrupt(KEPT)
        return found

    numbers = iter(range(len(tasks)))  # CPython takes the next one without a lock of ours
    stop = np.zeros(1, bool)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with working(stop):
                for number in numbers:
                    if stop[0]:
                        break
                    one(number, stop)
        except BaseException as error:
            failures.append(error)
            stop[0] = True

    crew = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(tasks)))]
    try:
        with bar(total or len(tasks), label, unit, progress) as show:
            for thread in crew:
                thread.start()
            for thread in crew:
                while thread.is_alive():
                    thread.join(POLL)
                    show(float(done.sum()))
    except BaseException as error:
        stop[0] = True
        if isinstance(error, KeyboardInterrupt):
            stop_threads(thread.ident for thread in crew if thread.is_alive())
            if not hasattr(error, "__notes__"):
                error.add_note(KEPT)
        _wait(crew)
        raise
    if failures:
        raise failures[0]
    if stop[0]:
        raise KeyboardInterrupt(KEPT)
    return found


@contextmanager
def bar(
    total: float, label: str, unit: str, progress: bool | None, done: float = 0.0
) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr; yields a function that takes how much has been done."""
    if not (progress is None or isinstance(progress, (bool, np.bool_))):
        raise invalid("progress", "True, False or None, which is on a terminal alone", progress)
    terminal = threading.current_thread() is threading.main_thread() and sys.stderr.isatty()
    shown = terminal if progress is None else bool(progress)
    if not (shown and _bar.acquire(blocking=False)):
        yield lambda done: None
        return
    try:
        from tqdm import tqdm

        with tqdm(
            total=total, initial=done, desc=label, unit=f" {unit}", unit_scale=True, delay=DELAY,
            leave=False,
        ) as line:  # fmt: skip

            def show(done: float) -> None:
                if done > line.n:
                    line.update(done - line.n)

            yield show
    finally:
        _bar.release()


def _wait(crew: list[threading.Thread]) -> None:
    """Wait for threads that were told to stop, but not for ever."""
    end = time.monotonic() + PATIENCE
    for thread in crew:
        if thread.ident is not None:
            thread.join(max(0.0, end - time.monotonic()))


def _interrupted(number: int, frame: Any) -> None:
    stop_all()
    signal.default_int_handler(number, frame)


if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, _interrupted)

"""Computes what the page shows: one question at a time, in a thread that can be stopped.

SymPy may think about what somebody typed for as long as it likes. A question that takes longer than
`LONGEST`, or that nobody waits for any more, is stopped as Ctrl-C stops it
(`statmech_bn.interrupts`): compiled loops look at a flag, and Python's code gets an exception, once
more if it is lost, until it ends. Only Numba's compiler, which loses them, is let finish. Other
questions wait until what was stopped has ended, so that one at most is ever on its way.

The averages of batch normalization depend on the batch size, and a new one takes about a second.
`Worker.prepare` makes those of the slider's other stops while nobody asks.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from statmech_bn.compile_cache import compiling
from statmech_bn.errors import NotConverged, StatmechError
from statmech_bn.explore import curves, equations, files, partition
from statmech_bn.explore.state import State
from statmech_bn.interrupts import interrupt, working

LONGEST = 120.0
"""An answer takes at most so many seconds; the first of all compiles for about half a minute."""
POLL = 0.05
"""What is stopped is looked at every so many seconds."""
TASKS: dict[str, Callable[[State], Any]] = {
    "theory": curves.theory,
    "final_error": curves.final_error,
    "chain": curves.chain,
    "equations": equations.equations,
    "partitions": partition.partitions,
    "netcdf": files.netcdf,
    "zarr": files.zarr,
    "pdf": files.pdf,
}


class Computation:
    """A function that computes in a thread of its own, begun in the running event loop.

    Attributes
    ----------
    found : asyncio.Future
        What it returns or raises; nothing once it is stopped.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), np.zeros(1, bool)
        self.found: asyncio.Future[Any] = self._loop.create_future()
        self._over = False
        self._thread = threading.Thread(target=self._compute, args=(function,), daemon=True)
        self._thread.start()

    async def stop(self, patience: float = math.inf) -> bool:
        """Stop it; returns whether it has ended in so many seconds."""
        self._stop[0], end = True, time.monotonic() + patience
        while self._thread.is_alive() and time.monotonic() < end:
            if not (self._over or compiling.depth) and self._thread.ident is not None:
                interrupt(self._thread.ident)
            await asyncio.sleep(POLL)
        return not self._thread.is_alive()

    def _compute(self, function: Callable[[], Any]) -> None:
        found: tuple[Any, Exception | None]
        with suppress(KeyboardInterrupt, RuntimeError):  # nobody waits, or the loop is closed
            try:
                with working(self._stop):
                    found = function(), None
            except Exception as error:  # it is the page's to say
                found = None, error
            self._over = True
            self._loop.call_soon_threadsafe(self._tell, *found)

    def _tell(self, result: Any, error: Exception | None) -> None:
        if self.found.done():  # nobody waits any more
            return
        if error is None:
            self.found.set_result(result)
        else:
            self.found.set_exception(error)


class Worker:
    """Answers the questions of all pages, one after the other.

    Parameters
    ----------
    longest : float
        An answer takes at most so many seconds.
    """

    def __init__(self, longest: float = LONGEST) -> None:
        self.longest = longest
        self._turn = asyncio.Lock()
        self._last: Computation | None = None
        self._preparing: asyncio.Future[None] | None = None

    async def ask(self, task: str, state: State) -> Any:
        """Return what a task makes of a state; to cancel it stops the computation.

        Raises
        ------
        NotConverged
            It took too long, or what was stopped before has not ended yet.
        StatmechError
            Whatever the task raises.
        """
        async with self._turn:
            if self._preparing is not None:
                self._preparing.cancel()
            if self._last is not None and not await self._last.stop(self.longest):
                raise NotConverged(
                    f"{task}: expected that what was stopped has ended, but it has not. Wait, or "
                    "start the explorer again."
                )
            self._last = Computation(partial(TASKS[task], state))
            try:
                return await asyncio.wait_for(self._last.found, self.longest)
            except TimeoutError as error:
                raise NotConverged(
                    f"{task}: expected an answer within {self.longest:g} s, got none; the "
                    "computation is stopped. Ask for less, or for a simpler activation."
                ) from error
            finally:
                self._stopping = asyncio.ensure_future(self._last.stop())

    def prepare(self, state: State) -> None:
        """Prepare the other batch sizes of a state, the nearest first, until somebody asks."""
        if self._preparing is not None:
            self._preparing.cancel()
        self._preparing = asyncio.ensure_future(self._prepare(curves.other_batches(state)))

    async def _prepare(self, states: list[State]) -> None:
        for state in states:
            ahead = Computation(partial(curves.prepare, state))
            try:
                with suppress(StatmechError):  # said when it is asked for
                    await ahead.found
            finally:
                self._stopping_ahead = asyncio.ensure_future(ahead.stop())

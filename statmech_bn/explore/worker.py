"""A process that computes what the page shows, and is ended when it takes too long.

SymPy may think about what somebody typed for as long as it likes, and a thread cannot be stopped.
The page therefore asks a child process. It is given the name of a task and a state, nothing else,
and answers with the result. A question that takes longer than `LONGEST` ends the child; the next
question starts another one.

The averages of batch normalization depend on the batch size, and a new one takes about a second.
The child prepares the next stops of the slider while nobody asks (`_Ahead`).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from statmech_bn.errors import NotConverged
from statmech_bn.explore.state import SLIDERS, State
from statmech_bn.normalization import normalization

LONGEST = 120.0
"""An answer takes at most so many seconds; the first of all compiles for about half a minute."""
TASKS = {
    "theory": "curves:theory",
    "final_error": "curves:final_error",
    "chain": "curves:chain",
    "equations": "equations:equations",
    "partitions": "partition:partitions",
    "netcdf": "files:netcdf",
    "zarr": "files:zarr",
    "pdf": "files:pdf",
}
"""Task → module of this folder, and the function in it that takes a state."""
AHEAD = (1, -1, 2, -2)
"""Stops of the slider of the batch size, from the present one, that are prepared."""


class Worker:
    """A child process and the questions that wait for it, one after the other."""

    def __init__(self, longest: float = LONGEST) -> None:
        self.longest = longest
        self._process: Any = None
        self._pipe: Any = None
        self._thread = ThreadPoolExecutor(1)

    async def ask(self, task: str, state: State) -> Any:
        """Return what a task makes of a state.

        Raises
        ------
        NotConverged
            It took too long, or the process ended.
        StatmechError
            Whatever the task raises.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self.answer, task, state
        )

    def answer(self, task: str, state: State) -> Any:
        """Do as `ask` does, and wait."""
        if self._process is None or not self._process.is_alive():
            self._begin()
        try:
            self._pipe.send((task, state))
            if not self._pipe.poll(self.longest):
                self.end()
                raise NotConverged(
                    f"{task}: expected an answer within {self.longest:g} s, got none; the "
                    "computation was ended. Ask for less, or for a simpler activation."
                )
            found = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self.end()
            raise NotConverged(f"{task}: the computation ended without an answer.") from error
        if isinstance(found, BaseException):
            raise found
        return found

    def end(self) -> None:
        """End the child process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()


def _serve(pipe: Connection) -> None:
    """Answer questions until the other end is closed."""
    ahead = _Ahead()
    while True:
        try:
            task, state = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        module, _, name = TASKS[task].partition(":")
        try:
            found = getattr(import_module(f"statmech_bn.explore.{module}"), name)(state)
        except Exception as error:  # it is the page's to say
            found = error
        pipe.send(found)
        if task == "final_error":  # the last that a slider asks for
            ahead.of(state)


class _Ahead:
    """A thread that computes what may be asked next, for the newest state alone."""

    def __init__(self) -> None:
        self._state = State()
        self._new = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def of(self, state: State) -> None:
        """Prepare the neighbours of a state."""
        self._state = state
        self._new.set()

    def _work(self) -> None:
        from statmech_bn.explore.curves import theory

        while self._new.wait():
            self._new.clear()
            state = self._state
            for neighbour in neighbours(state):
                theory(neighbour)
                if self._new.is_set():
                    break


def neighbours(state: State) -> list[State]:
    """Return the states that are one or two stops of the batch size away."""
    slider = SLIDERS["batch_size"]
    stop = slider.nearest(state.batch_size)
    stops = [stop + step for step in AHEAD if 0 <= stop + step < len(slider.values)]
    if not any(normalization(name).of_batch for name in state.normalizations):
        return []
    return [state.changed(batch_size=slider.values[k]) for k in stops]

"""The thread that computes: it answers, passes errors on, and is stopped when it takes too long."""

import asyncio
import threading
import time

import pytest
import sympy as sp
import xarray as xr
from numba.core.compiler_lock import global_compiler_lock

from statmech_bn.errors import InvalidSetup, NotConverged
from statmech_bn.explore import curves, worker
from statmech_bn.explore.state import SLIDERS, State
from statmech_bn.online.mesoscopic import mesoscopic
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

STATE = State("linear", ("weight",), duration=1.0)


def hangs(state):
    """Do what SymPy does when it does not come to an end."""
    while True:
        sp.expand((sp.Symbol("x") + 1) ** 30)


def simulates(state):
    """Run a compiled loop that takes hours: 10⁹ steps of the chain."""
    mesoscopic(TeacherStudent("linear", "weight"), 0.1, [1e5], OrderParameters(0.1), 10_000, 1)


def crew():
    """Return the threads that are not of pytest or of asyncio."""
    return [t for t in threading.enumerate() if t.daemon and "_compute" in t.name]


def test_it_answers_as_the_functions_do():
    found = asyncio.run(worker.Worker().ask("theory", STATE))
    xr.testing.assert_identical(found["weight"], curves.theory(STATE)["weight"])


def test_an_error_is_the_callers():
    async def main():
        asked = worker.Worker()
        impossible = State("linear", ("ghost(8)",), batch_size=9)
        with pytest.raises(InvalidSetup, match="a student that can be"):
            await asked.ask("netcdf", impossible)
        assert isinstance((await asked.ask("theory", STATE))["weight"], xr.Dataset)

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("slow", [simulates, hangs])
def test_what_takes_too_long_is_stopped(monkeypatch, slow):
    """The page is answered meanwhile, and the next question as if nothing had been.

    An interrupt that finds its thread in a weak reference's callback is lost, and sent again.
    """
    monkeypatch.setitem(worker.TASKS, "theory", slow)
    beats = []

    async def heart():
        while True:
            beats.append(time.perf_counter())
            await asyncio.sleep(0.01)

    async def main():
        asked = worker.Worker(longest=1.0)
        beating = asyncio.ensure_future(heart())
        with pytest.raises(NotConverged, match="within 1 s"):
            await asked.ask("theory", STATE)
        beating.cancel()
        assert await asked._last.stop(60)
        assert len(crew()) == 0
        return await asked.ask("equations", STATE)

    before = time.perf_counter()
    assert asyncio.run(main())[0].normalization == "weight"
    assert time.perf_counter() - before < 60
    assert len(beats) > 5  # a page that waits has one


def test_what_compiles_is_let_finish(monkeypatch):
    """Numba's compiler loses exceptions, and what it has not finished would be missing."""
    finished = []

    def compiles(state):
        with global_compiler_lock:
            for _ in range(50):
                time.sleep(0.01)
            finished.append(True)
        hangs(state)

    monkeypatch.setitem(worker.TASKS, "theory", compiles)

    async def main():
        asked = worker.Worker(longest=0.1)
        with pytest.raises(NotConverged, match=r"within 0\.1 s"):
            await asked.ask("theory", STATE)
        assert not finished
        assert await asked._last.stop(60)

    asyncio.run(main())
    assert finished


def test_what_nobody_waits_for_is_stopped(monkeypatch):
    monkeypatch.setitem(worker.TASKS, "theory", hangs)

    async def main():
        asked = worker.Worker()
        question = asyncio.ensure_future(asked.ask("theory", STATE))
        await asyncio.sleep(0.2)
        assert len(crew()) == 1
        question.cancel()
        assert len(await asyncio.wait_for(asked.ask("equations", STATE), 60)) == 1
        assert len(crew()) <= 1  # the answer's own, which may be about to end

    asyncio.run(main())


def test_what_cannot_be_stopped_is_not_joined_by_others(monkeypatch):
    released = threading.Event()
    monkeypatch.setitem(worker.TASKS, "theory", lambda state: released.wait())

    async def main():
        asked = worker.Worker(longest=0.1)
        with pytest.raises(NotConverged, match=r"within 0\.1 s"):
            await asked.ask("theory", STATE)
        with pytest.raises(NotConverged, match="has not"):
            await asked.ask("equations", STATE)
        released.set()
        asked.longest = 60.0
        assert len(await asked.ask("equations", STATE)) == 1

    asyncio.run(main())


def test_other_batch_sizes_are_prepared_until_somebody_asks(monkeypatch):
    seen = []

    def prepare(state):
        seen.append(state.batch_size)
        if len(seen) == 3:
            hangs(state)

    monkeypatch.setattr(curves, "prepare", prepare)

    async def main():
        asked = worker.Worker()
        asked.prepare(State(batch_size=32))
        while len(seen) < 3:
            await asyncio.sleep(0.01)
        await asked.ask("equations", STATE)
        await asked._stopping_ahead
        await asked._stopping
        assert len(crew()) == 0

    asyncio.run(main())
    stops = SLIDERS["batch_size"].values
    at = stops.index(32)
    assert seen == [stops[at - 1], stops[at + 1], stops[at - 2]]


def test_only_what_depends_on_the_batch_size_is_prepared():
    every = {state.batch_size for state in curves.other_batches(State(batch_size=32))}
    assert every == set(SLIDERS["batch_size"].values) - {32}
    assert curves.other_batches(STATE) == []
    assert curves.other_batches(State(exponent=1.0)) == []
    assert curves.other_batches(State(student_units=2)) == []

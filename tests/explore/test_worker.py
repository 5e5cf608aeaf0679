"""The process that computes: it answers, passes errors on, and is ended when it takes too long."""

import asyncio
import time

import pytest
import xarray as xr

from statmech_bn.errors import InvalidSetup, NotConverged
from statmech_bn.explore import curves, worker
from statmech_bn.explore.state import SLIDERS, State

STATE = State("linear", ("weight",), duration=1.0)


@pytest.fixture(scope="module")
def child():
    found = worker.Worker()
    yield found
    found.end()


def test_it_answers_as_the_functions_do(child):
    found = asyncio.run(child.ask("theory", STATE))
    xr.testing.assert_identical(found["weight"], curves.theory(STATE)["weight"])


def test_an_error_is_the_callers(child):
    impossible = State("linear", ("ghost(8)",), batch_size=9)
    with pytest.raises(InvalidSetup, match="a student that can be"):
        child.answer("netcdf", impossible)
    assert isinstance(child.answer("theory", STATE)["weight"], xr.Dataset)


def test_what_takes_too_long_is_ended(child):
    """A kink away from zero has no series: with batch normalization this takes minutes."""
    child.longest, before = 1.0, time.perf_counter()
    process = child._process
    slow = State("Min(1, Max(0, x))", ("batch",), duration=100.0)
    try:
        with pytest.raises(NotConverged, match="within 1 s"):
            child.answer("theory", slow)
    finally:
        child.longest = worker.LONGEST
    assert time.perf_counter() - before < 10
    assert not process.is_alive()
    assert isinstance(child.answer("theory", STATE)["weight"], xr.Dataset)


def test_a_child_that_died_is_replaced(child):
    child.answer("theory", STATE)
    child._process.kill()
    child._process.join()
    assert isinstance(child.answer("theory", STATE)["weight"], xr.Dataset)


def test_the_next_batch_sizes_are_prepared():
    stops = SLIDERS["batch_size"].values
    near = [state.batch_size for state in worker.neighbours(State(batch_size=32))]
    at = stops.index(32)
    assert near == [stops[at + 1], stops[at - 1], stops[at + 2], stops[at - 2]]
    assert [state.batch_size for state in worker.neighbours(State(batch_size=4))] == [5, 6]
    assert worker.neighbours(STATE) == []
